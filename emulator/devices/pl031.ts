/**
 * PL031: the real-time clock of Arm's boards, a 32-bit counter of seconds.
 *
 * Source: ARM PrimeCell Real Time Clock (PL031) Technical Reference Manual, DDI 0224.
 * Modelled: everything. As QEMU's, the clock starts at the date given and is enabled at reset, and CR reads as 1.
 */
import type { AccessWidth, Alarm, Clock, Device, InterruptLine } from '../memory/device.ts';
import { PERIPH_ID0, primeCellId, readPrimeCellId } from './primecell.ts';

const RTCDR = 0x00;
const RTCMR = 0x04;
const RTCLR = 0x08;
const RTCCR = 0x0c;
const RTCIMSC = 0x10;
const RTCRIS = 0x14;
const RTCMIS = 0x18;
const RTCICR = 0x1c;

const ID = primeCellId([0x31, 0x10, 0x14, 0x00]);
const NS_PER_SECOND = 1_000_000_000;
const WRAP = 2 ** 32;

/** What a snapshot holds. */
export interface Pl031State {
  /** RTCDR minus the whole seconds of guest time, modulo 2^32. */
  offset: number;
  mr: number;
  lr: number;
  imsc: number;
  ris: number;
}

/** What a board gives to the clock. */
export interface Pl031Wiring {
  readonly interrupt: InterruptLine;
  readonly clock: Clock;
  /** Date at power-on, in seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
}

/** The clock as the bus sees it. */
export class Pl031 implements Device<Pl031State> {
  readonly name = 'pl031';
  private readonly interrupt: InterruptLine;
  private readonly clock: Clock;
  private readonly epochSeconds: number;
  private state: Pl031State;
  private alarm: Alarm | undefined;

  constructor(wiring: Pl031Wiring) {
    this.interrupt = wiring.interrupt;
    this.clock = wiring.clock;
    this.epochSeconds = wiring.epochSeconds;
    this.state = this.initialState();
  }

  read(offset: number, _width: AccessWidth): number {
    const { state } = this;
    switch (offset) {
      case RTCDR:
        return this.counter();
      case RTCMR:
        return state.mr;
      case RTCLR:
        return state.lr;
      case RTCCR:
        return 1;
      case RTCIMSC:
        return state.imsc;
      case RTCRIS:
        return state.ris;
      case RTCMIS:
        return state.ris & state.imsc;
      default:
        return offset >= PERIPH_ID0 ? readPrimeCellId(ID, offset) : 0;
    }
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    const { state } = this;
    switch (offset) {
      case RTCMR:
        state.mr = value;
        this.rearm();
        break;
      case RTCLR:
        state.lr = value;
        state.offset = (value - this.uptimeSeconds() + WRAP) % WRAP;
        this.rearm();
        break;
      case RTCIMSC:
        state.imsc = value & 1;
        break;
      case RTCICR:
        state.ris &= ~value;
        break;
      default: // RTCCR: the clock cannot be stopped. The rest is read-only.
    }
    this.updateInterrupt();
  }

  reset(): void {
    this.state = this.initialState();
    this.rearm();
    this.updateInterrupt();
  }

  save(): Pl031State {
    return { ...this.state };
  }

  restore(state: Pl031State): void {
    this.state = { ...state };
    this.rearm();
    this.updateInterrupt();
  }

  private initialState(): Pl031State {
    return { offset: this.epochSeconds % WRAP, mr: 0, lr: 0, imsc: 0, ris: 0 };
  }

  private uptimeSeconds(): number {
    return Math.floor(this.clock.now() / NS_PER_SECOND);
  }

  private counter(): number {
    return (this.state.offset + this.uptimeSeconds()) % WRAP;
  }

  /** Sets the alarm for the second in which the counter becomes equal to the match register, if guest time reaches it. */
  private rearm(): void {
    this.alarm?.cancel();
    const wait = (this.state.mr - this.counter() + WRAP) % WRAP;
    const at = (this.uptimeSeconds() + (wait === 0 ? WRAP : wait)) * NS_PER_SECOND;
    this.alarm = at > Number.MAX_SAFE_INTEGER ? undefined : this.clock.schedule(at, () => this.match());
  }

  private match(): void {
    this.state.ris = 1;
    this.rearm();
    this.updateInterrupt();
  }

  private updateInterrupt(): void {
    this.interrupt.set((this.state.ris & this.state.imsc) !== 0);
  }
}
