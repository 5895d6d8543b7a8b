/**
 * Leaves out page structures that describe only pages that are left out themselves: makedumpfile's `-e`.
 *
 * Source: makedumpfile(8) `-e`. As there, only whole runs of at least 128 left-out pages count, inside a block of 32,768, whose
 * structures are contiguous in physical memory, and only on x86_64, whose page structures lie in a virtual array (vmemmap). A dump
 * without them says so in its header's status.
 *
 * Not as there: makedumpfile 1.7.9 (`find_vmemmap_x86_64`) ends the page frames that a run of 2 MiB pages of structures stands for one
 * such page early, so that the structures of a run's last 128 MiB always stay; and for a kdump-compressed source, which has no program
 * headers, it takes memory for empty and leaves out page frames from 0 on that hold no structures at all.
 */
import { FaultError, UsageError } from './formats/errors.ts';
import type { DumpedKernel } from './open-kernel.ts';
import { findPageArrays } from './page-array.ts';
import type { PageArray } from './page-array.ts';
import type { PageBitmap, PfnRange } from './page-bitmap.ts';

/** Pages whose bits lie in one word of the bitmaps. */
const WORD = 64;
/** A word of pages has less than a page of structures. */
const LEAST_WORDS = 2;
/** Runs do not go from one block of makedumpfile's bitmap into the next. */
const BLOCK = 32_768;

/**
 * Removes the pages that hold the structures.
 * @returns how many were removed
 * @throws UsageError when the kernel's architecture has no such array
 */
export function excludeUnusedVmemmap(kernel: DumpedKernel, exists: PageBitmap, dumped: PageBitmap): number {
  const { memory, vmcoreinfo, architecture } = kernel;
  if (architecture !== 'x86_64')
    throw new UsageError('-e: only x86_64 kernels have page structures that can be left out');
  const structSize = vmcoreinfo.sizeOf('page') ?? WORD;
  const unused = findPageArrays(memory, vmcoreinfo, exists.maxPfn).flatMap(array =>
    unusedRuns(array, exists, dumped).map(run => structuresOf(array, run, structSize)),
  );
  let removed = 0;
  for (const { start, end } of unused) {
    const pfns: (number | undefined)[] = [];
    for (let vaddr = roundUp(start); vaddr + PAGE <= end; vaddr += PAGE) pfns.push(pageFrame(kernel, vaddr));
    const first = pfns[0];
    if (first === undefined || pfns.some((pfn, index) => pfn !== first + index)) continue;
    removed += dumped.removeRange(first, first + pfns.length);
  }
  return removed;
}

const PAGE = 4096n;

function roundUp(vaddr: bigint): bigint {
  return (vaddr + PAGE - 1n) & ~(PAGE - 1n);
}

/** Runs of words whose pages all exist and are all left out. */
function unusedRuns(array: PageArray, exists: PageBitmap, dumped: PageBitmap): PfnRange[] {
  const runs: PfnRange[] = [];
  const end = Math.min(array.endPfn, exists.maxPfn);
  for (let pfn = Math.ceil(array.startPfn / WORD) * WORD; pfn + WORD <= end; pfn += WORD) {
    if (exists.count(pfn, pfn + WORD) < WORD || dumped.count(pfn, pfn + WORD) > 0) continue;
    const last = runs.at(-1);
    if (last?.end === pfn && pfn % BLOCK !== 0) runs[runs.length - 1] = { start: last.start, end: pfn + WORD };
    else runs.push({ start: pfn, end: pfn + WORD });
  }
  return runs.filter(({ start, end: to }) => to - start >= LEAST_WORDS * WORD);
}

/** Virtual addresses of the structures of a run. */
function structuresOf(array: PageArray, { start, end }: PfnRange, size: number): { start: bigint; end: bigint } {
  const at = (pfn: number): bigint => array.address + BigInt((pfn - array.startPfn) * size);
  return { start: at(start), end: at(end) };
}

function pageFrame({ memory }: DumpedKernel, vaddr: bigint): number | undefined {
  try {
    const paddr = memory.translate(vaddr);
    return paddr === undefined ? undefined : Math.floor(paddr / memory.space.pageSize);
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}
