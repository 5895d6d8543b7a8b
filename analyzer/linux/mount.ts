/** Mounts; `fs/mount.h`. */
import type { Program } from '../program.ts';
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
  const found: Mount[] = [];
  for (const struct of mountStructs(program, namespace)) {
    const superBlock = struct.follow('mnt.mnt_sb');
    if (superBlock === undefined) continue;
    found.push({
      struct,
      superBlock,
      type: superBlock.follow('s_type')?.stringAt('name', 64) ?? '',
      device: struct.stringAt('mnt_devname', 256) || 'none',
      directory: dentryPath(program, struct.follow('mnt.mnt_root'), struct.embedded('mnt')),
    });
  }
  return found;
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
  for (const { address } of rbInorder(program, namespace.pointer('mounts.rb_node')))
    yield new StructObject(program.memory, type, address - offset);
}
