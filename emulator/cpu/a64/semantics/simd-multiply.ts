/**
 * Meaning of the Advanced SIMD instructions with operands of different widths, and of multiplications by one element.
 *
 * Source: Arm ARM DDI 0487 "Advanced SIMD three different", "Advanced SIMD vector x indexed element", "Advanced SIMD three-register
 * extension".
 */
import type {
  SIMD_BY_ELEMENT,
  SIMD_DOT_PRODUCT,
  SIMD_ROUNDING_MULTIPLY,
  SIMD_THREE_DIFFERENT,
} from '../encodings/simd-integer.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import {
  BHS,
  HS,
  isVector,
  neighbours,
  setNarrowed,
  type Sizes,
  threeSameAccumulate,
  threeSameScalarAccumulate,
} from './simd-forms.ts';
import { type Half, Lanes, type Saturated } from './vector-lanes.ts';
import { pickLanes, times, type Vector } from './vector-permute.ts';
import { setResult, setV, vectorBits } from './vector-registers.ts';

type Result = Vector | Saturated;

// Operations on lanes

/** High half of the doubled product, saturated; `rounding` adds half of a unit. */
export function doublingMultiplyHigh(l: Lanes, a: Vector, b: Vector, rounding: boolean): Saturated {
  const wide = l.wider;
  return narrowSaturated(l, half => {
    const product = l.mulWide(half, true, a, b);
    return rounding ? wide.shrRounded(true, product, l.bits - 1) : wide.shrS(product, l.bits - 1);
  });
}

/** High half of `d` in the high half plus or minus the doubled product, rounded and saturated. */
function roundingMultiplyAccumulate(l: Lanes, d: Vector, a: Vector, b: Vector, subtract: boolean): Saturated {
  const wide = l.wider;
  return narrowSaturated(l, half => {
    const addend = wide.shl(l.widen(half, true, d), l.bits - 1);
    const product = l.mulWide(half, true, a, b);
    const sum = subtract ? wide.sub(addend, product) : wide.add(addend, product);
    return wide.shrRounded(true, sum, l.bits - 1);
  });
}

/** Computes both halves twice as wide, and saturates them back. */
function narrowSaturated(l: Lanes, compute: (half: Half) => Vector): Saturated {
  const low = l.wider.clampToNarrower(compute('low'), true, true);
  const high = l.wider.clampToNarrower(compute('high'), true, true);
  return { value: l.narrow(low.value, high.value), saturated: l.narrow(low.saturated, high.saturated) };
}

/** Doubled product of one half, saturated. */
function doublingMultiplyLong(l: Lanes, half: Half, a: Vector, b: Vector): Saturated {
  const product = l.mulWide(half, true, a, b);
  return l.wider.addSaturated(true, product, product);
}

function doublingMultiplyAccumulateLong(subtract: boolean): LongAccumulate {
  return (l, half, d, a, b) => {
    const product = doublingMultiplyLong(l, half, a, b);
    const sum = subtract ? l.wider.subSaturated(true, d, product.value) : l.wider.addSaturated(true, d, product.value);
    return { value: sum.value, saturated: l.or(product.saturated, sum.saturated) };
  };
}

/** Products of polynomials over {0, 1} of one half. */
function polynomialMultiplyLong(l: Lanes, half: Half, a: Vector, b: Vector): Vector {
  const wide = l.wider;
  const left = l.widen(half, false, a);
  const right = l.widen(half, false, b);
  let product = wide.zero;
  for (let bit = 0; bit < l.bits; bit++) {
    const isSet = wide.isNegative(wide.shl(right, wide.bits - 1 - bit));
    product = wide.xor(product, wide.and(wide.shl(left, bit), isSet));
  }
  return product;
}

// Three different: the operands' half is the low one, or with Q (`…2`) the high one

interface DifferentFields {
  readonly q: number;
  readonly size: number;
  readonly rm: number;
  readonly rn: number;
  readonly rd: number;
}
type Long = (l: Lanes, half: Half, a: Vector, b: Vector) => Result;
type LongAccumulate = (l: Lanes, half: Half, d: Vector, a: Vector, b: Vector) => Result;

const halfOf = (q: number): Half => (q ? 'high' : 'low');

function long(sizes: Sizes, op: Long) {
  return longAccumulate(sizes, (l, half, _, a, b) => op(l, half, a, b));
}

function longAccumulate([smallest, largest]: Sizes, op: LongAccumulate) {
  return (t: Translation, { q, size, rm, rn, rd }: DifferentFields): void => {
    if (size < smallest || size > largest) return t.undefined();
    setResult(t, rd, op(new Lanes(t.ir, size), halfOf(q), t.v(rd), t.v(rn), t.v(rm)), 128);
  };
}

function longScalar(op: LongAccumulate) {
  return (t: Translation, { size, rm, rn, rd }: Omit<DifferentFields, 'q'>): void => {
    if (size < 1 || size > 2) return t.undefined();
    setResult(t, rd, op(new Lanes(t.ir, size), 'low', t.v(rd), t.v(rn), t.v(rm)), 16 << size);
  };
}

/** High halves of sums or differences. */
function highNarrow(op: (wide: Lanes, a: Vector, b: Vector) => Vector, rounding: boolean) {
  return (t: Translation, { q, size, rm, rn, rd }: DifferentFields): void => {
    if (size > 2) return t.undefined();
    const l = new Lanes(t.ir, size);
    const wide = l.wider;
    const exact = op(wide, t.v(rn), t.v(rm));
    const rounded = rounding ? wide.add(exact, wide.constant(1n << BigInt(l.bits - 1))) : exact;
    setNarrowed(t, l, q, rd, wide.shrU(rounded, l.bits));
  };
}

const addLong =
  (signed: boolean): Long =>
  (l, half, a, b) =>
    l.wider.add(l.widen(half, signed, a), l.widen(half, signed, b));
const subLong =
  (signed: boolean): Long =>
  (l, half, a, b) =>
    l.wider.sub(l.widen(half, signed, a), l.widen(half, signed, b));
const addWide =
  (signed: boolean): Long =>
  (l, half, a, b) =>
    l.wider.add(a, l.widen(half, signed, b));
const subWide =
  (signed: boolean): Long =>
  (l, half, a, b) =>
    l.wider.sub(a, l.widen(half, signed, b));
const mulLong =
  (signed: boolean): Long =>
  (l, half, a, b) =>
    l.mulWide(half, signed, a, b);
const mulAddLong =
  (signed: boolean): LongAccumulate =>
  (l, half, d, a, b) =>
    l.wider.add(d, l.mulWide(half, signed, a, b));
const mulSubLong =
  (signed: boolean): LongAccumulate =>
  (l, half, d, a, b) =>
    l.wider.sub(d, l.mulWide(half, signed, a, b));
const distanceLong =
  (signed: boolean) =>
  (l: Lanes, half: Half, a: Vector, b: Vector): Vector =>
    l.widen(half, false, l.distance(signed, a, b));
const distanceAddLong =
  (signed: boolean): LongAccumulate =>
  (l, half, d, a, b) =>
    l.wider.add(d, distanceLong(signed)(l, half, a, b));
const sqdmull: LongAccumulate = (l, half, _, a, b) => doublingMultiplyLong(l, half, a, b);
const sqdmlal = doublingMultiplyAccumulateLong(false);
const sqdmlsl = doublingMultiplyAccumulateLong(true);
const addWhole = (l: Lanes, a: Vector, b: Vector): Vector => l.add(a, b);
const subWhole = (l: Lanes, a: Vector, b: Vector): Vector => l.sub(a, b);

export const threeDifferentSemantics: Semantics<typeof SIMD_THREE_DIFFERENT> = {
  'SADDL (vector)': long(BHS, addLong(true)),
  'SADDW (vector)': long(BHS, addWide(true)),
  'SSUBL (vector)': long(BHS, subLong(true)),
  'SSUBW (vector)': long(BHS, subWide(true)),
  'ADDHN (vector)': highNarrow(addWhole, false),
  'SABAL (vector)': longAccumulate(BHS, distanceAddLong(true)),
  'SUBHN (vector)': highNarrow(subWhole, false),
  'SABDL (vector)': long(BHS, distanceLong(true)),
  'SMLAL (vector)': longAccumulate(BHS, mulAddLong(true)),
  'SQDMLAL (vector)': longAccumulate(HS, sqdmlal),
  'SMLSL (vector)': longAccumulate(BHS, mulSubLong(true)),
  'SQDMLSL (vector)': longAccumulate(HS, sqdmlsl),
  'SMULL (vector)': long(BHS, mulLong(true)),
  'SQDMULL (vector)': longAccumulate(HS, sqdmull),
  'UADDL (vector)': long(BHS, addLong(false)),
  'UADDW (vector)': long(BHS, addWide(false)),
  'USUBL (vector)': long(BHS, subLong(false)),
  'USUBW (vector)': long(BHS, subWide(false)),
  'RADDHN (vector)': highNarrow(addWhole, true),
  'UABAL (vector)': longAccumulate(BHS, distanceAddLong(false)),
  'RSUBHN (vector)': highNarrow(subWhole, true),
  'UABDL (vector)': long(BHS, distanceLong(false)),
  'UMLAL (vector)': longAccumulate(BHS, mulAddLong(false)),
  'UMLSL (vector)': longAccumulate(BHS, mulSubLong(false)),
  'UMULL (vector)': long(BHS, mulLong(false)),
  'PMULL (8-bit)': (t, { q, rm, rn, rd }) =>
    t.setV(rd, polynomialMultiplyLong(new Lanes(t.ir, 0), halfOf(q), t.v(rn), t.v(rm))),
  'SQDMLAL (scalar)': longScalar(sqdmlal),
  'SQDMLSL (scalar)': longScalar(sqdmlsl),
  'SQDMULL (scalar)': longScalar(sqdmull),
};

// By element: the second operand is one lane of Vm in every lane

interface ElementFields {
  readonly size: number;
  readonly l: number;
  readonly m: number;
  readonly rm: number;
  readonly h: number;
  readonly rn: number;
  readonly rd: number;
}
type Same = (l: Lanes, d: Vector, a: Vector, b: Vector) => Result;

/** The selected lane of 16 or 32 bits in every lane. */
function element(t: Translation, lanes: Lanes, { l, m, rm, h }: ElementFields): Vector {
  const index = lanes.size === 1 ? (h << 2) | (l << 1) | m : (h << 1) | l;
  return lanes.broadcast(t.v(lanes.size === 1 ? rm : (m << 4) | rm), index);
}

function byElement(op: Same) {
  return (t: Translation, fields: ElementFields & { readonly q: number }): void => {
    if (!isVector(HS, fields.size, fields.q)) return t.undefined();
    const lanes = new Lanes(t.ir, fields.size);
    const result = op(lanes, t.v(fields.rd), t.v(fields.rn), element(t, lanes, fields));
    setResult(t, fields.rd, result, vectorBits(fields.q));
  };
}

function byElementScalar(op: Same) {
  return (t: Translation, fields: ElementFields): void => {
    if (fields.size < 1 || fields.size > 2) return t.undefined();
    const lanes = new Lanes(t.ir, fields.size);
    setResult(t, fields.rd, op(lanes, t.v(fields.rd), t.v(fields.rn), element(t, lanes, fields)), 8 << fields.size);
  };
}

function longByElement(op: LongAccumulate) {
  return (t: Translation, fields: ElementFields & { readonly q: number }): void => {
    if (fields.size < 1 || fields.size > 2) return t.undefined();
    const lanes = new Lanes(t.ir, fields.size);
    const result = op(lanes, halfOf(fields.q), t.v(fields.rd), t.v(fields.rn), element(t, lanes, fields));
    setResult(t, fields.rd, result, 128);
  };
}

function longByElementScalar(op: LongAccumulate) {
  return (t: Translation, fields: ElementFields): void => {
    if (fields.size < 1 || fields.size > 2) return t.undefined();
    const lanes = new Lanes(t.ir, fields.size);
    const result = op(lanes, 'low', t.v(fields.rd), t.v(fields.rn), element(t, lanes, fields));
    setResult(t, fields.rd, result, 16 << fields.size);
  };
}

const withoutD =
  (op: Long): LongAccumulate =>
  (l, half, _, a, b) =>
    op(l, half, a, b);
const sqdmulh: Same = (l, _, a, b) => doublingMultiplyHigh(l, a, b, false);
const sqrdmulh: Same = (l, _, a, b) => doublingMultiplyHigh(l, a, b, true);

export const byElementSemantics: Semantics<typeof SIMD_BY_ELEMENT> = {
  'SMLAL (by element, vector)': longByElement(mulAddLong(true)),
  'SQDMLAL (by element, vector)': longByElement(sqdmlal),
  'SMLSL (by element, vector)': longByElement(mulSubLong(true)),
  'SQDMLSL (by element, vector)': longByElement(sqdmlsl),
  'MUL (by element, vector)': byElement((l, _, a, b) => l.mul(a, b)),
  'SMULL (by element, vector)': longByElement(withoutD(mulLong(true))),
  'SQDMULL (by element, vector)': longByElement(sqdmull),
  'SQDMULH (by element, vector)': byElement(sqdmulh),
  'SQRDMULH (by element, vector)': byElement(sqrdmulh),
  'MLA (by element, vector)': byElement((l, d, a, b) => l.add(d, l.mul(a, b))),
  'UMLAL (by element, vector)': longByElement(mulAddLong(false)),
  'MLS (by element, vector)': byElement((l, d, a, b) => l.sub(d, l.mul(a, b))),
  'UMLSL (by element, vector)': longByElement(mulSubLong(false)),
  'UMULL (by element, vector)': longByElement(withoutD(mulLong(false))),
  'SQDMLAL (by element, scalar)': longByElementScalar(sqdmlal),
  'SQDMLSL (by element, scalar)': longByElementScalar(sqdmlsl),
  'SQDMULL (by element, scalar)': longByElementScalar(sqdmull),
  'SQDMULH (by element, scalar)': byElementScalar(sqdmulh),
  'SQRDMULH (by element, scalar)': byElementScalar(sqrdmulh),
};

// FEAT_RDM

const sqrdmlah: Same = (l, d, a, b) => roundingMultiplyAccumulate(l, d, a, b, false);
const sqrdmlsh: Same = (l, d, a, b) => roundingMultiplyAccumulate(l, d, a, b, true);

export const roundingMultiplySemantics: Semantics<typeof SIMD_ROUNDING_MULTIPLY> = {
  'SQRDMLAH (vector)': threeSameAccumulate(HS, sqrdmlah),
  'SQRDMLAH (scalar)': threeSameScalarAccumulate(HS, sqrdmlah),
  'SQRDMLSH (vector)': threeSameAccumulate(HS, sqrdmlsh),
  'SQRDMLSH (scalar)': threeSameScalarAccumulate(HS, sqrdmlsh),
  'SQRDMLAH (by element, vector)': byElement(sqrdmlah),
  'SQRDMLAH (by element, scalar)': byElementScalar(sqrdmlah),
  'SQRDMLSH (by element, vector)': byElement(sqrdmlsh),
  'SQRDMLSH (by element, scalar)': byElementScalar(sqrdmlsh),
};

// FEAT_DotProd

/** Adds to each word the sum of the products of its four bytes. */
function dotProduct(t: Translation, signed: boolean, d: Vector, a: Vector, b: Vector): Vector {
  const bytes = new Lanes(t.ir, 0);
  const words = new Lanes(t.ir, 2);
  const pairSums = (half: Half): Vector => new Lanes(t.ir, 1).addNeighbours(signed, bytes.mulWide(half, signed, a, b));
  const [even, odd] = neighbours(words, pairSums('low'), pairSums('high'), 1);
  return words.add(d, words.add(even, odd));
}

function dot(signed: boolean) {
  return (t: Translation, { q, size, rm, rn, rd }: DifferentFields): void => {
    if (size !== 2) return t.undefined();
    setV(t, rd, dotProduct(t, signed, t.v(rd), t.v(rn), t.v(rm)), vectorBits(q));
  };
}

function dotByElement(signed: boolean) {
  return (t: Translation, fields: ElementFields & { readonly q: number }): void => {
    const { q, size, l, m, rm, h, rn, rd } = fields;
    if (size !== 2) return t.undefined();
    const four = pickLanes(
      t.ir,
      2,
      [t.v((m << 4) | rm)],
      times(4, () => (h << 1) | l),
    );
    setV(t, rd, dotProduct(t, signed, t.v(rd), t.v(rn), four), vectorBits(q));
  };
}

export const dotProductSemantics: Semantics<typeof SIMD_DOT_PRODUCT> = {
  'SDOT (vector)': dot(true),
  'UDOT (vector)': dot(false),
  'SDOT (by element)': dotByElement(true),
  'UDOT (by element)': dotByElement(false),
};
