/** Shifts, rotations and bit instructions. Source: Intel SDM vol. 2 "Instruction Set Reference"; undefined flags are as QEMU has them. */
import type { Value } from '../../ir/block.ts';
import type { IntType } from '../../ir/types.ts';
import type { IntSize } from '../flags.ts';
import type { Semantics } from '../instruction.ts';
import type { BITS, BMI, SHIFTS } from '../opcode-map/bits.ts';
import type { MemoryOperand, Operand } from '../operands.ts';
import {
  crc32,
  parallelDeposit,
  parallelExtract,
  rotateCarryLeft,
  rotateCarryLeftFlag,
} from '../system/pure-helpers.ts';
import type { Translation } from '../translation.ts';
import { multiplyHighUnsigned } from './multiply-divide.ts';

type Int = Value<IntType>;
type Flag = Value<'i32'>;

/** A shift count: masked to 5 bits (6 for 8-byte operands), and whether it is not 0 where that is not known. */
interface Count {
  readonly value: Int;
  /** The count while translating, when it is an immediate. */
  readonly known: number | undefined;
  readonly nonZero: Flag | undefined;
}

function countOf(t: Translation, size: IntSize, operand: Operand): Count {
  const { ir } = t;
  const mask = size === 8 ? 63 : 31;
  if (operand.kind === 'immediate') {
    const known = Number(operand.value) & mask;
    return { value: t.int(size === 8 ? 8 : 4, known), known, nonZero: undefined };
  }
  const masked = ir.and(ir.toI32(t.read(operand)), ir.i32(mask));
  return { value: size === 8 ? ir.toI64(masked) : masked, known: undefined, nonZero: ir.ne(masked, ir.i32(0)) };
}

/** A shift that gives the result and the operand shifted by one less, of which a bit goes to CF. */
type Shift = (t: Translation, size: IntSize, a: Int, count: Int) => Int;

function shift(compute: Shift, extend: boolean, carryBit: 'top' | 'bottom') {
  return (t: Translation, a: Operand, b: Operand): void => {
    const { ir } = t;
    const size = t.size(a);
    const count = countOf(t, size, b);
    if (count.known === 0) return keep(t, a);
    const old = t.read(a, true);
    const value = extend && size < 4 ? t.signExtend(old, size, 4) : old;
    const result = t.flags.truncate(size, compute(t, size, value, count.value));
    const before = compute(t, size, value, ir.sub(count.value, ir.int(count.value.type, 1)));
    const bit = carryBit === 'top' ? ir.shrU(before, 8 * size - 1) : before;
    t.write(a, result);
    t.flags.shift(size, result, ir.toI32(ir.and(bit, ir.int(bit.type, 1))), ir.xor(before, result), count.nonZero);
  };
}

/** A count of 0 still writes the operand: a 32-bit register is zero-extended, memory must be writable. */
function keep(t: Translation, a: Operand): void {
  t.write(a, t.read(a, true));
}

/** Rotates within 1 or 2 bytes by repeating the operand through 32 bits. */
function rotate(t: Translation, size: IntSize, a: Int, count: Int, left: boolean): Int {
  const { ir } = t;
  if (size >= 4) return left ? ir.rotl(a, count) : ir.rotr(a, count);
  const pair = ir.or(a, ir.shl(a, 8 * size));
  const whole = size === 1 ? ir.or(pair, ir.shl(pair, 16)) : pair;
  return t.flags.truncate(size, left ? ir.rotl(whole, count) : ir.rotr(whole, count));
}

function rotation(left: boolean) {
  return (t: Translation, a: Operand, b: Operand): void => {
    const { ir } = t;
    const size = t.size(a);
    const count = countOf(t, size, b);
    if (count.known === 0) return keep(t, a);
    const result = rotate(t, size, t.read(a, true), count.value, left);
    const top = ir.shrU(result, 8 * size - 1);
    const carry = left ? ir.and(result, ir.int(result.type, 1)) : ir.and(top, ir.int(top.type, 1));
    const overflow = left ? ir.xor(ir.shl(carry, 8 * size - 1), result) : ir.xor(result, ir.shl(result, 1));
    t.write(a, result);
    t.flags.rotation(size, ir.toI32(carry), overflow, count.nonZero);
  };
}

/** RCL and RCR: a rotation of the operand with CF above it. RCR by n is RCL by (bits + 1 - n). */
function rotationThroughCarry(left: boolean) {
  return (t: Translation, a: Operand, b: Operand): void => {
    const { ir } = t;
    const size = t.size(a);
    const count = countOf(t, size, b);
    if (count.known === 0) return keep(t, a);
    const old = t.read(a, true);
    const carry = t.flags.carryAs('i32');
    const amount = ir.toI32(count.value);
    const signedAmount = left ? amount : ir.neg(amount);
    const bits = ir.i32(8 * size);
    const wide = ir.call(rotateCarryLeft, ir.toI64(old), signedAmount, carry, bits);
    const out = ir.call(rotateCarryLeftFlag, ir.toI64(old), signedAmount, carry, bits);
    const result = t.resize(wide, 8, size);
    t.write(a, result);
    t.flags.rotation(size, out, ir.xor(old, result), count.nonZero);
  };
}

/** SHLD and SHRD. 16-bit counts above 16 are undefined; here the second operand is followed by the first again. */
function doubleShift(left: boolean) {
  return (t: Translation, a: Operand, b: Operand, c: Operand): void => {
    const { ir } = t;
    const size = t.size(a);
    const count = countOf(t, size, c);
    if (count.known === 0) return keep(t, a);
    const low = t.read(a, true);
    const high = t.read(b);
    const at = (amount: Int): Int => (size === 2 ? shiftPair16 : shiftPair)(t, size, low, high, amount, left);
    const result = t.flags.truncate(size, at(count.value));
    const before = at(ir.sub(count.value, ir.int(count.value.type, 1)));
    const bit = left ? ir.shrU(before, 8 * size - 1) : before;
    const stored = count.nonZero ? ir.select(count.nonZero, result, low) : result;
    t.write(a, stored);
    t.flags.shift(size, result, ir.toI32(ir.and(bit, ir.int(bit.type, 1))), ir.xor(before, result), count.nonZero);
  };
}

/** Shifts `a` by `amount` and fills from `b`; an amount of 0 (from "one less") leaves `a`. */
function shiftPair(t: Translation, size: IntSize, a: Int, b: Int, amount: Int, left: boolean): Int {
  const { ir } = t;
  // b moves by (bits - amount): in two steps, because a shift by all bits would be none
  const rest = ir.sub(ir.int(a.type, 8 * size - 1), amount);
  const moved = left ? ir.shl(a, amount) : ir.shrU(a, amount);
  const filled = left ? ir.shrU(ir.shrU(b, 1), rest) : ir.shl(ir.shl(b, 1), rest);
  return ir.or(moved, filled);
}

function shiftPair16(t: Translation, _size: IntSize, a: Int, b: Int, amount: Int, left: boolean): Int {
  const { ir } = t;
  const wide = (high: Int, middle: Int, low: Int): Value<'i64'> => {
    const upper = ir.shl(ir.toI64(high), 32);
    return ir.or(ir.or(upper, ir.shl(ir.toI64(middle), 16)), ir.toI64(low));
  };
  if (!left) return ir.toI32(ir.shrU(wide(a, b, a), ir.toI64(amount)));
  return ir.toI32(ir.shrU(ir.shl(wide(a, b, a), ir.toI64(amount)), 32));
}

export const shifts: Semantics<typeof SHIFTS> = {
  ROL: rotation(true),
  ROR: rotation(false),
  RCL: rotationThroughCarry(true),
  RCR: rotationThroughCarry(false),
  SHL: shift((t, _, a, count) => t.ir.shl(a, count), false, 'top'),
  SHR: shift((t, _, a, count) => t.ir.shrU(a, count), false, 'bottom'),
  SAR: shift((t, _, a, count) => t.ir.shrS(a, count), true, 'bottom'),
  SHLD: doubleShift(true),
  SHRD: doubleShift(false),
};

/** Where a bit test finds its bit: the operand that holds it, and the number of the bit there. */
interface Bit {
  readonly old: Int;
  readonly number: Int;
  readonly write: (value: Int) => void;
}

/** A register bit offset reaches beyond a memory operand: it selects the word, signed. */
function findBit(t: Translation, a: Operand, b: Operand, forWrite: boolean): Bit {
  const { ir } = t;
  const size = t.size(a);
  const offset = t.readAs(b, size);
  const number = ir.and(offset, ir.int(offset.type, 8 * size - 1));
  if (a.kind !== 'memory' || b.kind === 'immediate') {
    return { old: t.read(a, forWrite), number, write: value => t.write(a, value) };
  }
  const address = bitAddress(t, a, offset, size);
  return { old: t.load(address, size, forWrite), number, write: value => t.store(address, size, value) };
}

function bitAddress(t: Translation, a: MemoryOperand, offset: Int, size: IntSize): Value<'i64'> {
  const { ir } = t;
  const words = ir.shrS(t.signExtend(offset, size, size === 8 ? 8 : 4), Math.log2(8 * size));
  const distance = ir.shl(size === 8 ? words : ir.toI64Signed(words), Math.log2(size));
  const offsetInSegment = t.effectiveAddress(a);
  if (a.addressSize === 8) return t.linear(a.segment, ir.add(offsetInSegment, distance));
  const sum = ir.add(ir.toI32(offsetInSegment), ir.toI32(distance));
  return t.linear(a.segment, a.addressSize === 2 ? ir.and(sum, ir.i32(0xffff)) : sum);
}

function bitTest(change?: (t: Translation, old: Int, mask: Int) => Int) {
  return (t: Translation, a: Operand, b: Operand): void => {
    const { ir } = t;
    const { old, number, write } = findBit(t, a, b, change !== undefined);
    if (change) write(change(t, old, ir.shl(ir.int(old.type, 1), number)));
    t.flags.setC(ir.toI32(ir.and(ir.shrU(old, number), ir.int(old.type, 1))));
  };
}

/** BSF, BSR: the destination stays when the source is 0. */
function bitScan(reverse: boolean) {
  return (t: Translation, a: Operand, b: Operand): void => {
    const { ir } = t;
    const size = t.size(a);
    const source = t.read(b);
    const highest = (size === 8 ? 63 : 31) as number;
    const found = reverse ? ir.xor(ir.clz(source), ir.int(source.type, highest)) : ir.ctz(source);
    t.write(a, ir.select(ir.eqz(source), t.read(a), found));
    t.flags.logical(size, source);
  };
}

/** TZCNT, LZCNT: the operand size when the source is 0. */
function zeroCount(leading: boolean) {
  return (t: Translation, a: Operand, b: Operand): void => {
    const { ir } = t;
    const size = t.size(a);
    const source = t.read(b);
    const count = leading
      ? size === 2
        ? ir.sub(ir.clz(source), ir.int(source.type, 16))
        : ir.clz(source)
      : ir.ctz(size === 2 ? ir.or(source, ir.int(source.type, 0x1_0000)) : source);
    t.write(a, count);
    t.flags.resultAndCarry(size, count, ir.eqz(source));
  };
}

/** Reverses the bytes of an operand. */
function swapBytes(t: Translation, size: IntSize, value: Int): Int {
  const { ir } = t;
  if (size === 8) {
    const [low, high] = [ir.toI32(value), ir.toI32(ir.shrU(value, 32))];
    const swapped = [swapBytes(t, 4, high), swapBytes(t, 4, low)].map(half => ir.toI64(half)) as [
      Value<'i64'>,
      Value<'i64'>,
    ];
    return ir.or(swapped[0], ir.shl(swapped[1], 32));
  }
  if (size === 2) return ir.or(ir.shl(ir.and(value, ir.int(value.type, 0xff)), 8), ir.shrU(value, 8));
  const mask = ir.int(value.type, 0xff00ff);
  return ir.or(ir.rotl(ir.and(value, mask), 24), ir.and(ir.rotl(value, 8), mask));
}

export const bits: Semantics<typeof BITS> = {
  BT: bitTest(),
  BTS: bitTest((t, old, mask) => t.ir.or(old, mask)),
  BTR: bitTest((t, old, mask) => t.ir.and(old, t.ir.not(mask))),
  BTC: bitTest((t, old, mask) => t.ir.xor(old, mask)),
  BSF: bitScan(false),
  BSR: bitScan(true),
  TZCNT: zeroCount(false),
  LZCNT: zeroCount(true),
  POPCNT: (t, a, b) => {
    const source = t.read(b);
    t.write(a, t.ir.popcnt(source));
    t.flags.onlyZero(t.ir.eqz(source));
  },
  BSWAP: (t, a) => {
    const size = t.size(a);
    // a 2-byte swap is undefined; processors give 0
    t.write(a, size === 2 ? t.int(2, 0) : swapBytes(t, size, t.read(a)));
  },
  MOVBE: (t, a, b) => t.write(a, swapBytes(t, t.size(a), t.read(b))),
  CRC32: (t, a, b) => {
    const { ir } = t;
    const sum = ir.call(crc32, ir.toI32(t.read(a)), ir.toI64(t.read(b)), ir.i32(t.size(b)));
    t.write(a, t.resize(sum, 4, t.size(a)));
  },
};

/** BLSR, BLSMSK, BLSI. CF says how the source compares with 0. */
function lowestBit(compute: (t: Translation, source: Int) => Int, carryWhenZero: boolean) {
  return (t: Translation, a: Operand, b: Operand): void => {
    const source = t.read(b);
    const result = compute(t, source);
    const isZero = t.ir.eqz(source);
    t.write(a, result);
    t.flags.resultAndCarry(t.size(a), result, carryWhenZero ? isZero : t.ir.eqz(isZero));
  };
}

function less1(t: Translation, value: Int): Int {
  return t.ir.sub(value, t.ir.int(value.type, 1));
}

/** SHLX and its like: shifts that leave the flags. */
function plainShift(compute: (t: Translation, a: Int, count: Int) => Int) {
  return (t: Translation, a: Operand, b: Operand, c: Operand): void => t.write(a, compute(t, t.read(b), t.read(c)));
}

/** The lowest `count` bits set; all of them from the width on. */
function lowMask(t: Translation, count: Int, width: number): Int {
  const { ir } = t;
  const mask = less1(t, ir.shl(ir.int(count.type, 1), count));
  return ir.select(ir.geU(count, ir.int(count.type, width)), ir.int(count.type, -1), mask);
}

export const bmi: Semantics<typeof BMI> = {
  ANDN: (t, a, b, c) => {
    const result = t.ir.and(t.ir.not(t.read(b)), t.read(c));
    t.write(a, result);
    t.flags.logical(t.size(a), result);
  },
  BEXTR: (t, a, b, c) => {
    const { ir } = t;
    const source = t.read(b);
    const control = t.read(c);
    const width = 8 * t.size(a);
    const byte = (value: Int): Int => ir.and(value, ir.int(value.type, 0xff));
    const start = byte(control);
    const shifted = ir.select(ir.geU(start, ir.int(start.type, width)), ir.int(start.type, 0), ir.shrU(source, start));
    const result = ir.and(shifted, lowMask(t, byte(ir.shrU(control, 8)), width));
    t.write(a, result);
    t.flags.logical(t.size(a), result);
  },
  BLSR: lowestBit((t, source) => t.ir.and(source, less1(t, source)), true),
  BLSMSK: lowestBit((t, source) => t.ir.xor(source, less1(t, source)), true),
  BLSI: lowestBit((t, source) => t.ir.and(source, t.ir.neg(source)), false),
  BZHI: (t, a, b, c) => {
    const { ir } = t;
    const width = 8 * t.size(a);
    const index = t.read(c);
    const count = ir.and(index, ir.int(index.type, 0xff));
    const result = ir.and(t.read(b), lowMask(t, count, width));
    t.write(a, result);
    t.flags.resultAndCarry(t.size(a), result, ir.geU(count, ir.int(count.type, width)));
  },
  PEXT: (t, a, b, c) => {
    const { ir } = t;
    const result = ir.call(parallelExtract, ir.toI64(t.read(b)), ir.toI64(t.read(c)));
    t.write(a, t.resize(result, 8, t.size(a)));
  },
  PDEP: (t, a, b, c) => {
    const { ir } = t;
    const result = ir.call(parallelDeposit, ir.toI64(t.read(b)), ir.toI64(t.read(c)));
    t.write(a, t.resize(result, 8, t.size(a)));
  },
  MULX: (t, a, b, c) => {
    const { ir } = t;
    const source = ir.toI64(t.read(c));
    const factor = ir.toI64(t.gpr(2, t.size(a)));
    const low = ir.mul(source, factor);
    const high = t.size(a) === 8 ? multiplyHighUnsigned(ir, source, factor) : ir.toI32(ir.shrU(low, 32));
    t.write(b, t.resize(low, 8, t.size(b)));
    t.write(a, high);
  },
  SHLX: plainShift((t, a, count) => t.ir.shl(a, count)),
  SARX: plainShift((t, a, count) => t.ir.shrS(a, count)),
  SHRX: plainShift((t, a, count) => t.ir.shrU(a, count)),
  RORX: (t, a, b, c) => {
    const source = t.read(b);
    const count = c.kind === 'immediate' ? Number(c.value) : 0;
    t.write(a, t.ir.rotr(source, count & (8 * t.size(a) - 1)));
  },
};
