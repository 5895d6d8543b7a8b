/** Lines of vmalloc areas, in `kmem -v` and of an address. */
import { hex16 } from '../text/layout.ts';

/** An area, as the views of `kmem` give it. */
export interface VmallocRow {
  readonly area: bigint;
  readonly vmStruct: bigint;
  readonly start: bigint;
  readonly end: bigint;
}

/** Head of the columns. */
export function vmallocHeader(): string {
  return '   VMAP_AREA         VM_STRUCT                 ADDRESS RANGE                SIZE\n';
}

/** One area. */
export function vmallocRow({ area, vmStruct, start, end }: VmallocRow): string {
  return `${hex16(area)}  ${hex16(vmStruct)}  ${hex16(start)} - ${hex16(end)}  ${String(end - start).padStart(7)}\n`;
}
