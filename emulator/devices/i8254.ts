/**
 * 8254: the programmable interval timer of PCs, and port 0x61 with its gate and output of counter 2.
 *
 * Source: Intel 8254 data sheet "Operational Description", "Mode Definitions".
 * Modelled: modes 0, 2 and 3 as Linux uses them, modes 1, 4 and 5 without retriggering; latches, read-back, status; binary counting.
 * Not modelled: BCD counting.
 */
import type { AccessWidth, Alarm, Clock, Device, InterruptLine } from '../memory/device.ts';
import { TickRate } from './tick-rate.ts';

const RATE = new TickRate(1_193_182);
const CONTROL = 3;

/** Access modes of a counter (control word bits 5:4). */
const ACCESS = { LATCH: 0, LOW: 1, HIGH: 2, BOTH: 3 } as const;
const READ_BACK = 3;

/** What a snapshot holds of one counter. */
export interface I8254CounterState {
  mode: number;
  access: number;
  /** Reload value, 1 to 65536. */
  count: number;
  /** Tick at which counting began. */
  start: number;
  gate: boolean;
  /** No count was written since the control word. */
  isNull: boolean;
  writeLow: number;
  /** The next byte written or read is the high one. */
  writeHighNext: boolean;
  readHighNext: boolean;
  /** Latched count or -1. */
  latched: number;
  latchedStatus: number;
}

/** What a snapshot holds. */
export interface I8254State {
  readonly counters: I8254CounterState[];
  speaker: boolean;
}

/** The timer as the bus sees it at ports 0x40 to 0x43. */
export class I8254 implements Device<I8254State> {
  readonly name = 'i8254';
  private readonly interrupt: InterruptLine;
  private readonly clock: Clock;
  private state: I8254State = initialState();
  private alarm: Alarm | undefined;

  /** @param interrupt output of counter 0: IRQ 0 */
  constructor(clock: Clock, interrupt: InterruptLine) {
    this.clock = clock;
    this.interrupt = interrupt;
  }

  read(offset: number, _width: AccessWidth): number {
    const counter = this.state.counters[offset];
    if (counter === undefined) return 0;
    if (counter.latchedStatus >= 0) {
      const status = counter.latchedStatus;
      counter.latchedStatus = -1;
      return status;
    }
    const value = counter.latched >= 0 ? counter.latched : this.value(counter);
    const high = counter.access === ACCESS.HIGH || (counter.access === ACCESS.BOTH && counter.readHighNext);
    if (counter.access === ACCESS.BOTH) counter.readHighNext = !counter.readHighNext;
    if (counter.access !== ACCESS.BOTH || !counter.readHighNext) counter.latched = -1;
    return (high ? value >>> 8 : value) & 0xff;
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    if (offset === CONTROL) this.writeControl(value & 0xff);
    else this.writeCount(this.state.counters[offset]!, value & 0xff);
    this.update();
  }

  /** Port 0x61 bits 5:0: gate of counter 2, speaker, refresh toggle, output of counter 2. */
  readPortB(): number {
    const counter = this.state.counters[2]!;
    const refresh = Math.floor(RATE.ticksAt(this.clock.now()) / 18) % 2;
    return (counter.gate ? 1 : 0) | (this.state.speaker ? 2 : 0) | (refresh << 4) | (this.output(counter) ? 0x20 : 0);
  }

  /** A rising gate starts modes 1, 2, 3 and 5 anew, and lets mode 0 count on. */
  writePortB(value: number): void {
    const counter = this.state.counters[2]!;
    const gate = (value & 1) !== 0;
    this.state.speaker = (value & 2) !== 0;
    if (gate && !counter.gate) counter.start = RATE.ticksAt(this.clock.now());
    counter.gate = gate;
  }

  reset(): void {
    this.state = initialState();
    this.update();
  }

  save(): I8254State {
    return structuredClone(this.state);
  }

  restore(state: I8254State): void {
    this.state = structuredClone(state);
    this.update();
  }

  private writeControl(value: number): void {
    const select = value >>> 6;
    if (select === READ_BACK) {
      this.readBack(value);
      return;
    }
    const counter = this.state.counters[select]!;
    const access = (value >>> 4) & 3;
    if (access === ACCESS.LATCH) {
      this.latch(counter);
      return;
    }
    counter.access = access;
    // Modes 6 and 7 are 2 and 3.
    const mode = (value >>> 1) & 7;
    counter.mode = mode > 5 ? mode - 4 : mode;
    counter.isNull = true;
    counter.writeHighNext = false;
    counter.readHighNext = false;
    counter.latched = -1;
  }

  /** Read-back command: bit 5 clear latches counts, bit 4 clear latches status, bits 3:1 select counters. */
  private readBack(value: number): void {
    for (const [i, counter] of this.state.counters.entries()) {
      if ((value & (2 << i)) === 0) continue;
      if ((value & 0x20) === 0) this.latch(counter);
      if ((value & 0x10) === 0 && counter.latchedStatus < 0) counter.latchedStatus = this.status(counter);
    }
  }

  private status(counter: I8254CounterState): number {
    const flags = (this.output(counter) ? 0x80 : 0) | (counter.isNull ? 0x40 : 0);
    return flags | (counter.access << 4) | (counter.mode << 1);
  }

  private latch(counter: I8254CounterState): void {
    if (counter.latched < 0) counter.latched = this.value(counter);
  }

  private writeCount(counter: I8254CounterState, byte: number): void {
    if (counter.access === ACCESS.BOTH && !counter.writeHighNext) {
      counter.writeLow = byte;
      counter.writeHighNext = true;
      return;
    }
    const low = counter.access === ACCESS.LOW ? byte : counter.access === ACCESS.BOTH ? counter.writeLow : 0;
    const high = counter.access === ACCESS.LOW ? 0 : byte;
    counter.writeHighNext = false;
    counter.count = high * 256 + low || 65536;
    counter.isNull = false;
    counter.start = RATE.ticksAt(this.clock.now());
  }

  private elapsed(counter: I8254CounterState): number {
    return RATE.ticksAt(this.clock.now()) - counter.start;
  }

  /** The count as a read shows it. Modes 2 and 3 reload; the others go on below zero. */
  private value(counter: I8254CounterState): number {
    const elapsed = counter.gate ? this.elapsed(counter) : 0;
    if (counter.mode === 2) return counter.count - (elapsed % counter.count);
    if (counter.mode === 3) return counter.count - ((2 * elapsed) % counter.count);
    return (counter.count - (elapsed % 65536) + 65536) & 0xffff;
  }

  private output(counter: I8254CounterState): boolean {
    if (counter.isNull) return counter.mode !== 0;
    const elapsed = counter.gate ? this.elapsed(counter) : 0;
    switch (counter.mode) {
      case 0:
      case 1:
        return elapsed >= counter.count;
      case 2:
        return elapsed % counter.count !== counter.count - 1;
      case 3:
        return elapsed % counter.count < (counter.count + 1) >> 1;
      default:
        return elapsed !== counter.count;
    }
  }

  /** Drives IRQ 0 and arms for the next change of counter 0's output. */
  private update(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    const counter = this.state.counters[0]!;
    this.interrupt.set(this.output(counter));
    const next = counter.isNull ? undefined : nextChange(counter, this.elapsed(counter));
    if (next === undefined) return;
    this.alarm = this.clock.schedule(RATE.timeOf(counter.start + next), () => this.update());
  }
}

/** Ticks after the start at which the output next changes, if it does. */
function nextChange({ mode, count }: I8254CounterState, elapsed: number): number | undefined {
  const period = elapsed - (elapsed % count);
  switch (mode) {
    case 0:
    case 1:
      return elapsed < count ? count : undefined;
    case 2:
      return elapsed % count < count - 1 ? period + count - 1 : period + count;
    case 3: {
      const half = (count + 1) >> 1;
      return elapsed % count < half ? period + half : period + count;
    }
    default:
      if (elapsed < count) return count;
      return elapsed === count ? count + 1 : undefined;
  }
}

/** Port 0x61 as the bus sees it. Its state is the timer's. */
export class PortB implements Device<null> {
  readonly name = 'port-61';
  private readonly timer: I8254;

  constructor(timer: I8254) {
    this.timer = timer;
  }

  read(): number {
    return this.timer.readPortB();
  }

  write(_offset: number, value: number, _width: AccessWidth): void {
    this.timer.writePortB(value);
  }

  reset(): void {
    this.timer.writePortB(0);
  }

  save(): null {
    return null;
  }

  restore(): void {
    // The timer restores it.
  }
}

function initialState(): I8254State {
  // Undefined at power-on; in mode 0 without a count the outputs are low.
  const counters = [0, 1, 2].map(i => ({
    mode: 0,
    access: ACCESS.BOTH,
    count: 65536,
    start: 0,
    gate: i !== 2,
    isNull: true,
    writeLow: 0,
    writeHighNext: false,
    readHighNext: false,
    latched: -1,
    latchedStatus: -1,
  }));
  return { counters, speaker: false };
}
