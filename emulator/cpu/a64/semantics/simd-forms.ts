/**
 * Operand forms that many Advanced SIMD instructions share: an operation on lanes becomes the meaning of an encoding.
 *
 * Source: Arm ARM DDI 0487 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type { Translation } from '../translation.ts';
import { Lanes, type Saturated } from './vector-lanes.ts';
import { pickLanes, times, type Vector } from './vector-permute.ts';
import { setResult, vectorBits } from './vector-registers.ts';

/** Lane widths for which an instruction exists: bytes to doublewords, each `8 << size` bits. */
export const B = [0, 0] as const;
export const BH = [0, 1] as const;
export const BHS = [0, 2] as const;
export const BHSD = [0, 3] as const;
export const HS = [1, 2] as const;
export const D = [3, 3] as const;
export type Sizes = readonly [smallest: number, largest: number];

type Result = Vector | Saturated;
type Unary = (lanes: Lanes, a: Vector, d: Vector) => Result;
type Binary = (lanes: Lanes, a: Vector, b: Vector) => Result;
type Ternary = (lanes: Lanes, d: Vector, a: Vector, b: Vector) => Result;

interface TwoRegisters {
  readonly size: number;
  readonly rn: number;
  readonly rd: number;
}
interface ThreeRegisters extends TwoRegisters {
  readonly rm: number;
}
interface WithQ {
  readonly q: number;
}
type Semantic<F> = (t: Translation, fields: F) => void;

function allows([smallest, largest]: Sizes, size: number): boolean {
  return size >= smallest && size <= largest;
}

/** A vector of 64-bit lanes has two of them: Q is set. */
export function isVector(sizes: Sizes, size: number, q: number): boolean {
  return allows(sizes, size) && (size < 3 || q === 1);
}

/** Vd = op(Vn, Vm) on vectors of 64 or 128 bits. */
export function threeSame(sizes: Sizes, op: Binary): Semantic<ThreeRegisters & WithQ> {
  return (t, { q, size, rm, rn, rd }) => {
    if (!isVector(sizes, size, q)) return t.undefined();
    setResult(t, rd, op(new Lanes(t.ir, size), t.v(rn), t.v(rm)), vectorBits(q));
  };
}

/** Vd = op(Vd, Vn, Vm). */
export function threeSameAccumulate(sizes: Sizes, op: Ternary): Semantic<ThreeRegisters & WithQ> {
  return (t, { q, size, rm, rn, rd }) => {
    if (!isVector(sizes, size, q)) return t.undefined();
    setResult(t, rd, op(new Lanes(t.ir, size), t.v(rd), t.v(rn), t.v(rm)), vectorBits(q));
  };
}

/** The same on the lowest lane. */
export function threeSameScalar(sizes: Sizes, op: Binary): Semantic<ThreeRegisters> {
  return (t, { size, rm, rn, rd }) => {
    if (!allows(sizes, size)) return t.undefined();
    setResult(t, rd, op(new Lanes(t.ir, size), t.v(rn), t.v(rm)), 8 << size);
  };
}

/** The same with the destination as an operand. */
export function threeSameScalarAccumulate(sizes: Sizes, op: Ternary): Semantic<ThreeRegisters> {
  return (t, { size, rm, rn, rd }) => {
    if (!allows(sizes, size)) return t.undefined();
    setResult(t, rd, op(new Lanes(t.ir, size), t.v(rd), t.v(rn), t.v(rm)), 8 << size);
  };
}

/** Vd = op(Vn), which may read Vd too. */
export function twoRegister(sizes: Sizes, op: Unary): Semantic<TwoRegisters & WithQ> {
  return (t, { q, size, rn, rd }) => {
    if (!isVector(sizes, size, q)) return t.undefined();
    setResult(t, rd, op(new Lanes(t.ir, size), t.v(rn), t.v(rd)), vectorBits(q));
  };
}

/** The same on the lowest lane. */
export function twoRegisterScalar(sizes: Sizes, op: Unary): Semantic<TwoRegisters> {
  return (t, { size, rn, rd }) => {
    if (!allows(sizes, size)) return t.undefined();
    setResult(t, rd, op(new Lanes(t.ir, size), t.v(rn), t.v(rd)), 8 << size);
  };
}

/** Op on neighbours: those of Vn below those of Vm. */
export function pairwise(sizes: Sizes, op: Binary): Semantic<ThreeRegisters & WithQ> {
  return (t, { q, size, rm, rn, rd }) => {
    if (!isVector(sizes, size, q)) return t.undefined();
    const lanes = new Lanes(t.ir, size);
    const [even, odd] = neighbours(lanes, t.v(rn), t.v(rm), q);
    setResult(t, rd, op(lanes, even, odd), vectorBits(q));
  };
}

/** Even and odd lanes of two vectors of 64 or 128 bits, those of `a` below. */
export function neighbours(lanes: Lanes, a: Vector, b: Vector, q: number): [even: Vector, odd: Vector] {
  return [unzip(lanes, a, b, q, 0), unzip(lanes, a, b, q, 1)];
}

/** Lanes `first`, `first + 2`, … of two vectors of 64 or 128 bits, those of `a` below. */
export function unzip(lanes: Lanes, a: Vector, b: Vector, q: number, first: number): Vector {
  const perVector = q ? lanes.count : lanes.count / 2;
  const pick = (i: number): number => {
    const n = (2 * i + first) % (2 * perVector);
    return n < perVector ? n : n - perVector + lanes.count;
  };
  return pickLanes(lanes.ir, lanes.size, [a, b], times(lanes.count, pick));
}

/** A result with lanes half as wide goes to the low half of Vd, or with Q (`…2`) to the high half, keeping the low one. */
export function setNarrowed(t: Translation, lanes: Lanes, q: number, rd: number, wide: Vector): void {
  if (!q) return t.setV(rd, lanes.narrowLow(wide));
  const half = lanes.count / 2;
  const picks = times(lanes.count, i => (i < half ? i : lanes.count + 2 * (i - half)));
  t.setV(rd, pickLanes(t.ir, lanes.size, [t.v(rd), wide], picks));
}
