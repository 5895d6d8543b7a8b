/**
 * Conversions: between formats, to and from integers and fixed-point numbers, rounding to integers.
 *
 * Source: Arm ARM DDI 0487 pseudocode "FPConvert", "FPToFixed", "FixedToFP", "FPRoundInt", "FPRoundIntN", "FPToFixedJS".
 */
import { FLOAT_FLAG, type FloatEnvironment, type RoundingMode } from './environment.ts';
import type { FloatFormat } from './format.ts';
import { finite, isNaN, pack, propagateNaN, shiftRounding, unpack, type Unpacked, zero } from './unpacked.ts';

/** Converts to another format. 16-bit operands and results are not flushed; stores of the x87 raise no denormal flag. */
export function convert(environment: FloatEnvironment, from: FloatFormat, to: FloatFormat, bits: bigint): bigint {
  const { flushHalf } = environment;
  environment.flushHalf = false;
  const value = unpack(environment, from, bits);
  if (from.explicitInteger) environment.flags &= ~FLOAT_FLAG.DENORMAL;
  // The alternative half precision makes a zero of the NaN as it is, whatever the rules for NaNs
  const keepsNaN = isNaN(value) && !(to.bits === 16 && environment.alternativeHalf);
  const result = pack(environment, to, keepsNaN ? propagateNaN(environment, value) : value);
  environment.flushHalf = flushHalf;
  return result;
}

/** A number rounded to an integer: infinities and NaNs have none. */
export type IntegerResult =
  { readonly value: bigint; readonly inexact: boolean } | { readonly outOfRange: 'positive' | 'negative' | 'nan' };

/** Rounds `number * 2 ** scale` to an integer. */
export function toInteger(value: Unpacked, scale: number, mode: RoundingMode): IntegerResult {
  if (isNaN(value)) return { outOfRange: 'nan' };
  if (value.kind === 'infinity') return { outOfRange: value.sign ? 'negative' : 'positive' };
  const rounded = shiftRounding(value.significand, -(value.exponent + scale), mode, value.sign);
  return { value: value.sign ? -rounded.value : rounded.value, inexact: rounded.inexact };
}

/** How an integer result is represented. */
export interface IntegerFormat {
  readonly bits: 16 | 32 | 64;
  readonly signed: boolean;
}

/** Converts `number * 2 ** scale` to an integer, saturating, as two's complement; NaNs give 0. */
export function toIntegerSaturated(
  environment: FloatEnvironment,
  format: FloatFormat,
  bits: bigint,
  scale: number,
  mode: RoundingMode,
  to: IntegerFormat,
): bigint {
  const result = toInteger(unpack(environment, format, bits), scale, mode);
  const lowest = to.signed ? -(1n << BigInt(to.bits - 1)) : 0n;
  const highest = (1n << BigInt(to.signed ? to.bits - 1 : to.bits)) - 1n;
  if ('outOfRange' in result) {
    environment.flags |= FLOAT_FLAG.INVALID;
    if (result.outOfRange === 'nan') return 0n;
    return BigInt.asUintN(to.bits, result.outOfRange === 'negative' ? lowest : highest);
  }
  if (result.value < lowest || result.value > highest) {
    environment.flags |= FLOAT_FLAG.INVALID;
    return BigInt.asUintN(to.bits, result.value < lowest ? lowest : highest);
  }
  if (result.inexact) environment.flags |= FLOAT_FLAG.INEXACT;
  return BigInt.asUintN(to.bits, result.value);
}

/** Converts to a signed integer as x86 does: what does not fit becomes the most negative one ("integer indefinite"). */
export function toIntegerIndefinite(
  environment: FloatEnvironment,
  format: FloatFormat,
  bits: bigint,
  mode: RoundingMode,
  width: 16 | 32 | 64,
): bigint {
  const result = toInteger(unpack(environment, format, bits), 0, mode);
  // Conversions to integers raise no denormal flag
  environment.flags &= ~FLOAT_FLAG.DENORMAL;
  if ('outOfRange' in result || BigInt.asIntN(width, result.value) !== result.value) {
    environment.flags |= FLOAT_FLAG.INVALID;
    return 1n << BigInt(width - 1);
  }
  if (result.inexact) environment.flags |= FLOAT_FLAG.INEXACT;
  return BigInt.asUintN(width, result.value);
}

/** Converts `value * 2 ** -scale` from an integer. */
export function fromInteger(environment: FloatEnvironment, format: FloatFormat, value: bigint, scale: number): bigint {
  return pack(environment, format, value < 0n ? finite(1, -scale, -value) : finite(0, -scale, value));
}

/** Rounds to an integer in the same format. @param exact raises the inexact flag where that changes the value */
export function roundToIntegral(
  environment: FloatEnvironment,
  format: FloatFormat,
  bits: bigint,
  mode: RoundingMode,
  exact: boolean,
): bigint {
  const value = unpack(environment, format, bits);
  if (isNaN(value)) return pack(environment, format, propagateNaN(environment, value));
  if (value.kind !== 'finite') return pack(environment, format, value);
  const rounded = shiftRounding(value.significand, -value.exponent, mode, value.sign);
  if (exact && rounded.inexact) environment.flags |= FLOAT_FLAG.INEXACT;
  return pack(environment, format, finite(value.sign, 0, rounded.value));
}

/** Rounds to an integer of at most `intBits` bits; what does not fit becomes the most negative one. */
export function roundToIntegralWithin(
  environment: FloatEnvironment,
  format: FloatFormat,
  bits: bigint,
  mode: RoundingMode,
  intBits: 32 | 64,
): bigint {
  const value = unpack(environment, format, bits);
  const result = toInteger(value, 0, mode);
  const limit = 1n << BigInt(intBits - 1);
  if ('outOfRange' in result || result.value < -limit || result.value >= limit) {
    environment.flags |= FLOAT_FLAG.INVALID;
    return pack(environment, format, finite(1, intBits - 1, 1n));
  }
  if (result.inexact) environment.flags |= FLOAT_FLAG.INEXACT;
  const magnitude = result.value < 0n ? -result.value : result.value;
  return pack(environment, format, magnitude === 0n ? zero(value.sign) : finite(value.sign, 0, magnitude));
}

/** Result of FJCVTZS. */
export interface JavaScriptInteger {
  /** 32 bits. */
  readonly value: bigint;
  /** The number was an integer in range, and not -0. */
  readonly exact: boolean;
}

/** Converts a double to an integer modulo 2^32, as JavaScript does. */
export function toJavaScriptInteger(
  environment: FloatEnvironment,
  format: FloatFormat,
  bits: bigint,
): JavaScriptInteger {
  const value = unpack(environment, format, bits);
  const result = toInteger(value, 0, 'zero');
  if ('outOfRange' in result) {
    environment.flags |= FLOAT_FLAG.INVALID;
    return { value: 0n, exact: false };
  }
  const isInRange = BigInt.asIntN(32, result.value) === result.value;
  if (!isInRange) environment.flags |= FLOAT_FLAG.INVALID;
  else if (result.inexact) environment.flags |= FLOAT_FLAG.INEXACT;
  const isNegativeZero = result.value === 0n && value.sign === 1;
  return { value: BigInt.asUintN(32, result.value), exact: isInRange && !result.inexact && !isNegativeZero };
}
