/**
 * PSTATE and the banked stack pointers of one CPU.
 *
 * Source: Arm ARM DDI 0487 "Process state, PSTATE", "SPSR_EL1, Saved Program Status Register (EL1)".
 */
import type { BranchType } from '../branch-target.ts';
import type { A64Features } from '../features.ts';
import { A64_STATE } from '../state.ts';
import type { RegisterFile } from './register-file.ts';
import type { ExceptionLevel } from './registers/row.ts';

/** PSTATE fields of one bit, by their bit in SPSR_ELx. */
const FIELD_BIT = { SP: 0, SSBS: 12, IL: 20, SS: 21, PAN: 22, UAO: 23, DIT: 24 } as const;

export type PstateField = keyof typeof FIELD_BIT;

/** Bits of SPSR_ELx that no field name covers. */
const SPSR = {
  /** M[4]: AArch32. */
  M4: 1 << 4,
  /** M[1] is reserved in AArch64. */
  M1: 1 << 1,
  EL_SHIFT: 2,
  /** EL and SP. */
  MODE: 0b1101,
  DAIF: 0xf << 6,
  BTYPE_SHIFT: 10,
  NZCV: 0xf << 28,
} as const;

const ALL_MASKED = SPSR.DAIF;
/** PSTATE.F, I, A and D in `daif`. */
export const DAIF = { F: 1 << 6, I: 1 << 7, A: 1 << 8, D: 1 << 9 } as const;

function fieldMask(field: PstateField): number {
  return 1 << FIELD_BIT[field];
}

/** Which bits of SPSR_ELx the CPU's features give a meaning, EL, SP and DAIF and flags apart. */
function implementedFields(features: A64Features): number {
  let mask = fieldMask('IL') | fieldMask('SS');
  if (features.has('FEAT_SSBS')) mask |= fieldMask('SSBS');
  if (features.has('FEAT_PAN')) mask |= fieldMask('PAN');
  if (features.has('FEAT_UAO')) mask |= fieldMask('UAO');
  if (features.has('FEAT_DIT')) mask |= fieldMask('DIT');
  return mask;
}

/** PSTATE of one CPU. */
export class ProcessState {
  readonly #registers: RegisterFile;
  readonly #implemented: number;

  constructor(registers: RegisterFile, features: A64Features) {
    this.#registers = registers;
    this.#implemented = implementedFields(features);
  }

  get exceptionLevel(): ExceptionLevel {
    return ((this.#bits >> SPSR.EL_SHIFT) & 3) as ExceptionLevel;
  }

  field(name: PstateField): 0 | 1 {
    return ((this.#bits >> FIELD_BIT[name]) & 1) as 0 | 1;
  }

  /** Sets a field other than SP. */
  setField(name: Exclude<PstateField, 'SP'>, value: number): void {
    const mask = fieldMask(name);
    this.#bits = value === 0 ? this.#bits & ~mask : this.#bits | mask;
  }

  /** D, A, I and F in place. */
  get daif(): number {
    return this.#registers.get32(A64_STATE.daif);
  }
  set daif(value: number) {
    this.#registers.set32(A64_STATE.daif, value & SPSR.DAIF);
  }

  /** N, Z, C and V in bits 31 to 28. */
  get conditionFlags(): number {
    const registers = this.#registers;
    const n = registers.getHigh(A64_STATE.nf) < 0 ? 8 : 0;
    const z = registers.get64(A64_STATE.zf) === 0n ? 4 : 0;
    const c = registers.get32(A64_STATE.cf) === 0 ? 0 : 2;
    const v = registers.getHigh(A64_STATE.vf) < 0 ? 1 : 0;
    return (n | z | c | v) << 28;
  }
  set conditionFlags(value: number) {
    const flags = value >>> 28;
    const registers = this.#registers;
    const sign = 1n << 63n;
    registers.set64(A64_STATE.nf, (flags & 8) === 0 ? 0n : sign);
    registers.set64(A64_STATE.zf, (flags & 4) === 0 ? 1n : 0n);
    registers.set32(A64_STATE.cf, (flags >> 1) & 1);
    registers.set64(A64_STATE.vf, (flags & 1) === 0 ? 0n : sign);
  }

  /** SP_EL0 to SP_EL2, current or not. */
  stackPointer(level: ExceptionLevel): bigint {
    return this.#registers.get64(level === this.#stackLevel ? A64_STATE.sp : A64_STATE.sp_el[level]!);
  }
  setStackPointer(level: ExceptionLevel, value: bigint): void {
    this.#registers.set64(level === this.#stackLevel ? A64_STATE.sp : A64_STATE.sp_el[level]!, value);
  }

  /** PSTATE in the form of SPSR_ELx. BTYPE is the PC's: see `branch-target.ts`. */
  saved(branchType: BranchType = 0): number {
    return this.conditionFlags | this.daif | this.#bits | (branchType << SPSR.BTYPE_SHIFT);
  }

  /** PSTATE.BTYPE to which SPSR_ELx returns. */
  branchTypeOf(spsr: number): BranchType {
    return ((spsr >> SPSR.BTYPE_SHIFT) & 3) as BranchType;
  }

  /** Whether SPSR_ELx asks for a mode that exists, AArch64 state and a stack pointer that the level has. */
  isLegal(spsr: number): boolean {
    if ((spsr & (SPSR.M4 | SPSR.M1)) !== 0) return false;
    const level = (spsr >> SPSR.EL_SHIFT) & 3;
    return level < 3 && (level > 0 || (spsr & fieldMask('SP')) === 0);
  }

  /** Level to which SPSR_ELx returns. */
  levelOf(spsr: number): number {
    return (spsr >> SPSR.EL_SHIFT) & 3;
  }

  /** Takes PSTATE from SPSR_ELx. */
  restore(spsr: number): void {
    this.#switch((spsr & this.#implemented) | (spsr & SPSR.MODE));
    this.daif = spsr;
    this.conditionFlags = spsr;
  }

  /** Takes the flags and masks of SPSR_ELx, but neither level nor stack pointer, and sets IL: an illegal return. */
  restoreIllegal(spsr: number): void {
    const kept = this.#bits & SPSR.MODE;
    this.#switch((spsr & this.#implemented) | kept | fieldMask('IL'));
    this.daif = spsr;
    this.conditionFlags = spsr;
  }

  /** Takes PSTATE for an exception at `level`: handler stack, everything masked. PAN, DIT and SSBS are as before. */
  enter(level: ExceptionLevel): void {
    const kept = this.#bits & (fieldMask('PAN') | fieldMask('DIT') | fieldMask('SSBS'));
    this.#switch(kept | (level << SPSR.EL_SHIFT) | fieldMask('SP'));
    this.daif = ALL_MASKED;
  }

  /** PSTATE out of reset. */
  reset(level: ExceptionLevel): void {
    this.#bits = (level << SPSR.EL_SHIFT) | fieldMask('SP');
    this.daif = ALL_MASKED;
    this.conditionFlags = 0;
  }

  /** PSTATE.SP. */
  selectStackPointer(selected: number): void {
    const mask = fieldMask('SP');
    this.#switch(selected === 0 ? this.#bits & ~mask : this.#bits | mask);
  }

  get #bits(): number {
    return this.#registers.get32(A64_STATE.pstate);
  }
  set #bits(value: number) {
    this.#registers.set32(A64_STATE.pstate, value);
  }

  get #stackLevel(): number {
    return this.field('SP') === 0 ? 0 : this.exceptionLevel;
  }

  /** Changes the level and the selected stack pointer: parks the current one and fetches the other. */
  #switch(bits: number): void {
    const registers = this.#registers;
    const before = this.#stackLevel;
    this.#bits = bits;
    const after = this.#stackLevel;
    if (before === after) return;
    registers.set64(A64_STATE.sp_el[before]!, registers.get64(A64_STATE.sp));
    registers.set64(A64_STATE.sp, registers.get64(A64_STATE.sp_el[after]!));
  }
}
