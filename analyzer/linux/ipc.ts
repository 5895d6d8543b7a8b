/** System V IPC; `ipc/util.h`, `ipc/{shm,sem,msg}.c`. */
import { mapPresent, readOrWarn } from '../gaps.ts';
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';
import type { Task } from './sched.ts';
import { idrForEach } from './xarray.ts';

/** Indices of `ipc_namespace.ids[]`; `ipc/util.h`. */
const IPC_IDS = { SEM: 0, MSG: 1, SHM: 2 } as const;

/** What all three kinds have: `struct kern_ipc_perm`. */
export interface IpcObject {
  readonly struct: StructObject;
  readonly key: number;
  readonly id: number;
  readonly uid: number;
  readonly mode: number;
}

/** Namespace of a task. */
export function ipcNamespace(program: Program, task: Task): StructObject | undefined {
  return task.struct.follow('nsproxy')?.follow('ipc_ns') ?? program.findGlobal('ipc_namespace', 'init_ipc_ns');
}

/** Objects of a kind: `shmid_kernel`, `sem_array` or `msg_queue`. */
export function ipcObjects(program: Program, namespace: StructObject, kind: keyof typeof IPC_IDS): IpcObject[] {
  const names = {
    SEM: ['sem_array', 'sem_perm'],
    MSG: ['msg_queue', 'q_perm'],
    SHM: ['shmid_kernel', 'shm_perm'],
  } as const;
  const [struct, member] = names[kind];
  const type = program.types.struct(struct);
  const offset = BigInt(program.object(struct, 0n).offsetOf(member));
  const ids = namespace.embedded(`ids[${IPC_IDS[kind]}]`);
  const objects = idrForEach(program, ids.embedded('ipcs_idr'));
  return mapPresent(program, 'IPC objects', objects, ({ pointer }) => {
    const perm = program.object('kern_ipc_perm', pointer);
    return {
      struct: new StructObject(program.memory, type, pointer - offset),
      key: perm.num('key') >>> 0,
      id: perm.num('id'),
      uid: perm.num('uid.val'),
      mode: perm.num('mode'),
    };
  });
}

/** Where the pages of a shared memory segment are. */
export interface ShmPages {
  /** Pages that its size asks for. */
  readonly allocated: number;
  /** Pages in memory. */
  readonly resident: number;
  readonly swapped: number;
  /** Address of its inode; 0 when it has none. */
  readonly inode: bigint;
}

/** `shm_add_rss_swap`; `ipc/shm.c`. */
export function shmPages(program: Program, { struct }: IpcObject): ShmPages {
  const allocated = Math.ceil(struct.num('shm_segsz') / program.space.pageSize);
  const inode = struct.follow('shm_file')?.follow('f_inode');
  if (inode === undefined) return { allocated, resident: 0, swapped: 0, inode: 0n };
  const info = program.types.findStruct('shmem_inode_info');
  const outer = info?.place('vfs_inode');
  const swapped =
    info === undefined || outer === undefined
      ? 0
      : (readOrWarn(program, 'swapped pages', () =>
          new StructObject(program.memory, info, inode.address - BigInt(outer.offset)).num('swapped'),
        ) ?? 0);
  const resident = readOrWarn(program, 'resident pages', () => inode.follow('i_mapping')?.num('nrpages')) ?? 0;
  return { allocated, resident, swapped, inode: inode.address };
}
