/** Red-black trees; `include/linux/rbtree_types.h`. */
import { readOrWarn } from '../gaps.ts';
import type { Program } from '../program.ts';

/** A tree of 2^32 nodes is at most this deep. */
const MAX_DEPTH = 80;

/** A node and where it stands. */
export interface RbNode {
  readonly address: bigint;
  readonly depth: number;
  /** `l` and `r` for each step from the root. */
  readonly path: string;
}

/** Nodes in the order node, left, right. A node that comes again ends its branch. @throws FaultError */
export function* rbPreorder(program: Program, root: bigint): Generator<RbNode> {
  yield* visit({ program, order: 'pre', seen: new Set() }, { address: root, depth: 0, path: '' });
}

/**
 * Nodes in the order of their keys: `rb_first` to `rb_last`.
 * @param what names the tree: branches that cannot be read are left out with a warning
 * @throws FaultError without `what`
 */
export function* rbInorder(program: Program, root: bigint, what?: string): Generator<RbNode> {
  yield* visit({ program, order: 'in', seen: new Set(), what }, { address: root, depth: 0, path: '' });
}

interface Walk {
  readonly program: Program;
  readonly order: 'pre' | 'in';
  readonly seen: Set<bigint>;
  readonly what?: string | undefined;
}

function* visit(walk: Walk, node: RbNode): Generator<RbNode> {
  const { address, depth, path } = node;
  if (address === 0n || depth > MAX_DEPTH || walk.seen.has(address)) return;
  walk.seen.add(address);
  const children = childrenOf(walk, address);
  if (children === undefined) return;
  const [left, right] = children;
  if (walk.order === 'pre') yield node;
  yield* visit(walk, { address: left, depth: depth + 1, path: `${path}l` });
  if (walk.order === 'in') yield node;
  yield* visit(walk, { address: right, depth: depth + 1, path: `${path}r` });
}

function childrenOf({ program, what }: Walk, address: bigint): readonly [left: bigint, right: bigint] | undefined {
  const node = program.object('rb_node', address);
  const read = (): [bigint, bigint] => [node.pointer('rb_left'), node.pointer('rb_right')];
  return what === undefined ? read() : readOrWarn(program, what, read);
}
