/** `include/linux/list.h`: linked lists, walked with a bound. */
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';

/** More entries than any sound list in a kernel has; a walk that gets there is on a corrupt one. */
export const MAX_LIST_ENTRIES = 4_000_000;

/**
 * `list_for_each`: addresses of the `struct list_head`s on a list, without its head. Ends at the head, at NULL, or when
 * an entry comes again.
 */
export function* listForEach(program: Program, head: bigint, limit = MAX_LIST_ENTRIES): Generator<bigint> {
  const seen = new Set<bigint>([head]);
  let at = program.memory.readU64(head);
  while (at !== 0n && !seen.has(at) && seen.size <= limit) {
    seen.add(at);
    yield at;
    at = program.memory.readU64(at);
  }
}

/** `list_for_each_entry`: the structures on a list. */
export function* listForEachEntry(
  program: Program,
  head: bigint,
  struct: string,
  member: string,
  limit?: number,
): Generator<StructObject> {
  const type = program.types.struct(struct);
  const offset = BigInt(program.object(struct, 0n).offsetOf(member));
  for (const at of listForEach(program, head, limit)) yield new StructObject(program.memory, type, at - offset);
}

/** `hlist_for_each_entry`: the structures behind a `struct hlist_head`. A `nulls` mark ends the list too. */
export function* hlistForEachEntry(
  program: Program,
  head: bigint,
  struct: string,
  member: string,
): Generator<StructObject> {
  const type = program.types.struct(struct);
  const offset = BigInt(program.object(struct, 0n).offsetOf(member));
  const seen = new Set<bigint>();
  for (
    let at = program.memory.readU64(head);
    at !== 0n && (at & 1n) === 0n && !seen.has(at);
    at = program.memory.readU64(at)
  ) {
    seen.add(at);
    yield new StructObject(program.memory, type, at - offset);
  }
}
