import { describe, expect, test } from 'vitest';
import { ApicPage } from '../../../../../emulator/devices/apic/apic-page.ts';
import { IoApic } from '../../../../../emulator/devices/apic/io-apic.ts';
import { LocalApic } from '../../../../../emulator/devices/apic/local-apic.ts';
import { ApicBus } from '../../../../../emulator/devices/apic/messages.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

const [TPR, EOI, LDR, SVR, ISR, IRR] = [0x08, 0x0b, 0x0d, 0x0f, 0x10, 0x20];
const [ICR_LOW, ICR_HIGH, LVT_TIMER, LVT_LINT0, TIMER_INITIAL, TIMER_CURRENT, DIVIDE] = [
  0x30, 0x31, 0x32, 0x35, 0x38, 0x39, 0x3e,
];
const [ESR, LVT_ERROR] = [0x28, 0x37];
const MASKED = 0x1_0000;

function setup(count = 2) {
  const clock = new ManualClock();
  const bus = new ApicBus();
  const events: string[] = [];
  const lines = Array.from({ length: count }, () => new FakeLine());
  const apics = lines.map((interrupt, id) => {
    const cpu = {
      interrupt,
      nmi: () => events.push(`nmi ${id}`),
      init: () => events.push(`init ${id}`),
      startup: (vector: number) => events.push(`startup ${id} ${vector.toString(16)}`),
    };
    return new LocalApic({ id, bus, cpu, clock, tscHz: 2_000_000_000, acknowledgePic: () => 0x30 });
  });
  const io = new IoApic(bus);
  for (const [id, apic] of apics.entries()) {
    // Linux setup_local_APIC: flat logical destinations.
    apic.writeRegister(LDR, (1 << id) << 24);
    apic.writeRegister(TPR, 0x10);
    apic.writeRegister(SVR, 0x1ff);
  }
  const redirect = (pin: number, high: number, low: number): void => {
    io.write(0, 0x11 + 2 * pin, 4);
    io.write(0x10, high, 4);
    io.write(0, 0x10 + 2 * pin, 4);
    io.write(0x10, low, 4);
  };
  return { clock, bus, events, lines, apics, io, redirect };
}

describe('local APIC', () => {
  test('takes vectors by priority, and nests', () => {
    const { bus, apics, lines } = setup();
    const [apic] = apics;
    bus.send(0xfee0_0000, 0x41);
    bus.send(0xfee0_0000, 0x35);
    expect([lines[0]!.level, lines[1]!.level]).toEqual([true, false]);
    expect(apic!.acknowledge()).toBe(0x41);
    expect([lines[0]!.level, apic!.acknowledge()]).toEqual([false, -1]);
    bus.send(0xfee0_0000, 0x61);
    expect(apic!.acknowledge()).toBe(0x61);
    expect([apic!.readRegister(ISR + 2), apic!.readRegister(ISR + 3), apic!.readRegister(IRR + 1)]).toEqual([
      2,
      2,
      1 << 21,
    ]);
    apic!.writeRegister(EOI, 0);
    apic!.writeRegister(EOI, 0);
    expect(apic!.acknowledge()).toBe(0x35);
  });

  test('the task priority holds back its own class and below', () => {
    const { bus, apics, lines } = setup();
    apics[0]!.writeCR8(4n);
    bus.send(0xfee0_0000, 0x4f);
    expect(lines[0]!.level).toBe(false);
    bus.send(0xfee0_0000, 0x50);
    expect(lines[0]!.level).toBe(true);
    expect(apics[0]!.readCR8()).toBe(4n);
  });

  test.each([
    { what: 'physical', high: 1, low: 0x40fd, hit: [false, true] },
    { what: 'broadcast', high: 0xff, low: 0x40fd, hit: [true, true] },
    { what: 'logical', high: 3, low: 0x48fd, hit: [true, true] },
    { what: 'self', high: 0, low: 0x440fd, hit: [true, false] },
    { what: 'all', high: 0, low: 0x840fd, hit: [true, true] },
    { what: 'others', high: 0, low: 0xc40fd, hit: [false, true] },
  ])('an IPI to $what', ({ high, low, hit }) => {
    const { apics, lines } = setup();
    apics[0]!.writeRegister(ICR_HIGH, (high << 24) >>> 0);
    apics[0]!.writeRegister(ICR_LOW, low);
    expect(lines.map(line => line.level)).toEqual(hit);
  });

  test('starts another CPU as wakeup_secondary_cpu_via_init does', () => {
    const { apics, events } = setup();
    for (const low of [0xc500, 0x8500, 0x0699, 0x0699]) {
      apics[0]!.writeRegister(ICR_HIGH, 1 << 24);
      apics[0]!.writeRegister(ICR_LOW, low);
    }
    expect(events).toEqual(['init 1', 'startup 1 99', 'startup 1 99']);
  });

  test('sends NMI to all others, as crash_smp_send_stop does', () => {
    const { apics, events } = setup(3);
    apics[0]!.writeRegister(ICR_LOW, 0xc_0400);
    expect(events).toEqual(['nmi 1', 'nmi 2']);
  });

  test('times periodically and once', () => {
    const { apics, clock, lines } = setup();
    const [apic] = apics;
    apic!.writeRegister(DIVIDE, 3); // by 16
    apic!.writeRegister(LVT_TIMER, 0x2_00ec);
    apic!.writeRegister(TIMER_INITIAL, 62_500); // 1 ms at 1 GHz / 16
    clock.advance(500_000);
    expect(apic!.readRegister(TIMER_CURRENT)).toBe(31_250);
    clock.advance(500_000);
    expect([lines[0]!.level, apic!.acknowledge()]).toEqual([true, 0xec]);
    apic!.writeRegister(EOI, 0);
    clock.advance(1_000_000);
    expect(apic!.acknowledge()).toBe(0xec);
    apic!.writeRegister(EOI, 0);
    apic!.writeRegister(LVT_TIMER, 0xec);
    apic!.writeRegister(TIMER_INITIAL, 1000);
    clock.advance(20_000);
    expect([apic!.acknowledge(), apic!.readRegister(TIMER_CURRENT), clock.nextAlarm]).toEqual([0xec, 0, undefined]);
  });

  test('times by TSC deadline', () => {
    const { apics, clock } = setup();
    const [apic] = apics;
    apic!.writeRegister(LVT_TIMER, 0x4_00ec);
    apic!.writeTscDeadline(2_000_000n); // 1 ms at 2 GHz
    clock.advance(999_999);
    expect(apic!.acknowledge()).toBe(-1);
    clock.advance(1);
    expect([apic!.acknowledge(), apic!.readTscDeadline()]).toEqual([0xec, 0n]);
  });

  test('passes the 8259 pair’s interrupt through LINT0 in virtual wire mode', () => {
    const { apics, lines } = setup();
    apics[0]!.setLint(0, true);
    expect(lines[0]!.level).toBe(false);
    apics[0]!.writeRegister(LVT_LINT0, 0x700);
    expect([lines[0]!.level, apics[0]!.acknowledge()]).toEqual([true, 0x30]);
    apics[0]!.writeRegister(LVT_LINT0, 0x700 | MASKED);
    expect(lines[0]!.level).toBe(false);
  });

  test('works as x2APIC', () => {
    const { apics, lines } = setup();
    for (const apic of apics) expect(apic.writeBase(apic.readBase() | 0x400n)).toBe(true);
    expect([apics[1]!.readMsr(2), apics[1]!.readMsr(0xd), apics[1]!.readMsr(0xe)]).toEqual([1n, 2n, undefined]);
    apics[0]!.writeMsr(0x30, (1n << 32n) | 0xfdn);
    expect(lines.map(line => line.level)).toEqual([false, true]);
    apics[0]!.writeMsr(0x3f, 0x55n);
    expect(apics[0]!.acknowledge()).toBe(0x55);
    expect(apics[0]!.writeMsr(0x02, 0n)).toBe(false);
    expect(apics[0]!.writeMsr(0x3f, 0x155n)).toBe(false);
    expect(apics[0]!.writeBase(0xfee0_0800n)).toBe(false); // not back to xAPIC without switching off
  });

  test.each([
    ['bits 31 to 20 of ICR', 0x30, 1n << 20n],
    ['bit 13 of ICR', 0x30, 1n << 13n],
    ['EOI but 0', 0x0b, 1n],
    ['ESR but 0', 0x28, 1n],
    ['TPR beyond eight bits', 0x08, 0x100n],
    ['the upper half of SVR', 0x0f, 1n << 32n],
  ])('an x2APIC refuses %s', (_what, register, value) => {
    const apic = setup().apics[0]!;
    apic.writeBase(apic.readBase() | 0x400n);
    expect([apic.writeMsr(register, value), apic.writeMsr(register, 0n)]).toEqual([false, true]);
  });

  test.each<[string, (apic: LocalApic) => void, error: number]>([
    ['an IPI with a vector below 16 to another', apic => apic.writeRegister(ICR_LOW, 0xc_400f), 0x20],
    ['one to itself', apic => apic.writeRegister(ICR_LOW, 0x4_400f), 0x60],
    ['a register that does not exist', apic => void apic.readRegister(0x3a), 0x80],
    ['nothing', () => undefined, 0],
  ])('tells of %s in ESR when that is written, and once by an interrupt', (_what, fail, error) => {
    const { apics, lines } = setup();
    const apic = apics[0]!;
    apic.writeRegister(LVT_ERROR, 0xfe);
    fail(apic);
    fail(apic);
    expect(apic.readRegister(ESR)).toBe(0);
    apic.writeRegister(ESR, 0);
    expect([apic.readRegister(ESR), lines[0]!.level]).toEqual([error, error !== 0]);
    apic.writeRegister(ESR, 0);
    expect(apic.readRegister(ESR)).toBe(0);
  });

  test('has the xAPIC ID that is written, up to a reset; INIT leaves it', () => {
    const { apics, lines } = setup();
    const apic = apics[1]!;
    const ID = 0x02;
    apic.writeRegister(ID, 0x3700_0000);
    apics[0]!.writeRegister(ICR_HIGH, 0x3700_0000);
    apics[0]!.writeRegister(ICR_LOW, 0x40fd);
    expect([apic.readRegister(ID), lines[1]!.level]).toEqual([0x3700_0000, true]);
    apics[0]!.writeRegister(ICR_LOW, 0xc500);
    expect(apic.readRegister(ID)).toBe(0x3700_0000);
    apic.writeBase(apic.readBase() & ~0x800n);
    apic.writeBase(apic.readBase() | 0x800n);
    expect(apic.readRegister(ID)).toBe(0x100_0000);
    apic.writeRegister(ID, 0x3700_0000);
    apic.writeBase(apic.readBase() | 0x400n);
    expect([apic.readRegister(ID), apic.writeMsr(ID, 0n)]).toEqual([1, false]);
  });

  test('refuses reserved bits of its base', () => {
    const apic = setup().apics[0]!;
    for (const bit of [0n, 7n, 9n, 40n, 63n]) expect(apic.writeBase(0xfee0_0800n | (1n << bit))).toBe(false);
  });

  test('counts on when its timer becomes periodic, and starts again at the end', () => {
    const { apics, clock } = setup();
    const apic = apics[0]!;
    apic.writeRegister(0x0f, 0x1ff);
    apic.writeRegister(0x3e, 0xb); // divide by 1
    apic.writeRegister(0x32, 0x30);
    apic.writeRegister(0x38, 1000);
    clock.advance(600);
    apic.writeRegister(0x32, 0x2_0030);
    const left = apic.readRegister(0x39);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(1000);
    clock.advance(600);
    expect(apic.readRegister(0x39)).toBeGreaterThan(left);
  });

  test('goes from off to xAPIC to x2APIC, one step at a time', () => {
    const apic = setup().apics[0]!;
    expect(apic.writeBase(0xfee0_0000n)).toBe(true);
    expect([apic.isMappedAt(0xfee0_0000), apic.writeBase(0xfee0_0c00n)]).toEqual([false, false]);
    expect([apic.writeBase(0xfee0_0800n), apic.isMappedAt(0xfee0_0000)]).toEqual([true, true]);
    expect([apic.writeBase(0xfee0_0c00n), apic.isMappedAt(0xfee0_0000)]).toEqual([true, false]);
  });

  test('a page shows each CPU its own registers, and takes MSIs beyond them', () => {
    const { apics, bus, lines } = setup();
    let current = 0;
    const page = new ApicPage(apics, () => current, bus);
    expect(page.read(0x30, 4)).toBe(0x5_0014);
    current = 1;
    expect(page.read(0x20, 4)).toBe(0x100_0000);
    page.write(0x1004, 0x23, 4);
    expect(lines.map(line => line.level)).toEqual([true, false]);
  });

  test('continues from a saved state', () => {
    const first = setup();
    first.bus.send(0xfee0_0000, 0x41);
    first.apics[0]!.writeRegister(LVT_TIMER, 0xec);
    first.apics[0]!.writeRegister(TIMER_INITIAL, 1000);
    const second = setup();
    second.apics[0]!.restore(first.apics[0]!.save());
    expect(second.apics[0]!.save()).toEqual(first.apics[0]!.save());
    expect(second.lines[0]!.level).toBe(true);
    second.clock.advance(2_000);
    expect(second.apics[0]!.acknowledge()).toBe(0xec);
  });
});

describe('I/O APIC', () => {
  test('an edge sends one message', () => {
    const { io, redirect, apics } = setup();
    redirect(4, 1 << 24, 0x0830);
    io.line(4).set(true);
    expect([apics[0]!.acknowledge(), apics[1]!.acknowledge()]).toEqual([0x30, -1]);
    apics[0]!.writeRegister(EOI, 0);
    expect(apics[0]!.acknowledge()).toBe(-1);
  });

  test('a level is sent again after its end while the wire stays asserted', () => {
    const { io, redirect, apics } = setup();
    redirect(16, 1 << 24, 0xa831);
    io.line(16).set(true);
    io.write(0, 0x30, 4);
    expect(io.read(0x10, 4) & 0x4000).toBe(0x4000);
    expect(apics[0]!.acknowledge()).toBe(0x31);
    apics[0]!.writeRegister(EOI, 0);
    expect(apics[0]!.acknowledge()).toBe(0x31);
    io.line(16).set(false);
    apics[0]!.writeRegister(EOI, 0);
    expect([apics[0]!.acknowledge(), io.read(0x10, 4) & 0x4000]).toEqual([-1, 0]);
  });

  test('a masked level waits, a masked edge is lost', () => {
    const { io, redirect, apics } = setup();
    io.line(16).set(true);
    io.line(4).set(true);
    redirect(16, 1 << 24, 0xa831);
    redirect(4, 1 << 24, 0x0830);
    expect([apics[0]!.acknowledge(), apics[0]!.acknowledge()]).toEqual([0x31, -1]);
  });

  test('lowest priority goes to the CPU with the least to do', () => {
    const { io, redirect, apics } = setup();
    apics[0]!.writeCR8(5n);
    redirect(4, 3 << 24, 0x0960);
    io.line(4).set(true);
    expect([apics[0]!.acknowledge(), apics[1]!.acknowledge()]).toEqual([-1, 0x60]);
  });
});
