import { describe, expect, test } from 'vitest';
import { Pvpanic, PvpanicPci } from '../../../../emulator/devices/pvpanic.ts';

describe('pvpanic', () => {
  test.each([
    { value: 1, events: ['panicked'] },
    { value: 2, events: ['crash-loaded'] },
    { value: 4, events: [] },
  ])('a write of $value reports $events', ({ value, events }) => {
    const seen: string[] = [];
    const device = new Pvpanic(event => seen.push(event));
    expect(device.read(0, 1)).toBe(3);
    device.write(0, value, 1);
    expect(seen).toEqual(events);
  });

  test('shows itself on PCI as QEMU’s does', () => {
    const { config } = new PvpanicPci(() => undefined);
    const words = [0, 8, 0x2c].map(offset => config.read(offset, 4));
    expect(words).toEqual([0x0011_1b36, 0x0880_0001, 0x1100_1af4]);
    config.write(0x10, 0xffff_ffff, 4);
    expect(config.read(0x10, 4)).toBe(0xffff_fffe);
  });
});
