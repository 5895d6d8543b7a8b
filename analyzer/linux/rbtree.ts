/** Red-black trees; `include/linux/rbtree_types.h`. */
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

/** Nodes in the order node, left, right. A node that comes again ends its branch. */
export function* rbPreorder(program: Program, root: bigint): Generator<RbNode> {
  yield* visit(program, root, 0, '', new Set(), 'pre');
}

/** Nodes in the order of their keys: `rb_first` to `rb_last`. */
export function* rbInorder(program: Program, root: bigint): Generator<RbNode> {
  yield* visit(program, root, 0, '', new Set(), 'in');
}

function* visit(
  program: Program,
  address: bigint,
  depth: number,
  path: string,
  seen: Set<bigint>,
  order: 'pre' | 'in',
): Generator<RbNode> {
  if (address === 0n || depth > MAX_DEPTH || seen.has(address)) return;
  seen.add(address);
  const node = program.object('rb_node', address);
  if (order === 'pre') yield { address, depth, path };
  yield* visit(program, node.pointer('rb_left'), depth + 1, `${path}l`, seen, order);
  if (order === 'in') yield { address, depth, path };
  yield* visit(program, node.pointer('rb_right'), depth + 1, `${path}r`, seen, order);
}
