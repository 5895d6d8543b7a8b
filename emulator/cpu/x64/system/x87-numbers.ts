/** Numbers of the x87 by other means: transcendental functions, powers of two, packed decimals. */
import { convert } from '../../float/convert.ts';
import { createEnvironment, FLOAT_FLAG, type FloatEnvironment, X87_RULES } from '../../float/environment.ts';
import { BINARY64, EXTENDED80 } from '../../float/format.ts';
import {
  arcTangent,
  cosine,
  logarithm,
  logarithmOfOnePlus,
  powerOfTwoLessOne,
  sine,
  tangent,
} from '../../float/transcendental.ts';
import { invalid, isNaN, leadingExponent, pack, propagateNaN, unpack, type Unpacked } from '../../float/unpacked.ts';
import type { X87Operation } from './x87-form.ts';

/** A function of one or two operands: exact where they are finite, and the host's for zeros, infinities and NaNs. */
export interface Transcendental {
  readonly finite: (x: Unpacked, y: Unpacked) => Unpacked | undefined;
  readonly special: (x: number, y: number) => number;
}

/** Of ST0. */
export const TRANSCENDENTALS_OF_ONE: Readonly<Partial<Record<X87Operation, Transcendental>>> = {
  SIN: { finite: sine, special: Math.sin },
  COS: { finite: cosine, special: Math.cos },
  PTAN: { finite: tangent, special: Math.tan },
  F2XM1: {
    finite: x => (leadingExponent(x) <= 0 ? powerOfTwoLessOne(x) : undefined),
    special: value => Math.expm1(value * Math.LN2),
  },
};

/** Of (ST0, ST1); the result replaces ST1. */
export const TRANSCENDENTALS_OF_TWO: Readonly<Partial<Record<X87Operation, Transcendental>>> = {
  YL2X: {
    finite: (x, y) => (x.sign === 0 && !isOne(x) ? logarithm(x, y) : undefined),
    special: (x, y) => y * Math.log2(x),
  },
  YL2XP1: {
    finite: (x, y) => (leadingExponent(x) < 0 ? logarithmOfOnePlus(x, y) : undefined),
    special: (x, y) => y * (Math.log1p(x) / Math.LN2),
  },
  PATAN: { finite: (x, y) => arcTangent(y, x), special: (x, y) => Math.atan2(y, x) },
};

/** Its logarithm is exactly 0. */
function isOne({ exponent, significand }: Unpacked): boolean {
  return exponent < 0 && significand === 1n << BigInt(-exponent);
}

/** Computes a function of extended numbers. */
export function transcendental(environment: FloatEnvironment, of: Transcendental, x: bigint, y: bigint): bigint {
  const left = unpack(environment, EXTENDED80, x);
  const right = unpack(environment, EXTENDED80, y);
  if (isNaN(left) || isNaN(right)) return pack(environment, EXTENDED80, propagateNaN(environment, left, right));
  const result = left.kind === 'finite' && right.kind === 'finite' ? of.finite(left, right) : undefined;
  if (result) return pack(environment, EXTENDED80, result);
  const operandsAreFinite = left.kind !== 'infinity' && right.kind !== 'infinity';
  return specialValue(environment, of.special(toNumber(x), toNumber(y)), operandsAreFinite);
}

/** Zeros, ones and infinities are exact, and an infinity out of finite operands is a division by zero. */
function specialValue(environment: FloatEnvironment, special: number, operandsAreFinite: boolean): bigint {
  if (Number.isNaN(special)) return pack(environment, EXTENDED80, invalid(environment));
  const { flags } = environment;
  const bits = fromNumber(environment, special);
  if (special === 0 || special === 1 || !Number.isFinite(special)) environment.flags = flags;
  if (!Number.isFinite(special) && operandsAreFinite) environment.flags |= FLOAT_FLAG.DIVIDE_BY_ZERO;
  return bits;
}

/** Angles from 2 ** 63 on are not reduced. */
export function isTooLarge(angle: bigint): boolean {
  const exponent = Number((angle >> 64n) & 0x7fffn);
  return exponent >= 0x3fff + 63 && exponent < 0x7fff;
}

const SCRATCH = new DataView(new ArrayBuffer(8));

export function toNumber(value: bigint): number {
  SCRATCH.setBigUint64(0, convert(createEnvironment(X87_RULES), EXTENDED80, BINARY64, value));
  return SCRATCH.getFloat64(0);
}

export function fromNumber(environment: FloatEnvironment, value: number): bigint {
  SCRATCH.setFloat64(0, value);
  environment.flags |= FLOAT_FLAG.INEXACT;
  return convert(environment, BINARY64, EXTENDED80, SCRATCH.getBigUint64(0));
}

/** 2 to a power, as an extended number. */
export function powerOfTwo(power: number): bigint {
  return (BigInt(0x3fff + power) << 64n) | (1n << 63n);
}

export function decodeBcd(low: bigint, high: number): bigint {
  let digits = (BigInt(high & 0xff) << 64n) | low;
  let value = 0n;
  for (let i = 0; i < 18; i++) {
    value = value * 10n + ((digits >> 68n) & 15n);
    digits <<= 4n;
  }
  return high & 0x8000 ? -value : value;
}

export function encodeBcd(magnitude: bigint): bigint {
  let rest = magnitude;
  let digits = 0n;
  for (let i = 0n; i < 18n; i++) {
    digits |= (rest % 10n) << (4n * i);
    rest /= 10n;
  }
  return digits;
}
