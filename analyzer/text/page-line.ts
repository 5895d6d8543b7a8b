/** The line that describes a page structure, in `vtop`, `kmem` and others. */
import { pageFlagNames } from '../linux/page-flags.ts';
import { pfnOfPage } from '../linux/page.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { center, hex, hex16 } from './layout.ts';

/** Head of the columns. */
export function pageHeader(program: Program): string {
  const physical = center('PHYSICAL', physicalWidth(program));
  return `      PAGE       ${physical}      MAPPING       INDEX CNT FLAGS\n`;
}

/** One page: address, physical address, mapping, index, count, flags. */
export function pageLine(program: Program, page: StructObject): string {
  const pfn = pfnOfPage(program, page.address) ?? 0;
  const flags = page.pointer('flags');
  const mapping = page.pointer('mapping');
  const index = page.has('index') ? page.pointer('index') : page.pointer('__folio_index');
  const count = page.num('_refcount.counter');
  const names = pageFlagNames(program, flags);
  const paddr = hex(pfn * program.space.pageSize).padStart(physicalWidth(program));
  return `${hex16(page.address)} ${paddr} ${hex(mapping).padStart(16)} ${hex(index).padStart(8)} ${String(count).padStart(2)} ${hex(flags)}${names.length === 0 ? '' : ` ${names.join(',')}`}\n`;
}

/** Digits of the highest physical address of the dump, at least those of the head. */
function physicalWidth(program: Program): number {
  return Math.max(8, hex(program.dump.memory.maxPfn * program.space.pageSize).length);
}
