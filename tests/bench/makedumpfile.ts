/**
 * Our makedumpfile beside Debian's on the same dump: wall time without start-up, greatest memory.
 *
 *     node tests/bench/makedumpfile.ts [VMCORE]
 *
 * VMCORE is an ELF core; without one the x86_64 reference dump is converted. `KDUMP_LAB_MAKEDUMPFILE` names another
 * makedumpfile (Debian 12's has no zstd). Runs of the two alternate, and the best of five counts: on a shared host the
 * ratio says more than the seconds.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findDumpFolder } from '../support/crash-reference.ts';

/** One measured command. */
interface Measurement {
  readonly seconds: number;
  /** Greatest resident memory in MiB, of the process with all its threads. */
  readonly memory: number;
}

const RUNS = 5;
const CASES: readonly (readonly string[])[] = [
  ['-l', '-d', '31'],
  ['-z', '-d', '31'],
  ['-c', '-d', '31'],
  ['-l', '-d', '31', '--num-threads', '2'],
  ['-z', '-d', '31', '--num-threads', '2'],
  ['-c', '-d', '31', '--num-threads', '2'],
  ['-l', '-d', '0'],
  ['-E', '-d', '0'],
];
const LAUNCHER = resolve(import.meta.dirname, '../../scripts/kdump-lab');
const REFERENCE = process.env['KDUMP_LAB_MAKEDUMPFILE'] ?? 'makedumpfile';

function measure(command: readonly string[]): Measurement | undefined {
  const [program = '', ...args] = command;
  const start = process.hrtime.bigint();
  // GNU time reports memory; without it only seconds are known.
  const timed = spawnSync('/usr/bin/time', ['-f', 'KB=%M', program, ...args], { encoding: 'utf8' });
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (timed.status !== 0) return undefined;
  return { seconds, memory: Number(/KB=(\d+)/.exec(timed.stderr)?.[1] ?? 0) / 1024 };
}

function best(measurements: readonly (Measurement | undefined)[]): Measurement | undefined {
  const good = measurements.filter(measurement => measurement !== undefined);
  return good.toSorted((a, b) => a.seconds - b.seconds)[0];
}

/** Measures all cases and returns the table's lines. */
export function benchMakedumpfile(vmcore: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-bench-'));
  const ours = [LAUNCHER, 'makedumpfile', '-f', '--message-level', '0'];
  const theirs = [REFERENCE, '-f', '--message-level', '0'];
  try {
    const startUp = best([1, 2, 3].map(() => measure([LAUNCHER, 'makedumpfile', '--check-params', '-c', 'a', 'b'])))!;
    const lines = [
      `${vmcore}: ${(statSync(vmcore).size / 2 ** 20).toFixed(0)} MiB; our start-up ${startUp.seconds.toFixed(2)} s is taken off`,
      `${'options'.padEnd(28)} makedumpfile      ours   ratio  memory`,
    ];
    for (const options of CASES) {
      const [a, b]: (Measurement | undefined)[][] = [[], []];
      for (let run = 0; run < RUNS; run++) {
        a!.push(measure([...theirs, ...options, vmcore, join(folder, 'theirs')]));
        b!.push(measure([...ours, ...options, vmcore, join(folder, 'ours')]));
      }
      lines.push(row(options, best(a!), best(b!), startUp.seconds));
    }
    return lines;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function row(
  options: readonly string[],
  theirs: Measurement | undefined,
  ours: Measurement | undefined,
  startUp: number,
): string {
  const net = ours === undefined ? Number.NaN : Math.max(0, ours.seconds - startUp);
  const reference = theirs === undefined ? 'cannot' : `${theirs.seconds.toFixed(2)} s`;
  const ratio = theirs === undefined ? '' : (net / theirs.seconds).toFixed(2);
  const columns = [reference.padStart(12), `${net.toFixed(2)} s`.padStart(9), ratio.padStart(7)];
  return `${options.join(' ').padEnd(28)} ${columns.join(' ')} ${(ours?.memory ?? 0).toFixed(0).padStart(4)} MiB`;
}

/** The x86_64 reference dump as an ELF core. */
function convertedReference(folder: string): string {
  const reference = findDumpFolder('x86_64-6.1');
  if (reference === undefined) throw new Error('no dump: give an ELF core, or see tests/support/crash-reference.ts');
  const core = join(folder, 'core');
  spawnSync(LAUNCHER, ['makedumpfile', '-E', '--message-level', '0', join(reference, 'vmcore'), core]);
  // Both find it in the page cache.
  readFileSync(core);
  return core;
}

const [, script, given] = process.argv;
if (script === fileURLToPath(import.meta.url)) {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-bench-core-'));
  try {
    console.log(benchMakedumpfile(given ?? convertedReference(folder)).join('\n'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
