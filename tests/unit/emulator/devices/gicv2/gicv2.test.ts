import { describe, expect, test } from 'vitest';
import { Gicv2 } from '../../../../../emulator/devices/gicv2/gicv2.ts';
import { Gicv2m } from '../../../../../emulator/devices/gicv2/v2m.ts';
import { Bus } from '../../../../../emulator/memory/bus.ts';
import { busAccesses, differencesOf } from '../../../../support/bus-accesses.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { type Access, isInstalled, qtestAccesses } from '../../../../support/qtest.ts';

const QEMU = 'qemu-system-aarch64';
const [GICD, GICC, V2M] = [0x800_0000, 0x801_0000, 0x802_0000];
const [CTLR, PMR, BPR, IAR, EOIR, RPR, HPPIR, DIR] = [0, 4, 8, 0xc, 0x10, 0x14, 0x18, 0x1000];
const [ISENABLER, ISPENDR, IPRIORITYR, ITARGETSR, ICFGR, SGIR] = [0x100, 0x200, 0x400, 0x800, 0xc00, 0xf00];
const SPURIOUS = 1023;

function setup(cpuCount = 2) {
  const irq = Array.from({ length: cpuCount }, () => new FakeLine());
  const fiq = Array.from({ length: cpuCount }, () => new FakeLine());
  const access = { cpu: 0 };
  const gic = new Gicv2({ cpuCount, spiCount: 256, irq, fiq, currentCpu: () => access.cpu });
  const on = <T>(cpu: number, action: () => T): T => {
    access.cpu = cpu;
    const result = action();
    access.cpu = 0;
    return result;
  };
  return { gic, irq, fiq, on };
}

/** Linux drivers/irqchip/irq-gic.c: gic_dist_init, gic_cpu_init on each CPU. */
function startAsLinux({ gic, on }: ReturnType<typeof setup>, cpuCount = 2): void {
  const { distributor, cpuInterfaces } = gic;
  distributor.write(CTLR, 0, 4);
  for (let i = 32; i < 288; i += 4) distributor.write(ITARGETSR + i, 0x0101_0101, 4);
  for (let i = 32; i < 288; i += 16) distributor.write(ICFGR + i / 4, 0, 4);
  for (let i = 32; i < 288; i += 4) distributor.write(IPRIORITYR + i, 0xa0a0_a0a0, 4);
  for (let i = 32; i < 288; i += 32) distributor.write(0x180 + i / 8, 0xffff_ffff, 4);
  distributor.write(CTLR, 1, 4);
  for (let cpu = 0; cpu < cpuCount; cpu++)
    on(cpu, () => {
      for (let i = 0; i < 32; i += 4) distributor.write(IPRIORITYR + i, 0xa0a0_a0a0, 4);
      cpuInterfaces.write(PMR, 0xf0, 4);
      for (let i = 0; i < 4; i++) cpuInterfaces.write(0xd0 + 4 * i, 0, 4);
      cpuInterfaces.write(CTLR, 1, 4);
    });
}

function started(cpuCount = 2) {
  const all = setup(cpuCount);
  startAsLinux(all, cpuCount);
  return all;
}

describe.skipIf(!isInstalled(QEMU))(`GICv2 beside ${QEMU}`, () => {
  test('every register reads the same at reset and after writes', async () => {
    const script: Access[] = [];
    const readAll = (): void => {
      for (let offset = 0; offset < 0x1000; offset += 4) script.push(['read', GICD + offset, 4]);
      for (let offset = 0; offset < 0xd0; offset += 4) script.push(['read', GICC + offset, 4]);
      script.push(['read', GICC + 0xfc, 4], ['read', V2M + 8, 4], ['read', V2M + 0xfcc, 4]);
    };
    readAll();
    // Pending and enabled interrupts would be signalled: writes set and clear all.
    for (let offset = 4; offset < 0xf00; offset += 4)
      script.push(['write', GICD + offset, 4, offset < 0x400 ? 0xffff_ffff : (0x9e37_79b1 * offset) % 2 ** 32]);
    script.push(['write', GICD, 4, 0xffff_ffff]);
    for (let offset = 0; offset < 0x20; offset += 4) script.push(['write', GICC + offset, 4, 0xffff_ffff]);
    readAll();
    // QEMU stops when asked for the current CPU of several without one running: compare with one.
    const theirs = await qtestAccesses(QEMU, ['-M', 'virt,gic-version=2', '-m', '64', '-cpu', 'cortex-a57'], script);
    const { gic } = setup(1);
    const bus = new Bus('mmio');
    bus.map(GICD, 0x1000, gic.distributor);
    bus.map(GICC, 0x2000, gic.cpuInterfaces);
    bus.map(
      V2M,
      0x1000,
      new Gicv2m(
        48,
        Array.from({ length: 64 }, (_, i) => gic.spiLine(48 + i)),
      ),
    );
    const ours = busAccesses(bus, script);
    expect(differencesOf(script, ours, theirs)).toEqual([]);
  });
});

describe('GICv2', () => {
  test('tells each CPU its own bit', () => {
    const { gic, on } = setup();
    expect([0, 1].map(cpu => on(cpu, () => gic.distributor.read(ITARGETSR, 4)))).toEqual([0x0101_0101, 0x0202_0202]);
  });

  test('takes an SPI on the targeted CPU', () => {
    const { gic, irq, fiq, on } = started();
    gic.distributor.write(ISENABLER + 4, 2, 4);
    gic.distributor.write(ITARGETSR + 33, 2, 1);
    const line = gic.spiLine(1);
    line.set(true);
    expect([irq[0]!.level, irq[1]!.level, fiq[1]!.level]).toEqual([false, true, false]);
    on(1, () => {
      expect([gic.cpuInterfaces.read(HPPIR, 4), gic.cpuInterfaces.read(IAR, 4)]).toEqual([33, 33]);
      expect([gic.cpuInterfaces.read(RPR, 4), gic.cpuInterfaces.read(IAR, 4)]).toEqual([0xa0, SPURIOUS]);
      line.set(false);
      gic.cpuInterfaces.write(EOIR, 33, 4);
      expect(gic.cpuInterfaces.read(RPR, 4)).toBe(0xff);
    });
    expect(irq[1]!.level).toBe(false);
  });

  test('an SPI for several CPUs is taken once', () => {
    const { gic, irq, on } = started();
    gic.distributor.write(ISENABLER + 4, 2, 4);
    gic.distributor.write(ITARGETSR + 33, 3, 1);
    gic.spiLine(1).set(true);
    expect(irq.map(line => line.level)).toEqual([true, true]);
    expect(on(1, () => gic.cpuInterfaces.read(IAR, 4))).toBe(33);
    expect(irq.map(line => line.level)).toEqual([false, false]);
    expect(on(0, () => gic.cpuInterfaces.read(IAR, 4))).toBe(SPURIOUS);
  });

  test('an SGI carries its sender, and each sender’s is taken once', () => {
    const { gic, irq, on } = started(3);
    on(2, () => gic.distributor.write(SGIR, 0x0001_0003, 4));
    on(1, () => gic.distributor.write(SGIR, 0x0100_0003, 4)); // to all others
    expect(irq.map(line => line.level)).toEqual([true, false, true]);
    const { cpuInterfaces } = gic;
    expect(cpuInterfaces.read(IAR, 4)).toBe((1 << 10) | 3);
    cpuInterfaces.write(EOIR, (1 << 10) | 3, 4);
    expect(cpuInterfaces.read(IAR, 4)).toBe((2 << 10) | 3);
    cpuInterfaces.write(EOIR, (2 << 10) | 3, 4);
    expect(cpuInterfaces.read(IAR, 4)).toBe(SPURIOUS);
    on(1, () => gic.distributor.write(SGIR, 0x0200_0007, 4)); // to itself
    expect(on(1, () => cpuInterfaces.read(IAR, 4))).toBe((1 << 10) | 7);
  });

  test('a PPI is each CPU’s own', () => {
    const { gic, irq, on } = started();
    on(1, () => gic.distributor.write(ISENABLER, 1 << 27, 4));
    gic.ppiLine(0, 11).set(true);
    gic.ppiLine(1, 11).set(true);
    expect(irq.map(line => line.level)).toEqual([false, true]);
  });

  test('a higher priority preempts, within the binary point', () => {
    const { gic, irq } = started();
    gic.distributor.write(IPRIORITYR + 34, 0x80, 1);
    gic.distributor.write(ISENABLER + 4, 6, 4);
    gic.spiLine(1).set(true);
    expect(gic.cpuInterfaces.read(IAR, 4)).toBe(33);
    gic.cpuInterfaces.write(BPR, 6, 4);
    gic.spiLine(2).set(true);
    expect(irq[0]!.level).toBe(false);
    gic.cpuInterfaces.write(BPR, 2, 4);
    expect(irq[0]!.level).toBe(true);
    expect([gic.cpuInterfaces.read(IAR, 4), gic.cpuInterfaces.read(RPR, 4)]).toEqual([34, 0x80]);
    gic.cpuInterfaces.write(EOIR, 34, 4);
    expect(gic.cpuInterfaces.read(RPR, 4)).toBe(0xa0);
  });

  test('FIQEn sends group 0 to FIQ; group 1 is hidden from IAR without AckCtl', () => {
    const { gic, irq, fiq } = started();
    gic.distributor.write(CTLR, 3, 4);
    gic.distributor.write(ISENABLER + 4, 6, 4);
    gic.distributor.write(0x84, 4, 4);
    gic.cpuInterfaces.write(CTLR, 0xb, 4);
    gic.spiLine(1).set(true);
    expect([irq[0]!.level, fiq[0]!.level]).toEqual([false, true]);
    gic.spiLine(1).set(false);
    gic.spiLine(2).set(true);
    expect([irq[0]!.level, fiq[0]!.level, gic.cpuInterfaces.read(IAR, 4)]).toEqual([true, false, 1022]);
    gic.cpuInterfaces.write(CTLR, 0xf, 4);
    expect(gic.cpuInterfaces.read(IAR, 4)).toBe(34);
  });

  test('EOImode splits priority drop and deactivation', () => {
    const { gic, irq } = started();
    gic.cpuInterfaces.write(CTLR, 0x201, 4);
    gic.distributor.write(ISENABLER + 4, 2, 4);
    gic.spiLine(1).set(true);
    gic.cpuInterfaces.write(EOIR, gic.cpuInterfaces.read(IAR, 4), 4);
    expect(irq[0]!.level).toBe(false);
    gic.cpuInterfaces.write(DIR, 33, 4);
    expect(irq[0]!.level).toBe(true);
  });

  test('restores in the middle of an interrupt', () => {
    const first = started();
    first.gic.distributor.write(ISENABLER + 4, 2, 4);
    first.gic.spiLine(1).set(true);
    first.gic.cpuInterfaces.read(IAR, 4);
    const second = setup();
    second.gic.distributor.restore(first.gic.distributor.save());
    second.gic.cpuInterfaces.restore(first.gic.cpuInterfaces.save());
    expect(second.gic.distributor.save()).toEqual(first.gic.distributor.save());
    expect(second.gic.cpuInterfaces.save()).toEqual(first.gic.cpuInterfaces.save());
    expect(second.irq[0]!.level).toBe(false);
    second.gic.cpuInterfaces.write(EOIR, 33, 4);
    expect(second.irq[0]!.level).toBe(true);
  });
});

describe('GICv2m', () => {
  test('an MSI raises an edge on its SPI', () => {
    const { gic, irq } = started();
    const frame = new Gicv2m(48, [gic.spiLine(48), gic.spiLine(49)]);
    gic.distributor.write(ICFGR + 20, 0xaaaa_aaaa, 4);
    gic.distributor.write(ISENABLER + 8, 0x3_0000, 4);
    frame.write(0x40, 81, 4);
    expect(irq[0]!.level).toBe(true);
    expect(gic.distributor.read(ISPENDR + 8, 4)).toBe(0x2_0000);
    expect(gic.cpuInterfaces.read(IAR, 4)).toBe(81);
    frame.raise(500);
    expect(gic.cpuInterfaces.read(IAR, 4)).toBe(SPURIOUS);
  });
});
