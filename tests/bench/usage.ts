/**
 * What work costs: wall time, CPU time and peak memory of this process and of its children.
 *
 * Source: proc(5): `/proc/PID/stat` (cutime, cstime), `/proc/PID/status` (VmHWM), `/proc/PID/clear_refs`, `/proc/PID/task/TID/children`.
 * A child's CPU time counts when it has ended; its memory is sampled, so that a peak in its last moments may be missed.
 */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

/** Costs of a piece of work. */
export interface Usage {
  readonly wallSeconds: number;
  /** User and system time of this process and of its children. */
  readonly cpuSeconds: number;
  /** Peak resident memory of the largest process. */
  readonly peakBytes: number;
}

const SAMPLE_MS = 20;
/** USER_HZ: the unit of times in /proc, 100 a second on all of Linux's architectures that Node runs on. */
const TICKS_PER_SECOND = 100;
/** `clear_refs`: sets VmHWM back to what is resident now. */
const RESET_PEAK = '5';

/** Measures until `stop`. One at a time: children that end in between are counted. */
export class UsageMeter {
  readonly #start = performance.now();
  readonly #cpu = process.cpuUsage();
  readonly #childrenSeconds = endedChildrenSeconds();
  readonly #timer: NodeJS.Timeout;
  readonly #ownMemory: boolean;
  #peak = 0;

  /** @param options `ownMemory`: this process does the work, so its memory counts */
  constructor(options: { readonly ownMemory: boolean }) {
    this.#ownMemory = options.ownMemory;
    if (this.#ownMemory) writeFileSync('/proc/self/clear_refs', RESET_PEAK);
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  stop(): Usage {
    clearInterval(this.#timer);
    this.#sample();
    const wallSeconds = (performance.now() - this.#start) / 1000;
    const { user, system } = process.cpuUsage(this.#cpu);
    const cpuSeconds = (user + system) / 1e6 + endedChildrenSeconds() - this.#childrenSeconds;
    return { wallSeconds, cpuSeconds, peakBytes: this.#peak };
  }

  #sample(): void {
    const processes = [...(this.#ownMemory ? ['self'] : []), ...descendants('self')];
    this.#peak = Math.max(this.#peak, ...processes.map(peakMemory));
  }
}

/** Costs and output of a command. */
export interface CommandUsage extends Usage {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/** Runs a command and measures it. @param env variables beside those of this process */
export async function measureCommand(
  program: string,
  args: readonly string[],
  input = '',
  env: Readonly<Record<string, string>> = {},
): Promise<CommandUsage> {
  const meter = new UsageMeter({ ownMemory: false });
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, TZ: 'UTC', ...env } });
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
  child.stdin.end(input);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return {
    ...meter.stop(),
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
    status,
  };
}

/** User and system time of all children that have ended and been waited for, with their own such children. */
function endedChildrenSeconds(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  // Fields after the name, which may hold blanks: state is field 3, cutime 16, cstime 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[16 - 3]) + Number(fields[17 - 3])) / TICKS_PER_SECOND;
}

function descendants(pid: string): string[] {
  const children = ofProcess(() =>
    readdirSync(`/proc/${pid}/task`).flatMap(thread =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' '),
    ),
  );
  return (children ?? []).filter(child => child !== '').flatMap(child => [child, ...descendants(child)]);
}

/** VmHWM in bytes; 0 when the process has ended. */
function peakMemory(pid: string): number {
  const status = ofProcess(() => readFileSync(`/proc/${pid}/status`, 'utf8')) ?? '';
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Reads about a process, which may end at any time: undefined then. */
function ofProcess<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
