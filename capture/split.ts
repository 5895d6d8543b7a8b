/**
 * Dumps split over several files: where to cut, and how to make one file of them again.
 *
 * Source: makedumpfile(8) `--split`, `--splitblock-size`, `--reassemble`.
 */
import { UsageError } from './formats/errors.ts';
import type { DiskDumpFile } from './formats/diskdump.ts';
import type { PageBitmap, PfnRange } from './page-bitmap.ts';
import type { Dump } from './sources/dump-file.ts';

/** Memory of a split block in bytes, when `--splitblock-size` says nothing. */
export const DEFAULT_SPLIT_BLOCK = 2 ** 30;

/**
 * Cuts a dump into parts of about the same number of dumped pages; cuts lie at multiples of the block.
 * @param blockSize in bytes, a multiple of the page size
 * @throws UsageError when it is not
 */
export function splitRanges(dumped: PageBitmap, parts: number, pageSize: number, blockSize: number): PfnRange[] {
  if (!(blockSize > 0)) throw new UsageError('The splitblock size could not be 0.');
  if (blockSize % pageSize !== 0) throw new UsageError('The splitblock size must be align to page_size.');
  const blockPages = blockSize / pageSize;
  const perPart = Math.floor(dumped.count() / parts);
  const ranges: PfnRange[] = [];
  let start = 0;
  for (let part = 0; part < parts - 1; part++) {
    let end = start;
    for (let needed = perPart; needed > 0 && end < dumped.maxPfn; end += blockPages)
      needed -= dumped.count(end, Math.min(end + blockPages, dumped.maxPfn));
    ranges.push({ start, end: Math.min(end, dumped.maxPfn) });
    start = Math.min(end, dumped.maxPfn);
  }
  return [...ranges, { start, end: dumped.maxPfn }];
}

/**
 * Checks that the files of a dump are all parts of one dump and that none is missing.
 * @returns the files in order of their page frames
 * @throws UsageError naming what does not fit
 */
export function checkParts(dump: Dump): DiskDumpFile[] {
  const files = [...dump.diskDumps].sort((a, b) => a.startPfn - b.startPfn || a.endPfn - b.endPfn);
  const [first] = files;
  if (first === undefined) throw new UsageError(`${dump.path} is not the kdump-compressed format.`);
  let end = 0;
  for (const file of files) {
    if (!isSameDump(first, file)) throw new UsageError(`Invalid dumpfile(${file.source.name}).`);
    if (file.startPfn !== end) throw new UsageError(missingPart(end, file.startPfn));
    end = file.endPfn;
  }
  if (end !== first.maxPfn) throw new UsageError(missingPart(end, first.maxPfn));
  return files;
}

function isSameDump(a: DiskDumpFile, b: DiskDumpFile): boolean {
  return (
    a.maxPfn === b.maxPfn &&
    a.pageSize === b.pageSize &&
    a.header.tv_sec === b.header.tv_sec &&
    a.header.release === b.header.release &&
    a.header.nodename === b.header.nodename &&
    Buffer.compare(a.dumpedPages, b.dumpedPages) === 0
  );
}

function missingPart(from: number, to: number): string {
  return `There is not dumpfile corresponding to pfn 0x${from.toString(16)} - 0x${to.toString(16)}.`;
}
