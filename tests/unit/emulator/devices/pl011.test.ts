import { describe, expect, test } from 'vitest';
import { Pl011 } from '../../../../emulator/devices/pl011.ts';
import { FakeLine } from '../../../support/fake-line.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

function setup() {
  const clock = new ManualClock();
  const line = new FakeLine();
  const sent: number[] = [];
  const uart = new Pl011({ interrupt: line, clock, output: byte => sent.push(byte) });
  return { clock, line, sent, uart };
}

const DR = 0x00;
const FR = 0x18;
const [IBRD, FBRD, LCR_H, CR, IFLS, IMSC, RIS, MIS, ICR] = [0x24, 0x28, 0x2c, 0x30, 0x34, 0x38, 0x3c, 0x40, 0x44];
const [RXIM, TXIM, RTIM] = [0x10, 0x20, 0x40];

/** Linux drivers/tty/serial/amba-pl011.c: pl011_set_termios at 38400 baud, then pl011_startup. */
function startAsLinux(uart: Pl011): void {
  uart.write(IBRD, 0x27, 2);
  uart.write(FBRD, 4, 2);
  uart.write(LCR_H, 0x70, 2);
  uart.write(ICR, 0xffff, 2);
  uart.write(IFLS, 0x12, 2);
  uart.write(CR, 0x301, 2);
  uart.write(IMSC, RXIM | RTIM, 2);
}

describe('PL011', () => {
  test('has the reset values of the manual', () => {
    const { uart } = setup();
    expect([FR, CR, IFLS, IMSC, RIS].map(offset => uart.read(offset, 2))).toEqual([0x90, 0x300, 0x12, 0, 0]);
  });

  test('shows the identification that Linux matches, as read from QEMU', () => {
    const { uart } = setup();
    const id = [0xfe0, 0xfe4, 0xfe8, 0xfec, 0xff0, 0xff4, 0xff8, 0xffc].map(offset => uart.read(offset, 4));
    expect(id).toEqual([0x11, 0x10, 0x14, 0, 0x0d, 0xf0, 0x05, 0xb1]);
  });

  test('sends at once, and before it is enabled, as an early console does', () => {
    const { uart, sent } = setup();
    for (const character of Buffer.from('[0')) uart.write(DR, character, 4);
    expect(Buffer.from(sent).toString()).toBe('[0');
    expect(uart.read(FR, 2) & 0x28).toBe(0);
  });

  test('raises the transmit interrupt after each write while TXIM is set, until it is cleared', () => {
    const { uart, line } = setup();
    startAsLinux(uart);
    uart.write(DR, 0x41, 2);
    expect(line.level).toBe(false);
    uart.write(IMSC, TXIM, 2);
    expect(line.level).toBe(true);
    expect(uart.read(MIS, 2)).toBe(TXIM);
    uart.write(ICR, TXIM, 2);
    expect(line.level).toBe(false);
  });

  test('interrupts when the receive FIFO reaches its trigger level, and falls below it', () => {
    const { uart, line } = setup();
    startAsLinux(uart);
    uart.receive(Buffer.from('1234567'));
    expect(line.level).toBe(false);
    uart.receive(Buffer.from('8'));
    expect(uart.read(RIS, 2) & RXIM).toBe(RXIM);
    expect(uart.read(DR, 2)).toBe(0x31);
    expect(uart.read(RIS, 2) & RXIM).toBe(0);
  });

  test('interrupts after 32 bit periods of silence while characters wait', () => {
    const { uart, line, clock } = setup();
    startAsLinux(uart);
    uart.receive(Buffer.from('x'));
    // 38400 baud: 32 bits take 833 µs.
    clock.advance(833_000);
    expect(line.level).toBe(false);
    clock.advance(1_000);
    expect(uart.read(MIS, 2)).toBe(RTIM);
    expect(uart.read(DR, 2)).toBe(0x78);
    expect(uart.read(FR, 2)).toBe(0x90);
    expect(line.level).toBe(false);
  });

  test('keeps what arrives while the FIFO is full', () => {
    const { uart } = setup();
    startAsLinux(uart);
    const text = 'a long line that does not fit into sixteen bytes';
    uart.receive(Buffer.from(text));
    expect(uart.read(FR, 2) & 0x40).toBe(0x40);
    let received = '';
    while ((uart.read(FR, 2) & 0x10) === 0) received += String.fromCharCode(uart.read(DR, 2));
    expect(received).toBe(text);
  });

  test('holds one character when the FIFO is disabled', () => {
    const { uart, line } = setup();
    uart.write(IMSC, RXIM, 2);
    uart.receive(Buffer.from('ab'));
    expect(uart.read(FR, 2) & 0x40).toBe(0x40);
    expect(line.level).toBe(true);
    expect([uart.read(DR, 2), uart.read(DR, 2)]).toEqual([0x61, 0x62]);
    expect(line.level).toBe(false);
  });

  test('receives its own characters in loopback', () => {
    const { uart, sent } = setup();
    uart.write(CR, 0x381, 2);
    uart.write(DR, 0x55, 2);
    expect(sent).toEqual([]);
    expect(uart.read(DR, 2)).toBe(0x55);
  });

  // DDI 0183 "UARTDR Register", "UARTRSR/UARTECR Register": a break is a zero with BE set.
  test('receives a break as a zero with BE', () => {
    const { uart, line } = setup();
    startAsLinux(uart);
    uart.write(IMSC, 0x200, 2);
    uart.receiveBreak();
    uart.receive(Buffer.from('c'));
    expect([line.level, uart.read(RIS, 2) & 0x200]).toEqual([true, 0x200]);
    uart.write(ICR, 0x200, 2);
    expect([uart.read(DR, 2), uart.read(0x04, 1)]).toEqual([0x400, 4]);
    uart.write(0x04, 0, 1);
    expect(uart.read(0x04, 1)).toBe(0);
    expect([uart.read(DR, 2), uart.read(0x04, 1), line.level]).toEqual([0x63, 0, false]);
  });

  test('continues from a saved state: pending input, timeout and line', () => {
    const first = setup();
    startAsLinux(first.uart);
    first.uart.receive(Buffer.from('hello'));
    const second = setup();
    second.uart.restore(first.uart.save());
    expect(second.uart.save()).toEqual(first.uart.save());
    second.clock.advance(1_000_000);
    expect(second.line.level).toBe(true);
    expect(second.uart.read(DR, 2)).toBe(0x68);
    expect(first.uart.save().fifo).toHaveLength(5);
  });
});
