/** `ipcs`: System V IPC. */
import { ipcNamespace, ipcObjects } from '../linux/ipc.ts';
import type { IpcObject } from '../linux/ipc.ts';
import { hex, hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';
import { tasksOf } from './select-tasks.ts';

interface IpcsData {
  readonly shm?: readonly IpcObject[];
  readonly sem?: readonly IpcObject[];
  readonly msg?: readonly IpcObject[];
  readonly pageSize: number;
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
    const [task] = args.has('-n') ? tasksOf(session, [args.value('-n')!]) : [session.current];
    const namespace = ipcNamespace(program, task!);
    const all = !args.has('-s') && !args.has('-m') && !args.has('-M') && !args.has('-q');
    const wanted = (objects: IpcObject[]): IpcObject[] =>
      objects.filter(
        ({ id, struct }) =>
          args.positionals.length === 0 ||
          args.positionals.some(word => word === String(id) || word.replace(/^0x/, '') === hex(struct.address)),
      );
    const read = (kind: 'SHM' | 'SEM' | 'MSG'): IpcObject[] =>
      namespace === undefined ? [] : wanted(ipcObjects(program, namespace, kind));
    return {
      pageSize: program.space.pageSize,
      ...(all || args.has('-m') || args.has('-M') ? { shm: read('SHM') } : {}),
      ...(all || args.has('-s') ? { sem: read('SEM') } : {}),
      ...(all || args.has('-q') ? { msg: read('MSG') } : {}),
    };
  },
  text({ shm, sem, msg }) {
    const blocks: string[] = [];
    if (shm !== undefined)
      blocks.push(
        shm.length === 0
          ? 'No shared memory segments allocated\n'
          : `SHMID_KERNEL     KEY      SHMID      UID   PERMS BYTES      NATTCH STATUS\n${shm.map(shmRow).join('')}`,
      );
    if (sem !== undefined)
      blocks.push(
        sem.length === 0
          ? 'No semaphore arrays allocated\n'
          : `SEM_ARRAY        KEY      SEMID      UID   PERMS NSEMS\n${sem.map(semRow).join('')}`,
      );
    if (msg !== undefined)
      blocks.push(
        msg.length === 0
          ? 'No message queues allocated\n'
          : `MSG_QUEUE        KEY      MSQID      UID   PERMS USED-BYTES   MESSAGES\n${msg.map(msgRow).join('')}`,
      );
    return blocks.map(block => `${block}\n`).join('');
  },
};

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
