/** The analyzer against crash and drgn on one dump, each in a process of its own: start, `sys; bt; ps; log`, end. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeSparseDump } from './sparse-dump.ts';
import { mebibytes, median, ratio, seconds, table } from './table.ts';
import { measureCommand, type CommandUsage } from './usage.ts';

const COMMANDS = 'sys; bt; ps; log';

/** The same with drgn's helpers: stack of the crashed thread, all tasks, the log. */
const DRGN_SCRIPT = `
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import print_dmesg
print(prog.crashed_thread().stack_trace())
for task in for_each_task(prog):
    print(task.pid.value_(), task.comm.string_())
print_dmesg(prog)
`;

/** The `drgn` of `KDUMP_LAB_DRGN`, of PATH, or the module of an installed Python. */
const DRGN = findDrgn();

function findDrgn(): Pick<Tool, 'program' | 'args'> {
  const program = process.env['KDUMP_LAB_DRGN'] ?? 'drgn';
  const isThere = spawnSync(program, ['--version']).error === undefined;
  const hasModule = !isThere && spawnSync('python3', ['-c', 'import drgn']).status === 0;
  return hasModule ? { program: 'python3', args: ['-m', 'drgn'] } : { program, args: [] };
}

interface Tool {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly input?: string;
  /** Start as on the first day: with nothing of our own in the user's cache folder. */
  readonly cold?: boolean;
}

/** Guest memory of the dump that is made large: 4 GiB. */
const LARGE_MEMORY = 4 * 2 ** 30;

const medianOf = (usages: readonly CommandUsage[], key: 'wallSeconds' | 'cpuSeconds' | 'peakBytes'): number =>
  median(usages.map(usage => usage[key]));

/**
 * Measures all tools that are installed, and prints the comparison.
 * @param vmlinux with debug information; crash and drgn need it, the analyzer takes symbols and types from the dump
 */
export async function benchAnalyzer(dump: string, vmlinux: string | undefined, runs: number): Promise<void> {
  const rows: { readonly name: string; readonly usages: readonly CommandUsage[] | string }[] = [];
  const scratch = mkdtempSync(join(tmpdir(), 'kdump-lab-bench-analyzer-'));
  using _cleanup = { [Symbol.dispose]: () => rmSync(scratch, { recursive: true }) };
  const large = join(scratch, 'large');
  writeSparseDump(dump, large, LARGE_MEMORY);
  for (const tool of tools(dump, large, vmlinux)) {
    rows.push({ name: tool.name, usages: typeof tool.run === 'string' ? tool.run : await measure(tool.run, runs) });
  }
  const [ours] = rows;
  console.log(`\n## Analyzer: start, ${COMMANDS}, end; ${runs} run${runs === 1 ? '' : 's'} each, medians\n`);
  const cells = rows.map(({ name, usages }) => {
    if (typeof usages === 'string') return [name, usages, '', '', ''];
    const baseline = typeof ours?.usages === 'string' ? usages : ours!.usages;
    const wall = medianOf(usages, 'wallSeconds');
    return [
      name,
      seconds(wall),
      ratio(medianOf(baseline, 'wallSeconds'), wall),
      seconds(medianOf(usages, 'cpuSeconds')),
      mebibytes(medianOf(usages, 'peakBytes')),
    ];
  });
  console.log(table(['Program', 'wall time', 'kdump-lab takes', 'CPU time', 'peak RSS'], cells));
}

function tools(dump: string, large: string, vmlinux: string | undefined): { name: string; run: Tool | string }[] {
  const program = join(import.meta.dirname, '../../scripts/kdump-lab');
  const args = ['crash', dump, '-c', COMMANDS];
  const alone: Tool = { name: 'kdump-lab crash', program, args };
  const withVmlinux: Tool = { name: 'kdump-lab crash, with vmlinux', program, args: [...args, vmlinux ?? ''] };
  const others: Tool[] = [
    withVmlinux,
    { ...withVmlinux, name: 'kdump-lab crash, with vmlinux, first start', cold: true },
    {
      name: 'crash',
      program: 'crash',
      args: ['-s', vmlinux ?? '', dump],
      input: `${COMMANDS.replaceAll('; ', '\n')}\nquit\n`,
    },
    { name: 'drgn', ...DRGN, args: [...DRGN.args, '-q', '-c', dump, '-s', vmlinux ?? '', '-e', DRGN_SCRIPT] },
  ];
  return [
    alone,
    { ...alone, name: 'kdump-lab crash, first start', cold: true },
    { ...alone, name: 'kdump-lab crash, the same pages in 4 GiB', args: ['crash', large, '-c', COMMANDS] },
  ]
    .map(tool => ({ name: tool.name, run: tool as Tool | string }))
    .concat(others.map(tool => ({ name: tool.name, run: vmlinux === undefined ? 'needs --vmlinux' : tool })));
}

/** @returns the costs, or why there are none */
async function measure(tool: Tool, runs: number): Promise<readonly CommandUsage[] | string> {
  if (spawnSync(tool.program, ['--version']).error !== undefined) return 'not installed';
  const usages: CommandUsage[] = [];
  // The first run fills caches, the host's and ours; it is not counted.
  for (let run = tool.cold === true ? 0 : -1; run < runs; run++) {
    using cache = tool.cold === true ? emptyCache() : undefined;
    const usage = await measureCommand(tool.program, tool.args, tool.input, cache?.env);
    if (usage.status !== 0) return `fails: ${usage.stderr.trim().split('\n').at(-1) ?? ''}`;
    if (run >= 0) usages.push(usage);
  }
  return usages;
}

/** A cache folder of its own for one run. */
function emptyCache(): Disposable & { readonly env: Readonly<Record<string, string>> } {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-bench-cache-'));
  return {
    env: { KDUMP_LAB_CACHE: folder, NODE_COMPILE_CACHE: join(folder, 'node') },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}
