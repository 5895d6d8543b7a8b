/**
 * MC146818: the real-time clock of PCs with its CMOS memory.
 *
 * Source: Motorola MC146818A data sheet "Address Map", "Registers".
 * Modelled: time in BCD or binary, 12 and 24 hours, setting the clock, alarm, periodic and update interrupts, 128 bytes, century at 0x32.
 * Not modelled: daylight saving, time bases other than 32 kHz, the square-wave pin.
 */
import type { AccessWidth, Alarm, Clock, Device, InterruptLine } from '../memory/device.ts';

const REGISTER = {
  SECONDS: 0,
  SECONDS_ALARM: 1,
  MINUTES: 2,
  MINUTES_ALARM: 3,
  HOURS: 4,
  HOURS_ALARM: 5,
  DAY_OF_WEEK: 6,
  DAY: 7,
  MONTH: 8,
  YEAR: 9,
  A: 10,
  B: 11,
  C: 12,
  D: 13,
  CENTURY: 0x32,
} as const;

const A_UIP = 0x80;
const B = { HOURS24: 0x02, BINARY: 0x04, UIE: 0x10, AIE: 0x20, PIE: 0x40, SET: 0x80 } as const;
const C = { UF: 0x10, AF: 0x20, PF: 0x40, IRQF: 0x80 } as const;
const D_VALID = 0x80;
/** 32 kHz time base, periodic rate 1024 Hz: what a BIOS leaves. */
const A_POWER_ON = 0x26;

const NS_PER_SECOND = 1_000_000_000;
/** The update-in-progress bit is set for the last 244 µs of each second. */
const UIP_NS = 244_000;
const TIME_BASE_HZ = 32_768;
const SECONDS_PER_DAY = 86_400;

/** What a snapshot holds. */
export interface Mc146818State {
  index: number;
  /** Seconds since 1970-01-01 that the clock shows at guest time 0. */
  epoch: number;
  readonly memory: Uint8Array;
  /** Guest time up to which interrupts were looked at. */
  checkedAt: number;
}

/** What a board gives to the clock. */
export interface Mc146818Wiring {
  /** IRQ 8. */
  readonly interrupt: InterruptLine;
  readonly clock: Clock;
  /** Date at power-on, in seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
}

/** The clock as the bus sees it at ports 0x70 and 0x71. */
export class Mc146818 implements Device<Mc146818State> {
  readonly name = 'mc146818';
  private readonly interrupt: InterruptLine;
  private readonly clock: Clock;
  private readonly epochSeconds: number;
  private state: Mc146818State;
  private alarm: Alarm | undefined;

  constructor({ interrupt, clock, epochSeconds }: Mc146818Wiring) {
    this.interrupt = interrupt;
    this.clock = clock;
    this.epochSeconds = epochSeconds;
    this.state = initialState(epochSeconds);
  }

  /** Fills CMOS memory as firmware finds it: sizes of memory, boot order. */
  setMemory(index: number, value: number): void {
    this.state.memory[index] = value;
  }

  read(offset: number, _width: AccessWidth): number {
    if (offset === 0) return 0xff; // The index cannot be read.
    const { index, memory } = this.state;
    if (isTime(index)) return this.readTime(index);
    switch (index) {
      case REGISTER.A:
        return memory[REGISTER.A]! | (this.isUpdating() ? A_UIP : 0);
      case REGISTER.C:
        return this.takeFlags();
      case REGISTER.D:
        return D_VALID;
      default:
        return memory[index]!;
    }
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    const { state } = this;
    const byte = value & 0xff;
    if (offset === 0) {
      state.index = byte & 0x7f; // Bit 7 masks NMI.
      return;
    }
    this.collectFlags();
    if (isTime(state.index)) this.writeTime(state.index, byte);
    else if (state.index === REGISTER.A) state.memory[REGISTER.A] = byte & ~A_UIP;
    else if (state.index === REGISTER.B) this.writeB(byte);
    else if (state.index !== REGISTER.C && state.index !== REGISTER.D) state.memory[state.index] = byte;
    this.rearm();
  }

  reset(): void {
    const { memory } = this.state;
    this.state = initialState(this.epochSeconds);
    for (let i = REGISTER.D + 1; i < memory.length; i++) this.state.memory[i] = memory[i]!;
    this.rearm();
  }

  save(): Mc146818State {
    return structuredClone(this.state);
  }

  restore(state: Mc146818State): void {
    this.state = structuredClone(state);
    this.rearm();
  }

  private isUpdating(): boolean {
    if ((this.state.memory[REGISTER.B]! & B.SET) !== 0) return false;
    return this.clock.now() % NS_PER_SECOND >= NS_PER_SECOND - UIP_NS;
  }

  /** Seconds since 1970 that the clock shows now. */
  private shown(): number {
    return this.state.epoch + Math.floor(this.clock.now() / NS_PER_SECOND);
  }

  /** While B.SET is on, the registers hold what was written. */
  private readTime(index: number): number {
    if ((this.state.memory[REGISTER.B]! & B.SET) !== 0) return this.state.memory[index]!;
    return this.fields(this.shown())[index]!;
  }

  private fields(seconds: number): Record<number, number> {
    const date = new Date(seconds * 1000);
    const encode = (value: number): number => this.encode(value);
    return {
      [REGISTER.SECONDS]: encode(date.getUTCSeconds()),
      [REGISTER.MINUTES]: encode(date.getUTCMinutes()),
      [REGISTER.HOURS]: this.encodeHours(date.getUTCHours()),
      [REGISTER.DAY_OF_WEEK]: encode(date.getUTCDay() + 1),
      [REGISTER.DAY]: encode(date.getUTCDate()),
      [REGISTER.MONTH]: encode(date.getUTCMonth() + 1),
      [REGISTER.YEAR]: encode(date.getUTCFullYear() % 100),
      [REGISTER.CENTURY]: encode(Math.floor(date.getUTCFullYear() / 100)),
    };
  }

  private writeTime(index: number, byte: number): void {
    const { memory } = this.state;
    if ((memory[REGISTER.B]! & B.SET) !== 0) {
      memory[index] = byte;
      return;
    }
    const fields = this.fields(this.shown());
    fields[index] = byte;
    this.setClock(fields);
  }

  private setClock(fields: Record<number, number>): void {
    const field = (index: number): number => this.decode(fields[index] ?? 0);
    const year = field(REGISTER.CENTURY) * 100 + field(REGISTER.YEAR);
    const hours = this.decodeHours(fields[REGISTER.HOURS] ?? 0);
    const midnight = Date.UTC(year, field(REGISTER.MONTH) - 1, field(REGISTER.DAY)) / 1000;
    const seconds = midnight + hours * 3600 + field(REGISTER.MINUTES) * 60 + field(REGISTER.SECONDS);
    this.state.epoch = seconds - Math.floor(this.clock.now() / NS_PER_SECOND);
  }

  /** B.SET stops the clock's registers, and taking it back sets the clock. */
  private writeB(value: number): void {
    const { memory } = this.state;
    const before = memory[REGISTER.B]!;
    if ((value & ~before & B.SET) !== 0)
      for (const [index, field] of Object.entries(this.fields(this.shown()))) memory[Number(index)] = field;
    memory[REGISTER.B] = (value & B.SET) === 0 ? value : value & ~B.UIE;
    if ((before & ~value & B.SET) !== 0) this.setClock(Object.fromEntries(TIME_REGISTERS.map(i => [i, memory[i]!])));
    this.updateInterrupt();
  }

  private encode(value: number): number {
    return (this.state.memory[REGISTER.B]! & B.BINARY) !== 0 ? value : Math.floor(value / 10) * 16 + (value % 10);
  }

  private decode(value: number): number {
    return (this.state.memory[REGISTER.B]! & B.BINARY) !== 0 ? value : (value >> 4) * 10 + (value & 0xf);
  }

  private encodeHours(hours: number): number {
    if ((this.state.memory[REGISTER.B]! & B.HOURS24) !== 0) return this.encode(hours);
    return this.encode(hours % 12 === 0 ? 12 : hours % 12) | (hours >= 12 ? 0x80 : 0);
  }

  private decodeHours(value: number): number {
    if ((this.state.memory[REGISTER.B]! & B.HOURS24) !== 0) return this.decode(value);
    return (this.decode(value & 0x7f) % 12) + ((value & 0x80) === 0 ? 0 : 12);
  }

  /** Notes in register C what has happened since the last look. */
  private collectFlags(): void {
    const { state } = this;
    const now = this.clock.now();
    if (Math.floor(now / NS_PER_SECOND) > Math.floor(state.checkedAt / NS_PER_SECOND)) {
      state.memory[REGISTER.C]! |= this.alarmPassed(state.checkedAt, now) ? C.UF | C.AF : C.UF;
    }
    const period = this.periodNs();
    if (period > 0 && Math.floor(now / period) > Math.floor(state.checkedAt / period))
      state.memory[REGISTER.C]! |= C.PF;
    state.checkedAt = now;
  }

  private alarmPassed(from: number, to: number): boolean {
    return (Math.floor(from / NS_PER_SECOND) + this.secondsToAlarm(from)) * NS_PER_SECOND <= to;
  }

  /** Seconds after the second of `from` until the alarm registers match. Values of 0xc0 and above match everything. */
  private secondsToAlarm(from: number): number {
    const { memory } = this.state;
    const start = this.state.epoch + Math.floor(from / NS_PER_SECOND);
    const matches = (index: number, value: number, decode: (v: number) => number): boolean =>
      memory[index]! >= 0xc0 || decode(memory[index]!) === value;
    const plain = (value: number): number => this.decode(value);
    const isHourAlarm = (hour: number): boolean => matches(REGISTER.HOURS_ALARM, hour, v => this.decodeHours(v));
    for (let wait = 1; wait <= SECONDS_PER_DAY;) {
      const time = (start + wait) % SECONDS_PER_DAY;
      if (!isHourAlarm(Math.floor(time / 3600))) wait += 3600 - (time % 3600);
      else if (!matches(REGISTER.MINUTES_ALARM, Math.floor(time / 60) % 60, plain)) wait += 60 - (time % 60);
      else if (matches(REGISTER.SECONDS_ALARM, time % 60, plain)) return wait;
      else wait += 1;
    }
    return Infinity;
  }

  /** Rates 1 and 2 are those of 8 and 9. */
  private periodNs(): number {
    const rate = this.state.memory[REGISTER.A]! & 0xf;
    if (rate === 0) return 0;
    const shift = rate <= 2 ? rate + 7 : rate;
    return (2 ** (shift - 1) * NS_PER_SECOND) / TIME_BASE_HZ;
  }

  private takeFlags(): number {
    this.collectFlags();
    this.updateInterrupt();
    const flags = this.state.memory[REGISTER.C]!;
    this.state.memory[REGISTER.C] = 0;
    this.rearm();
    return flags;
  }

  private updateInterrupt(): void {
    const { memory } = this.state;
    const asserted = (memory[REGISTER.C]! & memory[REGISTER.B]! & (C.UF | C.AF | C.PF)) !== 0;
    if (asserted) memory[REGISTER.C]! |= C.IRQF;
    else memory[REGISTER.C]! &= ~C.IRQF;
    this.interrupt.set(asserted);
  }

  /** Arms for the next interrupt that is enabled. */
  private rearm(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    this.updateInterrupt();
    const enabled = this.state.memory[REGISTER.B]!;
    const now = this.clock.now();
    const second = Math.floor(now / NS_PER_SECOND);
    const times = [Infinity];
    if ((enabled & B.UIE) !== 0) times.push((second + 1) * NS_PER_SECOND);
    if ((enabled & B.AIE) !== 0) times.push((second + this.secondsToAlarm(now)) * NS_PER_SECOND);
    const period = this.periodNs();
    if ((enabled & B.PIE) !== 0 && period > 0) times.push(Math.ceil((Math.floor(now / period) + 1) * period));
    const at = Math.min(...times);
    if (at <= Number.MAX_SAFE_INTEGER) this.alarm = this.clock.schedule(at, () => this.fire());
  }

  private fire(): void {
    this.collectFlags();
    this.rearm();
  }
}

const TIME_REGISTERS: readonly number[] = [
  REGISTER.SECONDS,
  REGISTER.MINUTES,
  REGISTER.HOURS,
  REGISTER.DAY_OF_WEEK,
  REGISTER.DAY,
  REGISTER.MONTH,
  REGISTER.YEAR,
  REGISTER.CENTURY,
];

function isTime(index: number): boolean {
  return TIME_REGISTERS.includes(index);
}

function initialState(epoch: number): Mc146818State {
  const memory = new Uint8Array(128);
  memory[REGISTER.A] = A_POWER_ON;
  memory[REGISTER.B] = B.HOURS24;
  return { index: 0, epoch, memory, checkedAt: 0 };
}
