/** Counters that run at a fixed rate on the virtual clock: exact conversions between guest time and ticks. */
import type { Nanoseconds } from '../memory/device.ts';

const NS_PER_SECOND = 1_000_000_000;

/** A rate in whole hertz, at most 4 GHz so that products stay exact. */
export class TickRate {
  readonly hz: number;

  constructor(hz: number) {
    this.hz = hz;
  }

  /** Ticks that have happened at `time`: rounded down. */
  ticksAt(time: Nanoseconds): number {
    const seconds = Math.floor(time / NS_PER_SECOND);
    return seconds * this.hz + Math.floor(((time % NS_PER_SECOND) * this.hz) / NS_PER_SECOND);
  }

  /** The first time at which `ticks` have happened. */
  timeOf(ticks: number): Nanoseconds {
    const seconds = Math.floor(ticks / this.hz);
    return seconds * NS_PER_SECOND + Math.ceil(((ticks % this.hz) * NS_PER_SECOND) / this.hz);
  }
}
