/**
 * Arithmetic on the lanes of vectors, for every lane width: what WebAssembly lacks for a width is composed here.
 *
 * Source of what is there: WebAssembly Core Specification "Vector Instructions".
 */
import type { BlockBuilder } from '../../ir/builder.ts';
import { pickLanes, times, type Vector, ZERO, zeroVector } from './vector-permute.ts';

const SHAPES = ['i8x16', 'i16x8', 'i32x4', 'i64x2'] as const;
type Shape = (typeof SHAPES)[number];

/** A result and, in all bits of each lane that was saturated, ones. */
export interface Saturated {
  readonly value: Vector;
  readonly saturated: Vector;
}

/** Which half of a vector a widening operation takes. */
export type Half = 'low' | 'high';

/** Operations on vectors whose lanes have `8 << size` bits; lane numbers count from the lowest. */
export class Lanes {
  readonly ir: BlockBuilder;
  readonly size: number;
  /** Bits of a lane. */
  readonly bits: number;
  /** Lanes in 128 bits. */
  readonly count: number;
  readonly #shape: Shape;

  /** @param size 0 for bytes to 3 for 64-bit lanes */
  constructor(ir: BlockBuilder, size: number) {
    this.ir = ir;
    this.size = size;
    this.bits = 8 << size;
    this.count = 16 >> size;
    this.#shape = SHAPES[size]!;
  }

  /** The same with lanes twice as wide. */
  get wider(): Lanes {
    return new Lanes(this.ir, this.size + 1);
  }

  /** Every lane holds `value`, taken modulo its width. */
  constant(value: bigint): Vector {
    const bytes = new Uint8Array(16);
    for (let i = 0; i < 16; i++) bytes[i] = Number(BigInt.asUintN(8, value >> BigInt((i * 8) % this.bits)));
    return this.ir.v128(bytes);
  }
  get zero(): Vector {
    return zeroVector(this.ir);
  }
  /** The most negative value in every lane. */
  get signBit(): Vector {
    return this.constant(1n << BigInt(this.bits - 1));
  }
  /** The most positive signed value in every lane. */
  get maxSigned(): Vector {
    return this.constant((1n << BigInt(this.bits - 1)) - 1n);
  }
  get allOnes(): Vector {
    return this.constant(-1n);
  }

  // Bits

  and(a: Vector, b: Vector): Vector {
    return this.ir.op('v128.and', a, b);
  }
  /** Bits of `a` that are not in `b`. */
  andNot(a: Vector, b: Vector): Vector {
    return this.ir.op('v128.andnot', a, b);
  }
  or(a: Vector, b: Vector): Vector {
    return this.ir.op('v128.or', a, b);
  }
  xor(a: Vector, b: Vector): Vector {
    return this.ir.op('v128.xor', a, b);
  }
  not(a: Vector): Vector {
    return this.ir.op('v128.not', a);
  }
  /** Bits of `a` where the mask is 1, of `b` where it is 0. */
  choose(mask: Vector, a: Vector, b: Vector): Vector {
    return this.ir.op('v128.bitselect', a, b, mask);
  }

  // Arithmetic modulo the lane's width

  add(a: Vector, b: Vector): Vector {
    return this.ir.op(`${this.#shape}.add`, a, b);
  }
  sub(a: Vector, b: Vector): Vector {
    return this.ir.op(`${this.#shape}.sub`, a, b);
  }
  neg(a: Vector): Vector {
    return this.ir.op(`${this.#shape}.neg`, a);
  }
  abs(a: Vector): Vector {
    return this.ir.op(`${this.#shape}.abs`, a);
  }
  mul(a: Vector, b: Vector): Vector {
    if (this.#shape !== 'i8x16') return this.ir.op(`${this.#shape}.mul`, a, b);
    return this.narrow(this.mulWide('low', false, a, b), this.mulWide('high', false, a, b));
  }

  // Shifts by a constant from 0 to the lane's width

  shl(a: Vector, amount: number): Vector {
    if (amount === 0) return a;
    return amount >= this.bits ? this.zero : this.ir.op(`${this.#shape}.shl`, a, this.ir.i32(amount));
  }
  shrU(a: Vector, amount: number): Vector {
    if (amount === 0) return a;
    return amount >= this.bits ? this.zero : this.ir.op(`${this.#shape}.shr_u`, a, this.ir.i32(amount));
  }
  shrS(a: Vector, amount: number): Vector {
    if (amount === 0) return a;
    return this.ir.op(`${this.#shape}.shr_s`, a, this.ir.i32(Math.min(amount, this.bits - 1)));
  }
  shr(signed: boolean, a: Vector, amount: number): Vector {
    return signed ? this.shrS(a, amount) : this.shrU(a, amount);
  }
  /** Shifts right by 1 to the lane's width, rounding halves up. */
  shrRounded(signed: boolean, a: Vector, amount: number): Vector {
    const roundUp = this.and(this.shrU(a, amount - 1), this.constant(1n));
    return this.add(this.shr(signed, a, amount), roundUp);
  }

  // Comparisons: all ones where they hold

  eq(a: Vector, b: Vector): Vector {
    return this.ir.op(`${this.#shape}.eq`, a, b);
  }
  ne(a: Vector, b: Vector): Vector {
    return this.ir.op(`${this.#shape}.ne`, a, b);
  }
  gtS(a: Vector, b: Vector): Vector {
    return this.ir.op(`${this.#shape}.gt_s`, a, b);
  }
  geS(a: Vector, b: Vector): Vector {
    return this.ir.op(`${this.#shape}.ge_s`, a, b);
  }
  gtU(a: Vector, b: Vector): Vector {
    if (this.#shape !== 'i64x2') return this.ir.op(`${this.#shape}.gt_u`, a, b);
    return this.gtS(this.xor(a, this.signBit), this.xor(b, this.signBit));
  }
  geU(a: Vector, b: Vector): Vector {
    if (this.#shape !== 'i64x2') return this.ir.op(`${this.#shape}.ge_u`, a, b);
    return this.geS(this.xor(a, this.signBit), this.xor(b, this.signBit));
  }
  gt(signed: boolean, a: Vector, b: Vector): Vector {
    return signed ? this.gtS(a, b) : this.gtU(a, b);
  }
  /** All ones in negative lanes. */
  isNegative(a: Vector): Vector {
    return this.shrS(a, this.bits - 1);
  }

  // Minimum, maximum, averages, distances

  min(signed: boolean, a: Vector, b: Vector): Vector {
    if (this.#shape === 'i64x2') return this.choose(this.gt(signed, a, b), b, a);
    return this.ir.op(`${this.#shape}.min_${signed ? 's' : 'u'}`, a, b);
  }
  max(signed: boolean, a: Vector, b: Vector): Vector {
    if (this.#shape === 'i64x2') return this.choose(this.gt(signed, a, b), a, b);
    return this.ir.op(`${this.#shape}.max_${signed ? 's' : 'u'}`, a, b);
  }
  distance(signed: boolean, a: Vector, b: Vector): Vector {
    return this.sub(this.max(signed, a, b), this.min(signed, a, b));
  }
  /** (a + b) / 2 without overflow, rounded down. */
  halvingAdd(signed: boolean, a: Vector, b: Vector): Vector {
    return this.add(this.and(a, b), this.shr(signed, this.xor(a, b), 1));
  }
  /** (a + b + 1) / 2 without overflow, rounded down. */
  roundedHalvingAdd(signed: boolean, a: Vector, b: Vector): Vector {
    return this.sub(this.or(a, b), this.shr(signed, this.xor(a, b), 1));
  }
  /** (a - b) / 2 without overflow, rounded down. */
  halvingSub(signed: boolean, a: Vector, b: Vector): Vector {
    return this.sub(this.shr(signed, this.xor(a, b), 1), this.andNot(b, a));
  }

  // Saturation

  addSaturated(signed: boolean, a: Vector, b: Vector): Saturated {
    const sum = this.add(a, b);
    if (!signed) return this.#saturateHigh(sum, this.gtU(a, sum));
    return this.#saturateSigned(a, sum, this.and(this.xor(sum, a), this.xor(sum, b)));
  }
  subSaturated(signed: boolean, a: Vector, b: Vector): Saturated {
    const difference = this.sub(a, b);
    if (!signed) return this.#saturateLow(difference, this.gtU(b, a));
    return this.#saturateSigned(a, difference, this.and(this.xor(a, b), this.xor(difference, a)));
  }
  /** Signed `a` plus unsigned `b`, as signed. */
  addUnsignedSaturated(a: Vector, b: Vector): Saturated {
    const { value, saturated } = this.addSaturated(false, this.xor(a, this.signBit), b);
    return { value: this.xor(value, this.signBit), saturated };
  }
  /** Unsigned `a` plus signed `b`, as unsigned. */
  addSignedSaturated(a: Vector, b: Vector): Saturated {
    const negative = this.isNegative(b);
    const sum = this.addSaturated(false, a, b);
    const difference = this.subSaturated(false, a, this.neg(b));
    return {
      value: this.choose(negative, difference.value, sum.value),
      saturated: this.choose(negative, difference.saturated, sum.saturated),
    };
  }
  negSaturated(a: Vector): Saturated {
    return this.#saturateMinimum(a, this.neg(a));
  }
  absSaturated(a: Vector): Saturated {
    return this.#saturateMinimum(a, this.abs(a));
  }
  /** Shifts left by a constant below the lane's width. */
  shlSaturated(signed: boolean, a: Vector, amount: number): Saturated {
    const shifted = this.shl(a, amount);
    const lost = this.ne(this.shr(signed, shifted, amount), a);
    if (!signed) return this.#saturateHigh(shifted, lost);
    return { value: this.choose(lost, this.#limitTowards(a), shifted), saturated: lost };
  }
  /** Shifts a signed lane left, with an unsigned result. */
  shlToUnsignedSaturated(a: Vector, amount: number): Saturated {
    const negative = this.isNegative(a);
    const { value, saturated } = this.shlSaturated(false, a, amount);
    return { value: this.andNot(value, negative), saturated: this.or(saturated, negative) };
  }
  /** Limits lanes to the range of lanes half as wide, signed or unsigned at either end; the result keeps its width. */
  clampToNarrower(a: Vector, fromSigned: boolean, toSigned: boolean): Saturated {
    const half = BigInt(this.bits / 2);
    const highest = this.constant(toSigned ? (1n << (half - 1n)) - 1n : (1n << half) - 1n);
    const limited = this.min(fromSigned, a, highest);
    const lowest = this.constant(toSigned ? -(1n << (half - 1n)) : 0n);
    const value = fromSigned ? this.max(true, limited, lowest) : limited;
    return { value, saturated: this.ne(value, a) };
  }

  #saturateHigh(value: Vector, saturated: Vector): Saturated {
    return { value: this.or(value, saturated), saturated };
  }
  #saturateLow(value: Vector, saturated: Vector): Saturated {
    return { value: this.andNot(value, saturated), saturated };
  }
  /** @param overflow sign bit set where the result overflowed */
  #saturateSigned(a: Vector, result: Vector, overflow: Vector): Saturated {
    const saturated = this.isNegative(overflow);
    return { value: this.choose(saturated, this.#limitTowards(a), result), saturated };
  }
  /** The most negative lanes saturate. */
  #saturateMinimum(a: Vector, result: Vector): Saturated {
    const saturated = this.eq(a, this.signBit);
    return { value: this.xor(result, saturated), saturated };
  }
  /** The most positive or most negative value, by the sign of `a`. */
  #limitTowards(a: Vector): Vector {
    return this.xor(this.isNegative(a), this.maxSigned);
  }

  // Wider and narrower lanes

  /** Half of the lanes, extended to twice their width. */
  widen(half: Half, signed: boolean, a: Vector): Vector {
    const sign = signed ? 's' : 'u';
    if (this.#shape === 'i8x16') return this.ir.op(`i16x8.extend_${half}_i8x16_${sign}`, a);
    if (this.#shape === 'i16x8') return this.ir.op(`i32x4.extend_${half}_i16x8_${sign}`, a);
    return this.ir.op(`i64x2.extend_${half}_i32x4_${sign}`, a);
  }
  /** Products of half of the lanes, twice as wide. */
  mulWide(half: Half, signed: boolean, a: Vector, b: Vector): Vector {
    const sign = signed ? 's' : 'u';
    if (this.#shape === 'i8x16') return this.ir.op(`i16x8.extmul_${half}_i8x16_${sign}`, a, b);
    if (this.#shape === 'i16x8') return this.ir.op(`i32x4.extmul_${half}_i16x8_${sign}`, a, b);
    return this.ir.op(`i64x2.extmul_${half}_i32x4_${sign}`, a, b);
  }
  /** Sums of neighbours, twice as wide. */
  addNeighbours(signed: boolean, a: Vector): Vector {
    const sign = signed ? 's' : 'u';
    if (this.#shape === 'i8x16') return this.ir.op(`i16x8.extadd_pairwise_i8x16_${sign}`, a);
    if (this.#shape === 'i16x8') return this.ir.op(`i32x4.extadd_pairwise_i16x8_${sign}`, a);
    const wide = this.wider;
    const even = wide.shr(signed, wide.shl(a, 32), 32);
    return wide.add(even, wide.shr(signed, a, 32));
  }
  /** The low halves of the lanes (of twice this width) of both vectors. */
  narrow(low: Vector, high: Vector): Vector {
    return pickLanes(
      this.ir,
      this.size,
      [low, high],
      times(this.count, i => 2 * i),
    );
  }
  /** The low halves of the lanes (of twice this width), in the low 64 bits below zeros. */
  narrowLow(a: Vector): Vector {
    const half = this.count / 2;
    return pickLanes(
      this.ir,
      this.size,
      [a],
      times(this.count, i => (i < half ? 2 * i : ZERO)),
    );
  }

  // Counting bits

  /** Leading zeros of each lane. */
  clz(a: Vector): Vector {
    let smeared = a;
    for (let distance = 1; distance < this.bits; distance *= 2) {
      smeared = this.or(smeared, this.shrU(smeared, distance));
    }
    return this.popcount(this.not(smeared));
  }
  popcount(a: Vector): Vector {
    let counts = this.ir.op('i8x16.popcnt', a);
    for (let size = 0; size < this.size; size++) counts = new Lanes(this.ir, size).addNeighbours(false, counts);
    return counts;
  }

  /** A copy of lane `index` in every lane. */
  broadcast(a: Vector, index: number): Vector {
    return pickLanes(
      this.ir,
      this.size,
      [a],
      times(this.count, () => index),
    );
  }
}
