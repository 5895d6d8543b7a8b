/**
 * HPET: high precision event timers.
 *
 * Source: Intel IA-PC HPET Specification 1.0a "Register Overview".
 * Modelled: three comparators, periodic and one-shot, 32- and 64-bit, legacy replacement routing. Not modelled: FSB (MSI) delivery,
 * which QEMU leaves off, too.
 */
import { assert } from '../../capture/formats/errors.ts';
import type { AccessWidth, Alarm, Clock, Device, InterruptLine } from '../memory/device.ts';

const CAPABILITIES = 0x000;
const CONFIGURATION = 0x010;
const INTERRUPT_STATUS = 0x020;
const MAIN_COUNTER = 0x0f0;
const TIMERS = 0x100;
const TIMER_STRIDE = 0x20;
const TIMER_CONFIGURATION = 0x00;
const TIMER_COMPARATOR = 0x08;

const TIMER_COUNT = 3;
/** QEMU's counter runs at 100 MHz: 10 ns, told as 10,000,000 fs. */
const NS_PER_COUNT = 10;
const PERIOD_FS = 10_000_000n;
/** Vendor 8086, legacy replacement and 64-bit capable, number of the last timer, revision 1. */
const CAPABILITIES_VALUE = (PERIOD_FS << 32n) | 0x8086_a001n | (BigInt(TIMER_COUNT - 1) << 8n);

const CONFIG = { ENABLE: 1n, LEGACY: 2n } as const;
const TN = {
  LEVEL: 2n,
  ENABLE: 4n,
  PERIODIC: 8n,
  PERIODIC_CAPABLE: 16n,
  SIZE_CAPABLE: 32n,
  SET_VALUE: 64n,
  MODE_32: 256n,
} as const;
const TN_ROUTE_SHIFT = 9n;
/** Bits of a timer's configuration that the driver may write. */
const TN_WRITABLE = 0x3f4en;

/** What a snapshot holds of one timer. */
export interface HpetTimerState {
  config: bigint;
  comparator: bigint;
  period: bigint;
}

/** What a snapshot holds. */
export interface HpetState {
  config: bigint;
  status: bigint;
  /** Main counter minus guest time in counts while running; the counter itself while halted. */
  counter: bigint;
  readonly timers: HpetTimerState[];
}

/** What a board gives to the device. */
export interface HpetWiring {
  readonly clock: Clock;
  /** I/O APIC pins 0 to 23. */
  readonly lines: readonly InterruptLine[];
  /** Pins that timers may be routed to, one bit each; QEMU's q35: 2, 8 and 16 to 23. */
  readonly routes: number;
  /** Legacy replacement was switched: the 8254 and the RTC lose or get back their interrupts. */
  readonly legacyChanged?: (isOn: boolean) => void;
}

/** The timers as the bus sees them. */
export class Hpet implements Device<HpetState> {
  readonly name = 'hpet';
  private readonly clock: Clock;
  private readonly lines: readonly InterruptLine[];
  private readonly routes: bigint;
  private readonly legacyChanged: (isOn: boolean) => void;
  private state: HpetState;
  private alarm: Alarm | undefined;

  constructor({ clock, lines, routes, legacyChanged }: HpetWiring) {
    assert(lines.length === 24, 'an HPET is wired to the 24 pins of an I/O APIC');
    this.clock = clock;
    this.lines = lines;
    this.routes = BigInt(routes);
    this.legacyChanged = legacyChanged ?? (() => undefined);
    this.state = this.initialState();
  }

  read(offset: number, width: AccessWidth): number {
    const long = this.readLong(offset & ~7);
    const shift = BigInt((offset & 7) * 8);
    return Number((long >> shift) & ((1n << BigInt(width * 8)) - 1n));
  }

  write(offset: number, value: number, width: AccessWidth): void {
    if (width !== 4) return;
    const old = this.readLong(offset & ~7);
    const half = BigInt(value);
    const isHigh = (offset & 4) !== 0;
    const merged = isHigh ? (old & 0xffff_ffffn) | (half << 32n) : (old & ~0xffff_ffffn) | half;
    this.writeRegister(offset & ~7, merged, isHigh ? 0n : half);
  }

  readLong(offset: number): bigint {
    const { state } = this;
    switch (offset) {
      case CAPABILITIES:
        return CAPABILITIES_VALUE;
      case CONFIGURATION:
        return state.config;
      case INTERRUPT_STATUS:
        return state.status;
      case MAIN_COUNTER:
        return this.counter();
      default: {
        const timer = this.timerAt(offset);
        if (timer === undefined) return 0n;
        const register = offset % TIMER_STRIDE;
        if (register === TIMER_CONFIGURATION) return timer.config;
        return register === TIMER_COMPARATOR ? timer.comparator : 0n;
      }
    }
  }

  writeLong(offset: number, value: bigint): void {
    this.writeRegister(offset, value, value);
  }

  reset(): void {
    this.state = this.initialState();
    this.legacyChanged(false);
    this.update();
  }

  save(): HpetState {
    return structuredClone(this.state);
  }

  restore(state: HpetState): void {
    this.state = structuredClone(state);
    this.legacyChanged((state.config & CONFIG.LEGACY) !== 0n);
    this.update();
  }

  private get isRunning(): boolean {
    return (this.state.config & CONFIG.ENABLE) !== 0n;
  }

  private time(): bigint {
    return BigInt(Math.floor(this.clock.now() / NS_PER_COUNT));
  }

  private counter(): bigint {
    return this.isRunning ? BigInt.asUintN(64, this.state.counter + this.time()) : this.state.counter;
  }

  private timerAt(offset: number): HpetTimerState | undefined {
    return offset < TIMERS ? undefined : this.state.timers[Math.floor((offset - TIMERS) / TIMER_STRIDE)];
  }

  /** @param written the bits that this access writes, for the register whose ones clear */
  private writeRegister(offset: number, value: bigint, written: bigint): void {
    switch (offset) {
      case CONFIGURATION:
        this.writeConfiguration(value);
        break;
      case INTERRUPT_STATUS:
        this.state.status &= ~written;
        break;
      case MAIN_COUNTER:
        this.state.counter = BigInt.asUintN(64, this.isRunning ? value - this.time() : value);
        break;
      default:
        this.writeTimer(offset, value);
    }
    this.update();
  }

  private writeConfiguration(value: bigint): void {
    const counter = this.counter();
    this.state.config = value & (CONFIG.ENABLE | CONFIG.LEGACY);
    this.legacyChanged((value & CONFIG.LEGACY) !== 0n);
    this.state.counter = this.isRunning ? BigInt.asUintN(64, counter - this.time()) : counter;
  }

  private writeTimer(offset: number, value: bigint): void {
    const timer = this.timerAt(offset);
    if (timer === undefined) return;
    const register = offset % TIMER_STRIDE;
    if (register === TIMER_CONFIGURATION) {
      timer.config = (timer.config & ~TN_WRITABLE) | (value & TN_WRITABLE);
    } else if (register === TIMER_COMPARATOR) {
      this.writeComparator(timer, (timer.config & TN.MODE_32) === 0n ? value : value & 0xffff_ffffn);
    }
  }

  /** Of a periodic timer the first write with SET_VALUE sets the comparator, the next one the period. */
  private writeComparator(timer: HpetTimerState, value: bigint): void {
    const isPeriodic = (timer.config & TN.PERIODIC) !== 0n;
    if (!isPeriodic || (timer.config & TN.SET_VALUE) !== 0n) timer.comparator = value;
    if (isPeriodic) timer.period = value;
    timer.config &= ~TN.SET_VALUE;
  }

  /** Drives lines and arms for the earliest match. */
  private update(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    for (const [index, timer] of this.state.timers.entries()) {
      const isLevel = (timer.config & TN.LEVEL) !== 0n;
      if (isLevel) this.lines[this.route(index)]!.set((this.state.status & (1n << BigInt(index))) !== 0n);
    }
    if (!this.isRunning) return;
    const waits = this.state.timers.flatMap(timer => (this.isArmed(timer) ? [this.countsUntilMatch(timer)] : []));
    if (waits.length === 0) return;
    const next = waits.reduce((a, b) => (a < b ? a : b));
    const at = (this.time() + next) * BigInt(NS_PER_COUNT);
    if (at > BigInt(Number.MAX_SAFE_INTEGER)) return;
    const target = this.counter() + next;
    this.alarm = this.clock.schedule(Number(at), () => this.match(target));
  }

  private isArmed(timer: HpetTimerState): boolean {
    return (timer.config & TN.ENABLE) !== 0n;
  }

  /** At least 1: a match that is now has happened. */
  private countsUntilMatch(timer: HpetTimerState): bigint {
    const bits = (timer.config & TN.MODE_32) === 0n ? 64 : 32;
    const wait = BigInt.asUintN(bits, timer.comparator - this.counter());
    return wait === 0n ? 1n << BigInt(bits) : wait;
  }

  private match(counter: bigint): void {
    for (const [index, timer] of this.state.timers.entries()) {
      const bits = (timer.config & TN.MODE_32) === 0n ? 64 : 32;
      if (!this.isArmed(timer) || BigInt.asUintN(bits, timer.comparator - counter) !== 0n) continue;
      if ((timer.config & TN.PERIODIC) !== 0n) timer.comparator = BigInt.asUintN(bits, timer.comparator + timer.period);
      this.fire(index, timer);
    }
    this.update();
  }

  private fire(index: number, timer: HpetTimerState): void {
    const line = this.lines[this.route(index)]!;
    if ((timer.config & TN.LEVEL) !== 0n) {
      this.state.status |= 1n << BigInt(index);
      return;
    }
    line.set(true);
    line.set(false);
  }

  /** Pin of a timer; with legacy replacement timer 0 is IRQ 0 (pin 2) and timer 1 is IRQ 8. */
  private route(index: number): number {
    if ((this.state.config & CONFIG.LEGACY) !== 0n && index < 2) return index === 0 ? 2 : 8;
    return Math.min(Number((this.state.timers[index]!.config >> TN_ROUTE_SHIFT) & 0x1fn), 23);
  }

  private initialState(): HpetState {
    const config = TN.PERIODIC_CAPABLE | TN.SIZE_CAPABLE | (this.routes << 32n);
    const timers = Array.from({ length: TIMER_COUNT }, () => ({ config, comparator: 2n ** 64n - 1n, period: 0n }));
    return { config: 0n, status: 0n, counter: 0n, timers };
  }
}
