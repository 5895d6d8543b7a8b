/** Tasks; `include/linux/sched.h`, `kernel/sched/sched.h`, `include/linux/pid.h`. */
import type { Program } from '../program.ts';
import { readIfPresent } from '../gaps.ts';
import type { StructObject } from '../types/object.ts';
import { onlineCpus, possibleCpus } from './cpumask.ts';
import { findTasks, whyUnreadable } from './find-tasks.ts';

/** The pid and the CPU of a task that the dump does not tell of. */
const UNKNOWN = -1;

/** A task and what most commands ask of it. */
export class Task {
  readonly struct: StructObject;
  readonly program: Program;
  #comm: string | undefined;
  #cpu: number | undefined;
  /** Of a task that the dump does not have, or not all of: why, and the pid if that is known from elsewhere. */
  readonly lost: { readonly reason: string; readonly pid: number | undefined } | undefined;

  constructor(program: Program, struct: StructObject, lost?: Task['lost']) {
    this.program = program;
    this.struct = struct;
    this.lost = lost;
  }

  /** What `--json` prints of it. */
  toJSON(): { readonly pid: number; readonly task: bigint } {
    return { pid: this.pid, task: this.address };
  }

  get address(): bigint {
    return this.struct.address;
  }

  get pid(): number {
    if (this.lost === undefined) return this.struct.num('pid');
    return readIfPresent(() => this.struct.num('pid')) ?? this.lost.pid ?? UNKNOWN;
  }

  /** The pid as listings show it. */
  get pidText(): string {
    return this.pid === UNKNOWN ? '?' : String(this.pid);
  }

  get tgid(): number {
    return this.struct.num('tgid');
  }

  get comm(): string {
    this.#comm ??=
      this.lost === undefined
        ? this.struct.string('comm')
        : (readIfPresent(() => this.struct.string('comm')) ?? `(${this.lost.reason})`);
    return this.#comm;
  }

  /** The CPU it runs on, or ran on last. */
  get cpu(): number {
    this.#cpu ??=
      this.lost === undefined ? taskCpu(this.struct) : (readIfPresent(() => taskCpu(this.struct)) ?? UNKNOWN);
    return this.#cpu;
  }

  /** The CPU as listings show it. */
  get cpuText(): string {
    return this.cpu === UNKNOWN ? '?' : String(this.cpu);
  }

  /** Tells the CPU of an idle task, which it never leaves, or of one that cannot be read. */
  onCpu(cpu: number): this {
    this.#cpu = cpu;
    return this;
  }

  /** The parent's pid, as `ps` shows it. */
  get ppid(): number {
    return this.pid === 0 ? 0 : (this.struct.follow('parent')?.num('pid') ?? 0);
  }

  /** `parent`: who is told of the task's end; a tracer, when there is one. */
  get parent(): bigint {
    return this.struct.pointer('parent');
  }

  /** Lowest address of the kernel stack. */
  get stack(): bigint {
    return this.struct.pointer('stack');
  }

  /** `mm`: zero for kernel threads and for tasks that have exited. */
  get mm(): StructObject | undefined {
    return this.struct.follow('mm');
  }

  /** State bits: `__state` since 5.14 (commit 2f064a59a11f "sched: Change task_struct::state"), before it `state`. */
  get stateBits(): number {
    const value = this.struct.num(this.struct.has('__state') ? '__state' : 'state');
    return value | this.struct.num('exit_state');
  }

  get isThreadLeader(): boolean {
    return this.pid === this.tgid;
  }

  /** PF_KTHREAD. */
  get isKernelThread(): boolean {
    return (this.struct.num('flags') & PF.KTHREAD) !== 0;
  }
}

/** `task_struct.flags`. */
export const PF = { IDLE: 0x2, EXITING: 0x4, KTHREAD: 0x0020_0000 } as const;

function taskCpu(task: StructObject): number {
  if (task.has('thread_info.cpu')) return task.num('thread_info.cpu');
  return task.has('cpu') ? task.num('cpu') : (task.follow('stack')?.num('cpu') ?? 0);
}

/** Letters of `ps` by state bit; `fs/proc/array.c` `task_state_array`, shortened as crash does. */
const STATE_LETTERS: readonly (readonly [bit: number, letters: string])[] = [
  [0x20, 'ZO'],
  [0x10, 'DE'],
  [0x402, 'ID'],
  [0x8, 'TR'],
  [0x4, 'ST'],
  [0x2, 'UN'],
  [0x1, 'IN'],
  [0x40, 'PA'],
  [0x80, 'DE'],
  [0x200, 'WA'],
  [0x800, 'NE'],
];

/** Two letters for a task's state: RU, IN, UN, ST, TR, ZO, DE, PA, ID, NE. */
export function stateLetters(bits: number): string {
  if ((bits & 0x7fff) === 0) return 'RU';
  for (const [mask, letters] of STATE_LETTERS) {
    if ((bits & mask) === mask) return letters;
  }
  return '??';
}

/** All tasks of a dump, found once. */
export class TaskTable {
  readonly program: Program;
  /** Idle tasks in order of CPUs, then all others in order of pid. */
  all: readonly Task[];
  /** Tasks that the dump names and does not have, or not all of, in order of pid; idle tasks among them. */
  readonly lost: readonly Task[];
  /** What each online CPU ran when the kernel crashed. */
  readonly active: Map<number, Task>;
  readonly #byAddress: ReadonlyMap<bigint, Task>;
  #groups: ReadonlyMap<number, readonly Task[]> | undefined;

  constructor(program: Program) {
    this.program = program;
    const idle = idleTasks(program);
    const known = new Set(idle.map(task => task.address));
    const { readable, lost } = findTasks(program);
    const others = readable.filter(struct => !known.has(struct.address)).map(struct => new Task(program, struct));
    const lostOthers = lost
      .filter(({ struct }) => !known.has(struct.address))
      .map(({ struct, pid, reason }) => new Task(program, struct, { pid, reason }));
    this.all = [...idle.filter(task => task.lost === undefined), ...inOrder(others)];
    this.lost = [...idle.filter(task => task.lost !== undefined), ...inOrder(lostOthers)];
    this.#byAddress = new Map([...this.all, ...this.lost].map(task => [task.address, task]));
    this.active = this.#findActive();
  }

  /** Leaves only the active tasks. */
  keepActive(): void {
    this.all = this.all.filter(task => this.isActive(task));
  }

  /** Takes a task for the one that its CPU ran: where a dump does not tell. */
  activate(task: Task): void {
    this.active.set(task.cpu, task);
  }

  byAddress(address: bigint): Task | undefined {
    return this.#byAddress.get(address);
  }

  /** The task at an address that something in the kernel leads to, whether the lists have it or not. */
  at(address: bigint): Task {
    const known = this.#byAddress.get(address);
    if (known !== undefined) return known;
    const struct = this.program.object('task_struct', address);
    const reason = whyUnreadable(struct);
    return new Task(this.program, struct, reason === undefined ? undefined : { reason, pid: undefined });
  }

  byPid(pid: number): Task[] {
    return this.withLost.filter(task => task.pid === pid);
  }

  /** All tasks and the lost ones, in the same order. */
  get withLost(): readonly Task[] {
    return this.lost.length === 0 ? this.all : inOrder([...this.all, ...this.lost]);
  }

  /** The idle task of the first CPU, as a rule; there is always one, be it lost. */
  get first(): Task {
    return this.all[0] ?? this.lost[0]!;
  }

  /** All tasks of a thread group. */
  threadsOf(tgid: number): readonly Task[] {
    this.#groups ??= Map.groupBy(this.all, task => task.tgid);
    return this.#groups.get(tgid) ?? [];
  }

  isActive(task: Task): boolean {
    return this.active.get(task.cpu)?.address === task.address;
  }

  /** Current tasks of the online CPUs, and of others that were stopped with a task on them. */
  #findActive(): Map<number, Task> {
    const active = new Map<number, Task>();
    const online = onlineCpus(this.program);
    for (const cpu of possibleCpus(this.program)) {
      const curr = readIfPresent(() => runQueue(this.program, cpu)?.pointer('curr')) ?? this.all[cpu]?.address;
      const task = curr === undefined ? undefined : this.#byAddress.get(curr);
      if (task === undefined) continue;
      if (online.includes(cpu) || isOnCpu(task)) active.set(cpu, task.lost === undefined ? task : task.onCpu(cpu));
    }
    return active;
  }
}

/** A task but the idle one that says of itself that it runs. */
function isOnCpu(task: Task): boolean {
  const { struct } = task;
  return task.lost === undefined && task.pid !== 0 && struct.has('on_cpu') && struct.num('on_cpu') !== 0;
}

/** In order of pid; idle tasks in order of CPUs. */
function inOrder(tasks: readonly Task[]): Task[] {
  return tasks
    .map(task => ({ task, pid: task.pid, cpu: task.pid === 0 ? task.cpu : 0 }))
    .sort((a, b) => a.pid - b.pid || a.cpu - b.cpu)
    .map(({ task }) => task);
}

/** `cpu_rq(cpu)`. */
export function runQueue(program: Program, cpu: number): StructObject | undefined {
  const address = program.percpuAddress('runqueues', cpu);
  return address === undefined ? undefined : program.object('rq', address);
}

function idleTasks(program: Program): Task[] {
  const tasks: Task[] = [];
  for (const cpu of possibleCpus(program)) {
    const idle = readIfPresent(() => runQueue(program, cpu)?.follow('idle'));
    if (idle === undefined) continue;
    const reason = whyUnreadable(idle);
    tasks.push(new Task(program, idle, reason === undefined ? undefined : { reason, pid: 0 }).onCpu(cpu));
  }
  if (tasks.length > 0) return tasks;
  return [new Task(program, program.object('task_struct', program.symbols.need('init_task')))];
}
