/** Which tasks a command's arguments mean: pids, addresses of task_structs, names. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { Task } from '../linux/sched.ts';
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

/**
 * The tasks that all arguments name; without arguments the current task. A word that names none is a warning beside
 * others that do.
 * @throws UsageError when no word names a task
 */
export function tasksOf(session: Session, words: readonly string[]): Task[] {
  if (words.length === 0) return [session.current];
  const found = words.map(word => ({ word, tasks: tasksNamed(session, word) }));
  const missing = found.filter(({ tasks }) => tasks.length === 0).map(({ word }) => word);
  if (missing.length === words.length) throw new UsageError(`invalid task or pid value: ${missing.join(' ')}`);
  for (const word of missing) session.program.warn(`invalid task or pid value: ${word}`);
  return found.flatMap(({ tasks }) => tasks);
}

/** The line that heads a task's output. */
export function taskHeader(task: Task): string {
  return `PID: ${task.pidText.padEnd(7)}  TASK: ${task.address.toString(16).padStart(16, '0')}  CPU: ${task.cpuText.padEnd(3)}  COMMAND: "${task.comm}"`;
}
