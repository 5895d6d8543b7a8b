/** Maple trees; `include/linux/maple_tree.h`, `lib/maple_tree.c` (Linux v6.1 to v6.12). */
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';

/** `enum maple_type`, in bits 6:3 of an encoded node. */
const MAPLE_TYPE = { DENSE: 0, LEAF_64: 1, RANGE_64: 2, ARANGE_64: 3 } as const;
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
}

/** `mt_for_each`: the entries of a tree in order of index. */
export function* mapleForEach(program: Program, tree: StructObject): Generator<MapleEntry> {
  const root = tree.pointer('ma_root');
  if (root === 0n) return;
  if (!isNode(root)) {
    if ((root & 3n) === 0n) yield { first: 0n, last: 0n, pointer: root };
    return;
  }
  yield* walkNode(program, root, 0n, 0xffff_ffff_ffff_ffffn, 0, new Set());
}

function isNode(entry: bigint): boolean {
  return (entry & 3n) === XA_NODE && entry > MAX_RESERVED;
}

function* walkNode(
  program: Program,
  encoded: bigint,
  min: bigint,
  max: bigint,
  depth: number,
  seen: Set<bigint>,
): Generator<MapleEntry> {
  const address = encoded & ~NODE_MASK;
  if (depth > MAX_DEPTH || seen.has(address)) return;
  seen.add(address);
  const type = Number((encoded >> TYPE_SHIFT) & TYPE_MASK);
  const isLeaf = type === MAPLE_TYPE.LEAF_64 || type === MAPLE_TYPE.DENSE;
  let first = min;
  for (const { slot, pivot, isLast } of slotsOf(program, address, type)) {
    const last = isLast || (pivot === 0n && first !== 0n) || pivot > max ? max : pivot;
    if (isLeaf) yield* leafEntry(first, last, slot);
    else if (slot !== 0n) yield* walkNode(program, slot, first, last, depth + 1, seen);
    if (last >= max) return;
    first = last + 1n;
  }
}

/** An entry of a leaf; empty and internal ones are none. */
function* leafEntry(first: bigint, last: bigint, slot: bigint): Generator<MapleEntry> {
  if (slot !== 0n && (slot & 3n) !== XA_NODE) yield { first, last, pointer: slot };
}

interface Slot {
  readonly slot: bigint;
  readonly pivot: bigint;
  readonly isLast: boolean;
}

function slotsOf(program: Program, address: bigint, type: number): Slot[] {
  const struct = type === MAPLE_TYPE.ARANGE_64 ? 'maple_arange_64' : 'maple_range_64';
  const node = program.object(struct, address);
  const count = node.lengthOf('slot');
  return Array.from({ length: count }, (_, index) => {
    const isLast = index === count - 1;
    return { slot: node.pointer(`slot[${index}]`), pivot: isLast ? 0n : node.pointer(`pivot[${index}]`), isLast };
  });
}
