/** Unwinds any task of any architecture. */
import type { Task, TaskTable } from '../linux/sched.ts';
import { unwindAarch64 } from './aarch64.ts';
import type { Backtrace, StartPoint } from './frames.ts';
import { unwindX86 } from './x86_64.ts';

/** Follows a task's kernel stack to its end, or as far as it is sound. @param from begins elsewhere than the task stopped */
export function unwind(tasks: TaskTable, task: Task, from?: StartPoint): Backtrace {
  const { program } = tasks;
  return program.architecture === 'aarch64'
    ? unwindAarch64(program, tasks, task, from)
    : unwindX86(program, task, tasks, from);
}
