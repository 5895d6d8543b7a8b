/** Packed integers. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { PureOpName } from '../../ir/ops.ts';
import type { InstructionSemantics, Semantics } from '../instruction.ts';
import type { PACKED, PACKED_SHIFTS, PACKED_UNARY } from '../opcode-map/vector.ts';
import type { Translation } from '../translation.ts';
import {
  binaryVector,
  immediateByte,
  halvesOf,
  readVector,
  touchMmx,
  unaryVector,
  type Vector,
  writeVectors,
  zero,
} from './vector-operands.ts';

type Packed = (t: Translation, a: Vector, b: Vector, mmx: boolean) => Vector;
type BinaryName = Extract<PureOpName, `${'i8x16' | 'i16x8' | 'i32x4' | 'i64x2' | 'v128'}.${string}`>;

/** An operation that the IR has. */
function op(name: BinaryName): Packed {
  return (t, a, b) => t.ir.op(name as 'i8x16.add', a, b);
}

/** Lanes of a shuffle of whole elements: numbers of elements of `size` bytes, from both operands. */
function elements(size: number, ...numbers: readonly number[]): Uint8Array {
  return Uint8Array.from(numbers.flatMap(number => Array.from({ length: size }, (_, i) => number * size + i)));
}

/** Interleaves the low or high elements of both operands. The high half of an MMX register is its second four bytes. */
function interleave(size: number, high: boolean): Packed {
  return (t, a, b, mmx) => {
    const count = 16 / size;
    const first = high ? (mmx ? count / 4 : count / 2) : 0;
    const numbers = Array.from({ length: count / 2 }, (_, i) => [first + i, count + first + i]).flat();
    return t.ir.shuffle(a, b, elements(size, ...numbers));
  };
}

/** Packs both operands into narrower lanes; MMX has both in one half. */
function pack(name: BinaryName): Packed {
  return (t, a, b, mmx) => {
    if (!mmx) return t.ir.op(name as 'i8x16.narrow_i16x8_s', a, b);
    const joined = t.ir.shuffle(a, b, elements(8, 0, 2));
    return t.ir.op(name as 'i8x16.narrow_i16x8_s', joined, joined);
  };
}

/** The high halves of products of 16-bit lanes. */
function multiplyHigh(sign: 's' | 'u'): Packed {
  return (t, a, b) => {
    const low = t.ir.op(`i32x4.extmul_low_i16x8_${sign}`, a, b);
    const high = t.ir.op(`i32x4.extmul_high_i16x8_${sign}`, a, b);
    return t.ir.shuffle(low, high, elements(2, 1, 3, 5, 7, 9, 11, 13, 15));
  };
}

/** Products of even 32-bit lanes. */
function multiplyEven(sign: 's' | 'u'): Packed {
  return (t, a, b) => {
    const even = (value: Vector): Vector => t.ir.shuffle(value, value, elements(4, 0, 2, 0, 2));
    return t.ir.op(`i64x2.extmul_low_i32x4_${sign}`, even(a), even(b));
  };
}

/** Sums of absolute differences of bytes, per half. */
const sumOfDifferences: Packed = (t, a, b) => {
  const { ir } = t;
  const difference = ir.op('v128.or', ir.op('i8x16.sub_sat_u', a, b), ir.op('i8x16.sub_sat_u', b, a));
  const pairs = ir.op('i16x8.extadd_pairwise_i8x16_u', difference);
  const fours = ir.op('i32x4.extadd_pairwise_i16x8_u', pairs);
  const low = ir.shuffle(fours, zero(t), elements(4, 0, 4, 2, 4));
  const high = ir.shuffle(fours, zero(t), elements(4, 1, 4, 3, 4));
  return ir.op('i64x2.add', low, high);
};

/** The second operand's sign applied to the first: negated, cleared or kept. */
function applySign(shape: 'i8x16' | 'i16x8' | 'i32x4'): Packed {
  return (t, a, b) => {
    const { ir } = t;
    const negative = ir.op(`${shape}.lt_s`, b, zero(t));
    const nonZero = ir.op(`${shape}.ne`, b, zero(t));
    const signed = ir.op('v128.bitselect', ir.op(`${shape}.neg`, a), a, negative);
    return ir.op('v128.and', signed, nonZero);
  };
}

/** Even and odd elements of both operands combined; an MMX register pair fills one vector. */
function horizontal(size: 2 | 4, combine: BinaryName): Packed {
  return (t, a, b, mmx) => {
    const count = 16 / size;
    const [left, right] = mmx ? [t.ir.shuffle(a, b, elements(8, 0, 2)), zero(t)] : [a, b];
    const pick = (odd: number): Vector =>
      t.ir.shuffle(left, right, elements(size, ...Array.from({ length: count }, (_, i) => 2 * i + odd)));
    return t.ir.op(combine as 'i16x8.add', pick(0), pick(1));
  };
}

const shuffleBytes: Packed = (t, a, b, mmx) => {
  const { ir } = t;
  const index = ir.op('i8x16.splat', ir.i32(mmx ? 0x87 : 0x8f));
  return ir.op('i8x16.swizzle', a, ir.op('v128.and', b, index));
};

/** Unsigned bytes of the first by signed bytes of the second, neighbours added with saturation. */
const multiplyAddBytes: Packed = (t, a, b) => {
  const { ir } = t;
  const product = (half: 'low' | 'high'): Vector =>
    ir.op('i16x8.mul', ir.op(`i16x8.extend_${half}_i8x16_u`, a), ir.op(`i16x8.extend_${half}_i8x16_s`, b));
  const [low, high] = [product('low'), product('high')];
  const pick = (odd: number): Vector =>
    ir.shuffle(low, high, elements(2, ...Array.from({ length: 8 }, (_, i) => 2 * i + odd)));
  return ir.op('i16x8.add_sat_s', pick(0), pick(1));
};

/** PMULHRSW: -1 × -1 gives 0x8000 where the IR's operation saturates. */
const multiplyRound: Packed = (t, a, b) => {
  const { ir } = t;
  const lowest = ir.op('i16x8.splat', ir.i32(0x8000));
  const both = ir.op('v128.and', ir.op('i16x8.eq', a, lowest), ir.op('i16x8.eq', b, lowest));
  return ir.op('v128.xor', ir.op('i16x8.q15mulr_sat_s', a, b), both);
};

const BITS = { i16x8: 16, i32x4: 32, i64x2: 64 } as const;
type ShiftShape = keyof typeof BITS;
type ShiftKind = 'shl' | 'shr_u' | 'shr_s';

/** Shifts all lanes by an amount that is not taken modulo the width: beyond it, zeros or signs. */
function shiftLanes(t: Translation, shape: ShiftShape, kind: ShiftKind, value: Vector, count: Value<'i64'>): Vector {
  const { ir } = t;
  const bits = BITS[shape];
  const beyond = ir.geU(count, ir.i64(bits));
  const amount = ir.toI32(count);
  if (kind === 'shr_s') {
    const limited = ir.select(beyond, ir.i32(bits - 1), amount);
    return ir.op(`${shape}.shr_s`, value, limited);
  }
  return ir.select(beyond, zero(t), ir.op(`${shape}.${kind}`, value, amount));
}

/** By the low half of a register or memory operand, or by an immediate. */
function shift(shape: ShiftShape, kind: ShiftKind): InstructionSemantics {
  return (t, a, b, c) => {
    const { ir } = t;
    const [source, amount] = c === undefined ? [a, b] : [b, c];
    const count =
      amount.kind === 'immediate'
        ? ir.i64(immediateByte(amount))
        : ir.lane('i64x2.extract_lane', 0, readVector(t, amount));
    const results = halvesOf(a).map(half => shiftLanes(t, shape, kind, readVector(t, source, half), count));
    writeVectors(t, a, results);
    touchMmx(t, a);
  };
}

/** PSLLDQ (left) and PSRLDQ: whole bytes. */
function shiftBytes(left: boolean): InstructionSemantics {
  return (t, a, b, c) => {
    const [source, amount] = c === undefined ? [a, b] : [b, c];
    const count = Math.min(immediateByte(amount), 16);
    const lanes = Uint8Array.from({ length: 16 }, (_, i) => {
      const from = left ? i - count : i + count;
      return from >= 0 && from < 16 ? from : 16;
    });
    const results = halvesOf(a).map(half => t.ir.shuffle(readVector(t, source, half), zero(t), lanes));
    writeVectors(t, a, results);
  };
}

const SHIFTS = {
  PSRLW: shift('i16x8', 'shr_u'),
  PSRLD: shift('i32x4', 'shr_u'),
  PSRLQ: shift('i64x2', 'shr_u'),
  PSRAW: shift('i16x8', 'shr_s'),
  PSRAD: shift('i32x4', 'shr_s'),
  PSLLW: shift('i16x8', 'shl'),
  PSLLD: shift('i32x4', 'shl'),
  PSLLQ: shift('i64x2', 'shl'),
} as const;

/** An unsigned 64-bit comparison does not exist; x86 has the signed one only. */
export const packed: Semantics<typeof PACKED> = {
  ...SHIFTS,
  PUNPCKLBW: binaryVector(interleave(1, false)),
  PUNPCKLWD: binaryVector(interleave(2, false)),
  PUNPCKLDQ: binaryVector(interleave(4, false)),
  PUNPCKLQDQ: binaryVector(interleave(8, false)),
  PUNPCKHBW: binaryVector(interleave(1, true)),
  PUNPCKHWD: binaryVector(interleave(2, true)),
  PUNPCKHDQ: binaryVector(interleave(4, true)),
  PUNPCKHQDQ: binaryVector(interleave(8, true)),
  PACKSSWB: binaryVector(pack('i8x16.narrow_i16x8_s')),
  PACKUSWB: binaryVector(pack('i8x16.narrow_i16x8_u')),
  PACKSSDW: binaryVector(pack('i16x8.narrow_i32x4_s')),
  PACKUSDW: binaryVector(pack('i16x8.narrow_i32x4_u')),
  PCMPGTB: binaryVector(op('i8x16.gt_s')),
  PCMPGTW: binaryVector(op('i16x8.gt_s')),
  PCMPGTD: binaryVector(op('i32x4.gt_s')),
  PCMPGTQ: binaryVector(op('i64x2.gt_s')),
  PCMPEQB: binaryVector(op('i8x16.eq')),
  PCMPEQW: binaryVector(op('i16x8.eq')),
  PCMPEQD: binaryVector(op('i32x4.eq')),
  PCMPEQQ: binaryVector(op('i64x2.eq')),
  PADDB: binaryVector(op('i8x16.add')),
  PADDW: binaryVector(op('i16x8.add')),
  PADDD: binaryVector(op('i32x4.add')),
  PADDQ: binaryVector(op('i64x2.add')),
  PSUBB: binaryVector(op('i8x16.sub')),
  PSUBW: binaryVector(op('i16x8.sub')),
  PSUBD: binaryVector(op('i32x4.sub')),
  PSUBQ: binaryVector(op('i64x2.sub')),
  PADDSB: binaryVector(op('i8x16.add_sat_s')),
  PADDSW: binaryVector(op('i16x8.add_sat_s')),
  PADDUSB: binaryVector(op('i8x16.add_sat_u')),
  PADDUSW: binaryVector(op('i16x8.add_sat_u')),
  PSUBSB: binaryVector(op('i8x16.sub_sat_s')),
  PSUBSW: binaryVector(op('i16x8.sub_sat_s')),
  PSUBUSB: binaryVector(op('i8x16.sub_sat_u')),
  PSUBUSW: binaryVector(op('i16x8.sub_sat_u')),
  PMULLW: binaryVector(op('i16x8.mul')),
  PMULLD: binaryVector(op('i32x4.mul')),
  PMULHW: binaryVector(multiplyHigh('s')),
  PMULHUW: binaryVector(multiplyHigh('u')),
  PMULUDQ: binaryVector(multiplyEven('u')),
  PMULDQ: binaryVector(multiplyEven('s')),
  PMADDWD: binaryVector(op('i32x4.dot_i16x8_s')),
  PSADBW: binaryVector(sumOfDifferences),
  PMINUB: binaryVector(op('i8x16.min_u')),
  PMINSB: binaryVector(op('i8x16.min_s')),
  PMINSW: binaryVector(op('i16x8.min_s')),
  PMINUW: binaryVector(op('i16x8.min_u')),
  PMINSD: binaryVector(op('i32x4.min_s')),
  PMINUD: binaryVector(op('i32x4.min_u')),
  PMAXUB: binaryVector(op('i8x16.max_u')),
  PMAXSB: binaryVector(op('i8x16.max_s')),
  PMAXSW: binaryVector(op('i16x8.max_s')),
  PMAXUW: binaryVector(op('i16x8.max_u')),
  PMAXSD: binaryVector(op('i32x4.max_s')),
  PMAXUD: binaryVector(op('i32x4.max_u')),
  PAVGB: binaryVector(op('i8x16.avgr_u')),
  PAVGW: binaryVector(op('i16x8.avgr_u')),
  PAND: binaryVector(op('v128.and')),
  PANDN: binaryVector((t, a, b) => t.ir.op('v128.andnot', b, a)),
  POR: binaryVector(op('v128.or')),
  PXOR: binaryVector(op('v128.xor')),
  PSHUFB: binaryVector(shuffleBytes),
  PHADDW: binaryVector(horizontal(2, 'i16x8.add')),
  PHADDD: binaryVector(horizontal(4, 'i32x4.add')),
  PHADDSW: binaryVector(horizontal(2, 'i16x8.add_sat_s')),
  PHSUBW: binaryVector(horizontal(2, 'i16x8.sub')),
  PHSUBD: binaryVector(horizontal(4, 'i32x4.sub')),
  PHSUBSW: binaryVector(horizontal(2, 'i16x8.sub_sat_s')),
  PMADDUBSW: binaryVector(multiplyAddBytes),
  PSIGNB: binaryVector(applySign('i8x16')),
  PSIGNW: binaryVector(applySign('i16x8')),
  PSIGND: binaryVector(applySign('i32x4')),
  PMULHRSW: binaryVector(multiplyRound),
};

export const packedUnary: Semantics<typeof PACKED_UNARY> = {
  PABSB: unaryVector((t, value) => t.ir.op('i8x16.abs', value)),
  PABSW: unaryVector((t, value) => t.ir.op('i16x8.abs', value)),
  PABSD: unaryVector((t, value) => t.ir.op('i32x4.abs', value)),
};

export const packedShifts: Semantics<typeof PACKED_SHIFTS> = {
  ...SHIFTS,
  PSRLDQ: shiftBytes(false),
  PSLLDQ: shiftBytes(true),
};
