/**
 * Meaning of the Advanced SIMD instructions that move lanes: copies, permutations, table look-ups, immediates.
 *
 * Source: Arm ARM DDI 0487 "Advanced SIMD copy", "Advanced SIMD permute", "Advanced SIMD extract", "Advanced SIMD table lookup",
 * "Advanced SIMD modified immediate".
 */
import type {
  SIMD_COPY,
  SIMD_MODIFIED_IMMEDIATE,
  SIMD_MODIFIED_IMMEDIATE_HALF,
  SIMD_MODIFIED_IMMEDIATE_UNSHARED,
  SIMD_PERMUTE,
} from '../encodings/simd-move.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { expandFpImmediate } from './fp-immediate.ts';
import { unzip } from './simd-forms.ts';
import { Lanes } from './vector-lanes.ts';
import { pickBytes, pickLanes, times, type Vector } from './vector-permute.ts';
import { fromScalar, lane, laneSigned, setV, splat, vectorBits, withLane } from './vector-registers.ts';

/** Size and number of the lane that imm5 names: the lowest set bit is the size, the bits above it the number. */
function laneOfImm5(imm5: number): { readonly size: number; readonly index: number } {
  const size = 31 - Math.clz32(imm5 & -imm5);
  return { size, index: imm5 >> (size + 1) };
}

const isSize = (size: number): boolean => size >= 0 && size <= 3;

export const copySemantics: Semantics<typeof SIMD_COPY> = {
  'DUP (element, vector)': (t, { q, imm5, rn, rd }) => {
    const { size, index } = laneOfImm5(imm5);
    if (!isSize(size) || (size === 3 && !q)) return t.undefined();
    setV(t, rd, new Lanes(t.ir, size).broadcast(t.v(rn), index), vectorBits(q));
  },
  'DUP (element, scalar)': (t, { imm5, rn, rd }) => {
    const { size, index } = laneOfImm5(imm5);
    if (!isSize(size)) return t.undefined();
    t.setV(rd, fromScalar(t.ir, size, lane(t.ir, size, t.v(rn), index)));
  },
  'DUP (general)': (t, { q, imm5, rn, rd }) => {
    const { size } = laneOfImm5(imm5);
    if (!isSize(size) || (size === 3 && !q)) return t.undefined();
    setV(t, rd, splat(t.ir, size, t.x(rn)), vectorBits(q));
  },
  'INS (general)': (t, { imm5, rn, rd }) => {
    const { size, index } = laneOfImm5(imm5);
    if (!isSize(size)) return t.undefined();
    t.setV(rd, withLane(t.ir, size, t.v(rd), index, t.x(rn)));
  },
  'INS (element)': (t, { imm5, imm4, rn, rd }) => {
    const { size, index } = laneOfImm5(imm5);
    if (!isSize(size)) return t.undefined();
    t.setV(rd, withLane(t.ir, size, t.v(rd), index, lane(t.ir, size, t.v(rn), imm4 >> size)));
  },
  SMOV: (t, { q, imm5, rn, rd }) => {
    const { size, index } = laneOfImm5(imm5);
    if (!isSize(size) || size > (q ? 2 : 1)) return t.undefined();
    const value = laneSigned(t.ir, size, t.v(rn), index);
    t.setReg(rd, q ? t.ir.toI64Signed(value) : value);
  },
  UMOV: (t, { q, imm5, rn, rd }) => {
    const { size, index } = laneOfImm5(imm5);
    if (!isSize(size) || (size === 3) !== (q === 1)) return t.undefined();
    t.setReg(rd, lane(t.ir, size, t.v(rn), index));
  },
};

interface PermuteFields {
  readonly q: number;
  readonly size: number;
  readonly rm: number;
  readonly rn: number;
  readonly rd: number;
}

function permute(op: (l: Lanes, a: Vector, b: Vector, q: number) => Vector) {
  return (t: Translation, { q, size, rm, rn, rd }: PermuteFields): void => {
    if (size === 3 && !q) return t.undefined();
    setV(t, rd, op(new Lanes(t.ir, size), t.v(rn), t.v(rm), q), vectorBits(q));
  };
}

/** Lanes of `a` and `b` in turn, from lane `first` of each. */
function zip(l: Lanes, a: Vector, b: Vector, first: number): Vector {
  const picks = times(l.count, i => (first + (i >> 1) + (i & 1) * l.count) % (2 * l.count));
  return pickLanes(l.ir, l.size, [a, b], picks);
}

/** Even (`odd` = 0) or odd lanes of `a` and `b` in turn. */
function transpose(l: Lanes, a: Vector, b: Vector, odd: number): Vector {
  const picks = times(l.count, i => (i & ~1) + odd + (i & 1) * l.count);
  return pickLanes(l.ir, l.size, [a, b], picks);
}

interface TableFields {
  readonly q: number;
  readonly rm: number;
  readonly len: number;
  readonly rn: number;
  readonly rd: number;
}

/** Bytes of a table of 1 to 4 registers by the indices in Vm; 0 where the index is beyond it. */
function lookUp(t: Translation, { rm, len, rn }: TableFields): Vector {
  const l = new Lanes(t.ir, 0);
  const indices = t.v(rm);
  let result = t.ir.op('i8x16.swizzle', t.v(rn), indices);
  for (let i = 1; i <= len; i++) {
    const relative = l.sub(indices, l.constant(BigInt(16 * i)));
    result = l.or(result, t.ir.op('i8x16.swizzle', t.v((rn + i) % 32), relative));
  }
  return result;
}

export const permuteSemantics: Semantics<typeof SIMD_PERMUTE> = {
  UZP1: permute((l, a, b, q) => unzip(l, a, b, q, 0)),
  UZP2: permute((l, a, b, q) => unzip(l, a, b, q, 1)),
  TRN1: permute((l, a, b) => transpose(l, a, b, 0)),
  TRN2: permute((l, a, b) => transpose(l, a, b, 1)),
  ZIP1: permute((l, a, b) => zip(l, a, b, 0)),
  ZIP2: permute((l, a, b, q) => zip(l, a, b, q ? l.count / 2 : l.count / 4)),
  EXT: (t, { q, rm, imm4, rn, rd }) => {
    if (!q && imm4 & 8) return t.undefined();
    const length = q ? 16 : 8;
    const pick = (i: number): number => (i + imm4 < length ? i + imm4 : 16 + ((i + imm4 - length) % 16));
    setV(t, rd, pickBytes(t.ir, [t.v(rn), t.v(rm)], times(16, pick)), vectorBits(q));
  },
  TBL: (t, fields) => setV(t, fields.rd, lookUp(t, fields), vectorBits(fields.q)),
  TBX: (t, fields) => {
    const l = new Lanes(t.ir, 0);
    const isInTable = l.gtU(l.constant(BigInt(16 * (fields.len + 1))), t.v(fields.rm));
    setV(t, fields.rd, l.choose(isInTable, lookUp(t, fields), t.v(fields.rd)), vectorBits(fields.q));
  },
};

interface ImmediateFields {
  readonly q: number;
  readonly abc: number;
  readonly defgh: number;
  readonly rd: number;
}
/** What becomes of Vd with an immediate in every lane. */
type Combine = (t: Translation, rd: number, l: Lanes, immediate: bigint) => Vector;

const move: Combine = (_, __, l, immediate) => l.constant(immediate);
const moveNot: Combine = (_, __, l, immediate) => l.constant(~immediate);
const orr: Combine = (t, rd, l, immediate) => l.or(t.v(rd), l.constant(immediate));
const bic: Combine = (t, rd, l, immediate) => l.and(t.v(rd), l.constant(~immediate));

function write(
  t: Translation,
  { q, rd }: Pick<ImmediateFields, 'q' | 'rd'>,
  size: number,
  value: bigint,
  combine: Combine,
): void {
  setV(t, rd, combine(t, rd, new Lanes(t.ir, size), value), vectorBits(q));
}

const imm8 = ({ abc, defgh }: Pick<ImmediateFields, 'abc' | 'defgh'>): number => (abc << 5) | defgh;

/** imm8 shifted left by 0 to 3 bytes, in lanes of `8 << size` bits. */
function shifted(size: number, combine: Combine) {
  return (t: Translation, fields: ImmediateFields & { readonly shift: number }): void =>
    write(t, fields, size, BigInt(imm8(fields)) << BigInt(8 * fields.shift), combine);
}

/** imm8 shifted left by one or two bytes, with ones below it, in words. */
function shiftingOnes(combine: Combine) {
  return (t: Translation, fields: ImmediateFields & { readonly shift: number }): void => {
    const ones = 8n << BigInt(fields.shift);
    write(t, fields, 2, (BigInt(imm8(fields)) << ones) | ((1n << ones) - 1n), combine);
  };
}

/** Each bit of imm8 eight times. */
function spreadBits(bits: number): bigint {
  let result = 0n;
  for (let i = 0; i < 8; i++) if ((bits >> i) & 1) result |= 0xffn << BigInt(8 * i);
  return result;
}

export const modifiedImmediateSemantics: Semantics<typeof SIMD_MODIFIED_IMMEDIATE> = {
  'MOVI (32-bit shifted)': shifted(2, move),
  'ORR (vector, immediate, 32-bit)': shifted(2, orr),
  'MOVI (16-bit shifted)': shifted(1, move),
  'ORR (vector, immediate, 16-bit)': shifted(1, orr),
  'MVNI (32-bit shifted)': shifted(2, moveNot),
  'BIC (vector, immediate, 32-bit)': shifted(2, bic),
  'MVNI (16-bit shifted)': shifted(1, moveNot),
  'BIC (vector, immediate, 16-bit)': shifted(1, bic),
  'MOVI (8-bit)': (t, fields) => write(t, fields, 0, BigInt(imm8(fields)), move),
  'MOVI (64-bit)': (t, fields) => write(t, fields, 3, spreadBits(imm8(fields)), move),
};

export const modifiedImmediateUnsharedSemantics: Semantics<typeof SIMD_MODIFIED_IMMEDIATE_UNSHARED> = {
  'MOVI (shifting ones)': shiftingOnes(move),
  'MVNI (shifting ones)': shiftingOnes(moveNot),
  'FMOV (vector, immediate, single)': (t, fields) => write(t, fields, 2, expandFpImmediate(imm8(fields), 32), move),
  'FMOV (vector, immediate, double)': (t, fields) =>
    write(t, { q: 1, rd: fields.rd }, 3, expandFpImmediate(imm8(fields), 64), move),
};

export const modifiedImmediateHalfSemantics: Semantics<typeof SIMD_MODIFIED_IMMEDIATE_HALF> = {
  'FMOV (vector, immediate, half)': (t, fields) => write(t, fields, 1, expandFpImmediate(imm8(fields), 16), move),
};
