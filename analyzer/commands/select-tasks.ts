/** Which tasks a command's arguments mean: pids, addresses of task_structs, names. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { Task } from '../linux/sched.ts';
import { inTurn } from './command.ts';
import type { Session } from './session.ts';

/**
 * Tasks that one argument names: a decimal pid, a hexadecimal address, a command name (with a `\` in front when it
 * looks like a number), or a regular expression in quotes.
 */
export function tasksNamed(session: Session, word: string): Task[] {
  const { tasks } = session;
  if (/^'.*'$/.test(word)) {
    const pattern = parsePattern(word.slice(1, -1));
    return tasks.all.filter(task => pattern.test(task.comm));
  }
  if (word.startsWith('\\')) return tasks.all.filter(task => task.comm === word.slice(1));
  if (/^\d+$/.test(word)) {
    const byPid = tasks.byPid(Number(word));
    if (byPid.length > 0) return byPid;
  }
  if (/^(?:0x)?[\da-f]+$/i.test(word)) {
    const byAddress = tasks.byAddress(BigInt(word.startsWith('0x') ? word : `0x${word}`));
    if (byAddress !== undefined) return [byAddress];
    const byHexPid = /^0x/i.test(word) ? tasks.byPid(Number(word)) : [];
    if (byHexPid.length > 0) return byHexPid;
  }
  return tasks.all.filter(task => task.comm === word.slice(0, 15));
}

/** @throws UsageError for what is no regular expression */
function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError(`invalid regular expression: ${text}`, { cause: error });
  }
}

/** The tasks that an argument names. @throws UsageError when it names none */
export function tasksOfWord(session: Session, word: string): readonly Task[] {
  const found = tasksNamed(session, word);
  if (found.length === 0) throw new UsageError(`invalid task or pid value: ${word}`);
  return found;
}

/**
 * Handles the tasks that arguments name one by one; without arguments the current task.
 * @throws PartialError, or UsageError when the first argument names no task
 */
export function forTasks<Item, Data>(
  session: Session,
  words: readonly string[],
  one: (task: Task) => Item,
  dataOf: (items: readonly Item[]) => Data,
): Data {
  if (words.length === 0) return dataOf([one(session.current)]);
  return inTurn(
    words,
    word => tasksOfWord(session, word).map(one),
    items => dataOf(items.flat()),
    '\n',
  );
}

/**
 * The tasks that all arguments name, where commands note first what names none; the current task where they only got words
 * that could be something else.
 * @param expected what an argument is in these notes
 * @throws UsageError when no argument names a task and one is a number
 */
export function tasksOf(session: Session, words: readonly string[], expected = 'task or pid value'): readonly Task[] {
  const found = words.map(word => ({ word, tasks: tasksNamed(session, word) }));
  const missing = found.filter(({ tasks }) => tasks.length === 0).map(({ word }) => word);
  const number = missing.find(word => NUMBER.test(word));
  if (number !== undefined && missing.length === words.length)
    throw new UsageError(`invalid task or pid value: ${number}`);
  for (const word of missing) session.note(`invalid ${NUMBER.test(word) ? 'task or pid value' : expected}: ${word}`);
  return missing.length === words.length ? [session.current] : found.flatMap(({ tasks }) => tasks);
}

const NUMBER = /^(?:0x)?[\da-f]+$/i;

/** The line that heads a task's output. */
export function taskHeader(task: Task): string {
  return `PID: ${task.pidText.padEnd(7)}  TASK: ${task.address.toString(16).padStart(16, '0')}  CPU: ${task.cpuText.padEnd(3)}  COMMAND: "${task.comm}"`;
}
