/** XArrays, IDRs and radix trees; `include/linux/xarray.h`, `lib/xarray.c`, and before 4.20 `lib/radix-tree.c`. */
import { FaultError } from '../../capture/formats/errors.ts';
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
  /** The slots on the way from the root; empty for an entry that is the root. */
  readonly path: readonly number[];
}

/** What a walk tells on its way. */
export interface XarrayVisitor {
  /** Takes the fault of an unreadable node, whose subtree is left out; without it the fault ends the walk. */
  readonly onFault?: (fault: FaultError) => void;
}

/** `xa_for_each`: the entries of a `struct xarray`, in order of index. */
export function* xaForEach(
  program: Program,
  xarray: StructObject,
  visitor: XarrayVisitor = {},
): Generator<XarrayEntry> {
  if (xarray.has('xa_head')) yield* walk(program, xarray.pointer('xa_head'), 'xa_node', XA_INTERNAL, visitor);
  else yield* walk(program, xarray.pointer('rnode'), 'radix_tree_node', 1n, visitor);
}

/** The entries below a node, or below what `xa_head` holds. */
export function* xaEntriesBelow(program: Program, head: bigint): Generator<XarrayEntry> {
  const isXarray = program.types.findStruct('xarray') !== undefined;
  yield* walk(program, head, isXarray ? 'xa_node' : 'radix_tree_node', isXarray ? XA_INTERNAL : 1n, {});
}

/** `idr_for_each_entry`: an IDR is an XArray, before 4.20 a radix tree, under another name. */
export function* idrForEach(program: Program, idr: StructObject, visitor?: XarrayVisitor): Generator<XarrayEntry> {
  yield* xaForEach(program, idr.embedded('idr_rt'), visitor);
}

function* walk(
  program: Program,
  head: bigint,
  struct: string,
  nodeMark: bigint,
  visitor: XarrayVisitor,
): Generator<XarrayEntry> {
  if (head === 0n) return;
  if (!isNode(head, nodeMark)) {
    yield { index: 0n, pointer: head, path: [] };
    return;
  }
  const root = program.object(struct, head & ~3n);
  yield* walkNode(
    program,
    root,
    { index: 0n, pointer: head, path: [] },
    { struct, nodeMark, visitor, seen: new Set() },
  );
}

interface WalkState {
  readonly struct: string;
  readonly nodeMark: bigint;
  readonly visitor: XarrayVisitor;
  readonly seen: Set<bigint>;
}

function* walkNode(program: Program, node: StructObject, place: XarrayEntry, state: WalkState): Generator<XarrayEntry> {
  if (place.path.length > MAX_DEPTH || state.seen.has(node.address)) return;
  state.seen.add(node.address);
  for (const entry of slotsOf(program, node, place, state.visitor)) {
    const { pointer } = entry;
    if (isNode(pointer, state.nodeMark))
      yield* walkNode(program, program.object(state.struct, pointer & ~3n), entry, state);
    else if ((pointer & 3n) !== XA_INTERNAL) yield entry;
  }
}

/** The slots of a node that are in use. @throws FaultError when the node cannot be read and the visitor takes no faults */
function slotsOf(program: Program, node: StructObject, place: XarrayEntry, { onFault }: XarrayVisitor): XarrayEntry[] {
  try {
    const shift = node.big('shift') & 63n;
    const slots = node.addressOf('slots');
    return Array.from({ length: node.lengthOf('slots') }, (_, slot) => ({
      index: place.index + (BigInt(slot) << shift),
      pointer: program.memory.readU64(slots + BigInt(8 * slot)),
      path: [...place.path, slot],
    })).filter(({ pointer }) => pointer !== 0n);
  } catch (error) {
    if (onFault === undefined || !(error instanceof FaultError)) throw error;
    onFault(error);
    return [];
  }
}

function isNode(entry: bigint, mark: bigint): boolean {
  return (entry & 3n) === mark && entry > HIGHEST_SPECIAL;
}
