/** Arguments and environment of a process, read from its user stack; `mm->arg_start` to `mm->env_end`. */
import { userReader } from './user-memory.ts';
import type { Session } from '../commands/session.ts';
import type { Task } from './sched.ts';

const MAX_LENGTH = 128 * 1024;

/** The words that `execve` left on the stack. */
export interface CommandLine {
  readonly arguments: readonly string[];
  readonly environment: readonly string[];
}

/** Undefined for a task without user memory. @throws FaultError when the user stack is not in the dump */
export function commandLine(session: Session, task: Task): CommandLine | undefined {
  const { mm } = task;
  if (mm === undefined) return undefined;
  const reader = userReader(session.program, mm);
  const words = (start: bigint, end: bigint): string[] => {
    const length = Number(end - start);
    if (length <= 0) return [];
    const text = Buffer.from(reader.readBytes(start, Math.min(length, MAX_LENGTH))).toString('latin1');
    return text.replace(/\0$/, '').split('\0');
  };
  return {
    arguments: words(mm.pointer('arg_start'), mm.pointer('arg_end')),
    environment: words(mm.pointer('env_start'), mm.pointer('env_end')),
  };
}
