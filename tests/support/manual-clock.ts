/** A virtual clock that a test moves by hand. */
import type { Alarm, Clock, Nanoseconds } from '../../emulator/memory/device.ts';

interface Pending {
  readonly at: Nanoseconds;
  readonly fire: () => void;
}

/** Fires alarms in time order while `advance` runs; equal times fire in the order of scheduling. */
export class ManualClock implements Clock {
  private time: Nanoseconds;
  private pending: Pending[] = [];

  constructor(start: Nanoseconds = 0) {
    this.time = start;
  }

  now(): Nanoseconds {
    return this.time;
  }

  schedule(at: Nanoseconds, fire: () => void): Alarm {
    const entry = { at, fire };
    this.pending.push(entry);
    return {
      cancel: () => {
        this.pending = this.pending.filter(other => other !== entry);
      },
    };
  }

  /** Time of the earliest alarm, if any is pending. */
  get nextAlarm(): Nanoseconds | undefined {
    return this.pending.length === 0 ? undefined : Math.min(...this.pending.map(entry => entry.at));
  }

  advance(delta: Nanoseconds): void {
    this.advanceTo(this.time + delta);
  }

  advanceTo(target: Nanoseconds): void {
    for (;;) {
      const due = this.pending.filter(entry => entry.at <= target).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.pending = this.pending.filter(entry => entry !== due);
      this.time = Math.max(this.time, due.at);
      due.fire();
    }
    this.time = Math.max(this.time, target);
  }
}
