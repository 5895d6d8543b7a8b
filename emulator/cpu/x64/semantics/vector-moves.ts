/** Vector moves, shuffles, insertions and extractions. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { InstructionSemantics, Semantics } from '../instruction.ts';
import type { FP_STATE, MXCSR_ROWS, VECTOR_MOVES, VECTOR_SSE4 } from '../opcode-map/vector.ts';
import type { Operand } from '../operands.ts';
import { GPR, SEGMENT, X64_STATE } from '../state.ts';
import { fxrstor, fxsave, loadMxcsr, minimumPosition, xrstor, xsave } from '../system/vector-helpers.ts';
import type { Translation } from '../translation.ts';
import { packed } from './vector-integer.ts';
import {
  binaryVector,
  immediateByte,
  isMmx,
  halvesOf,
  readVector,
  sourcesOf,
  touchMmx,
  unaryVector,
  type Vector,
  writeVector,
  writeVectors,
  zero,
} from './vector-operands.ts';

function lane64(t: Translation, value: Vector, lane: 0 | 1): Value<'i64'> {
  return t.ir.lane('i64x2.extract_lane', lane, value);
}

function move(aligned: boolean): InstructionSemantics {
  return (t, a, b) => {
    const values = halvesOf(a).map(half => readVector(t, b, half, aligned));
    writeVectors(t, a, values, aligned);
    touchMmx(t, a, b);
  };
}

/** A load of 4 or 8 bytes that clears the rest; from a register, 8 bytes. */
function moveLoad(t: Translation, a: Operand, b: Operand): void {
  const value = readVector(t, b);
  const cleared = b.kind === 'memory' ? value : t.ir.shuffle(value, zero(t), firstBytes(b.size, 16));
  writeVector(t, a, cleared);
  touchMmx(t, b);
}

/** Lanes: the first `count` bytes of one operand, the rest of the other, which begins at `from`. */
function firstBytes(count: number, from: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => (i < count ? i : from + i));
}

/** A move of the low 4 or 8 bytes that leaves the rest, or takes it from the first source. */
function moveMerge(t: Translation, a: Operand, b: Operand, c: Operand): void {
  const [rest, source] = sourcesOf(a, b, c, undefined);
  const value = readVector(t, source);
  if (a.kind === 'memory') return writeVector(t, a, value);
  writeVector(t, a, t.ir.shuffle(value, readVector(t, rest), firstBytes(source.size, 16)));
}

/** Replaces one half of the first source by memory. */
function moveHalf(lane: 0 | 1): InstructionSemantics {
  return (t, a, b, c) => {
    const [rest, source] = sourcesOf(a, b, c, undefined);
    const value = t.ir.toI64(t.load(t.address(source), 8));
    writeVector(t, a, t.ir.lane('i64x2.replace_lane', lane, readVector(t, rest), value));
  };
}

/** Bytes of 16 by numbers of elements. */
function pickElements(t: Translation, a: Vector, b: Vector, size: number, numbers: readonly number[]): Vector {
  const lanes = numbers.flatMap(number => Array.from({ length: size }, (_, i) => number * size + i));
  return t.ir.shuffle(a, b, Uint8Array.from(lanes));
}

/** Numbers of elements by an immediate, for the low or high half of a YMM register. */
type Order = (immediate: number, half: 0 | 1) => readonly number[];

/** A shuffle of one source by an immediate. */
export function shuffleBy(size: number, numbers: Order): InstructionSemantics {
  return (t, a, b, c) => {
    const results = halvesOf(a).map(half => {
      const value = readVector(t, b, half);
      return pickElements(t, value, value, size, numbers(immediateByte(c), half));
    });
    writeVectors(t, a, results);
    touchMmx(t, a, b);
  };
}

/** One bit of an immediate each: bits 0 and 1, or 2 and 3 for the high half. */
export function pairOf(immediate: number, half: 0 | 1): readonly number[] {
  return [(immediate >> (2 * half)) & 1, (immediate >> (2 * half + 1)) & 1];
}

/** Two bits of an immediate each. */
export function fields2(immediate: number): readonly number[] {
  return [0, 2, 4, 6].map(shift => (immediate >> shift) & 3);
}

/** A shuffle of two sources by an immediate. */
function shuffle2(size: number, numbers: Order): InstructionSemantics {
  return (t, a, b, c, d) => {
    const [left, right, immediate] = sourcesOf(a, b, c, d);
    const results = halvesOf(a).map(half => {
      const order = numbers(immediateByte(immediate!), half);
      return pickElements(t, readVector(t, left, half), readVector(t, right, half), size, order);
    });
    writeVectors(t, a, results);
  };
}

/** Sign bits of the lanes as an integer. */
function signMask(shape: 'i8x16' | 'i32x4' | 'i64x2', count: number): InstructionSemantics {
  return (t, a, b) => {
    const { ir } = t;
    const bits = ir.op(`${shape}.bitmask`, readVector(t, b));
    if (isMmx(b)) t.write(a, ir.and(bits, ir.i32(0xff)));
    else if (b.size < 32) t.write(a, bits);
    else t.write(a, ir.or(bits, ir.shl(ir.op(`${shape}.bitmask`, readVector(t, b, 1)), count)));
    touchMmx(t, b);
  };
}

type Width = 1 | 2 | 4 | 8;
const SHAPES = { 1: 'i8x16', 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' } as const;

function extractLane(t: Translation, value: Vector, width: Width, lane: number): Value<'i32' | 'i64'> {
  const { ir } = t;
  if (width === 8) return ir.lane('i64x2.extract_lane', lane, value);
  if (width === 4) return ir.lane('i32x4.extract_lane', lane, value);
  return ir.lane(width === 1 ? 'i8x16.extract_lane_u' : 'i16x8.extract_lane_u', lane, value);
}

function replaceLane(t: Translation, value: Vector, width: Width, lane: number, scalar: Value<'i32' | 'i64'>): Vector {
  const { ir } = t;
  if (width === 8) return ir.lane('i64x2.replace_lane', lane, value, ir.toI64(scalar));
  return ir.lane(`${SHAPES[width]}.replace_lane` as 'i32x4.replace_lane', lane, value, ir.toI32(scalar));
}

/** PINSRx: memory operands have the lane's width. */
function insert(width: Width | 'y'): InstructionSemantics {
  return (t, a, b, c, d) => {
    const [base, source, immediate] = d === undefined ? [a, b, c] : [b, c, d];
    const bytes = width === 'y' ? t.size(source) : width;
    const count = (isMmx(a) ? 8 : 16) / bytes;
    const lane = immediateByte(immediate) & (count - 1);
    const scalar = source.kind === 'memory' ? t.load(t.address(source), bytes) : t.read(source);
    writeVector(t, a, replaceLane(t, readVector(t, base), bytes, lane, scalar));
    touchMmx(t, a);
  };
}

/** PEXTRx: registers get the lane zero-extended, memory the lane. */
function extract(width: Width | 'y'): InstructionSemantics {
  return (t, a, b, c) => {
    const bytes = width === 'y' ? t.size(a) : width;
    const count = (isMmx(b) ? 8 : 16) / bytes;
    const value = extractLane(t, readVector(t, b), bytes, immediateByte(c) & (count - 1));
    if (a.kind === 'memory') t.store(t.address(a), bytes, value);
    else if (a.kind === 'register') t.setGpr(a.number, 8, t.ir.toI64(value));
    touchMmx(t, b);
  };
}

/** MASKMOVQ, MASKMOVDQU: the bytes whose mask has its top bit set, to DS:rDI. The others must be writable here, too. */
function maskedStore(t: Translation, a: Operand, b: Operand): void {
  const { ir, insn } = t;
  const offset = t.gpr(GPR.DI, insn.addressSize);
  const address = t.linear(insn.prefixes.segment ?? SEGMENT.DS, offset);
  const mask = ir.op('i8x16.shr_s', readVector(t, b), ir.i32(7));
  const value = readVector(t, a);
  if (isMmx(a)) {
    const old = t.load(address, 8, true);
    const [bits, fresh] = [lane64(t, mask, 0), lane64(t, value, 0)];
    t.store(address, 8, ir.or(ir.and(fresh, bits), ir.and(ir.toI64(old), ir.not(bits))));
    touchMmx(t, b);
  } else {
    t.check(address, 16, true);
    const old = ir.loadV128(address, { forWrite: true });
    ir.storeV128(address, ir.op('v128.bitselect', value, old, mask));
  }
}

export const vectorMoves: Semantics<typeof VECTOR_MOVES> = {
  MOVU: move(false),
  MOVA: move(true),
  MOVLOAD: moveLoad,
  MOVMERGE: moveMerge,
  MOVQ_store: (t, a, b) => (a.kind === 'memory' ? writeVector(t, a, readVector(t, b)) : moveLoad(t, a, b)),
  MOVLOW: (t, a, b) => writeVector(t, a, readVector(t, b)),
  MOVHIGH: (t, a, b) => t.store(t.address(a), 8, lane64(t, readVector(t, b), 1)),
  MOVLP: moveHalf(0),
  MOVHP: moveHalf(1),
  MOVHLPS: binaryVector((t, a, b) => pickElements(t, a, b, 8, [3, 1])),
  MOVLHPS: binaryVector((t, a, b) => pickElements(t, a, b, 8, [0, 2])),
  MOVSLDUP: unaryVector((t, value) => pickElements(t, value, value, 4, [0, 0, 2, 2])),
  MOVSHDUP: unaryVector((t, value) => pickElements(t, value, value, 4, [1, 1, 3, 3])),
  MOVDDUP: unaryVector((t, value) => pickElements(t, value, value, 8, [0, 0])),
  MOVMSKPS: signMask('i32x4', 4),
  MOVMSKPD: signMask('i64x2', 2),
  PMOVMSKB: signMask('i8x16', 16),
  PUNPCKLDQ: packed.PUNPCKLDQ,
  PUNPCKLQDQ: packed.PUNPCKLQDQ,
  PUNPCKHDQ: packed.PUNPCKHDQ,
  PUNPCKHQDQ: packed.PUNPCKHQDQ,
  PAND: packed.PAND,
  PANDN: packed.PANDN,
  POR: packed.POR,
  PXOR: packed.PXOR,
  MOVD_to: (t, a, b) => {
    const value = t.ir.toI64(t.read(b));
    writeVector(t, a, t.ir.lane('i64x2.replace_lane', 0, zero(t), value));
    touchMmx(t, a);
  },
  MOVD_from: (t, a, b) => {
    t.write(a, t.resize(lane64(t, readVector(t, b), 0), 8, t.size(a)));
    touchMmx(t, b);
  },
  PSHUFD: shuffleBy(4, fields2),
  PSHUFW: shuffleBy(2, immediate => [...fields2(immediate), 4, 5, 6, 7]),
  PSHUFLW: shuffleBy(2, immediate => [...fields2(immediate), 4, 5, 6, 7]),
  PSHUFHW: shuffleBy(2, immediate => [0, 1, 2, 3, ...fields2(immediate).map(number => number + 4)]),
  SHUFPS: shuffle2(4, immediate => fields2(immediate).map((number, i) => (i < 2 ? number : number + 4))),
  SHUFPD: shuffle2(8, (immediate, half) => pairOf(immediate, half).map((number, i) => number + 2 * i)),
  PINSRW: insert(2),
  PEXTRW: extract(2),
  MASKMOV: maskedStore,
  EMMS: t => t.ir.set(X64_STATE.emptyTags, t.ir.i32(0xff)),
};

/** A blend by the top bits of XMM0's lanes, or of the fourth operand's. */
function blendVariable(shape: 'i8x16' | 'i32x4' | 'i64x2', bits: number): InstructionSemantics {
  return (t, a, b, c, d) => {
    const { ir } = t;
    const [left, right] = sourcesOf(a, b, c, d);
    const results = halvesOf(a).map(half => {
      const selector = d === undefined ? ir.get(X64_STATE.xmm[0]!) : readVector(t, d, half);
      const mask = ir.op(`${shape}.shr_s`, selector, ir.i32(bits - 1));
      return ir.op('v128.bitselect', readVector(t, right, half), readVector(t, left, half), mask);
    });
    writeVectors(t, a, results);
  };
}

/** A blend by the bits of an immediate; words have the same bits for both halves. */
export function blend(size: 2 | 4 | 8): InstructionSemantics {
  const count = 16 / size;
  return shuffle2(size, (immediate, half) => {
    const bits = size === 2 ? immediate : immediate >> (half * count);
    return Array.from({ length: count }, (_, i) => ((bits >> i) & 1 ? count + i : i));
  });
}

/** Widens the low elements from `from` to `to` bytes. */
function widen(from: 1 | 2 | 4, to: 2 | 4 | 8, sign: 's' | 'u'): InstructionSemantics {
  return (t, a, b) => {
    const source = readVector(t, b, 0, false);
    const results = halvesOf(a).map(half => {
      const elements = half === 0 ? source : t.ir.shuffle(source, source, rotatedBytes((16 * from) / to));
      return widenLow(t, elements, from, to, sign);
    });
    writeVectors(t, a, results);
  };
}

function widenLow(t: Translation, elements: Vector, from: number, to: number, sign: 's' | 'u'): Vector {
  const { ir } = t;
  let value = elements;
  for (let width = from; width < to; width *= 2) {
    if (width === 1) value = ir.op(`i16x8.extend_low_i8x16_${sign}`, value);
    else if (width === 2) value = ir.op(`i32x4.extend_low_i16x8_${sign}`, value);
    else value = ir.op(`i64x2.extend_low_i32x4_${sign}`, value);
  }
  return value;
}

/** Lanes: the bytes from `first` on come first. */
function rotatedBytes(first: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => (i + first) & 15);
}

/** The right operand's bytes below the left one's, shifted right by an immediate. */
function alignRight(t: Translation, a: Operand, b: Operand, c: Operand, d: Operand): void {
  const [left, right, immediate] = sourcesOf(a, b, c, d);
  const count = immediateByte(immediate!);
  if (isMmx(a)) {
    const [low, high] = [readVector(t, b), readVector(t, a)];
    const joined = pickElements(t, low, high, 8, [0, 2]);
    const lanes = Uint8Array.from({ length: 16 }, (_, i) => (i + count < 16 ? i + count : 16));
    writeVector(t, a, t.ir.shuffle(joined, zero(t), lanes));
    return touchMmx(t, a);
  }
  const lanes = Uint8Array.from({ length: 16 }, (_, i) => i + (count & 15));
  const results = halvesOf(a).map(half => {
    const [low, high] = [readVector(t, right, half), readVector(t, left, half)];
    if (count >= 32) return zero(t);
    return count < 16 ? t.ir.shuffle(low, high, lanes) : t.ir.shuffle(high, zero(t), lanes);
  });
  writeVectors(t, a, results);
}

function insertSingle(t: Translation, a: Operand, b: Operand, c: Operand, d: Operand): void {
  const { ir } = t;
  const [left, right, operand] = sourcesOf(a, b, c, d);
  const immediate = immediateByte(operand!);
  const source = right.kind === 'memory' ? 0 : immediate >> 6;
  const scalar = ir.lane('i32x4.extract_lane', source, readVector(t, right));
  let result = ir.lane('i32x4.replace_lane', (immediate >> 4) & 3, readVector(t, left), scalar);
  for (let lane = 0; lane < 4; lane++) {
    if ((immediate >> lane) & 1) result = ir.lane('i32x4.replace_lane', lane, result, ir.i32(0));
  }
  writeVector(t, a, result);
}

/** ZF: no bit of both operands is set; CF: no bit of the second one alone. `signs` limits it to the sign bits of lanes. */
export function testBits(signs: 'i32x4' | 'i64x2' | undefined): InstructionSemantics {
  return (t, a, b) => {
    const { ir } = t;
    const none = (of: (left: Vector, right: Vector) => Vector): Value<'i32'> => {
      const found = halvesOf(a).map(half => {
        const bits = of(readVector(t, a, half), readVector(t, b, half));
        return signs === undefined ? ir.op('v128.any_true', bits) : ir.op(`${signs}.bitmask`, bits);
      });
      return ir.eqz(found.reduce((some, more) => ir.or(some, more)));
    };
    t.flags.onlyZero(none((left, right) => ir.op('v128.and', left, right)));
    t.flags.setC(none((left, right) => ir.op('v128.andnot', right, left)));
  };
}

export const vectorSse4: Semantics<typeof VECTOR_SSE4> = {
  PALIGNR: alignRight,
  PBLENDVB: blendVariable('i8x16', 8),
  BLENDVPS: blendVariable('i32x4', 32),
  BLENDVPD: blendVariable('i64x2', 64),
  PTEST: testBits(undefined),
  PMOVSXBW: widen(1, 2, 's'),
  PMOVSXBD: widen(1, 4, 's'),
  PMOVSXBQ: widen(1, 8, 's'),
  PMOVSXWD: widen(2, 4, 's'),
  PMOVSXWQ: widen(2, 8, 's'),
  PMOVSXDQ: widen(4, 8, 's'),
  PMOVZXBW: widen(1, 2, 'u'),
  PMOVZXBD: widen(1, 4, 'u'),
  PMOVZXBQ: widen(1, 8, 'u'),
  PMOVZXWD: widen(2, 4, 'u'),
  PMOVZXWQ: widen(2, 8, 'u'),
  PMOVZXDQ: widen(4, 8, 'u'),
  PHMINPOSUW: (t, a, b) => {
    const { ir } = t;
    const value = readVector(t, b);
    const found = ir.call(minimumPosition, lane64(t, value, 0), lane64(t, value, 1));
    writeVector(t, a, ir.lane('i64x2.replace_lane', 0, zero(t), found));
  },
  BLENDPS: blend(4),
  BLENDPD: blend(8),
  PBLENDW: blend(2),
  PEXTRB: extract(1),
  PEXTRW_store: extract(2),
  PEXTRD: extract('y'),
  EXTRACTPS: extract(4),
  PINSRB: insert(1),
  INSERTPS: insertSingle,
  PINSRD: insert('y'),
};

/** Calls a helper that works on an area of memory. */
function area(declaration: typeof fxsave): InstructionSemantics {
  const size = declaration === fxsave || declaration === fxrstor ? FXSAVE_SIZE : XSAVE_MINIMUM;
  const write = declaration === fxsave || declaration === xsave;
  return (t, a) => {
    const long = t.insn.operandSize === 8;
    t.ir.call(declaration, t.checkedAddress(a, size, write), t.ir.i32(Number(long)));
  };
}

const FXSAVE_SIZE = 512;
/** The legacy region and the header; what follows depends on registers. */
const XSAVE_MINIMUM = 576;

export const fpState: Semantics<typeof FP_STATE> = {
  FXSAVE: area(fxsave),
  FXRSTOR: area(fxrstor),
  XSAVE: area(xsave),
  XRSTOR: area(xrstor),
};

export const mxcsr: Semantics<typeof MXCSR_ROWS> = {
  LDMXCSR: (t, a) => void t.ir.call(loadMxcsr, t.ir.toI32(t.load(t.address(a), 4))),
  STMXCSR: (t, a) => t.store(t.address(a), 4, t.ir.get(X64_STATE.MXCSR)),
};
