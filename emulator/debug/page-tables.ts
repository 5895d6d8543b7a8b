/**
 * Lists what page tables map, for a monitor's `info mem` and `info tlb`.
 *
 * Source: Intel SDM vol. 3A "4-Level Paging and 5-Level Paging"; Arm ARM DDI 0487 "VMSAv8-64 translation table format descriptors".
 * Modelled: 4- and 5-level paging of x86_64, stage 1 of the EL1&0 regime with all granules. Not modelled: 32-bit and PAE paging.
 */
import type { AddressSpaceHalf } from '../cpu/a64/system/translation-control.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { PageMapping } from './debug-view.ts';

/** A kind of table entry, as the walk needs it. */
interface TableFormat {
  readonly stride: number;
  readonly pageShift: number;
  /** What an entry at this level is; level 0 is that of pages. */
  read(entry: bigint, level: number): 'none' | 'table' | 'leaf';
  address(entry: bigint): number;
  describe(entry: bigint): Pick<PageMapping, 'user' | 'writable' | 'executable' | 'flags'>;
}

interface Walk {
  readonly memory: GuestMemory;
  readonly format: TableFormat;
  readonly found: PageMapping[];
  readonly limit: number;
}

/** Goes through a table in address order. @param vaddr address that its first entry translates */
function walkTable(walk: Walk, table: number, level: number, vaddr: bigint, entries: number): void {
  const { memory, format, found, limit } = walk;
  const shift = BigInt(format.pageShift + level * format.stride);
  for (let i = 0; i < entries && found.length < limit; i++) {
    const address = memory.ramAddress(table + i * 8);
    if (address < 0) return;
    const entry = memory.view.getBigUint64(address, true);
    const kind = format.read(entry, level);
    if (kind === 'none') continue;
    const at = BigInt.asUintN(64, vaddr + (BigInt(i) << shift));
    if (kind === 'table') walkTable(walk, format.address(entry), level - 1, at, 2 ** format.stride);
    else found.push({ vaddr: at, paddr: format.address(entry), size: Number(1n << shift), ...format.describe(entry) });
  }
}

function bit(value: bigint, position: number): boolean {
  return ((value >> BigInt(position)) & 1n) !== 0n;
}

/** One letter for each bit that is set, a dash for each that is not. */
function letters(entry: bigint, flags: readonly (readonly [letter: string, bit: number])[]): string {
  return flags.map(([letter, position]) => (bit(entry, position) ? letter : '-')).join('');
}

/** Letters as QEMU's `info tlb` has them. */
const X64_FLAGS = [
  ['X', 63],
  ['G', 8],
  ['P', 7],
  ['D', 6],
  ['A', 5],
  ['C', 4],
  ['T', 3],
  ['U', 2],
  ['W', 1],
] as const;
const PS = 7;
const X64_ADDRESS = 0x000f_ffff_ffff_f000n;
/** A large page has its PAT bit where an address has bit 12. */
const X64_LARGE_ADDRESS = 0x000f_ffff_ffff_e000n;

const X64_FORMAT: TableFormat = {
  stride: 9,
  pageShift: 12,
  read: (entry, level) => {
    if (!bit(entry, 0)) return 'none';
    return level === 0 || (level <= 2 && bit(entry, PS)) ? 'leaf' : 'table';
  },
  address: entry => Number(entry & (bit(entry, PS) ? X64_LARGE_ADDRESS : X64_ADDRESS)),
  describe: entry => ({
    user: bit(entry, 2),
    writable: bit(entry, 1),
    executable: !bit(entry, 63),
    flags: letters(entry, X64_FLAGS),
  }),
};

/** Mappings of 4- or 5-level paging. @param cr3 physical address of the first table */
export function x64Mappings(memory: GuestMemory, cr3: number, levels: 4 | 5, limit: number): PageMapping[] {
  const walk: Walk = { memory, format: X64_FORMAT, found: [], limit };
  const table = Math.floor(cr3 / 4096) * 4096;
  const half = 1n << BigInt(12 + 9 * levels - 1);
  const entries = 256;
  walkTable(walk, table, levels - 1, 0n, entries);
  walkTable(walk, table + entries * 8, levels - 1, -half, entries);
  return walk.found;
}

/** AF, nG, PXN, UXN, DBM, contiguous. */
const A64_FLAGS = [
  ['U', 54],
  ['P', 53],
  ['C', 52],
  ['D', 51],
  ['n', 11],
  ['A', 10],
] as const;
const AP_EL0 = 6;
const AP_READ_ONLY = 7;

/** With FEAT_LPA2 bits 49 and 48 of an address are in place. */
const IN_PLACE_BITS = { none: 48n, 'bits 15:12': 48n, 'bits 9:8': 50n } as const;

function a64Format(half: AddressSpaceHalf): TableFormat {
  const { pageShift, stride } = half;
  const inPlace = ((1n << IN_PLACE_BITS[half.highAddress]) - 1n) & ~((1n << BigInt(pageShift)) - 1n);
  return {
    stride,
    pageShift,
    read: (entry, level) => {
      if (!bit(entry, 0)) return 'none';
      if (level === 0) return bit(entry, 1) ? 'leaf' : 'none';
      return bit(entry, 1) ? 'table' : 'leaf';
    },
    address: entry => Number(entry & inPlace) + highAddress(entry, half),
    describe: entry => ({
      user: bit(entry, AP_EL0),
      writable: !bit(entry, AP_READ_ONLY),
      executable: !bit(entry, bit(entry, AP_EL0) ? 54 : 53),
      flags: letters(entry, A64_FLAGS),
    }),
  };
}

/** Bits of an address that a descriptor has elsewhere. */
function highAddress(entry: bigint, { highAddress: place }: AddressSpaceHalf): number {
  if (place === 'bits 15:12') return Number((entry >> 12n) & 15n) * 2 ** 48;
  return place === 'bits 9:8' ? Number((entry >> 8n) & 3n) * 2 ** 50 : 0;
}

/** Mappings of one half of an address space. */
export function a64Mappings(memory: GuestMemory, half: AddressSpaceHalf, upper: boolean, limit: number): PageMapping[] {
  if (!half.isWalkable) return [];
  const walk: Walk = { memory, format: a64Format(half), found: [], limit };
  const start = upper ? -(1n << BigInt(half.inputBits)) : 0n;
  const entries = 2 ** (half.inputBits - half.startShift);
  walkTable(walk, half.tableBase, 3 - half.startLevel, start, entries);
  return walk.found;
}
