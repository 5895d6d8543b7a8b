/**
 * Chooses the pages of a dump: those that exist, less those that the dump level leaves out.
 *
 * Source: makedumpfile(8) `-d`. Zero pages are another matter: a kdump-compressed dump keeps their descriptors, so they
 * are found while pages are copied; only an ELF dump leaves them out of its bitmap.
 */
import type { Vmcoreinfo } from './formats/vmcoreinfo.ts';
import { excludeFreeLists } from './free-lists.ts';
import type { KernelMemory } from './kernel-memory.ts';
import { PageArrayReader, findPageArrays } from './page-array.ts';
import type { PageArray } from './page-array.ts';
import type { PageBitmap } from './page-bitmap.ts';
import { DUMP_LEVEL, PageClassifier } from './page-classifier.ts';
import type { Exclusion } from './page-classifier.ts';
import { pageLayout } from './page-layout.ts';
import type { PageLayout } from './page-layout.ts';

/** Pages left out, by reason. */
export type ExclusionCounts = Record<Exclusion, number>;

/** What a filter did. */
export interface FilterResult {
  readonly counts: ExclusionCounts;
  /** One line each, for the user. */
  readonly warnings: readonly string[];
}

/** What a filter works on. */
export interface FilterInput {
  readonly memory: KernelMemory;
  readonly vmcoreinfo: Vmcoreinfo;
  /** Pages of the machine that the source describes. */
  readonly exists: PageBitmap;
  /** Pages to dump; the filter removes from it. */
  readonly dumped: PageBitmap;
  readonly level: number;
  /** Told how far the scan is: page arrays done, and all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Counts of a filter that left nothing out. */
export function noExclusions(): ExclusionCounts {
  return { cache: 0, cachePrivate: 0, user: 0, free: 0, hwpoison: 0, offline: 0 };
}

/**
 * Removes the pages that a dump level leaves out.
 * @throws FormatError when VMCOREINFO does not describe the kernel's pages
 * @throws FaultError when the tables that lead to the page structures are not in the dump
 */
export function filterPages(input: FilterInput): FilterResult {
  const counts = noExclusions();
  const layout = pageLayout(input.vmcoreinfo);
  if (!isFilterNeeded(layout, input.level)) return { counts, warnings: [] };
  const arrays = findPageArrays(input.memory, input.vmcoreinfo, input.exists.maxPfn);
  const classifier = new PageClassifier(layout, input.level);
  const reader = new PageArrayReader(input.memory, layout.size);
  for (const [index, array] of arrays.entries()) {
    input.onProgress?.(index, arrays.length);
    filterArray(input, array, reader, classifier, counts);
  }
  input.onProgress?.(arrays.length, arrays.length);
  const warnings = warningsOf(classifier, reader);
  const needsLists = (input.level & DUMP_LEVEL.FREE) !== 0 && !knowsFreePages(layout);
  if (needsLists) warnings.push(...excludeFreeLists(input, layout, arrays, counts));
  return { counts, warnings };
}

/** A kernel whose `struct page` does not tell free pages keeps them in lists only. */
function knowsFreePages(layout: PageLayout): boolean {
  return layout.buddyType !== undefined && layout.mapcount !== undefined && layout.private !== undefined;
}

/** Poisoned pages are left out at every level, where the kernel can have them. */
function isFilterNeeded(layout: PageLayout, level: number): boolean {
  return (level & ~DUMP_LEVEL.ZERO) !== 0 || layout.hwpoisonMask !== 0;
}

function warningsOf(classifier: PageClassifier, reader: PageArrayReader): string[] {
  const warnings: string[] = [];
  if (classifier.invalidOrders > 0) warnings.push(`${classifier.invalidOrders} free blocks have an impossible order`);
  if (reader.unreadable > 0) warnings.push(`${reader.unreadable} page structures cannot be read: their pages are kept`);
  return warnings;
}

/** Walks one page array; a page that stands for others (a free block, a compound) decides for all of them. */
function filterArray(
  { exists, dumped }: FilterInput,
  array: PageArray,
  reader: PageArrayReader,
  classifier: PageClassifier,
  counts: ExclusionCounts,
): void {
  const end = Math.min(array.endPfn, exists.maxPfn);
  for (let pfn = exists.next(array.startPfn); pfn < end;) {
    const start = pfn;
    const blockEnd = Math.min(reader.blockEnd(pfn), end);
    const block = reader.read(array, start, blockEnd);
    if (block === undefined) pfn = blockEnd;
    while (pfn < blockEnd) {
      let step = 1;
      if (exists.has(pfn)) {
        const { exclusion, pages } = classifier.classify(block!, pfn - start, pfn);
        step = pages;
        if (exclusion !== undefined) counts[exclusion] += dumped.removeRange(pfn, pfn + pages);
      }
      pfn += step;
    }
    pfn = exists.next(pfn);
  }
}
