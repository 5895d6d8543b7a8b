/** Tasks; `include/linux/sched.h`, `kernel/sched/sched.h`, `include/linux/pid.h`. */
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { onlineCpus, possibleCpus } from './cpumask.ts';
import { findTasks } from './find-tasks.ts';

/** A task and what most commands ask of it. */
export class Task {
  readonly struct: StructObject;
  readonly program: Program;
  #comm: string | undefined;
  #cpu: number | undefined;

  constructor(program: Program, struct: StructObject) {
    this.program = program;
    this.struct = struct;
  }

  /** What `--json` prints of it. */
  toJSON(): { readonly pid: number; readonly task: bigint } {
    return { pid: this.pid, task: this.address };
  }

  get address(): bigint {
    return this.struct.address;
  }

  get pid(): number {
    return this.struct.num('pid');
  }

  get tgid(): number {
    return this.struct.num('tgid');
  }

  get comm(): string {
    this.#comm ??= this.struct.string('comm');
    return this.#comm;
  }

  /** The CPU it runs on, or ran on last. */
  get cpu(): number {
    this.#cpu ??= taskCpu(this.struct);
    return this.#cpu;
  }

  /** Forces the CPU of an idle task, which it never leaves. */
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
  /** What each online CPU ran when the kernel crashed. */
  readonly active: Map<number, Task>;
  readonly #byAddress: ReadonlyMap<bigint, Task>;
  #groups: ReadonlyMap<number, readonly Task[]> | undefined;

  constructor(program: Program) {
    this.program = program;
    const idle = idleTasks(program);
    const known = new Set(idle.map(task => task.address));
    const others = findTasks(program)
      .filter(struct => !known.has(struct.address))
      .map(struct => new Task(program, struct))
      .map(task => ({ task, pid: task.pid }))
      .sort((a, b) => a.pid - b.pid);
    this.all = [...idle, ...others.map(({ task }) => task)];
    this.#byAddress = new Map(this.all.map(task => [task.address, task]));
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

  byPid(pid: number): Task[] {
    return this.all.filter(task => task.pid === pid);
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
      const curr = runQueue(this.program, cpu)?.pointer('curr') ?? this.all[cpu]?.address;
      const task = curr === undefined ? undefined : this.#byAddress.get(curr);
      if (task === undefined) continue;
      if (online.includes(cpu) || (task.pid !== 0 && task.struct.has('on_cpu') && task.struct.num('on_cpu') !== 0))
        active.set(cpu, task);
    }
    return active;
  }
}

/** `cpu_rq(cpu)`. */
export function runQueue(program: Program, cpu: number): StructObject | undefined {
  const address = program.percpuAddress('runqueues', cpu);
  return address === undefined ? undefined : program.object('rq', address);
}

function idleTasks(program: Program): Task[] {
  const tasks: Task[] = [];
  for (const cpu of possibleCpus(program)) {
    const idle = runQueue(program, cpu)?.follow('idle');
    if (idle !== undefined) tasks.push(new Task(program, idle).onCpu(cpu));
  }
  if (tasks.length > 0) return tasks;
  return [new Task(program, program.object('task_struct', program.symbols.need('init_task')))];
}
