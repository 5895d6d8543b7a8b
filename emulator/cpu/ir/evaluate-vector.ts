/**
 * What the vector ops compute, on JavaScript values: a v128 is a Uint8Array of 16 bytes, lowest first, never changed in place.
 *
 * Source: WebAssembly Core Specification "Vector Instructions".
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { VectorOpName } from './ops.ts';

/** A value of any type: i32 as a signed number, i64 as an unsigned bigint, v128 as 16 bytes. */
export type JsValue = number | bigint | Uint8Array;

/** Computes a vector op; `immediate` is the lane number, or the lanes of a shuffle. */
export type VectorEvaluator = (args: readonly JsValue[], immediate: unknown) => JsValue;

/** A family of ops for one shape: names without it. */
type Family<Shape extends string, Name extends string> = Readonly<Record<`${Shape}.${Name}`, VectorEvaluator>>;

/** The lanes of a vector as a typed array, whose stores wrap to the lane's width. */
type LaneArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;
type LaneArrayType = new (source: number | ArrayBuffer) => LaneArray;

type NumberShape = 'i8x16' | 'i16x8' | 'i32x4';
type Shape = NumberShape | 'i64x2';

const SIGNED: Readonly<Record<NumberShape, LaneArrayType>> = { i8x16: Int8Array, i16x8: Int16Array, i32x4: Int32Array };
const UNSIGNED: Readonly<Record<NumberShape, LaneArrayType>> = {
  i8x16: Uint8Array,
  i16x8: Uint16Array,
  i32x4: Uint32Array,
};
const LANE_BITS: Readonly<Record<Shape, number>> = { i8x16: 8, i16x8: 16, i32x4: 32, i64x2: 64 };

// Arguments and results

function bytesOf(value: JsValue | undefined): Uint8Array {
  assert(value instanceof Uint8Array, 'the argument is a v128');
  return value;
}

function numberOf(value: JsValue | undefined): number {
  assert(typeof value === 'number', 'the argument is an i32');
  return value;
}

function bigintOf(value: JsValue | undefined): bigint {
  assert(typeof value === 'bigint', 'the argument is an i64');
  return value;
}

/** A copy of the vector's lanes: `value` may be an unaligned view of memory. */
function lanesOf(value: JsValue | undefined, type: LaneArrayType): LaneArray {
  return new type(bytesOf(value).slice().buffer);
}

function bigLanesOf(value: JsValue | undefined): BigInt64Array {
  return new BigInt64Array(bytesOf(value).slice().buffer);
}

function toBytes(lanes: LaneArray | BigInt64Array): Uint8Array {
  return new Uint8Array(lanes.buffer);
}

// Lane mappers

function unary(type: LaneArrayType, f: (a: number) => number): VectorEvaluator {
  return ([a]) => {
    const lanes = lanesOf(a, type);
    lanes.forEach((lane, i) => (lanes[i] = f(lane)));
    return toBytes(lanes);
  };
}

function binary(type: LaneArrayType, f: (a: number, b: number) => number): VectorEvaluator {
  return ([a, b]) => {
    const lanes = lanesOf(a, type);
    const others = lanesOf(b, type);
    lanes.forEach((lane, i) => (lanes[i] = f(lane, others[i]!)));
    return toBytes(lanes);
  };
}

function unary64(f: (a: bigint) => bigint): VectorEvaluator {
  return ([a]) => {
    const lanes = bigLanesOf(a);
    lanes.forEach((lane, i) => (lanes[i] = f(lane)));
    return toBytes(lanes);
  };
}

function binary64(f: (a: bigint, b: bigint) => bigint): VectorEvaluator {
  return ([a, b]) => {
    const lanes = bigLanesOf(a);
    const others = bigLanesOf(b);
    lanes.forEach((lane, i) => (lanes[i] = f(lane, others[i]!)));
    return toBytes(lanes);
  };
}

/** A shift by a scalar taken modulo the lane's width. */
function shift(shape: NumberShape, type: LaneArrayType, f: (a: number, amount: number) => number): VectorEvaluator {
  return (args, immediate) => {
    const amount = numberOf(args[1]) & (LANE_BITS[shape] - 1);
    return unary(type, lane => f(lane, amount))(args, immediate);
  };
}

function shift64(f: (a: bigint, amount: bigint) => bigint): VectorEvaluator {
  return (args, immediate) => {
    const amount = BigInt(numberOf(args[1]) & 63);
    return unary64(lane => f(lane, amount))(args, immediate);
  };
}

function bitwise(f: (a: number, b: number) => number): VectorEvaluator {
  return binary(Int32Array, f);
}

// Families of ops

type CompareName<S extends Shape> =
  'eq' | 'ne' | 'lt_s' | 'gt_s' | 'le_s' | 'ge_s' | (S extends NumberShape ? 'lt_u' | 'gt_u' | 'le_u' | 'ge_u' : never);

/** All ones where the comparison holds. */
const mask = (holds: boolean): number => (holds ? -1 : 0);
const mask64 = (holds: boolean): bigint => (holds ? -1n : 0n);

function comparisons<S extends NumberShape>(shape: S): Family<S, CompareName<S>> {
  const signed = SIGNED[shape];
  const unsigned = UNSIGNED[shape];
  return {
    [`${shape}.eq`]: binary(signed, (a, b) => mask(a === b)),
    [`${shape}.ne`]: binary(signed, (a, b) => mask(a !== b)),
    [`${shape}.lt_s`]: binary(signed, (a, b) => mask(a < b)),
    [`${shape}.lt_u`]: binary(unsigned, (a, b) => mask(a < b)),
    [`${shape}.gt_s`]: binary(signed, (a, b) => mask(a > b)),
    [`${shape}.gt_u`]: binary(unsigned, (a, b) => mask(a > b)),
    [`${shape}.le_s`]: binary(signed, (a, b) => mask(a <= b)),
    [`${shape}.le_u`]: binary(unsigned, (a, b) => mask(a <= b)),
    [`${shape}.ge_s`]: binary(signed, (a, b) => mask(a >= b)),
    [`${shape}.ge_u`]: binary(unsigned, (a, b) => mask(a >= b)),
  } as Family<S, CompareName<S>>;
}

const COMPARISONS_64: Family<'i64x2', CompareName<'i64x2'>> = {
  'i64x2.eq': binary64((a, b) => mask64(a === b)),
  'i64x2.ne': binary64((a, b) => mask64(a !== b)),
  'i64x2.lt_s': binary64((a, b) => mask64(a < b)),
  'i64x2.gt_s': binary64((a, b) => mask64(a > b)),
  'i64x2.le_s': binary64((a, b) => mask64(a <= b)),
  'i64x2.ge_s': binary64((a, b) => mask64(a >= b)),
};

type ArithmeticName = 'abs' | 'neg' | 'add' | 'sub' | 'shl' | 'shr_s' | 'shr_u';

function arithmetic<S extends NumberShape>(
  shape: S,
): Family<S, ArithmeticName | 'min_s' | 'min_u' | 'max_s' | 'max_u'> {
  const signed = SIGNED[shape];
  const unsigned = UNSIGNED[shape];
  return {
    [`${shape}.abs`]: unary(signed, a => Math.abs(a)),
    [`${shape}.neg`]: unary(signed, a => -a),
    [`${shape}.add`]: binary(signed, (a, b) => a + b),
    [`${shape}.sub`]: binary(signed, (a, b) => a - b),
    [`${shape}.shl`]: shift(shape, signed, (a, amount) => a << amount),
    [`${shape}.shr_s`]: shift(shape, signed, (a, amount) => a >> amount),
    [`${shape}.shr_u`]: shift(shape, unsigned, (a, amount) => a >>> amount),
    [`${shape}.min_s`]: binary(signed, (a, b) => Math.min(a, b)),
    [`${shape}.min_u`]: binary(unsigned, (a, b) => Math.min(a, b)),
    [`${shape}.max_s`]: binary(signed, (a, b) => Math.max(a, b)),
    [`${shape}.max_u`]: binary(unsigned, (a, b) => Math.max(a, b)),
  } as Family<S, ArithmeticName | 'min_s' | 'min_u' | 'max_s' | 'max_u'>;
}

const ARITHMETIC_64: Family<'i64x2', ArithmeticName | 'mul'> = {
  'i64x2.abs': unary64(a => (a < 0n ? -a : a)),
  'i64x2.neg': unary64(a => -a),
  'i64x2.add': binary64((a, b) => a + b),
  'i64x2.sub': binary64((a, b) => a - b),
  'i64x2.mul': binary64((a, b) => a * b),
  'i64x2.shl': shift64((a, amount) => a << amount),
  'i64x2.shr_s': shift64((a, amount) => a >> amount),
  'i64x2.shr_u': shift64((a, amount) => BigInt.asUintN(64, a) >> amount),
};

type SaturatingName = 'add_sat_s' | 'add_sat_u' | 'sub_sat_s' | 'sub_sat_u' | 'avgr_u';

function clampSigned(bits: number, value: number): number {
  const limit = 2 ** (bits - 1);
  return Math.max(-limit, Math.min(limit - 1, value));
}

function clampUnsigned(bits: number, value: number): number {
  return Math.max(0, Math.min(2 ** bits - 1, value));
}

function saturating<S extends 'i8x16' | 'i16x8'>(shape: S): Family<S, SaturatingName> {
  const bits = LANE_BITS[shape];
  const signed = SIGNED[shape];
  const unsigned = UNSIGNED[shape];
  return {
    [`${shape}.add_sat_s`]: binary(signed, (a, b) => clampSigned(bits, a + b)),
    [`${shape}.add_sat_u`]: binary(unsigned, (a, b) => clampUnsigned(bits, a + b)),
    [`${shape}.sub_sat_s`]: binary(signed, (a, b) => clampSigned(bits, a - b)),
    [`${shape}.sub_sat_u`]: binary(unsigned, (a, b) => clampUnsigned(bits, a - b)),
    [`${shape}.avgr_u`]: binary(unsigned, (a, b) => (a + b + 1) >> 1),
  } as Family<S, SaturatingName>;
}

/** `all_true`, and `bitmask`: the lanes' sign bits. */
function tests<S extends Shape>(shape: S): Family<S, 'all_true' | 'bitmask'> {
  const size = LANE_BITS[shape] / 8;
  const split = (a: JsValue | undefined): Uint8Array[] =>
    Array.from({ length: 16 / size }, (_, lane) => bytesOf(a).subarray(lane * size, (lane + 1) * size));
  const rows: Record<string, VectorEvaluator> = {
    [`${shape}.all_true`]: ([a]) => (split(a).every(lane => lane.some(byte => byte !== 0)) ? 1 : 0),
    [`${shape}.bitmask`]: ([a]) => split(a).reduce((bits, lane, i) => bits | ((lane.at(-1)! >> 7) << i), 0),
  };
  return rows as Family<S, 'all_true' | 'bitmask'>;
}

// Widening and narrowing

type WideningShape = 'i16x8' | 'i32x4';
type NarrowOf<S extends Shape> = S extends 'i16x8' ? 'i8x16' : S extends 'i32x4' ? 'i16x8' : 'i32x4';
type HalfName<Op extends string, S extends Shape> = `${Op}_${'low' | 'high'}_${NarrowOf<S>}_${'s' | 'u'}`;
type PairName<S extends Shape> = `extadd_pairwise_${NarrowOf<S>}_${'s' | 'u'}`;

const NARROW: { readonly [S in WideningShape]: NarrowOf<S> } = { i16x8: 'i8x16', i32x4: 'i16x8' };

/** Builds each lane of `wide` by `f` from the arguments' narrow lanes and the lane's number. */
function widen(
  narrow: LaneArrayType,
  wide: LaneArrayType,
  f: (a: LaneArray, b: LaneArray, lane: number) => number,
): VectorEvaluator {
  return ([a, b]) => {
    const result = new wide(new ArrayBuffer(16));
    const left = lanesOf(a, narrow);
    const right = b === undefined ? left : lanesOf(b, narrow);
    for (let lane = 0; lane < result.length; lane++) result[lane] = f(left, right, lane);
    return toBytes(result);
  };
}

function widening<S extends WideningShape>(
  shape: S,
): Family<S, HalfName<'extend', S> | HalfName<'extmul', S> | PairName<S>> {
  const narrow = NARROW[shape];
  const wide = SIGNED[shape];
  const half = 128 / LANE_BITS[shape];
  const rows: Record<string, VectorEvaluator> = {};
  for (const [sign, type] of [
    ['s', SIGNED[narrow]],
    ['u', UNSIGNED[narrow]],
  ] as const) {
    rows[`${shape}.extadd_pairwise_${narrow}_${sign}`] = widen(type, wide, (a, _, i) => a[2 * i]! + a[2 * i + 1]!);
    for (const [name, first] of [
      ['low', 0],
      ['high', half],
    ] as const) {
      rows[`${shape}.extend_${name}_${narrow}_${sign}`] = widen(type, wide, (a, _, i) => a[first + i]!);
      rows[`${shape}.extmul_${name}_${narrow}_${sign}`] = widen(type, wide, (a, b, i) => a[first + i]! * b[first + i]!);
    }
  }
  return rows as Family<S, HalfName<'extend', S> | HalfName<'extmul', S> | PairName<S>>;
}

function widen64(
  type: LaneArrayType,
  f: (a: readonly bigint[], b: readonly bigint[], lane: number) => bigint,
): VectorEvaluator {
  const lanes = (value: JsValue): bigint[] => Array.from(lanesOf(value, type), BigInt);
  return ([a, b]) => {
    const left = lanes(a!);
    const right = b === undefined ? left : lanes(b);
    return toBytes(BigInt64Array.of(f(left, right, 0), f(left, right, 1)));
  };
}

const WIDENING_64: Family<'i64x2', HalfName<'extend', 'i64x2'> | HalfName<'extmul', 'i64x2'>> = {
  'i64x2.extend_low_i32x4_s': widen64(Int32Array, (a, _, i) => a[i]!),
  'i64x2.extend_high_i32x4_s': widen64(Int32Array, (a, _, i) => a[2 + i]!),
  'i64x2.extend_low_i32x4_u': widen64(Uint32Array, (a, _, i) => a[i]!),
  'i64x2.extend_high_i32x4_u': widen64(Uint32Array, (a, _, i) => a[2 + i]!),
  'i64x2.extmul_low_i32x4_s': widen64(Int32Array, (a, b, i) => a[i]! * b[i]!),
  'i64x2.extmul_high_i32x4_s': widen64(Int32Array, (a, b, i) => a[2 + i]! * b[2 + i]!),
  'i64x2.extmul_low_i32x4_u': widen64(Uint32Array, (a, b, i) => a[i]! * b[i]!),
  'i64x2.extmul_high_i32x4_u': widen64(Uint32Array, (a, b, i) => a[2 + i]! * b[2 + i]!),
};

/** Narrows the lanes of both arguments, those of the first going to the low half. */
function narrowed(wide: NumberShape, narrow: NumberShape, clamp: typeof clampSigned): VectorEvaluator {
  return ([a, b]) => {
    const result = new SIGNED[narrow](new ArrayBuffer(16));
    const left = lanesOf(a, SIGNED[wide]);
    const right = lanesOf(b, SIGNED[wide]);
    left.forEach((lane, i) => (result[i] = clamp(LANE_BITS[narrow], lane)));
    right.forEach((lane, i) => (result[left.length + i] = clamp(LANE_BITS[narrow], lane)));
    return toBytes(result);
  };
}

// Lanes and permutations

function splat(type: LaneArrayType): VectorEvaluator {
  return ([a]) => toBytes(new type(new ArrayBuffer(16)).fill(numberOf(a)));
}

function extractLane(type: LaneArrayType): VectorEvaluator {
  return ([a], lane) => lanesOf(a, type)[lane as number]!;
}

function replaceLane(type: LaneArrayType): VectorEvaluator {
  return ([a, value], lane) => {
    const lanes = lanesOf(a, type);
    lanes[lane as number] = numberOf(value);
    return toBytes(lanes);
  };
}

const shuffle: VectorEvaluator = ([a, b], lanes) => {
  const bytes = [...bytesOf(a), ...bytesOf(b)];
  return Uint8Array.from(lanes as Uint8Array, lane => bytes[lane]!);
};

const swizzle: VectorEvaluator = ([a, indices]) => {
  const bytes = bytesOf(a);
  return Uint8Array.from(bytesOf(indices), index => bytes[index] ?? 0);
};

const replaceLane64: VectorEvaluator = ([a, value], lane) => {
  const lanes = bigLanesOf(a);
  lanes[lane as number] = bigintOf(value);
  return toBytes(lanes);
};

function popcount(value: number): number {
  let count = 0;
  for (let rest = value; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Evaluators of the vector ops by name. */
export const VECTOR_EVALUATORS: Readonly<Record<Exclude<VectorOpName, 'v128.const'>, VectorEvaluator>> = {
  'v128.select': ([condition, a, b]) => bytesOf(condition === 0 ? b : a),
  'v128.not': unary(Int32Array, a => ~a),
  'v128.and': bitwise((a, b) => a & b),
  'v128.andnot': bitwise((a, b) => a & ~b),
  'v128.or': bitwise((a, b) => a | b),
  'v128.xor': bitwise((a, b) => a ^ b),
  'v128.bitselect': ([a, b, select]) => {
    const left = bytesOf(a);
    const right = bytesOf(b);
    return bytesOf(select).map((bits, i) => (left[i]! & bits) | (right[i]! & ~bits));
  },
  'v128.any_true': ([a]) => (bytesOf(a).some(byte => byte !== 0) ? 1 : 0),

  'i8x16.shuffle': shuffle,
  'i8x16.swizzle': swizzle,
  'i8x16.splat': splat(Int8Array),
  'i16x8.splat': splat(Int16Array),
  'i32x4.splat': splat(Int32Array),
  'i64x2.splat': ([a]) => toBytes(BigInt64Array.of(bigintOf(a), bigintOf(a))),
  'i8x16.extract_lane_s': extractLane(Int8Array),
  'i8x16.extract_lane_u': extractLane(Uint8Array),
  'i16x8.extract_lane_s': extractLane(Int16Array),
  'i16x8.extract_lane_u': extractLane(Uint16Array),
  'i32x4.extract_lane': extractLane(Int32Array),
  'i64x2.extract_lane': ([a], lane) => BigInt.asUintN(64, bigLanesOf(a)[lane as number]!),
  'i8x16.replace_lane': replaceLane(Int8Array),
  'i16x8.replace_lane': replaceLane(Int16Array),
  'i32x4.replace_lane': replaceLane(Int32Array),
  'i64x2.replace_lane': replaceLane64,

  ...comparisons('i8x16'),
  ...comparisons('i16x8'),
  ...comparisons('i32x4'),
  ...COMPARISONS_64,
  ...arithmetic('i8x16'),
  ...arithmetic('i16x8'),
  ...arithmetic('i32x4'),
  ...ARITHMETIC_64,
  ...saturating('i8x16'),
  ...saturating('i16x8'),
  ...tests('i8x16'),
  ...tests('i16x8'),
  ...tests('i32x4'),
  ...tests('i64x2'),
  ...widening('i16x8'),
  ...widening('i32x4'),
  ...WIDENING_64,

  'i8x16.popcnt': unary(Uint8Array, popcount),
  'i16x8.mul': binary(Int16Array, (a, b) => Math.imul(a, b)),
  'i32x4.mul': binary(Int32Array, (a, b) => Math.imul(a, b)),
  'i8x16.narrow_i16x8_s': narrowed('i16x8', 'i8x16', clampSigned),
  'i8x16.narrow_i16x8_u': narrowed('i16x8', 'i8x16', clampUnsigned),
  'i16x8.narrow_i32x4_s': narrowed('i32x4', 'i16x8', clampSigned),
  'i16x8.narrow_i32x4_u': narrowed('i32x4', 'i16x8', clampUnsigned),
  'i16x8.q15mulr_sat_s': binary(Int16Array, (a, b) => clampSigned(16, (a * b + 0x4000) >> 15)),
  'i32x4.dot_i16x8_s': widen(
    Int16Array,
    Int32Array,
    (a, b, i) => a[2 * i]! * b[2 * i]! + a[2 * i + 1]! * b[2 * i + 1]!,
  ),
};
