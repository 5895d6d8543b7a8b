/**
 * What the integer ops compute, on JavaScript values: an i32 is a signed number, an i64 an unsigned bigint below 2^64.
 *
 * Source: WebAssembly Core Specification "Integer Operations". Division is total (see the op table).
 */
import type { INTEGER_OPS, IntegerOpName } from './ops.ts';
import type { ValueType } from './types.ts';

type Js<T> = T extends 'i32' ? number : T extends 'i64' ? bigint : never;
type JsParams<P extends readonly ValueType[]> = { readonly [K in keyof P]: Js<P[K]> };
type Evaluator<N extends IntegerOpName> = (
  ...args: JsParams<(typeof INTEGER_OPS)[N]['params']>
) => Js<(typeof INTEGER_OPS)[N]['result']>;

/** The ops that have arguments: the constants have none. */
type ComputedName = Exclude<IntegerOpName, 'i32.const' | 'i64.const'>;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
const bool = (value: boolean): number => (value ? 1 : 0);

function ctz32(value: number): number {
  return value === 0 ? 32 : 31 - Math.clz32(value & -value);
}

function popcnt32(value: number): number {
  let count = 0;
  for (let rest = value; rest !== 0; rest &= rest - 1) count++;
  return count;
}

const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

function rotl64(value: bigint, amount: bigint): bigint {
  const n = amount & 63n;
  return u64((value << n) | (value >> (64n - n)));
}

/** Evaluators of the integer ops by name. */
export const INTEGER_EVALUATORS: { readonly [N in ComputedName]: Evaluator<N> } = {
  'i32.eqz': a => bool(a === 0),
  'i32.clz': a => Math.clz32(a),
  'i32.ctz': a => ctz32(a),
  'i32.popcnt': a => popcnt32(a),
  'i32.extend8_s': a => (a << 24) >> 24,
  'i32.extend16_s': a => (a << 16) >> 16,
  'i32.add': (a, b) => (a + b) | 0,
  'i32.sub': (a, b) => (a - b) | 0,
  'i32.mul': (a, b) => Math.imul(a, b),
  'i32.div_s': (a, b) => (b === 0 ? 0 : (a / b) | 0),
  'i32.div_u': (a, b) => (b === 0 ? 0 : ((a >>> 0) / (b >>> 0)) | 0),
  'i32.and': (a, b) => a & b,
  'i32.or': (a, b) => a | b,
  'i32.xor': (a, b) => a ^ b,
  'i32.shl': (a, b) => a << b,
  'i32.shr_s': (a, b) => a >> b,
  'i32.shr_u': (a, b) => (a >>> b) | 0,
  'i32.rotl': (a, b) => (a << b) | (a >>> (32 - (b & 31))),
  'i32.rotr': (a, b) => (a >>> b) | (a << (32 - (b & 31))),
  'i32.eq': (a, b) => bool(a === b),
  'i32.ne': (a, b) => bool(a !== b),
  'i32.lt_s': (a, b) => bool(a < b),
  'i32.lt_u': (a, b) => bool(a >>> 0 < b >>> 0),
  'i32.gt_s': (a, b) => bool(a > b),
  'i32.gt_u': (a, b) => bool(a >>> 0 > b >>> 0),
  'i32.le_s': (a, b) => bool(a <= b),
  'i32.le_u': (a, b) => bool(a >>> 0 <= b >>> 0),
  'i32.ge_s': (a, b) => bool(a >= b),
  'i32.ge_u': (a, b) => bool(a >>> 0 >= b >>> 0),
  'i32.wrap_i64': a => low(a),
  'i32.select': (condition, a, b) => (condition === 0 ? b : a),
  'i64.eqz': a => bool(a === 0n),
  'i64.clz': a => BigInt(high(a) === 0 ? 32 + Math.clz32(low(a)) : Math.clz32(high(a))),
  'i64.ctz': a => BigInt(low(a) === 0 ? 32 + ctz32(high(a)) : ctz32(low(a))),
  'i64.popcnt': a => BigInt(popcnt32(low(a)) + popcnt32(high(a))),
  'i64.extend8_s': a => u64(BigInt.asIntN(8, a)),
  'i64.extend16_s': a => u64(BigInt.asIntN(16, a)),
  'i64.extend32_s': a => u64(BigInt.asIntN(32, a)),
  'i64.add': (a, b) => u64(a + b),
  'i64.sub': (a, b) => u64(a - b),
  'i64.mul': (a, b) => u64(a * b),
  'i64.div_s': (a, b) => (b === 0n ? 0n : u64(s64(a) / s64(b))),
  'i64.div_u': (a, b) => (b === 0n ? 0n : a / b),
  'i64.and': (a, b) => a & b,
  'i64.or': (a, b) => a | b,
  'i64.xor': (a, b) => a ^ b,
  'i64.shl': (a, b) => u64(a << (b & 63n)),
  'i64.shr_s': (a, b) => u64(s64(a) >> (b & 63n)),
  'i64.shr_u': (a, b) => a >> (b & 63n),
  'i64.rotl': rotl64,
  'i64.rotr': (a, b) => rotl64(a, 64n - (b & 63n)),
  'i64.eq': (a, b) => bool(a === b),
  'i64.ne': (a, b) => bool(a !== b),
  'i64.lt_s': (a, b) => bool(s64(a) < s64(b)),
  'i64.lt_u': (a, b) => bool(a < b),
  'i64.gt_s': (a, b) => bool(s64(a) > s64(b)),
  'i64.gt_u': (a, b) => bool(a > b),
  'i64.le_s': (a, b) => bool(s64(a) <= s64(b)),
  'i64.le_u': (a, b) => bool(a <= b),
  'i64.ge_s': (a, b) => bool(s64(a) >= s64(b)),
  'i64.ge_u': (a, b) => bool(a >= b),
  'i64.extend_i32_s': a => u64(BigInt(a)),
  'i64.extend_i32_u': a => BigInt(a >>> 0),
  'i64.select': (condition, a, b) => (condition === 0 ? b : a),
};
