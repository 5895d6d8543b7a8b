/** `task`: a task's `task_struct`. */
import { printValue } from '../types/print-value.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import type { StructType } from '../types/types.ts';
import type { Arguments, Command } from './command.ts';
import { taskHeader, tasksOf } from './select-tasks.ts';
import { placeText, plainContents } from './struct.ts';

interface TaskData {
  readonly blocks: readonly { readonly header: string; readonly body: string }[];
  readonly partial: boolean;
  readonly plain: () => unknown;
}

/** `task`. */
export const task: Command<TaskData> = {
  name: 'task',
  summary: "a task's task_struct, or members of it",
  synopsis: '[-R member[,member]] [-dx] [pid | task]...',
  options: [
    { flag: '-R', takes: 'members', help: 'only these members' },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description: 'Prints the structure with all members, then the thread_info when it is not inside.',
  examples: [{ line: 'task -R prio,policy,cpus_mask 140', why: 'three members of one task' }],
  run(session, args) {
    const type = session.program.types.struct('task_struct');
    const info = type.place('thread_info');
    const infoType = info === undefined ? undefined : session.program.types.findStruct('thread_info');
    const { members, words } = memberWords(args, type);
    for (const member of members ?? [])
      if (type.place(member) === undefined && infoType?.place(member) === undefined)
        throw new UsageError(`${member}: not a task_struct or thread_info member`);
    const context = session.printContext(args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix);
    const { memory } = session.program;
    const blocks = tasksOf(session, words, EXPECTED).map(chosen => {
      const { address } = chosen;
      if (members === undefined) {
        const text = printValue(type, memory.readBytes(address, type.size), 0, { ...context, base: address });
        return {
          header: taskHeader(chosen),
          body: `struct task_struct ${text}\n\n${threadInfo(session, chosen.address, context)}`,
        };
      }
      return {
        header: taskHeader(chosen),
        body: [
          ...members.map(member => ({ member, place: type.place(member), base: address })),
          ...members.map(member => ({
            member,
            place: infoType?.place(member),
            base: address + BigInt(info?.offset ?? 0),
          })),
        ]
          .map(({ member, place, base }) =>
            place === undefined ? '' : `  ${member} = ${placeText(memory, place, base, context)},\n`,
          )
          .join(''),
      };
    });
    const plain = (): unknown =>
      tasksOf(session, words, EXPECTED).map(({ pid, comm, address }) => {
        const own = (members ?? []).filter(member => type.place(member) !== undefined);
        const contents = plainContents({ reader: memory, type, members: own }, address);
        return { pid, comm, task: address, contents };
      });
    return { blocks, partial: members !== undefined, plain };
  },
  json: ({ plain }) => ({ tasks: plain() }),
  text: ({ blocks }) => blocks.map(({ header, body }) => `${header}\n${body}\n`).join(''),
};

const EXPECTED = 'task, pid, or task_struct member';

/** Words beside the tasks are members, as if they stood behind `-R`. */
function memberWords(
  args: Arguments,
  type: StructType,
): { readonly members: readonly string[] | undefined; readonly words: readonly string[] } {
  const isMembers = (word: string): boolean => word.includes(',') || type.place(word) !== undefined;
  const lists = [...args.values('-R'), ...args.positionals.filter(isMembers)];
  const words = args.positionals.filter(word => !isMembers(word));
  if (lists.length === 0) return { members: undefined, words };
  const members = lists.flatMap(list => list.split(','));
  return { members: members.filter(member => member !== ''), words };
}

function threadInfo(
  session: Parameters<typeof task.run>[0],
  address: bigint,
  context: Parameters<typeof printValue>[3],
): string {
  const { types, memory } = session.program;
  const info = types.findStruct('thread_info');
  const inside = types.struct('task_struct').place('thread_info');
  if (info === undefined || inside === undefined) return '';
  const at = address + BigInt(inside.offset);
  return `struct thread_info ${printValue(info, memory.readBytes(at, info.size), 0, { ...context, base: at })}\n`;
}
