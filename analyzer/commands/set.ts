/** `set`: the current task and the session's settings. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { Task } from '../linux/sched.ts';
import type { Command } from './command.ts';
import { tasksNamed } from './select-tasks.ts';
import type { Session } from './session.ts';
import { lines } from '../text/layout.ts';
import { VIEW_OUTPUT } from './view.ts';
import type { View } from './view.ts';

/** `set`. */
export const set: Command<View> = {
  name: 'set',
  summary: 'the current task; settings of the session',
  synopsis: '[[-a] [pid | task] | [-c cpu] | -p] | [variable [setting]] | -v',
  options: [
    { flag: '-a', takes: 'task', help: 'make a task the active one of its CPU' },
    { flag: '-c', takes: 'cpu', help: 'the active task of a CPU' },
    { flag: '-p', help: 'the task that panicked' },
    { flag: '-v', help: 'all settings' },
  ],
  description:
    'Without arguments shows the current task. Settings: radix (10, 16), scroll (on, off), hex, dec, and what `set -v` lists.',
  examples: [
    { line: 'set 140', why: 'speak about this task from now on' },
    { line: 'set radix 16', why: 'integers in hexadecimal' },
  ],
  run(session, args) {
    if (args.has('-v')) return allSettings(session);
    if (args.has('-p')) return chosen(session, session.panicTask);
    if (args.has('-c')) return chosen(session, activeTask(session, args.value('-c')!));
    if (args.has('-a')) return activate(session, args.value('-a')!);
    const [word, value] = args.positionals;
    if (word === undefined) return context(session, session.current);
    const setting = change(session, word, value);
    if (setting !== undefined) return { data: { setting: word, value: settingText(session, word) }, text: setting };
    const [task] = tasksNamed(session, word);
    if (task === undefined) throw new UsageError(`invalid task or pid value: ${word}`);
    return chosen(session, task);
  },
  ...VIEW_OUTPUT,
};

function activate(session: Session, word: string): View {
  const [task] = tasksNamed(session, word);
  if (task === undefined) throw new UsageError(`invalid task or pid value: ${word}`);
  session.tasks.activate(task);
  session.current = task;
  const text = `"${task.comm}" task ${task.address.toString(16)} has been marked as the active task on cpu ${task.cpu}\n`;
  return { data: context(session, task).data, text };
}

function chosen(session: Session, task: Task): View {
  session.current = task;
  return context(session, task);
}

function activeTask(session: Session, cpu: string): Task {
  const task = session.tasks.active.get(Number(cpu));
  if (task === undefined) throw new UsageError(`invalid cpu number: ${cpu}`);
  return task;
}

const STATES: readonly (readonly [bit: number, name: string])[] = [
  [0x1, 'TASK_INTERRUPTIBLE'],
  [0x2, 'TASK_UNINTERRUPTIBLE'],
  [0x4, 'TASK_STOPPED'],
  [0x8, 'TASK_TRACED'],
  [0x10, 'EXIT_DEAD'],
  [0x20, 'EXIT_ZOMBIE'],
  [0x40, 'TASK_PARKED'],
  [0x80, 'TASK_DEAD'],
  [0x100, 'TASK_WAKEKILL'],
  [0x200, 'TASK_WAKING'],
  [0x400, 'TASK_NOLOAD'],
  [0x800, 'TASK_NEW'],
];

/** A task, as `set` shows it. */
function context(session: Session, task: Task): View {
  const { pid, comm, address, cpu } = task;
  const data = { pid, comm, task: address, cpu, state: stateText(session, task) };
  return { data, text: contextText(session, task) };
}

/** What `set` prints of a task. */
export function contextText(session: Session, task: Task): string {
  const info = task.struct.has('thread_info') ? task.struct.addressOf('thread_info') : task.stack;
  const rows = [
    ['PID', String(task.pid)],
    ['COMMAND', `"${task.comm}"`],
    ['TASK', `${task.address.toString(16)}  [THREAD_INFO: ${info.toString(16)}]`],
    ['CPU', String(task.cpu)],
    ['STATE', stateText(session, task)],
  ];
  return rows.map(([label, value]) => `${label!.padStart(7)}: ${value!}\n`).join('');
}

function stateText(session: Session, task: Task): string {
  const bits = task.stateBits;
  const names = STATES.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
  const state = names.length === 0 ? 'TASK_RUNNING' : names.join('|');
  const active = session.tasks.isActive(task);
  const note = task === session.panicTask ? ' (PANIC)' : active ? ' (ACTIVE)' : '';
  return `${state}${note}`;
}

/** Settings that are only remembered, with their defaults and how `set -v` explains them. */
const VARIABLES: Readonly<Record<string, string>> = {
  scroll: 'off (none)',
  radix: '10 (decimal)',
  refresh: 'on',
  print_max: '256',
  print_array: 'off',
  console: '(not assigned)',
  debug: '0',
  core: 'off',
  hash: 'on',
  silent: 'on',
  edit: 'vi',
  namelist: '',
  dumpfile: '',
  unwind: 'off',
  zero_excluded: 'off',
  'null-stop': 'off',
  gdb: 'off',
  scope: '0 (not set)',
  offline: 'show',
  redzone: 'on',
  error: 'default',
};

/** Names of all settings. */
export const SETTING_NAMES: readonly string[] = [...Object.keys(VARIABLES), 'hex', 'dec'];

function settingText(session: Session, name: string): string {
  const { program, settings } = session;
  if (name === 'radix') return settings.radix === 16 ? '16 (hexadecimal)' : '10 (decimal)';
  if (name === 'namelist') return program.vmlinux === undefined ? '(the dump)' : 'vmlinux';
  if (name === 'dumpfile') return 'vmcore';
  return settings.variables.get(name) ?? VARIABLES[name] ?? '';
}

function allSettings(session: Session): View {
  const data = Object.keys(VARIABLES).map(name => ({ setting: name, value: settingText(session, name) }));
  return { data, text: lines(data.map(({ setting, value }) => `${setting.padStart(14)}: ${value}`)) };
}

/** Changes or shows a setting; undefined when the word is none. */
function change(session: Session, name: string, value: string | undefined): string | undefined {
  if (name === 'hex' || name === 'dec') return change(session, 'radix', name === 'hex' ? '16' : '10');
  if (!Object.hasOwn(VARIABLES, name)) return undefined;
  if (value === undefined) return name === 'radix' ? radixText(session) : `${name}: ${settingText(session, name)}\n`;
  if (name !== 'radix') {
    session.settings.variables.set(name, value);
    return `${name}: ${value}\n`;
  }
  if (!/^(?:10|16|dec(?:imal)?|hex(?:adecimal)?)$/.test(value)) throw new UsageError(`invalid radix: ${value}`);
  session.settings.radix = /^(?:16|hex)/.test(value) ? 16 : 10;
  return radixText(session);
}

function radixText({ settings }: Session): string {
  return `output radix: ${settings.radix === 16 ? '16 (hex)' : '10 (decimal)'}\n`;
}
