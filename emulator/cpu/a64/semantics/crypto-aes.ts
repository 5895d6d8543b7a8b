/**
 * Meaning of the AES instructions and of the 64-bit polynomial product.
 *
 * The S-box is a look-up in sixteen rows of sixteen bytes, which is what WebAssembly's swizzle gives.
 * Sources: Arm ARM DDI 0487 "AESE", "AESMC", "PMULL"; FIPS 197 "Cipher", "Inverse Cipher".
 */
import type { Value } from '../../ir/block.ts';
import type { BlockBuilder } from '../../ir/builder.ts';
import type { CRYPTO_AES, CRYPTO_PMULL } from '../encodings/crypto.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { Lanes } from './vector-lanes.ts';
import { pickBytes, times, type Vector } from './vector-permute.ts';

// Tables

/** Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. Source: FIPS 197 "Multiplication". */
function multiply(a: number, b: number): number {
  let product = 0;
  let power = a;
  for (let rest = b; rest !== 0; rest >>= 1) {
    if (rest & 1) product ^= power;
    power = (power << 1) ^ (power & 0x80 ? 0x11b : 0);
  }
  return product;
}

/** Source: FIPS 197 "SubBytes() Transformation". */
function substitute(value: number): number {
  let inverse = 1;
  for (let i = 0; i < 254; i++) inverse = multiply(inverse, value);
  const rotated = (amount: number): number => ((inverse << amount) | (inverse >> (8 - amount))) & 0xff;
  return inverse ^ rotated(1) ^ rotated(2) ^ rotated(3) ^ rotated(4) ^ 0x63;
}

const S_BOX = Uint8Array.from({ length: 256 }, (_, value) => substitute(value));
const INVERSE_S_BOX = new Uint8Array(256);
S_BOX.forEach((substituted, value) => (INVERSE_S_BOX[substituted] = value));

/** Where each byte comes from: row `r` of the state (byte `r` of each column) moves by `r` columns. */
const SHIFT_ROWS = times(16, i => (i + 4 * (i % 4)) % 16);
const INVERSE_SHIFT_ROWS = times(16, i => (i + 12 * (i % 4)) % 16);

// Transformations of the state

function lookUp(ir: BlockBuilder, box: Uint8Array, indices: Vector): Vector {
  const l = new Lanes(ir, 0);
  const row = (i: number): Vector => {
    const relative = i === 0 ? indices : l.sub(indices, l.constant(BigInt(16 * i)));
    return ir.op('i8x16.swizzle', ir.v128(box.slice(16 * i, 16 * i + 16)), relative);
  };
  return times(15, i => i + 1).reduce((found, i) => l.or(found, row(i)), row(0));
}

/** Each byte times x. */
function timesX(l: Lanes, a: Vector): Vector {
  return l.xor(l.shl(a, 1), l.and(l.isNegative(a), l.constant(0x1bn)));
}

/** Rotates each column by `distance` bytes. */
function rotateColumns(ir: BlockBuilder, a: Vector, distance: number): Vector {
  return pickBytes(
    ir,
    [a],
    times(16, i => (i & ~3) | ((i + distance) & 3)),
  );
}

/** 2a + 3b + c + d for each column. */
function mixColumns(l: Lanes, a: Vector): Vector {
  const next = rotateColumns(l.ir, a, 1);
  const others = l.xor(rotateColumns(l.ir, a, 2), rotateColumns(l.ir, a, 3));
  return l.xor(l.xor(timesX(l, l.xor(a, next)), next), others);
}

/** Adds 4(a + c) to a and c, and 4(b + d) to b and d: then the forward transformation gives the inverse one. */
function prepareInverse(l: Lanes, a: Vector): Vector {
  const opposite = l.xor(a, rotateColumns(l.ir, a, 2));
  return l.xor(a, timesX(l, timesX(l, opposite)));
}

interface Fields {
  readonly rn: number;
  readonly rd: number;
}

/** Adds the round key, shifts the rows and substitutes. */
function round(box: Uint8Array, shiftRows: readonly number[]) {
  return (t: Translation, { rn, rd }: Fields): void => {
    const keyed = t.ir.op('v128.xor', t.v(rd), t.v(rn));
    t.setV(rd, lookUp(t.ir, box, pickBytes(t.ir, [keyed], shiftRows)));
  };
}

export const aesSemantics: Semantics<typeof CRYPTO_AES> = {
  AESE: round(S_BOX, SHIFT_ROWS),
  AESD: round(INVERSE_S_BOX, INVERSE_SHIFT_ROWS),
  AESMC: (t, { rn, rd }) => t.setV(rd, mixColumns(new Lanes(t.ir, 0), t.v(rn))),
  AESIMC: (t, { rn, rd }) => {
    const l = new Lanes(t.ir, 0);
    t.setV(rd, mixColumns(l, prepareInverse(l, t.v(rn))));
  },
};

// Polynomial product

type I64 = Value<'i64'>;

/** Every fourth bit, from bit `first` on. */
const everyFourth = (first: number): bigint => 0x1111_1111_1111_1111n << BigInt(first);

/**
 * Low 64 bits of the product of polynomials over {0, 1}.
 *
 * Integer products of numbers with three zeros between the bits: at most 16 ones meet, so that carries stay within the zeros.
 */
function polynomialLow(ir: BlockBuilder, a: I64, b: I64): I64 {
  const split = (value: I64): I64[] => times(4, i => i).map(i => ir.and(value, ir.i64(everyFourth(i))));
  const left = split(a);
  const right = split(b);
  const part = (sum: number): I64 => {
    const products = left.map((factor, i) => ir.mul(factor, right[(sum - i + 4) % 4]!));
    return ir.and(
      products.reduce((x, y) => ir.xor(x, y)),
      ir.i64(everyFourth(sum)),
    );
  };
  return [1, 2, 3].reduce((result, sum) => ir.or(result, part(sum)), part(0));
}

function reverseBits(ir: BlockBuilder, value: I64): I64 {
  const swap = (x: I64, distance: number, mask: bigint): I64 =>
    ir.or(ir.and(ir.shrU(x, distance), ir.i64(mask)), ir.shl(ir.and(x, ir.i64(mask)), distance));
  const inBytes = swap(
    swap(swap(value, 1, 0x5555_5555_5555_5555n), 2, 0x3333_3333_3333_3333n),
    4,
    0x0f0f_0f0f_0f0f_0f0fn,
  );
  return ir.rotl(swap(swap(inBytes, 8, 0x00ff_00ff_00ff_00ffn), 16, 0x0000_ffff_0000_ffffn), 32);
}

/** High 64 bits: the product of the reversed operands, reversed. */
function polynomialHigh(ir: BlockBuilder, a: I64, b: I64): I64 {
  return ir.shrU(reverseBits(ir, polynomialLow(ir, reverseBits(ir, a), reverseBits(ir, b))), 1);
}

export const pmullSemantics: Semantics<typeof CRYPTO_PMULL> = {
  'PMULL (64-bit)': (t, { q, rm, rn, rd }) => {
    const { ir } = t;
    const a = ir.lane('i64x2.extract_lane', q, t.v(rn));
    const b = ir.lane('i64x2.extract_lane', q, t.v(rm));
    const low = ir.op('i64x2.splat', polynomialLow(ir, a, b));
    t.setV(rd, ir.lane('i64x2.replace_lane', 1, low, polynomialHigh(ir, a, b)));
  },
};
