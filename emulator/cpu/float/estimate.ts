/**
 * Arm's estimates of reciprocals and reciprocal square roots, their Newton steps, and the products that never are invalid.
 *
 * Source: Arm ARM DDI 0487 pseudocode "FPRecipEstimate", "FPRSqrtEstimate", "RecipEstimate", "RecipSqrtEstimate", "FPRecpX",
 * "FPRecipStepFused", "FPRSqrtStepFused", "FPMulX", "UnsignedRecipEstimate", "UnsignedRSqrtEstimate".
 */
import { negated, product, sum } from './arithmetic.ts';
import { FLOAT_FLAG, type FloatEnvironment } from './environment.ts';
import { bias, type FloatFormat, maxBiasedExponent, minExponent } from './format.ts';
import {
  bitLength,
  finite,
  infinity,
  invalid,
  isNaN,
  largest,
  leadingExponent,
  overflowsToInfinity,
  pack,
  propagateNaN,
  unpack,
  type Unpacked,
  zero,
} from './unpacked.ts';

/** Estimate of 2^17 / (a + 1/2), for a from 256 to 511: a result from 256 to 511. */
function reciprocalEstimate(a: number): number {
  const quotient = Math.floor(2 ** 19 / (2 * a + 1));
  return (quotient + 1) >> 1;
}

/** Estimate of the reciprocal square root in 9 bits, for a from 128 to 511. */
function rootEstimate(a: number): number {
  const scaled = a < 256 ? 2 * a + 1 : (a | 1) * 2;
  let b = 512;
  while (scaled * (b + 1) * (b + 1) < 2 ** 28) b++;
  return (b + 1) >> 1;
}

/** The highest 9 bits of a significand. */
function leadingNine(significand: bigint): number {
  const excess = bitLength(significand) - 9;
  return Number(excess > 0 ? significand >> BigInt(excess) : significand << BigInt(-excess));
}

/** FRECPE. */
export function estimateReciprocal(environment: FloatEnvironment, format: FloatFormat, bits: bigint): bigint {
  const value = unpack(environment, format, bits);
  const { sign } = value;
  if (isNaN(value)) return pack(environment, format, propagateNaN(environment, value));
  if (value.kind === 'infinity') return pack(environment, format, zero(sign));
  if (value.kind === 'zero') {
    environment.flags |= FLOAT_FLAG.DIVIDE_BY_ZERO;
    return pack(environment, format, infinity(sign));
  }
  const leading = leadingExponent(value);
  if (leading < minExponent(format) - 2) return overflowed(environment, format, sign);
  const flushes = format.bits === 16 ? environment.flushHalf : environment.flushOutputs;
  if (flushes && leading >= bias(format) - 1) {
    environment.flags |= FLOAT_FLAG.UNDERFLOW;
    return pack(environment, format, zero(sign));
  }
  const estimate = reciprocalEstimate(leadingNine(value.significand));
  return packQuietly(environment, format, finite(sign, -leading - 9, BigInt(estimate)));
}

function overflowed(environment: FloatEnvironment, format: FloatFormat, sign: 0 | 1): bigint {
  environment.flags |= FLOAT_FLAG.OVERFLOW | FLOAT_FLAG.INEXACT;
  if (overflowsToInfinity(environment.rounding, sign)) return pack(environment, format, infinity(sign));
  return largest(format, sign);
}

/** Packs an estimate, which is never rounded up and raises no flags. */
function packQuietly(environment: FloatEnvironment, format: FloatFormat, value: Unpacked): bigint {
  return pack({ ...environment, rounding: 'zero', flushOutputs: false, flushHalf: false }, format, value);
}

/** FRSQRTE. */
export function estimateReciprocalRoot(environment: FloatEnvironment, format: FloatFormat, bits: bigint): bigint {
  const value = unpack(environment, format, bits);
  if (isNaN(value)) return pack(environment, format, propagateNaN(environment, value));
  if (value.kind === 'zero') {
    environment.flags |= FLOAT_FLAG.DIVIDE_BY_ZERO;
    return pack(environment, format, infinity(value.sign));
  }
  if (value.sign) return pack(environment, format, invalid(environment));
  if (value.kind === 'infinity') return pack(environment, format, zero(0));
  const leading = leadingExponent(value);
  const nine = leadingNine(value.significand);
  const isOdd = leading % 2 !== 0;
  const estimate = rootEstimate(isOdd ? nine : nine >> 1);
  return packQuietly(
    environment,
    format,
    finite(0, -Math.floor((leading + (isOdd ? 1 : 2)) / 2) - 8, BigInt(estimate)),
  );
}

/** FRECPX: the number's exponent inverted. */
export function reciprocalExponent(environment: FloatEnvironment, format: FloatFormat, bits: bigint): bigint {
  const value = unpack(environment, format, bits);
  if (isNaN(value)) return pack(environment, format, propagateNaN(environment, value));
  const highest = maxBiasedExponent(format);
  const biased = Number((bits >> BigInt(format.fractionBits)) & BigInt(highest));
  const inverted = biased === 0 ? highest - 1 : highest - biased;
  return (BigInt(value.sign) << BigInt(format.bits - 1)) | (BigInt(inverted) << BigInt(format.fractionBits));
}

const TWO = finite(0, 1, 1n);
const THREE = finite(0, 0, 3n);

/** FRECPS: 2 - a * b. */
export function reciprocalStep(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  return pack(environment, format, step(environment, format, a, b, TWO));
}

/** FRSQRTS: (3 - a * b) / 2. */
export function reciprocalRootStep(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  const result = step(environment, format, a, b, THREE);
  const halved = result.kind === 'finite' ? { ...result, exponent: result.exponent - 1 } : result;
  return pack(environment, format, halved);
}

/** `from - a * b`; infinity times zero counts as zero. */
function step(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint, from: Unpacked): Unpacked {
  const left = negated(unpack(environment, format, a));
  const right = unpack(environment, format, b);
  if (isNaN(left) || isNaN(right)) return propagateNaN(environment, left, right);
  const exact = product(left, right);
  if (exact === undefined) return from;
  return sum(environment, { ...format, precision: format.precision + 8 }, from, exact);
}

/** FMULX: infinity times zero is two. */
export function multiplyExtended(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  if (isNaN(left) || isNaN(right)) return pack(environment, format, propagateNaN(environment, left, right));
  const two = { ...TWO, sign: left.sign === right.sign ? 0 : 1 } as const;
  return pack(environment, format, product(left, right) ?? two);
}

/** URECPE: estimate of 2^63 / a in 32 bits; all ones for operands below 2^31. */
export function estimateUnsignedReciprocal(value: number): number {
  if (value >>> 31 === 0) return 0xffff_ffff;
  return (reciprocalEstimate(value >>> 23) << 23) >>> 0;
}

/** URSQRTE: estimate of the reciprocal square root of a fraction of 32 bits; all ones for operands below 2^30. */
export function estimateUnsignedReciprocalRoot(value: number): number {
  if (value >>> 30 === 0) return 0xffff_ffff;
  return (rootEstimate(value >>> 23) << 23) >>> 0;
}
