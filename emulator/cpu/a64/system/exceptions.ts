/**
 * Exception entry and return.
 *
 * Source: Arm ARM DDI 0487 "Exception entry", "Exception return", pseudocode `AArch64.TakeException`,
 * `AArch64.ExceptionReturn`, "Routing exceptions to EL2".
 * Not modelled: EL3, AArch32, double faults, virtual interrupts.
 */
import type { BranchType } from '../branch-target.ts';
import type { A64Cpu } from '../cpu.ts';
import { A64_STATE } from '../state.ts';
import { DAIF } from './process-state.ts';
import { EXCEPTION_REGISTERS, TRANSLATION_REGISTERS } from './registers/control.ts';
import { HYPERVISOR_REGISTERS } from './registers/hypervisor.ts';
import type { StorageRegister } from './registers/row.ts';
import { DATA_ABORT, EXCEPTION_CLASS, FAULT, syndrome } from './syndrome.ts';

/** A synchronous exception that a CPU keeps until it is delivered. */
export interface SynchronousException {
  /** ESR_ELx.EC for an exception taken to the level it came from; aborts and debug exceptions from lower levels have one less. */
  readonly exceptionClass: number;
  readonly iss: number;
  /** FAR_ELx. */
  readonly faultAddress?: bigint;
  /** An alignment fault: the SP alignment fault when the instruction accesses memory by SP, which is known at delivery. */
  readonly mayBeStack?: true;
  /** PSTATE.BTYPE when it is not the one with which the PC was reached: 0 behind the first instruction of a block. */
  readonly branchType?: BranchType;
}

/** What an exception uses at the level that it is taken to. */
interface LevelRegisters {
  readonly VBAR: StorageRegister;
  readonly SPSR: StorageRegister;
  readonly ELR: StorageRegister;
  readonly ESR: StorageRegister;
  readonly FAR: StorageRegister;
  readonly SCTLR: StorageRegister;
}

const EL1: LevelRegisters = {
  VBAR: EXCEPTION_REGISTERS.VBAR_EL1,
  SPSR: EXCEPTION_REGISTERS.SPSR_EL1,
  ELR: EXCEPTION_REGISTERS.ELR_EL1,
  ESR: EXCEPTION_REGISTERS.ESR_EL1,
  FAR: EXCEPTION_REGISTERS.FAR_EL1,
  SCTLR: TRANSLATION_REGISTERS.SCTLR_EL1,
};

const EL2: LevelRegisters = {
  VBAR: HYPERVISOR_REGISTERS.VBAR_EL2,
  SPSR: HYPERVISOR_REGISTERS.SPSR_EL2,
  ELR: HYPERVISOR_REGISTERS.ELR_EL2,
  ESR: HYPERVISOR_REGISTERS.ESR_EL2,
  FAR: HYPERVISOR_REGISTERS.FAR_EL2,
  SCTLR: HYPERVISOR_REGISTERS.SCTLR_EL2,
};

/** Offsets from VBAR_ELx by what happened … */
export const VECTOR = { SYNCHRONOUS: 0x000, IRQ: 0x080, FIQ: 0x100, SERROR: 0x180 } as const;
/** … and by where it came from. */
const FROM = { CURRENT_SP0: 0x000, CURRENT_SPX: 0x200, LOWER_A64: 0x400 } as const;

/** HCR_EL2. */
export const HCR = {
  FMO: 1n << 3n,
  IMO: 1n << 4n,
  AMO: 1n << 5n,
  TWI: 1n << 13n,
  TWE: 1n << 14n,
  TGE: 1n << 27n,
} as const;

const SCTLR_SPAN = 1n << 23n;
const SCTLR_DSSBS = 1n << 44n;
const SPSR_SS = 1 << 21;
const MONITOR_OPEN = 0xffff_ffff_ffff_ffffn;

/** Classes that come in pairs: the even one for exceptions from a lower level, the next for the same level. */
const PAIRED: ReadonlySet<number> = new Set([
  EXCEPTION_CLASS.INSTRUCTION_ABORT_SAME,
  EXCEPTION_CLASS.DATA_ABORT_SAME,
  EXCEPTION_CLASS.BREAKPOINT_SAME,
  EXCEPTION_CLASS.SOFTWARE_STEP_SAME,
  EXCEPTION_CLASS.WATCHPOINT_SAME,
]);

function levelRegisters(level: 1 | 2): LevelRegisters {
  return level === 1 ? EL1 : EL2;
}

/** Level that takes synchronous exceptions which EL2 does not trap. */
export function synchronousTarget(cpu: A64Cpu): 1 | 2 {
  const level = cpu.exceptionLevel;
  if (level === 2) return 2;
  return level === 0 && cpu.hypervisorControl(HCR.TGE) ? 2 : 1;
}

/** Takes a synchronous exception. @param returnAddress ELR_ELx */
export function takeSynchronous(
  cpu: A64Cpu,
  exception: SynchronousException,
  returnAddress: bigint,
  target: 1 | 2 = synchronousTarget(cpu),
): void {
  const { exceptionClass, iss, faultAddress } = exception;
  const fromLower = target > cpu.exceptionLevel && PAIRED.has(exceptionClass);
  const registers = levelRegisters(target);
  cpu.write(registers.ESR, syndrome(fromLower ? exceptionClass - 1 : exceptionClass, iss));
  if (faultAddress !== undefined) cpu.write(registers.FAR, faultAddress);
  enter(cpu, target, VECTOR.SYNCHRONOUS, returnAddress, exception.branchType ?? cpu.branchType);
}

/** Takes an interrupt or SError at the instruction boundary where the CPU stands. */
export function takeAsynchronous(cpu: A64Cpu, vector: number, target: 1 | 2): void {
  if (vector === VECTOR.SERROR) cpu.write(levelRegisters(target).ESR, syndrome(EXCEPTION_CLASS.SERROR, 0));
  enter(cpu, target, vector, cpu.engine.pc, cpu.branchType);
}

function enter(cpu: A64Cpu, target: 1 | 2, vector: number, returnAddress: bigint, branchType: BranchType): void {
  const { process } = cpu;
  const { VBAR, SPSR, ELR, SCTLR } = levelRegisters(target);
  const from =
    process.exceptionLevel < target ? FROM.LOWER_A64 : process.field('SP') ? FROM.CURRENT_SPX : FROM.CURRENT_SP0;
  const stepped = cpu.takeSteppedInstruction() === returnAddress ? SPSR_SS : 0;
  cpu.write(SPSR, BigInt((process.saved(branchType) | stepped) >>> 0));
  cpu.write(ELR, returnAddress);
  process.enter(target);
  const control = cpu.read(SCTLR);
  if (cpu.features.has('FEAT_PAN') && target === 1 && (control & SCTLR_SPAN) === 0n) process.setField('PAN', 1);
  if (cpu.features.has('FEAT_SSBS')) process.setField('SSBS', (control & SCTLR_DSSBS) === 0n ? 0 : 1);
  cpu.engine.pc = BigInt.asUintN(64, cpu.read(VBAR) + BigInt(vector + from));
  cpu.contextChanged();
}

/** ERET to an address. An illegal return raises the Illegal Execution state exception at the address that it returns to. */
export function exceptionReturn(cpu: A64Cpu, target: bigint): void {
  const { process } = cpu;
  const { SPSR } = levelRegisters(process.exceptionLevel === 2 ? 2 : 1);
  const spsr = Number(cpu.read(SPSR) & 0xffff_ffffn) | 0;
  cpu.registers.set64(A64_STATE.exclusiveAddress, MONITOR_OPEN);
  cpu.signalEvent();
  const isLegal = isLegalReturn(cpu, spsr);
  if (isLegal) {
    const wasStepping = cpu.debug.isStepping;
    process.restore(spsr);
    process.setField('SS', !wasStepping && cpu.debug.isStepping ? (spsr >>> 21) & 1 : 0);
  } else {
    process.restoreIllegal(spsr);
  }
  cpu.branchTo(target, process.branchTypeOf(spsr));
  cpu.contextChanged();
  if (isLegal) cpu.interruptsUnmasked();
  else takeSynchronous(cpu, { exceptionClass: EXCEPTION_CLASS.ILLEGAL_STATE, iss: 0 }, cpu.engine.pc);
}

function isLegalReturn(cpu: A64Cpu, spsr: number): boolean {
  const { process, configuration } = cpu;
  if (!process.isLegal(spsr)) return false;
  const level = process.levelOf(spsr);
  if (level > process.exceptionLevel || (level === 2 && !configuration.hasEl2)) return false;
  return level !== 1 || !cpu.hypervisorControl(HCR.TGE);
}

/** An interrupt that could be taken now. */
interface Takeable {
  readonly vector: number;
  readonly target: 1 | 2;
}

/** Where an asserted interrupt goes now; `undefined` while it is masked. @param route HCR_EL2 bit that sends it to EL2 */
function route(cpu: A64Cpu, vector: number, mask: number, routeBit: bigint): Takeable | undefined {
  const level = cpu.exceptionLevel;
  const toEl2 = cpu.hypervisorControl(routeBit | HCR.TGE);
  const target = toEl2 ? 2 : 1;
  if (target < level) return undefined;
  const isMasked = (cpu.process.daif & mask) !== 0 && !(target === 2 && level < 2);
  return isMasked ? undefined : { vector, target };
}

/** The interrupt to take before the next instruction, if any. */
export function takeableInterrupt(cpu: A64Cpu): Takeable | undefined {
  const { serror, irq, fiq } = cpu.lines;
  return (
    (serror ? route(cpu, VECTOR.SERROR, DAIF.A, HCR.AMO) : undefined) ??
    (fiq ? route(cpu, VECTOR.FIQ, DAIF.F, HCR.FMO) : undefined) ??
    (irq ? route(cpu, VECTOR.IRQ, DAIF.I, HCR.IMO) : undefined)
  );
}

/** An instruction or data abort. @param status fault status code */
export function abort(kind: 'read' | 'write' | 'execute', status: number, faultAddress: bigint): SynchronousException {
  if (kind === 'execute') return { exceptionClass: EXCEPTION_CLASS.INSTRUCTION_ABORT_SAME, iss: status, faultAddress };
  const iss = status | (kind === 'write' ? DATA_ABORT.WnR : 0);
  return { exceptionClass: EXCEPTION_CLASS.DATA_ABORT_SAME, iss, faultAddress };
}

/** ISS of the software step exception: ISV, and EX for a load-exclusive. */
const STEP = { ISV: 1 << 24, EX: 1 << 6 } as const;

/**
 * The software step exception.
 * @param hasStepped an instruction was executed since stepping began
 * @param loadedExclusively that was a load-exclusive: its store-exclusive is to be in the same step
 */
export function softwareStepException(hasStepped: boolean, loadedExclusively: boolean): SynchronousException {
  const step = hasStepped ? STEP.ISV | (loadedExclusively ? STEP.EX : 0) : 0;
  return { exceptionClass: EXCEPTION_CLASS.SOFTWARE_STEP_SAME, iss: FAULT.DEBUG | step };
}
