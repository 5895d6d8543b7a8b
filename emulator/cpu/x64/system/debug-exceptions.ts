/**
 * Debug exceptions: single steps, and breakpoints on instructions, data and ports.
 *
 * While DR7 enables a breakpoint or EFLAGS.TF is set, every block is one instruction that begins here; pages with data breakpoints stay out
 * of the soft TLB. Source: Intel SDM vol. 3B "Debug Registers", "Debug Exceptions".
 */
import type { AccessKind } from '../../execute/guest.ts';
import type { X64Cpu } from '../cpu.ts';
import { EFLAGS } from '../state.ts';
import { CR4, DR6, DR7 } from './control-bits.ts';
import { type Fault, VECTOR } from './fault.ts';
import type { SystemRegisters } from './system-registers.ts';

/** DR7.R/Wn. */
const CONDITION = { EXECUTE: 0, WRITE: 1, PORT: 2, ACCESS: 3 } as const;
/** Bytes by DR7.LENn. */
const LENGTHS = [1, 2, 8, 4] as const;
const BREAKPOINTS = [0, 1, 2, 3] as const;
const PAGE = 4096n;

type Breakpoint = (typeof BREAKPOINTS)[number];

function isEnabled({ dr7 }: SystemRegisters, n: Breakpoint): boolean {
  return ((dr7 >> (2 * n)) & 3) !== 0;
}

function conditionOf({ dr7 }: SystemRegisters, n: Breakpoint): number {
  return (dr7 >> (16 + 4 * n)) & 3;
}

/** First and last byte of a breakpoint, whose address is aligned to its length. */
function rangeOf({ dr7, breakpoints }: SystemRegisters, n: Breakpoint): readonly [start: bigint, end: bigint] {
  const length = BigInt(LENGTHS[(dr7 >> (18 + 4 * n)) & 3]!);
  const start = breakpoints[n] & ~(length - 1n);
  return [start, start + length];
}

/** Whether a breakpoint on data is enabled. */
export function hasDataBreakpoints(registers: SystemRegisters): boolean {
  if ((registers.dr7 & DR7.ENABLES) === 0) return false;
  return BREAKPOINTS.some(n => isEnabled(registers, n) && (conditionOf(registers, n) & CONDITION.WRITE) !== 0);
}

/** Whether a page has bytes with an enabled breakpoint on data. @param address any one in the page */
export function watchesPage(registers: SystemRegisters, address: bigint): boolean {
  const page = address & -PAGE;
  return BREAKPOINTS.some(n => {
    if (!isEnabled(registers, n) || (conditionOf(registers, n) & CONDITION.WRITE) === 0) return false;
    const [start] = rangeOf(registers, n);
    return (start & -PAGE) === page;
  });
}

/** Bits of DR6 for the breakpoints that an access of `size` bytes hits. */
export function dataHits(registers: SystemRegisters, address: bigint, size: number, kind: AccessKind): number {
  return hitsOf(registers, address, size, condition =>
    kind === 'write' ? (condition & CONDITION.WRITE) !== 0 : condition === CONDITION.ACCESS,
  );
}

/** Bits of DR6 for the breakpoints that IN or OUT hits: they exist with CR4.DE. */
export function portHits(registers: SystemRegisters, port: number, size: number): number {
  if ((registers.dr7 & DR7.ENABLES) === 0 || (registers.cr4 & CR4.DE) === 0) return 0;
  return hitsOf(registers, BigInt(port), size, condition => condition === CONDITION.PORT);
}

function hitsOf(
  registers: SystemRegisters,
  address: bigint,
  size: number,
  matches: (condition: number) => boolean,
): number {
  let hits = 0;
  for (const n of BREAKPOINTS) {
    if (!isEnabled(registers, n) || !matches(conditionOf(registers, n))) continue;
    const [start, end] = rangeOf(registers, n);
    if (address < end && address + BigInt(size) > start) hits |= 1 << n;
  }
  return hits;
}

/**
 * Before each instruction: the trap of the one before, instruction breakpoints of this one, and TF for the next. Behind a load of SS
 * there is no single step, breakpoints on its data wait, and Intel's processors take no breakpoints on the instruction. Source: Intel SDM vol. 3A "Masking Exceptions and Interrupts When Switching Stacks".
 */
export function debugStep(cpu: X64Cpu): void {
  const { registers, state } = cpu;
  if (cpu.passStiWindow()) return;
  const isShadowed = cpu.stackShadow;
  cpu.stackShadow = false;
  if (!isShadowed && (cpu.stepArmed || cpu.debugHits !== 0)) return cpu.raise(trapOf(cpu));
  const resumes = (state.systemFlags & EFLAGS.RF) !== 0;
  if (resumes) state.systemFlags &= ~EFLAGS.RF;
  const isHidden = isShadowed && cpu.model.vendor === 'GenuineIntel';
  const hit = resumes || isHidden ? 0 : instructionHits(registers, cpu.engine.pc);
  if (hit !== 0) return cpu.raise(debugFault((registers.dr6 & ~DR6.BREAKPOINTS) | hit));
  cpu.stepArmed = (state.systemFlags & EFLAGS.TF) !== 0;
}

/** Takes what the last instruction has left. BS stays until it is written; the breakpoints are those of this trap. */
function trapOf(cpu: X64Cpu): Fault {
  const { dr6 } = cpu.registers;
  const kept = cpu.debugHits === 0 ? dr6 : dr6 & ~DR6.BREAKPOINTS;
  const bits = kept | cpu.debugHits | (cpu.stepArmed ? DR6.BS : 0);
  cpu.stepArmed = false;
  cpu.debugHits = 0;
  return debugFault(bits);
}

function debugFault(dr6: number): Fault {
  return { vector: VECTOR.DB, errorCode: undefined, dr6 };
}

function instructionHits(registers: SystemRegisters, pc: bigint): number {
  if ((registers.dr7 & DR7.ENABLES) === 0) return 0;
  let hits = 0;
  for (const n of BREAKPOINTS) {
    const executes = isEnabled(registers, n) && conditionOf(registers, n) === CONDITION.EXECUTE;
    if (executes && registers.breakpoints[n] === pc) hits |= 1 << n;
  }
  return hits;
}
