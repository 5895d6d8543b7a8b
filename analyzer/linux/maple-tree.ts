/** Maple trees; `include/linux/maple_tree.h`, `lib/maple_tree.c` (Linux v6.1 to v6.12). */
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';

/** `enum maple_type`, in bits 6:3 of an encoded node. */
export const MAPLE_TYPE = { DENSE: 0, LEAF_64: 1, RANGE_64: 2, ARANGE_64: 3 } as const;
const TYPE_SHIFT = 3n;
const TYPE_MASK = 0xfn;
const NODE_MASK = 0xffn;
/** `xa_is_node`: bits 1:0 are 2 and the value is above the reserved ones. */
const XA_NODE = 2n;
const MAX_RESERVED = 4096n;
const MAX_DEPTH = 32;

/** An entry and the range of indices that it covers, both ends included. */
export interface MapleEntry {
  readonly first: bigint;
  readonly last: bigint;
  readonly pointer: bigint;
  /** The slots on the way from the root; empty for an entry that is the root. */
  readonly path: readonly number[];
}

/** A node on the way, in front of what is in it. */
export interface MapleNode {
  readonly node: bigint;
  readonly type: number;
  readonly depth: number;
  readonly first: bigint;
  readonly last: bigint;
}

/** `mt_for_each`: the entries of a tree in order of index. */
export function* mapleForEach(program: Program, tree: StructObject): Generator<MapleEntry> {
  yield* entriesOnly(mapleWalk(program, tree.pointer('ma_root')));
}

/** The entries below a node, or below what `ma_root` holds. */
export function* mapleEntriesBelow(program: Program, root: bigint): Generator<MapleEntry> {
  yield* entriesOnly(mapleWalk(program, root));
}

function* entriesOnly(all: Iterable<MapleEntry | MapleNode>): Generator<MapleEntry> {
  for (const item of all) if ('pointer' in item && isUsed(item.pointer)) yield item;
}

/** Nodes and entries, empty ones too, in the order of `mt_dump`. @param root encoded, as `ma_root` has it */
export function* mapleWalk(program: Program, root: bigint): Generator<MapleEntry | MapleNode> {
  if (root === 0n) return;
  if (!isNode(root)) {
    if ((root & 3n) === 0n) yield { first: 0n, last: 0n, pointer: root, path: [] };
    return;
  }
  yield* walkNode(program, root, { first: 0n, last: 0xffff_ffff_ffff_ffffn, pointer: root, path: [] }, new Set());
}

function isNode(entry: bigint): boolean {
  return (entry & 3n) === XA_NODE && entry > MAX_RESERVED;
}

/** Empty and internal entries are none. */
function isUsed(entry: bigint): boolean {
  return entry !== 0n && (entry & 3n) !== XA_NODE;
}

/** @param place range and path of the node */
function* walkNode(
  program: Program,
  encoded: bigint,
  place: MapleEntry,
  seen: Set<bigint>,
): Generator<MapleEntry | MapleNode> {
  const node = encoded & ~NODE_MASK;
  const depth = place.path.length;
  if (depth > MAX_DEPTH || seen.has(node)) return;
  seen.add(node);
  const type = Number((encoded >> TYPE_SHIFT) & TYPE_MASK);
  yield { node, type, depth, first: place.first, last: place.last };
  const isLeaf = type === MAPLE_TYPE.LEAF_64 || type === MAPLE_TYPE.DENSE;
  let { first } = place;
  for (const [index, { slot, pivot, isLast }] of slotsOf(program, node, type).entries()) {
    const last = isLast || (pivot === 0n && first !== 0n) || pivot > place.last ? place.last : pivot;
    const inner = { first, last, pointer: slot, path: [...place.path, index] };
    if (isLeaf) yield inner;
    else if (slot !== 0n) yield* walkNode(program, slot, inner, seen);
    if (last >= place.last) return;
    first = last + 1n;
  }
}

/** A slot of a node and the last index that it covers. */
export interface MapleSlot {
  readonly slot: bigint;
  readonly pivot: bigint;
  readonly isLast: boolean;
}

/** The slots of a node, used or not. */
export function slotsOf(program: Program, address: bigint, type: number): MapleSlot[] {
  const struct = type === MAPLE_TYPE.ARANGE_64 ? 'maple_arange_64' : 'maple_range_64';
  const node = program.object(struct, address);
  const count = node.lengthOf('slot');
  return Array.from({ length: count }, (_, index) => {
    const isLast = index === count - 1;
    return { slot: node.pointer(`slot[${index}]`), pivot: isLast ? 0n : node.pointer(`pivot[${index}]`), isLast };
  });
}
