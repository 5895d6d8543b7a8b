import { describe, expect, test } from 'vitest';
import { Gicv3 } from '../../../../../emulator/devices/gicv3/gicv3.ts';
import { FakeLine } from '../../../../support/fake-line.ts';

const [GICD_CTLR, GICD_TYPER, GICD_IGROUPR, GICD_ISENABLER, GICD_ICENABLER] = [0, 4, 0x80, 0x100, 0x180];
const [GICD_ISPENDR, GICD_ICPENDR, GICD_ISACTIVER, GICD_ICFGR] = [0x200, 0x280, 0x300, 0xc00];
const [GICD_IPRIORITYR, GICD_IROUTER] = [0x400, 0x6000];
const SGI = 0x10000;
const [UART_SPI, UART_INTID] = [1, 33];
const SPURIOUS = 1023n;

function setup(cpus = 2) {
  const irq = Array.from({ length: cpus }, () => new FakeLine());
  const fiq = Array.from({ length: cpus }, () => new FakeLine());
  const gic = new Gicv3({ affinities: irq.map((_, cpu) => cpu), spiCount: 224, irq, fiq });
  return { irq, fiq, gic };
}

/** Linux drivers/irqchip/irq-gic-v3.c: gic_dist_init, gic_cpu_init and gic_cpu_sys_reg_init, register by register. */
function startAsLinux({ distributor, redistributors, cpuInterfaces }: Gicv3): void {
  distributor.write(GICD_CTLR, 0, 4);
  for (let i = 32; i < 256; i += 32) distributor.write(GICD_IGROUPR + i / 8, 0xffff_ffff, 4);
  for (let i = 32; i < 256; i += 16) distributor.write(GICD_ICFGR + i / 4, 0, 4);
  for (let i = 32; i < 256; i += 4) distributor.write(GICD_IPRIORITYR + i, 0xa0a0_a0a0, 4);
  for (let i = 32; i < 256; i += 32) distributor.write(GICD_ICENABLER + i / 8, 0xffff_ffff, 4);
  distributor.write(GICD_CTLR, 0x13, 4);
  for (let i = 32; i < 256; i++) distributor.writeLong(GICD_IROUTER + i * 8, 0n);
  for (const [cpu, interfaceOf] of cpuInterfaces.entries()) {
    const rd = cpu * 0x20000;
    redistributors.write(rd + 0x14, redistributors.read(rd + 0x14, 4) & ~2, 4);
    redistributors.write(rd + SGI + 0x80, 0xffff_ffff, 4);
    redistributors.write(rd + SGI + 0x180, 0xffff_ffff, 4);
    for (let i = 0; i < 32; i += 4) redistributors.write(rd + SGI + 0x400 + i, 0xa0a0_a0a0, 4);
    redistributors.write(rd + SGI + 0x100, 0xff, 4);
    interfaceOf.writePMR(0xf0n);
    interfaceOf.writeBPR1(0n);
    interfaceOf.writeCTLR(0n);
    interfaceOf.writeAP0R0(0n);
    interfaceOf.writeAP1R0(0n);
    interfaceOf.writeIGRPEN1(1n);
  }
}

function started(cpus = 2) {
  const all = setup(cpus);
  startAsLinux(all.gic);
  return all;
}

describe('GICv3', () => {
  test('shows what QEMU shows Linux at reset', () => {
    const { gic } = setup(1);
    expect(gic.distributor.read(GICD_CTLR, 4)).toBe(0x50);
    expect(gic.distributor.read(GICD_TYPER, 4)).toBe(0x378_0007); // without LPIs; 0x37a0007 with
    expect(gic.redistributors.readLong(8)).toBe(0x100_0010n);
    expect(gic.redistributors.read(0x14, 4)).toBe(6);
  });

  test('CPU interface registers have the values of a cortex-a57 on QEMU', () => {
    const { gic } = setup(1);
    const cpu = gic.cpuInterfaces[0]!;
    expect([cpu.readCTLR(), cpu.readSRE(), cpu.readBPR0(), cpu.readBPR1(), cpu.readRPR(), cpu.readPMR()]).toEqual([
      0x8c00n,
      7n,
      2n,
      3n,
      0xffn,
      0n,
    ]);
    cpu.writePMR(0xffn);
    expect(cpu.readPMR()).toBe(0xf8n);
  });

  test('takes a level-sensitive SPI: acknowledge, handler lowers the line, end of interrupt', () => {
    const { gic, irq, fiq } = started();
    const line = gic.spiLine(UART_SPI);
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    line.set(true);
    expect([irq[0]!.level, irq[1]!.level, fiq[0]!.level]).toEqual([true, false, false]);
    const cpu = gic.cpuInterfaces[0]!;
    expect(cpu.readHPPIR1()).toBe(BigInt(UART_INTID));
    expect(cpu.readIAR1()).toBe(BigInt(UART_INTID));
    expect([irq[0]!.level, cpu.readRPR()]).toEqual([false, 0xa0n]);
    expect(cpu.readIAR1()).toBe(SPURIOUS);
    line.set(false);
    cpu.writeEOIR1(BigInt(UART_INTID));
    expect([irq[0]!.level, cpu.readRPR()]).toEqual([false, 0xffn]);
  });

  test('a level that stays asserted is pending again after the end of interrupt', () => {
    const { gic, irq } = started();
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    gic.spiLine(UART_SPI).set(true);
    const cpu = gic.cpuInterfaces[0]!;
    cpu.writeEOIR1(cpu.readIAR1());
    expect(irq[0]!.level).toBe(true);
  });

  test('an edge is latched, and one more while active is taken afterwards', () => {
    const { gic, irq } = started();
    gic.distributor.write(GICD_ICFGR + 8, 0x8, 4);
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    const line = gic.spiLine(UART_SPI);
    line.set(true);
    line.set(false);
    const cpu = gic.cpuInterfaces[0]!;
    expect(cpu.readIAR1()).toBe(33n);
    line.set(true);
    line.set(false);
    expect(irq[0]!.level).toBe(false);
    cpu.writeEOIR1(33n);
    expect([irq[0]!.level, cpu.readIAR1()]).toEqual([true, 33n]);
    cpu.writeEOIR1(33n);
    expect(irq[0]!.level).toBe(false);
  });

  test('routes an SPI by affinity, and to nobody when the affinity names no CPU', () => {
    const { gic, irq } = started();
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    gic.distributor.writeLong(GICD_IROUTER + UART_INTID * 8, 1n);
    gic.spiLine(UART_SPI).set(true);
    expect([irq[0]!.level, irq[1]!.level]).toEqual([false, true]);
    gic.distributor.writeLong(GICD_IROUTER + UART_INTID * 8, 7n);
    expect([irq[0]!.level, irq[1]!.level]).toEqual([false, false]);
  });

  test('a PPI reaches its own CPU only', () => {
    const { gic, irq } = started();
    gic.redistributors.write(0x20000 + SGI + 0x100, 1 << 27, 4);
    gic.ppiLine(0, 11).set(true);
    expect([irq[0]!.level, irq[1]!.level]).toEqual([false, false]);
    gic.ppiLine(1, 11).set(true);
    expect([irq[0]!.level, irq[1]!.level]).toEqual([false, true]);
    expect(gic.cpuInterfaces[1]!.readIAR1()).toBe(27n);
  });

  test.each([
    { what: 'a target list', value: (2n << 24n) | 0b110n, reached: [false, true, true] },
    { what: 'all others', value: (2n << 24n) | (1n << 40n), reached: [false, true, true] },
    { what: 'itself', value: (2n << 24n) | 0b001n, reached: [true, false, false] },
    { what: 'a cluster without CPUs', value: (2n << 24n) | (1n << 16n) | 0b111n, reached: [false, false, false] },
    { what: 'the second range of sixteen', value: (2n << 24n) | (1n << 44n) | 0b111n, reached: [false, false, false] },
  ])('SGI to $what', ({ value, reached }) => {
    const { gic, irq } = started(3);
    gic.cpuInterfaces[0]!.writeSGI1R(value);
    expect(irq.map(line => line.level)).toEqual(reached);
  });

  test('a group 1 SGI does not reach a CPU on which it is in group 0', () => {
    const { gic, irq } = started();
    gic.redistributors.write(0x20000 + SGI + 0x80, 0, 4);
    gic.cpuInterfaces[0]!.writeSGI1R(0b10n);
    expect(irq[1]!.level).toBe(false);
  });

  test('group 0 signals FIQ and is acknowledged through ICC_IAR0', () => {
    const { gic, irq, fiq } = started();
    gic.distributor.write(GICD_CTLR, 3, 4);
    gic.distributor.write(GICD_IGROUPR + 4, 0, 4);
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    const cpu = gic.cpuInterfaces[0]!;
    gic.spiLine(UART_SPI).set(true);
    expect(fiq[0]!.level).toBe(false);
    cpu.writeIGRPEN0(1n);
    expect([irq[0]!.level, fiq[0]!.level]).toEqual([false, true]);
    expect([cpu.readIAR1(), cpu.readIAR0()]).toEqual([SPURIOUS, 33n]);
    cpu.writeEOIR1(33n); // the wrong group: ignored
    expect(cpu.readRPR()).toBe(0xa0n);
    cpu.writeEOIR0(33n);
    expect(cpu.readRPR()).toBe(0xffn);
  });

  test('a higher priority preempts, and running priorities nest', () => {
    const { gic, irq } = started();
    gic.distributor.write(GICD_IPRIORITYR + 34, 0x80, 1);
    gic.distributor.write(GICD_ISENABLER + 4, 0b110, 4);
    const cpu = gic.cpuInterfaces[0]!;
    gic.spiLine(1).set(true);
    expect(cpu.readIAR1()).toBe(33n);
    gic.spiLine(2).set(true);
    expect(irq[0]!.level).toBe(true);
    expect([cpu.readIAR1(), cpu.readRPR(), cpu.readAP1R0()]).toEqual([34n, 0x80n, (1n << 16n) | (1n << 20n)]);
    gic.spiLine(2).set(false);
    cpu.writeEOIR1(34n);
    expect(cpu.readRPR()).toBe(0xa0n);
    cpu.writeEOIR1(33n);
    expect(cpu.readRPR()).toBe(0xffn);
  });

  test('the binary point decides what preempts', () => {
    const { gic, irq } = started();
    gic.distributor.write(GICD_IPRIORITYR + 34, 0x80, 1);
    gic.distributor.write(GICD_ISENABLER + 4, 0b110, 4);
    const cpu = gic.cpuInterfaces[0]!;
    cpu.writeBPR1(7n); // group priority is bit 7 alone: 0x80 and 0xa0 are in one group
    gic.spiLine(1).set(true);
    expect(cpu.readIAR1()).toBe(33n);
    gic.spiLine(2).set(true);
    expect(irq[0]!.level).toBe(false);
  });

  test('the priority mask holds back what is not above it (Linux pseudo-NMI)', () => {
    const { gic, irq } = started();
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    const cpu = gic.cpuInterfaces[0]!;
    cpu.writePMR(0x60n);
    gic.spiLine(UART_SPI).set(true);
    expect([irq[0]!.level, cpu.readIAR1()]).toEqual([false, SPURIOUS]);
    cpu.writePMR(0xf0n);
    expect(irq[0]!.level).toBe(true);
  });

  test('EOImode 1 splits priority drop and deactivation (Linux at EL2)', () => {
    const { gic, irq } = started();
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    const cpu = gic.cpuInterfaces[0]!;
    cpu.writeCTLR(2n);
    gic.spiLine(UART_SPI).set(true);
    expect(cpu.readIAR1()).toBe(33n);
    cpu.writeEOIR1(33n);
    expect([cpu.readRPR(), irq[0]!.level]).toEqual([0xffn, false]);
    expect(gic.distributor.read(GICD_ISACTIVER + 4, 4)).toBe(2);
    cpu.writeDIR(33n);
    expect(irq[0]!.level).toBe(true);
  });

  test('pending registers show the line, and a write latches', () => {
    const { gic } = started();
    const line = gic.spiLine(UART_SPI);
    line.set(true);
    gic.distributor.write(GICD_ICPENDR + 4, 2, 4);
    expect(gic.distributor.read(GICD_ISPENDR + 4, 4)).toBe(2);
    line.set(false);
    expect(gic.distributor.read(GICD_ISPENDR + 4, 4)).toBe(0);
    gic.distributor.write(GICD_ISPENDR + 4, 4, 4);
    expect(gic.distributor.read(GICD_ICPENDR + 4, 4)).toBe(4);
  });

  test('survives a kexec without reset: the capture kernel clears what the panic left active', () => {
    const { gic, irq } = started();
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    const line = gic.spiLine(UART_SPI);
    line.set(true);
    gic.cpuInterfaces[0]!.readIAR1();
    // machine_kexec_mask_interrupts ends and disables; the new kernel initialises everything anew.
    gic.distributor.write(0x380 + 4, 2, 4);
    gic.distributor.write(GICD_ICENABLER + 4, 2, 4);
    startAsLinux(gic);
    expect([irq[0]!.level, gic.cpuInterfaces[0]!.readRPR()]).toEqual([false, 0xffn]);
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    expect(gic.cpuInterfaces[0]!.readIAR1()).toBe(33n);
  });

  test('a restored controller continues in the middle of an interrupt', () => {
    const { gic } = started();
    gic.distributor.write(GICD_ISENABLER + 4, 2, 4);
    gic.distributor.writeLong(GICD_IROUTER + UART_INTID * 8, 1n);
    gic.spiLine(UART_SPI).set(true);
    gic.cpuInterfaces[1]!.readIAR1();
    const other = setup();
    other.gic.distributor.restore(gic.distributor.save());
    other.gic.redistributors.restore(gic.redistributors.save());
    expect(other.gic.redistributors.save()).toEqual(gic.redistributors.save());
    expect(other.gic.distributor.save()).toEqual(gic.distributor.save());
    expect(other.irq[1]!.level).toBe(false);
    other.gic.cpuInterfaces[1]!.writeEOIR1(33n);
    expect(other.irq[1]!.level).toBe(true);
    other.gic.spiLine(UART_SPI).set(false);
    expect(other.irq[1]!.level).toBe(false);
  });
});
