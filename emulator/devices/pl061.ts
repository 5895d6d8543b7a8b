/**
 * PL061: eight general-purpose input and output pins. On `virt` pin 3 is the power key.
 *
 * Source: ARM PrimeCell General Purpose Input/Output (PL061) Technical Reference Manual, DDI 0190.
 * Modelled: data, direction, edge and level interrupts. Pins that nobody drives are pulled down.
 * Not modelled: the alternate-function side of GPIOAFSEL (the register is kept).
 */
import type { AccessWidth, Clock, Device, InterruptLine } from '../memory/device.ts';
import { PERIPH_ID0, primeCellId, readPrimeCellId } from './primecell.ts';

/** GPIODATA takes 0x000 to 0x3fc: address bits 9:2 are the mask of the pins meant. */
const GPIODATA_END = 0x400;
const GPIODIR = 0x400;
const GPIOIS = 0x404;
const GPIOIBE = 0x408;
const GPIOIEV = 0x40c;
const GPIOIE = 0x410;
const GPIORIS = 0x414;
const GPIOMIS = 0x418;
const GPIOIC = 0x41c;
const GPIOAFSEL = 0x420;

const ID = primeCellId([0x61, 0x10, 0x04, 0x00]);

/** What a snapshot holds; each member is a mask of pins. */
export interface Pl061State {
  /** Levels that the guest wrote. */
  data: number;
  /** Levels that come from outside. */
  inputs: number;
  dir: number;
  is: number;
  ibe: number;
  iev: number;
  ie: number;
  /** Edge interrupts that were detected and not cleared. */
  detected: number;
  afsel: number;
}

/** The pins as the bus sees them; `setInput` is the outside. */
export class Pl061 implements Device<Pl061State> {
  readonly name = 'pl061';
  private readonly interrupt: InterruptLine;
  private state: Pl061State = initialState();

  constructor(interrupt: InterruptLine) {
    this.interrupt = interrupt;
  }

  /** Drives pin 0 to 7 from outside; has no effect while the guest has made it an output. */
  setInput(pin: number, level: boolean): void {
    const before = this.pins();
    const bit = 1 << pin;
    this.state.inputs = level ? this.state.inputs | bit : this.state.inputs & ~bit;
    this.detect(before);
  }

  read(offset: number, _width: AccessWidth): number {
    const { state } = this;
    if (offset < GPIODATA_END) return this.pins() & (offset >> 2);
    switch (offset) {
      case GPIODIR:
        return state.dir;
      case GPIOIS:
        return state.is;
      case GPIOIBE:
        return state.ibe;
      case GPIOIEV:
        return state.iev;
      case GPIOIE:
        return state.ie;
      case GPIORIS:
        return this.rawStatus();
      case GPIOMIS:
        return this.rawStatus() & state.ie;
      case GPIOAFSEL:
        return state.afsel;
      default:
        return offset >= PERIPH_ID0 ? readPrimeCellId(ID, offset) : 0;
    }
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    const { state } = this;
    const before = this.pins();
    const byte = value & 0xff;
    if (offset < GPIODATA_END) {
      const mask = (offset >> 2) & state.dir;
      state.data = (state.data & ~mask) | (byte & mask);
    } else {
      this.writeControl(offset, byte);
    }
    this.detect(before);
  }

  reset(): void {
    this.state = { ...initialState(), inputs: this.state.inputs };
    this.updateInterrupt();
  }

  save(): Pl061State {
    return { ...this.state };
  }

  restore(state: Pl061State): void {
    this.state = { ...state };
    this.updateInterrupt();
  }

  private writeControl(offset: number, byte: number): void {
    const { state } = this;
    switch (offset) {
      case GPIODIR:
        state.dir = byte;
        break;
      case GPIOIS:
        state.is = byte;
        break;
      case GPIOIBE:
        state.ibe = byte;
        break;
      case GPIOIEV:
        state.iev = byte;
        break;
      case GPIOIE:
        state.ie = byte;
        break;
      case GPIOIC:
        state.detected &= ~byte;
        break;
      case GPIOAFSEL:
        state.afsel = byte;
        break;
      default: // GPIORIS, GPIOMIS and the identification are read-only.
    }
  }

  private pins(): number {
    const { data, dir, inputs } = this.state;
    return (data & dir) | (inputs & ~dir & 0xff);
  }

  /** Notes the edges of input pins that GPIOIBE and GPIOIEV ask for: DDI 0190 "Interrupt detection logic". */
  private detect(before: number): void {
    const { state } = this;
    const now = this.pins();
    const changed = (before ^ now) & ~state.dir & ~state.is;
    state.detected |= changed & (state.ibe | ~(now ^ state.iev));
    this.updateInterrupt();
  }

  private rawStatus(): number {
    const { state } = this;
    const levels = ~(this.pins() ^ state.iev) & state.is & 0xff;
    return (state.detected & ~state.is) | levels;
  }

  private updateInterrupt(): void {
    this.interrupt.set((this.rawStatus() & this.state.ie) !== 0);
  }
}

const KEY_PRESS_NS = 100_000_000;

/** A push button on a pin: down for 100 ms, as QEMU's power key is held. */
export class GpioKey {
  private readonly clock: Clock;
  private readonly drive: (level: boolean) => void;

  constructor(clock: Clock, drive: (level: boolean) => void) {
    this.clock = clock;
    this.drive = drive;
  }

  press(): void {
    this.drive(true);
    this.clock.schedule(this.clock.now() + KEY_PRESS_NS, () => this.drive(false));
  }
}

function initialState(): Pl061State {
  return { data: 0, inputs: 0, dir: 0, is: 0, ibe: 0, iev: 0, ie: 0, detected: 0, afsel: 0 };
}
