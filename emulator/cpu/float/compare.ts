/** Comparison, minimum and maximum. Source: Arm ARM DDI 0487 pseudocode "FPCompare", "FPMax", "FPMaxNum"; IEEE 754-2019 "Comparisons". */
import { FLOAT_FLAG, type FloatEnvironment } from './environment.ts';
import type { FloatFormat } from './format.ts';
import { forgetUsedDenormal, infinity, isNaN, pack, propagateNaN, unpack, type Unpacked, zero } from './unpacked.ts';

export type Ordering = 'less' | 'equal' | 'greater' | 'unordered';

/** @param quiet quiet NaNs raise no flag */
export function compare(
  environment: FloatEnvironment,
  format: FloatFormat,
  a: bigint,
  b: bigint,
  quiet: boolean,
): Ordering {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  if (!isNaN(left) && !isNaN(right)) return order(left, right);
  forgetUsedDenormal(environment);
  const isSignaling = left.kind === 'signaling-nan' || right.kind === 'signaling-nan';
  if (!quiet || isSignaling) environment.flags |= FLOAT_FLAG.INVALID;
  return 'unordered';
}

/** Orders numbers that are no NaNs; zeros are equal. */
export function order(a: Unpacked, b: Unpacked): Ordering {
  const difference = signum(a) - signum(b);
  if (difference !== 0) return difference < 0 ? 'less' : 'greater';
  const magnitude = compareMagnitudes(a, b);
  if (magnitude === 0) return 'equal';
  return magnitude < 0 === (a.sign === 0) ? 'less' : 'greater';
}

function signum({ kind, sign }: Unpacked): number {
  if (kind === 'zero') return 0;
  return sign ? -1 : 1;
}

function compareMagnitudes(a: Unpacked, b: Unpacked): number {
  if (a.kind !== 'finite' || b.kind !== 'finite') return Number(a.kind === 'infinity') - Number(b.kind === 'infinity');
  const exponent = Math.min(a.exponent, b.exponent);
  const left = a.significand << BigInt(a.exponent - exponent);
  const right = b.significand << BigInt(b.exponent - exponent);
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

type Extreme = 'minimum' | 'maximum';

/** Arm's FMAX and FMIN: NaNs propagate, and zeros are ordered by sign. */
export function extreme(
  environment: FloatEnvironment,
  format: FloatFormat,
  which: Extreme,
  a: bigint,
  b: bigint,
): bigint {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  return pack(environment, format, extremeOf(environment, which, left, right));
}

/** Arm's FMAXNM and FMINNM: a quiet NaN loses against a number. */
export function extremeNumber(
  environment: FloatEnvironment,
  format: FloatFormat,
  which: Extreme,
  a: bigint,
  b: bigint,
): bigint {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  const worst = infinity(which === 'maximum' ? 1 : 0);
  const first = left.kind === 'quiet-nan' && !isNaN(right) ? worst : left;
  const second = right.kind === 'quiet-nan' && !isNaN(left) ? worst : right;
  return pack(environment, format, extremeOf(environment, which, first, second));
}

function extremeOf(environment: FloatEnvironment, which: Extreme, a: Unpacked, b: Unpacked): Unpacked {
  if (isNaN(a) || isNaN(b)) return propagateNaN(environment, a, b);
  if (a.kind === 'zero' && b.kind === 'zero') {
    const isNegative = which === 'maximum' ? a.sign === 1 && b.sign === 1 : a.sign === 1 || b.sign === 1;
    return zero(isNegative ? 1 : 0);
  }
  return (order(a, b) === 'greater') === (which === 'maximum') ? a : b;
}

/** SSE's MIN and MAX: the second operand when either is a NaN or both are zeros; every NaN is invalid. */
export function extremeOrSecond(
  environment: FloatEnvironment,
  format: FloatFormat,
  which: Extreme,
  a: bigint,
  b: bigint,
): bigint {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  if (isNaN(left) || isNaN(right)) {
    forgetUsedDenormal(environment);
    environment.flags |= FLOAT_FLAG.INVALID;
    return right.kind === 'zero' ? pack(environment, format, right) : b;
  }
  const isFirst = order(left, right) === (which === 'maximum' ? 'greater' : 'less');
  // The result is one of the operands as it is: only a denormal that counted as zero becomes one
  if (isFirst) return left.kind === 'zero' ? pack(environment, format, left) : a;
  return right.kind === 'zero' ? pack(environment, format, right) : b;
}
