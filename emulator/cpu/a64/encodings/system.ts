/**
 * Encodings of hints, barriers, PSTATE and system register access in Arm ARM DDI 0487 "Branches, Exception Generating and System
 * instructions". Not modelled: WFET, WFIT (FEAT_WFxT).
 */
import type { Encodings } from '../instruction.ts';

/** All of hint space; unallocated hints execute as NOP. */
export const HINT = {
  HINT: '1101010100 0 00 011 0010 crm:4 op2:3 11111',
} as const satisfies Encodings;

export const HINTS = {
  YIELD: '1101010100 0 00 011 0010 0000 001 11111',
  WFE: '1101010100 0 00 011 0010 0000 010 11111',
  WFI: '1101010100 0 00 011 0010 0000 011 11111',
  SEV: '1101010100 0 00 011 0010 0000 100 11111',
  SEVL: '1101010100 0 00 011 0010 0000 101 11111',
  /** `target`: none, c, j, jc. A NOP without FEAT_BTI. */
  BTI: '1101010100 0 00 011 0010 0100 target:2 0 11111',
} as const satisfies Encodings;

export const BARRIERS = {
  CLREX: '1101010100 0 00 011 0011 crm:4 010 11111',
  DSB: '1101010100 0 00 011 0011 crm:4 100 11111',
  DMB: '1101010100 0 00 011 0011 crm:4 101 11111',
  ISB: '1101010100 0 00 011 0011 crm:4 110 11111',
  SB: '1101010100 0 00 011 0011 0000 111 11111',
} as const satisfies Encodings;

/** MSR (immediate): one row a PSTATE field. Not modelled: ALLINT, PM, SVCR. */
export const PSTATE_FIELDS = {
  'MSR UAO, #imm': '1101010100 0 00 000 0100 crm:4 011 11111',
  'MSR PAN, #imm': '1101010100 0 00 000 0100 crm:4 100 11111',
  'MSR SPSel, #imm': '1101010100 0 00 000 0100 crm:4 101 11111',
  'MSR SSBS, #imm': '1101010100 0 00 011 0100 crm:4 001 11111',
  'MSR DIT, #imm': '1101010100 0 00 011 0100 crm:4 010 11111',
  'MSR DAIFSet, #imm': '1101010100 0 00 011 0100 crm:4 110 11111',
  'MSR DAIFClr, #imm': '1101010100 0 00 011 0100 crm:4 111 11111',
} as const satisfies Encodings;

/** FEAT_FlagM, FEAT_FlagM2. */
export const PSTATE_FLAGS = {
  CFINV: '1101010100 0 00 000 0100 0000 000 11111',
  XAFLAG: '1101010100 0 00 000 0100 0000 001 11111',
  AXFLAG: '1101010100 0 00 000 0100 0000 010 11111',
} as const satisfies Encodings;

export const SYSTEM_REGISTERS = {
  'MSR (register)': '1101010100 0 1 o0:1 op1:3 crn:4 crm:4 op2:3 rt:5',
  MRS: '1101010100 1 1 o0:1 op1:3 crn:4 crm:4 op2:3 rt:5',
} as const satisfies Encodings;

export const PSTATE_REGISTERS = {
  'MSR NZCV': '1101010100 0 1 1 011 0100 0010 000 rt:5',
  'MRS NZCV': '1101010100 1 1 1 011 0100 0010 000 rt:5',
  'MSR DAIF': '1101010100 0 1 1 011 0100 0010 001 rt:5',
  'MRS DAIF': '1101010100 1 1 1 011 0100 0010 001 rt:5',
  'MRS CurrentEL': '1101010100 1 1 1 000 0100 0010 010 rt:5',
} as const satisfies Encodings;

/** Registers that trap as floating-point accesses do. */
export const FP_CONTROL_REGISTERS = {
  'MSR FPCR': '1101010100 0 1 1 011 0100 0100 000 rt:5',
  'MRS FPCR': '1101010100 1 1 1 011 0100 0100 000 rt:5',
  'MSR FPSR': '1101010100 0 1 1 011 0100 0100 001 rt:5',
  'MRS FPSR': '1101010100 1 1 1 011 0100 0100 001 rt:5',
} as const satisfies Encodings;

export const SYSTEM_INSTRUCTIONS = {
  SYS: '1101010100 0 01 op1:3 crn:4 crm:4 op2:3 rt:5',
  SYSL: '1101010100 1 01 op1:3 crn:4 crm:4 op2:3 rt:5',
} as const satisfies Encodings;

export const DC_ZVA = {
  'DC ZVA': '1101010100 0 01 011 0111 0100 001 rt:5',
} as const satisfies Encodings;
