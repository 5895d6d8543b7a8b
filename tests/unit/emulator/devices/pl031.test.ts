import { describe, expect, test } from 'vitest';
import { Pl031 } from '../../../../emulator/devices/pl031.ts';
import { FakeLine } from '../../../support/fake-line.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const EPOCH = 0x6b01_42d0;
const SECOND = 1_000_000_000;
const [DR, MR, LR, CR, IMSC, RIS, MIS, ICR] = [0, 4, 8, 0xc, 0x10, 0x14, 0x18, 0x1c];

function setup() {
  const clock = new ManualClock();
  const line = new FakeLine();
  return { clock, line, rtc: new Pl031({ interrupt: line, clock, epochSeconds: EPOCH }) };
}

describe('PL031', () => {
  test('counts seconds from the date of power-on, and is enabled', () => {
    const { rtc, clock } = setup();
    expect(rtc.read(DR, 4)).toBe(EPOCH);
    clock.advance(2.5 * SECOND);
    expect(rtc.read(DR, 4)).toBe(EPOCH + 2);
    expect(rtc.read(CR, 4)).toBe(1);
    expect(rtc.read(0xfe0, 4)).toBe(0x31);
  });

  test('goes on from a date that the guest sets, and wraps', () => {
    const { rtc, clock } = setup();
    rtc.write(LR, 0xffff_ffff, 4);
    expect(rtc.read(DR, 4)).toBe(0xffff_ffff);
    clock.advance(SECOND);
    expect(rtc.read(DR, 4)).toBe(0);
    expect(rtc.read(LR, 4)).toBe(0xffff_ffff);
  });

  test('fires the alarm that Linux sets with pl031_set_alarm', () => {
    const { rtc, clock, line } = setup();
    rtc.write(MR, EPOCH + 3, 4);
    rtc.write(IMSC, 1, 4);
    clock.advance(3 * SECOND - 1);
    expect(line.level).toBe(false);
    clock.advance(1);
    expect([line.level, rtc.read(RIS, 4), rtc.read(MIS, 4)]).toEqual([true, 1, 1]);
    rtc.write(ICR, 1, 4);
    expect(line.level).toBe(false);
  });

  test('keeps a pending alarm over save and restore', () => {
    const first = setup();
    first.rtc.write(MR, EPOCH + 1, 4);
    first.rtc.write(IMSC, 1, 4);
    const second = setup();
    second.rtc.restore(first.rtc.save());
    second.clock.advance(SECOND);
    expect(second.line.level).toBe(true);
  });
});
