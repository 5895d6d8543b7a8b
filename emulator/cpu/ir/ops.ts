/**
 * The op table: every operation of the intermediate representation, with its types and effects.
 *
 * Pure ops carry WebAssembly's names and meaning (WebAssembly Core Specification "Numeric Instructions",
 * "Vector Instructions"), except that division is total: the ops here never trap. Validator, printer, evaluator and
 * Wasm emitter are records over these names, so that a missing op does not compile.
 */
import type { ValueType } from './types.ts';

/** What an op does besides computing its result. */
export type Effect =
  /** Result depends on the arguments and the immediate alone. */
  | 'pure'
  /** Reads CPU state. */
  | 'reads-state'
  /** Writes CPU state. */
  | 'writes-state'
  /** May leave the block with a guest fault: state must be precise before it. */
  | 'may-fault'
  /** A helper: effects are in its declaration. */
  | 'helper';

/** What the immediate of an op is; `none` for most. */
export type ImmediateKind = 'none' | 'i32' | 'i64' | 'v128' | 'lane' | 'shuffle' | 'field' | 'access' | 'helper';

interface OpSpec<
  P extends readonly ValueType[] = readonly ValueType[],
  R extends ValueType | 'none' = ValueType | 'none',
> {
  readonly params: P;
  readonly result: R;
  readonly effect: Effect;
  readonly immediate: ImmediateKind;
}

function pure<const P extends readonly ValueType[], const R extends ValueType>(
  params: P,
  result: R,
  immediate: ImmediateKind = 'none',
): OpSpec<P, R> {
  return { params, result, effect: 'pure', immediate };
}

const I32_UNARY = pure(['i32'], 'i32');
const I32_BINARY = pure(['i32', 'i32'], 'i32');
const I64_UNARY = pure(['i64'], 'i64');
const I64_BINARY = pure(['i64', 'i64'], 'i64');
const I64_COMPARE = pure(['i64', 'i64'], 'i32');
const V_UNARY = pure(['v128'], 'v128');
const V_BINARY = pure(['v128', 'v128'], 'v128');
const V_TERNARY = pure(['v128', 'v128', 'v128'], 'v128');
const V_SHIFT = pure(['v128', 'i32'], 'v128');
const V_TEST = pure(['v128'], 'i32');
const V_EXTRACT_32 = pure(['v128'], 'i32', 'lane');
const V_EXTRACT_64 = pure(['v128'], 'i64', 'lane');
const V_REPLACE_32 = pure(['v128', 'i32'], 'v128', 'lane');
const V_REPLACE_64 = pure(['v128', 'i64'], 'v128', 'lane');

/** Integer ops. */
export const INTEGER_OPS = {
  'i32.const': pure([], 'i32', 'i32'),
  'i32.eqz': I32_UNARY,
  'i32.clz': I32_UNARY,
  'i32.ctz': I32_UNARY,
  'i32.popcnt': I32_UNARY,
  'i32.extend8_s': I32_UNARY,
  'i32.extend16_s': I32_UNARY,
  'i32.add': I32_BINARY,
  'i32.sub': I32_BINARY,
  'i32.mul': I32_BINARY,
  /** Quotient rounded towards zero; x / 0 = 0 and the most negative / -1 = the most negative. */
  'i32.div_s': I32_BINARY,
  /** x / 0 = 0. */
  'i32.div_u': I32_BINARY,
  'i32.and': I32_BINARY,
  'i32.or': I32_BINARY,
  'i32.xor': I32_BINARY,
  /** Shifts and rotations take the amount modulo the width. */
  'i32.shl': I32_BINARY,
  'i32.shr_s': I32_BINARY,
  'i32.shr_u': I32_BINARY,
  'i32.rotl': I32_BINARY,
  'i32.rotr': I32_BINARY,
  'i32.eq': I32_BINARY,
  'i32.ne': I32_BINARY,
  'i32.lt_s': I32_BINARY,
  'i32.lt_u': I32_BINARY,
  'i32.gt_s': I32_BINARY,
  'i32.gt_u': I32_BINARY,
  'i32.le_s': I32_BINARY,
  'i32.le_u': I32_BINARY,
  'i32.ge_s': I32_BINARY,
  'i32.ge_u': I32_BINARY,
  'i32.wrap_i64': pure(['i64'], 'i32'),
  /** select(condition, a, b): a when the condition is not 0, else b. */
  'i32.select': pure(['i32', 'i32', 'i32'], 'i32'),

  'i64.const': pure([], 'i64', 'i64'),
  'i64.eqz': pure(['i64'], 'i32'),
  'i64.clz': I64_UNARY,
  'i64.ctz': I64_UNARY,
  'i64.popcnt': I64_UNARY,
  'i64.extend8_s': I64_UNARY,
  'i64.extend16_s': I64_UNARY,
  'i64.extend32_s': I64_UNARY,
  'i64.add': I64_BINARY,
  'i64.sub': I64_BINARY,
  'i64.mul': I64_BINARY,
  'i64.div_s': I64_BINARY,
  'i64.div_u': I64_BINARY,
  'i64.and': I64_BINARY,
  'i64.or': I64_BINARY,
  'i64.xor': I64_BINARY,
  'i64.shl': I64_BINARY,
  'i64.shr_s': I64_BINARY,
  'i64.shr_u': I64_BINARY,
  'i64.rotl': I64_BINARY,
  'i64.rotr': I64_BINARY,
  'i64.eq': I64_COMPARE,
  'i64.ne': I64_COMPARE,
  'i64.lt_s': I64_COMPARE,
  'i64.lt_u': I64_COMPARE,
  'i64.gt_s': I64_COMPARE,
  'i64.gt_u': I64_COMPARE,
  'i64.le_s': I64_COMPARE,
  'i64.le_u': I64_COMPARE,
  'i64.ge_s': I64_COMPARE,
  'i64.ge_u': I64_COMPARE,
  'i64.extend_i32_s': pure(['i32'], 'i64'),
  'i64.extend_i32_u': pure(['i32'], 'i64'),
  'i64.select': pure(['i32', 'i64', 'i64'], 'i64'),
} as const satisfies Record<string, OpSpec>;

/** Vector ops; lane 0 is the lowest. */
export const VECTOR_OPS = {
  'v128.const': pure([], 'v128', 'v128'),
  'v128.select': pure(['i32', 'v128', 'v128'], 'v128'),
  'v128.not': V_UNARY,
  'v128.and': V_BINARY,
  'v128.andnot': V_BINARY,
  'v128.or': V_BINARY,
  'v128.xor': V_BINARY,
  /** bitselect(a, b, mask): bits of a where the mask is 1, of b where it is 0. */
  'v128.bitselect': V_TERNARY,
  'v128.any_true': V_TEST,
  'i8x16.shuffle': pure(['v128', 'v128'], 'v128', 'shuffle'),
  'i8x16.swizzle': V_BINARY,
  'i8x16.splat': pure(['i32'], 'v128'),
  'i16x8.splat': pure(['i32'], 'v128'),
  'i32x4.splat': pure(['i32'], 'v128'),
  'i64x2.splat': pure(['i64'], 'v128'),
  'i8x16.extract_lane_s': V_EXTRACT_32,
  'i8x16.extract_lane_u': V_EXTRACT_32,
  'i16x8.extract_lane_s': V_EXTRACT_32,
  'i16x8.extract_lane_u': V_EXTRACT_32,
  'i32x4.extract_lane': V_EXTRACT_32,
  'i64x2.extract_lane': V_EXTRACT_64,
  'i8x16.replace_lane': V_REPLACE_32,
  'i16x8.replace_lane': V_REPLACE_32,
  'i32x4.replace_lane': V_REPLACE_32,
  'i64x2.replace_lane': V_REPLACE_64,

  'i8x16.eq': V_BINARY,
  'i8x16.ne': V_BINARY,
  'i8x16.lt_s': V_BINARY,
  'i8x16.lt_u': V_BINARY,
  'i8x16.gt_s': V_BINARY,
  'i8x16.gt_u': V_BINARY,
  'i8x16.le_s': V_BINARY,
  'i8x16.le_u': V_BINARY,
  'i8x16.ge_s': V_BINARY,
  'i8x16.ge_u': V_BINARY,
  'i16x8.eq': V_BINARY,
  'i16x8.ne': V_BINARY,
  'i16x8.lt_s': V_BINARY,
  'i16x8.lt_u': V_BINARY,
  'i16x8.gt_s': V_BINARY,
  'i16x8.gt_u': V_BINARY,
  'i16x8.le_s': V_BINARY,
  'i16x8.le_u': V_BINARY,
  'i16x8.ge_s': V_BINARY,
  'i16x8.ge_u': V_BINARY,
  'i32x4.eq': V_BINARY,
  'i32x4.ne': V_BINARY,
  'i32x4.lt_s': V_BINARY,
  'i32x4.lt_u': V_BINARY,
  'i32x4.gt_s': V_BINARY,
  'i32x4.gt_u': V_BINARY,
  'i32x4.le_s': V_BINARY,
  'i32x4.le_u': V_BINARY,
  'i32x4.ge_s': V_BINARY,
  'i32x4.ge_u': V_BINARY,
  'i64x2.eq': V_BINARY,
  'i64x2.ne': V_BINARY,
  'i64x2.lt_s': V_BINARY,
  'i64x2.gt_s': V_BINARY,
  'i64x2.le_s': V_BINARY,
  'i64x2.ge_s': V_BINARY,

  'i8x16.abs': V_UNARY,
  'i8x16.neg': V_UNARY,
  'i8x16.popcnt': V_UNARY,
  'i8x16.all_true': V_TEST,
  'i8x16.bitmask': V_TEST,
  'i8x16.narrow_i16x8_s': V_BINARY,
  'i8x16.narrow_i16x8_u': V_BINARY,
  'i8x16.shl': V_SHIFT,
  'i8x16.shr_s': V_SHIFT,
  'i8x16.shr_u': V_SHIFT,
  'i8x16.add': V_BINARY,
  'i8x16.add_sat_s': V_BINARY,
  'i8x16.add_sat_u': V_BINARY,
  'i8x16.sub': V_BINARY,
  'i8x16.sub_sat_s': V_BINARY,
  'i8x16.sub_sat_u': V_BINARY,
  'i8x16.min_s': V_BINARY,
  'i8x16.min_u': V_BINARY,
  'i8x16.max_s': V_BINARY,
  'i8x16.max_u': V_BINARY,
  'i8x16.avgr_u': V_BINARY,

  'i16x8.extadd_pairwise_i8x16_s': V_UNARY,
  'i16x8.extadd_pairwise_i8x16_u': V_UNARY,
  'i16x8.abs': V_UNARY,
  'i16x8.neg': V_UNARY,
  'i16x8.q15mulr_sat_s': V_BINARY,
  'i16x8.all_true': V_TEST,
  'i16x8.bitmask': V_TEST,
  'i16x8.narrow_i32x4_s': V_BINARY,
  'i16x8.narrow_i32x4_u': V_BINARY,
  'i16x8.extend_low_i8x16_s': V_UNARY,
  'i16x8.extend_high_i8x16_s': V_UNARY,
  'i16x8.extend_low_i8x16_u': V_UNARY,
  'i16x8.extend_high_i8x16_u': V_UNARY,
  'i16x8.shl': V_SHIFT,
  'i16x8.shr_s': V_SHIFT,
  'i16x8.shr_u': V_SHIFT,
  'i16x8.add': V_BINARY,
  'i16x8.add_sat_s': V_BINARY,
  'i16x8.add_sat_u': V_BINARY,
  'i16x8.sub': V_BINARY,
  'i16x8.sub_sat_s': V_BINARY,
  'i16x8.sub_sat_u': V_BINARY,
  'i16x8.mul': V_BINARY,
  'i16x8.min_s': V_BINARY,
  'i16x8.min_u': V_BINARY,
  'i16x8.max_s': V_BINARY,
  'i16x8.max_u': V_BINARY,
  'i16x8.avgr_u': V_BINARY,
  'i16x8.extmul_low_i8x16_s': V_BINARY,
  'i16x8.extmul_high_i8x16_s': V_BINARY,
  'i16x8.extmul_low_i8x16_u': V_BINARY,
  'i16x8.extmul_high_i8x16_u': V_BINARY,

  'i32x4.extadd_pairwise_i16x8_s': V_UNARY,
  'i32x4.extadd_pairwise_i16x8_u': V_UNARY,
  'i32x4.abs': V_UNARY,
  'i32x4.neg': V_UNARY,
  'i32x4.all_true': V_TEST,
  'i32x4.bitmask': V_TEST,
  'i32x4.extend_low_i16x8_s': V_UNARY,
  'i32x4.extend_high_i16x8_s': V_UNARY,
  'i32x4.extend_low_i16x8_u': V_UNARY,
  'i32x4.extend_high_i16x8_u': V_UNARY,
  'i32x4.shl': V_SHIFT,
  'i32x4.shr_s': V_SHIFT,
  'i32x4.shr_u': V_SHIFT,
  'i32x4.add': V_BINARY,
  'i32x4.sub': V_BINARY,
  'i32x4.mul': V_BINARY,
  'i32x4.min_s': V_BINARY,
  'i32x4.min_u': V_BINARY,
  'i32x4.max_s': V_BINARY,
  'i32x4.max_u': V_BINARY,
  'i32x4.dot_i16x8_s': V_BINARY,
  'i32x4.extmul_low_i16x8_s': V_BINARY,
  'i32x4.extmul_high_i16x8_s': V_BINARY,
  'i32x4.extmul_low_i16x8_u': V_BINARY,
  'i32x4.extmul_high_i16x8_u': V_BINARY,

  'i64x2.abs': V_UNARY,
  'i64x2.neg': V_UNARY,
  'i64x2.all_true': V_TEST,
  'i64x2.bitmask': V_TEST,
  'i64x2.extend_low_i32x4_s': V_UNARY,
  'i64x2.extend_high_i32x4_s': V_UNARY,
  'i64x2.extend_low_i32x4_u': V_UNARY,
  'i64x2.extend_high_i32x4_u': V_UNARY,
  'i64x2.shl': V_SHIFT,
  'i64x2.shr_s': V_SHIFT,
  'i64x2.shr_u': V_SHIFT,
  'i64x2.add': V_BINARY,
  'i64x2.sub': V_BINARY,
  'i64x2.mul': V_BINARY,
  'i64x2.extmul_low_i32x4_s': V_BINARY,
  'i64x2.extmul_high_i32x4_s': V_BINARY,
  'i64x2.extmul_low_i32x4_u': V_BINARY,
  'i64x2.extmul_high_i32x4_u': V_BINARY,
} as const satisfies Record<string, OpSpec>;

/** Ops whose result depends on their arguments and immediate alone. */
export const PURE_OPS = { ...INTEGER_OPS, ...VECTOR_OPS };

/** Ops that touch CPU state, guest memory or the machine. */
export const EFFECT_OPS = {
  /** Guest-virtual address of the block's page plus the immediate (an i32 offset that may be negative or beyond the page). */
  pc: { params: [], result: 'i64', effect: 'pure', immediate: 'i32' },
  /** Instructions retired by all CPUs before this one. */
  retired: { params: [], result: 'i64', effect: 'reads-state', immediate: 'none' },
  /** Reads a state field; the result has the field's type. */
  get: { params: [], result: 'none', effect: 'reads-state', immediate: 'field' },
  /** Writes a state field. */
  set: { params: [], result: 'none', effect: 'writes-state', immediate: 'field' },
  /** Loads from guest-virtual memory, little-endian: up to 8 bytes zero-extended to i64, 16 bytes as v128. */
  load: { params: ['i64'], result: 'none', effect: 'may-fault', immediate: 'access' },
  /** Stores the low bytes of an i64, or a v128, little-endian. */
  store: { params: ['i64'], result: 'none', effect: 'may-fault', immediate: 'access' },
  /** Calls a helper declared in `execute/helper.ts`. */
  call: { params: [], result: 'none', effect: 'helper', immediate: 'helper' },
} as const satisfies Record<string, OpSpec>;

export type IntegerOpName = keyof typeof INTEGER_OPS;
export type VectorOpName = keyof typeof VECTOR_OPS;
export type PureOpName = keyof typeof PURE_OPS;
export type EffectOpName = keyof typeof EFFECT_OPS;
export type OpName = PureOpName | EffectOpName;

/** A row of the op table as passes see it. */
export interface Op extends OpSpec {
  readonly name: OpName;
  /** Position in the table: a dense index for dispatch tables. */
  readonly index: number;
}

/** Every op by name. */
export const OPS: Readonly<Record<OpName, Op>> = Object.fromEntries(
  Object.entries<OpSpec>({ ...PURE_OPS, ...EFFECT_OPS }).map(([name, spec], index) => [name, { ...spec, name, index }]),
) as Record<OpName, Op>;

type ResultOf<S> = S extends { readonly result: infer R extends ValueType } ? R : never;
type ParamsOf<S> = S extends { readonly params: infer P extends readonly ValueType[] } ? P : never;

/** Result type of a pure op. */
export type PureResult<N extends PureOpName> = ResultOf<(typeof PURE_OPS)[N]>;
/** Parameter types of a pure op. */
export type PureParams<N extends PureOpName> = ParamsOf<(typeof PURE_OPS)[N]>;
