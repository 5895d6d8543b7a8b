/**
 * Encodings of vector floating point, and of the scalar forms that share its encodings ("scalar lane").
 *
 * Source: Arm ARM DDI 0487 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type { Encodings } from '../instruction.ts';

/** Advanced SIMD three same, single and double precision. */
export const FP_VECTOR_THREE_SAME = {
  'FMAXNM (vector)': '0 q:1 0 01110 0 sz:1 1 rm:5 11000 1 rn:5 rd:5',
  'FMINNM (vector)': '0 q:1 0 01110 1 sz:1 1 rm:5 11000 1 rn:5 rd:5',
  'FMLA (vector)': '0 q:1 0 01110 0 sz:1 1 rm:5 11001 1 rn:5 rd:5',
  'FMLS (vector)': '0 q:1 0 01110 1 sz:1 1 rm:5 11001 1 rn:5 rd:5',
  'FADD (vector)': '0 q:1 0 01110 0 sz:1 1 rm:5 11010 1 rn:5 rd:5',
  'FSUB (vector)': '0 q:1 0 01110 1 sz:1 1 rm:5 11010 1 rn:5 rd:5',
  'FMULX (vector)': '0 q:1 0 01110 0 sz:1 1 rm:5 11011 1 rn:5 rd:5',
  'FCMEQ (register, vector)': '0 q:1 0 01110 0 sz:1 1 rm:5 11100 1 rn:5 rd:5',
  'FMAX (vector)': '0 q:1 0 01110 0 sz:1 1 rm:5 11110 1 rn:5 rd:5',
  'FMIN (vector)': '0 q:1 0 01110 1 sz:1 1 rm:5 11110 1 rn:5 rd:5',
  'FRECPS (vector)': '0 q:1 0 01110 0 sz:1 1 rm:5 11111 1 rn:5 rd:5',
  'FRSQRTS (vector)': '0 q:1 0 01110 1 sz:1 1 rm:5 11111 1 rn:5 rd:5',
  'FMAXNMP (vector)': '0 q:1 1 01110 0 sz:1 1 rm:5 11000 1 rn:5 rd:5',
  'FMINNMP (vector)': '0 q:1 1 01110 1 sz:1 1 rm:5 11000 1 rn:5 rd:5',
  'FADDP (vector)': '0 q:1 1 01110 0 sz:1 1 rm:5 11010 1 rn:5 rd:5',
  'FABD (vector)': '0 q:1 1 01110 1 sz:1 1 rm:5 11010 1 rn:5 rd:5',
  'FMUL (vector)': '0 q:1 1 01110 0 sz:1 1 rm:5 11011 1 rn:5 rd:5',
  'FCMGE (register, vector)': '0 q:1 1 01110 0 sz:1 1 rm:5 11100 1 rn:5 rd:5',
  'FCMGT (register, vector)': '0 q:1 1 01110 1 sz:1 1 rm:5 11100 1 rn:5 rd:5',
  'FACGE (vector)': '0 q:1 1 01110 0 sz:1 1 rm:5 11101 1 rn:5 rd:5',
  'FACGT (vector)': '0 q:1 1 01110 1 sz:1 1 rm:5 11101 1 rn:5 rd:5',
  'FMAXP (vector)': '0 q:1 1 01110 0 sz:1 1 rm:5 11110 1 rn:5 rd:5',
  'FMINP (vector)': '0 q:1 1 01110 1 sz:1 1 rm:5 11110 1 rn:5 rd:5',
  'FDIV (vector)': '0 q:1 1 01110 0 sz:1 1 rm:5 11111 1 rn:5 rd:5',
} as const satisfies Encodings;

/** The same on the lowest lane. */
export const FP_LANE_THREE_SAME = {
  'FMULX (scalar lane)': '01 0 11110 0 sz:1 1 rm:5 11011 1 rn:5 rd:5',
  'FCMEQ (register, scalar lane)': '01 0 11110 0 sz:1 1 rm:5 11100 1 rn:5 rd:5',
  'FRECPS (scalar lane)': '01 0 11110 0 sz:1 1 rm:5 11111 1 rn:5 rd:5',
  'FRSQRTS (scalar lane)': '01 0 11110 1 sz:1 1 rm:5 11111 1 rn:5 rd:5',
  'FABD (scalar lane)': '01 1 11110 1 sz:1 1 rm:5 11010 1 rn:5 rd:5',
  'FCMGE (register, scalar lane)': '01 1 11110 0 sz:1 1 rm:5 11100 1 rn:5 rd:5',
  'FCMGT (register, scalar lane)': '01 1 11110 1 sz:1 1 rm:5 11100 1 rn:5 rd:5',
  'FACGE (scalar lane)': '01 1 11110 0 sz:1 1 rm:5 11101 1 rn:5 rd:5',
  'FACGT (scalar lane)': '01 1 11110 1 sz:1 1 rm:5 11101 1 rn:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD three same, half precision. Feature: FEAT_FP16. */
export const FP_VECTOR_THREE_SAME_HALF = {
  'FMAXNM (vector, half)': '0 q:1 0 01110 0 10 rm:5 00 000 1 rn:5 rd:5',
  'FMINNM (vector, half)': '0 q:1 0 01110 1 10 rm:5 00 000 1 rn:5 rd:5',
  'FMLA (vector, half)': '0 q:1 0 01110 0 10 rm:5 00 001 1 rn:5 rd:5',
  'FMLS (vector, half)': '0 q:1 0 01110 1 10 rm:5 00 001 1 rn:5 rd:5',
  'FADD (vector, half)': '0 q:1 0 01110 0 10 rm:5 00 010 1 rn:5 rd:5',
  'FSUB (vector, half)': '0 q:1 0 01110 1 10 rm:5 00 010 1 rn:5 rd:5',
  'FMULX (vector, half)': '0 q:1 0 01110 0 10 rm:5 00 011 1 rn:5 rd:5',
  'FCMEQ (register, vector, half)': '0 q:1 0 01110 0 10 rm:5 00 100 1 rn:5 rd:5',
  'FMAX (vector, half)': '0 q:1 0 01110 0 10 rm:5 00 110 1 rn:5 rd:5',
  'FMIN (vector, half)': '0 q:1 0 01110 1 10 rm:5 00 110 1 rn:5 rd:5',
  'FRECPS (vector, half)': '0 q:1 0 01110 0 10 rm:5 00 111 1 rn:5 rd:5',
  'FRSQRTS (vector, half)': '0 q:1 0 01110 1 10 rm:5 00 111 1 rn:5 rd:5',
  'FMAXNMP (vector, half)': '0 q:1 1 01110 0 10 rm:5 00 000 1 rn:5 rd:5',
  'FMINNMP (vector, half)': '0 q:1 1 01110 1 10 rm:5 00 000 1 rn:5 rd:5',
  'FADDP (vector, half)': '0 q:1 1 01110 0 10 rm:5 00 010 1 rn:5 rd:5',
  'FABD (vector, half)': '0 q:1 1 01110 1 10 rm:5 00 010 1 rn:5 rd:5',
  'FMUL (vector, half)': '0 q:1 1 01110 0 10 rm:5 00 011 1 rn:5 rd:5',
  'FCMGE (register, vector, half)': '0 q:1 1 01110 0 10 rm:5 00 100 1 rn:5 rd:5',
  'FCMGT (register, vector, half)': '0 q:1 1 01110 1 10 rm:5 00 100 1 rn:5 rd:5',
  'FACGE (vector, half)': '0 q:1 1 01110 0 10 rm:5 00 101 1 rn:5 rd:5',
  'FACGT (vector, half)': '0 q:1 1 01110 1 10 rm:5 00 101 1 rn:5 rd:5',
  'FMAXP (vector, half)': '0 q:1 1 01110 0 10 rm:5 00 110 1 rn:5 rd:5',
  'FMINP (vector, half)': '0 q:1 1 01110 1 10 rm:5 00 110 1 rn:5 rd:5',
  'FDIV (vector, half)': '0 q:1 1 01110 0 10 rm:5 00 111 1 rn:5 rd:5',
} as const satisfies Encodings;

/** The same on the lowest lane. Feature: FEAT_FP16. */
export const FP_LANE_THREE_SAME_HALF = {
  'FMULX (scalar lane, half)': '01 0 11110 0 10 rm:5 00 011 1 rn:5 rd:5',
  'FCMEQ (register, scalar lane, half)': '01 0 11110 0 10 rm:5 00 100 1 rn:5 rd:5',
  'FRECPS (scalar lane, half)': '01 0 11110 0 10 rm:5 00 111 1 rn:5 rd:5',
  'FRSQRTS (scalar lane, half)': '01 0 11110 1 10 rm:5 00 111 1 rn:5 rd:5',
  'FABD (scalar lane, half)': '01 1 11110 1 10 rm:5 00 010 1 rn:5 rd:5',
  'FCMGE (register, scalar lane, half)': '01 1 11110 0 10 rm:5 00 100 1 rn:5 rd:5',
  'FCMGT (register, scalar lane, half)': '01 1 11110 1 10 rm:5 00 100 1 rn:5 rd:5',
  'FACGE (scalar lane, half)': '01 1 11110 0 10 rm:5 00 101 1 rn:5 rd:5',
  'FACGT (scalar lane, half)': '01 1 11110 1 10 rm:5 00 101 1 rn:5 rd:5',
} as const satisfies Encodings;

/** Widening multiply-accumulate of half precision. Feature: FEAT_FHM. */
export const FP_VECTOR_HALF_MULTIPLY = {
  'FMLAL (vector)': '0 q:1 0 01110 0 01 rm:5 11101 1 rn:5 rd:5',
  'FMLSL (vector)': '0 q:1 0 01110 1 01 rm:5 11101 1 rn:5 rd:5',
  'FMLAL2 (vector)': '0 q:1 1 01110 0 01 rm:5 11001 1 rn:5 rd:5',
  'FMLSL2 (vector)': '0 q:1 1 01110 1 01 rm:5 11001 1 rn:5 rd:5',
  'FMLAL (by element)': '0 q:1 0 01111 10 l:1 m:1 rm:4 0000 h:1 0 rn:5 rd:5',
  'FMLSL (by element)': '0 q:1 0 01111 10 l:1 m:1 rm:4 0100 h:1 0 rn:5 rd:5',
  'FMLAL2 (by element)': '0 q:1 1 01111 10 l:1 m:1 rm:4 1000 h:1 0 rn:5 rd:5',
  'FMLSL2 (by element)': '0 q:1 1 01111 10 l:1 m:1 rm:4 1100 h:1 0 rn:5 rd:5',
} as const satisfies Encodings;

/** Complex addition and multiply-accumulate. Feature: FEAT_FCMA. */
export const FP_VECTOR_COMPLEX = {
  FCADD: '0 q:1 1 01110 size:2 0 rm:5 1 11 rot:1 0 1 rn:5 rd:5',
  FCMLA: '0 q:1 1 01110 size:2 0 rm:5 1 10 rot:2 1 rn:5 rd:5',
  'FCMLA (by element)': '0 q:1 1 01111 size:2 l:1 m:1 rm:4 0 rot:2 1 h:1 0 rn:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD two-register miscellaneous, single and double precision. */
export const FP_VECTOR_TWO_REGISTER = {
  'FRINTN (vector)': '0 q:1 0 01110 0 sz:1 10000 11000 10 rn:5 rd:5',
  'FRINTM (vector)': '0 q:1 0 01110 0 sz:1 10000 11001 10 rn:5 rd:5',
  'FCVTNS (vector)': '0 q:1 0 01110 0 sz:1 10000 11010 10 rn:5 rd:5',
  'FCVTMS (vector)': '0 q:1 0 01110 0 sz:1 10000 11011 10 rn:5 rd:5',
  'FCVTAS (vector)': '0 q:1 0 01110 0 sz:1 10000 11100 10 rn:5 rd:5',
  'SCVTF (integer, vector)': '0 q:1 0 01110 0 sz:1 10000 11101 10 rn:5 rd:5',
  'FCMGT (zero, vector)': '0 q:1 0 01110 1 sz:1 10000 01100 10 rn:5 rd:5',
  'FCMEQ (zero, vector)': '0 q:1 0 01110 1 sz:1 10000 01101 10 rn:5 rd:5',
  'FCMLT (zero, vector)': '0 q:1 0 01110 1 sz:1 10000 01110 10 rn:5 rd:5',
  'FABS (vector)': '0 q:1 0 01110 1 sz:1 10000 01111 10 rn:5 rd:5',
  'FRINTP (vector)': '0 q:1 0 01110 1 sz:1 10000 11000 10 rn:5 rd:5',
  'FRINTZ (vector)': '0 q:1 0 01110 1 sz:1 10000 11001 10 rn:5 rd:5',
  'FCVTPS (vector)': '0 q:1 0 01110 1 sz:1 10000 11010 10 rn:5 rd:5',
  'FCVTZS (integer, vector)': '0 q:1 0 01110 1 sz:1 10000 11011 10 rn:5 rd:5',
  'FRECPE (vector)': '0 q:1 0 01110 1 sz:1 10000 11101 10 rn:5 rd:5',
  'FRINTA (vector)': '0 q:1 1 01110 0 sz:1 10000 11000 10 rn:5 rd:5',
  'FRINTX (vector)': '0 q:1 1 01110 0 sz:1 10000 11001 10 rn:5 rd:5',
  'FCVTNU (vector)': '0 q:1 1 01110 0 sz:1 10000 11010 10 rn:5 rd:5',
  'FCVTMU (vector)': '0 q:1 1 01110 0 sz:1 10000 11011 10 rn:5 rd:5',
  'FCVTAU (vector)': '0 q:1 1 01110 0 sz:1 10000 11100 10 rn:5 rd:5',
  'UCVTF (integer, vector)': '0 q:1 1 01110 0 sz:1 10000 11101 10 rn:5 rd:5',
  'FCMGE (zero, vector)': '0 q:1 1 01110 1 sz:1 10000 01100 10 rn:5 rd:5',
  'FCMLE (zero, vector)': '0 q:1 1 01110 1 sz:1 10000 01101 10 rn:5 rd:5',
  'FNEG (vector)': '0 q:1 1 01110 1 sz:1 10000 01111 10 rn:5 rd:5',
  'FRINTI (vector)': '0 q:1 1 01110 1 sz:1 10000 11001 10 rn:5 rd:5',
  'FCVTPU (vector)': '0 q:1 1 01110 1 sz:1 10000 11010 10 rn:5 rd:5',
  'FCVTZU (integer, vector)': '0 q:1 1 01110 1 sz:1 10000 11011 10 rn:5 rd:5',
  'FRSQRTE (vector)': '0 q:1 1 01110 1 sz:1 10000 11101 10 rn:5 rd:5',
  'FSQRT (vector)': '0 q:1 1 01110 1 sz:1 10000 11111 10 rn:5 rd:5',
} as const satisfies Encodings;

/** The same on the lowest lane. */
export const FP_LANE_TWO_REGISTER = {
  'FCVTNS (scalar lane)': '01 0 11110 0 sz:1 10000 11010 10 rn:5 rd:5',
  'FCVTMS (scalar lane)': '01 0 11110 0 sz:1 10000 11011 10 rn:5 rd:5',
  'FCVTAS (scalar lane)': '01 0 11110 0 sz:1 10000 11100 10 rn:5 rd:5',
  'SCVTF (integer, scalar lane)': '01 0 11110 0 sz:1 10000 11101 10 rn:5 rd:5',
  'FCMGT (zero, scalar lane)': '01 0 11110 1 sz:1 10000 01100 10 rn:5 rd:5',
  'FCMEQ (zero, scalar lane)': '01 0 11110 1 sz:1 10000 01101 10 rn:5 rd:5',
  'FCMLT (zero, scalar lane)': '01 0 11110 1 sz:1 10000 01110 10 rn:5 rd:5',
  'FCVTPS (scalar lane)': '01 0 11110 1 sz:1 10000 11010 10 rn:5 rd:5',
  'FCVTZS (integer, scalar lane)': '01 0 11110 1 sz:1 10000 11011 10 rn:5 rd:5',
  'FRECPE (scalar lane)': '01 0 11110 1 sz:1 10000 11101 10 rn:5 rd:5',
  'FCVTNU (scalar lane)': '01 1 11110 0 sz:1 10000 11010 10 rn:5 rd:5',
  'FCVTMU (scalar lane)': '01 1 11110 0 sz:1 10000 11011 10 rn:5 rd:5',
  'FCVTAU (scalar lane)': '01 1 11110 0 sz:1 10000 11100 10 rn:5 rd:5',
  'UCVTF (integer, scalar lane)': '01 1 11110 0 sz:1 10000 11101 10 rn:5 rd:5',
  'FCMGE (zero, scalar lane)': '01 1 11110 1 sz:1 10000 01100 10 rn:5 rd:5',
  'FCMLE (zero, scalar lane)': '01 1 11110 1 sz:1 10000 01101 10 rn:5 rd:5',
  'FCVTPU (scalar lane)': '01 1 11110 1 sz:1 10000 11010 10 rn:5 rd:5',
  'FCVTZU (integer, scalar lane)': '01 1 11110 1 sz:1 10000 11011 10 rn:5 rd:5',
  'FRSQRTE (scalar lane)': '01 1 11110 1 sz:1 10000 11101 10 rn:5 rd:5',
  FRECPX: '01 0 11110 1 sz:1 10000 11111 10 rn:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD two-register miscellaneous, half precision. Feature: FEAT_FP16. */
export const FP_VECTOR_TWO_REGISTER_HALF = {
  'FRINTN (vector, half)': '0 q:1 0 01110 0 111100 11000 10 rn:5 rd:5',
  'FRINTM (vector, half)': '0 q:1 0 01110 0 111100 11001 10 rn:5 rd:5',
  'FCVTNS (vector, half)': '0 q:1 0 01110 0 111100 11010 10 rn:5 rd:5',
  'FCVTMS (vector, half)': '0 q:1 0 01110 0 111100 11011 10 rn:5 rd:5',
  'FCVTAS (vector, half)': '0 q:1 0 01110 0 111100 11100 10 rn:5 rd:5',
  'SCVTF (integer, vector, half)': '0 q:1 0 01110 0 111100 11101 10 rn:5 rd:5',
  'FCMGT (zero, vector, half)': '0 q:1 0 01110 1 111100 01100 10 rn:5 rd:5',
  'FCMEQ (zero, vector, half)': '0 q:1 0 01110 1 111100 01101 10 rn:5 rd:5',
  'FCMLT (zero, vector, half)': '0 q:1 0 01110 1 111100 01110 10 rn:5 rd:5',
  'FABS (vector, half)': '0 q:1 0 01110 1 111100 01111 10 rn:5 rd:5',
  'FRINTP (vector, half)': '0 q:1 0 01110 1 111100 11000 10 rn:5 rd:5',
  'FRINTZ (vector, half)': '0 q:1 0 01110 1 111100 11001 10 rn:5 rd:5',
  'FCVTPS (vector, half)': '0 q:1 0 01110 1 111100 11010 10 rn:5 rd:5',
  'FCVTZS (integer, vector, half)': '0 q:1 0 01110 1 111100 11011 10 rn:5 rd:5',
  'FRECPE (vector, half)': '0 q:1 0 01110 1 111100 11101 10 rn:5 rd:5',
  'FRINTA (vector, half)': '0 q:1 1 01110 0 111100 11000 10 rn:5 rd:5',
  'FRINTX (vector, half)': '0 q:1 1 01110 0 111100 11001 10 rn:5 rd:5',
  'FCVTNU (vector, half)': '0 q:1 1 01110 0 111100 11010 10 rn:5 rd:5',
  'FCVTMU (vector, half)': '0 q:1 1 01110 0 111100 11011 10 rn:5 rd:5',
  'FCVTAU (vector, half)': '0 q:1 1 01110 0 111100 11100 10 rn:5 rd:5',
  'UCVTF (integer, vector, half)': '0 q:1 1 01110 0 111100 11101 10 rn:5 rd:5',
  'FCMGE (zero, vector, half)': '0 q:1 1 01110 1 111100 01100 10 rn:5 rd:5',
  'FCMLE (zero, vector, half)': '0 q:1 1 01110 1 111100 01101 10 rn:5 rd:5',
  'FNEG (vector, half)': '0 q:1 1 01110 1 111100 01111 10 rn:5 rd:5',
  'FRINTI (vector, half)': '0 q:1 1 01110 1 111100 11001 10 rn:5 rd:5',
  'FCVTPU (vector, half)': '0 q:1 1 01110 1 111100 11010 10 rn:5 rd:5',
  'FCVTZU (integer, vector, half)': '0 q:1 1 01110 1 111100 11011 10 rn:5 rd:5',
  'FRSQRTE (vector, half)': '0 q:1 1 01110 1 111100 11101 10 rn:5 rd:5',
  'FSQRT (vector, half)': '0 q:1 1 01110 1 111100 11111 10 rn:5 rd:5',
} as const satisfies Encodings;

/** The same on the lowest lane. Feature: FEAT_FP16. */
export const FP_LANE_TWO_REGISTER_HALF = {
  'FCVTNS (scalar lane, half)': '01 0 11110 0 111100 11010 10 rn:5 rd:5',
  'FCVTMS (scalar lane, half)': '01 0 11110 0 111100 11011 10 rn:5 rd:5',
  'FCVTAS (scalar lane, half)': '01 0 11110 0 111100 11100 10 rn:5 rd:5',
  'SCVTF (integer, scalar lane, half)': '01 0 11110 0 111100 11101 10 rn:5 rd:5',
  'FCMGT (zero, scalar lane, half)': '01 0 11110 1 111100 01100 10 rn:5 rd:5',
  'FCMEQ (zero, scalar lane, half)': '01 0 11110 1 111100 01101 10 rn:5 rd:5',
  'FCMLT (zero, scalar lane, half)': '01 0 11110 1 111100 01110 10 rn:5 rd:5',
  'FCVTPS (scalar lane, half)': '01 0 11110 1 111100 11010 10 rn:5 rd:5',
  'FCVTZS (integer, scalar lane, half)': '01 0 11110 1 111100 11011 10 rn:5 rd:5',
  'FRECPE (scalar lane, half)': '01 0 11110 1 111100 11101 10 rn:5 rd:5',
  'FCVTNU (scalar lane, half)': '01 1 11110 0 111100 11010 10 rn:5 rd:5',
  'FCVTMU (scalar lane, half)': '01 1 11110 0 111100 11011 10 rn:5 rd:5',
  'FCVTAU (scalar lane, half)': '01 1 11110 0 111100 11100 10 rn:5 rd:5',
  'UCVTF (integer, scalar lane, half)': '01 1 11110 0 111100 11101 10 rn:5 rd:5',
  'FCMGE (zero, scalar lane, half)': '01 1 11110 1 111100 01100 10 rn:5 rd:5',
  'FCMLE (zero, scalar lane, half)': '01 1 11110 1 111100 01101 10 rn:5 rd:5',
  'FCVTPU (scalar lane, half)': '01 1 11110 1 111100 11010 10 rn:5 rd:5',
  'FCVTZU (integer, scalar lane, half)': '01 1 11110 1 111100 11011 10 rn:5 rd:5',
  'FRSQRTE (scalar lane, half)': '01 1 11110 1 111100 11101 10 rn:5 rd:5',
  'FRECPX (half)': '01 0 11110 1 111100 11111 10 rn:5 rd:5',
} as const satisfies Encodings;

/** Rounding to a given width. Feature: FEAT_FRINTTS. */
export const FP_VECTOR_ROUND_WITHIN = {
  'FRINT32Z (vector)': '0 q:1 0 01110 0 sz:1 10000 11110 10 rn:5 rd:5',
  'FRINT64Z (vector)': '0 q:1 0 01110 0 sz:1 10000 11111 10 rn:5 rd:5',
  'FRINT32X (vector)': '0 q:1 1 01110 0 sz:1 10000 11110 10 rn:5 rd:5',
  'FRINT64X (vector)': '0 q:1 1 01110 0 sz:1 10000 11111 10 rn:5 rd:5',
} as const satisfies Encodings;

/** Conversions between precisions, and estimates on unsigned integers. */
export const FP_VECTOR_CONVERT = {
  FCVTN: '0 q:1 0 01110 0 sz:1 10000 10110 10 rn:5 rd:5',
  FCVTL: '0 q:1 0 01110 0 sz:1 10000 10111 10 rn:5 rd:5',
  'FCVTXN (vector)': '0 q:1 1 01110 0 sz:1 10000 10110 10 rn:5 rd:5',
  'FCVTXN (scalar)': '01 1 11110 0 sz:1 10000 10110 10 rn:5 rd:5',
  URECPE: '0 q:1 0 01110 1 sz:1 10000 11100 10 rn:5 rd:5',
  URSQRTE: '0 q:1 1 01110 1 sz:1 10000 11100 10 rn:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD across lanes and scalar pairwise. */
export const FP_ACROSS_LANES = {
  FMAXNMV: '0 q:1 1 01110 0 sz:1 11000 01100 10 rn:5 rd:5',
  FMINNMV: '0 q:1 1 01110 1 sz:1 11000 01100 10 rn:5 rd:5',
  FMAXV: '0 q:1 1 01110 0 sz:1 11000 01111 10 rn:5 rd:5',
  FMINV: '0 q:1 1 01110 1 sz:1 11000 01111 10 rn:5 rd:5',
  'FMAXNMP (scalar)': '01 1 11110 0 sz:1 11000 01100 10 rn:5 rd:5',
  'FADDP (scalar)': '01 1 11110 0 sz:1 11000 01101 10 rn:5 rd:5',
  'FMAXP (scalar)': '01 1 11110 0 sz:1 11000 01111 10 rn:5 rd:5',
  'FMINNMP (scalar)': '01 1 11110 1 sz:1 11000 01100 10 rn:5 rd:5',
  'FMINP (scalar)': '01 1 11110 1 sz:1 11000 01111 10 rn:5 rd:5',
} as const satisfies Encodings;

/** The same in half precision. Feature: FEAT_FP16. */
export const FP_ACROSS_LANES_HALF = {
  'FMAXNMV (half)': '0 q:1 0 01110 0 0 11000 01100 10 rn:5 rd:5',
  'FMINNMV (half)': '0 q:1 0 01110 1 0 11000 01100 10 rn:5 rd:5',
  'FMAXV (half)': '0 q:1 0 01110 0 0 11000 01111 10 rn:5 rd:5',
  'FMINV (half)': '0 q:1 0 01110 1 0 11000 01111 10 rn:5 rd:5',
  'FMAXNMP (scalar, half)': '01 0 11110 0 0 11000 01100 10 rn:5 rd:5',
  'FADDP (scalar, half)': '01 0 11110 0 0 11000 01101 10 rn:5 rd:5',
  'FMAXP (scalar, half)': '01 0 11110 0 0 11000 01111 10 rn:5 rd:5',
  'FMINNMP (scalar, half)': '01 0 11110 1 0 11000 01100 10 rn:5 rd:5',
  'FMINP (scalar, half)': '01 0 11110 1 0 11000 01111 10 rn:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD vector x indexed element, single and double precision. */
export const FP_BY_ELEMENT = {
  'FMLA (by element, vector)': '0 q:1 0 01111 1 sz:1 l:1 m:1 rm:4 0001 h:1 0 rn:5 rd:5',
  'FMLS (by element, vector)': '0 q:1 0 01111 1 sz:1 l:1 m:1 rm:4 0101 h:1 0 rn:5 rd:5',
  'FMUL (by element, vector)': '0 q:1 0 01111 1 sz:1 l:1 m:1 rm:4 1001 h:1 0 rn:5 rd:5',
  'FMULX (by element, vector)': '0 q:1 1 01111 1 sz:1 l:1 m:1 rm:4 1001 h:1 0 rn:5 rd:5',
  'FMLA (by element, scalar)': '01 0 11111 1 sz:1 l:1 m:1 rm:4 0001 h:1 0 rn:5 rd:5',
  'FMLS (by element, scalar)': '01 0 11111 1 sz:1 l:1 m:1 rm:4 0101 h:1 0 rn:5 rd:5',
  'FMUL (by element, scalar)': '01 0 11111 1 sz:1 l:1 m:1 rm:4 1001 h:1 0 rn:5 rd:5',
  'FMULX (by element, scalar)': '01 1 11111 1 sz:1 l:1 m:1 rm:4 1001 h:1 0 rn:5 rd:5',
} as const satisfies Encodings;

/** The same in half precision. Feature: FEAT_FP16. */
export const FP_BY_ELEMENT_HALF = {
  'FMLA (by element, vector, half)': '0 q:1 0 01111 00 l:1 m:1 rm:4 0001 h:1 0 rn:5 rd:5',
  'FMLS (by element, vector, half)': '0 q:1 0 01111 00 l:1 m:1 rm:4 0101 h:1 0 rn:5 rd:5',
  'FMUL (by element, vector, half)': '0 q:1 0 01111 00 l:1 m:1 rm:4 1001 h:1 0 rn:5 rd:5',
  'FMULX (by element, vector, half)': '0 q:1 1 01111 00 l:1 m:1 rm:4 1001 h:1 0 rn:5 rd:5',
  'FMLA (by element, scalar, half)': '01 0 11111 00 l:1 m:1 rm:4 0001 h:1 0 rn:5 rd:5',
  'FMLS (by element, scalar, half)': '01 0 11111 00 l:1 m:1 rm:4 0101 h:1 0 rn:5 rd:5',
  'FMUL (by element, scalar, half)': '01 0 11111 00 l:1 m:1 rm:4 1001 h:1 0 rn:5 rd:5',
  'FMULX (by element, scalar, half)': '01 1 11111 00 l:1 m:1 rm:4 1001 h:1 0 rn:5 rd:5',
} as const satisfies Encodings;

/** Advanced SIMD conversions with fixed point; immh of 0 is the modified immediate group. */
export const FP_VECTOR_FIXED = {
  'SCVTF (fixed-point, vector)': '0 q:1 0 011110 immh:4 immb:3 11100 1 rn:5 rd:5',
  'FCVTZS (fixed-point, vector)': '0 q:1 0 011110 immh:4 immb:3 11111 1 rn:5 rd:5',
  'UCVTF (fixed-point, vector)': '0 q:1 1 011110 immh:4 immb:3 11100 1 rn:5 rd:5',
  'FCVTZU (fixed-point, vector)': '0 q:1 1 011110 immh:4 immb:3 11111 1 rn:5 rd:5',
} as const satisfies Encodings;

/** The same on the lowest lane. */
export const FP_LANE_FIXED = {
  'SCVTF (fixed-point, scalar lane)': '01 0 111110 immh:4 immb:3 11100 1 rn:5 rd:5',
  'FCVTZS (fixed-point, scalar lane)': '01 0 111110 immh:4 immb:3 11111 1 rn:5 rd:5',
  'UCVTF (fixed-point, scalar lane)': '01 1 111110 immh:4 immb:3 11100 1 rn:5 rd:5',
  'FCVTZU (fixed-point, scalar lane)': '01 1 111110 immh:4 immb:3 11111 1 rn:5 rd:5',
} as const satisfies Encodings;
