/**
 * Meaning of the Advanced SIMD instructions with one source register, and of those across the lanes of one.
 *
 * Source: Arm ARM DDI 0487 "Advanced SIMD two-register miscellaneous", "Advanced SIMD across lanes".
 */
import type { SIMD_ACROSS_LANES, SIMD_SCALAR_TWO_REGISTER, SIMD_TWO_REGISTER } from '../encodings/simd-integer.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { B, BH, BHS, BHSD, D, setNarrowed, twoRegister, twoRegisterScalar } from './simd-forms.ts';
import { Lanes, type Saturated } from './vector-lanes.ts';
import { pickLanes, times, type Vector } from './vector-permute.ts';
import { lowBits, noteSaturation, setV, vectorBits } from './vector-registers.ts';

interface Fields {
  readonly size: number;
  readonly rn: number;
  readonly rd: number;
}
type FieldsWithQ = Fields & { readonly q: number };
type Unary = (l: Lanes, a: Vector, d: Vector) => Vector;
type Saturating = (l: Lanes, a: Vector, d: Vector) => Saturated;

const cmgtZero: Unary = (l, a) => l.gtS(a, l.zero);
const cmgeZero: Unary = (l, a) => l.geS(a, l.zero);
const cmeqZero: Unary = (l, a) => l.eq(a, l.zero);
const cmleZero: Unary = (l, a) => l.geS(l.zero, a);
const cmltZero: Unary = (l, a) => l.isNegative(a);
const abs: Unary = (l, a) => l.abs(a);
const neg: Unary = (l, a) => l.neg(a);
const suqadd: Saturating = (l, a, d) => l.addUnsignedSaturated(d, a);
const usqadd: Saturating = (l, a, d) => l.addSignedSaturated(d, a);
const sqabs: Saturating = (l, a) => l.absSaturated(a);
const sqneg: Saturating = (l, a) => l.negSaturated(a);

/** Reverses the lanes within each container of `containerBits`. */
function reverse(containerBits: number): Unary {
  return (l, a) => {
    const perContainer = containerBits / l.bits;
    return pickLanes(
      l.ir,
      l.size,
      [a],
      times(l.count, i => i ^ (perContainer - 1)),
    );
  };
}

/** Leading bits that equal the sign bit, without it. */
const cls: Unary = (l, a) => l.sub(l.clz(l.xor(a, l.shrS(a, 1))), l.constant(1n));

/** Reverses the bits of each byte. */
const reverseBits: Unary = (l, a) => {
  const swap = (value: Vector, distance: number, mask: bigint): Vector =>
    l.or(l.and(l.shrU(value, distance), l.constant(mask)), l.shl(l.and(value, l.constant(mask)), distance));
  return swap(swap(swap(a, 1, 0x55n), 2, 0x33n), 4, 0x0fn);
};

/** Each wide lane limited to the narrow range. */
type Clamp = readonly [fromSigned: boolean, toSigned: boolean];

function saturatingNarrow([fromSigned, toSigned]: Clamp) {
  return (t: Translation, { q, size, rn, rd }: FieldsWithQ): void => {
    if (size > 2) return t.undefined();
    const l = new Lanes(t.ir, size);
    const { value, saturated } = l.wider.clampToNarrower(t.v(rn), fromSigned, toSigned);
    noteSaturation(t, saturated, 128);
    setNarrowed(t, l, q, rd, value);
  };
}

function saturatingNarrowScalar([fromSigned, toSigned]: Clamp) {
  return (t: Translation, { size, rn, rd }: Fields): void => {
    if (size > 2) return t.undefined();
    const wide = new Lanes(t.ir, size + 1);
    const { value, saturated } = wide.clampToNarrower(t.v(rn), fromSigned, toSigned);
    noteSaturation(t, saturated, wide.bits);
    setV(t, rd, value, 8 << size);
  };
}

const addNeighbours = (signed: boolean) => twoRegister(BHS, (l, a) => l.addNeighbours(signed, a));
const accumulateNeighbours = (signed: boolean) =>
  twoRegister(BHS, (l, a, d) => l.wider.add(d, l.addNeighbours(signed, a)));

export const twoRegisterSemantics: Semantics<typeof SIMD_TWO_REGISTER> = {
  'REV64 (vector)': twoRegister(BHS, reverse(64)),
  'REV16 (vector)': twoRegister(B, reverse(16)),
  'REV32 (vector)': twoRegister(BH, reverse(32)),
  'SADDLP (vector)': addNeighbours(true),
  'UADDLP (vector)': addNeighbours(false),
  'SADALP (vector)': accumulateNeighbours(true),
  'UADALP (vector)': accumulateNeighbours(false),
  'SUQADD (vector)': twoRegister(BHSD, suqadd),
  'USQADD (vector)': twoRegister(BHSD, usqadd),
  'CLS (vector)': twoRegister(BHS, cls),
  'CLZ (vector)': twoRegister(BHS, (l, a) => l.clz(a)),
  'CNT (vector)': twoRegister(B, (l, a) => l.popcount(a)),
  'SQABS (vector)': twoRegister(BHSD, sqabs),
  'SQNEG (vector)': twoRegister(BHSD, sqneg),
  'CMGT (zero, vector)': twoRegister(BHSD, cmgtZero),
  'CMGE (zero, vector)': twoRegister(BHSD, cmgeZero),
  'CMEQ (zero, vector)': twoRegister(BHSD, cmeqZero),
  'CMLE (zero, vector)': twoRegister(BHSD, cmleZero),
  'CMLT (zero, vector)': twoRegister(BHSD, cmltZero),
  'ABS (vector)': twoRegister(BHSD, abs),
  'NEG (vector)': twoRegister(BHSD, neg),
  'NOT (vector)': (t, { q, rn, rd }) => setV(t, rd, t.ir.op('v128.not', t.v(rn)), vectorBits(q)),
  'RBIT (vector)': (t, { q, rn, rd }) => setV(t, rd, reverseBits(new Lanes(t.ir, 0), t.v(rn), t.v(rd)), vectorBits(q)),
  'XTN (vector)': (t, { q, size, rn, rd }) => {
    if (size > 2) return t.undefined();
    setNarrowed(t, new Lanes(t.ir, size), q, rd, t.v(rn));
  },
  'SQXTN (vector)': saturatingNarrow([true, true]),
  'SQXTUN (vector)': saturatingNarrow([true, false]),
  'UQXTN (vector)': saturatingNarrow([false, false]),
  'SHLL (vector)': (t, { q, size, rn, rd }) => {
    if (size > 2) return t.undefined();
    const l = new Lanes(t.ir, size);
    t.setV(rd, l.wider.shl(l.widen(q ? 'high' : 'low', false, t.v(rn)), l.bits));
  },
};

export const scalarTwoRegisterSemantics: Semantics<typeof SIMD_SCALAR_TWO_REGISTER> = {
  'SUQADD (scalar)': twoRegisterScalar(BHSD, suqadd),
  'USQADD (scalar)': twoRegisterScalar(BHSD, usqadd),
  'SQABS (scalar)': twoRegisterScalar(BHSD, sqabs),
  'SQNEG (scalar)': twoRegisterScalar(BHSD, sqneg),
  'CMGT (zero, scalar)': twoRegisterScalar(D, cmgtZero),
  'CMGE (zero, scalar)': twoRegisterScalar(D, cmgeZero),
  'CMEQ (zero, scalar)': twoRegisterScalar(D, cmeqZero),
  'CMLE (zero, scalar)': twoRegisterScalar(D, cmleZero),
  'CMLT (zero, scalar)': twoRegisterScalar(D, cmltZero),
  'ABS (scalar)': twoRegisterScalar(D, abs),
  'NEG (scalar)': twoRegisterScalar(D, neg),
  'SQXTN (scalar)': saturatingNarrowScalar([true, true]),
  'SQXTUN (scalar)': saturatingNarrowScalar([true, false]),
  'UQXTN (scalar)': saturatingNarrowScalar([false, false]),
};

// Across lanes

/** Reduces the lanes of the low `bits` by an associative and commutative operation; the result is in lane 0. */
function reduce(l: Lanes, a: Vector, bits: number, op: (l: Lanes, a: Vector, b: Vector) => Vector): Vector {
  let result = a;
  for (let count = bits / l.bits / 2; count >= 1; count /= 2) {
    const upper = pickLanes(
      l.ir,
      l.size,
      [result],
      times(l.count, i => (i + count) % l.count),
    );
    result = op(l, result, upper);
  }
  return result;
}

/** 4S, but not 2S: a pair is no reduction. */
function isReducible(size: number, q: number): boolean {
  return size < 2 || (size === 2 && q === 1);
}

function acrossLanes(op: (l: Lanes, a: Vector, b: Vector) => Vector) {
  return (t: Translation, { q, size, rn, rd }: FieldsWithQ): void => {
    if (!isReducible(size, q)) return t.undefined();
    const l = new Lanes(t.ir, size);
    setV(t, rd, reduce(l, t.v(rn), vectorBits(q), op), l.bits);
  };
}

function addLongAcrossLanes(signed: boolean) {
  return (t: Translation, { q, size, rn, rd }: FieldsWithQ): void => {
    if (!isReducible(size, q)) return t.undefined();
    const l = new Lanes(t.ir, size);
    const sums = l.addNeighbours(signed, t.v(rn));
    setV(
      t,
      rd,
      reduce(l.wider, sums, vectorBits(q), (wide, a, b) => wide.add(a, b)),
      l.wider.bits,
    );
  };
}

export const acrossLanesSemantics: Semantics<typeof SIMD_ACROSS_LANES> = {
  SADDLV: addLongAcrossLanes(true),
  UADDLV: addLongAcrossLanes(false),
  ADDV: acrossLanes((l, a, b) => l.add(a, b)),
  SMAXV: acrossLanes((l, a, b) => l.max(true, a, b)),
  SMINV: acrossLanes((l, a, b) => l.min(true, a, b)),
  UMAXV: acrossLanes((l, a, b) => l.max(false, a, b)),
  UMINV: acrossLanes((l, a, b) => l.min(false, a, b)),
  'ADDP (scalar)': (t, { size, rn, rd }) => {
    if (size !== 3) return t.undefined();
    const l = new Lanes(t.ir, 3);
    setV(
      t,
      rd,
      reduce(l, lowBits(t.ir, t.v(rn), 128), 128, (lanes, a, b) => lanes.add(a, b)),
      64,
    );
  },
};
