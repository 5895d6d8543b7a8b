/**
 * Where the kernel keeps the `struct page` of each page frame.
 *
 * Source: `Documentation/mm/memory-model.rst` (Linux v6.12); `include/linux/mmzone.h` for SPARSEMEM's coding of
 * `section_mem_map`. Modelled: SPARSEMEM with a static table, with a root table (EXTREME) and with a pointer to the root
 * table; FLATMEM. Not modelled: DISCONTIGMEM (gone since v5.14; x86_64 and arm64 do not use it).
 */
import { readU64, wordsOf } from './formats/bytes.ts';
import { FaultError, FormatError } from './formats/errors.ts';
import type { Vmcoreinfo } from './formats/vmcoreinfo.ts';
import type { KernelMemory } from './kernel-memory.ts';
import type { PageBlock } from './page-classifier.ts';

/** The structures of a run of page frames, contiguous in virtual memory. */
export interface PageArray {
  readonly startPfn: number;
  readonly endPfn: number;
  /** Virtual address of the structure of `startPfn`. */
  readonly address: bigint;
}

/** SECTION_MARKED_PRESENT, and the bits of `section_mem_map` that are flags. */
const SECTION_PRESENT = 1n;
const SECTION_FLAGS = 0x3fn;
/** Bound on the sections of a dump: 64 TiB of 128 MiB sections. */
const MAX_SECTIONS = 524_288;
const BLOCK_PAGES = 512;

/**
 * Finds the page arrays of a kernel, in order of page frames.
 * @throws FormatError when VMCOREINFO does not describe a memory model
 * @throws FaultError when the kernel's tables cannot be read
 */
export function findPageArrays(memory: KernelMemory, info: Vmcoreinfo, maxPfn: number): PageArray[] {
  const table = info.symbol('mem_section');
  if (table !== undefined) return sparsePageArrays(memory, info, maxPfn, table);
  const flat = info.symbol('mem_map');
  if (flat === undefined) {
    throw new FormatError('VMCOREINFO does not tell where the page structures are', {
      expected: 'SYMBOL(mem_section) or SYMBOL(mem_map)',
      found: 'neither',
    });
  }
  return [{ startPfn: 0, endPfn: maxPfn, address: memory.readU64(flat) }];
}

/** Sizes that SPARSEMEM's tables depend on. */
interface SparseModel {
  readonly sectionPages: number;
  readonly sections: number;
  readonly entrySize: number;
  readonly mapOffset: number;
  readonly perRoot: number;
  readonly pageStructSize: number;
}

function sparsePageArrays(memory: KernelMemory, info: Vmcoreinfo, maxPfn: number, table: bigint): PageArray[] {
  const model = sparseModel(memory, info, maxPfn);
  const isExtreme = isSparseExtreme(info, model);
  const direct = isExtreme ? rootSections(memory, model, table) : tableSections(memory, model, table);
  // VMCOREINFO has the root table's address since Linux v4.15; a vmlinux's symbol is the pointer to it.
  const found = direct ?? (isExtreme ? rootSections(memory, model, memory.readU64(table)) : undefined);
  if (found !== undefined) return found;
  throw new FormatError('no memory section is present in mem_section', {
    expected: 'SECTION_MARKED_PRESENT in an entry',
    found: `${model.sections} entries without it`,
  });
}

function sparseModel(memory: KernelMemory, info: Vmcoreinfo, maxPfn: number): SparseModel {
  const bits = Number(info.number('SECTION_SIZE_BITS') ?? (memory.space.architecture === 'x86_64' ? 27n : 30n));
  const { pageSize } = memory.space;
  const entrySize = info.sizeOf('mem_section') ?? 16;
  const sectionPages = 2 ** bits / pageSize;
  const sections = Math.ceil(maxPfn / sectionPages);
  if (bits < 20 || bits > 40 || sections > MAX_SECTIONS || entrySize < 8 || entrySize > pageSize) {
    throw new FormatError('impossible memory sections', {
      expected: `at most ${MAX_SECTIONS} sections of 2^20 to 2^40 bytes`,
      found: `${sections} of 2^${bits}, entries of ${entrySize} bytes`,
    });
  }
  return {
    sectionPages,
    sections,
    entrySize,
    mapOffset: info.offsetOf('mem_section.section_mem_map') ?? 0,
    perRoot: Math.floor(pageSize / entrySize),
    pageStructSize: info.sizeOf('page') ?? 64,
  };
}

/** CONFIG_SPARSEMEM_EXTREME: `mem_section[]` has an entry for each root, not for each section. */
function isSparseExtreme(info: Vmcoreinfo, model: SparseModel): boolean {
  const length = info.lengthOf('mem_section');
  const physical = info.number('MAX_PHYSMEM_BITS');
  if (length === undefined || physical === undefined) return true;
  const all = 2 ** Number(physical) / (model.sectionPages * 4096);
  return length < all || model.sections > length;
}

/** Sections through a table of roots; undefined when none is present, so that it is not such a table. */
function rootSections(memory: KernelMemory, model: SparseModel, table: bigint): PageArray[] | undefined {
  const roots = memory.read(table, 8 * Math.ceil(model.sections / model.perRoot));
  const found: PageArray[] = [];
  for (let section = 0; section < model.sections; section++) {
    const root = readU64(roots, 8 * Math.floor(section / model.perRoot));
    if (root === 0n) continue;
    const entry = root + BigInt((section % model.perRoot) * model.entrySize);
    const array = sectionPages(memory, model, section, entry);
    if (array === 'not a section') return undefined;
    if (array !== undefined) found.push(array);
  }
  return found.length === 0 ? undefined : found;
}

function tableSections(memory: KernelMemory, model: SparseModel, table: bigint): PageArray[] | undefined {
  const found: PageArray[] = [];
  for (let section = 0; section < model.sections; section++) {
    const array = sectionPages(memory, model, section, table + BigInt(section * model.entrySize));
    if (array === 'not a section') return undefined;
    if (array !== undefined) found.push(array);
  }
  return found.length === 0 ? undefined : found;
}

function sectionPages(
  memory: KernelMemory,
  model: SparseModel,
  section: number,
  entry: bigint,
): PageArray | 'not a section' | undefined {
  const coded = readEntry(memory, entry + BigInt(model.mapOffset));
  if (coded === undefined) return 'not a section';
  if ((coded & SECTION_PRESENT) === 0n) return undefined;
  const startPfn = section * model.sectionPages;
  const address = BigInt.asUintN(64, (coded & ~SECTION_FLAGS) + BigInt(startPfn * model.pageStructSize));
  if (address < 1n << 63n) return 'not a section';
  return { startPfn, endPfn: startPfn + model.sectionPages, address };
}

function readEntry(memory: KernelMemory, vaddr: bigint): bigint | undefined {
  try {
    return memory.readU64(vaddr);
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}

/** Reads the structures of a page array in blocks that begin at multiples of 512 page frames. */
export class PageArrayReader {
  /** Structures that could not be read: their pages stay in the dump. */
  unreadable = 0;
  readonly #memory: KernelMemory;
  readonly #structSize: number;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;

  constructor(memory: KernelMemory, structSize: number) {
    this.#memory = memory;
    this.#structSize = structSize;
    this.#bytes = new Uint8Array(BLOCK_PAGES * structSize);
    this.#words = wordsOf(this.#bytes);
  }

  /** First page frame of the block after the one of `pfn`. */
  blockEnd(pfn: number): number {
    return pfn - (pfn % BLOCK_PAGES) + BLOCK_PAGES;
  }

  /**
   * Reads the structures of `[start, end)`, which must not cross a block.
   * @returns the block, which the next call overwrites; undefined when it cannot be read
   */
  read(array: PageArray, start: number, end: number): PageBlock | undefined {
    const length = (end - start) * this.#structSize;
    const address = array.address + BigInt((start - array.startPfn) * this.#structSize);
    try {
      for (let done = 0; done < length;) {
        const run = this.#memory.readRun(address + BigInt(done), length - done);
        this.#bytes.set(run, done);
        done += run.length;
      }
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      this.unreadable += end - start;
      return undefined;
    }
    return { bytes: this.#bytes, words: this.#words, count: end - start };
  }
}
