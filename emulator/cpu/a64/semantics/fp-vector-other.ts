/**
 * Meaning of the vector floating-point instructions whose lanes do not match one to one: by element, across lanes, widening, narrowing,
 * complex, fixed-point.
 *
 * Source: Arm ARM DDI 0487 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type { Value } from '../../ir/block.ts';
import type {
  FP_ACROSS_LANES,
  FP_ACROSS_LANES_HALF,
  FP_BY_ELEMENT,
  FP_BY_ELEMENT_HALF,
  FP_LANE_FIXED,
  FP_VECTOR_COMPLEX,
  FP_VECTOR_CONVERT,
  FP_VECTOR_FIXED,
  FP_VECTOR_HALF_MULTIPLY,
} from '../encodings/fp-vector.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { fromLanes, type LaneOperation, mapLanes } from './fp-lanes.ts';
import {
  convertToOdd,
  estimateUnsigned,
  estimateUnsignedRoot,
  FP_ROUNDING,
  fpBinary,
  type FpBinary,
  fpConvert,
  fpFromFixed,
  fpMultiplyAdd,
  fpNegate,
  fpToFixed,
  type FpValue,
  multiplyAddHalf,
} from './fp-operations.ts';
import { setFpRegister } from './fp-scalar.ts';
import { rightAmount, sizeOfImmh } from './simd-shift-immediate.ts';
import { joinHalves, times, type Vector } from './vector-permute.ts';
import { lane, setV, vectorBits } from './vector-registers.ts';

// By element

interface ElementFields {
  readonly sz?: number;
  readonly l: number;
  readonly m: number;
  readonly rm: number;
  readonly h: number;
  readonly rn: number;
  readonly rd: number;
}

/** The selected lane of Vm; `undefined` where the encoding does not exist. */
function elementOf(t: Translation, { sz, l, m, rm, h }: ElementFields): FpValue | undefined {
  const vm = t.v((m << 4) | rm);
  if (sz === undefined) return lane(t.ir, 1, t.v(rm), (h << 2) | (l << 1) | m);
  if (sz === 0) return lane(t.ir, 2, vm, (h << 1) | l);
  return l ? undefined : lane(t.ir, 3, vm, h);
}

const sizeOf = ({ sz }: { readonly sz?: number }): number => (sz === undefined ? 1 : 2 + sz);

function byElement(op: LaneOperation) {
  return (t: Translation, fields: ElementFields & { readonly q: number }): void => {
    const size = sizeOf(fields);
    const element = elementOf(t, fields);
    if (element === undefined || (size === 3 && !fields.q)) return t.undefined();
    const bits = vectorBits(fields.q);
    const withElement: LaneOperation = (_, __, a, d) => op(t, size, a, element, d);
    setV(t, fields.rd, mapLanes(t, size, bits, withElement, [t.v(fields.rn), t.v(fields.rd)]), bits);
  };
}

function byElementScalar(op: LaneOperation) {
  return (t: Translation, fields: ElementFields): void => {
    const size = sizeOf(fields);
    const element = elementOf(t, fields);
    if (element === undefined) return t.undefined();
    const withElement: LaneOperation = (_, __, a, d) => op(t, size, a, element, d);
    t.setV(fields.rd, mapLanes(t, size, 8 << size, withElement, [t.v(fields.rn), t.v(fields.rd)]));
  };
}

const fmla: LaneOperation = (t, size, a, b, d) => fpMultiplyAdd(t, size, d, a, b);
const fmls: LaneOperation = (t, size, a, b, d) => fpMultiplyAdd(t, size, d, fpNegate(t, size, a), b);
const fmul: LaneOperation = (t, size, a, b) => fpBinary(t, 'mul', size, a, b);
const fmulx: LaneOperation = (t, size, a, b) => fpBinary(t, 'mulx', size, a, b);

export const fpByElementSemantics: Semantics<typeof FP_BY_ELEMENT> = {
  'FMLA (by element, vector)': byElement(fmla),
  'FMLS (by element, vector)': byElement(fmls),
  'FMUL (by element, vector)': byElement(fmul),
  'FMULX (by element, vector)': byElement(fmulx),
  'FMLA (by element, scalar)': byElementScalar(fmla),
  'FMLS (by element, scalar)': byElementScalar(fmls),
  'FMUL (by element, scalar)': byElementScalar(fmul),
  'FMULX (by element, scalar)': byElementScalar(fmulx),
};

export const fpByElementHalfSemantics: Semantics<typeof FP_BY_ELEMENT_HALF> = {
  'FMLA (by element, vector, half)': byElement(fmla),
  'FMLS (by element, vector, half)': byElement(fmls),
  'FMUL (by element, vector, half)': byElement(fmul),
  'FMULX (by element, vector, half)': byElement(fmulx),
  'FMLA (by element, scalar, half)': byElementScalar(fmla),
  'FMLS (by element, scalar, half)': byElementScalar(fmls),
  'FMUL (by element, scalar, half)': byElementScalar(fmul),
  'FMULX (by element, scalar, half)': byElementScalar(fmulx),
};

// Across lanes

/** Reduces numbers by halves: the lower half first, then the upper one. Source: Arm ARM DDI 0487 pseudocode "Reduce". */
function reduce(t: Translation, operation: FpBinary, size: number, lanes: readonly FpValue[]): FpValue {
  if (lanes.length === 1) return lanes[0]!;
  const half = lanes.length / 2;
  const low = reduce(t, operation, size, lanes.slice(0, half));
  return fpBinary(t, operation, size, low, reduce(t, operation, size, lanes.slice(half)));
}

function reduceLanes(t: Translation, operation: FpBinary, size: number, bits: number, rn: number, rd: number): void {
  const lanes = times(bits >> (size + 3), i => i).map(i => lane(t.ir, size, t.v(rn), i));
  setFpRegister(t, size, rd, reduce(t, operation, size, lanes));
}

interface AcrossFields {
  readonly q: number;
  readonly sz?: number;
  readonly rn: number;
  readonly rd: number;
}

/** Single precision exists for four lanes alone. */
function acrossLanes(operation: FpBinary) {
  return (t: Translation, { q, sz, rn, rd }: AcrossFields): void => {
    if (sz !== undefined && (sz || !q)) return t.undefined();
    reduceLanes(t, operation, sz === undefined ? 1 : 2, vectorBits(q), rn, rd);
  };
}

function pairOfLanes(operation: FpBinary) {
  return (t: Translation, fields: Omit<AcrossFields, 'q'>): void => {
    const size = sizeOf(fields);
    reduceLanes(t, operation, size, 16 << size, fields.rn, fields.rd);
  };
}

export const fpAcrossLanesSemantics: Semantics<typeof FP_ACROSS_LANES> = {
  FMAXNMV: acrossLanes('maxnm'),
  FMINNMV: acrossLanes('minnm'),
  FMAXV: acrossLanes('max'),
  FMINV: acrossLanes('min'),
  'FMAXNMP (scalar)': pairOfLanes('maxnm'),
  'FADDP (scalar)': pairOfLanes('add'),
  'FMAXP (scalar)': pairOfLanes('max'),
  'FMINNMP (scalar)': pairOfLanes('minnm'),
  'FMINP (scalar)': pairOfLanes('min'),
};

export const fpAcrossLanesHalfSemantics: Semantics<typeof FP_ACROSS_LANES_HALF> = {
  'FMAXNMV (half)': acrossLanes('maxnm'),
  'FMINNMV (half)': acrossLanes('minnm'),
  'FMAXV (half)': acrossLanes('max'),
  'FMINV (half)': acrossLanes('min'),
  'FMAXNMP (scalar, half)': pairOfLanes('maxnm'),
  'FADDP (scalar, half)': pairOfLanes('add'),
  'FMAXP (scalar, half)': pairOfLanes('max'),
  'FMINNMP (scalar, half)': pairOfLanes('minnm'),
  'FMINP (scalar, half)': pairOfLanes('min'),
};

// Between precisions

interface ConvertFields {
  readonly q: number;
  readonly sz: number;
  readonly rn: number;
  readonly rd: number;
}

/** Writes 64 bits of narrow lanes: to the low half, or with Q to the high half, keeping the low one. */
function setHalf(t: Translation, q: number, rd: number, narrow: Vector): void {
  t.setV(rd, q ? joinHalves(t.ir, t.v(rd), narrow) : narrow);
}

function narrow(t: Translation, { q, sz, rn, rd }: ConvertFields, convert: (a: FpValue) => FpValue): void {
  const wide = 2 + sz;
  const lanes = times(16 >> wide, i => i).map(i => convert(lane(t.ir, wide, t.v(rn), i)));
  setHalf(t, q, rd, fromLanes(t, wide - 1, lanes));
}

function estimate(helper: typeof estimateUnsigned) {
  return (t: Translation, { q, sz, rn, rd }: ConvertFields): void => {
    if (sz) return t.undefined();
    const bits = vectorBits(q);
    const op: LaneOperation = (_, __, a) => t.ir.call(helper, a as Value<'i32'>);
    setV(t, rd, mapLanes(t, 2, bits, op, [t.v(rn)]), bits);
  };
}

export const fpVectorConvertSemantics: Semantics<typeof FP_VECTOR_CONVERT> = {
  FCVTN: (t, fields) => narrow(t, fields, a => fpConvert(t, 2 + fields.sz, 1 + fields.sz, a)),
  FCVTL: (t, { q, sz, rn, rd }) => {
    const from = 1 + sz;
    const count = 8 >> from;
    const lanes = times(count, i => i + (q ? count : 0)).map(i => lane(t.ir, from, t.v(rn), i));
    t.setV(
      rd,
      fromLanes(
        t,
        from + 1,
        lanes.map(a => fpConvert(t, from, from + 1, a)),
      ),
    );
  },
  'FCVTXN (vector)': (t, fields) => {
    if (!fields.sz) return t.undefined();
    narrow(t, fields, a => t.ir.call(convertToOdd, a as Value<'i64'>));
  },
  'FCVTXN (scalar)': (t, { sz, rn, rd }) => {
    if (!sz) return t.undefined();
    setFpRegister(t, 2, rd, t.ir.call(convertToOdd, lane(t.ir, 3, t.v(rn), 0) as Value<'i64'>));
  },
  URECPE: estimate(estimateUnsigned),
  URSQRTE: estimate(estimateUnsignedRoot),
};

// FEAT_FHM: half-precision factors, single-precision sums

interface HalfMultiplyFields {
  readonly q: number;
  readonly rm: number;
  readonly rn: number;
  readonly rd: number;
}

/** @param factor half-precision lane of the second operand for lane `i` of the first */
function multiplyHalves(
  t: Translation,
  { q, rn, rd }: HalfMultiplyFields,
  subtract: boolean,
  upper: boolean,
  factor: (i: number) => FpValue,
): void {
  const count = q ? 4 : 2;
  const results = times(count, i => i).map(i => {
    const at = i + (upper ? count : 0);
    const a = lane(t.ir, 1, t.v(rn), at);
    const signed = subtract ? fpNegate(t, 1, a) : a;
    const d = lane(t.ir, 2, t.v(rd), i) as Value<'i32'>;
    return t.ir.call(multiplyAddHalf, d, signed as Value<'i32'>, factor(at) as Value<'i32'>);
  });
  t.setV(rd, fromLanes(t, 2, results));
}

function halfMultiply(subtract: boolean, upper: boolean) {
  return (t: Translation, fields: HalfMultiplyFields): void =>
    multiplyHalves(t, fields, subtract, upper, i => lane(t.ir, 1, t.v(fields.rm), i));
}

function halfMultiplyByElement(subtract: boolean, upper: boolean) {
  return (t: Translation, fields: ElementFields & { readonly q: number }): void => {
    const element = elementOf(t, fields)!;
    multiplyHalves(t, fields, subtract, upper, () => element);
  };
}

export const fpHalfMultiplySemantics: Semantics<typeof FP_VECTOR_HALF_MULTIPLY> = {
  'FMLAL (vector)': halfMultiply(false, false),
  'FMLSL (vector)': halfMultiply(true, false),
  'FMLAL2 (vector)': halfMultiply(false, true),
  'FMLSL2 (vector)': halfMultiply(true, true),
  'FMLAL (by element)': halfMultiplyByElement(false, false),
  'FMLSL (by element)': halfMultiplyByElement(true, false),
  'FMLAL2 (by element)': halfMultiplyByElement(false, true),
  'FMLSL2 (by element)': halfMultiplyByElement(true, true),
};

// FEAT_FCMA: pairs of lanes are complex numbers, the real part below

interface ComplexFields {
  readonly q: number;
  readonly size: number;
  readonly rn: number;
  readonly rd: number;
}

function isComplexSize(t: Translation, size: number, q: number): boolean {
  if (size === 0 || (size === 3 && !q)) return false;
  return size !== 1 || t.features.has('FEAT_FP16');
}

/** Computes each complex lane from its number; `f` gives the real and the imaginary part. */
function mapComplex(t: Translation, { q, size, rd }: ComplexFields, f: (pair: number) => [FpValue, FpValue]): void {
  const pairs = vectorBits(q) >> (size + 4);
  t.setV(rd, fromLanes(t, size, times(pairs, i => i).flatMap(f)));
}

/** Adds the product of `a` (by `rot`, its real or imaginary part) and the rotated `b` to the lanes of Vd. */
function complexMultiplyAdd(
  t: Translation,
  fields: ComplexFields & { readonly rot: number },
  b: (pair: number) => readonly [real: FpValue, imaginary: FpValue],
): void {
  const { size, rot, rn, rd } = fields;
  const signed = (negate: boolean, value: FpValue): FpValue => (negate ? fpNegate(t, size, value) : value);
  mapComplex(t, fields, pair => {
    const a = lane(t.ir, size, t.v(rn), 2 * pair + (rot & 1));
    const [real, imaginary] = b(pair);
    const [first, second] = rot & 1 ? [imaginary, real] : [real, imaginary];
    const d = (part: number): FpValue => lane(t.ir, size, t.v(rd), 2 * pair + part);
    const low = fpMultiplyAdd(t, size, d(0), a, signed(rot === 1 || rot === 2, first));
    return [low, fpMultiplyAdd(t, size, d(1), a, signed(rot >= 2, second))];
  });
}

export const fpComplexSemantics: Semantics<typeof FP_VECTOR_COMPLEX> = {
  FCADD: (t, fields) => {
    const { q, size, rm, rot, rn } = fields;
    if (!isComplexSize(t, size, q)) return t.undefined();
    const at = (n: number, i: number): FpValue => lane(t.ir, size, t.v(n), i);
    const signed = (negate: boolean, value: FpValue): FpValue => (negate ? fpNegate(t, size, value) : value);
    mapComplex(t, fields, pair => {
      const real = fpBinary(t, 'add', size, at(rn, 2 * pair), signed(rot === 0, at(rm, 2 * pair + 1)));
      return [real, fpBinary(t, 'add', size, at(rn, 2 * pair + 1), signed(rot === 1, at(rm, 2 * pair)))];
    });
  },
  FCMLA: (t, fields) => {
    if (!isComplexSize(t, fields.size, fields.q)) return t.undefined();
    const part = (i: number): FpValue => lane(t.ir, fields.size, t.v(fields.rm), i);
    complexMultiplyAdd(t, fields, pair => [part(2 * pair), part(2 * pair + 1)]);
  },
  'FCMLA (by element)': (t, fields) => {
    const { q, size, l, m, rm, h } = fields;
    const isValid = size === 1 ? !(h && !q) : size === 2 && !l && q === 1;
    if (!isValid || !isComplexSize(t, size, q)) return t.undefined();
    const index = size === 1 ? (h << 1) | l : h;
    const part = (i: number): FpValue => lane(t.ir, size, t.v((m << 4) | rm), 2 * index + i);
    const element = [part(0), part(1)] as const;
    complexMultiplyAdd(t, fields, () => element);
  },
};

// Fixed-point

interface FixedFields {
  readonly immh: number;
  readonly immb: number;
  readonly rn: number;
  readonly rd: number;
}

/** Size of the lanes: half precision needs FEAT_FP16, and there are no bytes. */
function fixedSize(t: Translation, immh: number): number | undefined {
  const size = sizeOfImmh(immh);
  return size < 1 || (size === 1 && !t.features.has('FEAT_FP16')) ? undefined : size;
}

type FixedOperation = (fractionBits: number) => LaneOperation;

const toFixed =
  (signed: boolean): FixedOperation =>
  fractionBits =>
  (t, size, a) => {
    const result = fpToFixed(t, size, a, { size, signed, rounding: FP_ROUNDING.zero, fractionBits });
    return size === 3 ? result : t.ir.toI32(result);
  };
const fromFixed =
  (signed: boolean): FixedOperation =>
  fractionBits =>
  (t, size, a) =>
    fpFromFixed(t, size, t.ir.toI64(a), { size, signed, rounding: FP_ROUNDING.current, fractionBits });

function vectorFixed(op: FixedOperation) {
  return (t: Translation, fields: FixedFields & { readonly q: number }): void => {
    const size = fixedSize(t, fields.immh);
    if (size === undefined || (size === 3 && !fields.q)) return t.undefined();
    const bits = vectorBits(fields.q);
    setV(t, fields.rd, mapLanes(t, size, bits, op(rightAmount(fields)), [t.v(fields.rn)]), bits);
  };
}

function laneFixed(op: FixedOperation) {
  return (t: Translation, fields: FixedFields): void => {
    const size = fixedSize(t, fields.immh);
    if (size === undefined) return t.undefined();
    t.setV(fields.rd, mapLanes(t, size, 8 << size, op(rightAmount(fields)), [t.v(fields.rn)]));
  };
}

export const fpVectorFixedSemantics: Semantics<typeof FP_VECTOR_FIXED> = {
  'SCVTF (fixed-point, vector)': vectorFixed(fromFixed(true)),
  'FCVTZS (fixed-point, vector)': vectorFixed(toFixed(true)),
  'UCVTF (fixed-point, vector)': vectorFixed(fromFixed(false)),
  'FCVTZU (fixed-point, vector)': vectorFixed(toFixed(false)),
};

export const fpLaneFixedSemantics: Semantics<typeof FP_LANE_FIXED> = {
  'SCVTF (fixed-point, scalar lane)': laneFixed(fromFixed(true)),
  'FCVTZS (fixed-point, scalar lane)': laneFixed(toFixed(true)),
  'UCVTF (fixed-point, scalar lane)': laneFixed(fromFixed(false)),
  'FCVTZU (fixed-point, scalar lane)': laneFixed(toFixed(false)),
};
