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

/** Bits of the carry word (state.ts). */
const CARRY = 1;
const ZERO_INVERTED = 2;

/** The words of the flags that an instruction writes. */
interface Words {
  result: Value<'i64'> | undefined;
  carry: Flag | undefined;
  chain: Value<'i64'> | undefined;
}

/** The status flags at the current point of a translation. */
export class Flags {
  readonly #ir: BlockBuilder;
  #source: Source | undefined;
  /** The carry word is known to be 0 or 1. */
  #carryIsPlain = false;
  /** Writes that wait for the end of the instruction, behind whatever of it may fault. */
  readonly #words: Words = { result: undefined, carry: undefined, chain: undefined };

  constructor(ir: BlockBuilder) {
    this.#ir = ir;
  }

  /** Writes the flags that the instruction has set: to be called at its end. */
  commit(): void {
    const { result, carry, chain } = this.#words;
    if (result) this.#ir.set(X64_STATE.flagResult, result);
    if (carry) this.#ir.set(X64_STATE.flagCarry, carry);
    if (chain) this.#ir.set(X64_STATE.flagChain, chain);
    this.#words.result = undefined;
    this.#words.carry = undefined;
    this.#words.chain = undefined;
  }

  /** A helper has written the flags. */
  forget(): void {
    this.#source = undefined;
    this.#carryIsPlain = false;
  }

  // The words as they are, with what this instruction has written

  get #result(): Value<'i64'> {
    return this.#words.result ?? this.#ir.get(X64_STATE.flagResult);
  }
  get #carryWord(): Flag {
    return this.#words.carry ?? this.#ir.get(X64_STATE.flagCarry);
  }
  get #chain(): Value<'i64'> {
    return this.#words.chain ?? this.#ir.get(X64_STATE.flagChain);
  }
  get #carry(): Flag {
    const word = this.#carryWord;
    return this.#carryIsPlain ? word : this.#ir.and(word, this.#ir.i32(CARRY));
  }

  /** Writes a carry word of 0 or 1. */
  #setPlainCarry(carry: Flag): void {
    this.#words.carry = carry;
    this.#carryIsPlain = true;
  }

  /** A flag as the sign of a word. */
  #sign(flag: Flag): Value<'i64'> {
    return this.#ir.shl(this.#ir.toI64(flag), 63);
  }

  /** 1 when the word at the operand's size is negative. */
  #signBit(size: IntSize, word: Int): Flag {
    const ir = this.#ir;
    return ir.and(ir.toI32(ir.shrU(word, 8 * size - 1)), ir.i32(1));
  }

  // Whole results

  /** Sets the flags of `a + b`, and gives the sum. */
  add(size: IntSize, a: Int, b: Int): Int {
    const ir = this.#ir;
    const sum = ir.add(a, b);
    const carry = size < 4 ? ir.toI32(ir.shrU(sum, 8 * size)) : ir.ltU(sum, a);
    const result = this.truncate(size, sum);
    this.#set(size, result, carry, ir.xor(a, b));
    return result;
  }

  /** Sets the flags of `a + b + CF`, and gives the sum. */
  addWithCarry(size: IntSize, a: Int, b: Int): Int {
    const ir = this.#ir;
    const partial = ir.add(a, b);
    const sum = ir.add(partial, this.carryAs(a.type));
    const carry = size < 4 ? ir.toI32(ir.shrU(sum, 8 * size)) : ir.or(ir.ltU(partial, a), ir.ltU(sum, partial));
    const result = this.truncate(size, sum);
    this.#set(size, result, carry, ir.xor(a, b));
    return result;
  }

  /** Sets the flags of `a - b`, and gives the difference. */
  sub(size: IntSize, a: Int, b: Int): Int {
    const ir = this.#ir;
    const result = this.truncate(size, ir.sub(a, b));
    this.#set(size, result, ir.ltU(a, b), ir.xor(a, b));
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
    this.#set(size, result, carry, ir.xor(a, b));
    return result;
  }

  /** Sets the flags of `a + 1` but CF, and gives the sum. */
  increment(size: IntSize, a: Int): Int {
    const ir = this.#ir;
    const result = this.truncate(size, ir.add(a, ir.int(a.type, 1)));
    this.#setButCarry(size, a, result, ir.eqz(result));
    return result;
  }

  /** Sets the flags of `a - 1` but CF, and gives the difference. */
  decrement(size: IntSize, a: Int): Int {
    const ir = this.#ir;
    const result = this.truncate(size, ir.sub(a, ir.int(a.type, 1)));
    this.#setButCarry(size, a, result, ir.eqz(a));
    return result;
  }

  /** The chain of carries of a step by 1, whose carry out is not CF: OF must be right with CF as it is. */
  #setButCarry(size: IntSize, a: Int, result: Int, carryOut: Flag): void {
    const ir = this.#ir;
    const carry = this.#carry;
    const chain = this.#signExtended(size, ir.xor(ir.xor(a, ir.int(a.type, 1)), result));
    this.#setResult(size, result);
    this.#words.chain = ir.xor(chain, this.#sign(ir.xor(carryOut, carry)));
    this.#setPlainCarry(carry);
  }

  /** Sets ZF, SF and PF of a logical result; CF, OF and AF become 0. */
  logical(size: IntSize, result: Int): void {
    const ir = this.#ir;
    this.#setResult(size, result);
    this.#setPlainCarry(ir.i32(0));
    this.#words.chain = ir.i64(0);
    this.#source = { kind: 'logical', size, a: result, b: result, result };
  }

  /**
   * Sets the flags of a shift: ZF, SF, PF from the result, AF 0, unless the count is 0.
   * @param nonZero whether the count is not 0; `undefined` when that is known
   * @param overflow word whose sign at the operand's size is OF
   */
  shift(size: IntSize, result: Int, carry: Flag, overflow: Int, nonZero: Flag | undefined): void {
    const ir = this.#ir;
    const chain = this.#sign(ir.xor(this.#signBit(size, overflow), carry));
    if (!nonZero) {
      this.#setResult(size, result);
      this.#setPlainCarry(carry);
      this.#words.chain = chain;
      return;
    }
    const word = this.#signExtended(size, result);
    const [oldResult, oldCarry, oldChain] = [this.#result, this.#carryWord, this.#chain];
    this.#words.result = ir.select(nonZero, word, oldResult);
    this.#words.carry = ir.select(nonZero, carry, oldCarry);
    this.#words.chain = ir.select(nonZero, chain, oldChain);
    this.#source = undefined;
  }

  /** Sets CF and OF of a rotation, unless the count is 0. */
  rotation(size: IntSize, carry: Flag, overflow: Int, nonZero: Flag | undefined): void {
    const ir = this.#ir;
    const adjust = ir.and(this.#chain, ir.i64(EFLAGS.AF));
    const chain = ir.or(adjust, this.#sign(ir.xor(this.#signBit(size, overflow), carry)));
    const word = this.#carryIsPlain ? carry : ir.or(ir.and(this.#carryWord, ir.i32(ZERO_INVERTED)), carry);
    const [oldCarry, oldChain] = [this.#carryWord, this.#chain];
    this.#words.carry = nonZero ? ir.select(nonZero, word, oldCarry) : word;
    this.#words.chain = nonZero ? ir.select(nonZero, chain, oldChain) : chain;
    this.#source = undefined;
  }

  /** Sets the flags of a product: CF and OF say that the upper half is significant; the others are of the low half. */
  product(size: IntSize, low: Int, significant: Flag): void {
    this.#setResult(size, low);
    this.#setPlainCarry(significant);
    this.#words.chain = this.#ir.i64(0);
  }

  /** Sets ZF, SF and PF from a result and CF from `carry`; OF and AF become 0. */
  resultAndCarry(size: IntSize, result: Int, carry: Flag): void {
    this.#setResult(size, result);
    this.#setPlainCarry(carry);
    this.#words.chain = this.#sign(carry);
  }

  /** Sets ZF from 0 or 1 and clears the others. */
  onlyZero(flag: Flag): void {
    const ir = this.#ir;
    // 1 has no sign and odd parity
    this.#words.result = ir.i64(1);
    this.#words.chain = ir.i64(0);
    this.#words.carry = ir.shl(flag, 1);
    this.forget();
  }

  /** Sets AF from 0 or 1. */
  setAdjust(flag: Flag): void {
    const ir = this.#ir;
    const kept = ir.and(this.#chain, ir.i64(~BigInt(EFLAGS.AF)));
    this.#words.chain = ir.or(kept, ir.shl(ir.toI64(flag), 4));
  }

  /** Sets ZF from 0 or 1 and leaves the others. */
  setZ(flag: Flag): void {
    const ir = this.#ir;
    const inverted = ir.xor(ir.eqz(this.#result), flag);
    this.#words.carry = ir.or(this.#carry, ir.shl(inverted, 1));
    this.forget();
  }

  /** Sets CF from 0 or 1 and leaves the others: OF, too. */
  setC(flag: Flag): void {
    const ir = this.#ir;
    this.#words.chain = ir.xor(this.#chain, this.#sign(ir.xor(this.#carry, flag)));
    if (this.#carryIsPlain) this.#words.carry = flag;
    else this.#words.carry = ir.or(ir.and(this.#carryWord, ir.i32(ZERO_INVERTED)), flag);
    this.#source = undefined;
  }

  setO(flag: Flag): void {
    const ir = this.#ir;
    const adjust = ir.and(this.#chain, ir.i64(EFLAGS.AF));
    this.#words.chain = ir.or(adjust, this.#sign(ir.xor(flag, this.#carry)));
    this.#source = undefined;
  }

  // Reading

  /** CF as an integer 0 or 1. */
  carryAs<T extends IntType>(type: T): Value<T> {
    const carry = this.#carry;
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
    const ir = this.#ir;
    const place = (flag: Flag, bit: number): Flag => ir.shl(flag, bit);
    const adjust = ir.and(ir.toI32(this.#chain), ir.i32(EFLAGS.AF));
    const low = ir.or(this.#carry, ir.or(place(this.#parity(), 2), adjust));
    const sign = place(ir.toI32(ir.shrU(this.#result, 63)), 7);
    return ir.or(ir.or(low, place(this.#zero(), 6)), ir.or(sign, place(this.#overflow(), 11)));
  }

  /** Sets the status flags from their places in EFLAGS. @param withOverflow false for SAHF, which leaves OF */
  unpack(eflags: Flag, withOverflow = true): void {
    const ir = this.#ir;
    const bit = (at: number): Flag => ir.and(ir.shrU(eflags, at), ir.i32(1));
    const overflow = withOverflow ? bit(11) : this.#overflow();
    const oddParity = ir.xor(bit(2), ir.i32(1));
    const result = ir.or(this.#sign(bit(7)), ir.toI64(oddParity));
    const adjust = ir.toI64(ir.and(eflags, ir.i32(EFLAGS.AF)));
    this.#words.result = result;
    this.#words.carry = ir.or(bit(0), ir.shl(ir.xor(ir.eqz(result), bit(6)), 1));
    this.#words.chain = ir.or(adjust, this.#sign(ir.xor(overflow, bit(0))));
    this.forget();
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

  #setResult(size: IntSize, result: Int): void {
    this.#words.result = this.#signExtended(size, result);
    this.#source = undefined;
  }

  /** @param operands both, exclusive-ored */
  #set(size: IntSize, result: Int, carry: Flag, operands: Int): void {
    this.#setResult(size, result);
    this.#setPlainCarry(carry);
    this.#words.chain = this.#signExtended(size, this.#ir.xor(operands, result));
  }

  #parity(): Flag {
    const ir = this.#ir;
    const ones = ir.popcnt(ir.and(ir.toI32(this.#result), ir.i32(0xff)));
    return ir.xor(ir.and(ones, ir.i32(1)), ir.i32(1));
  }

  #zero(): Flag {
    const ir = this.#ir;
    const zero = ir.eqz(this.#result);
    return this.#carryIsPlain ? zero : ir.xor(zero, ir.shrU(this.#carryWord, 1));
  }

  #overflow(): Flag {
    const ir = this.#ir;
    return ir.xor(ir.toI32(ir.shrU(this.#chain, 63)), this.#carry);
  }

  /** SF is not OF. */
  #less(): Flag {
    const ir = this.#ir;
    return ir.xor(ir.ltS(ir.xor(this.#result, this.#chain), ir.i64(0)), this.#carry);
  }

  #fromFlags(condition: number): Flag {
    const ir = this.#ir;
    switch (condition) {
      case CONDITION.O:
        return this.#overflow();
      case CONDITION.B:
        return this.#carry;
      case CONDITION.Z:
        return this.#zero();
      case CONDITION.BE:
        return ir.or(this.#carry, this.#zero());
      case CONDITION.S:
        return ir.ltS(this.#result, ir.i64(0));
      case CONDITION.P:
        return this.#parity();
      case CONDITION.L:
        return this.#less();
      default:
        return ir.or(this.#zero(), this.#less());
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
