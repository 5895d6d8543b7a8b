/** Bit patterns of floating-point numbers as tests want them: special values, edges of ranges, and random ones of ordinary size. */
import type { Random } from './random.ts';

const HALF_SPECIALS = [
  0x0000, 0x8000, 0x7c00, 0xfc00, 0x7e00, 0x7d01, 0xfe01, 0x0001, 0x83ff, 0x0400, 0x3c00, 0xbc00, 0x7bff, 0x3e00,
  0x4000, 0x3555,
];
const SINGLE_SPECIALS = [
  0x0000_0000, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7fa0_0001, 0xffc0_0123, 0x0000_0001, 0x807f_ffff,
  0x0080_0000, 0x3f80_0000, 0xbf80_0000, 0x7f7f_ffff, 0x3fc0_0000, 0x4049_0fdb, 0x4f00_0000, 0xcf00_0000, 0x3f00_0000,
  0x5f00_0000,
];
const DOUBLE_SPECIALS = [
  0x0000_0000_0000_0000n,
  0x8000_0000_0000_0000n,
  0x7ff0_0000_0000_0000n,
  0xfff0_0000_0000_0000n,
  0x7ff8_0000_0000_0000n,
  0x7ff4_0000_0000_0001n,
  0xfff8_0000_0000_0123n,
  0x0000_0000_0000_0001n,
  0x800f_ffff_ffff_ffffn,
  0x0010_0000_0000_0000n,
  0x3ff0_0000_0000_0000n,
  0xbff0_0000_0000_0000n,
  0x7fef_ffff_ffff_ffffn,
  0x3ff8_0000_0000_0000n,
  0x4009_21fb_5444_2d18n,
  0x41df_ffff_ffc0_0000n,
  0xc1e0_0000_0000_0000n,
  0x43e0_0000_0000_0000n,
  0x3fe0_0000_0000_0000n,
  0x36a0_0000_0000_0000n,
  0x47ef_ffff_e000_0000n,
  0x47ef_ffff_f000_0000n,
  0x380f_ffff_ffff_ffffn,
];

/** A number whose exponent is within `spread` of that of 1. */
function ordinary(random: Random, bits: number, exponentBits: number, spread: number): bigint {
  const fractionBits = bits - exponentBits - 1;
  const exponent = 2 ** (exponentBits - 1) - 1 + random.below(2 * spread) - spread;
  const fraction = BigInt.asUintN(fractionBits, random.word64());
  const sign = BigInt(random.below(2)) << BigInt(bits - 1);
  return sign | (BigInt(exponent) << BigInt(fractionBits)) | fraction;
}

/** A half-precision number. */
export function randomHalf(random: Random): bigint {
  if (random.below(2) === 0) return BigInt(random.pick(HALF_SPECIALS));
  return random.below(2) === 0 ? BigInt(random.below(0x1_0000)) : ordinary(random, 16, 5, 6);
}

/** A single-precision number. */
export function randomSingle(random: Random): bigint {
  if (random.below(2) === 0) return BigInt(random.pick(SINGLE_SPECIALS));
  return random.below(2) === 0 ? BigInt(random.word()) : ordinary(random, 32, 8, 30);
}

/** A double-precision number. */
export function randomDouble(random: Random): bigint {
  if (random.below(2) === 0) return random.pick(DOUBLE_SPECIALS);
  return random.below(2) === 0 ? random.word64() : ordinary(random, 64, 11, 60);
}

/** 64 bits of numbers of one precision. */
export function randomNumbers(random: Random, bits: 16 | 32 | 64): bigint {
  if (bits === 64) return randomDouble(random);
  const one = bits === 32 ? randomSingle : randomHalf;
  let word = 0n;
  for (let at = 0n; at < 64n; at += BigInt(bits)) word |= one(random) << at;
  return word;
}
