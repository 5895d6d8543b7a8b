/**
 * Kernel address translation of x86_64 Linux.
 *
 * Sources: Intel SDM vol. 3A "4-level paging and 5-level paging"; `Documentation/arch/x86/x86_64/mm.rst` (Linux v6.12).
 * With page-table isolation the kernel's tables are the ones that `mm->pgd` and `init_top_pgt` name; the user half's
 * copy, one page above, is not read. AMD's memory-encryption bit is cleared from entries.
 */
import { addressBits } from '../formats/bits.ts';
import { FormatError } from '../formats/errors.ts';
import type { MemorySource } from '../formats/memory-source.ts';
import type { Vmcoreinfo } from '../formats/vmcoreinfo.ts';
import { walkTables } from './page-walk.ts';
import type { EntryKind, KernelAddressSpace, PageTableReader, TableLevel, Walk } from './page-walk.ts';

/** `__START_KERNEL_map`: where the kernel image is linked. */
export const START_KERNEL_MAP = 0xffff_ffff_8000_0000n;
/** Default bases of the direct map without KASLR, for 4 and 5 levels; `arch/x86/include/asm/page_64_types.h`. */
export const PAGE_OFFSET_BASE = { L4: 0xffff_8880_0000_0000n, L5: 0xff11_0000_0000_0000n } as const;

/** Entry bits. */
export const PAGE = { PRESENT: 1n, PSE: 0x80n } as const;
const FIVE_LEVELS: readonly TableLevel[] = [
  { name: 'PGD', shift: 48, indexBits: 9 },
  { name: 'P4D', shift: 39, indexBits: 9 },
  { name: 'PUD', shift: 30, indexBits: 9 },
  { name: 'PMD', shift: 21, indexBits: 9 },
  { name: 'PTE', shift: 12, indexBits: 9 },
];
/** Linux folds the P4D away. */
const FOUR_LEVELS: readonly TableLevel[] = [{ name: 'PGD', shift: 39, indexBits: 9 }, ...FIVE_LEVELS.slice(2)];

/** Reads 4- and 5-level tables. */
export class X86PageTables implements PageTableReader {
  readonly fiveLevels: boolean;
  readonly tableLevels: readonly TableLevel[];
  readonly #memory: MemorySource;
  readonly #keep: bigint;

  /** @param encryptionMask `sme_mask`: the bit that marks encrypted pages, 0 without AMD SME */
  constructor(memory: MemorySource, fiveLevels: boolean, encryptionMask = 0n) {
    this.#memory = memory;
    this.fiveLevels = fiveLevels;
    this.tableLevels = fiveLevels ? FIVE_LEVELS : FOUR_LEVELS;
    this.#keep = ~encryptionMask;
  }

  walk(root: number, vaddr: bigint): Walk {
    return walkTables(this.#memory, this, root, vaddr);
  }

  kindOf(entry: bigint, { shift }: TableLevel): EntryKind {
    if ((entry & PAGE.PRESENT) === 0n) return 'none';
    return shift === 12 || ((entry & PAGE.PSE) !== 0n && shift <= 30) ? 'leaf' : 'table';
  }

  targetOf(entry: bigint, { shift }: TableLevel, kind: EntryKind): number {
    return addressBits(entry & this.#keep, 51, kind === 'leaf' ? shift : 12);
  }
}

/** What VMCOREINFO says about an x86_64 kernel. */
export interface X86Facts {
  /** By how much the image was loaded above (or below) its link address. */
  readonly physBase: bigint;
  /** `init_top_pgt` (`init_level4_pgt` before 4.13). */
  readonly topTable: bigint;
  readonly fiveLevels: boolean;
  readonly encryptionMask: bigint;
}

/** Kernel addresses: the image by arithmetic for bootstrapping, everything through init_top_pgt. */
export class X86AddressSpace implements KernelAddressSpace {
  readonly architecture = 'x86_64';
  readonly pageSize = 4096;
  readonly tables: X86PageTables;
  readonly root: number;
  readonly facts: X86Facts;
  #pageOffset: bigint;

  constructor(memory: MemorySource, facts: X86Facts) {
    this.facts = facts;
    this.tables = new X86PageTables(memory, facts.fiveLevels, facts.encryptionMask);
    this.root = Number(BigInt.asUintN(64, facts.topTable - START_KERNEL_MAP + facts.physBase));
    this.#pageOffset = facts.fiveLevels ? PAGE_OFFSET_BASE.L5 : PAGE_OFFSET_BASE.L4;
  }

  get pageOffset(): bigint {
    return this.#pageOffset;
  }

  /** Sets `page_offset_base`, which KASLR randomises and only the kernel's own variable tells. */
  set pageOffset(base: bigint) {
    this.#pageOffset = base;
  }

  translate(vaddr: bigint): number | undefined {
    return this.tables.walk(this.root, vaddr).paddr;
  }

  directMap(paddr: number): bigint {
    return this.#pageOffset + BigInt(paddr);
  }
}

/**
 * Makes the address space of an x86_64 kernel from its VMCOREINFO.
 * @throws FormatError when a line that is needed is missing
 */
export function x86AddressSpace(memory: MemorySource, info: Vmcoreinfo): X86AddressSpace {
  const topTable = info.symbol('init_top_pgt') ?? info.symbol('init_level4_pgt') ?? info.symbol('swapper_pg_dir');
  if (topTable === undefined) {
    throw new FormatError('VMCOREINFO lacks a line', { expected: 'SYMBOL(init_top_pgt)', found: 'nothing' });
  }
  return new X86AddressSpace(memory, {
    physBase: info.number('phys_base') ?? 0n,
    topTable,
    fiveLevels: (info.number('pgtable_l5_enabled') ?? 0n) !== 0n,
    encryptionMask: info.number('sme_mask') ?? 0n,
  });
}
