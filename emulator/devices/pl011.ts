/**
 * PL011: the UART of Arm's boards.
 *
 * Source: PrimeCell UART (PL011) Technical Reference Manual, DDI 0183 r1p5; identification of revision r1p4 (16-byte FIFO),
 * as QEMU's has it.
 * Modelled: both FIFOs, receive trigger levels, receive timeout, loopback, all interrupts but the modem's.
 * Not modelled: the time a character takes on the wire (it leaves at once, so the transmit FIFO is always empty),
 * baud rate of the other end, parity and framing errors, IrDA, modem lines, DMA requests. UARTCR's enable bits do
 * not gate the transmitter: QEMU's do not, and early consoles rely on it.
 */
import type { AccessWidth, Alarm, Clock, Device, InterruptLine } from '../memory/device.ts';
import { PERIPH_ID0, primeCellId, readPrimeCellId } from './primecell.ts';

const UARTDR = 0x000;
const UARTRSR = 0x004;
const UARTFR = 0x018;
const UARTILPR = 0x020;
const UARTIBRD = 0x024;
const UARTFBRD = 0x028;
const UARTLCR_H = 0x02c;
const UARTCR = 0x030;
const UARTIFLS = 0x034;
const UARTIMSC = 0x038;
const UARTRIS = 0x03c;
const UARTMIS = 0x040;
const UARTICR = 0x044;
const UARTDMACR = 0x048;

/** UARTFR. */
const FR = { RXFE: 1 << 4, TXFF: 1 << 5, RXFF: 1 << 6, TXFE: 1 << 7 } as const;

/** UARTLCR_H. */
const LCR_H = { FEN: 1 << 4 } as const;

/** UARTCR. */
const CR = { LBE: 1 << 7, TXE: 1 << 8, RXE: 1 << 9 } as const;

/** UARTIMSC, UARTRIS, UARTMIS and UARTICR share the layout. */
const INT = { RX: 1 << 4, TX: 1 << 5, RT: 1 << 6, BE: 1 << 9, ALL: 0x7ff } as const;

/** UARTDR: a break instead of a character. */
const DR_BE = 1 << 10;

const FIFO_DEPTH = 16;
/** Receive trigger level for each value of UARTIFLS.RXIFLSEL (1/8, 1/4, 1/2, 3/4, 7/8 of the FIFO; the rest is reserved). */
const RX_TRIGGER = [2, 4, 8, 12, 14, 14, 14, 14] as const;
/** The receive timeout is 32 bit periods without a read or a new character. */
const RX_TIMEOUT_BITS = 32;

const ID = primeCellId([0x11, 0x10, 0x14, 0x00]);

/** Reset values that are not zero: DDI 0183 "Summary of registers". */
const RESET = { UARTCR: CR.TXE | CR.RXE, UARTIFLS: 0x12 } as const;

/** What a snapshot holds. */
export interface Pl011State {
  ilpr: number;
  ibrd: number;
  fbrd: number;
  lcr_h: number;
  cr: number;
  ifls: number;
  imsc: number;
  ris: number;
  dmacr: number;
  /** UARTRSR: errors of the character that was read last. */
  rsr: number;
  /** Characters in the receive FIFO, oldest first, with their errors as UARTDR has them. */
  fifo: number[];
  /** Characters that wait on the wire for room in the FIFO, oldest first. */
  wire: number[];
  /** Guest time at which the receive timeout expires; -1 when it is not running. */
  timeoutAt: number;
}

/** What a board gives to the UART. */
export interface Pl011Wiring {
  /** UARTINTR, the combined interrupt. */
  readonly interrupt: InterruptLine;
  readonly clock: Clock;
  /** Takes each character that the guest sends. */
  readonly output: (byte: number) => void;
  /** UARTCLK in Hz; 24 MHz on `virt`. */
  readonly uartClockHz?: number;
}

/** The UART as the bus sees it; `receive` is the wire into it. */
export class Pl011 implements Device<Pl011State> {
  readonly name = 'pl011';
  private readonly interrupt: InterruptLine;
  private readonly clock: Clock;
  private readonly output: (byte: number) => void;
  private readonly uartClockHz: number;
  private state: Pl011State = initialState();
  private timeout: Alarm | undefined;

  constructor(wiring: Pl011Wiring) {
    this.interrupt = wiring.interrupt;
    this.clock = wiring.clock;
    this.output = wiring.output;
    this.uartClockHz = wiring.uartClockHz ?? 24_000_000;
  }

  /** Characters arrive from outside. Nothing is lost: what finds the FIFO full waits until the guest has read. */
  receive(bytes: Iterable<number>): void {
    this.state.wire.push(...bytes);
    this.fillFifo();
  }

  /** The line is held low for longer than a character. */
  receiveBreak(): void {
    this.state.wire.push(DR_BE);
    this.fillFifo();
  }

  read(offset: number, _width: AccessWidth): number {
    const { state } = this;
    if (offset === UARTFR) return this.flags();
    if (offset >= PERIPH_ID0) return readPrimeCellId(ID, offset);
    switch (offset) {
      case UARTDR:
        return this.readCharacter();
      case UARTILPR:
        return state.ilpr;
      case UARTIBRD:
        return state.ibrd;
      case UARTFBRD:
        return state.fbrd;
      case UARTLCR_H:
        return state.lcr_h;
      case UARTCR:
        return state.cr;
      case UARTIFLS:
        return state.ifls;
      default:
        return this.readInterruptRegister(offset);
    }
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    const { state } = this;
    switch (offset) {
      case UARTDR:
        this.transmit(value & 0xff);
        break;
      case UARTILPR:
        state.ilpr = value & 0xff;
        break;
      case UARTIBRD:
        state.ibrd = value & 0xffff;
        break;
      case UARTFBRD:
        state.fbrd = value & 0x3f;
        break;
      case UARTLCR_H:
        this.writeLineControl(value & 0xff);
        break;
      case UARTCR:
        state.cr = value & 0xffff;
        break;
      case UARTIFLS:
        state.ifls = value & 0x3f;
        this.updateReceive();
        break;
      default:
        this.writeInterruptRegister(offset, value);
    }
  }

  reset(): void {
    this.state = initialState();
    this.rearm();
    this.updateInterrupt();
  }

  save(): Pl011State {
    return structuredClone(this.state);
  }

  restore(state: Pl011State): void {
    this.state = structuredClone(state);
    this.rearm();
    this.updateInterrupt();
  }

  private readInterruptRegister(offset: number): number {
    const { state } = this;
    switch (offset) {
      case UARTIMSC:
        return state.imsc;
      case UARTRIS:
        return state.ris;
      case UARTMIS:
        return state.ris & state.imsc;
      case UARTDMACR:
        return state.dmacr;
      default:
        return offset === UARTRSR ? state.rsr : 0;
    }
  }

  private writeInterruptRegister(offset: number, value: number): void {
    const { state } = this;
    switch (offset) {
      case UARTIMSC:
        state.imsc = value & INT.ALL;
        this.updateInterrupt();
        break;
      case UARTICR:
        state.ris &= ~value;
        this.updateInterrupt();
        break;
      case UARTDMACR:
        state.dmacr = value & 0x7;
        break;
      case UARTRSR:
        state.rsr = 0;
        break;
      default: // Read-only and reserved registers ignore writes.
    }
  }

  private flags(): number {
    const { length } = this.state.fifo;
    if (length === 0) return FR.TXFE | FR.RXFE;
    return length >= this.depth() ? FR.TXFE | FR.RXFF : FR.TXFE;
  }

  private depth(): number {
    return (this.state.lcr_h & LCR_H.FEN) === 0 ? 1 : FIFO_DEPTH;
  }

  private trigger(): number {
    return (this.state.lcr_h & LCR_H.FEN) === 0 ? 1 : RX_TRIGGER[(this.state.ifls >> 3) & 7]!;
  }

  private transmit(byte: number): void {
    if ((this.state.cr & CR.LBE) === 0) this.output(byte);
    else this.receive([byte]);
    // The FIFO drains at once, which passes its trigger level downwards.
    this.state.ris |= INT.TX;
    this.updateInterrupt();
  }

  private readCharacter(): number {
    const character = this.state.fifo.shift() ?? 0;
    this.state.rsr = character >> 8;
    this.fillFifo();
    return character;
  }

  /** Changing FEN flushes the FIFO: DDI 0183 "Line Control Register, UARTLCR_H". */
  private writeLineControl(value: number): void {
    if (((this.state.lcr_h ^ value) & LCR_H.FEN) !== 0) this.state.fifo = [];
    this.state.lcr_h = value;
    this.fillFifo();
  }

  private fillFifo(): void {
    const { fifo, wire } = this.state;
    const room = Math.max(this.depth() - fifo.length, 0);
    const arrived = wire.splice(0, room);
    fifo.push(...arrived);
    if (arrived.includes(DR_BE)) this.state.ris |= INT.BE;
    this.updateReceive();
  }

  /** RXRIS follows the fill level; RTRIS starts anew with each arrival or read, and falls when the FIFO is empty. */
  private updateReceive(): void {
    const { state } = this;
    if (state.fifo.length >= this.trigger()) state.ris |= INT.RX;
    else state.ris &= ~INT.RX;
    if (state.fifo.length === 0) {
      state.ris &= ~INT.RT;
      state.timeoutAt = -1;
    } else {
      state.timeoutAt = this.clock.now() + RX_TIMEOUT_BITS * this.bitPeriodNs();
    }
    this.rearm();
    this.updateInterrupt();
  }

  /** One bit on the wire: 16 × (UARTIBRD + UARTFBRD / 64) periods of UARTCLK. */
  private bitPeriodNs(): number {
    const divisor = this.state.ibrd * 64 + this.state.fbrd;
    return Math.ceil((Math.max(divisor, 64) / 4) * (1e9 / this.uartClockHz));
  }

  private rearm(): void {
    this.timeout?.cancel();
    this.timeout = undefined;
    const { timeoutAt } = this.state;
    if (timeoutAt >= 0) this.timeout = this.clock.schedule(timeoutAt, () => this.expire());
  }

  private expire(): void {
    this.state.timeoutAt = -1;
    this.state.ris |= INT.RT;
    this.updateInterrupt();
  }

  private updateInterrupt(): void {
    this.interrupt.set((this.state.ris & this.state.imsc) !== 0);
  }
}

function initialState(): Pl011State {
  return {
    ilpr: 0,
    ibrd: 0,
    fbrd: 0,
    lcr_h: 0,
    cr: RESET.UARTCR,
    ifls: RESET.UARTIFLS,
    imsc: 0,
    ris: 0,
    dmacr: 0,
    rsr: 0,
    fifo: [],
    wire: [],
    timeoutAt: -1,
  };
}
