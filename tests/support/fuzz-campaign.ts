/** Runs many fuzz cases in worker processes, each under a guard of its time and its memory. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describeCase } from './fuzz-case.ts';
import type { FuzzMessage } from './fuzz-worker.ts';

/** How long a command may compute, seconds. */
const LIMIT_SECONDS = 10;
/** How long it may take on a machine that has other work, seconds. */
const WALL_LIMIT_SECONDS = 300;
const TICKS_PER_SECOND = 100;
const LIMIT_HEAP_MIB = 1024;
const WORKER = join(import.meta.dirname, 'fuzz-worker.ts');

/** Runs the cases `first` to `end`. @returns what went wrong, a line each */
export async function runCampaign(first: number, end: number, workers: number): Promise<string[]> {
  const failures = await Promise.all(
    Array.from({ length: workers }, async (_, index) => runStripe(first + index, end, workers)),
  );
  return failures.flat();
}

/** One worker's share; a worker that had to be ended is followed by another that goes on behind the case. */
async function runStripe(first: number, end: number, step: number): Promise<string[]> {
  const failures: string[] = [];
  for (let next = first; next < end;) {
    const { reached, failures: found } = await runWorker(next, end, step);
    failures.push(...found);
    next = reached;
  }
  return failures;
}

interface WorkerResult {
  /** The case to go on with. */
  readonly reached: number;
  readonly failures: readonly string[];
}

async function runWorker(next: number, end: number, step: number): Promise<WorkerResult> {
  const worker = fork(WORKER, [], { execArgv: [`--max-old-space-size=${LIMIT_HEAP_MIB}`], stdio: 'inherit' });
  const state = { at: next, line: '', since: clockOf(worker), started: Date.now(), why: '' };
  const failures: string[] = [];
  worker.on('message', (message: FuzzMessage) => {
    if ('done' in message) {
      state.at = message.done + step;
      if (message.failure !== undefined) failures.push(`${describeCase(message.done)}: ${message.failure}`);
      return;
    }
    Object.assign(state, message, { since: clockOf(worker), started: Date.now() });
  });
  const guard = setInterval(() => {
    state.why = overrun(worker, state);
    if (state.why !== '') worker.kill('SIGKILL');
  }, 1000);
  worker.send({ next, end, step });
  const code = await new Promise<number | null>(resolve => worker.on('exit', resolve));
  clearInterval(guard);
  if (code === 0) return { reached: end, failures };
  const why = state.why === '' ? `the process ended with ${String(code)}` : state.why;
  return { reached: state.at + step, failures: [...failures, `${describeCase(state.at)}: "${state.line}": ${why}`] };
}

/** Why a worker must be ended; empty while all is well. */
function overrun(
  worker: ChildProcess,
  { since, started }: { readonly since: number; readonly started: number },
): string {
  const seconds = clockOf(worker) - since;
  if (seconds > LIMIT_SECONDS) return `computed for more than ${LIMIT_SECONDS} s`;
  return Date.now() - started > WALL_LIMIT_SECONDS * 1000 ? `nothing heard for ${WALL_LIMIT_SECONDS} s` : '';
}

/** CPU time of a process, seconds; the wall's where `/proc` does not tell. `proc_pid_stat(5)`: fields 14 and 15. */
function clockOf({ pid }: ChildProcess): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Date.now() / 1000;
    throw error;
  }
}
