/**
 * Kernel address translation of arm64 Linux.
 *
 * Sources: Arm ARM DDI 0487 "VMSAv8-64 translation table format descriptors"; `Documentation/arch/arm64/memory.rst` and
 * `arch/arm64/include/asm/{memory,pgtable-hwdef}.h` (Linux v6.12). 4K, 16K and 64K pages; VA of 36 to 52 bits; output
 * addresses of 48 bits, of 52 bits in the 64K format (FEAT_LPA) and of 52 bits in the 4K and 16K formats (FEAT_LPA2).
 */
import { addressBits, field } from '../formats/bits.ts';
import { FormatError } from '../formats/errors.ts';
import type { MemorySource } from '../formats/memory-source.ts';
import type { Vmcoreinfo } from '../formats/vmcoreinfo.ts';
import { walkTables } from './page-walk.ts';
import type { EntryKind, KernelAddressSpace, Level, PageTableReader, TableLevel, Walk } from './page-walk.ts';

/** Bits 1:0 of a descriptor. */
export const DESCRIPTOR = { INVALID: 0, BLOCK: 1, TABLE: 3 } as const;
const TYPE = field(1, 0);
/** Linux's name of the lookup level, counted from the leaf. */
const LEVEL_NAMES: readonly Level[] = ['PTE', 'PMD', 'PUD', 'P4D', 'PGD'];
/**
 * PTE_PROT_NONE or PTE_PRESENT_INVALID keep a page although bit 0 is clear; crash treats them as present when software
 * bits say so. Only valid descriptors translate here.
 */
const VALID = 1n;

/** Geometry of a translation regime. */
export interface Aarch64Geometry {
  /** log2 of the granule: 12, 14 or 16. */
  readonly pageShift: number;
  /** Bits of virtual address that the tables resolve (64 − TCR_EL1.T1SZ). */
  readonly vaBits: number;
  /** VA_BITS of the kernel's configuration, which fixes the size of the top table. */
  readonly configuredVaBits: number;
  /** TCR_EL1.DS: 52-bit output addresses in the 4K and 16K formats. */
  readonly lpa2: boolean;
}

/** Reads VMSAv8-64 stage 1 tables. */
export class Aarch64PageTables implements PageTableReader {
  readonly geometry: Aarch64Geometry;
  readonly tableLevels: readonly TableLevel[];
  readonly #memory: MemorySource;

  constructor(memory: MemorySource, geometry: Aarch64Geometry) {
    this.#memory = memory;
    this.geometry = geometry;
    this.tableLevels = tableLevels(geometry);
  }

  walk(root: number, vaddr: bigint): Walk {
    return walkTables(this.#memory, this, root, vaddr);
  }

  kindOf(entry: bigint, { shift }: TableLevel): EntryKind {
    if ((entry & VALID) === 0n) return 'none';
    return TYPE.get(entry) === DESCRIPTOR.TABLE && shift > this.geometry.pageShift ? 'table' : 'leaf';
  }

  targetOf(entry: bigint, { shift }: TableLevel, kind: EntryKind): number {
    return this.outputAddress(entry, kind === 'table' ? this.geometry.pageShift : shift);
  }

  /** Output address of a descriptor; bits below `low` belong to other fields or to the page offset. */
  outputAddress(descriptor: bigint, low: number): number {
    const { pageShift, lpa2 } = this.geometry;
    if (pageShift === 16) return addressBits(descriptor, 47, low) + Number((descriptor >> 12n) & 0xfn) * 2 ** 48;
    if (lpa2) return addressBits(descriptor, 49, low) + Number((descriptor >> 8n) & 3n) * 2 ** 50;
    return addressBits(descriptor, 47, low);
  }
}

/** Folded levels have no name of their own: the top table is always the PGD. */
function tableLevels({ pageShift, vaBits, configuredVaBits }: Aarch64Geometry): TableLevel[] {
  const indexBits = pageShift - 3;
  const count = Math.ceil((vaBits - pageShift) / indexBits);
  const rootShift = pageShift + (count - 1) * indexBits;
  const topBits = Math.max(configuredVaBits, vaBits) - rootShift;
  // The 64K format has one level-1 table of up to 1024 entries, more than its index bits would be for 48 bits.
  const rootBits = pageShift === 16 && count === 3 ? topBits : Math.min(indexBits, topBits);
  return Array.from({ length: count }, (_, index) => {
    const fromLeaf = count - 1 - index;
    const shift = pageShift + fromLeaf * indexBits;
    return index === 0
      ? { name: 'PGD', shift, indexBits: rootBits }
      : { name: LEVEL_NAMES[fromLeaf]!, shift, indexBits };
  });
}

/** What VMCOREINFO, or a symbol table and a guess, say about an arm64 kernel. */
export interface Aarch64Facts {
  readonly pageSize: number;
  readonly configuredVaBits: number;
  readonly vaBits: number;
  readonly kimageVoffset: bigint;
  /** memstart_addr: physical address that PAGE_OFFSET maps to, modulo 2^64. */
  readonly physOffset: bigint;
  readonly swapperPgDir: bigint;
}

/** Kernel addresses: the direct map by arithmetic, everything else through swapper_pg_dir. */
export class Aarch64AddressSpace implements KernelAddressSpace {
  readonly architecture = 'aarch64';
  readonly pageSize: number;
  readonly tables: Aarch64PageTables;
  readonly root: number;
  readonly pageOffset: bigint;
  readonly facts: Aarch64Facts;
  readonly #directMapEnd: bigint;

  constructor(memory: MemorySource, facts: Aarch64Facts) {
    this.facts = facts;
    this.pageSize = facts.pageSize;
    this.pageOffset = BigInt.asUintN(64, -(1n << BigInt(facts.configuredVaBits)));
    this.#directMapEnd = BigInt.asUintN(64, -(1n << BigInt(Math.min(facts.configuredVaBits, 63) - 1)));
    this.root = Number(BigInt.asUintN(64, facts.swapperPgDir - facts.kimageVoffset));
    const pageShift = Math.log2(facts.pageSize);
    const geometry = { pageShift, vaBits: facts.vaBits, configuredVaBits: facts.configuredVaBits };
    const lpa2 = pageShift !== 16 && (facts.vaBits > 48 || this.#usesLpa2(memory, geometry));
    this.tables = new Aarch64PageTables(memory, { ...geometry, lpa2 });
  }

  translate(vaddr: bigint): number | undefined {
    const direct = this.#directPaddr(vaddr);
    return direct ?? this.tables.walk(this.root, vaddr).paddr;
  }

  directMap(paddr: number): bigint {
    return BigInt.asUintN(64, BigInt(paddr) - this.facts.physOffset + this.pageOffset);
  }

  #directPaddr(vaddr: bigint): number | undefined {
    if (vaddr < this.pageOffset || vaddr >= this.#directMapEnd) return undefined;
    const paddr = BigInt.asUintN(64, vaddr - this.pageOffset + this.facts.physOffset);
    return paddr < 1n << 52n ? Number(paddr) : undefined;
  }

  /**
   * A kernel with 48-bit VA may still run with TCR_EL1.DS set. VMCOREINFO does not say: the format that maps
   * swapper_pg_dir to where kimage_voffset puts it is the right one.
   */
  #usesLpa2(memory: MemorySource, geometry: Omit<Aarch64Geometry, 'lpa2'>): boolean {
    const plain = new Aarch64PageTables(memory, { ...geometry, lpa2: false });
    if (!memory.hasPage(Math.floor(this.root / memory.pageSize))) return false;
    const { steps, paddr } = plain.walk(this.root, this.facts.swapperPgDir);
    const leaf = steps.at(-1);
    return paddr !== undefined && paddr !== this.root && leaf !== undefined && ((leaf.entry >> 8n) & 3n) === 0n;
  }
}

/**
 * Makes the address space of an arm64 kernel from its VMCOREINFO.
 * @throws FormatError when a line that is needed is missing
 */
export function aarch64AddressSpace(memory: MemorySource, info: Vmcoreinfo): Aarch64AddressSpace {
  const configuredVaBits = Number(need(info.number('VA_BITS'), 'NUMBER(VA_BITS)'));
  const t1sz = info.number('TCR_EL1_T1SZ');
  checkGeometry(need(info.pageSize, 'PAGESIZE'), configuredVaBits, t1sz);
  return new Aarch64AddressSpace(memory, {
    pageSize: need(info.pageSize, 'PAGESIZE'),
    configuredVaBits,
    vaBits: t1sz === undefined ? configuredVaBits : 64 - Number(t1sz),
    kimageVoffset: need(info.number('kimage_voffset'), 'NUMBER(kimage_voffset)'),
    physOffset: need(info.number('PHYS_OFFSET'), 'NUMBER(PHYS_OFFSET)'),
    swapperPgDir: need(info.symbol('swapper_pg_dir'), 'SYMBOL(swapper_pg_dir)'),
  });
}

/** Every granule and every size of addresses that arm64 Linux can be configured with. */
function checkGeometry(pageSize: number, vaBits: number, t1sz: bigint | undefined): void {
  if (
    [4096, 16_384, 65_536].includes(pageSize) &&
    vaBits >= 36 &&
    vaBits <= 52 &&
    (t1sz ?? 12n) >= 12n &&
    (t1sz ?? 12n) <= 28n
  )
    return;
  throw new FormatError('VMCOREINFO describes impossible page tables', {
    expected: 'pages of 4, 16 or 64 KiB, 36 to 52 bits of address',
    found: `PAGESIZE ${pageSize}, VA_BITS ${vaBits}, T1SZ ${t1sz ?? 'unknown'}`,
  });
}

function need<T>(value: T | undefined, line: string): T {
  if (value === undefined) throw new FormatError('VMCOREINFO lacks a line', { expected: line, found: 'nothing' });
  return value;
}
