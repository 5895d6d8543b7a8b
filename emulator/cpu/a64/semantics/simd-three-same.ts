/**
 * Meaning of the Advanced SIMD instructions with three registers of the same form, on integers and bits.
 *
 * Source: Arm ARM DDI 0487 "Advanced SIMD three same", "Advanced SIMD scalar three same".
 */
import type { SIMD_LOGICAL, SIMD_SCALAR_THREE_SAME, SIMD_THREE_SAME } from '../encodings/simd-integer.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { doublingMultiplyHigh } from './simd-multiply.ts';
import { B, BHS, BHSD, D, HS, pairwise, threeSame, threeSameAccumulate, threeSameScalar } from './simd-forms.ts';
import { registerShift, registerShiftScalar } from './simd-shift-register.ts';
import type { Lanes, Saturated } from './vector-lanes.ts';
import type { Vector } from './vector-permute.ts';
import { setV, vectorBits } from './vector-registers.ts';

type Binary = (l: Lanes, a: Vector, b: Vector) => Vector;
type Saturating = (l: Lanes, a: Vector, b: Vector) => Saturated;

const add: Binary = (l, a, b) => l.add(a, b);
const sub: Binary = (l, a, b) => l.sub(a, b);
const sqadd: Saturating = (l, a, b) => l.addSaturated(true, a, b);
const uqadd: Saturating = (l, a, b) => l.addSaturated(false, a, b);
const sqsub: Saturating = (l, a, b) => l.subSaturated(true, a, b);
const uqsub: Saturating = (l, a, b) => l.subSaturated(false, a, b);
const cmgt: Binary = (l, a, b) => l.gtS(a, b);
const cmge: Binary = (l, a, b) => l.geS(a, b);
const cmhi: Binary = (l, a, b) => l.gtU(a, b);
const cmhs: Binary = (l, a, b) => l.geU(a, b);
const cmeq: Binary = (l, a, b) => l.eq(a, b);
const cmtst: Binary = (l, a, b) => l.ne(l.and(a, b), l.zero);
const smax: Binary = (l, a, b) => l.max(true, a, b);
const umax: Binary = (l, a, b) => l.max(false, a, b);
const smin: Binary = (l, a, b) => l.min(true, a, b);
const umin: Binary = (l, a, b) => l.min(false, a, b);
const sqdmulh: Saturating = (l, a, b) => doublingMultiplyHigh(l, a, b, false);
const sqrdmulh: Saturating = (l, a, b) => doublingMultiplyHigh(l, a, b, true);

/** Product of polynomials over {0, 1}, low byte. */
const pmul: Binary = (l, a, b) => {
  let product = l.zero;
  for (let bit = 0; bit < 8; bit++) {
    const isSet = l.isNegative(l.shl(b, 7 - bit));
    product = l.xor(product, l.and(l.shl(a, bit), isSet));
  }
  return product;
};

export const threeSameSemantics: Semantics<typeof SIMD_THREE_SAME> = {
  'SHADD (vector)': threeSame(BHS, (l, a, b) => l.halvingAdd(true, a, b)),
  'SQADD (vector)': threeSame(BHSD, sqadd),
  'SRHADD (vector)': threeSame(BHS, (l, a, b) => l.roundedHalvingAdd(true, a, b)),
  'SHSUB (vector)': threeSame(BHS, (l, a, b) => l.halvingSub(true, a, b)),
  'SQSUB (vector)': threeSame(BHSD, sqsub),
  'CMGT (register, vector)': threeSame(BHSD, cmgt),
  'CMGE (register, vector)': threeSame(BHSD, cmge),
  'SSHL (vector)': registerShift({ signed: true }),
  'SQSHL (register, vector)': registerShift({ signed: true, saturating: true }),
  'SRSHL (vector)': registerShift({ signed: true, rounding: true }),
  'SQRSHL (vector)': registerShift({ signed: true, rounding: true, saturating: true }),
  'SMAX (vector)': threeSame(BHS, smax),
  'SMIN (vector)': threeSame(BHS, smin),
  'SABD (vector)': threeSame(BHS, (l, a, b) => l.distance(true, a, b)),
  'SABA (vector)': threeSameAccumulate(BHS, (l, d, a, b) => l.add(d, l.distance(true, a, b))),
  'ADD (vector)': threeSame(BHSD, add),
  'CMTST (vector)': threeSame(BHSD, cmtst),
  'MLA (vector)': threeSameAccumulate(BHS, (l, d, a, b) => l.add(d, l.mul(a, b))),
  'MUL (vector)': threeSame(BHS, (l, a, b) => l.mul(a, b)),
  'SMAXP (vector)': pairwise(BHS, smax),
  'SMINP (vector)': pairwise(BHS, smin),
  'SQDMULH (vector)': threeSame(HS, sqdmulh),
  'ADDP (vector)': pairwise(BHSD, add),
  'UHADD (vector)': threeSame(BHS, (l, a, b) => l.halvingAdd(false, a, b)),
  'UQADD (vector)': threeSame(BHSD, uqadd),
  'URHADD (vector)': threeSame(BHS, (l, a, b) => l.roundedHalvingAdd(false, a, b)),
  'UHSUB (vector)': threeSame(BHS, (l, a, b) => l.halvingSub(false, a, b)),
  'UQSUB (vector)': threeSame(BHSD, uqsub),
  'CMHI (register, vector)': threeSame(BHSD, cmhi),
  'CMHS (register, vector)': threeSame(BHSD, cmhs),
  'USHL (vector)': registerShift({}),
  'UQSHL (register, vector)': registerShift({ saturating: true }),
  'URSHL (vector)': registerShift({ rounding: true }),
  'UQRSHL (vector)': registerShift({ rounding: true, saturating: true }),
  'UMAX (vector)': threeSame(BHS, umax),
  'UMIN (vector)': threeSame(BHS, umin),
  'UABD (vector)': threeSame(BHS, (l, a, b) => l.distance(false, a, b)),
  'UABA (vector)': threeSameAccumulate(BHS, (l, d, a, b) => l.add(d, l.distance(false, a, b))),
  'SUB (vector)': threeSame(BHSD, sub),
  'CMEQ (register, vector)': threeSame(BHSD, cmeq),
  'MLS (vector)': threeSameAccumulate(BHS, (l, d, a, b) => l.sub(d, l.mul(a, b))),
  'PMUL (vector)': threeSame(B, pmul),
  'UMAXP (vector)': pairwise(BHS, umax),
  'UMINP (vector)': pairwise(BHS, umin),
  'SQRDMULH (vector)': threeSame(HS, sqrdmulh),
};

export const scalarThreeSameSemantics: Semantics<typeof SIMD_SCALAR_THREE_SAME> = {
  'SQADD (scalar)': threeSameScalar(BHSD, sqadd),
  'SQSUB (scalar)': threeSameScalar(BHSD, sqsub),
  'CMGT (register, scalar)': threeSameScalar(D, cmgt),
  'CMGE (register, scalar)': threeSameScalar(D, cmge),
  'SSHL (scalar)': registerShiftScalar(D, { signed: true }),
  'SQSHL (register, scalar)': registerShiftScalar(BHSD, { signed: true, saturating: true }),
  'SRSHL (scalar)': registerShiftScalar(D, { signed: true, rounding: true }),
  'SQRSHL (scalar)': registerShiftScalar(BHSD, { signed: true, rounding: true, saturating: true }),
  'ADD (scalar)': threeSameScalar(D, add),
  'CMTST (scalar)': threeSameScalar(D, cmtst),
  'SQDMULH (scalar)': threeSameScalar(HS, sqdmulh),
  'UQADD (scalar)': threeSameScalar(BHSD, uqadd),
  'UQSUB (scalar)': threeSameScalar(BHSD, uqsub),
  'CMHI (register, scalar)': threeSameScalar(D, cmhi),
  'CMHS (register, scalar)': threeSameScalar(D, cmhs),
  'USHL (scalar)': registerShiftScalar(D, {}),
  'UQSHL (register, scalar)': registerShiftScalar(BHSD, { saturating: true }),
  'URSHL (scalar)': registerShiftScalar(D, { rounding: true }),
  'UQRSHL (scalar)': registerShiftScalar(BHSD, { rounding: true, saturating: true }),
  'SUB (scalar)': threeSameScalar(D, sub),
  'CMEQ (register, scalar)': threeSameScalar(D, cmeq),
  'SQRDMULH (scalar)': threeSameScalar(HS, sqrdmulh),
};

interface LogicalFields {
  readonly q: number;
  readonly rm: number;
  readonly rn: number;
  readonly rd: number;
}

function logical(op: (t: Translation, a: Vector, b: Vector, rd: number) => Vector) {
  return (t: Translation, { q, rm, rn, rd }: LogicalFields): void =>
    setV(t, rd, op(t, t.v(rn), t.v(rm), rd), vectorBits(q));
}

export const logicalSemantics: Semantics<typeof SIMD_LOGICAL> = {
  'AND (vector)': logical((t, a, b) => t.ir.op('v128.and', a, b)),
  'BIC (register, vector)': logical((t, a, b) => t.ir.op('v128.andnot', a, b)),
  /** ORR of a register with itself is MOV (vector). */
  'ORR (register, vector)': logical((t, a, b) => (a === b ? a : t.ir.op('v128.or', a, b))),
  'ORN (vector)': logical((t, a, b) => t.ir.op('v128.or', a, t.ir.op('v128.not', b))),
  'EOR (vector)': logical((t, a, b) => t.ir.op('v128.xor', a, b)),
  'BSL (vector)': logical((t, a, b, rd) => t.ir.op('v128.bitselect', a, b, t.v(rd))),
  'BIT (vector)': logical((t, a, b, rd) => t.ir.op('v128.bitselect', a, t.v(rd), b)),
  'BIF (vector)': logical((t, a, b, rd) => t.ir.op('v128.bitselect', t.v(rd), a, b)),
};
