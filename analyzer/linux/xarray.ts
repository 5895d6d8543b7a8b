/** XArrays, IDRs and radix trees; `include/linux/xarray.h`, `lib/xarray.c`, and before 4.20 `lib/radix-tree.c`. */
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';

/** Bits 1:0 of an entry: 2 is internal (a node), 1 a value. */
const XA_INTERNAL = 2n;
/** Internal entries up to here are not nodes: retry, zero and sibling entries; `xa_is_node`. */
const HIGHEST_SPECIAL = 4096n;
/** A tree of 64-bit indices with 64 slots a node is at most this deep. */
const MAX_DEPTH = 12;

/** An entry. */
export interface XarrayEntry {
  readonly index: bigint;
  /** The stored word: a pointer, or a value entry with bit 0 set. */
  readonly pointer: bigint;
}

/** A node on the way, for commands that show the tree itself. */
export interface XarrayNode {
  readonly address: bigint;
  readonly index: bigint;
  readonly depth: number;
}

/** `xa_for_each`: the entries of a `struct xarray`, in order of index. @param onNode called for each node before its slots */
export function* xaForEach(
  program: Program,
  xarray: StructObject,
  onNode?: (node: XarrayNode) => void,
): Generator<XarrayEntry> {
  if (xarray.has('xa_head')) yield* walk(program, xarray.pointer('xa_head'), 'xa_node', XA_INTERNAL, onNode);
  else yield* walk(program, xarray.pointer('rnode'), 'radix_tree_node', 1n, onNode);
}

/** `idr_for_each_entry`: an IDR is an XArray, before 4.20 a radix tree, under another name. */
export function* idrForEach(program: Program, idr: StructObject): Generator<XarrayEntry> {
  yield* xaForEach(program, idr.embedded('idr_rt'));
}

function* walk(
  program: Program,
  head: bigint,
  struct: string,
  nodeMark: bigint,
  onNode: ((node: XarrayNode) => void) | undefined,
): Generator<XarrayEntry> {
  if (head === 0n) return;
  if (!isNode(head, nodeMark)) {
    yield { index: 0n, pointer: head };
    return;
  }
  const root = program.object(struct, head & ~3n);
  yield* walkNode(program, root, 0n, 0, { struct, nodeMark, onNode, seen: new Set() });
}

interface WalkState {
  readonly struct: string;
  readonly nodeMark: bigint;
  readonly onNode: ((node: XarrayNode) => void) | undefined;
  readonly seen: Set<bigint>;
}

function* walkNode(
  program: Program,
  node: StructObject,
  base: bigint,
  depth: number,
  state: WalkState,
): Generator<XarrayEntry> {
  if (depth > MAX_DEPTH || state.seen.has(node.address)) return;
  state.seen.add(node.address);
  state.onNode?.({ address: node.address, index: base, depth });
  const shift = node.big('shift') & 63n;
  const slots = node.addressOf('slots');
  for (let slot = 0; slot < node.lengthOf('slots'); slot++) {
    const entry = program.memory.readU64(slots + BigInt(8 * slot));
    if (entry === 0n) continue;
    const index = base + (BigInt(slot) << shift);
    if (!isNode(entry, state.nodeMark)) {
      if ((entry & 3n) !== XA_INTERNAL) yield { index, pointer: entry };
      continue;
    }
    yield* walkNode(program, program.object(state.struct, entry & ~3n), index, depth + 1, state);
  }
}

function isNode(entry: bigint, mark: bigint): boolean {
  return (entry & 3n) === mark && entry > HIGHEST_SPECIAL;
}
