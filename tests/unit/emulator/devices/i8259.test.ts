import { describe, expect, test } from 'vitest';
import { I8259Pair } from '../../../../emulator/devices/i8259.ts';
import { FakeLine } from '../../../support/fake-line.ts';

/** Linux arch/x86/kernel/i8259.c: init_8259A, all lines enabled. */
function started(autoEoi = false) {
  const intr = new FakeLine();
  const pic = new I8259Pair(intr);
  for (const [ports, base, cascade] of [
    [pic.masterPorts, 0x30, 4],
    [pic.slavePorts, 0x38, 2],
  ] as const) {
    ports.write(0, 0x11, 1);
    ports.write(1, base, 1);
    ports.write(1, cascade, 1);
    ports.write(1, autoEoi ? 3 : 1, 1);
    ports.write(1, 0, 1);
  }
  return { intr, pic };
}

describe('8259 pair', () => {
  test('gives the vector of a request, and nothing more until its end', () => {
    const { intr, pic } = started();
    pic.line(4).set(true);
    expect([intr.level, pic.acknowledge(), intr.level]).toEqual([true, 0x34, false]);
    pic.line(5).set(true);
    expect(intr.level).toBe(false); // lower than what is in service
    pic.line(1).set(true);
    expect(pic.acknowledge()).toBe(0x31);
    pic.masterPorts.write(0, 0x61, 1); // specific EOI
    pic.masterPorts.write(0, 0x64, 1);
    expect(pic.acknowledge()).toBe(0x35);
  });

  test('passes the slave’s requests through the cascade', () => {
    const { intr, pic } = started();
    pic.line(8).set(true);
    expect([intr.level, pic.acknowledge()]).toEqual([true, 0x38]);
    pic.slavePorts.write(0, 0x20, 1);
    pic.masterPorts.write(0, 0x62, 1);
    expect(intr.level).toBe(false);
    pic.line(8).set(false);
    pic.line(8).set(true);
    expect(pic.acknowledge()).toBe(0x38);
  });

  test('an edge is taken once; a level as long as it stays', () => {
    const { intr, pic } = started(true);
    pic.elcrPorts.write(0, 0x20, 1);
    pic.line(4).set(true);
    pic.acknowledge();
    expect(intr.level).toBe(false);
    pic.line(5).set(true);
    pic.acknowledge();
    expect(intr.level).toBe(true);
    pic.line(5).set(false);
    expect(intr.level).toBe(false);
  });

  test('a mask holds back, and a request that goes away is spurious', () => {
    const { intr, pic } = started();
    pic.masterPorts.write(1, 0x10, 1);
    pic.line(4).set(true);
    expect(intr.level).toBe(false);
    expect(pic.acknowledge()).toBe(0x37);
  });

  test('continues from a saved state', () => {
    const { pic } = started();
    pic.line(4).set(true);
    const other = started();
    other.pic.masterPorts.restore(pic.masterPorts.save());
    other.pic.slavePorts.restore(pic.slavePorts.save());
    expect([other.intr.level, other.pic.acknowledge()]).toEqual([true, 0x34]);
  });
});
