/** vmalloc areas; `mm/vmalloc.c`, `include/linux/vmalloc.h`. */
import type { Program } from '../program.ts';
import { mapPresent } from '../gaps.ts';
import type { StructObject } from '../types/object.ts';
import { listForEachEntry } from './list.ts';

const MAX_AREAS = 1_000_000;

/** A mapped area. */
export interface VmallocArea {
  /** `struct vmap_area`, when there is one. */
  readonly area: StructObject;
  readonly vmStruct: bigint;
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * `vmap_area_list` until 6.8; `vmap_nodes[].busy.head` since 6.9 (commit d093602919ad "mm: vmalloc: remove global
 * vmap_area_root rb-tree"). In order of address; areas without a `vm_struct` are per-cpu or lazily freed ones.
 */
export function vmallocAreas(program: Program): VmallocArea[] {
  const found: VmallocArea[] = [];
  for (const head of heads(program)) {
    const areas = listForEachEntry(program, head, 'vmap_area', 'list', MAX_AREAS);
    found.push(...mapPresent(program, 'vmalloc areas', areas, vmallocArea));
  }
  return found.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
}

function vmallocArea(area: StructObject): VmallocArea {
  return { area, vmStruct: area.pointer('vm'), start: area.pointer('va_start'), end: area.pointer('va_end') };
}

function heads(program: Program): bigint[] {
  const list = program.symbols.find('vmap_area_list') ?? program.vmcoreinfo.symbol('vmap_area_list');
  if (list !== undefined) return [list];
  const table = program.symbols.find('vmap_nodes');
  const count = program.symbols.find('nr_vmap_nodes');
  if (table === undefined || count === undefined) return [];
  const base = program.memory.readU64(table);
  const size = BigInt(program.types.struct('vmap_node').size);
  const node = program.object('vmap_node', 0n);
  const length = Math.min(1024, program.memory.readI32(count));
  return Array.from({ length }, (_, index) => base + BigInt(index) * size + BigInt(node.offsetOf('busy.head')));
}

/** Areas that are in use, as ranges. */
export function mappedAreas(program: Program): { start: bigint; end: bigint }[] {
  return vmallocAreas(program).filter(({ vmStruct }) => vmStruct !== 0n);
}
