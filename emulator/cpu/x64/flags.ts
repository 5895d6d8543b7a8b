/**
 * The status flags while translating: written in their unpacked form (state.ts), and remembered as what they came from, so that
 * a condition right after a comparison is one comparison of its operands.
 *
 * Operands of 1 and 2 bytes are i32 values whose upper bits are 0; those of 4 bytes are i32, of 8 bytes i64.
 *
 * Source: Intel SDM vol. 1 "EFLAGS Register", vol. 2 "EFLAGS Condition Codes". Flags that the SDM leaves undefined are as QEMU has them.
 */
import type { Value } from '../ir/block.ts';
import type { BlockBuilder } from '../ir/builder.ts';
import type { StateField } from '../ir/state-field.ts';
import type { IntType } from '../ir/types.ts';
import { EFLAGS, X64_STATE } from './state.ts';

/** Operand size in bytes. */
export type IntSize = 1 | 2 | 4 | 8;

type Int = Value<IntType>;
type Flag = Value<'i32'>;

/** What the flags were last computed from, where that gives shorter conditions than the flags themselves. */
interface Source {
  readonly kind: 'sub' | 'logical';
  readonly size: IntSize;
  readonly a: Int;
  readonly b: Int;
  readonly result: Int;
}

/** Condition numbers: the low four bits of Jcc, SETcc and CMOVcc, halved (bit 0 inverts). */
const CONDITION = { O: 0, B: 1, Z: 2, BE: 3, S: 4, P: 5, L: 6, LE: 7 } as const;

/** The type that holds an operand. */
export function typeOfSize(size: IntSize): IntType {
  return size === 8 ? 'i64' : 'i32';
}

/** The status flags at the current point of a translation. */
export class Flags {
  readonly #ir: BlockBuilder;
  #source: Source | undefined;
  /** Writes that wait for the end of the instruction, behind whatever of it may fault. */
  readonly #deferred: (() => void)[] = [];

  constructor(ir: BlockBuilder) {
    this.#ir = ir;
  }

  /** Writes the flags that the instruction has set: to be called at its end. */
  commit(): void {
    for (const write of this.#deferred) write();
    this.#deferred.length = 0;
  }

  #defer<T extends 'i32' | 'i64'>(field: StateField<T>, value: Value<T>): void {
    this.#deferred.push(() => this.#ir.set(field, value));
  }

  // Whole results

  /** Sets the flags of `a + b`, and gives the sum. */
  add(size: IntSize, a: Int, b: Int): Int {
    const ir = this.#ir;
    const sum = ir.add(a, b);
    const carry = size < 4 ? ir.toI32(ir.shrU(sum, 8 * size)) : ir.ltU(sum, a);
    const result = this.truncate(size, sum);
    this.#set(size, result, carry, ir.and(ir.xor(a, result), ir.xor(b, result)), ir.xor(a, b));
    return result;
  }

  /** Sets the flags of `a + b + CF`, and gives the sum. */
  addWithCarry(size: IntSize, a: Int, b: Int): Int {
    const ir = this.#ir;
    const partial = ir.add(a, b);
    const sum = ir.add(partial, this.carryAs(a.type));
    const carry = size < 4 ? ir.toI32(ir.shrU(sum, 8 * size)) : ir.or(ir.ltU(partial, a), ir.ltU(sum, partial));
    const result = this.truncate(size, sum);
    this.#set(size, result, carry, ir.and(ir.xor(a, result), ir.xor(b, result)), ir.xor(a, b));
    return result;
  }

  /** Sets the flags of `a - b`, and gives the difference. */
  sub(size: IntSize, a: Int, b: Int): Int {
    const ir = this.#ir;
    const result = this.truncate(size, ir.sub(a, b));
    const difference = ir.xor(a, b);
    this.#set(size, result, ir.ltU(a, b), ir.and(difference, ir.xor(a, result)), difference);
    this.#source = { kind: 'sub', size, a, b, result };
    return result;
  }

  /** Sets the flags of `a - b - CF`, and gives the difference. */
  subWithBorrow(size: IntSize, a: Int, b: Int): Int {
    const ir = this.#ir;
    const borrow = this.carryAs(a.type);
    const partial = ir.sub(a, b);
    const result = this.truncate(size, ir.sub(partial, borrow));
    const carry = ir.or(ir.ltU(a, b), ir.and(ir.eq(a, b), ir.toI32(borrow)));
    const difference = ir.xor(a, b);
    this.#set(size, result, carry, ir.and(difference, ir.xor(a, result)), difference);
    return result;
  }

  /** Sets the flags of `a + 1` but CF, and gives the sum. */
  increment(size: IntSize, a: Int): Int {
    const ir = this.#ir;
    const result = this.truncate(size, ir.add(a, ir.int(a.type, 1)));
    this.#setResult(size, result);
    this.#defer(X64_STATE.of, this.#signWord(size, ir.and(ir.xor(a, ir.int(a.type, -1)), result)));
    this.#defer(X64_STATE.af, ir.toI32(ir.xor(a, ir.int(a.type, 1))));
    return result;
  }

  /** Sets the flags of `a - 1` but CF, and gives the difference. */
  decrement(size: IntSize, a: Int): Int {
    const ir = this.#ir;
    const result = this.truncate(size, ir.sub(a, ir.int(a.type, 1)));
    this.#setResult(size, result);
    this.#defer(X64_STATE.of, this.#signWord(size, ir.and(a, ir.xor(result, ir.int(a.type, -1)))));
    this.#defer(X64_STATE.af, ir.toI32(ir.xor(a, ir.int(a.type, 1))));
    return result;
  }

  /** Sets ZF, SF and PF of a logical result; CF, OF and AF become 0. */
  logical(size: IntSize, result: Int): void {
    const ir = this.#ir;
    this.#setResult(size, result);
    this.#defer(X64_STATE.cf, ir.i32(0));
    this.#defer(X64_STATE.of, ir.i64(0));
    this.#clearAdjust(size, result);
    this.#source = { kind: 'logical', size, a: result, b: result, result };
  }

  /**
   * Sets the flags of a shift: ZF, SF, PF from the result, AF 0, unless the count is 0.
   * @param nonZero whether the count is not 0; `undefined` when that is known
   * @param overflow word whose sign at the operand's size is OF
   */
  shift(size: IntSize, result: Int, carry: Flag, overflow: Int, nonZero: Flag | undefined): void {
    const ir = this.#ir;
    const { zr, sr, cf, of, af } = X64_STATE;
    const word = this.#signExtended(size, result);
    const overflowWord = this.#signWord(size, overflow);
    if (!nonZero) {
      this.#set(size, result, carry, overflow, undefined);
      return;
    }
    const aux = ir.toI32(word);
    this.#defer(af, ir.select(nonZero, aux, ir.get(af)));
    this.#defer(zr, ir.select(nonZero, word, ir.get(zr)));
    this.#defer(sr, ir.select(nonZero, word, ir.get(sr)));
    this.#defer(cf, ir.select(nonZero, carry, ir.get(cf)));
    this.#defer(of, ir.select(nonZero, overflowWord, ir.get(of)));
    this.#source = undefined;
  }

  /** Sets CF and OF of a rotation, unless the count is 0. */
  rotation(size: IntSize, carry: Flag, overflow: Int, nonZero: Flag | undefined): void {
    const ir = this.#ir;
    const { cf, of } = X64_STATE;
    const overflowWord = this.#signWord(size, overflow);
    this.#defer(cf, nonZero ? ir.select(nonZero, carry, ir.get(cf)) : carry);
    this.#defer(of, nonZero ? ir.select(nonZero, overflowWord, ir.get(of)) : overflowWord);
    this.#source = undefined;
  }

  /** Sets the flags of a product: CF and OF say that the upper half is significant; the others are of the low half. */
  product(size: IntSize, low: Int, significant: Flag): void {
    this.#setResult(size, low);
    this.#defer(X64_STATE.cf, significant);
    this.setO(significant);
    this.#clearAdjust(size, low);
  }

  /** Sets ZF, SF and PF from a result and CF from `carry`; OF and AF become 0. */
  resultAndCarry(size: IntSize, result: Int, carry: Flag): void {
    const ir = this.#ir;
    this.#setResult(size, result);
    this.#defer(X64_STATE.cf, carry);
    this.#defer(X64_STATE.of, ir.i64(0));
    this.#clearAdjust(size, result);
  }

  /** Sets ZF from 0 or 1 and clears the others. */
  onlyZero(flag: Flag): void {
    const ir = this.#ir;
    // 1 has no sign and odd parity
    this.#defer(X64_STATE.sr, ir.i64(1));
    this.#defer(X64_STATE.cf, ir.i32(0));
    this.#defer(X64_STATE.of, ir.i64(0));
    this.#defer(X64_STATE.af, ir.i32(1));
    this.setZ(flag);
  }

  /** Sets AF from 0 or 1, after the flags of a result. */
  setAdjust(result: Int, flag: Flag): void {
    const ir = this.#ir;
    this.#defer(X64_STATE.af, ir.xor(ir.toI32(result), ir.shl(flag, 4)));
  }

  /** Sets ZF from 0 or 1 and leaves the others. */
  setZ(flag: Flag): void {
    this.#source = undefined;
    this.#defer(X64_STATE.zr, this.#ir.toI64(this.#ir.eqz(flag)));
  }
  setC(flag: Flag): void {
    this.#source = undefined;
    this.#defer(X64_STATE.cf, flag);
  }
  setO(flag: Flag): void {
    this.#source = undefined;
    this.#defer(X64_STATE.of, this.#ir.neg(this.#ir.toI64(flag)));
  }

  // Reading

  /** CF as an integer 0 or 1. */
  carryAs<T extends IntType>(type: T): Value<T> {
    this.commit();
    const carry = this.#ir.get(X64_STATE.cf);
    return (type === 'i32' ? carry : this.#ir.toI64(carry)) as Value<T>;
  }

  /** 1 when the condition with this number (low four bits of the opcode) holds, else 0. */
  condition(number: number): Flag {
    this.commit();
    const ir = this.#ir;
    const holds = this.#fromSource(number >> 1) ?? this.#fromFlags(number >> 1);
    return number & 1 ? ir.eqz(holds) : holds;
  }

  /** The status flags at their places in EFLAGS. */
  pack(): Flag {
    this.commit();
    const ir = this.#ir;
    const place = (flag: Flag, bit: number): Flag => ir.shl(flag, bit);
    const adjust = ir.and(ir.xor(ir.get(X64_STATE.af), ir.toI32(ir.get(X64_STATE.sr))), ir.i32(EFLAGS.AF));
    const low = ir.or(ir.get(X64_STATE.cf), ir.or(place(this.#parity(), 2), adjust));
    const zero = place(ir.eqz(ir.get(X64_STATE.zr)), 6);
    const sign = place(ir.toI32(ir.shrU(ir.get(X64_STATE.sr), 63)), 7);
    const overflow = place(ir.toI32(ir.shrU(ir.get(X64_STATE.of), 63)), 11);
    return ir.or(ir.or(low, zero), ir.or(sign, overflow));
  }

  /** Sets the status flags from their places in EFLAGS. @param withOverflow false for SAHF, which leaves OF */
  unpack(eflags: Flag, withOverflow = true): void {
    const ir = this.#ir;
    const bit = (at: number): Flag => ir.and(ir.shrU(eflags, at), ir.i32(1));
    const sign = ir.shl(ir.toI64(bit(7)), 63);
    const parity = ir.toI64(ir.xor(bit(2), ir.i32(1)));
    const word = ir.or(sign, parity);
    this.#defer(X64_STATE.sr, word);
    this.#defer(X64_STATE.zr, ir.toI64(ir.xor(bit(6), ir.i32(1))));
    this.#defer(X64_STATE.cf, bit(0));
    this.#defer(X64_STATE.af, ir.xor(ir.and(eflags, ir.i32(EFLAGS.AF)), ir.toI32(word)));
    if (withOverflow) this.#defer(X64_STATE.of, ir.neg(ir.toI64(bit(11))));
    this.#source = undefined;
  }

  // Widths

  /** The low `size` bytes, upper bits 0. */
  truncate(size: IntSize, value: Int): Int {
    return size < 4 ? this.#ir.and(value, this.#ir.int(value.type, size === 1 ? 0xff : 0xffff)) : value;
  }

  #signExtended(size: IntSize, value: Int): Value<'i64'> {
    const ir = this.#ir;
    return ir.toI64Signed(size < 4 ? ir.signExtend(value, size === 1 ? 8 : 16) : value);
  }

  /** Moves the sign bit at the operand's size to bit 63. */
  #signWord(size: IntSize, value: Int): Value<'i64'> {
    const ir = this.#ir;
    return ir.toI64Signed(size < 4 ? ir.shl(value, 32 - 8 * size) : value);
  }

  #setResult(size: IntSize, result: Int): void {
    const word = this.#signExtended(size, result);
    this.#defer(X64_STATE.zr, word);
    this.#defer(X64_STATE.sr, word);
    this.#source = undefined;
  }

  #set(size: IntSize, result: Int, carry: Flag, overflow: Int, operands: Int | undefined): void {
    const ir = this.#ir;
    this.#setResult(size, result);
    this.#defer(X64_STATE.cf, carry);
    this.#defer(X64_STATE.of, this.#signWord(size, overflow));
    if (operands) this.#defer(X64_STATE.af, ir.toI32(operands));
    else this.#clearAdjust(size, result);
  }

  #clearAdjust(size: IntSize, result: Int): void {
    this.#defer(X64_STATE.af, this.#ir.toI32(this.#signExtended(size, result)));
  }

  #parity(): Flag {
    const ir = this.#ir;
    const ones = ir.popcnt(ir.and(ir.toI32(ir.get(X64_STATE.sr)), ir.i32(0xff)));
    return ir.xor(ir.and(ones, ir.i32(1)), ir.i32(1));
  }

  #fromFlags(condition: number): Flag {
    const ir = this.#ir;
    const { zr, sr, cf, of } = X64_STATE;
    const zero = ir.i64(0);
    const less = (): Flag => ir.ltS(ir.xor(ir.get(sr), ir.get(of)), zero);
    switch (condition) {
      case CONDITION.O:
        return ir.ltS(ir.get(of), zero);
      case CONDITION.B:
        return ir.get(cf);
      case CONDITION.Z:
        return ir.eqz(ir.get(zr));
      case CONDITION.BE:
        return ir.or(ir.get(cf), ir.eqz(ir.get(zr)));
      case CONDITION.S:
        return ir.ltS(ir.get(sr), zero);
      case CONDITION.P:
        return this.#parity();
      case CONDITION.L:
        return less();
      default:
        return ir.or(ir.eqz(ir.get(zr)), less());
    }
  }

  #fromSource(condition: number): Flag | undefined {
    const source = this.#source;
    if (!source) return undefined;
    return source.kind === 'sub' ? this.#afterSub(source, condition) : this.#afterLogical(source, condition);
  }

  #afterSub({ size, a, b, result }: Source, condition: number): Flag | undefined {
    const ir = this.#ir;
    const signed = (value: Int): Int => (size < 4 ? ir.signExtend(value, size === 1 ? 8 : 16) : value);
    switch (condition) {
      case CONDITION.B:
        return ir.ltU(a, b);
      case CONDITION.Z:
        return ir.eq(a, b);
      case CONDITION.BE:
        return ir.leU(a, b);
      case CONDITION.S:
        return ir.ltS(signed(result), ir.int(result.type, 0));
      case CONDITION.L:
        return ir.ltS(signed(a), signed(b));
      case CONDITION.LE:
        return ir.leS(signed(a), signed(b));
      default:
        return undefined;
    }
  }

  #afterLogical({ size, result }: Source, condition: number): Flag | undefined {
    const ir = this.#ir;
    const signed = size < 4 ? ir.signExtend(result, size === 1 ? 8 : 16) : result;
    const zero = ir.int(result.type, 0);
    switch (condition) {
      case CONDITION.O:
      case CONDITION.B:
        return ir.i32(0);
      case CONDITION.Z:
      case CONDITION.BE:
        return ir.eqz(result);
      case CONDITION.S:
      case CONDITION.L:
        return ir.ltS(signed, zero);
      case CONDITION.LE:
        return ir.leS(signed, zero);
      default:
        return undefined;
    }
  }
}
