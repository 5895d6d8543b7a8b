/** Encodings of Arm ARM DDI 0487 "Data Processing -- Register". Not modelled: FEAT_MTE's and FEAT_CSSC's. */
import type { Encodings } from '../instruction.ts';

export const LOGICAL_SHIFTED = {
  'AND (shifted register)': 'sf:1 00 01010 shift:2 0 rm:5 imm6:6 rn:5 rd:5',
  'BIC (shifted register)': 'sf:1 00 01010 shift:2 1 rm:5 imm6:6 rn:5 rd:5',
  'ORR (shifted register)': 'sf:1 01 01010 shift:2 0 rm:5 imm6:6 rn:5 rd:5',
  'ORN (shifted register)': 'sf:1 01 01010 shift:2 1 rm:5 imm6:6 rn:5 rd:5',
  'EOR (shifted register)': 'sf:1 10 01010 shift:2 0 rm:5 imm6:6 rn:5 rd:5',
  'EON (shifted register)': 'sf:1 10 01010 shift:2 1 rm:5 imm6:6 rn:5 rd:5',
  'ANDS (shifted register)': 'sf:1 11 01010 shift:2 0 rm:5 imm6:6 rn:5 rd:5',
  'BICS (shifted register)': 'sf:1 11 01010 shift:2 1 rm:5 imm6:6 rn:5 rd:5',
} as const satisfies Encodings;

export const ADD_SUB_SHIFTED = {
  'ADD (shifted register)': 'sf:1 0 0 01011 shift:2 0 rm:5 imm6:6 rn:5 rd:5',
  'ADDS (shifted register)': 'sf:1 0 1 01011 shift:2 0 rm:5 imm6:6 rn:5 rd:5',
  'SUB (shifted register)': 'sf:1 1 0 01011 shift:2 0 rm:5 imm6:6 rn:5 rd:5',
  'SUBS (shifted register)': 'sf:1 1 1 01011 shift:2 0 rm:5 imm6:6 rn:5 rd:5',
} as const satisfies Encodings;

export const ADD_SUB_EXTENDED = {
  'ADD (extended register)': 'sf:1 0 0 01011 00 1 rm:5 option:3 imm3:3 rn:5 rd:5',
  'ADDS (extended register)': 'sf:1 0 1 01011 00 1 rm:5 option:3 imm3:3 rn:5 rd:5',
  'SUB (extended register)': 'sf:1 1 0 01011 00 1 rm:5 option:3 imm3:3 rn:5 rd:5',
  'SUBS (extended register)': 'sf:1 1 1 01011 00 1 rm:5 option:3 imm3:3 rn:5 rd:5',
} as const satisfies Encodings;

export const ADD_SUB_CARRY = {
  ADC: 'sf:1 0 0 11010000 rm:5 000000 rn:5 rd:5',
  ADCS: 'sf:1 0 1 11010000 rm:5 000000 rn:5 rd:5',
  SBC: 'sf:1 1 0 11010000 rm:5 000000 rn:5 rd:5',
  SBCS: 'sf:1 1 1 11010000 rm:5 000000 rn:5 rd:5',
} as const satisfies Encodings;

/** FEAT_FlagM. */
export const FLAG_MANIPULATION = {
  RMIF: '1 0 1 11010000 imm6:6 00001 rn:5 0 mask:4',
  SETF8: '0 0 1 11010000 000000 0 0010 rn:5 0 1101',
  SETF16: '0 0 1 11010000 000000 1 0010 rn:5 0 1101',
} as const satisfies Encodings;

export const CONDITIONAL_COMPARE = {
  'CCMN (register)': 'sf:1 0 1 11010010 rm:5 cond:4 0 0 rn:5 0 nzcv:4',
  'CCMP (register)': 'sf:1 1 1 11010010 rm:5 cond:4 0 0 rn:5 0 nzcv:4',
  'CCMN (immediate)': 'sf:1 0 1 11010010 imm5:5 cond:4 1 0 rn:5 0 nzcv:4',
  'CCMP (immediate)': 'sf:1 1 1 11010010 imm5:5 cond:4 1 0 rn:5 0 nzcv:4',
} as const satisfies Encodings;

export const CONDITIONAL_SELECT = {
  CSEL: 'sf:1 0 0 11010100 rm:5 cond:4 0 0 rn:5 rd:5',
  CSINC: 'sf:1 0 0 11010100 rm:5 cond:4 0 1 rn:5 rd:5',
  CSINV: 'sf:1 1 0 11010100 rm:5 cond:4 0 0 rn:5 rd:5',
  CSNEG: 'sf:1 1 0 11010100 rm:5 cond:4 0 1 rn:5 rd:5',
} as const satisfies Encodings;

export const THREE_SOURCES = {
  MADD: 'sf:1 00 11011 000 rm:5 0 ra:5 rn:5 rd:5',
  MSUB: 'sf:1 00 11011 000 rm:5 1 ra:5 rn:5 rd:5',
  SMADDL: '1 00 11011 001 rm:5 0 ra:5 rn:5 rd:5',
  SMSUBL: '1 00 11011 001 rm:5 1 ra:5 rn:5 rd:5',
  UMADDL: '1 00 11011 101 rm:5 0 ra:5 rn:5 rd:5',
  UMSUBL: '1 00 11011 101 rm:5 1 ra:5 rn:5 rd:5',
  SMULH: '1 00 11011 010 rm:5 0 xxxxx rn:5 rd:5',
  UMULH: '1 00 11011 110 rm:5 0 xxxxx rn:5 rd:5',
} as const satisfies Encodings;

export const TWO_SOURCES = {
  UDIV: 'sf:1 0 0 11010110 rm:5 000010 rn:5 rd:5',
  SDIV: 'sf:1 0 0 11010110 rm:5 000011 rn:5 rd:5',
  LSLV: 'sf:1 0 0 11010110 rm:5 001000 rn:5 rd:5',
  LSRV: 'sf:1 0 0 11010110 rm:5 001001 rn:5 rd:5',
  ASRV: 'sf:1 0 0 11010110 rm:5 001010 rn:5 rd:5',
  RORV: 'sf:1 0 0 11010110 rm:5 001011 rn:5 rd:5',
} as const satisfies Encodings;

/** FEAT_CRC32. */
export const CRC32 = {
  CRC32B: '0 0 0 11010110 rm:5 010000 rn:5 rd:5',
  CRC32H: '0 0 0 11010110 rm:5 010001 rn:5 rd:5',
  CRC32W: '0 0 0 11010110 rm:5 010010 rn:5 rd:5',
  CRC32X: '1 0 0 11010110 rm:5 010011 rn:5 rd:5',
  CRC32CB: '0 0 0 11010110 rm:5 010100 rn:5 rd:5',
  CRC32CH: '0 0 0 11010110 rm:5 010101 rn:5 rd:5',
  CRC32CW: '0 0 0 11010110 rm:5 010110 rn:5 rd:5',
  CRC32CX: '1 0 0 11010110 rm:5 010111 rn:5 rd:5',
} as const satisfies Encodings;

export const ONE_SOURCE = {
  RBIT: 'sf:1 1 0 11010110 00000 000000 rn:5 rd:5',
  REV16: 'sf:1 1 0 11010110 00000 000001 rn:5 rd:5',
  'REV (32-bit)': '0 1 0 11010110 00000 000010 rn:5 rd:5',
  REV32: '1 1 0 11010110 00000 000010 rn:5 rd:5',
  'REV (64-bit)': '1 1 0 11010110 00000 000011 rn:5 rd:5',
  CLZ: 'sf:1 1 0 11010110 00000 000100 rn:5 rd:5',
  CLS: 'sf:1 1 0 11010110 00000 000101 rn:5 rd:5',
} as const satisfies Encodings;
