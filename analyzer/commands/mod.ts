/** `mod`: loaded modules, and their object files. */
import { mapPresent } from '../gaps.ts';
import { FormatError, UsageError } from '../../capture/formats/errors.ts';
import { findModuleObjects, moduleFolders } from '../debug-info/find-module-object.ts';
import { loadModule, unloadModule } from '../debug-info/load-module.ts';
import { listModules, moduleRanges } from '../linux/module.ts';
import { center, hex16 } from '../text/layout.ts';
import type { Arguments, Command } from './command.ts';
import type { Session } from './session.ts';

interface ModuleRow {
  readonly address: bigint;
  readonly name: string;
  readonly base: bigint;
  readonly size: number;
  readonly taints: string;
  /** Path of the object file, when it was loaded. */
  readonly object: string | undefined;
}

interface ModData {
  readonly modules: readonly ModuleRow[];
  readonly view: 'list' | 'taints' | 'nothing';
  /** What went wrong with single modules. */
  readonly problems: readonly string[];
}

/** Letters of `mod->taints`, by bit; `kernel/panic.c` `taint_flags`. */
const TAINTS = 'PFSRMBUDAWCIOELKXTNJ';

/** `mod`. */
export const mod: Command<ModData> = {
  name: 'mod',
  summary: 'loaded modules, and symbols of their object files',
  synopsis: '-s module [objfile] | -d module | -S [directory] | [-D|-t|-r|-R|-o|-g]',
  options: [
    { flag: '-s', takes: 'module', help: 'load symbols and debug information of a module' },
    { flag: '-S', help: 'the same for all modules' },
    { flag: '-d', takes: 'module', help: 'forget what -s loaded' },
    { flag: '-D', help: 'the same for all modules' },
    { flag: '-t', help: 'modules that taint the kernel, with why' },
    { flag: '-r', help: 'forget all, then load again with -s and -S' },
    { flag: '-R', help: 'as -r' },
    { flag: '-g', help: 'accepted: sections are always known' },
    { flag: '-o', help: 'accepted' },
  ],
  description: `Lists modules by address. Their functions and types are known from the dump itself; the object file adds variables,
source lines, arguments and locals. It is looked for under the directory given, /lib/modules/RELEASE and
/usr/lib/debug/lib/modules/RELEASE; a stripped one takes its debug information from /usr/lib/debug.`,
  examples: [
    { line: 'mod -t', why: 'suspects' },
    { line: 'mod -s virtio_blk virtio_blk.ko', why: 'lines and variables of one module' },
    { line: 'mod -S', why: 'of all modules, from where they are installed' },
  ],
  run: runMod,
  text({ modules, view, problems }) {
    const notes = problems.map(problem => `mod: ${problem}\n`).join('');
    return notes + (view === 'nothing' ? '' : view === 'taints' ? taintText(modules) : listText(modules));
  },
};

function runMod(session: Session, args: Arguments): ModData {
  const { program } = session;
  const loaded = [...program.debug.modules.keys()];
  if (args.has('-D') || args.has('-r') || args.has('-R')) {
    for (const name of loaded) unloadModule(program, name);
    if (args.has('-D')) return { modules: [], view: 'nothing', problems: [] };
  }
  if (args.has('-d')) {
    known(session, args.value('-d')!);
    unloadModule(program, args.value('-d')!);
    return { modules: [], view: 'nothing', problems: [] };
  }
  const rows = moduleRows(session);
  if (args.has('-t')) return { modules: rows, view: 'taints', problems: [] };
  if (args.has('-s')) return loadOne(session, args.value('-s')!, args.positionals[0]);
  if (!args.has('-S')) return { modules: rows, view: 'list', problems: [] };
  const problems = loadAll(session, rows, args.positionals[0]);
  const found = moduleRows(session).filter(({ object }) => object !== undefined);
  return { modules: found, view: found.length === 0 ? 'nothing' : 'list', problems };
}

function moduleRows({ program }: Session): ModuleRow[] {
  const rows = mapPresent(program, 'modules', listModules(program), module => {
    const ranges = moduleRanges(module);
    const name = module.string('name');
    const bits = module.has('taints') ? module.num('taints') : 0;
    return {
      address: module.address,
      name,
      base: ranges[0]?.start ?? 0n,
      size: ranges.reduce((sum, range) => sum + Number(range.end - range.start), 0),
      taints: Array.from(TAINTS, (letter, bit) => ((bits >> bit) & 1 ? letter : '')).join(''),
      object: program.debug.modules.get(name)?.path,
    };
  });
  return rows.sort((a, b) => (a.base < b.base ? -1 : 1));
}

function known(session: Session, name: string): void {
  if (!moduleRows(session).some(row => row.name === name)) throw new UsageError(`${name}: not a loaded module`);
}

function loadOne(session: Session, name: string, path: string | undefined): ModData {
  known(session, name);
  loadModule(session.program, name, path ?? findObjects(session, undefined).get(name)?.[0] ?? notFound(name));
  return { modules: moduleRows(session).filter(row => row.name === name), view: 'list', problems: [] };
}

function notFound(name: string): never {
  throw new UsageError(`cannot find or load object file for ${name} module`);
}

/** Loads what can be found; returns what could not. */
function loadAll(session: Session, rows: readonly ModuleRow[], folder: string | undefined): string[] {
  const objects = findObjects(session, folder);
  const problems: string[] = [];
  for (const { name } of rows) {
    try {
      loadModule(session.program, name, objects.get(name)?.[0] ?? notFound(name));
    } catch (error) {
      if (!(error instanceof UsageError || error instanceof FormatError)) throw error;
      problems.push(error.message);
    }
  }
  return problems;
}

function findObjects(session: Session, folder: string | undefined): Map<string, string[]> {
  const release = session.program.vmcoreinfo.osRelease ?? '';
  return findModuleObjects(folder === undefined ? moduleFolders(release) : [folder]);
}

function taintText(modules: readonly ModuleRow[]): string {
  const width = nameWidth(modules);
  const marked = modules.filter(({ taints }) => taints !== '');
  if (marked.length === 0) return 'no tainted modules\n';
  return `${'NAME'.padEnd(width)}  TAINTS\n${marked.map(({ name, taints }) => `${name.padEnd(width)}  ${taints}\n`).join('')}`;
}

function nameWidth(modules: readonly ModuleRow[]): number {
  return modules.reduce((longest, { name }) => Math.max(longest, name.length), 4);
}

function listText(modules: readonly ModuleRow[]): string {
  if (modules.length === 0) return 'no modules loaded\n';
  const width = nameWidth(modules);
  const head = `${center('MODULE', 16)}  ${'NAME'.padEnd(width)}  ${center('BASE', 16)}  ${'SIZE'.padStart(5)}  OBJECT FILE\n`;
  const rows = modules.map(
    ({ address, name, base, size, object }) =>
      `${hex16(address)}  ${name.padEnd(width)}  ${hex16(base)}  ${String(size).padStart(5)}  ${object === undefined ? '(not loaded)  [CONFIG_KALLSYMS]' : `${object} `}\n`,
  );
  return head + rows.join('');
}
