import { describe, expect, test } from 'vitest';
import { Ns16550 } from '../../../../emulator/devices/ns16550.ts';
import { FakeLine } from '../../../support/fake-line.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const [DATA, IER, IIR, FCR, LCR, MCR, LSR, MSR] = [0, 1, 2, 2, 3, 4, 5, 6];

function setup() {
  const clock = new ManualClock();
  const line = new FakeLine();
  const sent: number[] = [];
  return { clock, line, sent, port: new Ns16550({ interrupt: line, clock, output: byte => sent.push(byte) }) };
}

describe('16550A', () => {
  test('is found as a 16550A by Linux’s autoconfig', () => {
    const { port } = setup();
    // Loopback shows the outputs as inputs: OUT2 and RTS.
    port.write(MCR, 0x1a, 1);
    expect(port.read(MSR, 1) & 0xf0).toBe(0x90);
    port.write(MCR, 0x08, 1);
    port.write(FCR, 1, 1);
    expect(port.read(IIR, 1) >>> 6).toBe(3);
  });

  test('sends at once', () => {
    const { port, sent } = setup();
    port.write(DATA, 0x41, 1);
    expect([sent, port.read(LSR, 1)]).toEqual([[0x41], 0x60]);
  });

  test('interrupts at the trigger level, or after four character times', () => {
    const { port, line, clock } = setup();
    port.write(LCR, 0x83, 1);
    port.write(DATA, 1, 1); // 115200 baud
    port.write(IER, 0, 1);
    port.write(LCR, 3, 1);
    port.write(FCR, 0x81, 1); // trigger at 8
    port.write(IER, 1, 1);
    port.receive(Buffer.from('abc'));
    expect(line.level).toBe(false);
    clock.advance(347_000);
    expect(line.level).toBe(false);
    clock.advance(1_000);
    expect([line.level, port.read(IIR, 1)]).toEqual([true, 0xcc]);
    for (const character of 'abc') expect(port.read(DATA, 1)).toBe(character.charCodeAt(0));
    expect([line.level, port.read(LSR, 1) & 1]).toEqual([false, 0]);
    port.receive(Buffer.from('12345678'));
    expect([line.level, port.read(IIR, 1)]).toEqual([true, 0xc4]);
  });

  test('keeps what does not fit the FIFO', () => {
    const { port } = setup();
    port.write(FCR, 1, 1);
    port.receive(Buffer.from('0123456789abcdefGHI'));
    let text = '';
    while ((port.read(LSR, 1) & 1) !== 0) text += String.fromCharCode(port.read(DATA, 1));
    expect(text).toBe('0123456789abcdefGHI');
  });

  // PC16550D "Line Status Register": BI belongs to the character on top of the FIFO, and reading the register clears it.
  test('tells a break once, with a zero in the FIFO', () => {
    const { port, line } = setup();
    port.write(FCR, 1, 1);
    port.write(IER, 4, 1);
    port.receive(Buffer.from('a'));
    port.receiveBreak();
    port.receive(Buffer.from('c'));
    expect([port.read(LSR, 1), line.level]).toEqual([0xe1, false]);
    expect(port.read(DATA, 1)).toBe(0x61);
    expect([line.level, port.read(IIR, 1)]).toEqual([true, 0xc6]);
    expect(port.read(LSR, 1)).toBe(0xf1);
    expect([line.level, port.read(LSR, 1)]).toEqual([false, 0x61]);
    expect([port.read(DATA, 1), port.read(DATA, 1)]).toEqual([0, 0x63]);
  });

  test('continues from a saved state', () => {
    const first = setup();
    first.port.write(IER, 1, 1);
    first.port.receive(Buffer.from('xy'));
    const second = setup();
    second.port.restore(first.port.save());
    expect(second.port.save()).toEqual(first.port.save());
    expect([second.line.level, second.port.read(DATA, 1)]).toEqual([true, 0x78]);
  });
});
