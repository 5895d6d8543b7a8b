/** `ps`: tasks. */
import { UsageError } from '../../capture/formats/errors.ts';
import { readIfPresent, readOr } from '../gaps.ts';
import { onlineCpus } from '../linux/cpumask.ts';
import { taskMemory } from '../linux/mm.ts';
import type { TaskMemory } from '../linux/mm.ts';
import { commandLine } from '../linux/process-arguments.ts';
import { resourceLimits } from '../linux/rlimit.ts';
import { runQueue, stateLetters } from '../linux/sched.ts';
import type { Task } from '../linux/sched.ts';
import { durationText, uptimeSeconds } from '../linux/timekeeping.ts';
import { center, centerRight, fixed1, hex16 } from '../text/layout.ts';
import { refuseTogether } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { parseCpus } from './cpus.ts';
import { taskHeader, tasksNamed, tasksOf } from './select-tasks.ts';
import type { Session } from './session.ts';

interface Row {
  readonly active: boolean;
  /** Undefined, as what else a dump does not tell: `?`. */
  readonly pid: number | undefined;
  readonly ppid: number | undefined;
  readonly cpu: number | undefined;
  /** Address of the task, or the kernel stack pointer with `-s`: `?` when it cannot be read, undefined for a running task's. */
  readonly pointer: bigint | '?' | undefined;
  readonly state: string;
  readonly memory: TaskMemory | undefined;
  readonly comm: string;
}

interface PsData {
  readonly rows?: readonly Row[];
  readonly kstackp?: boolean;
  readonly noHeader?: boolean;
  /** Blocks of text lines by task, for the other views. */
  readonly blocks?: readonly (readonly string[])[];
  readonly separator?: string;
}

/** `ps`. */
export const ps: Command<PsData> = {
  name: 'ps',
  summary: 'tasks: pid, CPU, state, memory, name',
  synopsis: '[-k|-u|-G|-y policy] [-s] [-p|-c|-t|-[l|m] [-C cpu(s)]|-a|-g|-r|-S|-A|-H] [pid | task | command]...',
  options: [
    { flag: '-k', help: 'kernel threads only' },
    { flag: '-u', help: 'user tasks only' },
    { flag: '-G', help: 'thread group leaders only' },
    { flag: '-I', help: 'no idle tasks' },
    { flag: '-y', takes: 'policy', help: 'tasks of a scheduling policy, by number or name' },
    { flag: '-s', help: 'the kernel stack pointer instead of the task address' },
    { flag: '-p', help: 'the line of parents of each task' },
    { flag: '-c', help: 'the children of each task' },
    { flag: '-t', help: 'run time, start time, user and system time' },
    { flag: '-l', help: 'when each task last ran, latest first' },
    { flag: '-m', help: 'how long ago each task last ran' },
    { flag: '-C', takes: 'cpus', help: 'with -l and -m: by CPU' },
    { flag: '-a', help: 'arguments and environment' },
    { flag: '-g', help: 'by thread group' },
    { flag: '-r', help: 'resource limits' },
    { flag: '-S', help: 'number of tasks in each state' },
    { flag: '-A', help: 'active tasks only' },
    { flag: '-H', help: 'no header' },
  ],
  description: 'Lists tasks in order of pid; `>` marks the ones that ran when the kernel crashed.',
  examples: [
    { line: 'ps | grep UN', why: 'tasks in uninterruptible sleep' },
    { line: 'ps -m | head', why: 'who ran last' },
    { line: 'ps -a 1', why: "init's arguments and environment" },
  ],
  run(session, args) {
    checkOptions(args);
    const tasks = select(session, args);
    const view = VIEWS.find(([flag]) => args.has(flag));
    if (view !== undefined) return view[1](session, tasks.filter(isReadable), args);
    const kstackp = args.has('-s');
    return { rows: tasks.map(task => row(session, task, kstackp)), kstackp, noHeader: args.has('-H') };
  },
  text(data) {
    if (data.rows === undefined)
      return (data.blocks ?? []).map(block => block.map(line => `${line}\n`).join('')).join(data.separator ?? '');
    const header = `      PID    PPID  CPU ${centerRight(data.kstackp === true ? 'KSTACKP' : 'TASK', 16)}  ST  %MEM      VSZ      RSS  COMM\n`;
    return (data.noHeader === true ? '' : header) + data.rows.map(rowText).join('');
  },
};

/** Views of which one run shows one. */
const EXCLUSIVE = ['-a', '-t', '-c', '-p', '-g', '-l', '-m', '-S', '-r', '-A'];

/** @throws UsageError for options that contradict each other */
function checkOptions(args: Arguments): void {
  refuseTogether(args, ['-u', '-k'], '-u and -k are mutually exclusive');
  refuseTogether(args, EXCLUSIVE, '-a, -t, -c, -p, -g, -l, -m, -S, -r and -A flags are all mutually-exclusive');
  const byTime = args.has('-l') || args.has('-m');
  if (args.has('-C') && !byTime) throw new UsageError('-C option is only applicable with -l and -m');
  if (args.has('-G') && byTime) throw new UsageError(`-G not supported with ${args.has('-l') ? '-l' : '-m'} option`);
  if (args.has('-S') && args.positionals.length > 0) throw new UsageError('-S option takes no arguments');
}

type View = (session: Session, tasks: readonly Task[], args: Arguments) => PsData;

const VIEWS: readonly (readonly [flag: string, view: View])[] = [
  ['-S', stateCounts],
  ['-a', argumentsView],
  ['-t', timesView],
  ['-l', lastRunView],
  ['-m', lastRunView],
  ['-g', groupsView],
  ['-p', parentsView],
  ['-c', childrenView],
  ['-r', limitsView],
];

const POLICIES = ['NORMAL', 'FIFO', 'RR', 'BATCH', 'ISO', 'IDLE', 'DEADLINE', 'EXT'];

/** Options that choose tasks by what they are. */
const FILTERS = ['-k', '-u', '-G', '-I', '-A', '-y'];

function select(session: Session, args: Arguments): Task[] {
  const { tasks } = session;
  const candidates = args.positionals.length === 0 ? tasks.withLost : namedTasks(session, args.positionals);
  if (!FILTERS.some(flag => args.has(flag))) return [...candidates];
  let chosen = candidates.filter(isReadable);
  if (args.has('-k')) chosen = chosen.filter(task => task.isKernelThread || task.pid === 0);
  if (args.has('-u')) chosen = chosen.filter(task => !task.isKernelThread && task.pid !== 0);
  if (args.has('-G')) chosen = chosen.filter(task => task.isThreadLeader);
  if (args.has('-I')) chosen = chosen.filter(task => task.pid !== 0);
  // names and numbers prevail over -A
  if (args.has('-A') && args.positionals.length === 0) chosen = chosen.filter(task => tasks.isActive(task));
  if (args.has('-y')) {
    const wanted = args.value('-y')!.split(',').map(policyNumber);
    chosen = chosen.filter(task => wanted.includes(task.struct.num('policy')));
  }
  return [...chosen];
}

/** A name that no task has selects none; a number that is neither pid nor task is an error. */
function namedTasks(session: Session, words: readonly string[]): readonly Task[] {
  const numbers = words.filter(word => /^(?:0x)?[\da-f]+$/i.test(word) || /^\d/.test(word));
  const names = words.filter(word => !numbers.includes(word));
  const named = [
    ...(numbers.length === 0 ? [] : tasksOf(session, numbers)),
    ...names.flatMap(name => tasksNamed(session, name)),
  ];
  // in the order of all tasks, not of the words
  const places = new Map(session.tasks.withLost.map((task, index) => [task, index]));
  return named.sort((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0));
}

function isReadable({ lost }: Task): boolean {
  return lost === undefined;
}

function policyNumber(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : POLICIES.indexOf(text.toUpperCase());
  if (POLICIES[number] === undefined) throw new UsageError(`${text}: invalid scheduling policy`);
  return number;
}

function row(session: Session, task: Task, kstackp: boolean): Row {
  if (task.lost !== undefined) return lostRow(session, task, kstackp);
  const active = session.tasks.isActive(task);
  return {
    active,
    pid: task.pid,
    ppid: parentPid(session, task),
    cpu: task.cpu,
    pointer: kstackp ? stackPointer(task, active) : task.address,
    state: stateLetters(task.stateBits),
    memory: taskMemory(session.tasks, task),
    comm: task.isKernelThread || task.pid === 0 ? `[${task.comm}]` : task.comm,
  };
}

/** A number as a listing has it; undefined for `?`. */
function known(text: string): number | undefined {
  return text === '?' ? undefined : Number(text);
}

/** What can be read of a task that the dump does not have all of. */
function lostRow(session: Session, task: Task, kstackp: boolean): Row {
  const active = session.tasks.isActive(task);
  return {
    active,
    pid: known(task.pidText),
    ppid: readIfPresent(() => parentPid(session, task)),
    cpu: known(task.cpuText),
    pointer: kstackp ? stackPointer(task, active) : task.address,
    state: readIfPresent(() => stateLetters(task.stateBits)) ?? '??',
    memory: undefined,
    comm: task.comm,
  };
}

/** Of a parent that the dump does not have as far as it is known. */
function parentPid({ tasks }: Session, task: Task): number | undefined {
  return readOr(
    () => task.ppid,
    () => {
      const pid = tasks.byAddress(task.parent)?.pid ?? -1;
      return pid < 0 ? undefined : pid;
    },
  );
}

function stackPointer(task: Task, active: boolean): Row['pointer'] {
  return active ? undefined : (readIfPresent(() => savedStackPointer(task)) ?? '?');
}

function savedStackPointer(task: Task): bigint {
  const { struct } = task;
  return struct.has('thread.cpu_context.sp') ? struct.pointer('thread.cpu_context.sp') : struct.pointer('thread.sp');
}

function rowText(row: Row): string {
  const { memory } = row;
  const pointer = typeof row.pointer === 'bigint' ? hex16(row.pointer) : center(row.pointer ?? '--', 16);
  const percent = (memory === undefined ? '?' : fixed1(memory.percent)).padStart(5);
  const sizes = `${cell(memory?.virtualKiB, 8)} ${cell(memory?.residentKiB, 8)}`;
  return `${row.active ? '>' : ' '}${cell(row.pid, 8)} ${cell(row.ppid, 7)} ${cell(row.cpu, 3)}  ${pointer}  ${row.state} ${percent} ${sizes}  ${row.comm}\n`;
}

/** A number to the right of its column; `?` for one that is not known. */
function cell(value: number | undefined, width: number): string {
  return String(value ?? '?').padStart(width);
}

function stateCounts(_session: Session, tasks: readonly Task[]): PsData {
  const counts = new Map<string, number>();
  for (const task of tasks) {
    const state = stateLetters(task.stateBits);
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  const order = ['RU', 'IN', 'UN', 'ST', 'TR', 'ZO', 'DE', 'PA', 'WA', 'ID', 'NE', '??'];
  return { blocks: [order.filter(state => counts.has(state)).map(state => `  ${state}: ${counts.get(state)}`)] };
}

function argumentsView(session: Session, tasks: readonly Task[]): PsData {
  return { blocks: tasks.map(task => [taskHeader(task), ...argumentLines(session, task), '']) };
}

/** Arguments and environment; why they cannot be told, when the dump lacks user memory. */
function argumentLines(session: Session, task: Task): string[] {
  const process = readOr(
    () => commandLine(session, task),
    ({ reason }) => `cannot access user stack: ${reason}`,
  );
  if (process === undefined || typeof process === 'string') return [`ps: ${process ?? 'no user stack'}`];
  return [`ARG: ${process.arguments.map(text => `${text} `).join('')}`, ...environmentLines(process.environment)];
}

function environmentLines(environment: readonly string[]): string[] {
  return environment.length === 0
    ? ['ENV: ']
    : environment.map((text, index) => `${index === 0 ? 'ENV: ' : '     '}${text}`);
}

function timesView(session: Session, tasks: readonly Task[]): PsData {
  const up = uptimeSeconds(session.program);
  const byStart = tasks
    .map(task => ({ task, startNs: readIfPresent(() => startTime(task)) }))
    .sort((a, b) => (a.startNs ?? 0) - (b.startNs ?? 0));
  const blocks = byStart.map(({ task, startNs }) => {
    const { struct } = task;
    if (startNs === undefined) return [taskHeader(task), 'ps: times cannot be read'];
    const runSeconds = Math.max(0, up - Math.floor(startNs / 1e9));
    return [
      taskHeader(task),
      `    RUN TIME: ${durationText(runSeconds)}`,
      `  START TIME: ${startNs}`,
      `       UTIME: ${struct.big('utime')}`,
      `       STIME: ${struct.big('stime')}`,
    ];
  });
  return { blocks, separator: '\n' };
}

function startTime({ struct }: Task): number {
  return struct.num(struct.has('start_time.tv_sec') ? 'start_time.tv_sec' : 'start_time');
}

function lastRunView(session: Session, tasks: readonly Task[], args: Arguments): PsData {
  const relative = args.has('-m');
  const sorted = tasks
    .map(task => ({ task, last: lastArrival(task) }))
    .sort((a, b) => (a.last < b.last ? 1 : a.last > b.last ? -1 : 0));
  const width = String(sorted[0]?.last ?? 0n).length;
  const line = ({ task, last }: (typeof sorted)[number]): string => {
    const stamp = relative ? agoText(cpuClock(session, task.cpu) - last) : String(last).padStart(width);
    return `[${stamp}] [${stateLetters(task.stateBits)}]  ${taskHeader(task)}`;
  };
  if (!args.has('-C')) return { blocks: [sorted.map(line)] };
  const blocks = parseCpus(session, args.value('-C')!).map(cpu => [
    `CPU: ${cpu}`,
    ...sorted.filter(({ task }) => task.cpu === cpu).map(line),
  ]);
  return { blocks, separator: '\n' };
}

function lastArrival(task: Task): bigint {
  const { struct } = task;
  return struct.has('sched_info.last_arrival') ? struct.big('sched_info.last_arrival') : struct.big('last_run');
}

function cpuClock(session: Session, cpu: number): bigint {
  if (!onlineCpus(session.program).includes(cpu)) return 0n;
  return readOr(
    () => runQueue(session.program, cpu)?.big('clock') ?? 0n,
    () => 0n,
  );
}

/** `days HH:MM:SS.mmm`. */
function agoText(ns: bigint): string {
  const ms = ns < 0n ? 0n : ns / 1_000_000n;
  const seconds = Number(ms / 1000n);
  return `${Math.floor(seconds / 86_400)} ${durationText(seconds % 86_400)}.${String(ms % 1000n).padStart(3, '0')}`;
}

function groupsView(session: Session, tasks: readonly Task[]): PsData {
  const groups = [...new Set(tasks.map(task => task.tgid))];
  const blocks = groups.map(tgid => {
    const members = tgid === 0 ? tasks.filter(task => task.tgid === 0) : session.tasks.threadsOf(tgid);
    const leader = members.find(task => task.isThreadLeader) ?? members[0]!;
    const threads = members.filter(task => task !== leader).map(task => `  ${taskHeader(task)}`);
    return [taskHeader(leader), ...(threads.length === 0 ? ['  (no threads)'] : threads)];
  });
  return { blocks, separator: '\n' };
}

const MAX_PARENTS = 4096;

function parentsView(session: Session, tasks: readonly Task[]): PsData {
  const blocks = tasks.map(task => {
    const line: Task[] = [];
    for (let at: Task | undefined = task; at !== undefined && line.length < MAX_PARENTS && !line.includes(at);) {
      line.unshift(at);
      at = parentOf(session, at);
    }
    return line.map((member, depth) => `${' '.repeat(depth)}${taskHeader(member)}`);
  });
  return { blocks, separator: '\n' };
}

/** Undefined also for a task of which that cannot be read. */
function parentOf({ tasks }: Session, task: Task): Task | undefined {
  const parent = readIfPresent(() => task.parent);
  return parent === undefined ? undefined : tasks.byAddress(parent);
}

function childrenView(session: Session, tasks: readonly Task[]): PsData {
  const blocks = tasks.map(task => {
    const children = session.tasks.all.filter(
      // the first idle task is the parent of all idle tasks, itself among them
      other => other.parent === task.address,
    );
    const lines = children.map(child => `  ${taskHeader(child)}`);
    return [taskHeader(task), ...(lines.length === 0 ? ['  (no children)'] : lines)];
  });
  return { blocks, separator: '\n' };
}

function limitsView(_session: Session, tasks: readonly Task[]): PsData {
  const blocks = tasks.map(task => {
    const rows = readOr(
      () =>
        resourceLimits(task).map(({ name, current, maximum }) =>
          limitRow(name, limitText(current), limitText(maximum)),
        ),
      fault => [`ps: ${fault.message}`],
    );
    return [taskHeader(task), limitRow('RLIMIT', 'CURRENT', 'MAXIMUM'), ...rows];
  });
  return { blocks, separator: '\n' };
}

function limitRow(name: string, current: string, maximum: string): string {
  return `  ${name.padStart(10)}   ${center(current, 11)}   ${center(maximum, 11)}`;
}

function limitText(limit: bigint): string {
  return limit === 0xffff_ffff_ffff_ffffn ? '(unlimited)' : String(limit);
}
