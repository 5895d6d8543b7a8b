/** Vector instructions that SSE does not have: AVX and AVX2. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import { assert } from '../../../../capture/formats/errors.ts';
import type { Value } from '../../ir/block.ts';
import type { InstructionSemantics, Semantics } from '../instruction.ts';
import type { AVX_MOVES, AVX_NEW, AVX_SPECIAL, AVX_SSE4 } from '../opcode-map/avx.ts';
import type { Operand, VectorOperand } from '../operands.ts';
import { X64_STATE } from '../state.ts';
import { type ElementSize, packVectorMemory, UNLIMITED } from '../system/vector-memory-form.ts';
import { vectorMemory } from '../system/vector-helpers.ts';
import type { Translation } from '../translation.ts';
import { blend, fields2, pairOf, shuffleBy, testBits, vectorMoves, vectorSse4 } from './vector-moves.ts';
import { vectorSpecial } from './vector-special.ts';
import {
  binaryVector,
  halvesOf,
  immediateByte,
  readVector,
  type Vector,
  writeVector,
  writeVectors,
  zero,
} from './vector-operands.ts';

// Permutations

/** Bytes of the elements whose numbers are in the low byte of each element of `index`. */
function byteNumbers(t: Translation, index: Vector, size: 4 | 8): Vector {
  const { ir } = t;
  const lowBytes = Uint8Array.from({ length: 16 }, (_, i) => i - (i % size));
  const within = Uint8Array.from({ length: 16 }, (_, i) => i % size);
  const scaled = ir.op('i8x16.shl', ir.shuffle(index, index, lowBytes), ir.i32(Math.log2(size)));
  return ir.op('i8x16.add', scaled, ir.v128(within));
}

function masked(t: Translation, value: Vector, mask: number): Vector {
  return t.ir.op('v128.and', value, t.ir.op('i32x4.splat', t.ir.i32(mask)));
}

/** Elements of the first source, within their half, by numbers in the second one. */
function permuteWithin(size: 4 | 8): InstructionSemantics {
  return binaryVector((t, a, b) => {
    // PERMILPD has the number in bit 1
    const numbers = size === 4 ? masked(t, b, 3) : t.ir.op('i64x2.shr_u', t.ir.op('v128.and', b, TWO(t)), t.ir.i32(1));
    return t.ir.op('i8x16.swizzle', a, byteNumbers(t, numbers, size));
  });
}

const TWO = (t: Translation): Vector => t.ir.op('i64x2.splat', t.ir.i64(2));

/** VPERMD: words of the second source from anywhere by numbers in the first one. */
function permuteAcross(t: Translation, a: Operand, b: Operand, c: Operand): void {
  const { ir } = t;
  const [low, high] = [readVector(t, c, 0), readVector(t, c, 1)];
  const sixteen = ir.op('i8x16.splat', ir.i32(16));
  const results = halvesOf(a).map(half => {
    const bytes = byteNumbers(t, masked(t, readVector(t, b, half), 7), 4);
    // numbers beyond 15 give 0
    const upper = ir.op('i8x16.swizzle', high, ir.op('i8x16.sub', bytes, sixteen));
    return ir.op('v128.or', ir.op('i8x16.swizzle', low, bytes), upper);
  });
  writeVectors(t, a, results);
}

/** VPERMQ: quarters of the source by an immediate. */
function permuteQuarters(t: Translation, a: Operand, b: Operand, c: Operand): void {
  const [low, high] = [readVector(t, b, 0), readVector(t, b, 1)];
  const numbers = fields2(immediateByte(c));
  const results = halvesOf(a).map(half => {
    const lanes = [numbers[2 * half]!, numbers[2 * half + 1]!].flatMap(number => bytesOf(number, 8));
    return t.ir.shuffle(low, high, Uint8Array.from(lanes));
  });
  writeVectors(t, a, results);
}

function bytesOf(element: number, size: number): number[] {
  return Array.from({ length: size }, (_, i) => element * size + i);
}

/** Halves of both sources, or zeros, by an immediate. */
function permuteHalves(t: Translation, a: Operand, b: Operand, c: Operand, d: Operand): void {
  const immediate = immediateByte(d);
  const choices = [readVector(t, b, 0), readVector(t, b, 1), readVector(t, c, 0), readVector(t, c, 1)];
  const results = halvesOf(a).map(half => {
    const control = immediate >> (4 * half);
    return control & 8 ? zero(t) : choices[control & 3]!;
  });
  writeVectors(t, a, results);
}

// Broadcasts, insertions, extractions

function broadcast(shape: 'i8x16' | 'i16x8' | 'i32x4' | 'i64x2'): InstructionSemantics {
  return (t, a, b) => {
    const { ir } = t;
    const low = ir.lane('i64x2.extract_lane', 0, readVector(t, b));
    const value = shape === 'i64x2' ? ir.op('i64x2.splat', low) : ir.op(`${shape}.splat`, ir.toI32(low));
    writeVectors(
      t,
      a,
      halvesOf(a).map(() => value),
    );
  };
}

function broadcastHalf(t: Translation, a: Operand, b: Operand): void {
  const value = readVector(t, b);
  writeVectors(t, a, [value, value]);
}

function insertHalf(t: Translation, a: Operand, b: Operand, c: Operand, d: Operand): void {
  const value = readVector(t, c);
  const halves = [readVector(t, b, 0), readVector(t, b, 1)];
  halves[immediateByte(d) & 1] = value;
  writeVectors(t, a, halves);
}

// Shifts by a count for each element

type VariableShift = 'shl' | 'shr_u' | 'shr_s';

/** Counts beyond the width give zeros or signs. */
function variableShift(shape: 'i32x4' | 'i64x2', kind: VariableShift): InstructionSemantics {
  return binaryVector((t, a, b) => {
    let result = zero(t);
    const count = shape === 'i32x4' ? 4 : 2;
    for (let lane = 0; lane < count; lane++) result = shiftLane(t, shape, kind, lane, a, b, result);
    return result;
  });
}

function shiftLane(
  t: Translation,
  shape: 'i32x4' | 'i64x2',
  kind: VariableShift,
  lane: number,
  a: Vector,
  b: Vector,
  result: Vector,
): Vector {
  const { ir } = t;
  const bits = shape === 'i32x4' ? 32 : 64;
  const value: Value<'i32' | 'i64'> = ir.lane(`${shape}.extract_lane`, lane, a);
  const amount: Value<'i32' | 'i64'> = ir.lane(`${shape}.extract_lane`, lane, b);
  const beyond = ir.geU(amount, ir.int(amount.type, bits));
  const limit = ir.int(amount.type, bits - 1);
  const shifted =
    kind === 'shr_s'
      ? ir.shrS(value, ir.select(beyond, limit, amount))
      : ir.select(beyond, ir.int(value.type, 0), kind === 'shl' ? ir.shl(value, amount) : ir.shrU(value, amount));
  return ir.lane(`${shape}.replace_lane` as 'i32x4.replace_lane', lane, result, shifted as Value<'i32'>);
}

// Masked moves and gathers are helpers: which elements they touch is known only when they run

function vectorNumber(operand: Operand): number {
  assert(operand.kind === 'vector', `operand ${operand.kind} is no vector`);
  return operand.number;
}

/** The segment of a memory operand where its limit counts. */
function limitedSegment(t: Translation, operand: Operand): number {
  return operand.kind === 'memory' && t.hasLimit(operand.segment) ? operand.segment : UNLIMITED;
}

function maskedMove(kind: 'load' | 'store', element: ElementSize): InstructionSemantics {
  return (t, a, b, c) => {
    const [register, memory] = kind === 'load' ? [a, c] : [c, a];
    const form = packVectorMemory({
      kind,
      element,
      index: element,
      scale: 0,
      wide: register.size === 32,
      register: vectorNumber(register),
      mask: vectorNumber(b),
      indexRegister: 0,
      segment: limitedSegment(t, memory),
    });
    t.ir.call(vectorMemory, t.ir.i32(form), t.address(memory));
    if (kind === 'load') takeResult(t, register as VectorOperand);
  };
}

/** The helper has written the low half, and the high one of a YMM register. */
function takeResult(t: Translation, register: VectorOperand): void {
  if (register.size < 32) t.ir.set(X64_STATE.ymmHigh[register.number]!, zero(t));
}

function gather(index: ElementSize, element: ElementSize): InstructionSemantics {
  return (t, a, b, c) => {
    assert(b.kind === 'memory', 'a gather has a memory operand');
    const { vectorIndex, scale } = b.addressing;
    const [register, mask] = [vectorNumber(a), vectorNumber(c)];
    if (vectorIndex === undefined || register === mask || register === vectorIndex || mask === vectorIndex) {
      return t.undefined();
    }
    const base: Operand = { ...b, addressing: { ...b.addressing, index: -1 } };
    const form = packVectorMemory({
      kind: 'gather',
      element,
      index,
      scale,
      wide: a.size === 32,
      register,
      mask,
      indexRegister: vectorIndex,
      segment: limitedSegment(t, base),
    });
    t.ir.call(vectorMemory, t.ir.i32(form), t.address(base));
  };
}

// Whole registers

/** The registers that exist: 8 outside of 64-bit mode. */
function zeroHalves(t: Translation, fields: readonly (typeof X64_STATE.xmm)[]): void {
  for (let n = 0; n < (t.is64 ? 16 : 8); n++) for (const field of fields) t.ir.set(field[n]!, zero(t));
}

export const avxMoves: Semantics<typeof AVX_MOVES> = vectorMoves;

export const avxSse4: Semantics<typeof AVX_SSE4> = {
  ...vectorSse4,
  TESTPS: testBits('i32x4'),
  TESTPD: testBits('i64x2'),
};

export const avxSpecial: Semantics<typeof AVX_SPECIAL> = vectorSpecial;

export const avxNew: Semantics<typeof AVX_NEW> = {
  ZEROUPPER: t => zeroHalves(t, [X64_STATE.ymmHigh]),
  ZEROALL: t => zeroHalves(t, [X64_STATE.xmm, X64_STATE.ymmHigh]),
  PERMILPS: permuteWithin(4),
  PERMILPD: permuteWithin(8),
  PERMILPS_immediate: shuffleBy(4, fields2),
  PERMILPD_immediate: shuffleBy(8, pairOf),
  PERMD: permuteAcross,
  PERMQ: permuteQuarters,
  PERM2F128: permuteHalves,
  BROADCASTB: broadcast('i8x16'),
  BROADCASTW: broadcast('i16x8'),
  BROADCASTD: broadcast('i32x4'),
  BROADCASTQ: broadcast('i64x2'),
  BROADCAST128: broadcastHalf,
  INSERT128: insertHalf,
  EXTRACT128: (t, a, b, c) => writeVector(t, a, readVector(t, b, immediateByte(c) & 1)),
  PBLENDD: blend(4),
  PSRLVD: variableShift('i32x4', 'shr_u'),
  PSRLVQ: variableShift('i64x2', 'shr_u'),
  PSRAVD: variableShift('i32x4', 'shr_s'),
  PSLLVD: variableShift('i32x4', 'shl'),
  PSLLVQ: variableShift('i64x2', 'shl'),
  MASKLOADD: maskedMove('load', 4),
  MASKLOADQ: maskedMove('load', 8),
  MASKSTORED: maskedMove('store', 4),
  MASKSTOREQ: maskedMove('store', 8),
  GATHERDD: gather(4, 4),
  GATHERDQ: gather(4, 8),
  GATHERQD: gather(8, 4),
  GATHERQQ: gather(8, 8),
};
