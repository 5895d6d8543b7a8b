/** `waitq`: who waits on a wait queue. */
import { readOr } from '../gaps.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { listForEachEntry } from '../linux/list.ts';
import type { Task, TaskTable } from '../linux/sched.ts';
import type { Program } from '../program.ts';
import { SynopsisError } from './command.ts';
import type { Command } from './command.ts';
import { parseOffset } from './members.ts';
import { invalidInput, parseAddress } from './numbers.ts';
import type { Refusal } from './numbers.ts';
import { taskHeader } from './select-tasks.ts';

const MAX_WAITERS = 1_000_000;

interface WaitqData {
  readonly queue: bigint;
  /** The symbol that was given. */
  readonly name: string | undefined;
  readonly tasks: readonly Task[];
}

const cannotResolve: Refusal = word => new UsageError(`cannot resolve "${word}"`);

/** Tasks that wait, up to where the list cannot be read. @throws FaultError when that is at its beginning */
function waitersOf(program: Program, tasks: TaskTable, head: bigint): Task[] {
  const found: Task[] = [];
  const fault = readOr(
    () => {
      for (const entry of listForEachEntry(program, head, 'wait_queue_entry', 'entry', MAX_WAITERS)) {
        const task = tasks.byAddress(entry.pointer('private'));
        if (task !== undefined) found.push(task);
      }
      return undefined;
    },
    problem => problem,
  );
  if (fault !== undefined && found.length === 0) throw fault;
  if (fault !== undefined) program.warnOfGap('waiters', fault);
  return found;
}

/** `waitq`. */
export const waitq: Command<WaitqData> = {
  name: 'waitq',
  summary: 'tasks on a wait queue',
  synopsis: '[ symbol ] | [ struct.member struct_addr ] | [ address ]',
  options: [],
  description: 'The address is of a `wait_queue_head_t`, alone or as a member of a structure.',
  examples: [{ line: 'waitq pipe_inode_info.rd_wait ffff325bc304d680', why: 'who reads a pipe' }],
  run(session, args) {
    const [first, second, third] = args.positionals;
    if (first === undefined || third !== undefined) throw new SynopsisError('one wait queue is needed');
    const queue =
      second === undefined
        ? parseAddress(session, first, cannotResolve)
        : parseAddress(session, second, invalidInput) + parseOffset(session, first);
    const { program, tasks } = session;
    const head = program.object('wait_queue_head', queue).addressOf('head');
    const waiters = waitersOf(program, tasks, head);
    return {
      queue,
      name: second === undefined && !/^(?:0x)?[\da-f]+$/i.test(first) ? first : undefined,
      tasks: waiters,
    };
  },
  text({ queue, name, tasks }) {
    const title = name === undefined ? queue.toString(16) : `"${name}" (${queue.toString(16)})`;
    if (tasks.length === 0) return `wait queue ${title} is empty\n`;
    return tasks.map(task => `${taskHeader(task)}\n`).join('');
  },
};
