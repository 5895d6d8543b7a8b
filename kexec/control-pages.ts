/**
 * What x86_64's `machine_kexec` has beside the segments: page tables that map memory to itself, and a GDT, in pages of the crash kernel
 * region that no segment takes.
 *
 * Sources: Intel SDM vol. 3A "4-Level Paging and 5-Level Paging"; `Documentation/arch/x86/boot.rst` (v6.12) "64-bit Boot Protocol" for
 * the selectors; Linux v6.12 `arch/x86/kernel/machine_kexec_64.c` "init_pgtable", `kernel/kexec_core.c`
 * "kimage_alloc_crash_control_pages" for the place: the first hole of the region.
 */
import { writeU64 } from '../capture/formats/bytes.ts';
import { UsageError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import type { KexecSegment } from './segments.ts';
import { locateMemHole, PAGE_SIZE } from './segments.ts';

const ENTRIES = 512;
const LARGE_PAGE = 2 * 2 ** 20;
const DIRECTORY_SPAN = ENTRIES * LARGE_PAGE;
/** Present, writable, accessed, dirty; of a page directory entry also "page size". */
const TABLE = 0x63n;
const LARGE = 0xe3n;
/** Selectors 0x10 (64-bit code) and 0x18 (data). */
const GDT_ENTRIES = [0n, 0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn] as const;

/** Pages, and what the CPU is told of them. */
export interface ControlPages {
  readonly mem: number;
  readonly bytes: Uint8Array;
  /** Physical address of the PML4. */
  readonly cr3: number;
  readonly gdt: { readonly base: number; readonly limit: number };
}

/**
 * Builds the pages.
 * @param end first address that need not be mapped; at most 512 GiB
 * @throws UsageError when the region has no room besides the segments
 */
export function buildControlPages(
  region: PhysicalRange,
  segments: readonly Pick<KexecSegment, 'mem' | 'memsz'>[],
  end: number,
): ControlPages {
  const directories = Math.ceil(end / DIRECTORY_SPAN);
  const size = (3 + directories) * PAGE_SIZE;
  const placement = { size, alignment: PAGE_SIZE, min: 0, max: Number.MAX_SAFE_INTEGER, direction: 'up' } as const;
  const mem = locateMemHole(region, segments, placement);
  if (mem === undefined)
    throw new UsageError('Could not allocate control_code_buffer: the crash kernel region is full');
  const bytes = new Uint8Array(size);
  const page = (n: number): number => mem + n * PAGE_SIZE;
  // PML4, PDPT, page directories, GDT.
  writeU64(bytes, 0, BigInt(page(1)) | TABLE);
  for (let i = 0; i < directories; i++) writeU64(bytes, PAGE_SIZE + i * 8, BigInt(page(2 + i)) | TABLE);
  for (let i = 0; i < directories * ENTRIES; i++)
    writeU64(bytes, 2 * PAGE_SIZE + i * 8, (BigInt(i) * BigInt(LARGE_PAGE)) | LARGE);
  const gdtOffset = size - PAGE_SIZE;
  for (const [i, entry] of GDT_ENTRIES.entries()) writeU64(bytes, gdtOffset + i * 8, entry);
  return { mem, bytes, cr3: mem, gdt: { base: mem + gdtOffset, limit: GDT_ENTRIES.length * 8 - 1 } };
}
