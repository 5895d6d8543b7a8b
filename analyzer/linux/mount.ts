/** Mounts; `fs/mount.h`. */
import type { Program } from '../program.ts';
import { mapPresent, readOr } from '../gaps.ts';
import { StructObject } from '../types/object.ts';
import { listForEachEntry } from './list.ts';
import { dentryPath } from './path.ts';
import { rbInorder } from './rbtree.ts';
import type { Task } from './sched.ts';

const MAX_MOUNTS = 100_000;

/** One mount. */
export interface Mount {
  readonly struct: StructObject;
  readonly superBlock: StructObject;
  readonly type: string;
  readonly device: string;
  readonly directory: string;
}

/** Mounts of a task's namespace, in the order of the namespace. */
export function mounts(program: Program, task: Task): Mount[] {
  const namespace = task.struct.follow('nsproxy')?.follow('mnt_ns') ?? initNamespace(program);
  if (namespace === undefined) return [];
  return mapPresent(program, 'mounts', mountStructs(program, namespace), struct => mountAt(program, struct)).filter(
    mount => mount !== undefined,
  );
}

/** A text, or `?` where memory cannot be read. */
function orMark(read: () => string): string {
  return readOr(read, () => '?');
}

function mountAt(program: Program, struct: StructObject): Mount | undefined {
  const superBlock = struct.follow('mnt.mnt_sb');
  if (superBlock === undefined) return undefined;
  return {
    struct,
    superBlock,
    type: orMark(() => superBlock.follow('s_type')?.stringAt('name', 64) ?? ''),
    device: orMark(() => struct.stringAt('mnt_devname', 256) || 'none'),
    directory: orMark(() => dentryPath(program, struct.follow('mnt.mnt_root'), struct.embedded('mnt'))),
  };
}

function initNamespace(program: Program): StructObject | undefined {
  const init = program.symbols.find('init_task');
  return init === undefined ? undefined : program.object('task_struct', init).follow('nsproxy')?.follow('mnt_ns');
}

/** A list until 6.7; a tree by id since 6.8 (commit 2eea9ce4310d "mounts: keep list of mounts in an rbtree"). */
function* mountStructs(program: Program, namespace: StructObject): Generator<StructObject> {
  if (!namespace.has('mounts.rb_node')) {
    yield* listForEachEntry(program, namespace.addressOf('list'), 'mount', 'mnt_list', MAX_MOUNTS);
    return;
  }
  const type = program.types.struct('mount');
  const offset = BigInt(program.object('mount', 0n).offsetOf('mnt_node'));
  for (const { address } of rbInorder(program, namespace.pointer('mounts.rb_node'), 'mounts'))
    yield new StructObject(program.memory, type, address - offset);
}
