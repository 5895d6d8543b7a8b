/**
 * Encodings of scalar floating point.
 *
 * Source: Arm ARM DDI 0487 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type { Encodings } from '../instruction.ts';

/** Floating-point data-processing (1 source). */
export const FP_ONE_SOURCE = {
  'FMOV (register)': '00011110 ftype:2 1 000000 10000 rn:5 rd:5',
  'FABS (scalar)': '00011110 ftype:2 1 000001 10000 rn:5 rd:5',
  'FNEG (scalar)': '00011110 ftype:2 1 000010 10000 rn:5 rd:5',
  'FSQRT (scalar)': '00011110 ftype:2 1 000011 10000 rn:5 rd:5',
  FCVT: '00011110 ftype:2 1 0001 opc:2 10000 rn:5 rd:5',
  'FRINTN (scalar)': '00011110 ftype:2 1 001000 10000 rn:5 rd:5',
  'FRINTP (scalar)': '00011110 ftype:2 1 001001 10000 rn:5 rd:5',
  'FRINTM (scalar)': '00011110 ftype:2 1 001010 10000 rn:5 rd:5',
  'FRINTZ (scalar)': '00011110 ftype:2 1 001011 10000 rn:5 rd:5',
  'FRINTA (scalar)': '00011110 ftype:2 1 001100 10000 rn:5 rd:5',
  'FRINTX (scalar)': '00011110 ftype:2 1 001110 10000 rn:5 rd:5',
  'FRINTI (scalar)': '00011110 ftype:2 1 001111 10000 rn:5 rd:5',
} as const satisfies Encodings;

/** Floating-point data-processing (1 source), rounding to a given width. Feature: FEAT_FRINTTS. */
export const FP_ROUND_WITHIN = {
  'FRINT32Z (scalar)': '00011110 ftype:2 1 010000 10000 rn:5 rd:5',
  'FRINT32X (scalar)': '00011110 ftype:2 1 010001 10000 rn:5 rd:5',
  'FRINT64Z (scalar)': '00011110 ftype:2 1 010010 10000 rn:5 rd:5',
  'FRINT64X (scalar)': '00011110 ftype:2 1 010011 10000 rn:5 rd:5',
} as const satisfies Encodings;

/** Floating-point data-processing (2 source). */
export const FP_TWO_SOURCES = {
  'FMUL (scalar)': '00011110 ftype:2 1 rm:5 0000 10 rn:5 rd:5',
  'FDIV (scalar)': '00011110 ftype:2 1 rm:5 0001 10 rn:5 rd:5',
  'FADD (scalar)': '00011110 ftype:2 1 rm:5 0010 10 rn:5 rd:5',
  'FSUB (scalar)': '00011110 ftype:2 1 rm:5 0011 10 rn:5 rd:5',
  'FMAX (scalar)': '00011110 ftype:2 1 rm:5 0100 10 rn:5 rd:5',
  'FMIN (scalar)': '00011110 ftype:2 1 rm:5 0101 10 rn:5 rd:5',
  'FMAXNM (scalar)': '00011110 ftype:2 1 rm:5 0110 10 rn:5 rd:5',
  'FMINNM (scalar)': '00011110 ftype:2 1 rm:5 0111 10 rn:5 rd:5',
  'FNMUL (scalar)': '00011110 ftype:2 1 rm:5 1000 10 rn:5 rd:5',
} as const satisfies Encodings;

/** Floating-point data-processing (3 source). */
export const FP_THREE_SOURCES = {
  FMADD: '00011111 ftype:2 0 rm:5 0 ra:5 rn:5 rd:5',
  FMSUB: '00011111 ftype:2 0 rm:5 1 ra:5 rn:5 rd:5',
  FNMADD: '00011111 ftype:2 1 rm:5 0 ra:5 rn:5 rd:5',
  FNMSUB: '00011111 ftype:2 1 rm:5 1 ra:5 rn:5 rd:5',
} as const satisfies Encodings;

/** Floating-point compare, conditional compare, conditional select, immediate. */
export const FP_COMPARE_SELECT = {
  FCMP: '00011110 ftype:2 1 rm:5 00 1000 rn:5 00000',
  'FCMP (zero)': '00011110 ftype:2 1 rm:5 00 1000 rn:5 01000',
  FCMPE: '00011110 ftype:2 1 rm:5 00 1000 rn:5 10000',
  'FCMPE (zero)': '00011110 ftype:2 1 rm:5 00 1000 rn:5 11000',
  FCCMP: '00011110 ftype:2 1 rm:5 cond:4 01 rn:5 0 nzcv:4',
  FCCMPE: '00011110 ftype:2 1 rm:5 cond:4 01 rn:5 1 nzcv:4',
  FCSEL: '00011110 ftype:2 1 rm:5 cond:4 11 rn:5 rd:5',
  'FMOV (scalar, immediate)': '00011110 ftype:2 1 imm8:8 100 00000 rd:5',
} as const satisfies Encodings;

/** Conversion between floating-point and integer. */
export const FP_INTEGER = {
  'FCVTNS (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 00 000 000000 rn:5 rd:5',
  'FCVTNU (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 00 001 000000 rn:5 rd:5',
  'FCVTPS (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 01 000 000000 rn:5 rd:5',
  'FCVTPU (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 01 001 000000 rn:5 rd:5',
  'FCVTMS (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 10 000 000000 rn:5 rd:5',
  'FCVTMU (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 10 001 000000 rn:5 rd:5',
  'FCVTZS (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 11 000 000000 rn:5 rd:5',
  'FCVTZU (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 11 001 000000 rn:5 rd:5',
  'FCVTAS (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 00 100 000000 rn:5 rd:5',
  'FCVTAU (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 00 101 000000 rn:5 rd:5',
  'SCVTF (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 00 010 000000 rn:5 rd:5',
  'UCVTF (scalar, integer)': 'sf:1 0 0 11110 ftype:2 1 00 011 000000 rn:5 rd:5',
  'FMOV (general, from FP)': 'sf:1 0 0 11110 ftype:2 1 00 110 000000 rn:5 rd:5',
  'FMOV (general, to FP)': 'sf:1 0 0 11110 ftype:2 1 00 111 000000 rn:5 rd:5',
  'FMOV (general, from upper half)': '1 0 0 11110 10 1 01 110 000000 rn:5 rd:5',
  'FMOV (general, to upper half)': '1 0 0 11110 10 1 01 111 000000 rn:5 rd:5',
} as const satisfies Encodings;

/** Conversion of JavaScript. Feature: FEAT_JSCVT. */
export const FP_JAVASCRIPT = {
  FJCVTZS: '0 0 0 11110 01 1 11 110 000000 rn:5 rd:5',
} as const satisfies Encodings;

/** Conversion between floating-point and fixed-point. */
export const FP_FIXED = {
  'SCVTF (scalar, fixed-point)': 'sf:1 0 0 11110 ftype:2 0 00 010 scale:6 rn:5 rd:5',
  'UCVTF (scalar, fixed-point)': 'sf:1 0 0 11110 ftype:2 0 00 011 scale:6 rn:5 rd:5',
  'FCVTZS (scalar, fixed-point)': 'sf:1 0 0 11110 ftype:2 0 11 000 scale:6 rn:5 rd:5',
  'FCVTZU (scalar, fixed-point)': 'sf:1 0 0 11110 ftype:2 0 11 001 scale:6 rn:5 rd:5',
} as const satisfies Encodings;
