/** `mod`: loaded modules. */
import { UsageError } from '../../capture/formats/errors.ts';
import { listModules, moduleRanges } from '../linux/module.ts';
import { center, hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';

interface ModuleRow {
  readonly address: bigint;
  readonly name: string;
  readonly base: bigint;
  readonly size: number;
  readonly taints: string;
}

interface ModData {
  readonly modules: readonly ModuleRow[];
  readonly tainted: boolean;
}

/** Letters of `mod->taints`, by bit; `kernel/panic.c` `taint_flags`. */
const TAINTS = 'PFSRMBUDAWCIOELKXTNJ';

/** `mod`. */
export const mod: Command<ModData> = {
  name: 'mod',
  summary: 'loaded modules',
  synopsis: '[-t] [module]',
  options: [
    { flag: '-t', help: 'modules that taint the kernel, with why' },
    { flag: '-s', takes: 'module', help: 'accepted: symbols of modules are always at hand' },
    { flag: '-S', help: 'accepted: symbols of modules are always at hand' },
    { flag: '-d', takes: 'module', help: 'accepted' },
  ],
  description: 'Lists modules by address. Their symbols and types come from the dump itself, nothing has to be loaded.',
  examples: [{ line: 'mod -t', why: 'suspects' }],
  run(session, args) {
    const [only] = args.positionals;
    const modules = listModules(session.program).map(module => {
      const ranges = moduleRanges(module);
      const [text] = ranges;
      const bits = module.has('taints') ? module.num('taints') : 0;
      return {
        address: module.address,
        name: module.string('name'),
        base: text?.start ?? 0n,
        size: ranges.reduce((sum, range) => sum + Number(range.end - range.start), 0),
        taints: Array.from(TAINTS, (letter, bit) => ((bits >> bit) & 1 ? letter : '')).join(''),
      };
    });
    const chosen = only === undefined ? modules : modules.filter(({ name }) => name === only);
    if (only !== undefined && chosen.length === 0) throw new UsageError(`module ${only} is not loaded`);
    return { modules: chosen.sort((a, b) => (a.base < b.base ? -1 : 1)), tainted: args.has('-t') };
  },
  text({ modules, tainted }) {
    const width = modules.reduce((longest, { name }) => Math.max(longest, name.length), 4);
    if (tainted) {
      const marked = modules.filter(({ taints }) => taints !== '');
      return marked.length === 0
        ? 'no tainted modules\n'
        : `${'NAME'.padEnd(width)}  TAINTS\n${marked.map(({ name, taints }) => `${name.padEnd(width)}  ${taints}\n`).join('')}`;
    }
    if (modules.length === 0) return 'no modules loaded\n';
    const head = `${center('MODULE', 16)}  ${'NAME'.padEnd(width)}  ${center('BASE', 16)}  ${'SIZE'.padStart(5)}  OBJECT FILE\n`;
    const rows = modules.map(
      ({ address, name, base, size }) =>
        `${hex16(address)}  ${name.padEnd(width)}  ${hex16(base)}  ${String(size).padStart(5)}  (not loaded)  [CONFIG_KALLSYMS]\n`,
    );
    return head + rows.join('');
  },
};
