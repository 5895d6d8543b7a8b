/** `ipcs`: System V IPC. */
import { UsageError } from '../../capture/formats/errors.ts';
import { ipcNamespace, ipcObjects, shmPages } from '../linux/ipc.ts';
import type { IpcObject, ShmPages } from '../linux/ipc.ts';
import { hex, hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';
import { tasksOfWord } from './select-tasks.ts';

interface IpcsData {
  readonly shm: readonly IpcObject[] | undefined;
  readonly sem: readonly IpcObject[] | undefined;
  readonly msg: readonly IpcObject[] | undefined;
  /** With -M: of each segment. */
  readonly pages: readonly ShmPages[] | undefined;
}

/** `ipcs`. */
export const ipcs: Command<IpcsData> = {
  name: 'ipcs',
  summary: 'System V shared memory, semaphores, message queues',
  synopsis: '[-smMq] [-n pid|task] [id | addr]',
  options: [
    { flag: '-s', help: 'semaphores' },
    { flag: '-m', help: 'shared memory' },
    { flag: '-M', help: 'shared memory, with where its pages are' },
    { flag: '-q', help: 'message queues' },
    { flag: '-n', takes: 'task', help: "this task's namespace" },
  ],
  description: 'Lists the objects of an IPC namespace.',
  examples: [{ line: 'ipcs -m', why: 'who holds shared memory' }],
  run(session, args) {
    const { program } = session;
    const [task] = args.has('-n') ? tasksOfWord(session, args.value('-n')!) : [session.current];
    const namespace = ipcNamespace(program, task!);
    const all = !['-s', '-m', '-M', '-q'].some(flag => args.has(flag));
    const read = (kind: 'SHM' | 'SEM' | 'MSG', flags: readonly string[]): IpcObject[] | undefined => {
      if (!all && !flags.some(flag => args.has(flag))) return undefined;
      const found = namespace === undefined ? [] : ipcObjects(program, namespace, kind);
      return chosen(found, args.positionals);
    };
    const data = { shm: read('SHM', ['-m', '-M']), sem: read('SEM', ['-s']), msg: read('MSG', ['-q']) };
    if (Object.values(data).every(objects => objects === undefined))
      throw new UsageError(`invalid id or address: ${args.positionals.join(' ')}`);
    return { ...data, pages: args.has('-M') ? (data.shm ?? []).map(object => shmPages(program, object)) : undefined };
  },
  text({ shm, sem, msg, pages }) {
    const blocks = [
      ...(pages === undefined ? [listText(SHM, shm, shmRow)] : pagesBlocks(shm ?? [], pages)),
      listText(SEM, sem, semRow),
      listText(MSG, msg, msgRow),
    ];
    return blocks
      .filter(block => block !== '')
      .map(block => `${block}\n`)
      .join('');
  },
};

/** The objects with these ids or addresses; undefined when they are asked for and there are none. */
function chosen(objects: IpcObject[], words: readonly string[]): IpcObject[] | undefined {
  if (words.length === 0) return objects;
  const found = objects.filter(({ id, struct }) =>
    words.some(word => word === String(id) || word.replace(/^0x/, '') === hex(struct.address)),
  );
  return found.length === 0 ? undefined : found;
}

interface Listing {
  readonly head: string;
  readonly none: string;
}

const SHM: Listing = {
  head: 'SHMID_KERNEL     KEY      SHMID      UID   PERMS BYTES      NATTCH STATUS\n',
  none: 'No shared memory segments allocated\n',
};
const SEM: Listing = {
  head: 'SEM_ARRAY        KEY      SEMID      UID   PERMS NSEMS\n',
  none: 'No semaphore arrays allocated\n',
};
const MSG: Listing = {
  head: 'MSG_QUEUE        KEY      MSQID      UID   PERMS USED-BYTES   MESSAGES\n',
  none: 'No message queues allocated\n',
};

function listText(
  { head, none }: Listing,
  objects: readonly IpcObject[] | undefined,
  row: (object: IpcObject) => string,
): string {
  if (objects === undefined) return '';
  return objects.length === 0 ? none : `${head}${objects.map(row).join('')}`;
}

/** Each segment under its own head, with its pages. */
function pagesBlocks(shm: readonly IpcObject[], pages: readonly ShmPages[]): string[] {
  if (shm.length === 0) return [SHM.none];
  return shm.map((object, index) => {
    const { allocated, resident, swapped, inode } = pages[index]!;
    return `${SHM.head}${shmRow(object)}PAGES ALLOCATED/RESIDENT/SWAPPED: ${allocated}/${resident}/${swapped}\nINODE: ${hex(inode)}\n`;
  });
}

const S_IRWXUGO = 0o777;
/** Flags of `shm_perm.mode`; `include/uapi/linux/shm.h`. */
const SHM_DEST = 0o1000;
const SHM_LOCKED = 0o2000;

function common({ struct, key, id, uid, mode }: IpcObject): string {
  return `${hex16(struct.address)} ${hex(key).padStart(8, '0')} ${String(id).padEnd(10)} ${String(uid).padEnd(5)} ${(mode & S_IRWXUGO).toString(8).padEnd(5)}`;
}

function shmRow(object: IpcObject): string {
  const { struct, mode } = object;
  const status = `${(mode & SHM_DEST) === 0 ? '' : 'dest '}${(mode & SHM_LOCKED) === 0 ? '' : 'locked'}`;
  return `${common(object)} ${String(struct.num('shm_segsz')).padEnd(10)} ${String(struct.num('shm_nattch')).padEnd(6)} ${status}\n`;
}

function semRow(object: IpcObject): string {
  return `${common(object)} ${object.struct.num('sem_nsems')}\n`;
}

function msgRow(object: IpcObject): string {
  return `${common(object)} ${String(object.struct.num('q_cbytes')).padEnd(12)} ${object.struct.num('q_qnum')}\n`;
}
