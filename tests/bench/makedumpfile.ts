/**
 * Our makedumpfile beside Debian's on the same dumps; the start-up of ours is measured apart and taken off. The dumps are the one that
 * is given, one of 4 GiB made of it, and one of 64 GiB with holes.
 *
 * Also on its own: `node tests/bench/makedumpfile.ts [VMCORE [RUNS]]`; large dumps are made of x86_64 dumps with all pages. `KDUMP_LAB_MAKEDUMPFILE` names another makedumpfile
 * (Debian 12's has no zstd). CPU seconds say more than wall time on a host with other work.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { isElf } from '../../capture/formats/elf.ts';
import { FileSource } from '../../capture/formats/byte-source.ts';
import { openDump } from '../../capture/sources/dump-file.ts';
import { findDumpFolder } from '../support/crash-reference.ts';
import { writeLargeDump } from './large-dump.ts';
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
/** Of the 4 GiB dump; `makedumpfile`: the quicker of one thread and two. */
const LARGE_CASES: readonly string[] = ['-l -d 31', '-z -d 31', '-c -d 31', '-l -d 0', '-d 0'];
const THREADS = ['--num-threads', '2'];
const LARGE_HEADER = ['options', 'makedumpfile', '2 threads', 'ours, 2 threads', 'wall', 'its CPU', 'our CPU', 'peak'];
const LARGE_BYTES = 4 * 2 ** 30;
const SPARSE_CASES: readonly string[] = ['-l -d 31', '-c -d 31', '-E -d 31', '-l -d 1'];
const SPARSE_BYTES = 64 * 2 ** 30;
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
    if (canBeEnlarged(dump)) await benchLargeDumps(dump, folder, startUp, runs);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Page structures of filtered pages are missing; those of arm64 lie otherwise. */
function canBeEnlarged(path: string): boolean {
  using dump = openDump([path]);
  return dump.architecture === 'x86_64' && (dump.dumpLevel ?? 0) === 0;
}

async function benchLargeDumps(dump: string, folder: string, startUp: Usage, runs: number): Promise<void> {
  const large = join(folder, 'large');
  writeLargeDump(dump, large, LARGE_BYTES, true);
  console.log(`\n### 4 GiB, of which the kernel knows; wall: ours with two threads against the quicker of theirs\n`);
  const rows: string[][] = [];
  for (const options of LARGE_CASES) rows.push(await measureLargeCase(options, large, folder, startUp, runs));
  console.log(table(LARGE_HEADER, rows));
  rmSync(large);
  const sparse = join(folder, 'sparse');
  writeLargeDump(dump, sparse, SPARSE_BYTES, false);
  console.log(`\n### 64 GiB with holes: peak memory, one run\n`);
  const peaks: string[][] = [];
  for (const options of SPARSE_CASES) {
    const threads = options.startsWith('-E') ? [] : THREADS;
    const ours = await measure(ourCommand([...options.split(' '), ...threads], sparse, folder), 1);
    peaks.push([
      options,
      ...(ours === undefined ? ['failed'] : [seconds(ours.wallSeconds), mebibytes(ours.peakBytes)]),
    ]);
  }
  console.log(table(['options', 'wall', 'peak'], peaks));
}

async function measureLargeCase(
  options: string,
  core: string,
  folder: string,
  startUp: Usage,
  runs: number,
): Promise<string[]> {
  const words = options.split(' ');
  const ours = await measure(ourCommand([...words, ...THREADS], core, folder), runs);
  const single = await measure([REFERENCE, ...commonArguments(words, core, folder)], runs);
  const threaded = await measure([REFERENCE, ...commonArguments([...words, ...THREADS], core, folder)], runs);
  if (ours === undefined) return [options, '', '', 'failed'];
  const { wall, cpu } = withoutStartUp(ours, startUp);
  const theirs = [single, threaded].filter(usage => usage !== undefined).map(usage => usage.wallSeconds);
  return [
    options,
    single === undefined ? 'failed' : seconds(single.wallSeconds),
    threaded === undefined ? 'failed' : seconds(threaded.wallSeconds),
    seconds(wall),
    ratio(wall, theirs.length === 0 ? undefined : Math.min(...theirs)),
    single === undefined ? '' : seconds(single.cpuSeconds),
    seconds(cpu),
    mebibytes(ours.peakBytes),
  ];
}

function withoutStartUp(usage: Usage, startUp: Usage): { wall: number; cpu: number } {
  return {
    wall: Math.max(0, usage.wallSeconds - startUp.wallSeconds),
    cpu: Math.max(0, usage.cpuSeconds - startUp.cpuSeconds),
  };
}

function commonArguments(words: readonly string[], core: string, folder: string): string[] {
  return ['-f', '--message-level', '0', ...words, core, join(folder, 'dump')];
}

function ourCommand(words: readonly string[], core: string, folder: string): string[] {
  return [LAUNCHER, 'makedumpfile', ...commonArguments(words, core, folder)];
}

async function measureCase(
  options: string,
  core: string,
  folder: string,
  startUp: Usage,
  runs: number,
): Promise<string[]> {
  const words = options.split(' ');
  const theirs = await measure([REFERENCE, ...commonArguments(words, core, folder)], runs);
  const ours = await measure(ourCommand(words, core, folder), runs);
  if (ours === undefined) return [options, '', '', 'failed'];
  const { wall, cpu } = withoutStartUp(ours, startUp);
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
