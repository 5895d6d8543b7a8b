/**
 * Breakpoints, watchpoints, and whether debug exceptions are enabled.
 *
 * Source: Arm ARM DDI 0487 "AArch64 Self-hosted Debug": "Breakpoint exceptions", "Watchpoint exceptions", "DBGBCR<n>_EL1",
 * "DBGWCR<n>_EL1".
 * Modelled: address, context ID and linked matches in Non-secure EL0 and EL1. Not modelled: VMID matches, debug exceptions
 * taken to or from EL2, vector catch; an atomic access matches as a store only.
 *
 * While no breakpoint can match at the present level, code is translated as if there were none; pages without watchpoints are
 * accessed at full speed.
 */
import type { AccessKind } from '../../execute/guest.ts';
import type { A64Cpu } from '../cpu.ts';
import { DAIF } from './process-state.ts';
import { TRANSLATION_REGISTERS } from './registers/control.ts';
import { BREAKPOINT_REGISTERS, BREAKPOINTS, DEBUG_REGISTERS, WATCHPOINTS } from './registers/debug.ts';

const MDSCR = { SS: 1 << 0, KDE: 1 << 13, MDE: 1 << 15 } as const;
const OSLSR_OSLK = 1 << 1;

/** DBGBCR<n>_EL1.BT, without its low bit, which says linked. */
const TYPE = { ADDRESS: 0b000, CONTEXT: 0b001 } as const;
/** DBGWCR<n>_EL1.LSC. */
const LSC = { LOAD: 1, STORE: 2 } as const;

/** Execution conditions of a breakpoint or watchpoint. */
interface Conditions {
  /** Bit n: it matches at level n. */
  readonly levels: number;
  /** Number of the context breakpoint that has to match as well. */
  readonly linkedTo: number | undefined;
}

interface Breakpoint extends Conditions {
  readonly type: number;
  /** An address, or a context ID. */
  readonly value: bigint;
  readonly isLinked: boolean;
}

interface Watchpoint extends Conditions {
  /** First byte and the one behind the last. */
  readonly start: bigint;
  readonly end: bigint;
  /** LSC bits. */
  readonly accesses: number;
}

function bits(value: bigint, high: number, low: number): number {
  return Number(BigInt.asUintN(high - low + 1, value >> BigInt(low)));
}

/** HMC, SSC, and PMC or PAC (bits 2 and 1): the levels at which it matches in Non-secure state. */
function levelsOf(control: bigint): number {
  const [SSC, PMC] = [bits(control, 15, 14), bits(control, 2, 1)];
  return SSC === 2 ? 0 : ((PMC & 1) << 1) | (PMC >> 1);
}

/** Decodes DBGBVR<n>_EL1 and DBGBCR<n>_EL1. @returns undefined when it is disabled or not modelled */
function decodeBreakpoint(value: bigint, control: bigint): Breakpoint | undefined {
  const BT = bits(control, 23, 20);
  const type = BT >> 1;
  if ((control & 1n) === 0n || type > TYPE.CONTEXT) return undefined;
  const isLinked = (BT & 1) !== 0;
  const isAddress = type === TYPE.ADDRESS;
  return {
    type,
    value: isAddress ? BigInt.asUintN(64, BigInt.asIntN(53, value)) & ~3n : value & 0xffff_ffffn,
    isLinked,
    levels: levelsOf(control),
    linkedTo: isAddress && isLinked ? bits(control, 19, 16) : undefined,
  };
}

/** The bytes that DBGWCR<n>_EL1.MASK or BAS select; BAS is a run of ones. */
function watchedBytes(value: bigint, control: bigint): { start: bigint; end: bigint } | undefined {
  const MASK = BigInt(bits(control, 28, 24));
  const address = BigInt.asUintN(64, BigInt.asIntN(53, value)) & ~3n;
  if (MASK > 0n) {
    const start = address & ~((1n << MASK) - 1n);
    return { start, end: start + (1n << MASK) };
  }
  // A value that is no multiple of 8 has the low half of BAS only
  const BAS = bits(control, 12, 5) & ((address & 4n) === 0n ? 0xff : 0x0f);
  if (BAS === 0) return undefined;
  const first = 31 - Math.clz32(BAS & -BAS);
  return { start: address + BigInt(first), end: address + BigInt(32 - Math.clz32(BAS)) };
}

function decodeWatchpoint(value: bigint, control: bigint): Watchpoint | undefined {
  const bytes = watchedBytes(value, control);
  if ((control & 1n) === 0n || bytes === undefined) return undefined;
  const isLinked = (control & (1n << 20n)) !== 0n;
  return {
    ...bytes,
    accesses: bits(control, 4, 3),
    levels: levelsOf(control),
    linkedTo: isLinked ? bits(control, 19, 16) : undefined,
  };
}

function isDefined<T>(value: T | undefined): value is T {
  return value !== undefined;
}

function numbers(count: number): readonly number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/** The debug logic of one CPU. */
export class SelfHostedDebug {
  readonly #cpu: A64Cpu;
  #breakpoints: readonly (Breakpoint | undefined)[] = [];
  #watchpoints: readonly Watchpoint[] = [];
  /** Levels at which some enabled breakpoint matches, as bits. */
  #breakpointLevels = 0;

  constructor(cpu: A64Cpu) {
    this.#cpu = cpu;
  }

  /** Reads the registers anew. */
  configure(): void {
    const read = (name: string, n: number): bigint => this.#cpu.read(BREAKPOINT_REGISTERS[`${name}${n}_EL1`]!);
    this.#breakpoints = numbers(BREAKPOINTS).map(n => decodeBreakpoint(read('DBGBVR', n), read('DBGBCR', n)));
    this.#breakpointLevels = this.#breakpoints.reduce((levels, entry) => levels | (entry?.levels ?? 0), 0);
    this.#watchpoints = numbers(WATCHPOINTS)
      .map(n => decodeWatchpoint(read('DBGWVR', n), read('DBGWCR', n)))
      .filter(isDefined);
  }

  /** Software step is active. */
  get isStepping(): boolean {
    return this.#has(MDSCR.SS) && this.#isEnabled;
  }

  /** A breakpoint may match at the present level. */
  get hasBreakpoints(): boolean {
    return ((this.#breakpointLevels >> this.#cpu.exceptionLevel) & 1) !== 0 && this.#has(MDSCR.MDE) && this.#isEnabled;
  }

  /** Whether a breakpoint matches the instruction at an address. */
  matchesInstruction(pc: bigint): boolean {
    const { exceptionLevel } = this.#cpu;
    return this.#breakpoints.some(entry => {
      if (entry === undefined || ((entry.levels >> exceptionLevel) & 1) === 0) return false;
      if (entry.type === TYPE.CONTEXT) return !entry.isLinked && this.#isContext(entry.value);
      return entry.value === pc && this.#linkMatches(entry);
    });
  }

  get hasWatchpoints(): boolean {
    return this.#watchpoints.length > 0;
  }

  /** Whether some byte of the 4 KiB page of an address is watched, now or once debug exceptions are enabled. */
  watchesPage(address: bigint): boolean {
    const page = address & ~0xfffn;
    return this.#watchpoints.some(({ start, end }) => start < page + 0x1000n && end > page);
  }

  /** FAR_ELx of the Watchpoint exception of an access as if from `level`; undefined when there is none. */
  watchedAddress(address: bigint, size: number, kind: AccessKind, level: number): bigint | undefined {
    if (!this.#has(MDSCR.MDE) || !this.#isEnabled) return undefined;
    const access = kind === 'write' ? LSC.STORE : LSC.LOAD;
    const end = address + BigInt(size);
    const hit = this.#watchpoints.find(
      entry =>
        (entry.accesses & access) !== 0 &&
        ((entry.levels >> level) & 1) !== 0 &&
        entry.start < end &&
        entry.end > address &&
        this.#linkMatches(entry),
    );
    return hit && (address > hit.start ? address : hit.start);
  }

  /** Debug exceptions are enabled: always at EL0, with KDE and PSTATE.D clear at EL1. */
  get #isEnabled(): boolean {
    const cpu = this.#cpu;
    if ((cpu.registers.getLow(DEBUG_REGISTERS.OSLSR_EL1.field) & OSLSR_OSLK) !== 0) return false;
    if (cpu.exceptionLevel === 0) return true;
    return cpu.exceptionLevel === 1 && this.#has(MDSCR.KDE) && (cpu.process.daif & DAIF.D) === 0;
  }

  #has(control: number): boolean {
    return (this.#cpu.registers.getLow(DEBUG_REGISTERS.MDSCR_EL1.field) & control) !== 0;
  }

  #linkMatches({ linkedTo }: Conditions): boolean {
    if (linkedTo === undefined) return true;
    const context = this.#breakpoints[linkedTo];
    return context?.type === TYPE.CONTEXT && context.isLinked && this.#isContext(context.value);
  }

  #isContext(id: bigint): boolean {
    return this.#cpu.read(TRANSLATION_REGISTERS.CONTEXTIDR_EL1) === id;
  }
}
