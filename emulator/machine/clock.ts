/**
 * The machine's virtual clock: guest time is the number of retired instructions times a fixed rate, plus the time that was
 * skipped while every CPU slept.
 */
import type { Alarm, Clock, Nanoseconds } from '../memory/device.ts';

/** Guest time of one instruction: a CPU of 10^9 instructions a second. */
export const NS_PER_INSTRUCTION = 1;

interface PendingAlarm extends Alarm {
  readonly at: Nanoseconds;
  readonly fire: () => void;
}

/** What the clock needs of the engine. */
export interface InstructionCounter {
  /** Retired instructions of all CPUs, exact at any moment. */
  readonly retired: number;
  /** Ends the slice under way at the next checkpoint. */
  requestAttention(): void;
}

/** Time and alarms of one machine. */
export class VirtualClock implements Clock {
  readonly #counter: () => InstructionCounter;
  /** Sorted by time; alarms of the same time fire in the order in which they were set. */
  readonly #alarms: PendingAlarm[] = [];
  #skippedNs = 0;
  /** Until when the run loop plans to run without looking at the alarms. */
  #horizon: Nanoseconds = 0;

  /** @param counter gives the engine, which is made after its clock */
  constructor(counter: () => InstructionCounter) {
    this.#counter = counter;
  }

  now(): Nanoseconds {
    return this.#counter().retired * NS_PER_INSTRUCTION + this.#skippedNs;
  }

  schedule(at: Nanoseconds, fire: () => void): Alarm {
    const alarm: PendingAlarm = { at, fire, cancel: () => this.#remove(alarm) };
    let position = this.#alarms.length;
    while (position > 0 && this.#alarms[position - 1]!.at > at) position--;
    this.#alarms.splice(position, 0, alarm);
    if (at < this.#horizon) this.#counter().requestAttention();
    return alarm;
  }

  /** Time of the earliest alarm, if there is one. */
  get nextAlarm(): Nanoseconds | undefined {
    return this.#alarms[0]?.at;
  }

  /** Fires all alarms whose time has come. */
  fireDue(): void {
    for (let first = this.#alarms[0]; first !== undefined && first.at <= this.now(); first = this.#alarms[0]) {
      this.#alarms.shift();
      first.fire();
    }
  }

  /** Skips idle time up to `at`. */
  skipTo(at: Nanoseconds): void {
    this.#skippedNs += Math.max(0, at - this.now());
  }

  /** How many instructions may run before an alarm is due: at least 1, at most `limit`. */
  planSlice(limit: number): number {
    const untilAlarm = ((this.nextAlarm ?? Number.POSITIVE_INFINITY) - this.now()) / NS_PER_INSTRUCTION;
    const instructions = Math.max(1, Math.min(limit, Math.ceil(untilAlarm)));
    this.#horizon = this.now() + instructions * NS_PER_INSTRUCTION;
    return instructions;
  }

  /** Idle time skipped so far: with the count of retired instructions, all of the clock's state. */
  get skippedNs(): Nanoseconds {
    return this.#skippedNs;
  }
  set skippedNs(value: Nanoseconds) {
    this.#skippedNs = value;
  }

  /** Forgets all alarms: devices set theirs again when they reset or restore. */
  clearAlarms(): void {
    this.#alarms.length = 0;
  }

  #remove(alarm: PendingAlarm): void {
    const position = this.#alarms.indexOf(alarm);
    if (position >= 0) this.#alarms.splice(position, 1);
  }
}
