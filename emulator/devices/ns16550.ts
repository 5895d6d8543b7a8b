/**
 * 16550A: the serial port of PCs.
 *
 * Source: National Semiconductor PC16550D data sheet "Registers".
 * Modelled: FIFOs, trigger levels, character timeout, divisor latch, loopback, all interrupts.
 * Not modelled: the time a character takes to leave, line errors. The other end is always ready (CTS, DSR, DCD).
 */
import type { AccessWidth, Alarm, Clock, Device, InterruptLine } from '../memory/device.ts';

/** Registers; 0 and 1 are the divisor latch while LCR.DLAB is set. */
const RBR_THR = 0;
const IER = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;

const IER_BITS = { RDI: 1, THRI: 2, RLSI: 4, MSI: 8 } as const;
/** Interrupt identifications, highest priority first in `identify`. */
const IIR = { RLSI: 6, RDI: 4, TIMEOUT: 0xc, THRI: 2, MSI: 0, NONE: 1, FIFOS: 0xc0 } as const;
const FCR = { ENABLE: 1, CLEAR_RX: 2, CLEAR_TX: 4 } as const;
const LCR_DLAB = 0x80;
const MCR_BITS = { DTR: 1, RTS: 2, OUT1: 4, OUT2: 8, LOOP: 0x10 } as const;
const LSR_BITS = { DR: 1, OE: 2, BI: 0x10, THRE: 0x20, TEMT: 0x40, FIFO_ERROR: 0x80 } as const;
/** In the FIFO: a break instead of a character, not yet told by LSR. */
const BREAK = 0x100;
const MSR_BITS = { CTS: 0x10, DSR: 0x20, RI: 0x40, DCD: 0x80 } as const;

const FIFO_DEPTH = 16;
/** FCR bits 7:6. */
const RX_TRIGGER = [1, 4, 8, 14] as const;
/** The timeout interrupt comes after the time of four characters of ten bits. */
const TIMEOUT_BITS = 40;
/** 1.8432 MHz crystal, divided by 16. */
const BAUD_BASE = 115_200;

/** What a snapshot holds. */
export interface Ns16550State {
  divisor: number;
  ier: number;
  fcr: number;
  lcr: number;
  mcr: number;
  scr: number;
  /** Changes of modem lines since MSR was read: its bits 3:0. */
  msrDelta: number;
  /** The transmitter became empty and nobody has been told. */
  thrEmpty: boolean;
  timedOut: boolean;
  timeoutAt: number;
  fifo: number[];
  wire: number[];
}

/** What a board gives to the port. */
export interface Ns16550Wiring {
  readonly interrupt: InterruptLine;
  readonly clock: Clock;
  readonly output: (byte: number) => void;
}

/** The serial port as the bus sees it; `receive` is the wire into it. */
export class Ns16550 implements Device<Ns16550State> {
  readonly name = 'ns16550';
  private readonly interrupt: InterruptLine;
  private readonly clock: Clock;
  private readonly output: (byte: number) => void;
  private state: Ns16550State = initialState();
  private timeout: Alarm | undefined;

  constructor({ interrupt, clock, output }: Ns16550Wiring) {
    this.interrupt = interrupt;
    this.clock = clock;
    this.output = output;
  }

  /** Characters arrive from outside; what finds the FIFO full waits. */
  receive(bytes: Iterable<number>): void {
    this.state.wire.push(...bytes);
    this.fillFifo();
  }

  /** The line is held low for longer than a character: a zero with a mark. */
  receiveBreak(): void {
    this.state.wire.push(BREAK);
    this.fillFifo();
  }

  read(offset: number, _width: AccessWidth): number {
    const { state } = this;
    const latch = (state.lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case RBR_THR:
        return latch ? state.divisor & 0xff : this.readCharacter();
      case IER:
        return latch ? state.divisor >>> 8 : state.ier;
      case IIR_FCR:
        return this.readIdentification();
      case LCR:
        return state.lcr;
      case MCR:
        return state.mcr;
      case LSR:
        return this.readLineStatus();
      case MSR:
        return this.readModemStatus();
      case SCR:
        return state.scr;
      default:
        return 0;
    }
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    const { state } = this;
    const byte = value & 0xff;
    const latch = (state.lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case RBR_THR:
        if (latch) state.divisor = (state.divisor & 0xff00) | byte;
        else this.transmit(byte);
        break;
      case IER:
        if (latch) state.divisor = (state.divisor & 0xff) | (byte << 8);
        else this.writeInterruptEnable(byte & 0xf);
        break;
      case IIR_FCR:
        this.writeFifoControl(byte);
        break;
      case LCR:
        state.lcr = byte;
        break;
      case MCR:
        this.writeModemControl(byte & 0x1f);
        break;
      case SCR:
        state.scr = byte;
        break;
      default: // LSR and MSR are read-only.
    }
    this.updateInterrupt();
  }

  reset(): void {
    this.state = initialState();
    this.rearm();
    this.updateInterrupt();
  }

  save(): Ns16550State {
    return structuredClone(this.state);
  }

  restore(state: Ns16550State): void {
    this.state = structuredClone(state);
    this.rearm();
    this.updateInterrupt();
  }

  private get fifosEnabled(): boolean {
    return (this.state.fcr & FCR.ENABLE) !== 0;
  }

  private transmit(byte: number): void {
    if ((this.state.mcr & MCR_BITS.LOOP) === 0) this.output(byte);
    else this.receive([byte]);
    this.state.thrEmpty = true;
  }

  private readCharacter(): number {
    const { state } = this;
    const character = (state.fifo.shift() ?? 0) & 0xff;
    state.timedOut = false;
    this.fillFifo();
    return character;
  }

  /** Reading it takes back what it says of the character on top of the FIFO. */
  private readLineStatus(): number {
    const { fifo } = this.state;
    const errors = this.fifosEnabled && fifo.includes(BREAK) ? LSR_BITS.FIFO_ERROR : 0;
    const onTop = fifo[0] === BREAK ? LSR_BITS.BI : 0;
    const ready = fifo.length > 0 ? LSR_BITS.DR : 0;
    if (onTop !== 0) {
      fifo[0] = 0;
      this.updateInterrupt();
    }
    return LSR_BITS.THRE | LSR_BITS.TEMT | ready | onTop | errors;
  }

  /** Reading the identification takes back the transmitter's interrupt if that is what it names. */
  private readIdentification(): number {
    const id = this.identify();
    if (id === IIR.THRI) {
      this.state.thrEmpty = false;
      this.updateInterrupt();
    }
    return this.fifosEnabled ? id | IIR.FIFOS : id;
  }

  /** Enabling THRI while the transmitter is empty asks for an interrupt at once: Linux tests for that. */
  private writeInterruptEnable(value: number): void {
    const enabled = value & ~this.state.ier;
    this.state.ier = value;
    if ((enabled & IER_BITS.THRI) !== 0) this.state.thrEmpty = true;
  }

  private writeFifoControl(value: number): void {
    const { state } = this;
    const toggled = ((value ^ state.fcr) & FCR.ENABLE) !== 0;
    if (toggled || (value & FCR.CLEAR_RX) !== 0) {
      state.fifo = [];
      state.timedOut = false;
    }
    if ((value & FCR.CLEAR_TX) !== 0) state.thrEmpty = true;
    state.fcr = value & 0xc9;
    this.fillFifo();
  }

  private writeModemControl(value: number): void {
    const before = this.modemLines();
    this.state.mcr = value;
    const changed = (before ^ this.modemLines()) >>> 4;
    this.state.msrDelta |= changed & 0xb;
    // Ring is noted when it ends.
    if ((changed & 4) !== 0 && (before & MSR_BITS.RI) !== 0) this.state.msrDelta |= 4;
  }

  private readModemStatus(): number {
    const value = this.modemLines() | this.state.msrDelta;
    this.state.msrDelta = 0;
    this.updateInterrupt();
    return value;
  }

  /** In loopback the outputs are the inputs: PC16550D "Modem Control Register". */
  private modemLines(): number {
    const { mcr } = this.state;
    if ((mcr & MCR_BITS.LOOP) === 0) return MSR_BITS.CTS | MSR_BITS.DSR | MSR_BITS.DCD;
    const cts = (mcr & MCR_BITS.RTS) === 0 ? 0 : MSR_BITS.CTS;
    const dsr = (mcr & MCR_BITS.DTR) === 0 ? 0 : MSR_BITS.DSR;
    const ri = (mcr & MCR_BITS.OUT1) === 0 ? 0 : MSR_BITS.RI;
    const dcd = (mcr & MCR_BITS.OUT2) === 0 ? 0 : MSR_BITS.DCD;
    return cts | dsr | ri | dcd;
  }

  private fillFifo(): void {
    const { state } = this;
    const depth = this.fifosEnabled ? FIFO_DEPTH : 1;
    const arrived = state.wire.splice(0, Math.max(depth - state.fifo.length, 0));
    state.fifo.push(...arrived);
    const waits = this.fifosEnabled && state.fifo.length > 0;
    state.timeoutAt = waits ? this.clock.now() + this.timeoutNs() : -1;
    this.rearm();
    this.updateInterrupt();
  }

  private timeoutNs(): number {
    return Math.ceil((TIMEOUT_BITS * Math.max(this.state.divisor, 1) * 1e9) / BAUD_BASE);
  }

  private rearm(): void {
    this.timeout?.cancel();
    this.timeout = undefined;
    const { timeoutAt } = this.state;
    if (timeoutAt >= 0) this.timeout = this.clock.schedule(timeoutAt, () => this.expire());
  }

  private expire(): void {
    this.state.timeoutAt = -1;
    this.state.timedOut = true;
    this.updateInterrupt();
  }

  private identify(): number {
    const { state } = this;
    if ((state.ier & IER_BITS.RLSI) !== 0 && state.fifo[0] === BREAK) return IIR.RLSI;
    const received = this.identifyReceived();
    if (received !== IIR.NONE) return received;
    if ((state.ier & IER_BITS.THRI) !== 0 && state.thrEmpty) return IIR.THRI;
    if ((state.ier & IER_BITS.MSI) !== 0 && state.msrDelta !== 0) return IIR.MSI;
    return IIR.NONE;
  }

  private identifyReceived(): number {
    const { ier, fcr, timedOut, fifo } = this.state;
    if ((ier & IER_BITS.RDI) === 0) return IIR.NONE;
    const trigger = this.fifosEnabled ? RX_TRIGGER[fcr >>> 6]! : 1;
    if (fifo.length >= trigger) return IIR.RDI;
    return timedOut && fifo.length > 0 ? IIR.TIMEOUT : IIR.NONE;
  }

  private updateInterrupt(): void {
    this.interrupt.set(this.identify() !== IIR.NONE);
  }
}

/** The divisor of 12 (9600 baud) and OUT2 are what QEMU starts with. */
function initialState(): Ns16550State {
  return {
    divisor: 12,
    ier: 0,
    fcr: 0,
    lcr: 0,
    mcr: MCR_BITS.OUT2,
    scr: 0,
    msrDelta: 0,
    thrEmpty: false,
    timedOut: false,
    timeoutAt: -1,
    fifo: [],
    wire: [],
  };
}
