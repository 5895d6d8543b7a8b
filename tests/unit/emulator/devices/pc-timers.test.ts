import { describe, expect, test } from 'vitest';
import { AcpiPm } from '../../../../emulator/devices/acpi-pm.ts';
import { Hpet } from '../../../../emulator/devices/hpet.ts';
import { I8254, PortB } from '../../../../emulator/devices/i8254.ts';
import { Mc146818 } from '../../../../emulator/devices/mc146818.ts';
import { TickRate } from '../../../../emulator/devices/tick-rate.ts';
import { FakeLine } from '../../../support/fake-line.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const SECOND = 1_000_000_000;
const MS = 1_000_000;

describe('tick rate', () => {
  test.each([1_193_182, 3_579_545, 32_768, 1_000_000_000])(
    '%i Hz: the time of a tick is when it has just happened',
    hz => {
      const rate = new TickRate(hz);
      for (const ticks of [0, 1, 2, 12_345, hz, hz + 1, 7 * hz - 1, 100_000 * hz + 3]) {
        const at = rate.timeOf(ticks);
        expect(rate.ticksAt(at)).toBe(ticks);
        if (at > 0) expect(rate.ticksAt(at - 1)).toBeLessThan(Math.max(ticks, 1));
      }
    },
  );
});

function setupPit() {
  const clock = new ManualClock();
  const irq = new FakeLine();
  return { clock, irq, pit: new I8254(clock, irq) };
}

describe('8254', () => {
  test('interrupts HZ times a second in mode 2', () => {
    const { clock, irq, pit } = setupPit();
    pit.write(3, 0x34, 1);
    pit.write(0, 11932 & 0xff, 1);
    pit.write(0, 11932 >> 8, 1);
    irq.rises = 0;
    clock.advance(SECOND);
    expect(irq.rises).toBe(99); // 1193182 / 11932 = 99.9…
  });

  test('interrupts once in mode 0', () => {
    const { clock, irq, pit } = setupPit();
    pit.write(3, 0x30, 1);
    expect(irq.level).toBe(false);
    pit.write(0, 0xa9, 1);
    pit.write(0, 0x04, 1); // 1193: 1 ms
    clock.advance(MS - 1000);
    expect(irq.level).toBe(false);
    clock.advance(1000);
    expect(irq.level).toBe(true);
    expect(clock.nextAlarm).toBeUndefined();
  });

  test('lets Linux measure the TSC: pit_hpet_ptimer_calibrate_cpu waits for output 2 at port 0x61', () => {
    const { clock, pit } = setupPit();
    const port61 = new PortB(pit);
    port61.write(0, (port61.read() & ~2) | 1, 1);
    pit.write(3, 0xb0, 1);
    const latch = Math.floor(1_193_182 / 100);
    pit.write(2, latch & 0xff, 1);
    pit.write(2, latch >> 8, 1);
    expect(port61.read() & 0x20).toBe(0);
    clock.advance(9.99 * MS);
    expect(port61.read() & 0x20).toBe(0);
    clock.advance(0.01 * MS);
    expect(port61.read() & 0x20).toBe(0x20);
  });

  test('counts down in pairs of reads, and a latch holds still', () => {
    const { clock, pit } = setupPit();
    pit.write(3, 0xb0, 1);
    pit.write(2, 0xff, 1);
    pit.write(2, 0xff, 1);
    const gate = new PortB(pit);
    gate.write(0, 1, 1);
    clock.advance(10 * MS);
    pit.write(3, 0x80, 1);
    clock.advance(10 * MS);
    const latched = pit.read(2, 1) + 256 * pit.read(2, 1);
    const now = pit.read(2, 1) + 256 * pit.read(2, 1);
    expect([latched, now]).toEqual([65535 - 11931, 65535 - 23863]);
  });

  test('continues from a saved state', () => {
    const first = setupPit();
    first.pit.write(3, 0x30, 1);
    first.pit.write(0, 0xa9, 1);
    first.pit.write(0, 0x04, 1);
    const second = setupPit();
    second.pit.restore(first.pit.save());
    second.clock.advance(MS);
    expect(second.irq.level).toBe(true);
  });
});

function setupHpet() {
  const clock = new ManualClock();
  const lines = Array.from({ length: 24 }, () => new FakeLine());
  return { clock, lines, hpet: new Hpet({ clock, lines, routes: 0xff_0104 }) };
}

describe('HPET', () => {
  const TIMER0 = 0x100;

  test('counts at 100 MHz while enabled', () => {
    const { clock, hpet } = setupHpet();
    clock.advance(1000);
    expect(hpet.readLong(0xf0)).toBe(0n);
    hpet.write(0x10, 1, 4);
    clock.advance(1000);
    expect(hpet.readLong(0xf0)).toBe(100n);
    hpet.write(0x10, 0, 4);
    clock.advance(1000);
    expect(hpet.readLong(0xf0)).toBe(100n);
  });

  test('ticks periodically on IRQ 0 with legacy replacement, as hpet_clkevt_set_state_periodic programs it', () => {
    const { clock, hpet, lines } = setupHpet();
    hpet.write(TIMER0, 0x4 | 0x8 | 0x40 | 0x100, 4);
    hpet.write(TIMER0 + 8, 400_000, 4);
    hpet.write(TIMER0 + 8, 400_000, 4);
    hpet.write(0x10, 3, 4);
    clock.advance(40 * MS);
    expect(lines[2]!.rises).toBe(10);
  });

  test('fires once at the comparator, on the pin of its route', () => {
    const { clock, hpet, lines } = setupHpet();
    hpet.write(TIMER0, 0x4 | (16 << 9) | 0x100, 4);
    hpet.write(0x10, 1, 4);
    hpet.write(TIMER0 + 8, 1000, 4);
    clock.advance(9_999);
    expect(lines[16]!.rises).toBe(0);
    clock.advance(1);
    expect(lines[16]!.rises).toBe(1);
  });

  test('holds a level-triggered line until the status is cleared', () => {
    const { clock, hpet, lines } = setupHpet();
    hpet.write(TIMER0, 0x4 | 0x2 | (16 << 9), 4);
    hpet.writeLong(TIMER0 + 8, 100n);
    hpet.write(0x10, 1, 4);
    clock.advance(1000);
    expect([lines[16]!.level, hpet.read(0x20, 4)]).toEqual([true, 1]);
    hpet.write(0x20, 1, 4);
    expect(lines[16]!.level).toBe(false);
  });

  test('continues from a saved state', () => {
    const first = setupHpet();
    first.hpet.write(TIMER0, 0x4 | (16 << 9), 4);
    first.hpet.writeLong(TIMER0 + 8, 100n);
    first.hpet.write(0x10, 1, 4);
    const second = setupHpet();
    second.hpet.restore(first.hpet.save());
    expect(second.hpet.save()).toEqual(first.hpet.save());
    second.clock.advance(1000);
    expect(second.lines[16]!.rises).toBe(1);
  });
});

function read(rtc: Mc146818, index: number): number {
  rtc.write(0, index, 1);
  return rtc.read(1, 1);
}

function write(rtc: Mc146818, index: number, value: number): void {
  rtc.write(0, index, 1);
  rtc.write(1, value, 1);
}

function setupRtc() {
  const clock = new ManualClock();
  const irq = new FakeLine();
  const epochSeconds = Date.UTC(2026, 1, 28, 23, 59, 58) / 1000;
  return { clock, irq, rtc: new Mc146818({ interrupt: irq, clock, epochSeconds }) };
}

describe('MC146818', () => {
  test('rolls over seconds, months and the update-in-progress bit', () => {
    const { clock, rtc } = setupRtc();
    clock.advance(SECOND - 100_000);
    expect([read(rtc, 10) & 0x80, read(rtc, 0)]).toEqual([0x80, 0x58]);
    clock.advance(SECOND + 100_000);
    expect([read(rtc, 10) & 0x80, ...[0, 2, 4, 7, 8, 9, 0x32].map(i => read(rtc, i))]).toEqual([
      0, 0, 0, 0, 0x01, 0x03, 0x26, 0x20,
    ]);
  });

  test('interrupts each second with UIE, and register C says why', () => {
    const { clock, irq, rtc } = setupRtc();
    write(rtc, 11, 0x12);
    clock.advance(SECOND);
    expect([irq.level, read(rtc, 12) & 0x90, irq.level]).toEqual([true, 0x90, false]);
    clock.advance(SECOND);
    expect(irq.rises).toBe(2);
  });

  test('wakes at the alarm that cmos_set_alarm programs', () => {
    const { clock, irq, rtc } = setupRtc();
    write(rtc, 5, 0x00);
    write(rtc, 3, 0x01);
    write(rtc, 1, 0x30);
    write(rtc, 11, 0x22);
    clock.advance(91 * SECOND);
    expect(irq.level).toBe(false);
    clock.advance(SECOND);
    expect([irq.level, read(rtc, 12) & 0x20]).toEqual([true, 0x20]);
  });

  test('interrupts periodically', () => {
    const { clock, irq, rtc } = setupRtc();
    write(rtc, 11, 0x42); // 1024 Hz
    let count = 0;
    while (count < 5) {
      clock.advanceTo(clock.nextAlarm!);
      if (irq.level) count += 1;
      read(rtc, 12);
    }
    expect(clock.now()).toBe(Math.ceil((5 * SECOND) / 1024));
  });

  test('continues from a saved state', () => {
    const first = setupRtc();
    write(first.rtc, 11, 0x12);
    const second = setupRtc();
    second.rtc.restore(first.rtc.save());
    expect(second.rtc.save()).toEqual(first.rtc.save());
    second.clock.advance(SECOND);
    expect(second.irq.level).toBe(true);
  });
});

function setupPm() {
  const clock = new ManualClock();
  const interrupt = new FakeLine();
  let offs = 0;
  const pm = new AcpiPm({ clock, interrupt, powerOff: () => (offs += 1) });
  return { clock, interrupt, pm, offs: () => offs };
}

describe('ACPI power management', () => {
  test('counts 24 bits at 3.579545 MHz', () => {
    const { clock, pm } = setupPm();
    clock.advance(SECOND);
    expect(pm.read(8, 4)).toBe(3_579_545);
    clock.advance(4 * SECOND);
    expect(pm.read(8, 4)).toBe((5 * 3_579_545) % 2 ** 24);
  });

  test('the power button raises SCI once it is enabled', () => {
    const { interrupt, pm } = setupPm();
    pm.pressPowerButton();
    expect(interrupt.level).toBe(false);
    pm.write(2, 0x100, 2);
    expect([interrupt.level, pm.read(0, 2)]).toEqual([true, 0x100]);
    pm.write(0, 0x100, 2);
    expect(interrupt.level).toBe(false);
  });

  test('sleep type 0 with SLP_EN is soft off', () => {
    const { pm, offs } = setupPm();
    pm.write(4, 0x2401, 2);
    expect(offs()).toBe(0);
    pm.write(4, 0x2001, 2);
    expect(offs()).toBe(1);
  });

  test('reports the timer’s carry', () => {
    const { clock, interrupt, pm } = setupPm();
    pm.write(2, 1, 2);
    clock.advance(2.3 * SECOND);
    expect(interrupt.level).toBe(false);
    clock.advance(0.1 * SECOND);
    expect(interrupt.level).toBe(true);
  });
});
