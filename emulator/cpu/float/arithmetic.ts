/**
 * Arithmetic on bit patterns: exact results, rounded once.
 *
 * Source: IEEE 754-2019 "General-computational operations"; Arm ARM DDI 0487 pseudocode "FPAdd", "FPMul", "FPDiv", "FPSqrt", "FPMulAdd".
 */
import { FLOAT_FLAG, type FloatEnvironment } from './environment.ts';
import type { FloatFormat } from './format.ts';
import {
  bitLength,
  finite,
  forgetUsedDenormal,
  infinity,
  invalid,
  isNaN,
  leadingExponent,
  pack,
  propagateNaN,
  unpack,
  type Unpacked,
  zero,
} from './unpacked.ts';

type Env = FloatEnvironment;
type Sign = 0 | 1;

export function add(environment: Env, format: FloatFormat, a: bigint, b: bigint): bigint {
  const left = unpack(environment, format, a);
  return pack(environment, format, sum(environment, format, left, unpack(environment, format, b)));
}

export function subtract(environment: Env, format: FloatFormat, a: bigint, b: bigint): bigint {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  if (isNaN(left) || isNaN(right)) return pack(environment, format, propagateNaN(environment, left, right));
  return pack(environment, format, sum(environment, format, left, negated(right)));
}

export function multiply(environment: Env, format: FloatFormat, a: bigint, b: bigint): bigint {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  if (isNaN(left) || isNaN(right)) return pack(environment, format, propagateNaN(environment, left, right));
  return pack(environment, format, product(left, right) ?? invalid(environment));
}

export function divide(environment: Env, format: FloatFormat, a: bigint, b: bigint): bigint {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  return pack(environment, format, quotient(environment, format, left, right));
}

export function squareRoot(environment: Env, format: FloatFormat, a: bigint): bigint {
  return pack(environment, format, root(environment, format, unpack(environment, format, a)));
}

/** `addend + a * b`, rounded once. */
export function fusedMultiplyAdd(environment: Env, format: FloatFormat, addend: bigint, a: bigint, b: bigint): bigint {
  const c = unpack(environment, format, addend);
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  return pack(environment, format, multiplyAdd(environment, format, c, left, right));
}

/** The same on numbers taken apart, which may come from a narrower format. */
export function multiplyAdd(
  environment: Env,
  format: FloatFormat,
  addend: Unpacked,
  a: Unpacked,
  b: Unpacked,
): Unpacked {
  const exact = isNaN(a) || isNaN(b) ? undefined : product(a, b);
  const isInvalid = !isNaN(a) && !isNaN(b) && exact === undefined;
  const { addendPlace, invalidProductBeatsNaN } = environment.rules;
  if (isInvalid && (!isNaN(addend) || (invalidProductBeatsNaN && addend.kind === 'quiet-nan'))) {
    return invalid(environment);
  }
  if (exact === undefined || isNaN(addend)) {
    const operands = addendPlace === 'first' ? [addend, a, b] : [a, b, addend];
    return propagateNaN(environment, ...operands);
  }
  return sum(environment, format, addend, exact);
}

export function negated(value: Unpacked): Unpacked {
  return { ...value, sign: value.sign ? 0 : 1 };
}

/** Exact sum of numbers that are no NaNs, or the NaN result. */
export function sum(environment: Env, format: FloatFormat, a: Unpacked, b: Unpacked): Unpacked {
  if (isNaN(a) || isNaN(b)) return propagateNaN(environment, a, b);
  if (a.kind === 'infinity') return b.kind === 'infinity' && a.sign !== b.sign ? invalid(environment) : a;
  if (b.kind === 'infinity') return b;
  if (a.kind === 'zero') return b.kind === 'zero' ? sumOfZeros(environment, a.sign, b.sign) : b;
  if (b.kind === 'zero') return a;
  return finiteSum(environment, format, a, b);
}

function sumOfZeros(environment: Env, a: Sign, b: Sign): Unpacked {
  return zero(a === b ? a : signOfExactZero(environment));
}

function signOfExactZero({ rounding }: Env): Sign {
  return rounding === 'down' ? 1 : 0;
}

function finiteSum(environment: Env, format: FloatFormat, first: Unpacked, second: Unpacked): Unpacked {
  const [a, b] = leadingExponent(first) >= leadingExponent(second) ? [first, second] : [second, first];
  const small = withinReach(format, a, b);
  const exponent = Math.min(a.exponent, small.exponent);
  const signed = ({ sign, significand, exponent: own }: Unpacked): bigint => {
    const aligned = significand << BigInt(own - exponent);
    return sign ? -aligned : aligned;
  };
  const total = signed(a) + signed(small);
  if (total === 0n) return zero(signOfExactZero(environment));
  return total < 0n ? finite(1, exponent, -total) : finite(0, exponent, total);
}

/** Replaces an addend that is too small to reach the result's last bits by one that rounds the same. */
function withinReach(format: FloatFormat, large: Unpacked, small: Unpacked): Unpacked {
  const lowest = Math.min(large.exponent, leadingExponent(large) - format.precision) - 4;
  return leadingExponent(small) < lowest ? finite(small.sign, lowest - 1, 1n) : small;
}

/** Exact product of numbers that are no NaNs; `undefined` for infinity times zero. */
export function product(a: Unpacked, b: Unpacked): Unpacked | undefined {
  const sign: Sign = a.sign === b.sign ? 0 : 1;
  if (a.kind === 'infinity') return b.kind === 'zero' ? undefined : infinity(sign);
  if (b.kind === 'infinity') return a.kind === 'zero' ? undefined : infinity(sign);
  return finite(sign, a.exponent + b.exponent, a.significand * b.significand);
}

function quotient(environment: Env, format: FloatFormat, a: Unpacked, b: Unpacked): Unpacked {
  if (isNaN(a) || isNaN(b)) return propagateNaN(environment, a, b);
  const sign: Sign = a.sign === b.sign ? 0 : 1;
  if (a.kind === b.kind && a.kind !== 'finite') return invalid(environment);
  if (a.kind === 'infinity') return infinity(sign);
  if (b.kind === 'zero') {
    forgetUsedDenormal(environment);
    environment.flags |= FLOAT_FLAG.DIVIDE_BY_ZERO;
    return infinity(sign);
  }
  if (b.kind === 'infinity' || a.kind === 'zero') return zero(sign);
  const shift = Math.max(0, format.precision + 3 + bitLength(b.significand) - bitLength(a.significand));
  const dividend = a.significand << BigInt(shift);
  const whole = dividend / b.significand;
  return withSticky(sign, a.exponent - b.exponent - shift, whole, whole * b.significand !== dividend);
}

/** A number whose lower bits are only known to be zero or not. */
function withSticky(sign: Sign, exponent: number, significand: bigint, sticky: boolean): Unpacked {
  return finite(sign, exponent - 1, (significand << 1n) | (sticky ? 1n : 0n));
}

function root(environment: Env, format: FloatFormat, a: Unpacked): Unpacked {
  if (isNaN(a)) return propagateNaN(environment, a);
  if (a.kind === 'zero') return a;
  if (a.sign) return invalid(environment);
  if (a.kind === 'infinity') return a;
  let shift = Math.max(0, 2 * (format.precision + 3) - bitLength(a.significand));
  if ((a.exponent - shift) % 2 !== 0) shift++;
  const radicand = a.significand << BigInt(shift);
  const whole = integerRoot(radicand);
  return withSticky(0, (a.exponent - shift) / 2, whole, whole * whole !== radicand);
}

/** The largest integer whose square is not above `value`; Newton's method from above. */
function integerRoot(value: bigint): bigint {
  let guess = 1n << BigInt(Math.ceil(bitLength(value) / 2));
  for (;;) {
    const next = (guess + value / guess) >> 1n;
    if (next >= guess) return guess;
    guess = next;
  }
}

/** Result of a remainder: exact, with the low bits of the integer quotient. */
export interface Remainder {
  readonly bits: bigint;
  /** Magnitude of the integer quotient. */
  readonly quotient: bigint;
  /** False when the exponents were too far apart: the result has to be reduced again. */
  readonly complete: boolean;
}

/** Exponents this far apart are reduced in steps. Source: Intel SDM vol. 2 "FPREM". */
const FULL_REDUCTION = 64;

/**
 * `a - b * n`, always exact, with n the quotient truncated (FPREM) or rounded to nearest even (FPREM1, IEEE `remainder`).
 *
 * As on the x87, a quotient of 64 and more bits is not finished: each call takes 32 to 63 bits off, as AMD's processors do it.
 */
export function remainder(
  environment: Env,
  format: FloatFormat,
  a: bigint,
  b: bigint,
  rounding: 'truncate' | 'nearest',
): Remainder {
  const left = unpack(environment, format, a);
  const right = unpack(environment, format, b);
  const special = specialRemainder(environment, left, right);
  if (special) return { bits: pack(environment, format, special), quotient: 0n, complete: true };
  const distance = leadingExponent(left) - leadingExponent(right);
  if (distance < FULL_REDUCTION) return { ...reduce(environment, format, left, right, rounding), complete: true };
  const skipped = distance - (32 + (distance % 32));
  const scaled = { ...right, exponent: right.exponent + skipped };
  return { ...reduce(environment, format, left, scaled, 'truncate'), quotient: 0n, complete: false };
}

/** Remainders that are no division. */
function specialRemainder(environment: Env, a: Unpacked, b: Unpacked): Unpacked | undefined {
  if (isNaN(a) || isNaN(b)) return propagateNaN(environment, a, b);
  if (a.kind === 'infinity' || b.kind === 'zero') return invalid(environment);
  return a.kind === 'zero' || b.kind === 'infinity' ? a : undefined;
}

function reduce(
  environment: Env,
  format: FloatFormat,
  a: Unpacked,
  b: Unpacked,
  rounding: 'truncate' | 'nearest',
): Omit<Remainder, 'complete'> {
  const exponent = Math.min(a.exponent, b.exponent);
  const dividend = a.significand << BigInt(a.exponent - exponent);
  const divisor = b.significand << BigInt(b.exponent - exponent);
  const whole = dividend / divisor;
  const rest = dividend - whole * divisor;
  const twice = rest * 2n;
  const roundsUp = rounding === 'nearest' && (twice > divisor || (twice === divisor && (whole & 1n) === 1n));
  const value = roundsUp ? finite(a.sign ? 0 : 1, exponent, divisor - rest) : finite(a.sign, exponent, rest);
  return { bits: pack(environment, format, value), quotient: roundsUp ? whole + 1n : whole };
}
