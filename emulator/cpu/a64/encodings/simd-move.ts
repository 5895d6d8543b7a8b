/**
 * Encodings of the Advanced SIMD instructions that move lanes: copies, permutations, immediates.
 *
 * Source: Arm ARM DDI 0487 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type { Encodings } from '../instruction.ts';

/** Advanced SIMD copy. */
export const SIMD_COPY = {
  'DUP (element, vector)': '0 q:1 0 01110000 imm5:5 0 0000 1 rn:5 rd:5',
  'DUP (element, scalar)': '01 0 11110000 imm5:5 0 0000 1 rn:5 rd:5',
  'DUP (general)': '0 q:1 0 01110000 imm5:5 0 0001 1 rn:5 rd:5',
  'INS (general)': '0 1 0 01110000 imm5:5 0 0011 1 rn:5 rd:5',
  SMOV: '0 q:1 0 01110000 imm5:5 0 0101 1 rn:5 rd:5',
  UMOV: '0 q:1 0 01110000 imm5:5 0 0111 1 rn:5 rd:5',
  'INS (element)': '0 1 1 01110000 imm5:5 0 imm4:4 1 rn:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD permute, extract and table look-up. */
export const SIMD_PERMUTE = {
  UZP1: '0 q:1 001110 size:2 0 rm:5 0 001 10 rn:5 rd:5',
  TRN1: '0 q:1 001110 size:2 0 rm:5 0 010 10 rn:5 rd:5',
  ZIP1: '0 q:1 001110 size:2 0 rm:5 0 011 10 rn:5 rd:5',
  UZP2: '0 q:1 001110 size:2 0 rm:5 0 101 10 rn:5 rd:5',
  TRN2: '0 q:1 001110 size:2 0 rm:5 0 110 10 rn:5 rd:5',
  ZIP2: '0 q:1 001110 size:2 0 rm:5 0 111 10 rn:5 rd:5',
  EXT: '0 q:1 101110 00 0 rm:5 0 imm4:4 0 rn:5 rd:5',
  TBL: '0 q:1 001110 00 0 rm:5 0 len:2 0 00 rn:5 rd:5',
  TBX: '0 q:1 001110 00 0 rm:5 0 len:2 1 00 rn:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD modified immediate, where cmode looks like the opcode of a shift by immediate. */
export const SIMD_MODIFIED_IMMEDIATE = {
  'MOVI (32-bit shifted)': '0 q:1 0 0111100000 abc:3 0 shift:2 0 0 1 defgh:5 rd:5',
  'ORR (vector, immediate, 32-bit)': '0 q:1 0 0111100000 abc:3 0 shift:2 1 0 1 defgh:5 rd:5',
  'MOVI (16-bit shifted)': '0 q:1 0 0111100000 abc:3 10 shift:1 0 0 1 defgh:5 rd:5',
  'ORR (vector, immediate, 16-bit)': '0 q:1 0 0111100000 abc:3 10 shift:1 1 0 1 defgh:5 rd:5',
  'MVNI (32-bit shifted)': '0 q:1 1 0111100000 abc:3 0 shift:2 0 0 1 defgh:5 rd:5',
  'BIC (vector, immediate, 32-bit)': '0 q:1 1 0111100000 abc:3 0 shift:2 1 0 1 defgh:5 rd:5',
  'MVNI (16-bit shifted)': '0 q:1 1 0111100000 abc:3 10 shift:1 0 0 1 defgh:5 rd:5',
  'BIC (vector, immediate, 16-bit)': '0 q:1 1 0111100000 abc:3 10 shift:1 1 0 1 defgh:5 rd:5',
  'MOVI (8-bit)': '0 q:1 0 0111100000 abc:3 1110 0 1 defgh:5 rd:5',
  'MOVI (64-bit)': '0 q:1 1 0111100000 abc:3 1110 0 1 defgh:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD modified immediate, the others. */
export const SIMD_MODIFIED_IMMEDIATE_UNSHARED = {
  'MOVI (shifting ones)': '0 q:1 0 0111100000 abc:3 110 shift:1 0 1 defgh:5 rd:5',
  'MVNI (shifting ones)': '0 q:1 1 0111100000 abc:3 110 shift:1 0 1 defgh:5 rd:5',
  'FMOV (vector, immediate, single)': '0 q:1 0 0111100000 abc:3 1111 0 1 defgh:5 rd:5',
  'FMOV (vector, immediate, double)': '0 1 1 0111100000 abc:3 1111 0 1 defgh:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD modified immediate, half precision. Feature: FEAT_FP16. */
export const SIMD_MODIFIED_IMMEDIATE_HALF = {
  'FMOV (vector, immediate, half)': '0 q:1 0 0111100000 abc:3 1111 1 1 defgh:5 rd:5',
} as const satisfies Encodings;
