/** What page tables map: `info tlb` page by page, `info mem` by ranges of the same rights. */
import type { DebugView, PageMapping } from '../../../emulator/index.ts';
import { hex } from './target.ts';

/** A kernel's linear map has a line for each page. */
const MOST_MAPPINGS = 2 ** 20;
/** Or it is 32-bit paging, which is not listed. */
const PAGING_OFF = 'PG disabled';

/** One line a page: virtual address, physical address, flags. */
export function mappings(debug: DebugView, cpu: number): string[] {
  const found = debug.mappings(cpu, MOST_MAPPINGS);
  if (found.length === 0) return [PAGING_OFF];
  return [...found.map(({ vaddr, paddr, flags }) => `${hex(vaddr, 16)}: ${hex(paddr, 16)} ${flags}`), ...cut(found)];
}

/** One line a range: first address, end, size, rights. */
export function mappingRanges(debug: DebugView, cpu: number): string[] {
  const found = debug.mappings(cpu, MOST_MAPPINGS);
  if (found.length === 0) return [PAGING_OFF];
  const lines: string[] = [];
  let start = found[0]!;
  let end = start.vaddr;
  const finish = (): void => {
    lines.push(
      `${hex(start.vaddr, 16)}-${hex(BigInt.asUintN(64, end), 16)} ${hex(end - start.vaddr, 16)} ${rights(start)}`,
    );
  };
  for (const mapping of found) {
    if (mapping.vaddr !== end || rights(mapping) !== rights(start)) {
      finish();
      start = mapping;
    }
    end = mapping.vaddr + BigInt(mapping.size);
  }
  finish();
  return [...lines, ...cut(found)];
}

/** u: user programs too; r, w, x. */
function rights({ user, writable, executable }: PageMapping): string {
  return `${user ? 'u' : '-'}r${writable ? 'w' : '-'}${executable ? 'x' : '-'}`;
}

function cut(found: readonly PageMapping[]): string[] {
  return found.length < MOST_MAPPINGS ? [] : [`(the first ${MOST_MAPPINGS} pages)`];
}
