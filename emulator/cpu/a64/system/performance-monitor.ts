/**
 * The performance monitors: a cycle counter and no event counters.
 *
 * Source: Arm ARM DDI 0487 "The Performance Monitors Extension". One cycle is one retired instruction, so that the
 * counter is as deterministic as the machine. Not modelled: event counters (PMCR_EL0.N is 0), filtering by exception
 * level, overflow and its interrupt.
 */

/** PMCR_EL0. */
const PMCR = { E: 1n << 0n, C: 1n << 2n, D: 1n << 3n, X: 1n << 4n, DP: 1n << 5n, LC: 1n << 6n } as const;
const PMCR_STORED = PMCR.E | PMCR.D | PMCR.X | PMCR.DP | PMCR.LC;
/** The cycle counter's bit in the set and clear registers. */
export const CYCLE_COUNTER = 1n << 31n;

/** What a snapshot holds. */
export interface PerformanceMonitorState {
  readonly control: bigint;
  readonly enabled: bigint;
  readonly interruptsEnabled: bigint;
  readonly overflowed: bigint;
  readonly base: bigint;
}

/** One CPU's monitors. */
export class PerformanceMonitor {
  readonly #cycles: () => bigint;
  #control = 0n;
  #enabled = 0n;
  /** While counting: cycles at which the counter was 0; while stopped: the counter. */
  #base = 0n;
  interruptsEnabled = 0n;
  overflowed = 0n;

  /** @param cycles instructions retired so far */
  constructor(cycles: () => bigint) {
    this.#cycles = cycles;
  }

  get control(): bigint {
    return this.#control;
  }

  /** PMCR_EL0: C resets the cycle counter and is not stored. */
  writeControl(value: bigint): void {
    const counter = (value & PMCR.C) === 0n ? this.cycleCounter : 0n;
    this.#control = value & PMCR_STORED;
    this.cycleCounter = counter;
  }

  /** PMCNTENSET_EL0. */
  get enabled(): bigint {
    return this.#enabled;
  }

  set enabled(value: bigint) {
    const counter = this.cycleCounter;
    this.#enabled = value & CYCLE_COUNTER;
    this.cycleCounter = counter;
  }

  /** PMCCNTR_EL0. */
  get cycleCounter(): bigint {
    return this.#isCounting() ? BigInt.asUintN(64, this.#cycles() - this.#base) : this.#base;
  }

  set cycleCounter(value: bigint) {
    this.#base = this.#isCounting() ? BigInt.asUintN(64, this.#cycles() - value) : value;
  }

  reset(): void {
    this.restore({ control: 0n, enabled: 0n, interruptsEnabled: 0n, overflowed: 0n, base: 0n });
  }

  save(): PerformanceMonitorState {
    const { interruptsEnabled, overflowed } = this;
    return { control: this.#control, enabled: this.#enabled, interruptsEnabled, overflowed, base: this.#base };
  }

  restore(state: PerformanceMonitorState): void {
    this.#control = state.control;
    this.#enabled = state.enabled;
    this.#base = state.base;
    this.interruptsEnabled = state.interruptsEnabled;
    this.overflowed = state.overflowed;
  }

  #isCounting(): boolean {
    return (this.#control & PMCR.E) !== 0n && this.#enabled !== 0n;
  }
}
