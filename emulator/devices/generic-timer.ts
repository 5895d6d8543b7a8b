/**
 * The Arm generic timer of one CPU: counters and timers behind system registers.
 *
 * Source: Arm ARM DDI 0487 "The Generic Timer in AArch64 state".
 * Modelled: CNTPCT, CNTVCT with CNTVOFF, the EL1 physical and virtual and the EL2 physical and virtual timers, the event
 * stream of CNTKCTL_EL1. Not modelled: the secure timer, CNTPOFF (FEAT_ECV), the memory-mapped frames.
 *
 * Register values are 64-bit `bigint`s as MSR and MRS move them. Traps by CNTKCTL_EL1 and CNTHCTL_EL2 are the CPU's.
 */
import type { Alarm, Clock, InterruptLine, Nanoseconds } from '../memory/device.ts';

/** Bits of CNTV_CTL_EL0 and its siblings. */
const CTL = { ENABLE: 1n, IMASK: 2n, ISTATUS: 4n } as const;

/** CNTKCTL_EL1: EVNTEN, EVNTDIR, EVNTI. */
const EVNTEN = 1n << 2n;
const EVNTDIR = 1n << 3n;
const EVNTI_SHIFT = 4n;

/** CNTFRQ_EL0 of QEMU's machines: 62.5 MHz, one count in 16 ns. */
export const CNTFRQ_HZ = 62_500_000;
const NS_PER_COUNT = 16;

/** What a snapshot holds of one timer. */
export interface TimerChannelState {
  /** ENABLE and IMASK; ISTATUS follows from the counter. */
  ctl: number;
  cval: bigint;
}

/** What a snapshot holds of a CPU's timers. */
export interface GenericTimerState {
  readonly cntkctl: bigint;
  readonly cntvoff: bigint;
  readonly cntp: TimerChannelState;
  readonly cntv: TimerChannelState;
  readonly cnthp: TimerChannelState;
  readonly cnthv: TimerChannelState;
}

/** Where the timers' outputs go; on `virt` PPIs 14, 11, 10 and 12. */
export interface GenericTimerLines {
  readonly cntp: InterruptLine;
  readonly cntv: InterruptLine;
  readonly cnthp: InterruptLine;
  readonly cnthv: InterruptLine;
}

/** One comparator: CTL, CVAL and TVAL of a timer. */
export class TimerChannel {
  private readonly clock: Clock;
  private readonly line: InterruptLine;
  private readonly offset: () => bigint;
  private ctl = 0n;
  private cval = 0n;
  private alarm: Alarm | undefined;

  /** @param offset counts that this timer's counter is behind the physical one */
  constructor(clock: Clock, line: InterruptLine, offset: () => bigint) {
    this.clock = clock;
    this.line = line;
    this.offset = offset;
  }

  readCTL(): bigint {
    return this.conditionMet() ? this.ctl | CTL.ISTATUS : this.ctl;
  }

  writeCTL(value: bigint): void {
    this.ctl = value & (CTL.ENABLE | CTL.IMASK);
    this.update();
  }

  readCVAL(): bigint {
    return this.cval;
  }

  writeCVAL(value: bigint): void {
    this.cval = value;
    this.update();
  }

  /** TVAL is a signed 32-bit view of CVAL: what is left until the condition is met. */
  readTVAL(): bigint {
    return BigInt.asUintN(32, this.cval - this.count());
  }

  writeTVAL(value: bigint): void {
    this.writeCVAL(BigInt.asUintN(64, this.count() + BigInt.asIntN(32, value)));
  }

  /** Drives the line as the registers say, and arms for the moment at which that changes. */
  update(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    const unmasked = (this.ctl & (CTL.ENABLE | CTL.IMASK)) === CTL.ENABLE;
    const met = unmasked && this.conditionMet();
    this.line.set(met);
    if (!unmasked || met) return;
    const at = (this.cval + this.offset()) * BigInt(NS_PER_COUNT);
    if (at <= BigInt(Number.MAX_SAFE_INTEGER)) this.alarm = this.clock.schedule(Number(at), () => this.update());
  }

  reset(): void {
    this.restore({ ctl: 0, cval: 0n });
  }

  save(): TimerChannelState {
    return { ctl: Number(this.ctl), cval: this.cval };
  }

  restore(state: TimerChannelState): void {
    this.ctl = BigInt(state.ctl);
    this.cval = state.cval;
    this.update();
  }

  private count(): bigint {
    return BigInt.asUintN(64, physicalCount(this.clock) - this.offset());
  }

  /** TimerConditionMet: unsigned comparison. ISTATUS is UNKNOWN while disabled; it reads 0 then. */
  private conditionMet(): boolean {
    return (this.ctl & CTL.ENABLE) !== 0n && this.count() >= this.cval;
  }
}

/** A CPU's counters and timers. Not on the bus: the CPU's system-register helpers call it. */
export class GenericTimer {
  readonly cntp: TimerChannel;
  readonly cntv: TimerChannel;
  readonly cnthp: TimerChannel;
  readonly cnthv: TimerChannel;
  private readonly clock: Clock;
  private cntkctl = 0n;
  private cntvoff = 0n;

  constructor(clock: Clock, lines: GenericTimerLines) {
    this.clock = clock;
    this.cntp = new TimerChannel(clock, lines.cntp, noOffset);
    this.cntv = new TimerChannel(clock, lines.cntv, () => this.cntvoff);
    this.cnthp = new TimerChannel(clock, lines.cnthp, noOffset);
    this.cnthv = new TimerChannel(clock, lines.cnthv, noOffset);
  }

  readCNTFRQ(): bigint {
    return BigInt(CNTFRQ_HZ);
  }

  readCNTPCT(): bigint {
    return physicalCount(this.clock);
  }

  readCNTVCT(): bigint {
    return BigInt.asUintN(64, physicalCount(this.clock) - this.cntvoff);
  }

  readCNTVOFF(): bigint {
    return this.cntvoff;
  }

  writeCNTVOFF(value: bigint): void {
    this.cntvoff = value;
    this.cntv.update();
  }

  readCNTKCTL(): bigint {
    return this.cntkctl;
  }

  writeCNTKCTL(value: bigint): void {
    this.cntkctl = value;
  }

  /**
   * When the event stream next wakes a CPU from WFE: at the next 0→1 (EVNTDIR: 1→0) change of bit EVNTI of CNTVCT.
   * @returns guest time after now, or `undefined` when the stream is off or too slow to matter
   */
  nextEvent(): Nanoseconds | undefined {
    if ((this.cntkctl & EVNTEN) === 0n) return undefined;
    const bit = 1n << ((this.cntkctl >> EVNTI_SHIFT) & 0xfn);
    const count = this.readCNTVCT();
    const phase = count & (2n * bit - 1n);
    const edge = (this.cntkctl & EVNTDIR) === 0n ? bit : 2n * bit;
    const wait = edge > phase ? edge - phase : edge + 2n * bit - phase;
    return Number((physicalCount(this.clock) + wait) * BigInt(NS_PER_COUNT));
  }

  reset(): void {
    this.cntkctl = 0n;
    this.cntvoff = 0n;
    for (const channel of [this.cntp, this.cntv, this.cnthp, this.cnthv]) channel.reset();
  }

  save(): GenericTimerState {
    const { cntkctl, cntvoff } = this;
    return {
      cntkctl,
      cntvoff,
      cntp: this.cntp.save(),
      cntv: this.cntv.save(),
      cnthp: this.cnthp.save(),
      cnthv: this.cnthv.save(),
    };
  }

  restore(state: GenericTimerState): void {
    this.cntkctl = state.cntkctl;
    this.cntvoff = state.cntvoff;
    this.cntp.restore(state.cntp);
    this.cntv.restore(state.cntv);
    this.cnthp.restore(state.cnthp);
    this.cnthv.restore(state.cnthv);
  }
}

function physicalCount(clock: Clock): bigint {
  return BigInt(Math.floor(clock.now() / NS_PER_COUNT));
}

function noOffset(): bigint {
  return 0n;
}
