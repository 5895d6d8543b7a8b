/**
 * Our makedumpfile beside Debian's on the same dump; the start-up of ours is measured apart and taken off.
 *
 * Also on its own: `node tests/bench/makedumpfile.ts [VMCORE [RUNS]]`. `KDUMP_LAB_MAKEDUMPFILE` names another makedumpfile
 * (Debian 12's has no zstd). CPU seconds say more than wall time on a host with other work.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { isElf } from '../../capture/formats/elf.ts';
import { FileSource } from '../../capture/formats/byte-source.ts';
import { findDumpFolder } from '../support/crash-reference.ts';
import { mebibytes, median, ratio, seconds, table } from './table.ts';
import { measureCommand } from './usage.ts';
import type { Usage } from './usage.ts';

const CASES: readonly string[] = [
  '-l -d 31',
  '-z -d 31',
  '-c -d 31',
  '-l -d 31 --num-threads 2',
  '-z -d 31 --num-threads 2',
  '-c -d 31 --num-threads 2',
  '-l -d 0',
  '-E -d 0',
];
const LAUNCHER = resolve(import.meta.dirname, '../../scripts/kdump-lab');
const REFERENCE = process.env['KDUMP_LAB_MAKEDUMPFILE'] ?? 'makedumpfile';
const HEADER = ['options', 'makedumpfile', 'its CPU', 'ours', 'our CPU', 'wall', 'CPU', 'peak'];

/**
 * Measures all cases and prints the comparison.
 * @param dump any dump; one that is not an ELF core is converted first, so that both read plain pages
 */
export async function benchMakedumpfile(dump: string, runs: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-bench-makedumpfile-'));
  try {
    const core = await elfCore(dump, folder);
    const startUp = await measure([LAUNCHER, 'makedumpfile', '--check-params', '-c', 'a', 'b'], runs);
    if (startUp === undefined) throw new Error('our makedumpfile does not start');
    console.log(`\n## makedumpfile: ${runs} run${runs === 1 ? '' : 's'} each, medians; our start-up is taken off\n`);
    console.log(`Start-up: ${seconds(startUp.wallSeconds)}, CPU ${seconds(startUp.cpuSeconds)}\n`);
    const rows: string[][] = [];
    for (const options of CASES) rows.push(await measureCase(options, core, folder, startUp, runs));
    console.log(table(HEADER, rows));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measureCase(
  options: string,
  core: string,
  folder: string,
  startUp: Usage,
  runs: number,
): Promise<string[]> {
  const common = ['-f', '--message-level', '0', ...options.split(' '), core, join(folder, 'dump')];
  const theirs = await measure([REFERENCE, ...common], runs);
  const ours = await measure([LAUNCHER, 'makedumpfile', ...common], runs);
  if (ours === undefined) return [options, '', '', 'failed'];
  const wall = Math.max(0, ours.wallSeconds - startUp.wallSeconds);
  const cpu = Math.max(0, ours.cpuSeconds - startUp.cpuSeconds);
  return [
    options,
    theirs === undefined ? 'failed' : seconds(theirs.wallSeconds),
    theirs === undefined ? '' : seconds(theirs.cpuSeconds),
    seconds(wall),
    seconds(cpu),
    ratio(wall, theirs?.wallSeconds),
    ratio(cpu, theirs?.cpuSeconds),
    mebibytes(ours.peakBytes),
  ];
}

/** Medians of some runs; undefined when one fails. */
async function measure(command: readonly string[], runs: number): Promise<Usage | undefined> {
  const [program = '', ...args] = command;
  const usages: Usage[] = [];
  for (let run = 0; run < runs; run++) {
    const usage = await measureCommand(program, args);
    if (usage.status !== 0) return undefined;
    usages.push(usage);
  }
  const of = (key: keyof Usage): number => median(usages.map(usage => usage[key]));
  return { wallSeconds: of('wallSeconds'), cpuSeconds: of('cpuSeconds'), peakBytes: of('peakBytes') };
}

async function elfCore(dump: string, folder: string): Promise<string> {
  using source = new FileSource(dump);
  if (isElf(source.read(0, 16))) return dump;
  const core = join(folder, 'core');
  await measureCommand(LAUNCHER, ['makedumpfile', '-E', '--message-level', '0', dump, core]);
  return core;
}

const [, script, given, count = '3'] = process.argv;
if (script === fileURLToPath(import.meta.url)) {
  const reference = findDumpFolder('x86_64-6.1');
  const dump = given ?? (reference === undefined ? undefined : join(reference, 'vmcore'));
  if (dump === undefined) throw new Error('no dump: name one, or see tests/support/crash-reference.ts');
  await benchMakedumpfile(dump, Number(count));
}
