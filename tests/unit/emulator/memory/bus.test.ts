import { describe, expect, test } from 'vitest';
import { Bus } from '../../../../emulator/memory/bus.ts';
import type { Device } from '../../../../emulator/memory/device.ts';

/** A device that logs its accesses and reads as its own offset. */
function probe(name: string, log: string[]): Device {
  return {
    name,
    read(offset, width) {
      log.push(`${name} r${width} ${offset.toString(16)}`);
      return offset;
    },
    write(offset, value, width) {
      log.push(`${name} w${width} ${offset.toString(16)}=${value.toString(16)}`);
    },
    reset: () => undefined,
    save: () => null,
    restore: () => undefined,
  };
}

describe('bus', () => {
  test('sends an access to the device whose region holds the address', () => {
    const log: string[] = [];
    const bus = new Bus('mmio');
    bus.map(0x3000, 0x1000, probe('c', log));
    bus.map(0x1000, 0x1000, probe('a', log));
    bus.map(0x2000, 0x800, probe('b', log));
    expect([bus.read(0x1ffc, 4), bus.read(0x2004, 1), bus.read(0x3ffe, 2), bus.read(0x1000, 4)]).toEqual([
      0xffc, 4, 0xffe, 0,
    ]);
    expect(log).toEqual(['a r4 ffc', 'b r1 4', 'c r2 ffe', 'a r4 0']);
  });

  test('reports an access outside every device as a value', () => {
    const bus = new Bus('mmio');
    bus.map(0x1000, 0x10, probe('a', []));
    expect(bus.read(0xfff, 1)).toBeUndefined();
    expect(bus.read(0x1010, 4)).toBeUndefined();
    expect(bus.write(0x2000, 1, 4)).toBe(false);
    expect(bus.readLong(0x0)).toBeUndefined();
  });

  test('reports an access over the end of a region as unassigned', () => {
    const bus = new Bus('mmio');
    bus.map(0x1000, 0x10, probe('a', []));
    expect(bus.read(0x100e, 4)).toBeUndefined();
    expect(bus.writeLong(0x100c, 0n)).toBe(false);
  });

  test('splits a 64-bit access into two halves, low half first', () => {
    const log: string[] = [];
    const bus = new Bus('mmio');
    bus.map(0x1000, 0x100, probe('a', log));
    expect(bus.readLong(0x1008)).toBe(0xc_0000_0008n);
    bus.writeLong(0x1010, 0x1122_3344_5566_7788n);
    expect(log).toEqual(['a r4 8', 'a r4 c', 'a w4 10=55667788', 'a w4 14=11223344']);
  });

  test('refuses regions that overlap', () => {
    const bus = new Bus('mmio');
    bus.map(0x1000, 0x1000, probe('a', []));
    bus.map(0x4000, 0x1000, probe('b', []));
    for (const [base, size] of [
      [0x1000, 1],
      [0xfff, 2],
      [0x1fff, 0x10],
      [0x3000, 0x1001],
      [0, 0x10000],
    ] as const)
      expect(() => bus.map(base, size, probe('x', []))).toThrow(/overlaps [ab] at/);
  });

  test('forgets a device that was taken away', () => {
    const bus = new Bus('mmio');
    bus.map(0x1000, 0x1000, probe('a', []));
    expect(bus.read(0x1000, 4)).toBe(0);
    bus.unmap(0x1000);
    expect(bus.read(0x1000, 4)).toBeUndefined();
  });
});
