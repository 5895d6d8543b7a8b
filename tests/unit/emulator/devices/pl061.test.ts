import { describe, expect, test } from 'vitest';
import { GpioKey, Pl061 } from '../../../../emulator/devices/pl061.ts';
import { FakeLine } from '../../../support/fake-line.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const [DIR, IS, IBE, IEV, IE, RIS, MIS, IC] = [0x400, 0x404, 0x408, 0x40c, 0x410, 0x414, 0x418, 0x41c];
const PIN3 = 8;

function setup() {
  const line = new FakeLine();
  return { line, gpio: new Pl061(line) };
}

describe('PL061', () => {
  test('masks data by the address', () => {
    const { gpio } = setup();
    gpio.write(DIR, 0xff, 1);
    gpio.write(0x3fc, 0xa5, 1);
    gpio.write(0x0f << 2, 0xff, 1);
    expect([gpio.read(0x3fc, 1), gpio.read(0xf0 << 2, 1)]).toEqual([0xaf, 0xa0]);
  });

  test('does not let the guest write an input pin', () => {
    const { gpio } = setup();
    gpio.write(DIR, 0x0f, 1);
    gpio.write(0x3fc, 0xff, 1);
    expect(gpio.read(0x3fc, 1)).toBe(0x0f);
  });

  test('reports both edges of the power key, as gpio-keys asks for', () => {
    const { gpio, line } = setup();
    gpio.write(IBE, PIN3, 1);
    gpio.write(IE, PIN3, 1);
    const clock = new ManualClock();
    const key = new GpioKey(clock, level => gpio.setInput(3, level));
    key.press();
    expect([line.level, gpio.read(MIS, 1), gpio.read(PIN3 << 2, 1)]).toEqual([true, PIN3, PIN3]);
    gpio.write(IC, PIN3, 1);
    expect(line.level).toBe(false);
    clock.advance(100_000_000);
    expect([line.level, gpio.read(PIN3 << 2, 1)]).toEqual([true, 0]);
  });

  test.each([
    { iev: PIN3, edge: 'rising', after: [PIN3, PIN3] },
    { iev: 0, edge: 'falling', after: [0, PIN3] },
  ])('detects a $edge edge alone', ({ iev, after }) => {
    const { gpio } = setup();
    gpio.write(IEV, iev, 1);
    gpio.setInput(3, true);
    const risen = gpio.read(RIS, 1);
    gpio.setInput(3, false);
    expect([risen, gpio.read(RIS, 1)]).toEqual(after);
  });

  test('follows the level of a level-sensitive pin', () => {
    const { gpio, line } = setup();
    gpio.write(IS, PIN3, 1);
    gpio.write(IEV, PIN3, 1);
    gpio.write(IE, PIN3, 1);
    gpio.setInput(3, true);
    gpio.write(IC, PIN3, 1);
    expect(line.level).toBe(true);
    gpio.setInput(3, false);
    expect(line.level).toBe(false);
  });

  test('restores what it saved, and drives the line', () => {
    const { gpio } = setup();
    gpio.write(IBE, PIN3, 1);
    gpio.write(IE, PIN3, 1);
    gpio.setInput(3, true);
    const other = setup();
    other.gpio.restore(gpio.save());
    expect(other.line.level).toBe(true);
    expect(other.gpio.save()).toEqual(gpio.save());
  });
});
