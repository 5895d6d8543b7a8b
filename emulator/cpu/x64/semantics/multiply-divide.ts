/** Multiplication, division, and sign extension of the accumulator. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { BlockBuilder } from '../../ir/builder.ts';
import type { IntType } from '../../ir/types.ts';
import type { IntSize } from '../flags.ts';
import type { Semantics } from '../instruction.ts';
import type { DECIMAL, MULTIPLY_DIVIDE } from '../opcode-map/arithmetic.ts';
import type { Operand } from '../operands.ts';
import { GPR, X64_STATE } from '../state.ts';
import { checkDivision, divideSigned64, divideUnsigned64 } from '../system/helpers.ts';
import { VECTOR } from '../system/fault.ts';
import type { Translation } from '../translation.ts';

type Int = Value<IntType>;
type Long = Value<'i64'>;

/** The high 64 bits of an unsigned product of 64-bit numbers, from four products of halves. */
export function multiplyHighUnsigned(ir: BlockBuilder, a: Long, b: Long): Long {
  const mask = ir.i64(0xffff_ffffn);
  const [a0, a1] = [ir.and(a, mask), ir.shrU(a, 32)];
  const [b0, b1] = [ir.and(b, mask), ir.shrU(b, 32)];
  const middle = ir.add(ir.mul(a1, b0), ir.shrU(ir.mul(a0, b0), 32));
  const other = ir.add(ir.mul(a0, b1), ir.and(middle, mask));
  return ir.add(ir.add(ir.mul(a1, b1), ir.shrU(middle, 32)), ir.shrU(other, 32));
}

/** The high 64 bits of a signed product. */
export function multiplyHighSigned(ir: BlockBuilder, a: Long, b: Long): Long {
  const unsigned = multiplyHighUnsigned(ir, a, b);
  const correction = ir.add(ir.and(ir.shrS(a, 63), b), ir.and(ir.shrS(b, 63), a));
  return ir.sub(unsigned, correction);
}

/** Product of two operands: low half, high half. */
function wideProduct(t: Translation, size: IntSize, a: Int, b: Int, signed: boolean): { low: Int; high: Int } {
  const { ir } = t;
  if (size === 8) {
    const [x, y] = [ir.toI64(a), ir.toI64(b)];
    return { low: ir.mul(x, y), high: signed ? multiplyHighSigned(ir, x, y) : multiplyHighUnsigned(ir, x, y) };
  }
  const wide = (value: Int): Long => ir.toI64(signed ? t.signExtend(value, size, 8) : t.resize(value, size, 8));
  const product = ir.mul(wide(a), wide(b));
  return {
    low: t.resize(product, 8, size),
    high: t.resize(ir.shrU(product, 8 * size), 8, size),
  };
}

/** MUL and one-operand IMUL: rDX:rAX, or AX for bytes. */
function multiplyAccumulator(signed: boolean): (t: Translation, a: Operand) => void {
  return (t, a) => {
    const { ir } = t;
    const size = t.size(a);
    const { low, high } = wideProduct(t, size, t.gpr(GPR.AX, size), t.read(a), signed);
    const significant = signed ? ir.ne(high, signFill(t, size, low)) : ir.eqz(ir.eqz(high));
    if (size === 1) t.setGpr(GPR.AX, 2, ir.or(low, ir.shl(high, 8)));
    else {
      t.setGpr(GPR.AX, size, low);
      t.setGpr(GPR.DX, size, high);
    }
    t.flags.product(size, low, significant);
  };
}

/** All ones where the value is negative, else 0, in its size. */
function signFill(t: Translation, size: IntSize, value: Int): Int {
  const wide = t.signExtend(value, size, size === 8 ? 8 : 4);
  return t.flags.truncate(size, t.ir.shrS(wide, size === 8 ? 63 : 31));
}

/** Two- and three-operand IMUL. */
function multiplySigned(t: Translation, a: Operand, b: Operand, c?: Operand): void {
  const size = t.size(a);
  const left = c ? t.read(b) : t.read(a);
  const { low, high } = wideProduct(t, size, left, c ? t.readAs(c, size) : t.read(b), true);
  t.write(a, low);
  t.flags.product(size, low, t.ir.ne(high, signFill(t, size, low)));
}

interface Quotients {
  readonly quotient: Long;
  readonly remainder: Long;
  /** Not 0 when the quotient fits. */
  readonly fits: Value<'i32'>;
}

/** Divides an i64 dividend of twice the operand size. */
function divide(t: Translation, size: 1 | 2 | 4, dividend: Long, divisor: Long, signed: boolean): Quotients {
  const { ir } = t;
  const quotient = signed ? ir.divS(dividend, divisor) : ir.divU(dividend, divisor);
  const remainder = ir.sub(dividend, ir.mul(quotient, divisor));
  const back = signed ? t.signExtend(quotient, size, 8) : t.resize(t.resize(quotient, 8, size), size, 8);
  // the most negative dividend by -1: total division gives the dividend back
  const wraps = signed ? ir.and(ir.eq(dividend, ir.i64(1n << 63n)), ir.eq(divisor, ir.i64(-1))) : ir.i32(0);
  const fits = ir.and(ir.and(ir.ne(divisor, ir.i64(0)), ir.eq(ir.toI64(back), quotient)), ir.eqz(wraps));
  return { quotient, remainder, fits };
}

function divideBy(signed: boolean): (t: Translation, a: Operand) => void {
  return (t, a) => {
    const { ir } = t;
    const size = t.size(a);
    const value = t.read(a);
    if (size === 8) return divide64(t, ir.toI64(value), signed);
    const divisor = ir.toI64(signed ? t.signExtend(value, size, 8) : value);
    const dividend = signed && size === 1 ? t.signExtend(t.gpr(GPR.AX, 2), 2, 8) : wideAccumulator(t, size, signed);
    const { quotient, remainder, fits } = divide(t, size, ir.toI64(dividend), divisor, signed);
    ir.call(checkDivision, fits);
    if (size === 1) {
      const packed = ir.or(t.resize(quotient, 8, 1), ir.shl(t.resize(remainder, 8, 1), 8));
      t.setGpr(GPR.AX, 2, packed);
    } else {
      t.setGpr(GPR.AX, size, t.resize(quotient, 8, size));
      t.setGpr(GPR.DX, size, t.resize(remainder, 8, size));
    }
  };
}

/** AX, DX:AX or EDX:EAX as an i64. */
function wideAccumulator(t: Translation, size: 1 | 2 | 4, signed: boolean): Long {
  const { ir } = t;
  if (size === 1) return ir.toI64(t.gpr(GPR.AX, 2));
  const packed = ir.or(ir.toI64(t.gpr(GPR.AX, size)), ir.shl(ir.toI64(t.gpr(GPR.DX, size)), 8 * size));
  return signed && size === 2 ? ir.signExtend(packed, 32) : packed;
}

/** 128 by 64 bits: in place where the high half is known to be 0 or the sign of the low half, else a helper. */
function divide64(t: Translation, divisor: Long, signed: boolean): void {
  const { ir } = t;
  const high = ir.get(X64_STATE.r[GPR.DX]!);
  const low = ir.get(X64_STATE.r[GPR.AX]!);
  const isZero = high.immediate === 0n && high.position < 0;
  if (signed || !isZero) {
    ir.call(signed ? divideSigned64 : divideUnsigned64, divisor);
    return;
  }
  ir.call(checkDivision, ir.ne(divisor, ir.i64(0)));
  const quotient = ir.divU(low, divisor);
  ir.set(X64_STATE.r[GPR.AX]!, quotient);
  ir.set(X64_STATE.r[GPR.DX]!, ir.sub(low, ir.mul(quotient, divisor)));
}

export const multiplyDivide: Semantics<typeof MULTIPLY_DIVIDE> = {
  MUL: multiplyAccumulator(false),
  IMUL: (t, a, b, c) => {
    if (b === undefined) multiplyAccumulator(true)(t, a);
    else multiplySigned(t, a, b, c);
  },
  DIV: divideBy(false),
  IDIV: divideBy(true),
  CBW: t => {
    const size = t.insn.operandSize;
    const half = (size / 2) as IntSize;
    t.setGpr(GPR.AX, size, t.signExtend(t.gpr(GPR.AX, half), half, size));
  },
  CWD: t => {
    const size = t.insn.operandSize;
    t.setGpr(GPR.DX, size, signFill(t, size, t.gpr(GPR.AX, size)));
  },
};

/** Carry and adjust conditions that decimal adjustments start from. */
function decimalConditions(t: Translation): { low: Value<'i32'>; carry: Value<'i32'>; adjust: Value<'i32'> } {
  const { ir } = t;
  const carry = t.flags.carryAs('i32');
  const adjust = ir.and(ir.shrU(t.flags.pack(), 4), ir.i32(1));
  const al = ir.toI32(t.gpr(GPR.AX, 1));
  const low = ir.or(ir.gtU(ir.and(al, ir.i32(15)), ir.i32(9)), adjust);
  return { low, carry, adjust };
}

/** DAA (sign 1), DAS (sign -1). */
function decimalAdjust(sign: 1 | -1): (t: Translation) => void {
  return t => {
    const { ir } = t;
    const { low, carry } = decimalConditions(t);
    const al = ir.toI32(t.gpr(GPR.AX, 1));
    const high = ir.or(ir.gtU(al, ir.i32(0x99)), carry);
    const change = ir.add(ir.select(low, ir.i32(6), ir.i32(0)), ir.select(high, ir.i32(0x60), ir.i32(0)));
    const result = t.flags.truncate(1, sign === 1 ? ir.add(al, change) : ir.sub(al, change));
    // DAS borrows out of the low digit even when the high one needs no adjustment
    const borrow = sign === 1 ? high : ir.or(high, ir.and(low, ir.ltU(al, ir.i32(6))));
    t.setGpr(GPR.AX, 1, result);
    t.flags.resultAndCarry(1, result, borrow);
    t.flags.setAdjust(low);
  };
}

/** AAA (sign 1), AAS (sign -1). */
function asciiAdjust(sign: 1 | -1): (t: Translation) => void {
  return t => {
    const { ir } = t;
    const { low } = decimalConditions(t);
    const ax = ir.toI32(t.gpr(GPR.AX, 2));
    const step = ir.select(low, ir.i32(0x106), ir.i32(0));
    const adjusted = sign === 1 ? ir.add(ax, step) : ir.sub(ax, step);
    const result = ir.and(adjusted, ir.i32(0xff0f));
    t.setGpr(GPR.AX, 2, result);
    t.flags.setC(low);
    t.flags.setAdjust(low);
  };
}

export const decimal: Semantics<typeof DECIMAL> = {
  DAA: decimalAdjust(1),
  DAS: decimalAdjust(-1),
  AAA: asciiAdjust(1),
  AAS: asciiAdjust(-1),
  AAM: (t, a) => {
    const { ir } = t;
    const base = a.kind === 'immediate' ? Number(BigInt.asUintN(8, a.value)) : 0;
    if (base === 0) return t.raise(VECTOR.DE);
    const al = ir.toI32(t.gpr(GPR.AX, 1));
    const quotient = ir.divU(al, ir.i32(base));
    const remainder = ir.sub(al, ir.mul(quotient, ir.i32(base)));
    t.setGpr(GPR.AX, 2, ir.or(ir.shl(quotient, 8), remainder));
    t.flags.logical(1, remainder);
  },
  AAD: (t, a) => {
    const { ir } = t;
    const base = a.kind === 'immediate' ? Number(BigInt.asUintN(8, a.value)) : 0;
    const product = ir.mul(ir.toI32(t.gprHigh(GPR.AX)), ir.i32(base));
    const result = t.flags.truncate(1, ir.add(ir.toI32(t.gpr(GPR.AX, 1)), product));
    t.setGpr(GPR.AX, 2, result);
    t.flags.logical(1, result);
  },
};
