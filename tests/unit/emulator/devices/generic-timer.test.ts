import { describe, expect, test } from 'vitest';
import { GenericTimer } from '../../../../emulator/devices/generic-timer.ts';
import { FakeLine } from '../../../support/fake-line.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

function setup() {
  const clock = new ManualClock();
  const lines = { cntp: new FakeLine(), cntv: new FakeLine(), cnthp: new FakeLine(), cnthv: new FakeLine() };
  return { clock, lines, timer: new GenericTimer(clock, lines) };
}

const ENABLE = 1n;
const ENABLED_AND_MET = 5n;

describe('generic timer', () => {
  test('counts at 62.5 MHz', () => {
    const { clock, timer } = setup();
    clock.advance(1_000_000_000);
    expect(timer.readCNTFRQ()).toBe(62_500_000n);
    expect(timer.readCNTPCT()).toBe(62_500_000n);
    clock.advance(15);
    expect(timer.readCNTVCT()).toBe(62_500_000n);
    clock.advance(1);
    expect(timer.readCNTVCT()).toBe(62_500_001n);
  });

  test('subtracts CNTVOFF from the virtual counter only', () => {
    const { clock, timer } = setup();
    clock.advance(1600);
    timer.writeCNTVOFF(40n);
    expect([timer.readCNTPCT(), timer.readCNTVCT()]).toEqual([100n, 60n]);
    timer.writeCNTVOFF(101n);
    expect(timer.readCNTVCT()).toBe(0xffff_ffff_ffff_ffffn);
  });

  test('asserts the line at the count in CVAL, as Linux programs a one-shot event', () => {
    const { clock, lines, timer } = setup();
    timer.cntv.writeCVAL(1000n);
    timer.cntv.writeCTL(ENABLE);
    clock.advance(15_999);
    expect([lines.cntv.level, timer.cntv.readCTL()]).toEqual([false, ENABLE]);
    clock.advance(1);
    expect([lines.cntv.level, timer.cntv.readCTL()]).toEqual([true, ENABLED_AND_MET]);
    expect(lines.cntp.level).toBe(false);
  });

  test('IMASK takes the line away and leaves the status', () => {
    const { clock, lines, timer } = setup();
    timer.cntp.writeCTL(ENABLE);
    expect(lines.cntp.level).toBe(true);
    timer.cntp.writeCTL(3n);
    clock.advance(16);
    expect([lines.cntp.level, timer.cntp.readCTL()]).toEqual([false, 7n]);
  });

  test('TVAL is a signed 32-bit distance to CVAL', () => {
    const { clock, timer } = setup();
    clock.advance(1600);
    timer.cntv.writeTVAL(50n);
    expect(timer.cntv.readCVAL()).toBe(150n);
    timer.cntv.writeTVAL(0xffff_fff6n);
    expect([timer.cntv.readCVAL(), timer.cntv.readTVAL()]).toEqual([90n, 0xffff_fff6n]);
  });

  test('arms no alarm for a count that guest time does not reach', () => {
    const { clock, timer } = setup();
    timer.cntv.writeCVAL(0x7fff_ffff_ffff_ffffn);
    timer.cntv.writeCTL(ENABLE);
    expect(clock.nextAlarm).toBeUndefined();
  });

  test('moving CVAL ahead takes the line down', () => {
    const { clock, lines, timer } = setup();
    timer.cntv.writeCTL(ENABLE);
    expect(lines.cntv.level).toBe(true);
    timer.cntv.writeCVAL(10n);
    expect(lines.cntv.level).toBe(false);
    clock.advance(160);
    expect(lines.cntv.level).toBe(true);
  });

  test.each([
    // Linux arch_timer_configure_evtstream chooses the bit nearest to 100 µs: 13 at 62.5 MHz.
    { cntkctl: (13n << 4n) | 4n, now: 0, next: 8192 * 16 },
    { cntkctl: (13n << 4n) | 4n, now: 8192 * 16, next: 3 * 8192 * 16 },
    { cntkctl: (13n << 4n) | 12n, now: 0, next: 2 * 8192 * 16 },
    { cntkctl: (13n << 4n) | 12n, now: 9000 * 16, next: 2 * 8192 * 16 },
    { cntkctl: 13n << 4n, now: 0, next: undefined },
  ])('event stream with CNTKCTL $cntkctl at $now ns next wakes at $next ns', ({ cntkctl, now, next }) => {
    const { clock, timer } = setup();
    clock.advance(now);
    timer.writeCNTKCTL(cntkctl);
    expect(timer.nextEvent()).toBe(next);
  });

  test('re-arms after restore', () => {
    const first = setup();
    first.timer.writeCNTVOFF(5n);
    first.timer.cntv.writeCVAL(100n);
    first.timer.cntv.writeCTL(ENABLE);
    const second = setup();
    second.timer.restore(first.timer.save());
    expect(second.timer.save()).toEqual(first.timer.save());
    second.clock.advance(105 * 16);
    expect(second.lines.cntv.level).toBe(true);
  });
});
