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
type NumberArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

/** Two operands and a result, as lanes of one type. The memory is shared: operands are copied in, results copied out. */
interface Workspace<Lanes> {
  readonly a: Lanes;
  readonly b: Lanes;
  readonly result: Lanes;
}
type NumberLanes = Workspace<NumberArray>;

const WORKSPACE = new ArrayBuffer(48);
const A = new Uint8Array(WORKSPACE, 0, 16);
const B = new Uint8Array(WORKSPACE, 16, 16);
const RESULT = new Uint8Array(WORKSPACE, 32, 16);

function workspace<Lanes>(view: (offset: number) => Lanes): Workspace<Lanes> {
  return { a: view(0), b: view(16), result: view(32) };
}

const INT8 = workspace(offset => new Int8Array(WORKSPACE, offset, 16));
const UINT8 = workspace(offset => new Uint8Array(WORKSPACE, offset, 16));
const INT16 = workspace(offset => new Int16Array(WORKSPACE, offset, 8));
const UINT16 = workspace(offset => new Uint16Array(WORKSPACE, offset, 8));
const INT32 = workspace(offset => new Int32Array(WORKSPACE, offset, 4));
const UINT32 = workspace(offset => new Uint32Array(WORKSPACE, offset, 4));
const INT64 = workspace(offset => new BigInt64Array(WORKSPACE, offset, 2));

type NumberShape = 'i8x16' | 'i16x8' | 'i32x4';
type Shape = NumberShape | 'i64x2';

const SIGNED: Readonly<Record<NumberShape, NumberLanes>> = { i8x16: INT8, i16x8: INT16, i32x4: INT32 };
const UNSIGNED: Readonly<Record<NumberShape, NumberLanes>> = { i8x16: UINT8, i16x8: UINT16, i32x4: UINT32 };
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

/** Copies the operands into the workspace. */
function setOperands(a: JsValue | undefined, b: JsValue | undefined): void {
  A.set(bytesOf(a));
  if (b !== undefined) B.set(bytesOf(b));
}

// Lane mappers

function unary(lanes: NumberLanes, f: (a: number) => number): VectorEvaluator {
  return ([value]) => {
    setOperands(value, undefined);
    const { a, result } = lanes;
    for (let i = 0; i < a.length; i++) result[i] = f(a[i]!);
    return RESULT.slice();
  };
}

function binary(lanes: NumberLanes, f: (a: number, b: number) => number): VectorEvaluator {
  return ([left, right]) => {
    setOperands(left, right);
    const { a, b, result } = lanes;
    for (let i = 0; i < a.length; i++) result[i] = f(a[i]!, b[i]!);
    return RESULT.slice();
  };
}

function unary64(f: (a: bigint) => bigint): VectorEvaluator {
  return ([value]) => {
    setOperands(value, undefined);
    for (let i = 0; i < 2; i++) INT64.result[i] = f(INT64.a[i]!);
    return RESULT.slice();
  };
}

function binary64(f: (a: bigint, b: bigint) => bigint): VectorEvaluator {
  return ([left, right]) => {
    setOperands(left, right);
    for (let i = 0; i < 2; i++) INT64.result[i] = f(INT64.a[i]!, INT64.b[i]!);
    return RESULT.slice();
  };
}

/** A shift by a scalar taken modulo the lane's width. */
function shift(shape: NumberShape, lanes: NumberLanes, f: (a: number, amount: number) => number): VectorEvaluator {
  return (args, immediate) => {
    const amount = numberOf(args[1]) & (LANE_BITS[shape] - 1);
    return unary(lanes, lane => f(lane, amount))(args, immediate);
  };
}

function shift64(f: (a: bigint, amount: bigint) => bigint): VectorEvaluator {
  return (args, immediate) => {
    const amount = BigInt(numberOf(args[1]) & 63);
    return unary64(lane => f(lane, amount))(args, immediate);
  };
}

function bitwise(f: (a: number, b: number) => number): VectorEvaluator {
  return binary(INT32, f);
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
  narrow: NumberLanes,
  wide: NumberLanes,
  f: (a: NumberArray, b: NumberArray, lane: number) => number,
): VectorEvaluator {
  return ([a, b]) => {
    setOperands(a, b);
    for (let lane = 0; lane < wide.result.length; lane++) wide.result[lane] = f(narrow.a, narrow.b, lane);
    return RESULT.slice();
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
  { a, b }: NumberLanes,
  f: (a: readonly bigint[], b: readonly bigint[], lane: number) => bigint,
): VectorEvaluator {
  return ([left, right]) => {
    setOperands(left, right);
    const [first, second] = [Array.from(a, BigInt), Array.from(b, BigInt)];
    for (let i = 0; i < 2; i++) INT64.result[i] = f(first, second, i);
    return RESULT.slice();
  };
}

const WIDENING_64: Family<'i64x2', HalfName<'extend', 'i64x2'> | HalfName<'extmul', 'i64x2'>> = {
  'i64x2.extend_low_i32x4_s': widen64(INT32, (a, _, i) => a[i]!),
  'i64x2.extend_high_i32x4_s': widen64(INT32, (a, _, i) => a[2 + i]!),
  'i64x2.extend_low_i32x4_u': widen64(UINT32, (a, _, i) => a[i]!),
  'i64x2.extend_high_i32x4_u': widen64(UINT32, (a, _, i) => a[2 + i]!),
  'i64x2.extmul_low_i32x4_s': widen64(INT32, (a, b, i) => a[i]! * b[i]!),
  'i64x2.extmul_high_i32x4_s': widen64(INT32, (a, b, i) => a[2 + i]! * b[2 + i]!),
  'i64x2.extmul_low_i32x4_u': widen64(UINT32, (a, b, i) => a[i]! * b[i]!),
  'i64x2.extmul_high_i32x4_u': widen64(UINT32, (a, b, i) => a[2 + i]! * b[2 + i]!),
};

/** Narrows the lanes of both arguments, those of the first going to the low half. */
function narrowed(wide: NumberShape, narrow: NumberShape, clamp: typeof clampSigned): VectorEvaluator {
  const { a, b } = SIGNED[wide];
  const { result } = SIGNED[narrow];
  return ([left, right]) => {
    setOperands(left, right);
    for (let i = 0; i < a.length; i++) {
      result[i] = clamp(LANE_BITS[narrow], a[i]!);
      result[a.length + i] = clamp(LANE_BITS[narrow], b[i]!);
    }
    return RESULT.slice();
  };
}

// Lanes and permutations

function splat({ result }: NumberLanes): VectorEvaluator {
  return ([a]) => {
    result.fill(numberOf(a));
    return RESULT.slice();
  };
}

const splat64: VectorEvaluator = ([a]) => {
  INT64.result.fill(bigintOf(a));
  return RESULT.slice();
};

function extractLane({ a }: NumberLanes): VectorEvaluator {
  return ([value], lane) => {
    setOperands(value, undefined);
    return a[lane as number]!;
  };
}

const extractLane64: VectorEvaluator = ([value], lane) => {
  setOperands(value, undefined);
  return BigInt.asUintN(64, INT64.a[lane as number]!);
};

function replaceLane({ result }: NumberLanes): VectorEvaluator {
  return ([a, value], lane) => {
    RESULT.set(bytesOf(a));
    result[lane as number] = numberOf(value);
    return RESULT.slice();
  };
}

const replaceLane64: VectorEvaluator = ([a, value], lane) => {
  RESULT.set(bytesOf(a));
  INT64.result[lane as number] = bigintOf(value);
  return RESULT.slice();
};

const shuffle: VectorEvaluator = ([a, b], lanes) => {
  const left = bytesOf(a);
  const right = bytesOf(b);
  const result = new Uint8Array(16);
  for (let i = 0; i < 16; i++) {
    const lane = (lanes as Uint8Array)[i]!;
    result[i] = lane < 16 ? left[lane]! : right[lane - 16]!;
  }
  return result;
};

const swizzle: VectorEvaluator = ([a, indices]) => {
  const bytes = bytesOf(a);
  const picks = bytesOf(indices);
  const result = new Uint8Array(16);
  for (let i = 0; i < 16; i++) result[i] = bytes[picks[i]!] ?? 0;
  return result;
};

function popcount(value: number): number {
  let count = 0;
  for (let rest = value; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Evaluators of the vector ops by name. */
export const VECTOR_EVALUATORS: Readonly<Record<Exclude<VectorOpName, 'v128.const'>, VectorEvaluator>> = {
  'v128.select': ([condition, a, b]) => bytesOf(condition === 0 ? b : a),
  'v128.not': unary(INT32, a => ~a),
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
  'i8x16.splat': splat(INT8),
  'i16x8.splat': splat(INT16),
  'i32x4.splat': splat(INT32),
  'i64x2.splat': splat64,
  'i8x16.extract_lane_s': extractLane(INT8),
  'i8x16.extract_lane_u': extractLane(UINT8),
  'i16x8.extract_lane_s': extractLane(INT16),
  'i16x8.extract_lane_u': extractLane(UINT16),
  'i32x4.extract_lane': extractLane(INT32),
  'i64x2.extract_lane': extractLane64,
  'i8x16.replace_lane': replaceLane(INT8),
  'i16x8.replace_lane': replaceLane(INT16),
  'i32x4.replace_lane': replaceLane(INT32),
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

  'i8x16.popcnt': unary(UINT8, popcount),
  'i16x8.mul': binary(INT16, (a, b) => Math.imul(a, b)),
  'i32x4.mul': binary(INT32, (a, b) => Math.imul(a, b)),
  'i8x16.narrow_i16x8_s': narrowed('i16x8', 'i8x16', clampSigned),
  'i8x16.narrow_i16x8_u': narrowed('i16x8', 'i8x16', clampUnsigned),
  'i16x8.narrow_i32x4_s': narrowed('i32x4', 'i16x8', clampSigned),
  'i16x8.narrow_i32x4_u': narrowed('i32x4', 'i16x8', clampUnsigned),
  'i16x8.q15mulr_sat_s': binary(INT16, (a, b) => clampSigned(16, (a * b + 0x4000) >> 15)),
  'i32x4.dot_i16x8_s': widen(INT16, INT32, (a, b, i) => a[2 * i]! * b[2 * i]! + a[2 * i + 1]! * b[2 * i + 1]!),
};
