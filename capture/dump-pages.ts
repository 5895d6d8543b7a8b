/** The two bitmaps of a dump that is to be written, from what its source says. */
import type { ElfCore } from './formats/elf-core.ts';
import { FormatError } from './formats/errors.ts';
import type { MemorySource } from './formats/memory-source.ts';
import { PageBitmap } from './page-bitmap.ts';
import type { Dump } from './sources/dump-file.ts';

/** Pages that bitmaps are made for without asking whether the file can have them: 32 GiB of 4 KiB pages. */
const UNQUESTIONED_PAGES = 2 ** 23;
/** 8 TiB of 4 KiB pages: bitmaps of 256 MiB. */
const MAX_PAGES = 2 ** 31;

/** The pages of a source. */
export interface DumpPages {
  /** Pages that the machine has, as far as the source tells. */
  readonly exists: PageBitmap;
  /** Pages whose bytes the source has. */
  readonly available: PageBitmap;
}

/**
 * Finds which pages a dump describes and which of them it has.
 * @throws FormatError when it claims more memory than a bitmap can describe
 */
export function dumpPages(dump: Dump): DumpPages {
  const { maxPfn } = dump.memory;
  checkClaim(dump, maxPfn);
  const [first] = dump.diskDumps;
  if (first !== undefined) {
    return {
      exists: new PageBitmap(maxPfn, new Uint8Array(first.existingPages)),
      available: new PageBitmap(maxPfn, new Uint8Array(first.dumpedPages)),
    };
  }
  return dump.elfCore === undefined ? heldPages(dump.memory) : segmentPages(dump.elfCore);
}

/** Page structures alone take 64 bytes a page: a file of less than a bit a page lies about its memory. */
function checkClaim({ path, elfCore }: Dump, maxPfn: number): void {
  const believable = elfCore === undefined ? MAX_PAGES : Math.max(UNQUESTIONED_PAGES, 8 * elfCore.elf.source.size);
  if (maxPfn <= Math.min(believable, MAX_PAGES)) return;
  throw new FormatError('the dump claims too much memory', {
    file: path,
    expected: `at most ${Math.min(believable, MAX_PAGES)} pages`,
    found: `${maxPfn}`,
  });
}

function segmentPages({ dataRanges, maxPfn, pageSize }: ElfCore): DumpPages {
  const exists = new PageBitmap(maxPfn);
  const available = new PageBitmap(maxPfn);
  for (const { start, end, dataEnd } of dataRanges) {
    exists.addRange(Math.floor(start / pageSize), Math.ceil(end / pageSize));
    available.addRange(Math.floor(start / pageSize), Math.ceil(dataEnd / pageSize));
  }
  return { exists, available };
}

/** Memory that does not describe itself: a file of raw RAM, a machine. */
function heldPages(memory: MemorySource): DumpPages {
  const exists = new PageBitmap(memory.maxPfn);
  for (let pfn = 0; pfn < memory.maxPfn; pfn++) if (memory.hasPage(pfn)) exists.add(pfn);
  return { exists, available: exists.clone() };
}
