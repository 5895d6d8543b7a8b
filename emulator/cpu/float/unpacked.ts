/**
 * Floating-point numbers taken apart, and put together again with rounding.
 *
 * A finite number is `significand * 2 ** exponent` with a significand of any length, so that sums and products are exact until they are
 * rounded once. Source: IEEE 754-2019 "Rounding-direction attributes"; Arm ARM DDI 0487 pseudocode "FPUnpack", "FPRound".
 */
import { FLOAT_FLAG, type FloatEnvironment, type RoundingMode } from './environment.ts';
import { bias, type FloatFormat, maxBiasedExponent, minExponent } from './format.ts';

export type FloatKind = 'zero' | 'finite' | 'infinity' | 'quiet-nan' | 'signaling-nan';

export interface Unpacked {
  readonly kind: FloatKind;
  readonly sign: 0 | 1;
  /** Of the lowest bit of the significand; meaningful for finite numbers. */
  readonly exponent: number;
  /** Not 0 for finite numbers; for NaNs the fraction, its highest bit at bit 62, the quiet bit. */
  readonly significand: bigint;
}

const NAN_FRACTION_BITS = 63;
const QUIET_BIT = 1n << BigInt(NAN_FRACTION_BITS - 1);

/** An encoding of the x87 without its integer bit: invalid as an operand. Source: Intel SDM vol. 1 "Unsupported Double Extended-Precision…". */
const UNSUPPORTED: Unpacked = { kind: 'signaling-nan', sign: 1, exponent: 0, significand: QUIET_BIT };

export function zero(sign: 0 | 1): Unpacked {
  return { kind: 'zero', sign, exponent: 0, significand: 0n };
}

export function infinity(sign: 0 | 1): Unpacked {
  return { kind: 'infinity', sign, exponent: 0, significand: 0n };
}

/** A finite number; zero when the significand is. */
export function finite(sign: 0 | 1, exponent: number, significand: bigint): Unpacked {
  return significand === 0n ? zero(sign) : { kind: 'finite', sign, exponent, significand };
}

export function isNaN({ kind }: Unpacked): boolean {
  return kind === 'quiet-nan' || kind === 'signaling-nan';
}

/** Number of bits up to the highest one that is set. */
export function bitLength(value: bigint): number {
  let rest = value;
  let length = 0;
  while (rest > 0xffff_ffffn) {
    rest >>= 32n;
    length += 32;
  }
  return length + 32 - Math.clz32(Number(rest));
}

/** Exponent of the highest bit of a finite number. */
export function leadingExponent({ exponent, significand }: Unpacked): number {
  return exponent + bitLength(significand) - 1;
}

// Taking apart

/** Takes an operand apart; flushes denormals and raises the denormal flag as the environment says. */
export function unpack(environment: FloatEnvironment, format: FloatFormat, bits: bigint): Unpacked {
  const { fractionBits, exponentBits } = format;
  const storedBits = fractionBits + (format.explicitInteger ? 1 : 0);
  const stored = BigInt.asUintN(storedBits, bits);
  const biased = Number(BigInt.asUintN(exponentBits, bits >> BigInt(storedBits)));
  const sign = (bits >> BigInt(format.bits - 1)) & 1n ? 1 : 0;
  if (format.explicitInteger && biased !== 0 && stored >> BigInt(fractionBits) === 0n) return UNSUPPORTED;
  if (biased === maxBiasedExponent(format) && !(format.bits === 16 && environment.alternativeHalf)) {
    return unpackSpecial(format, sign, BigInt.asUintN(fractionBits, stored));
  }
  if (biased === 0) return unpackDenormal(environment, format, sign, stored);
  const integer = format.explicitInteger ? 0n : 1n << BigInt(fractionBits);
  return finite(sign, biased - bias(format) - fractionBits, stored | integer);
}

function unpackSpecial({ fractionBits }: FloatFormat, sign: 0 | 1, fraction: bigint): Unpacked {
  if (fraction === 0n) return infinity(sign);
  const significand = fraction << BigInt(NAN_FRACTION_BITS - fractionBits);
  return { kind: significand & QUIET_BIT ? 'quiet-nan' : 'signaling-nan', sign, exponent: 0, significand };
}

function unpackDenormal(environment: FloatEnvironment, format: FloatFormat, sign: 0 | 1, fraction: bigint): Unpacked {
  if (fraction === 0n) return zero(sign);
  const flushes = format.bits === 16 ? environment.flushHalf : environment.flushInputs;
  const raises = environment.rules.denormalOperand === (flushes ? 'when-flushed' : 'when-used');
  if (raises && format.bits !== 16) environment.flags |= FLOAT_FLAG.DENORMAL;
  return flushes ? zero(sign) : finite(sign, minExponent(format) - format.fractionBits, fraction);
}

// NaNs

/** The NaN of invalid operations, which raises the invalid flag. */
export function invalid(environment: FloatEnvironment): Unpacked {
  forgetUsedDenormal(environment);
  environment.flags |= FLOAT_FLAG.INVALID;
  return defaultNaN(environment);
}

/** A denormal operand beside a NaN, of an invalid operation, or divided by zero was not used. */
export function forgetUsedDenormal(environment: FloatEnvironment): void {
  if (environment.rules.denormalOperand === 'when-used') environment.flags &= ~FLOAT_FLAG.DENORMAL;
}

export function defaultNaN({ rules }: FloatEnvironment): Unpacked {
  return { kind: 'quiet-nan', sign: rules.defaultNaNSign, exponent: 0, significand: QUIET_BIT };
}

/** The NaN result of an operation with at least one NaN among its operands: made quiet. */
export function propagateNaN(environment: FloatEnvironment, ...operands: readonly Unpacked[]): Unpacked {
  forgetUsedDenormal(environment);
  if (operands.some(({ kind }) => kind === 'signaling-nan')) environment.flags |= FLOAT_FLAG.INVALID;
  if (environment.defaultNaN) return defaultNaN(environment);
  const chosen = environment.rules.chooseNaN(operands);
  return { ...chosen, kind: 'quiet-nan', significand: chosen.significand | QUIET_BIT };
}

// Putting together

/** Rounds a number to the format and raises the flags of that. */
export function pack(environment: FloatEnvironment, format: FloatFormat, value: Unpacked): bigint {
  switch (value.kind) {
    case 'zero':
      return assemble(format, value.sign, 0, 0n);
    case 'infinity':
      return packInfinity(environment, format, value.sign);
    case 'finite':
      return round(environment, format, value);
    default:
      return packNaN(environment, format, value);
  }
}

function assemble(format: FloatFormat, sign: 0 | 1, biased: number, stored: bigint): bigint {
  const storedBits = BigInt(format.fractionBits + (format.explicitInteger ? 1 : 0));
  return (BigInt(sign) << BigInt(format.bits - 1)) | (BigInt(biased) << storedBits) | stored;
}

function isAlternativeHalf(environment: FloatEnvironment, format: FloatFormat): boolean {
  return format.bits === 16 && environment.alternativeHalf;
}

function packInfinity(environment: FloatEnvironment, format: FloatFormat, sign: 0 | 1): bigint {
  if (isAlternativeHalf(environment, format)) {
    environment.flags |= FLOAT_FLAG.INVALID;
    return assemble(format, sign, 31, 0x3ffn);
  }
  return assemble(format, sign, maxBiasedExponent(format), format.explicitInteger ? 1n << 63n : 0n);
}

function packNaN(environment: FloatEnvironment, format: FloatFormat, { sign, significand }: Unpacked): bigint {
  if (isAlternativeHalf(environment, format)) {
    environment.flags |= FLOAT_FLAG.INVALID;
    return assemble(format, sign, 0, 0n);
  }
  const fraction = significand >> BigInt(NAN_FRACTION_BITS - format.fractionBits);
  return assemble(format, sign, maxBiasedExponent(format), format.explicitInteger ? fraction | (1n << 63n) : fraction);
}

/** A significand shifted right with rounding. */
export interface Rounded {
  readonly value: bigint;
  readonly inexact: boolean;
}

/** Divides by `2 ** shift`, rounding; a negative shift multiplies. */
export function shiftRounding(value: bigint, shift: number, mode: RoundingMode, sign: 0 | 1): Rounded {
  if (shift <= 0) return { value: value << BigInt(-shift), inexact: false };
  const kept = value >> BigInt(shift);
  const lost = BigInt.asUintN(shift, value);
  if (lost === 0n) return { value: kept, inexact: false };
  return { value: roundsUp(kept, lost, shift, mode, sign) ? kept + 1n : kept, inexact: true };
}

function roundsUp(kept: bigint, lost: bigint, shift: number, mode: RoundingMode, sign: 0 | 1): boolean {
  const half = 1n << BigInt(shift - 1);
  const isOdd = (kept & 1n) === 1n;
  if (mode === 'nearest-even') return lost > half || (lost === half && isOdd);
  if (mode === 'nearest-away') return lost >= half;
  if (mode === 'odd') return !isOdd;
  return mode === (sign ? 'down' : 'up');
}

function round(environment: FloatEnvironment, format: FloatFormat, value: Unpacked): bigint {
  const { sign, exponent, significand } = value;
  const leading = leadingExponent(value);
  const smallest = minExponent(format);
  const isTinyBefore = leading < smallest;
  if (isTinyBefore && (format.bits === 16 ? environment.flushHalf : environment.flushOutputs)) {
    environment.flags |= environment.rules.flushedResultFlags;
    return assemble(format, sign, 0, 0n);
  }
  const quantum = Math.max(leading, smallest) - (format.precision - 1);
  const rounded = shiftRounding(significand, quantum - exponent, environment.rounding, sign);
  const biased = biasedExponent(format, quantum, rounded.value);
  const limit = maxBiasedExponent(format) + (isAlternativeHalf(environment, format) ? 1 : 0);
  if (biased >= limit) return overflow(environment, format, sign);
  if (rounded.inexact) {
    environment.flags |= FLOAT_FLAG.INEXACT;
    if (isTinyBefore && isTiny(environment, format, value)) environment.flags |= FLOAT_FLAG.UNDERFLOW;
  }
  return packRounded(format, sign, biased, rounded.value);
}

/**
 * The exponent field of a rounded number.
 * @param quantum exponent of the lowest bit of `significand`, which has at most `precision` bits or is the next power of two
 */
function biasedExponent(format: FloatFormat, quantum: number, significand: bigint): number {
  const length = bitLength(significand);
  return length < format.precision ? 0 : quantum + length - 1 + bias(format);
}

/** Of a number whose exact value is below the normal range. */
function isTiny({ rules, rounding }: FloatEnvironment, format: FloatFormat, value: Unpacked): boolean {
  if (rules.tininess === 'before-rounding') return true;
  const shift = bitLength(value.significand) - format.precision;
  const rounded = shiftRounding(value.significand, shift, rounding, value.sign);
  return value.exponent + shift + bitLength(rounded.value) - 1 < minExponent(format);
}

function packRounded(format: FloatFormat, sign: 0 | 1, biased: number, significand: bigint): bigint {
  const aligned = significand << BigInt(format.fractionBits + 1 - format.precision);
  const isNextPower = bitLength(significand) > format.precision;
  const integer = isNextPower ? aligned >> 1n : aligned;
  return assemble(
    format,
    sign,
    biased,
    format.explicitInteger ? integer : BigInt.asUintN(format.fractionBits, integer),
  );
}

function overflow(environment: FloatEnvironment, format: FloatFormat, sign: 0 | 1): bigint {
  if (isAlternativeHalf(environment, format)) return packInfinity(environment, format, sign);
  environment.flags |= FLOAT_FLAG.OVERFLOW | FLOAT_FLAG.INEXACT;
  if (overflowsToInfinity(environment.rounding, sign)) return packInfinity(environment, format, sign);
  return largest(format, sign);
}

/** Rounding takes a number beyond the largest finite one to infinity. */
export function overflowsToInfinity(mode: RoundingMode, sign: 0 | 1): boolean {
  return mode === 'nearest-even' || mode === 'nearest-away' || mode === (sign ? 'down' : 'up');
}

/** The largest finite number. */
export function largest(format: FloatFormat, sign: 0 | 1): bigint {
  const ones = (1n << BigInt(format.precision)) - 1n;
  const significand = ones << BigInt(format.fractionBits + 1 - format.precision);
  const stored = format.explicitInteger ? significand : BigInt.asUintN(format.fractionBits, significand);
  return assemble(format, sign, maxBiasedExponent(format) - 1, stored);
}
