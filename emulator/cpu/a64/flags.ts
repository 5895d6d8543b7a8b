/**
 * The condition flags while translating: written in their unpacked form (state.ts), and remembered as what they came from, so that a
 * condition right after a comparison is one comparison of its operands.
 *
 * Source: Arm ARM DDI 0487 "Condition flags and related instructions", pseudocode `AddWithCarry`, `ConditionHolds`.
 */
import type { Value } from '../ir/block.ts';
import type { BlockBuilder } from '../ir/builder.ts';
import type { IntType } from '../ir/types.ts';
import { A64_STATE } from './state.ts';

type Flag = Value<'i32'>;

/** Flags of a conditional comparison: those of `source` when `when` is 1, else these four bits. */
interface Conditional {
  readonly kind: 'conditional';
  readonly when: Flag;
  readonly source: Source;
  readonly otherwise: number;
}

/** What the flags were last computed from, where that gives shorter conditions than the flags themselves. */
type Source =
  | { readonly kind: 'sub'; readonly a: Value<IntType>; readonly b: Value<IntType>; readonly result: Value<IntType> }
  | { readonly kind: 'add'; readonly a: Value<IntType>; readonly result: Value<IntType> }
  | { readonly kind: 'logical'; readonly result: Value<IntType> }
  | Conditional;

/** Bits of a condition number: the condition proper, and whether it is inverted. */
const INVERT = 1;
const ALWAYS = 7;

/** Where the flags stand in NZCV, SPSR_ELx and CCMP's `nzcv` (shifted right by 28). */
const N = 31;
const Z = 30;
const C = 29;
const V = 28;

/** The flags at the current point of a translation. */
export class Flags {
  readonly #ir: BlockBuilder;
  #source: Source | undefined;

  constructor(ir: BlockBuilder) {
    this.#ir = ir;
  }

  /** Sets the flags of `a - b`, and gives the difference. */
  sub<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    const ir = this.#ir;
    const result = ir.sub(a, b);
    this.#set(result, ir.geU(a, b), ir.and(ir.xor(a, b), ir.xor(a, result)));
    this.#source = { kind: 'sub', a, b, result };
    return result;
  }

  /** Sets the flags of `a + b`, and gives the sum. */
  add<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    const ir = this.#ir;
    const result = ir.add(a, b);
    this.#set(result, ir.ltU(result, a), ir.and(ir.xor(a, result), ir.xor(b, result)));
    this.#source = { kind: 'add', a, result };
    return result;
  }

  /** Sets the flags of `a + b + C`, and gives the sum. */
  addWithCarry<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    const ir = this.#ir;
    const partial = ir.add(a, b);
    const result = ir.add(partial, this.carryAs(a.type));
    const carry = ir.or(ir.ltU(partial, a), ir.ltU(result, partial));
    this.#set(result, carry, ir.and(ir.xor(a, result), ir.xor(b, result)));
    return result;
  }

  /** Sets N and Z from the result of a logical operation; C and V become 0. */
  logical(result: Value<IntType>): void {
    this.#set(result, this.#ir.i32(0), this.#ir.int(result.type, 0));
    this.#source = { kind: 'logical', result };
  }

  /**
   * Sets the flags of a conditional comparison: those of `a - b` (or `a + b`) when `condition` holds, else `nzcv`.
   * @param condition a condition number
   * @param nzcv four bits, N highest
   */
  conditionalCompare<T extends IntType>(
    operation: 'sub' | 'add',
    a: Value<T>,
    b: Value<T>,
    condition: number,
    nzcv: number,
  ): void {
    const ir = this.#ir;
    const when = this.condition(condition);
    this[operation](a, b);
    const source = this.#source!;
    const { nf, zf, cf, vf } = A64_STATE;
    const sign = ir.select(when, ir.get(nf), ir.i64(nzcv & 8 ? -1 : nzcv & 4 ? 0 : 1));
    ir.set(nf, sign);
    ir.set(zf, (nzcv & 12) === 12 ? ir.select(when, ir.get(zf), ir.i64(0)) : sign);
    ir.set(cf, ir.select(when, ir.get(cf), ir.i32((nzcv >> 1) & 1)));
    ir.set(vf, ir.select(when, ir.get(vf), ir.i64(nzcv & 1 ? -1 : 0)));
    this.#source = { kind: 'conditional', when, source, otherwise: nzcv };
  }

  /** The flags may have been changed by a helper. */
  forget(): void {
    this.#source = undefined;
  }

  /** Carry as an integer 0 or 1. */
  carryAs<T extends IntType>(type: T): Value<T> {
    const carry = this.#ir.get(A64_STATE.cf);
    return (type === 'i32' ? carry : this.#ir.toI64(carry)) as Value<T>;
  }

  /** The flags as NZCV has them: N in bit 31 down to V in bit 28. */
  nzcv(): Flag {
    const ir = this.#ir;
    const sign = (word: Value<'i64'>, bit: number): Flag => ir.shl(ir.toI32(ir.shrU(word, 63)), bit);
    const n = sign(ir.get(A64_STATE.nf), N);
    const z = ir.shl(ir.eqz(ir.get(A64_STATE.zf)), Z);
    const c = ir.shl(ir.get(A64_STATE.cf), C);
    const v = sign(ir.get(A64_STATE.vf), V);
    return ir.or(ir.or(n, z), ir.or(c, v));
  }

  /** Sets all flags from bits 31 to 28 of a word in the form of NZCV. */
  setNzcv(nzcv: Flag): void {
    const ir = this.#ir;
    const bit = (at: number): Flag => ir.and(ir.shrU(nzcv, at), ir.i32(1));
    ir.set(A64_STATE.nf, ir.toI64Signed(nzcv));
    this.setZ(bit(Z));
    this.setC(bit(C));
    ir.set(A64_STATE.vf, ir.toI64Signed(ir.shl(nzcv, N - V)));
    this.#source = undefined;
  }

  /** N as 0 or 1, and so on. */
  n(): Flag {
    return this.#ir.ltS(this.#ir.get(A64_STATE.nf), this.#ir.i64(0));
  }
  z(): Flag {
    return this.#ir.eqz(this.#ir.get(A64_STATE.zf));
  }
  c(): Flag {
    return this.#ir.get(A64_STATE.cf);
  }
  v(): Flag {
    return this.#ir.ltS(this.#ir.get(A64_STATE.vf), this.#ir.i64(0));
  }

  /** Sets N from 0 or 1, and so on. */
  setN(flag: Flag): void {
    this.#setSign(A64_STATE.nf, flag);
  }
  setZ(flag: Flag): void {
    this.#source = undefined;
    this.#ir.set(A64_STATE.zf, this.#ir.toI64(this.#ir.eqz(flag)));
  }
  setC(flag: Flag): void {
    this.#source = undefined;
    this.#ir.set(A64_STATE.cf, flag);
  }
  setV(flag: Flag): void {
    this.#setSign(A64_STATE.vf, flag);
  }

  /** 1 when the condition with this number holds, else 0. */
  condition(condition: number): Flag {
    if (condition >> 1 === ALWAYS) return this.#ir.i32(1);
    const short = this.#source && this.#fromSource(this.#source, condition);
    if (short) return short;
    const holds = this.#fromFlags(condition >> 1);
    return condition & INVERT ? this.#ir.eqz(holds) : holds;
  }

  #set(result: Value<IntType>, carry: Flag, overflow: Value<IntType>): void {
    const ir = this.#ir;
    const signed = ir.toI64Signed(result);
    ir.set(A64_STATE.nf, signed);
    ir.set(A64_STATE.zf, signed);
    ir.set(A64_STATE.cf, carry);
    ir.set(A64_STATE.vf, ir.toI64Signed(overflow));
    this.#source = undefined;
  }

  #setSign(field: typeof A64_STATE.nf, flag: Flag): void {
    this.#source = undefined;
    this.#ir.set(field, this.#ir.neg(this.#ir.toI64(flag)));
  }

  /** The condition with this number, uninverted and halved, from the flags themselves. */
  #fromFlags(base: number): Flag {
    const ir = this.#ir;
    const { nf, zf, cf, vf } = A64_STATE;
    const zero = ir.i64(0);
    const greaterOrEqual = (): Flag => ir.geS(ir.xor(ir.get(nf), ir.get(vf)), zero);
    switch (base) {
      case 0:
        return ir.eqz(ir.get(zf));
      case 1:
        return ir.get(cf);
      case 2:
        return ir.ltS(ir.get(nf), zero);
      case 3:
        return ir.ltS(ir.get(vf), zero);
      case 4:
        return ir.and(ir.get(cf), ir.ne(ir.get(zf), zero));
      case 5:
        return greaterOrEqual();
      default:
        return ir.and(ir.ne(ir.get(zf), zero), greaterOrEqual());
    }
  }

  #fromSource(source: Source, condition: number): Flag | undefined {
    switch (source.kind) {
      case 'sub':
        return AFTER_SUB[condition]!(this.#ir, source.a, source.b, source.result);
      case 'add':
        return AFTER_ADD[condition]!(this.#ir, source.a, source.a, source.result);
      case 'logical':
        return AFTER_LOGICAL[condition]!(this.#ir, source.result, source.result, source.result);
      default:
        return this.#fromConditional(source, condition);
    }
  }

  #fromConditional(source: Conditional, condition: number): Flag | undefined {
    const compared = this.#fromSource(source.source, condition);
    if (!compared) return undefined;
    const otherwise = conditionHolds(condition, source.otherwise);
    return otherwise ? this.#ir.or(this.#ir.eqz(source.when), compared) : this.#ir.and(source.when, compared);
  }
}

type Condition = (ir: BlockBuilder, a: Value<IntType>, b: Value<IntType>, result: Value<IntType>) => Flag | undefined;

const zeroOf = (ir: BlockBuilder, value: Value<IntType>): Value<IntType> => ir.int(value.type, 0);
const isNegative: Condition = (ir, _a, _b, result) => ir.ltS(result, zeroOf(ir, result));
const isNotNegative: Condition = (ir, _a, _b, result) => ir.geS(result, zeroOf(ir, result));
const isZero: Condition = (ir, _a, _b, result) => ir.eqz(result);
const isNotZero: Condition = (ir, _a, _b, result) => ir.ne(result, zeroOf(ir, result));
const never: Condition = ir => ir.i32(0);
const always: Condition = ir => ir.i32(1);
const unknown: Condition = () => undefined;

/** Conditions 0 (EQ) to 13 (LE) after `result = a - b`. */
const AFTER_SUB: readonly Condition[] = [
  (ir, a, b) => ir.eq(a, b),
  (ir, a, b) => ir.ne(a, b),
  (ir, a, b) => ir.geU(a, b),
  (ir, a, b) => ir.ltU(a, b),
  isNegative,
  isNotNegative,
  unknown,
  unknown,
  (ir, a, b) => ir.gtU(a, b),
  (ir, a, b) => ir.leU(a, b),
  (ir, a, b) => ir.geS(a, b),
  (ir, a, b) => ir.ltS(a, b),
  (ir, a, b) => ir.gtS(a, b),
  (ir, a, b) => ir.leS(a, b),
];

/** The same after `result = a + b`; from VS on the flags themselves are as short. */
const AFTER_ADD: readonly Condition[] = [
  isZero,
  isNotZero,
  (ir, a, _b, result) => ir.ltU(result, a),
  (ir, a, _b, result) => ir.geU(result, a),
  isNegative,
  isNotNegative,
  ...Array<Condition>(8).fill(unknown),
];

/** The same after a logical operation: C and V are 0. */
const AFTER_LOGICAL: readonly Condition[] = [
  isZero,
  isNotZero,
  never,
  always,
  isNegative,
  isNotNegative,
  never,
  always,
  never,
  always,
  isNotNegative,
  isNegative,
  (ir, _a, _b, result) => ir.gtS(result, zeroOf(ir, result)),
  (ir, _a, _b, result) => ir.leS(result, zeroOf(ir, result)),
];

/** Whether the condition holds for known flags (four bits, N highest). */
export function conditionHolds(condition: number, nzcv: number): boolean {
  const [n, z, c, v] = [8, 4, 2, 1].map(bit => (nzcv & bit) !== 0) as [boolean, boolean, boolean, boolean];
  const holds = [z, c, n, v, c && !z, n === v, n === v && !z, true][condition >> 1]!;
  return condition & INVERT && condition >> 1 !== ALWAYS ? !holds : holds;
}
