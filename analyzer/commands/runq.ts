/** `runq`: run queues. */
import { mapPresent, readIfPresent, readOrWarn, untilGap } from '../gaps.ts';
import { onlineCpus } from '../linux/cpumask.ts';
import { rbInorder } from '../linux/rbtree.ts';
import { listForEach } from '../linux/list.ts';
import { runQueue } from '../linux/sched.ts';
import type { Task } from '../linux/sched.ts';
import { durationText } from '../linux/timekeeping.ts';
import { StructObject } from '../types/object.ts';
import { hex } from '../text/layout.ts';
import type { Command } from './command.ts';
import { parseCpus } from './cpus.ts';
import type { Session } from './session.ts';

interface Queued {
  /** Undefined for a task that the dump does not have. */
  readonly priority: number | undefined;
  readonly task: Task;
  readonly isCurrent: boolean;
}

interface CpuQueue {
  readonly cpu: number;
  readonly address: bigint;
  readonly clock: bigint;
  readonly current: Task;
  readonly lastArrival: bigint | undefined;
  readonly rtArray: bigint;
  readonly rt: readonly Queued[];
  readonly cfsRoot: bigint;
  readonly cfs: readonly Queued[];
  readonly cfsRq: bigint;
  readonly rootGroup: bigint;
  readonly onQueue: readonly Queued[];
}

interface RunqData {
  readonly view: 'queues' | 'times' | 'ages' | 'groups' | 'maximum' | 'on queue';
  readonly queues: readonly CpuQueue[];
  /** The latest clock of all CPUs, ns. */
  readonly latest: bigint;
}

const MAX_RT_PRIO = 100;
const MAX_GROUPS = 1000;

/** `runq`. */
export const runq: Command<RunqData> = {
  name: 'runq',
  summary: 'what is queued to run on each CPU',
  synopsis: '[-t | -T | -m | -g | -d] [-c cpu(s)]',
  options: [
    { flag: '-t', help: "each run queue's clock and when its task arrived" },
    { flag: '-T', help: 'how far each clock is behind the latest' },
    { flag: '-m', help: 'how long each current task has run' },
    { flag: '-g', help: 'by task group' },
    { flag: '-d', help: 'all tasks that say of themselves that they are queued (`on_rq`)' },
    { flag: '-c', takes: 'cpus', help: 'these CPUs only' },
  ],
  description: 'Shows the current task and the real-time and fair tasks that wait, of every online CPU.',
  examples: [{ line: 'runq -m', why: 'who hogs a CPU' }],
  run(session, args) {
    const all = onlineCpus(session.program);
    const cpus = args.has('-c') ? parseCpus(session, args.value('-c')!) : all;
    const { program } = session;
    const clocks = mapPresent(program, 'run queues', all, cpu => clockOf(runQueue(program, cpu)));
    const queues = mapPresent(program, 'run queues', cpus, cpu => readQueue(session, cpu)).filter(
      queue => queue !== undefined,
    );
    const latest = clocks.reduce((time, clock) => (clock > time ? clock : time), 0n);
    return { view: VIEWS.find(([flag]) => args.has(flag))?.[1] ?? 'queues', queues, latest };
  },
  text({ view, queues, latest }) {
    switch (view) {
      case 'times':
        return queues.map(timesText).join('');
      case 'ages':
        return queues
          .map(
            ({ cpu, clock, lastArrival: last, current }) =>
              ` CPU ${cpu}: [${last === undefined ? '?' : ageText(clock - last)}]  ${nameText(current)}\n`,
          )
          .join('');
      case 'maximum':
        return queues
          .toSorted((a, b) => (a.clock < b.clock ? 1 : a.clock > b.clock ? -1 : 0))
          .map(queue => `  CPU ${queue.cpu}: ${(Number(latest - queue.clock) / 1e9).toFixed(2)} secs\n`)
          .join('');
      case 'on queue':
        return queues.map(({ cpu, onQueue }) => `CPU ${cpu}\n${waiting(onQueue)}`).join('\n');
      case 'groups':
        return queues.map(groupText).join('\n');
      default:
        return queues.map(queueText).join('\n');
    }
  },
};

const VIEWS: readonly (readonly [flag: string, view: RunqData['view']])[] = [
  ['-t', 'times'],
  ['-T', 'maximum'],
  ['-m', 'ages'],
  ['-g', 'groups'],
  ['-d', 'on queue'],
];

/** `rq->clock`, ns. */
function clockOf(rq: StructObject | undefined): bigint {
  return rq?.has('clock') === true ? rq.big('clock') : 0n;
}

/** Tasks of a CPU whose `on_rq` is set, the idle task among them. */
function tasksOnQueue(session: Session, cpu: number): Queued[] {
  return session.tasks.all.filter(task => task.cpu === cpu && isOnQueue(task)).map(task => entry(task));
}

function isOnQueue({ struct }: Task): boolean {
  return (readIfPresent(() => struct.num(struct.has('on_rq') ? 'on_rq' : 'se.on_rq')) ?? 0) !== 0;
}

function readQueue(session: Session, cpu: number): CpuQueue | undefined {
  const { program, tasks } = session;
  const rq = runQueue(program, cpu);
  if (rq === undefined) return undefined;
  const currentAddress = rq.pointer('curr');
  const current = tasks.at(currentAddress);
  const cfsRoot = rq.addressOf(
    rq.has('cfs.tasks_timeline.rb_root') ? 'cfs.tasks_timeline.rb_root' : 'cfs.tasks_timeline',
  );
  return {
    cpu,
    address: rq.address,
    clock: clockOf(rq),
    current,
    lastArrival: readIfPresent(() => lastArrival(current)),
    rtArray: rq.addressOf('rt.active'),
    rt: realTimeTasks(session, rq, currentAddress),
    cfsRoot,
    cfs: fairTasks(session, program.memory.readU64(cfsRoot)),
    cfsRq: rq.addressOf('cfs'),
    onQueue: tasksOnQueue(session, cpu),
    rootGroup: program.symbols.find('root_task_group') ?? (rq.has('cfs.tg') ? rq.pointer('cfs.tg') : 0n),
  };
}

function lastArrival({ struct }: Task): bigint {
  return struct.has('sched_info.last_arrival') ? struct.big('sched_info.last_arrival') : 0n;
}

function entry(task: Task, isCurrent = false): Queued {
  return { priority: task.lost === undefined ? task.struct.num('prio') : undefined, task, isCurrent };
}

function realTimeTasks(session: Session, rq: StructObject, current: bigint): Queued[] {
  const { program } = session;
  const offset = BigInt(program.object('task_struct', 0n).offsetOf('rt.run_list'));
  const found: Queued[] = [];
  for (let priority = 0; priority < MAX_RT_PRIO; priority++) {
    const head = rq.addressOf(`rt.active.queue[${priority}]`);
    for (const link of untilGap(program, 'real-time run queues', listForEach(program, head))) {
      if (link - offset !== current) found.push(entry(session.tasks.at(link - offset)));
    }
  }
  return found;
}

/** Tasks of a fair queue; a group's own queue is entered through `my_q`, each one once. */
function fairTasks(session: Session, root: bigint, seen: Set<bigint> = new Set()): Queued[] {
  const { program } = session;
  if (seen.has(root) || seen.size > MAX_GROUPS) return [];
  seen.add(root);
  const entityType = program.types.struct('sched_entity');
  const nodeOffset = BigInt(program.object('sched_entity', 0n).offsetOf('run_node'));
  const entityOffset = BigInt(program.object('task_struct', 0n).offsetOf('se'));
  return [...rbInorder(program, root, 'fair run queues')].flatMap(({ address }) => {
    const entity = new StructObject(program.memory, entityType, address - nodeOffset);
    const group = entity.has('my_q') ? readIfPresent(() => entity.follow('my_q')) : undefined;
    if (group === undefined) return [entry(session.tasks.at(entity.address - entityOffset))];
    const inner = group.addressOf(group.has('tasks_timeline.rb_root') ? 'tasks_timeline.rb_root' : 'tasks_timeline');
    const root = readOrWarn(program, 'fair run queues', () => program.memory.readU64(inner));
    return fairTasks(session, root ?? 0n, seen);
  });
}

function nameText(task: Task): string {
  return `PID: ${task.pidText.padEnd(6)} TASK: ${hex(task.address)}  COMMAND: "${task.comm}"`;
}

function waiting(tasks: readonly Queued[]): string {
  if (tasks.length === 0) return '     [no tasks queued]\n';
  return tasks.map(({ priority, task }) => `     [${priorityText(priority)}] ${nameText(task)}\n`).join('');
}

function priorityText(priority: number | undefined): string {
  return String(priority ?? '?').padStart(3);
}

function queueText(queue: CpuQueue): string {
  return `CPU ${queue.cpu} RUNQUEUE: ${hex(queue.address)}
  CURRENT: ${nameText(queue.current)}
  RT PRIO_ARRAY: ${hex(queue.rtArray)}
${waiting(queue.rt)}  CFS RB_ROOT: ${hex(queue.cfsRoot)}
${waiting(queue.cfs)}`;
}

function timesText(queue: CpuQueue): string {
  const width = String(queue.clock).length;
  return ` CPU ${queue.cpu}: ${queue.clock}\n${' '.repeat(8)}${String(queue.lastArrival ?? '?').padStart(width)}  ${nameText(queue.current)}\n`;
}

function groupText(queue: CpuQueue): string {
  const running = entry(queue.current, true);
  const isFair = (running.priority ?? MAX_RT_PRIO) >= MAX_RT_PRIO && queue.current.pid !== 0;
  const current = isFair ? [running] : [];
  const rows = [...current, ...queue.cfs].map(
    ({ priority, task, isCurrent }) =>
      `     [${priorityText(priority)}] ${nameText(task)}${isCurrent ? ' [CURRENT]' : ''}\n`,
  );
  const rt =
    queue.rt.length === 0
      ? ''
      : `  ROOT_TASK_GROUP: ${hex(queue.rootGroup)}  RT_RQ: ${hex(queue.rtArray)}\n${waiting(queue.rt)}`;
  const body = rows.length === 0 ? '     [no tasks queued]\n' : rows.join('');
  return `CPU ${queue.cpu}\n  CURRENT: ${nameText(queue.current)}\n${rt}  ROOT_TASK_GROUP: ${hex(queue.rootGroup)}  CFS_RQ: ${hex(queue.cfsRq)}\n${body}`;
}

/** `days HH:MM:SS.mmm`. */
function ageText(ns: bigint): string {
  const ms = ns < 0n ? 0n : ns / 1_000_000n;
  const seconds = Number(ms / 1000n);
  return `${Math.floor(seconds / 86_400)} ${durationText(seconds % 86_400)}.${String(ms % 1000n).padStart(3, '0')}`;
}
