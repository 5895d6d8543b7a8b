/** `sig`: signal handlers and pending signals. */
import { SIGNALS, signalName, taskSignals } from '../linux/signal.ts';
import type { PendingSignals, SignalAction, TaskSignals } from '../linux/signal.ts';
import type { Task } from '../linux/sched.ts';
import { hex, hex16, lines } from '../text/layout.ts';
import type { Command } from './command.ts';
import { parseHex } from './numbers.ts';
import { taskHeader, tasksOf } from './select-tasks.ts';
import type { Session } from './session.ts';

interface SigData {
  readonly names?: readonly string[];
  readonly list?: boolean;
  readonly tasks?: readonly TaskBlock[];
  readonly groups?: readonly (readonly TaskBlock[])[];
}

/** `sig`. */
export const sig: Command<SigData> = {
  name: 'sig',
  summary: 'signal handlers, pending and blocked signals of tasks',
  synopsis: '[[-l] | [-s sigset]] | [-g] [pid | task]...',
  options: [
    { flag: '-l', help: 'numbers and names of all signals' },
    { flag: '-s', takes: 'sigset', help: 'names of the signals in a set' },
    { flag: '-g', help: 'the whole thread group' },
  ],
  description:
    'Shows for each signal its handler, mask and flags, then what is pending for the task and for its thread group.',
  examples: [{ line: 'sig 145', why: 'what a task waits for' }],
  run(session, args) {
    if (args.has('-l'))
      return { list: true, names: Array.from({ length: SIGNALS }, (_, index) => signalName(index + 1)) };
    if (args.has('-s')) return { names: namesIn(parseHex(args.value('-s')!)) };
    const tasks = tasksOf(session, args.positionals);
    if (args.has('-g'))
      return {
        groups: tasks.map(task => [...session.tasks.threadsOf(task.tgid)].map(member => signalsOf(session, member))),
      };
    return { tasks: tasks.map(task => signalsOf(session, task)) };
  },
  text(data) {
    if (data.list === true)
      return (data.names ?? []).map((name, index) => `${`[${index + 1}]`.padStart(4)} ${name}\n`).join('');
    if (data.names !== undefined) return wrapped(data.names);
    if (data.groups !== undefined) return data.groups.map(groupText).join('');
    return (data.tasks ?? []).map(blockText).join('');
  },
};

const LINE_WIDTH = 80;

/** Words over lines of a terminal's width, each with a blank behind it. */
function wrapped(words: readonly string[]): string {
  const rows: string[] = [];
  for (const word of words) {
    const row = rows.at(-1);
    if (row === undefined || row.length + word.length > LINE_WIDTH) rows.push(`${word} `);
    else rows[rows.length - 1] = `${row}${word} `;
  }
  return lines(rows);
}

function namesIn(set: bigint): string[] {
  return Array.from({ length: SIGNALS }, (_, index) => index + 1)
    .filter(number => ((set >> BigInt(number - 1)) & 1n) === 1n)
    .map(number => signalName(number).replace(/\/.*$/, ''));
}

function signalsOf(session: Session, task: Task): TaskBlock {
  return { header: taskHeader(task), signals: taskSignals(session.program, task) };
}

function signalsText(signals: TaskSignals): string {
  return `${actionsText(signals)}${privateText(signals)}${pendingText('SHARED_PENDING', signals.shared)}\n`;
}

function actionsText({ signalStruct, threads, actions }: TaskSignals): string {
  const head = `SIGNAL_STRUCT: ${hex(signalStruct)}  NR_THREADS: ${threads}\n SIG    SIGACTION        HANDLER       MASK       FLAGS\n`;
  return `${head}${actions.map(actionText).join('')}`;
}

function privateText(signals: TaskSignals): string {
  const pending = `SIGPENDING: ${signals.isPending ? 'yes' : 'no'}\n   BLOCKED: ${hex16(signals.blocked)}\n`;
  return `${pending}${pendingText('PRIVATE_PENDING', signals.private)}`;
}

/** What a thread group shares, from its first member, then what is each thread's own. */
function groupText(members: readonly TaskBlock[]): string {
  const [leader] = members;
  if (leader === undefined) return '';
  if (leader.signals === undefined) return blockText(leader);
  const own = members.map(({ header, signals }) => {
    const text = `${header}\n${signals === undefined ? '' : privateText(signals)}`;
    return `${text.replaceAll(/^(?=.)/gm, '  ')}\n`;
  });
  return `${leader.header}\n${actionsText(leader.signals)}${pendingText('SHARED_PENDING', leader.signals.shared)}\n${own.join('')}`;
}

const HANDLERS: readonly (readonly [bigint, string])[] = [
  [0xffff_ffff_ffff_ffffn, 'SIG_ERR'],
  [0n, 'SIG_DFL'],
  [1n, 'SIG_IGN'],
];
/** `include/uapi/asm-generic/signal-defs.h`; x86 adds SA_RESTORER. */
const SA_FLAGS: readonly (readonly [bigint, string])[] = [
  [0x1n, 'SA_NOCLDSTOP'],
  [0x2n, 'SA_NOCLDWAIT'],
  [0x0400_0000n, 'SA_RESTORER'],
  [0x4n, 'SA_SIGINFO'],
  [0x0800_0000n, 'SA_ONSTACK'],
  [0x1000_0000n, 'SA_RESTART'],
  [0x4000_0000n, 'SA_NODEFER'],
  [0x8000_0000n, 'SA_RESETHAND'],
];

function actionText(action: SignalAction): string {
  const handler = HANDLERS.find(([value]) => value === action.handler)?.[1] ?? hex(action.handler);
  const names = SA_FLAGS.filter(([bit]) => (action.flags & bit) !== 0n).map(([, name]) => name);
  const flags = names.length === 0 ? '' : `(${names.join('|')})`;
  return `${`[${action.number}]`.padStart(4)} ${hex16(action.address)} ${handler.padStart(10)} ${hex16(action.mask)} ${hex(action.flags)} ${flags}\n`;
}

function pendingText(title: string, { set, queue }: PendingSignals): string {
  const head = `${title}\n    SIGNAL: ${hex16(set)}\n`;
  if (queue.length === 0) return `${head}  SIGQUEUE: (empty)\n`;
  const rows = queue.map(({ number, info }) => `            ${String(number).padStart(4)}  ${hex16(info)}\n`).join('');
  return `${head}  SIGQUEUE:  SIG      SIGINFO\n${rows}`;
}

interface TaskBlock {
  readonly header: string;
  readonly signals: TaskSignals | undefined;
}

function blockText({ header, signals }: TaskBlock): string {
  return `${header}\n${signals === undefined ? '(no signal_struct)\n' : signalsText(signals)}`;
}
