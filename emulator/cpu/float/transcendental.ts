/**
 * Transcendental functions of the x87 on exact operands, to far more than 64 bits: in fixed point, with series.
 *
 * Functions take and give finite numbers; zeros, infinities and NaNs are the caller's. Source: Intel SDM vol. 2 "FSIN", "FPTAN", "FPATAN",
 * "F2XM1", "FYL2X", "FYL2XP1" for domains. Arguments are reduced with an exact π, where processors have 66 bits of it.
 */
import { finite, leadingExponent, type Unpacked } from './unpacked.ts';

/** Bits behind the point. */
const BITS = 192n;
const ONE = 1n << BITS;
/** Numbers below 2 ** SMALL are too small for fixed point, and their functions linear to 100 bits and more. */
const SMALL = -50;

/** The magnitude in fixed point, and `extra` bits more. */
function fixed({ exponent, significand }: Unpacked, extra = 0n): bigint {
  const shift = BigInt(exponent) + BITS + extra;
  return shift >= 0n ? significand << shift : significand >> -shift;
}

function signed(value: Unpacked): bigint {
  return value.sign ? -fixed(value) : fixed(value);
}

/** A number of fixed point; never exact, so that rounding raises the inexact flag. */
function result(value: bigint, exponent = -BITS): Unpacked {
  const magnitude = value < 0n ? -value : value;
  return finite(value < 0n ? 1 : 0, Number(exponent) - 1, (magnitude << 1n) | 1n);
}

/** `value` times a factor in fixed point: for functions that are linear near 0. */
function scaled({ sign, exponent, significand }: Unpacked, factor: bigint): Unpacked {
  return result((sign ? -significand : significand) * factor, BigInt(exponent) - BITS);
}

function multiply(a: bigint, b: bigint, bits = BITS): bigint {
  return (a * b) >> bits;
}

/** The sum of first × ratio(1) × ratio(2) × …, each a product with x divided by small numbers. */
function series(first: bigint, next: (term: bigint, n: bigint) => bigint): bigint {
  let sum = first;
  let term = first;
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    term = next(term, n);
    sum += term;
  }
  return sum;
}

/** The sum of ±power / (2n + 1): of the arc tangent, or with signs all alike of its hyperbolic brother. */
function arcSeries(z: bigint, alternates: boolean, bits = BITS): bigint {
  const square = multiply(z, z, bits);
  let power = z;
  let sum = z;
  for (let n = 3n; power !== 0n && power !== -1n; n += 2n) {
    power = multiply(power, alternates ? -square : square, bits);
    sum += power / n;
  }
  return sum;
}

/** π with 64 bits more, for arguments up to 2 ** 63. Source: John Machin's formula. */
const EXTRA = 80n;
const PI_BITS = BITS + EXTRA;
const PI = 4n * (4n * inverseArcTangent(5n) - inverseArcTangent(239n));
const HALF_PI = PI >> (EXTRA + 1n);
/** ln 2 = 2 artanh 1/3. */
const LN_2 = 2n * arcSeries(ONE / 3n, false);

function inverseArcTangent(n: bigint): bigint {
  return arcSeries((1n << PI_BITS) / n, true, PI_BITS);
}

/** Sine and cosine of an angle within an eighth of a turn. */
function sineOf(angle: bigint): bigint {
  const square = multiply(angle, angle);
  return series(angle, (term, n) => -multiply(term, square) / (2n * n * (2n * n + 1n)));
}

function cosineOf(angle: bigint): bigint {
  const square = multiply(angle, angle);
  return series(ONE, (term, n) => -multiply(term, square) / ((2n * n - 1n) * (2n * n)));
}

/** Quarter turns in an angle, and what is left: between minus and plus an eighth of a turn. */
function reduce(angle: Unpacked): readonly [quarters: number, rest: bigint] {
  const half = PI >> 1n;
  const magnitude = fixed(angle, EXTRA);
  const quarters = (2n * magnitude + half) / (2n * half);
  const rest = (magnitude - quarters * half) >> EXTRA;
  return [Number(quarters & 3n), rest];
}

export function sine(angle: Unpacked): Unpacked {
  if (leadingExponent(angle) < SMALL) return scaled(angle, ONE - 1n);
  const [quarters, rest] = reduce(angle);
  const value = quarters & 1 ? cosineOf(rest) : sineOf(rest);
  return result(quarters >= 2 !== (angle.sign === 1) ? -value : value);
}

export function cosine(angle: Unpacked): Unpacked {
  if (leadingExponent(angle) < SMALL) return result(ONE - 1n);
  const [quarters, rest] = reduce(angle);
  const value = quarters & 1 ? sineOf(rest) : cosineOf(rest);
  return result(quarters === 1 || quarters === 2 ? -value : value);
}

export function tangent(angle: Unpacked): Unpacked {
  if (leadingExponent(angle) < SMALL) return scaled(angle, ONE + 1n);
  const [quarters, rest] = reduce(angle);
  const [sin, cos] = [sineOf(rest), cosineOf(rest)];
  const value = quarters & 1 ? (-cos << BITS) / sin : (sin << BITS) / cos;
  return result(angle.sign ? -value : value);
}

/** The angle of the point (x, y). */
export function arcTangent(y: Unpacked, x: Unpacked): Unpacked {
  const distance = leadingExponent(y) - leadingExponent(x);
  if (distance < -BITS_OF_QUOTIENT && x.sign === 0) return quotient(y, x);
  const magnitude = angleOf(y, x, distance);
  return result(y.sign ? -magnitude : magnitude);
}

/** Beyond so many powers of two between the coordinates, the angle is the quotient. */
const BITS_OF_QUOTIENT = 60;

function quotient(y: Unpacked, x: Unpacked): Unpacked {
  const value = (y.significand << BITS) / x.significand;
  return result(y.sign ? -value : value, BigInt(y.exponent - x.exponent) - BITS);
}

/** Between 0 and π. */
function angleOf(y: Unpacked, x: Unpacked, distance: number): bigint {
  const shift = BigInt(y.exponent - x.exponent);
  const steep = distance >= 0;
  const [over, under] = steep ? [x.significand, y.significand] : [y.significand, x.significand];
  const power = BITS + (steep ? -shift : shift);
  const ratio = power >= 0n ? (over << power) / under : over / (under << -power);
  const angle = arcTangentOf(ratio);
  const first = steep ? HALF_PI - angle : angle;
  return x.sign ? 2n * HALF_PI - first : first;
}

/** Of a number from 0 to 1, whose angle is halved until the series is short. */
function arcTangentOf(ratio: bigint): bigint {
  let z = ratio;
  const halvings = 4n;
  for (let i = 0n; i < halvings; i++) z = (z << BITS) / (ONE + squareRoot((ONE << BITS) + z * z));
  return arcSeries(z, true) << halvings;
}

/** Rounded down, by Newton's method. */
function squareRoot(value: bigint): bigint {
  let root = 1n << (BITS + 1n);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** 2 ** x - 1 for x from -1 to 1. */
export function powerOfTwoLessOne(x: Unpacked): Unpacked {
  if (leadingExponent(x) < SMALL - 60) return scaled(x, LN_2);
  const power = multiply(signed(x), LN_2);
  return result(series(power, (term, n) => multiply(term, power) / (n + 1n)));
}

/** y × log2 x, x > 0. */
export function logarithm(x: Unpacked, y: Unpacked): Unpacked {
  // x is 2 ** exponent times a number from 1/√2 to √2, about
  const leading = leadingExponent(x);
  const mantissa = fixed({ ...x, exponent: x.exponent - leading });
  const isLarge = mantissa * 5n > ONE * 7n;
  const m = isLarge ? mantissa >> 1n : mantissa;
  const whole = BigInt(isLarge ? leading + 1 : leading);
  const natural = 2n * arcSeries(((m - ONE) << BITS) / (m + ONE), false);
  return scaled(y, (whole << BITS) + (natural << BITS) / LN_2);
}

/** y × log2(1 + x), for x near 0. */
export function logarithmOfOnePlus(x: Unpacked, y: Unpacked): Unpacked {
  if (leadingExponent(x) < SMALL - 60) {
    const product = { ...x, sign: (x.sign ^ y.sign) as 0 | 1, significand: x.significand * y.significand };
    return scaled({ ...product, exponent: x.exponent + y.exponent }, (ONE << BITS) / LN_2);
  }
  const value = signed(x);
  const natural = 2n * arcSeries((value << BITS) / (2n * ONE + value), false);
  return scaled(y, (natural << BITS) / LN_2);
}
