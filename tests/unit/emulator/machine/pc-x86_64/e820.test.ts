import { describe, expect, test } from 'vitest';
import { buildE820 } from '../../../../../emulator/machine/pc-x86_64/e820.ts';
import { acpiTablesRegion, type PcBoard, ramRanges } from '../../../../../emulator/machine/pc-x86_64/layout.ts';

const MIB = 2 ** 20;
const CASES: { board: PcBoard; mib: number }[] = [
  { board: 'q35', mib: 512 },
  { board: 'q35', mib: 3072 },
  { board: 'microvm', mib: 512 },
  { board: 'microvm', mib: 3584 },
];

describe('memory of PCs', () => {
  test('is where QEMU’s info mtree shows it', () => {
    expect(ramRanges('q35', 3072 * MIB).slice(1)).toEqual([
      { start: 0xe_0000, end: 0x8000_0000 },
      { start: 0x1_0000_0000, end: 0x1_4000_0000 },
    ]);
    expect(ramRanges('microvm', 3584 * MIB).slice(1)).toEqual([
      { start: 0xe_0000, end: 0xc000_0000 },
      { start: 0x1_0000_0000, end: 0x1_2000_0000 },
    ]);
  });

  test('the map of q35 with 512 MiB is SeaBIOS’s', () => {
    expect(
      buildE820('q35', 512 * MIB).map(({ addr, size, type }) => [
        addr.toString(16),
        (addr + size - 1).toString(16),
        type,
      ]),
    ).toEqual([
      ['0', '9fbff', 1],
      ['9fc00', '9ffff', 2],
      ['f0000', 'fffff', 2],
      ['100000', '1ffdefff', 1],
      ['1ffdf000', '1fffffff', 2],
      ['b0000000', 'bfffffff', 2],
      ['fed1c000', 'fed1ffff', 2],
      ['fffc0000', 'ffffffff', 2],
      ['fd00000000', 'ffffffffff', 2],
    ]);
  });

  test.each(CASES)(
    'the map of $board with $mib MiB has no overlaps, and RAM only where there is some',
    ({ board, mib }) => {
      const map = buildE820(board, mib * MIB);
      const ram = ramRanges(board, mib * MIB);
      let end = 0;
      for (const { addr, size, type } of map) {
        expect(addr).toBeGreaterThanOrEqual(end);
        end = addr + size;
        if (type === 1) expect(ram.some(range => addr >= range.start && end <= range.end)).toBe(true);
      }
      const usable = map.filter(entry => entry.type === 1).reduce((sum, entry) => sum + entry.size, 0);
      expect(mib * MIB - usable).toBeLessThan(2 * MIB);
      expect(acpiTablesRegion(board, mib * MIB).base % 4096).toBe(0);
    },
  );
});
