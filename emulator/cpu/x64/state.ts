/**
 * Where the x86_64 registers live in a CPU state block.
 *
 * The status flags are kept unpacked, in three words that an operation has at hand: its result, sign-extended (SF is its sign, PF the
 * parity of its low byte, ZF is set when it is 0); `carry`, whose bit 0 is CF, and whose bit 1 turns ZF round; and `chain`, operands and
 * result exclusive-ored: the carries into each bit, so that AF is bit 4, and OF is the sign bit exclusive-or CF. Five flags of a
 * subtraction are three operations; a kernel boot evaluates a sixth fewer of them than with a word for each flag.
 */
import { CPU_STATE } from '../execute/cpu-state.ts';
import { type StateField, StateLayout } from '../ir/state-field.ts';

const layout = new StateLayout(CPU_STATE.guest);

/** Numbers of the general registers in encodings. */
export const GPR = { AX: 0, CX: 1, DX: 2, BX: 3, SP: 4, BP: 5, SI: 6, DI: 7 } as const;

/** Numbers of the segment registers in encodings; the two system segments follow. */
export const SEGMENT = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** A segment register with its hidden part. */
export interface SegmentFields {
  readonly selector: StateField<'i32'>;
  readonly base: StateField<'i64'>;
  /** In bytes: the last valid offset. */
  readonly limit: StateField<'i32'>;
  /** Bits 8 to 23 of the descriptor's second word, at their place; 0 is a null selector. */
  readonly attributes: StateField<'i32'>;
}

function segment(name: string): SegmentFields {
  return {
    selector: layout.system(name, 'i32'),
    base: layout.system(`${name}_base`, 'i64'),
    limit: layout.system(`${name}_limit`, 'i32'),
    attributes: layout.system(`${name}_attributes`, 'i32'),
  };
}

/** Fields of the x86_64 CPU state by name. */
export const X64_STATE = {
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. */
  r: layout.registers('r', 'i64', 16),
  flagResult: layout.register('flag_result', 'i64'),
  flagCarry: layout.register('flag_carry', 'i32'),
  flagChain: layout.register('flag_chain', 'i64'),
  /** XMM0 to XMM15: the low halves of YMM0 to YMM15. */
  xmm: layout.registers('xmm', 'v128', 16),
  /** The high halves of YMM0 to YMM15. */
  ymmHigh: layout.registers('ymm_high', 'v128', 16),
  /** EFLAGS without the status flags: TF, IF, DF, IOPL, NT, RF, VM, AC, VIF, VIP, ID at their places, bit 1 clear. */
  eflags: layout.system('eflags', 'i32'),
  /** ES, CS, SS, DS, FS, GS, LDTR, TR. */
  segments: ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'].map(segment),
  MXCSR: layout.system('mxcsr', 'i32'),
  /** Operands and result of vector helpers, which take no vectors as arguments. */
  vectorA: layout.system('vector_a', 'v128'),
  vectorB: layout.system('vector_b', 'v128'),
  vectorC: layout.system('vector_c', 'v128'),
  vectorResult: layout.system('vector_result', 'v128'),
  /** Significands of the physical x87 registers R0 to R7: MM0 to MM7. */
  significand: Array.from({ length: 8 }, (_, i) => layout.system(`mm${i}`, 'i64')),
  /** Sign and exponent (16 bits) of the physical x87 registers. */
  exponent: Array.from({ length: 8 }, (_, i) => layout.system(`x87_exponent${i}`, 'i32')),
  FCW: layout.system('fcw', 'i32'),
  /** x87 status word without TOP. */
  FSW: layout.system('fsw', 'i32'),
  /** FSW.TOP. */
  TOP: layout.system('x87_top', 'i32'),
  /** Bit n is set when physical register n is empty. */
  emptyTags: layout.system('x87_empty', 'i32'),
  /** Last x87 opcode (11 bits), instruction pointer and data pointer. */
  FOP: layout.system('x87_fop', 'i32'),
  FIP: layout.system('x87_fip', 'i64'),
  FDP: layout.system('x87_fdp', 'i64'),
  TSC_AUX: layout.system('tsc_aux', 'i32'),
  /** Time-stamp counter less retired instructions: constant while the CPU runs. */
  tscOffset: layout.system('tsc_offset', 'i64'),
} as const;

/** The layout itself. */
export const X64_LAYOUT: StateLayout = layout;

/** Bits of EFLAGS. Source: Intel SDM vol. 1 "EFLAGS Register". */
export const EFLAGS = {
  CF: 1 << 0,
  FIXED: 1 << 1,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;

/** The flags that arithmetic sets. */
export const STATUS_FLAGS = EFLAGS.CF | EFLAGS.PF | EFLAGS.AF | EFLAGS.ZF | EFLAGS.SF | EFLAGS.OF;
