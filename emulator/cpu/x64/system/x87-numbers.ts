/** Numbers of the x87 by other means: transcendental functions in the host's 53 bits, powers of two, packed decimals. */
import { convert } from '../../float/convert.ts';
import { createEnvironment, FLOAT_FLAG, type FloatEnvironment, X87_RULES } from '../../float/environment.ts';
import { BINARY64, EXTENDED80 } from '../../float/format.ts';
import type { X87Operation } from './x87-form.ts';

export const TRANSCENDENTALS_OF_ONE: Readonly<Partial<Record<X87Operation, (value: number) => number>>> = {
  SIN: Math.sin,
  COS: Math.cos,
  PTAN: Math.tan,
  F2XM1: value => Math.expm1(value * Math.LN2),
};

/** Of (ST0, ST1); the result replaces ST1. */
export const TRANSCENDENTALS_OF_TWO: Readonly<Partial<Record<X87Operation, (x: number, y: number) => number>>> = {
  YL2X: (x, y) => y * Math.log2(x),
  YL2XP1: (x, y) => y * (Math.log1p(x) / Math.LN2),
  PATAN: (x, y) => Math.atan2(y, x),
};

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
