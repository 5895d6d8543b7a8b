/** What the page-table readers of all architectures share: reading entries and the record of a walk. */
import { readU64 } from '../formats/bytes.ts';
import { FaultError } from '../formats/errors.ts';
import type { MemorySource } from '../formats/memory-source.ts';

/** Linux's name of a table level. */
export type Level = 'PGD' | 'P4D' | 'PUD' | 'PMD' | 'PTE';

/** One entry that a walk looked at. */
export interface WalkStep {
  readonly level: Level;
  /** Physical address of the entry. */
  readonly entryPaddr: number;
  readonly entry: bigint;
}

/** A finished walk: a mapping, or the step at which it ended. */
export interface Walk {
  readonly steps: readonly WalkStep[];
  /** Physical address of the byte asked for; undefined when it is not mapped. */
  readonly paddr: number | undefined;
  /** Bytes that the leaf entry maps: 4 KiB up to 512 GiB. */
  readonly mappedSize: number;
}

/** A level of tables: how many entries a table has, and how much each of them covers. */
export interface TableLevel {
  readonly name: Level;
  /** log2 of the bytes that one entry covers. */
  readonly shift: number;
  /** log2 of the number of entries. */
  readonly indexBits: number;
}

/** What an entry says: nothing is mapped, a further table, or memory. */
export type EntryKind = 'none' | 'table' | 'leaf';

/** Reads page tables of one architecture and one paging mode. */
export interface PageTableReader {
  /** From the root to the leaves. */
  readonly tableLevels: readonly TableLevel[];
  /** Tells what an entry of a level is. */
  kindOf(entry: bigint, level: TableLevel): EntryKind;
  /** Physical address that an entry of a level names: of a table, or of the memory that it maps. */
  targetOf(entry: bigint, level: TableLevel, kind: EntryKind): number;
  /**
   * Translates through the tables at a root.
   * @param root physical address of the top table
   * @throws FaultError when a table itself cannot be read
   */
  walk(root: number, vaddr: bigint): Walk;
}

/**
 * Translates through tables as `PageTableReader.walk` describes.
 * @throws FaultError when a table itself cannot be read
 */
export function walkTables(memory: MemorySource, tables: PageTableReader, root: number, vaddr: bigint): Walk {
  const steps: WalkStep[] = [];
  let table = root;
  for (const level of tables.tableLevels) {
    const index = (vaddr >> BigInt(level.shift)) & ((1n << BigInt(level.indexBits)) - 1n);
    const entryPaddr = table + 8 * Number(index);
    const entry = readEntry(memory, entryPaddr);
    steps.push({ level: level.name, entryPaddr, entry });
    const kind = tables.kindOf(entry, level);
    if (kind === 'none') break;
    const target = tables.targetOf(entry, level, kind);
    if (kind === 'table') table = target;
    else {
      const offset = Number(vaddr & ((1n << BigInt(level.shift)) - 1n));
      return { steps, paddr: target + offset, mappedSize: 2 ** level.shift };
    }
  }
  return { steps, paddr: undefined, mappedSize: 0 };
}

/** Translates kernel virtual addresses of one dump. */
export interface KernelAddressSpace {
  readonly architecture: 'aarch64' | 'x86_64';
  /** Bytes of a base page. */
  readonly pageSize: number;
  readonly tables: PageTableReader;
  /** Physical address of the kernel's top table. */
  readonly root: number;
  /**
   * Physical address of a kernel virtual address, or undefined when it is not mapped.
   * @throws FaultError when a table cannot be read
   */
  translate(vaddr: bigint): number | undefined;
  /** Direct-map virtual address of a physical one: what `__va` gives, present or not. */
  directMap(paddr: number): bigint;
  /** Lowest virtual address of the direct map. */
  readonly pageOffset: bigint;
}

/** Reads a naturally aligned 64-bit table entry at a physical address. @throws FaultError */
export function readEntry(memory: MemorySource, paddr: number): bigint {
  const pfn = Math.floor(paddr / memory.pageSize);
  const offset = paddr - pfn * memory.pageSize;
  // Only a root that VMCOREINFO gets wrong is misaligned.
  if (offset % 8 !== 0) throw new FaultError(paddr, 'no page table begins here');
  return readU64(memory.readPage(pfn), offset);
}
