import { describe, expect, test } from 'vitest';

import { Aarch64AddressSpace, Aarch64PageTables } from '../../../../capture/addrxlat/aarch64.ts';
import type { Aarch64Geometry } from '../../../../capture/addrxlat/aarch64.ts';
import { SparseMemory } from '../../../support/sparse-memory.ts';

/** Descriptors by Arm ARM "VMSAv8-64 translation table format descriptors": bits 1:0 are 3 for a table or page, 1 for a block. */
const TABLE = 3n;
const BLOCK = 1n;
const ROOT = 0x4000_0000;

interface Case {
  readonly title: string;
  readonly geometry: Aarch64Geometry;
  readonly vaddr: bigint;
  /** Index of the entry at each level from the top, worked out by hand from the address's bits. */
  readonly indices: readonly number[];
  /** Extra bits of the last descriptor, and what they give. */
  readonly leaf: bigint;
  readonly paddr: number;
}

const plain = { lpa2: false };

const CASES: readonly Case[] = [
  {
    title: '4K pages, 48 bits: four levels of 9 bits',
    geometry: { ...plain, pageShift: 12, vaBits: 48, configuredVaBits: 48 },
    vaddr: 0xffff_8000_0801_2345n,
    indices: [256, 0, 64, 18],
    leaf: 0x5_6789_a000n | TABLE,
    paddr: 0x5_6789_a345,
  },
  {
    title: '4K pages, 39 bits: three levels',
    geometry: { ...plain, pageShift: 12, vaBits: 39, configuredVaBits: 39 },
    vaddr: 0xffff_ffc0_4020_1008n,
    indices: [257, 1, 1],
    leaf: 0x8000_1000n | TABLE,
    paddr: 0x8000_1008,
  },
  {
    title: '64K pages, 42 bits: two levels of 13 bits',
    geometry: { ...plain, pageShift: 16, vaBits: 42, configuredVaBits: 42 },
    vaddr: 0xffff_fe00_2003_0010n,
    indices: [4097, 3],
    leaf: 0x1_2345_0000n | TABLE,
    paddr: 0x1_2345_0010,
  },
  {
    title: '64K pages with 52-bit output addresses in bits 15:12',
    geometry: { ...plain, pageShift: 16, vaBits: 42, configuredVaBits: 42 },
    vaddr: 0xffff_fe00_0000_0000n,
    indices: [4096, 0],
    leaf: 0x1_2345_0000n | (0xan << 12n) | TABLE,
    paddr: 0xa * 2 ** 48 + 0x1_2345_0000,
  },
  {
    title: '16K pages, 47 bits: three levels of 11 bits',
    geometry: { ...plain, pageShift: 14, vaBits: 47, configuredVaBits: 47 },
    vaddr: 0xffff_c000_0200_8004n,
    indices: [1024, 1, 2],
    leaf: 0x4321_8000n | TABLE,
    paddr: 0x4321_8004,
  },
  {
    title: '4K pages, 52 bits, LPA2: five levels, output bits 51:50 in bits 9:8',
    geometry: { pageShift: 12, vaBits: 52, configuredVaBits: 52, lpa2: true },
    vaddr: 0xfff0_0000_0000_1abcn,
    indices: [0, 0, 0, 0, 1],
    leaf: 0x7000n | (2n << 8n) | TABLE,
    paddr: 2 * 2 ** 50 + 0x7abc,
  },
  {
    title: 'configured for 52 bits on a CPU with 48: four levels, full tables',
    geometry: { ...plain, pageShift: 12, vaBits: 48, configuredVaBits: 52 },
    vaddr: 0xffff_8000_0000_3010n,
    indices: [256, 0, 0, 3],
    leaf: 0x9000n | TABLE,
    paddr: 0x9010,
  },
];

describe('Aarch64PageTables', () => {
  test.each(CASES)('$title', ({ geometry, vaddr, indices, leaf, paddr }) => {
    const memory = new SparseMemory();
    const tableSize = 2 ** geometry.pageShift;
    for (const [level, index] of indices.entries()) {
      const table = ROOT + level * tableSize;
      const next = level === indices.length - 1 ? leaf : BigInt(table + tableSize) | TABLE;
      memory.writeU64(table + 8 * index, next);
    }
    const walk = new Aarch64PageTables(memory, geometry).walk(ROOT, vaddr);
    expect(walk.paddr).toBe(paddr);
    expect(walk.steps).toHaveLength(indices.length);
    expect(walk.steps[0]?.level).toBe('PGD');
    expect(walk.steps.at(-1)?.level).toBe('PTE');
  });

  test('ends at a block of 2 MiB', () => {
    const memory = new SparseMemory();
    const geometry = { ...plain, pageShift: 12, vaBits: 39, configuredVaBits: 39 };
    memory.writeU64(ROOT, BigInt(ROOT + 4096) | TABLE);
    memory.writeU64(ROOT + 4096 + 8, 0x4020_0000n | BLOCK);
    const walk = new Aarch64PageTables(memory, geometry).walk(ROOT, 0xffff_ff80_0021_2345n);
    expect(walk).toMatchObject({ paddr: 0x4021_2345, mappedSize: 2 ** 21 });
  });

  test('ends without an address at an invalid descriptor', () => {
    const memory = new SparseMemory();
    memory.writeU64(ROOT, 0x1000n);
    const walk = new Aarch64PageTables(memory, { ...plain, pageShift: 12, vaBits: 39, configuredVaBits: 39 }).walk(
      ROOT,
      0xffff_ff80_0000_0000n,
    );
    expect(walk).toMatchObject({ paddr: undefined });
  });
});

describe('Aarch64AddressSpace', () => {
  const space = new Aarch64AddressSpace(new SparseMemory(), {
    pageSize: 4096,
    configuredVaBits: 48,
    vaBits: 48,
    kimageVoffset: 0xffff_d937_e480_0000n,
    physOffset: 0xffff_cda4_8000_0000n,
    swapperPgDir: 0xffff_d938_25d8_f000n,
  });

  test('translates the direct map by arithmetic, with a negative memstart_addr', () => {
    // `ptov 438e0000` and `struct` of crash on the reference dump of Debian 12.
    expect(space.translate(0xffff_325b_c38e_0000n)).toBe(0x438e_0000);
    expect(space.directMap(0x438e_0000)).toBe(0xffff_325b_c38e_0000n);
  });

  test('finds the top table through kimage_voffset', () => {
    expect(space.root).toBe(0x4158_f000);
  });
});
