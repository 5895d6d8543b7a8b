/** `waitq`: who waits on a wait queue. */
import { UsageError } from '../../capture/formats/errors.ts';
import { listForEachEntry } from '../linux/list.ts';
import type { Task } from '../linux/sched.ts';
import type { Command } from './command.ts';
import { parseOffset } from './members.ts';
import { parseAddress } from './numbers.ts';
import { taskHeader } from './select-tasks.ts';

const MAX_WAITERS = 1_000_000;

interface WaitqData {
  readonly queue: bigint;
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
    if (first === undefined) throw new UsageError('no wait queue given');
    const queue =
      second === undefined ? parseAddress(session, first) : parseAddress(session, second) + parseOffset(session, first);
    const { program, tasks } = session;
    const head = program.object('wait_queue_head', queue).addressOf('head');
    const waiters: Task[] = [];
    for (const entry of listForEachEntry(program, head, 'wait_queue_entry', 'entry', MAX_WAITERS)) {
      const task = tasks.byAddress(entry.pointer('private'));
      if (task !== undefined) waiters.push(task);
    }
    return { queue, tasks: waiters };
  },
  text({ queue, tasks }) {
    if (tasks.length === 0) return `wait queue ${queue.toString(16)} is empty\n`;
    return tasks.map(task => `${taskHeader(task)}\n`).join('');
  },
};
