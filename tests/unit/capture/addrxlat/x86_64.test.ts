import { describe, expect, test } from 'vitest';

import { X86PageTables } from '../../../../capture/addrxlat/x86_64.ts';
import { SparseMemory } from '../../../support/sparse-memory.ts';

const ROOT = 0x10_0000;
const PRESENT = 1n;
const PS = 0x80n;

/** Writes one table after the other at the given indices; the last entry is `leaf`. */
function tables(indices: readonly number[], leaf: bigint): SparseMemory {
  const memory = new SparseMemory();
  for (const [level, index] of indices.entries()) {
    const table = ROOT + level * 4096;
    memory.writeU64(table + 8 * index, level === indices.length - 1 ? leaf : BigInt(table + 4096) | PRESENT);
  }
  return memory;
}

describe('X86PageTables', () => {
  // Indices by the Intel SDM's split of linear addresses: 9 bits a level above the 12 of the page.
  test.each([
    ['4 levels, 4 KiB', false, 0xffff_8880_1234_5678n, [273, 0, 145, 325], 0x7654_3000n | PRESENT, 0x7654_3678, 4096],
    ['5 levels, 4 KiB', true, 0xff11_0000_0000_1010n, [273, 0, 0, 0, 1], 0x5000n | PRESENT, 0x5010, 4096],
    ['2 MiB page', false, 0xffff_ffff_8123_4567n, [511, 510, 9], 0x0120_0000n | PRESENT | PS, 0x0123_4567, 2 ** 21],
    ['1 GiB page', false, 0xffff_8880_4123_4567n, [273, 1], 0x4000_0000n | PRESENT | PS, 0x4123_4567, 2 ** 30],
    [
      'NX bit and bits 62:52 are no part of the address',
      false,
      0x1000n,
      [0, 0, 0, 1],
      0xfff0_0000_0000_2000n | PRESENT,
      0x2000,
      4096,
    ],
  ] as const)('%s', (_title, fiveLevels, vaddr, indices, leaf, paddr, size) => {
    const walk = new X86PageTables(tables(indices, leaf), fiveLevels).walk(ROOT, vaddr);
    expect(walk.paddr).toBe(paddr);
    expect(walk.mappedSize).toBe(size);
  });

  test("clears AMD's encryption bit", () => {
    const C_BIT = 1n << 47n;
    const memory = tables([0, 0, 0, 0], 0x3000n | PRESENT | C_BIT);
    expect(new X86PageTables(memory, false, C_BIT).walk(ROOT, 0n).paddr).toBe(0x3000);
  });

  test('stops at an entry that is not present', () => {
    const walk = new X86PageTables(tables([0, 0, 0], 0n), false).walk(ROOT, 0n);
    expect(walk.paddr).toBeUndefined();
    expect(walk.steps.map(({ level }) => level)).toEqual(['PGD', 'PUD', 'PMD']);
  });
});
