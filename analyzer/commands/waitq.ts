/** `waitq`: who waits on a wait queue. */
import { listForEachEntry } from '../linux/list.ts';
import type { Task } from '../linux/sched.ts';
import { SynopsisError } from './command.ts';
import type { Command } from './command.ts';
import { parseOffset } from './members.ts';
import { parseAddress } from './numbers.ts';
import { taskHeader } from './select-tasks.ts';

const MAX_WAITERS = 1_000_000;

interface WaitqData {
  readonly queue: bigint;
  /** The symbol that was given. */
  readonly name: string | undefined;
  readonly tasks: readonly Task[];
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
    const [first, second] = args.positionals;
    if (first === undefined) throw new SynopsisError('no wait queue given');
    const queue =
      second === undefined ? parseAddress(session, first) : parseAddress(session, second) + parseOffset(session, first);
    const { program, tasks } = session;
    const head = program.object('wait_queue_head', queue).addressOf('head');
    const waiters: Task[] = [];
    for (const entry of listForEachEntry(program, head, 'wait_queue_entry', 'entry', MAX_WAITERS)) {
      const task = tasks.byAddress(entry.pointer('private'));
      if (task !== undefined) waiters.push(task);
    }
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
