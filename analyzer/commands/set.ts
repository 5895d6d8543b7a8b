/** `set`: the current task and the session's settings. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { Task } from '../linux/sched.ts';
import type { Command } from './command.ts';
import { tasksNamed } from './select-tasks.ts';
import { allSettingTexts, changeSetting, findSetting, settingText } from './settings.ts';
import type { Session } from './session.ts';
import { lines } from '../text/layout.ts';
import { VIEW_OUTPUT } from './view.ts';
import type { View } from './view.ts';

/** `set`. */
export const set: Command<View> = {
  name: 'set',
  summary: 'the current task; settings of the session',
  synopsis: '[[-a] [pid | task] | [-c cpu] | -p] | [variable [setting]]... | -v',
  options: [
    { flag: '-a', takes: 'task', help: 'make a task the active one of its CPU' },
    { flag: '-c', takes: 'cpu', help: 'the active task of a CPU' },
    { flag: '-p', help: 'the task that panicked' },
    { flag: '-v', help: 'all settings' },
  ],
  description:
    'Without arguments shows the current task. Settings are what `set -v` lists, and `hex`, `dec`, `vi`, `emacs` for some of them; several may stand in one line.',
  examples: [
    { line: 'set 140', why: 'speak about this task from now on' },
    { line: 'set radix 16', why: 'integers in hexadecimal' },
  ],
  run(session, args) {
    if (args.has('-v')) return allSettings(session);
    if (args.has('-p')) return chosen(session, session.panicTask);
    if (args.has('-c')) return chosen(session, activeTask(session, args.value('-c')!));
    if (args.has('-a')) return activate(session, args.value('-a')!);
    const [word] = args.positionals;
    if (word === undefined) return context(session, session.current);
    const changed = settings(session, args.positionals);
    if (changed !== undefined) return changed;
    const [task] = tasksNamed(session, word);
    if (task === undefined) throw new UsageError(`invalid task or pid value: ${word}`);
    return chosen(session, task);
  },
  ...VIEW_OUTPUT,
};

function activate(session: Session, word: string): View {
  const [task] = tasksNamed(session, word);
  if (task === undefined) throw new UsageError(`invalid task or pid value: ${word}`);
  // which task panicked is known from those that ran: found before that changes
  void session.panicTask;
  session.tasks.activate(task);
  const text = `"${task.comm}" task ${task.address.toString(16)} has been marked as the active task on cpu ${task.cpu}\n`;
  return { data: context(session, task).data, text };
}

function chosen(session: Session, task: Task): View {
  session.current = task;
  return context(session, task);
}

function activeTask(session: Session, cpu: string): Task {
  const task = session.tasks.active.get(Number(cpu));
  if (task === undefined) throw new UsageError(`invalid cpu number: system has only ${session.tasks.active.size} cpus`);
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
  const samePid = session.tasks.byPid(task.pid);
  // crash counts only the first of the tasks with a pid
  const shared = samePid.length < 2 ? '' : `  (1 of ${samePid.length})`;
  const rows = [
    ['PID', String(task.pid)],
    ['COMMAND', `"${task.comm}"`],
    ['TASK', `${task.address.toString(16)}${shared}  [THREAD_INFO: ${info.toString(16)}]`],
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

function allSettings(session: Session): View {
  const data = allSettingTexts(session);
  return { data, text: lines(data.map(({ setting, value }) => `${setting.padStart(14)}: ${value}`)) };
}

/** Changes or shows settings, in pairs; undefined when the first word is none. */
function settings(session: Session, words: readonly string[]): View | undefined {
  const data: { setting: string; value: string }[] = [];
  const texts: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const setting = findSetting(words[index]!);
    if (setting === undefined && index === 0) return undefined;
    if (setting === undefined) throw new UsageError(`not a setting: ${words[index]!}`);
    const value = setting.value ?? words[++index];
    // crash takes a word behind the short forms and does not look at it
    if (setting.value !== undefined && /^(?:on|off)$/.test(words[index + 1] ?? '')) index++;
    if (value !== undefined) changeSetting(session, setting.name, value);
    data.push({ setting: setting.name, value: settingText(session, setting.name) });
    texts.push(`${LABELS[setting.name] ?? setting.name}: ${settingText(session, setting.name)}\n`);
  }
  return { data: data.length === 1 ? data[0]! : data, text: texts.join('') };
}

/** Where the line is headed by more than the name. */
const LABELS: Readonly<Record<string, string>> = { radix: 'output radix', offline: '      offline' };
