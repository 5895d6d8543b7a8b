/** Tasks; `include/linux/sched.h`, `kernel/sched/sched.h`, `include/linux/pid.h`. */
import { FaultError, UnimplementedError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';
import { onlineCpus, possibleCpus } from './cpumask.ts';
import { listForEach } from './list.ts';
import { idrForEach } from './xarray.ts';

/** PID_MAX_LIMIT of 64-bit kernels: no list of tasks is longer. */
const MAX_TASKS = 4 * 1024 * 1024;

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
    return this.pid === 0 ? 0 : (this.struct.follow('real_parent')?.num('tgid') ?? 0);
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
  readonly all: readonly Task[];
  /** What each online CPU ran when the kernel crashed. */
  readonly active: ReadonlyMap<number, Task>;
  readonly #byAddress: ReadonlyMap<bigint, Task>;
  #groups: ReadonlyMap<number, readonly Task[]> | undefined;

  constructor(program: Program) {
    this.program = program;
    const idle = idleTasks(program);
    const known = new Set(idle.map(task => task.address));
    const others = findTasks(program)
      .filter(task => !known.has(task.address))
      .map(task => ({ task, pid: task.pid }))
      .sort((a, b) => a.pid - b.pid);
    this.all = [...idle, ...others.map(({ task }) => task)];
    this.#byAddress = new Map(this.all.map(task => [task.address, task]));
    this.active = this.#findActive();
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

/** From the pid table of the initial namespace; from the list of tasks when that fails. */
function findTasks(program: Program): Task[] {
  try {
    const tasks = tasksOfPidNamespace(program);
    if (tasks.length > 0) return tasks;
  } catch (error) {
    if (!(error instanceof FaultError || error instanceof UnimplementedError)) throw error;
  }
  return tasksOfLists(program);
}

/** `init_pid_ns.idr` since 4.15 (commit 95846ecf9dac "pid: replace pid bitmap implementation with IDR API"). */
function tasksOfPidNamespace(program: Program): Task[] {
  const namespace = program.findGlobal('pid_namespace', 'init_pid_ns');
  if (namespace === undefined || !namespace.has('idr')) return [];
  const type = program.types.struct('task_struct');
  const link = BigInt(program.object('task_struct', 0n).offsetOf('pid_links'));
  const tasks: Task[] = [];
  for (const pid of idrForEach(program, namespace.embedded('idr'))) {
    const first = program.object('pid', pid.pointer).pointer('tasks[0].first');
    if (first !== 0n) tasks.push(new Task(program, new StructObject(program.memory, type, first - link)));
    if (tasks.length > MAX_TASKS) break;
  }
  return tasks;
}

/** `for_each_process_thread`. */
function tasksOfLists(program: Program): Task[] {
  const type = program.types.struct('task_struct');
  const init = program.object('task_struct', program.symbols.need('init_task'));
  const at = (list: bigint, member: string): StructObject =>
    new StructObject(program.memory, type, list - BigInt(init.offsetOf(member)));
  const tasks: Task[] = [];
  for (const link of listForEach(program, init.addressOf('tasks'), MAX_TASKS)) {
    const leader = at(link, 'tasks');
    tasks.push(new Task(program, leader));
    for (const thread of threadsOf(program, leader)) tasks.push(new Task(program, at(thread, threadMember(init))));
  }
  return tasks;
}

/** `thread_node` on `signal->thread_head` since 3.14; the older ring `thread_group` went away in 6.7. */
function threadMember(task: StructObject): string {
  return task.has('thread_group') ? 'thread_group' : 'thread_node';
}

function* threadsOf(program: Program, leader: StructObject): Generator<bigint> {
  if (leader.has('thread_group')) {
    yield* listForEach(program, leader.addressOf('thread_group'), MAX_TASKS);
    return;
  }
  const head = leader.follow('signal')?.addressOf('thread_head');
  const own = leader.addressOf('thread_node');
  if (head === undefined) return;
  for (const link of listForEach(program, head, MAX_TASKS)) if (link !== own) yield link;
}
