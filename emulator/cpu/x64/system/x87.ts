/**
 * The x87 floating-point unit.
 *
 * Source: Intel SDM vol. 1 "Programming with the x87 FPU"; vol. 2 at the instruction's name.
 * Modelled: stack, tags, precision and rounding control, exceptions with their masked responses, deferred #MF.
 * Not modelled: more than 53 bits in transcendental results; errors by IRQ 13, as PCs had them with CR0.NE clear (#MF always).
 */
import type { HelperImplementation } from '../../execute/guest.ts';
import { add, divide, multiply, remainder, squareRoot, subtract } from '../../float/arithmetic.ts';
import { compare, type Ordering } from '../../float/compare.ts';
import { convert, fromInteger, roundToIntegral, toIntegerIndefinite } from '../../float/convert.ts';
import {
  createEnvironment,
  FLOAT_FLAG,
  type FloatEnvironment,
  type RoundingMode,
  X87_RULES,
} from '../../float/environment.ts';
import { BINARY32, BINARY64, EXTENDED80, extended80, type FloatFormat } from '../../float/format.ts';
import { EFLAGS, X64_STATE } from '../state.ts';
import { VECTOR } from './fault.ts';
import type { RegisterAccess } from './register-access.ts';
import { x87 } from './vector-helpers.ts';
import {
  decodeBcd,
  encodeBcd,
  isTooLarge,
  powerOfTwo,
  toNumber,
  type Transcendental,
  transcendental,
  TRANSCENDENTALS_OF_ONE,
  TRANSCENDENTALS_OF_TWO,
} from './x87-numbers.ts';
import { unpackX87, type X87Form, type X87Format, type X87Operation } from './x87-form.ts';

/** Bits of the status word. */
const FSW = {
  IE: 1,
  DE: 2,
  ZE: 4,
  OE: 8,
  UE: 16,
  PE: 32,
  SF: 64,
  ES: 128,
  C0: 256,
  C1: 512,
  C2: 1024,
  C3: 0x4000,
  B: 0x8000,
} as const;
const CONDITION_BITS = FSW.C0 | FSW.C1 | FSW.C2 | FSW.C3;
const EXCEPTIONS = 0x3f;
const FCW_INITIAL = 0x37f;

const ROUNDING: readonly RoundingMode[] = ['nearest-even', 'down', 'up', 'zero'];
const PRECISION: readonly FloatFormat[] = [extended80(24), EXTENDED80, extended80(53), EXTENDED80];
/** "Real indefinite": the quiet NaN of invalid operations. */
const INDEFINITE = (0xffffn << 64n) | (3n << 62n);
const SIGN = 1n << 79n;
const ZERO = 0n;

/** 1, log2 10, log2 e, π, log10 2, ln 2, 0, with one bit more than 64 in the low bit where rounding matters (nearest here). */
const CONSTANTS: readonly bigint[] = [
  (0x3fffn << 64n) | 0x8000_0000_0000_0000n,
  (0x4000n << 64n) | 0xd49a_784b_cd1b_8afen,
  (0x3fffn << 64n) | 0xb8aa_3b29_5c17_f0bcn,
  (0x4000n << 64n) | 0xc90f_daa2_2168_c235n,
  (0x3ffdn << 64n) | 0x9a20_9a84_fbcf_f799n,
  (0x3ffen << 64n) | 0xb172_17f7_d1cf_79acn,
  ZERO,
];

/** What the unit works on. */
export interface X87Host {
  readonly state: RegisterAccess;
  raise(vector: number): void;
}

/** The unit of the CPU that runs now. */
export class X87Unit {
  readonly #host: X87Host;
  readonly #environment: FloatEnvironment = createEnvironment(X87_RULES);
  /** An exception whose response is unmasked: the result is not written. */
  #suppressed = false;

  constructor(host: X87Host) {
    this.#host = host;
  }

  /** Runs an instruction. @returns the low 64 bits of what it stores */
  run(packed: number, low: bigint, high: number): bigint {
    const form = unpackX87(packed);
    if (form.operation === 'INIT') return this.#initialize();
    if (form.operation === 'CLEAR') return this.#clear();
    if (form.operation === 'WAIT' && form.format === 'sti') return this.#updateSummary();
    if (this.#status & FSW.ES) {
      this.#host.raise(VECTOR.MF);
      return 0n;
    }
    const { FCW } = X64_STATE;
    const control = this.#host.state.get32(FCW);
    this.#environment.rounding = ROUNDING[(control >> 10) & 3]!;
    this.#environment.flags = 0;
    this.#suppressed = false;
    return this.#execute(form, BigInt.asUintN(64, low), high);
  }

  // Control and status

  get #status(): number {
    return this.#host.state.get32(X64_STATE.FSW);
  }
  set #status(value: number) {
    this.#host.state.set32(X64_STATE.FSW, value);
  }

  #initialize(): bigint {
    const { state } = this.#host;
    state.set32(X64_STATE.FCW, FCW_INITIAL);
    state.set32(X64_STATE.FSW, 0);
    state.set32(X64_STATE.TOP, 0);
    state.set32(X64_STATE.emptyTags, 0xff);
    return 0n;
  }

  #clear(): bigint {
    this.#status &= ~(EXCEPTIONS | FSW.SF | FSW.ES | FSW.B);
    return 0n;
  }

  /** ES and B say whether an unmasked exception is pending. */
  #updateSummary(): bigint {
    const masked = this.#host.state.get32(X64_STATE.FCW);
    const pending = (this.#status & ~masked & EXCEPTIONS) !== 0;
    this.#status = (this.#status & ~(FSW.ES | FSW.B)) | (pending ? FSW.ES | FSW.B : 0);
    return 0n;
  }

  /** Raises exceptions. @returns whether an unmasked one forbids the result */
  #signal(bits: number): boolean {
    if (bits === 0) return false;
    this.#status |= bits;
    this.#updateSummary();
    const masked = this.#host.state.get32(X64_STATE.FCW);
    const suppresses = (bits & ~masked & (FSW.IE | FSW.ZE | FSW.DE)) !== 0;
    this.#suppressed ||= suppresses;
    return suppresses;
  }

  /** Moves the flags of the last operation into the status word. */
  #settle(): boolean {
    const { flags } = this.#environment;
    const bits =
      (flags & FLOAT_FLAG.INVALID ? FSW.IE : 0) |
      (flags & FLOAT_FLAG.DENORMAL ? FSW.DE : 0) |
      (flags & FLOAT_FLAG.DIVIDE_BY_ZERO ? FSW.ZE : 0) |
      (flags & FLOAT_FLAG.OVERFLOW ? FSW.OE : 0) |
      (flags & FLOAT_FLAG.UNDERFLOW ? FSW.UE : 0) |
      (flags & FLOAT_FLAG.INEXACT ? FSW.PE : 0);
    this.#environment.flags = 0;
    return this.#signal(bits);
  }

  #setConditions(bits: number): void {
    this.#status = (this.#status & ~CONDITION_BITS) | bits;
  }

  // The stack

  #physical(index: number): number {
    return (this.#host.state.get32(X64_STATE.TOP) + index) & 7;
  }

  #isEmpty(index: number): boolean {
    return ((this.#host.state.get32(X64_STATE.emptyTags) >> this.#physical(index)) & 1) === 1;
  }

  #setEmpty(index: number, empty: boolean): void {
    const { state } = this.#host;
    const bit = 1 << this.#physical(index);
    const tags = state.get32(X64_STATE.emptyTags);
    state.set32(X64_STATE.emptyTags, empty ? tags | bit : tags & ~bit);
  }

  #raw(index: number): bigint {
    const { state } = this.#host;
    const register = this.#physical(index);
    const exponent = BigInt(state.get32(X64_STATE.exponent[register]!) & 0xffff);
    return (exponent << 64n) | state.get64(X64_STATE.significand[register]!);
  }

  /** ST(i); an empty register is a stack underflow and reads as indefinite. */
  #read(index: number): bigint {
    if (!this.#isEmpty(index)) return this.#raw(index);
    this.#status &= ~FSW.C1;
    this.#signal(FSW.IE | FSW.SF);
    return INDEFINITE;
  }

  #write(index: number, value: bigint): void {
    if (this.#suppressed) return;
    const { state } = this.#host;
    const register = this.#physical(index);
    state.set64(X64_STATE.significand[register]!, BigInt.asUintN(64, value));
    state.set32(X64_STATE.exponent[register]!, Number(value >> 64n));
    this.#setEmpty(index, false);
  }

  #moveTop(by: number): void {
    const { state } = this.#host;
    state.set32(X64_STATE.TOP, (state.get32(X64_STATE.TOP) + by) & 7);
  }

  #push(value: bigint): void {
    const overflows = !this.#isEmpty(7);
    this.#status &= ~FSW.C1;
    if (overflows) this.#signalOverflow();
    if (this.#suppressed) return;
    this.#moveTop(-1);
    this.#write(0, overflows ? INDEFINITE : value);
  }

  #signalOverflow(): void {
    this.#status |= FSW.C1;
    this.#signal(FSW.IE | FSW.SF);
  }

  #pop(): void {
    if (this.#suppressed) return;
    this.#setEmpty(0, true);
    this.#moveTop(1);
  }

  // Instructions

  #execute(form: X87Form, low: bigint, high: number): bigint {
    const { operation } = form;
    const arithmetic = ARITHMETIC[operation];
    if (arithmetic) return this.#arithmetic(arithmetic, form, low);
    const comparison = COMPARISONS[operation];
    if (comparison) return this.#compare(comparison, form, low);
    const simple = X87Unit.#OPERATIONS[operation];
    if (simple) {
      simple(this, form, high);
      return 0n;
    }
    const transcendental = this.#transcendental(operation);
    if (transcendental) return transcendental();
    return this.#transfer(form, low, high);
  }

  /** Operations that store nothing in memory. */
  static readonly #OPERATIONS: Readonly<
    Partial<Record<X87Operation, (unit: X87Unit, form: X87Form, high: number) => void>>
  > = {
    POP: unit => {
      // the store before has raised what there was; an unmasked one keeps the stack
      unit.#suppressed = (unit.#status & FSW.ES) !== 0;
      unit.#pop();
    },
    EXCHANGE: (unit, { index }) => unit.#exchange(index),
    FREE: (unit, { index }) => unit.#setEmpty(index, true),
    MOVE: (unit, { index }, high) => {
      const value = unit.#read(index);
      if (high !== 0) unit.#write(0, value);
    },
    CONSTANT: (unit, { index }) => unit.#push(CONSTANTS[index]!),
    CHS: unit => unit.#write(0, unit.#read(0) ^ SIGN),
    ABS: unit => unit.#write(0, unit.#read(0) & ~SIGN),
    TST: unit => unit.#testZero(),
    XAM: unit => unit.#setConditions(unit.#classify()),
    SQRT: unit => unit.#replace(value => squareRoot(unit.#environment, unit.#precision(), value)),
    RNDINT: unit =>
      unit.#replace(value => roundToIntegral(unit.#environment, EXTENDED80, value, unit.#environment.rounding, true)),
    DECSTP: unit => unit.#moveTop(-1),
    INCSTP: unit => unit.#moveTop(1),
    PREM: unit => unit.#remainder('truncate'),
    PREM1: unit => unit.#remainder('nearest'),
    SCALE: unit => unit.#scale(),
    XTRACT: unit => unit.#extract(),
  };

  /** Loads and stores. */
  #transfer({ operation, format, index }: X87Form, low: bigint, high: number): bigint {
    switch (operation) {
      case 'LOAD':
        return this.#load(format, index, low, high);
      case 'STORE':
      case 'STORE_TRUNCATED':
        return this.#store(operation, format, index);
      case 'EXPONENT':
        return this.#upper(format);
      case 'LOAD_BCD':
        this.#push(fromInteger(this.#environment, EXTENDED80, decodeBcd(low, high), 0));
        return 0n;
      case 'STORE_BCD':
        return BigInt.asUintN(64, this.#bcd());
      default:
        return 0n;
    }
  }

  #precision(): FloatFormat {
    return PRECISION[(this.#host.state.get32(X64_STATE.FCW) >> 8) & 3]!;
  }

  /** A memory operand as an extended number. */
  #operand(format: X87Format, low: bigint): bigint {
    switch (format) {
      case 'float32':
        return convert(this.#environment, BINARY32, EXTENDED80, BigInt.asUintN(32, low));
      case 'float64':
        return convert(this.#environment, BINARY64, EXTENDED80, low);
      default: {
        const bits = format === 'int16' ? 16 : format === 'int32' ? 32 : 64;
        return fromInteger(this.#environment, EXTENDED80, BigInt.asIntN(bits, low), 0);
      }
    }
  }

  /** ST0 = ST0 op operand, or ST(i) = ST(i) op ST0 with an optional pop. */
  #arithmetic({ compute, reversed }: Arithmetic, { format, index }: X87Form, low: bigint): bigint {
    const toStack = format === 'sti' || format === 'pop';
    const memory = !toStack && format !== 'st0';
    const target = toStack ? index : 0;
    const left = this.#read(target);
    const source = toStack ? 0 : index;
    const right = memory ? this.#operand(format, low) : this.#read(source);
    const underflow = this.#isEmpty(target) || (!memory && this.#isEmpty(source));
    const [a, b] = reversed ? [right, left] : [left, right];
    const result = underflow ? INDEFINITE : compute(this.#environment, this.#precision(), a, b);
    if (!underflow) this.#settle();
    this.#write(target, result);
    if (format === 'pop') this.#pop();
    return 0n;
  }

  #compare({ quiet, pops, toFlags }: Comparison, { format, index }: X87Form, low: bigint): bigint {
    const memory = format !== 'st0' && format !== 'sti';
    const other = pops === 2 ? 1 : index;
    const underflow = this.#isEmpty(0) || (!memory && this.#isEmpty(other));
    const left = this.#read(0);
    const right = memory ? this.#operand(format, low) : this.#read(other);
    const order = underflow ? 'unordered' : compare(this.#environment, EXTENDED80, left, right, quiet);
    if (!underflow) this.#settle();
    const bits = ORDER_BITS[order];
    if (!toFlags) this.#setConditions(bits);
    else this.#status &= ~FSW.C1;
    for (let i = 0; i < pops; i++) this.#pop();
    return toFlags ? BigInt(flagsOf(bits)) : 0n;
  }

  #load(format: X87Format, index: number, low: bigint, high: number): bigint {
    const value =
      format === 'sti'
        ? this.#read(index)
        : format === 'float80'
          ? (BigInt(high & 0xffff) << 64n) | low
          : this.#operand(format, low);
    this.#settle();
    this.#push(value);
    return 0n;
  }

  #store(operation: X87Operation, format: X87Format, index: number): bigint {
    const empty = this.#isEmpty(0);
    const value = this.#read(0);
    if (format === 'sti' || format === 'pop') {
      this.#write(index, value);
      if (format === 'pop') this.#pop();
      return 0n;
    }
    if (format === 'float80') return BigInt.asUintN(64, value);
    const result = this.#converted(format, empty ? INDEFINITE : value, operation === 'STORE_TRUNCATED');
    if (empty) this.#environment.flags = 0;
    this.#settle();
    return result;
  }

  #converted(format: X87Format, value: bigint, truncates: boolean): bigint {
    const environment = this.#environment;
    switch (format) {
      case 'float32':
        return convert(environment, EXTENDED80, BINARY32, value);
      case 'float64':
        return convert(environment, EXTENDED80, BINARY64, value);
      default: {
        const bits = format === 'int16' ? 16 : format === 'int32' ? 32 : 64;
        return toIntegerIndefinite(environment, EXTENDED80, value, truncates ? 'zero' : environment.rounding, bits);
      }
    }
  }

  /** Bits 79 to 64 of what `#store` gave the lower part of. */
  #upper(format: X87Format): bigint {
    if (format === 'float80') return (this.#isEmpty(0) ? INDEFINITE : this.#raw(0)) >> 64n;
    const value = this.#bcd() >> 64n;
    return value;
  }

  /** ST0 as 18 decimal digits and a sign. */
  #bcd(): bigint {
    const value = this.#read(0);
    const integer = BigInt.asIntN(
      64,
      toIntegerIndefinite(this.#environment, EXTENDED80, value, this.#environment.rounding, 64),
    );
    const magnitude = integer < 0n ? -integer : integer;
    if (this.#environment.flags & FLOAT_FLAG.INVALID || magnitude >= 10n ** 18n) {
      this.#environment.flags = FLOAT_FLAG.INVALID;
      this.#settle();
      return 0xffff_c000_0000_0000_0000n;
    }
    this.#settle();
    return encodeBcd(magnitude) | (value & SIGN);
  }

  #exchange(index: number): void {
    const [top, other] = [this.#read(0), this.#read(index)];
    this.#write(0, other);
    this.#write(index, top);
  }

  #replace(compute: (value: bigint) => bigint): void {
    const empty = this.#isEmpty(0);
    const value = this.#read(0);
    const result = empty ? INDEFINITE : compute(value);
    if (!empty) this.#settle();
    this.#write(0, result);
  }

  #testZero(): void {
    const order = compare(this.#environment, EXTENDED80, this.#read(0), ZERO, false);
    this.#settle();
    this.#setConditions(ORDER_BITS[order]);
  }

  /** C3, C2, C0 by class, C1 the sign. */
  #classify(): number {
    const value = this.#raw(0);
    const sign = value & SIGN ? FSW.C1 : 0;
    if (this.#isEmpty(0)) return sign | FSW.C3 | FSW.C0;
    const exponent = Number((value >> 64n) & 0x7fffn);
    const significand = BigInt.asUintN(64, value);
    const hasInteger = significand >> 63n === 1n;
    if (exponent === 0) return sign | (significand === 0n ? FSW.C3 : FSW.C3 | FSW.C2);
    if (!hasInteger) return sign;
    if (exponent < 0x7fff) return sign | FSW.C2;
    return sign | (significand === 1n << 63n ? FSW.C2 | FSW.C0 : FSW.C0);
  }

  #remainder(rounding: 'truncate' | 'nearest'): void {
    const result = remainder(this.#environment, EXTENDED80, this.#read(0), this.#read(1), rounding);
    this.#settle();
    const q = Number(result.quotient & 7n);
    const bits = (q & 1 ? FSW.C1 : 0) | (q & 2 ? FSW.C3 : 0) | (q & 4 ? FSW.C0 : 0);
    this.#setConditions(result.complete ? bits : FSW.C2);
    this.#write(0, result.bits);
  }

  /** ST0 × 2 to the power of ST1, truncated. */
  #scale(): void {
    const power = roundToIntegral(this.#environment, EXTENDED80, this.#read(1), 'zero', false);
    const exponent = Math.max(-40_000, Math.min(40_000, toNumber(power)));
    if (Number.isNaN(exponent)) return this.#write(0, power);
    this.#replace(value => {
      // in steps that are representable
      let result = value;
      for (let left = exponent; left !== 0;) {
        const step = Math.max(-16_000, Math.min(16_000, left));
        result = multiply(this.#environment, EXTENDED80, result, powerOfTwo(step));
        left -= step;
      }
      return result;
    });
  }

  /** Exponent and significand of ST0 as two numbers. */
  #extract(): void {
    const value = this.#read(0);
    const biased = Number((value >> 64n) & 0x7fffn);
    if (biased === 0 && BigInt.asUintN(64, value) === 0n) {
      this.#signal(FSW.ZE);
      this.#write(0, (0xffffn << 64n) | (1n << 63n));
      this.#push(value);
      return;
    }
    const normal = multiply(this.#environment, EXTENDED80, value, powerOfTwo(biased === 0 ? 128 : 0));
    const exponent = Number((normal >> 64n) & 0x7fffn) - 0x3fff - (biased === 0 ? 128 : 0);
    this.#environment.flags = 0;
    this.#write(0, biased === 0x7fff ? value & ~SIGN : fromInteger(this.#environment, EXTENDED80, BigInt(exponent), 0));
    const significand = (normal & (SIGN | 0xffff_ffff_ffff_ffffn)) | (0x3fffn << 64n);
    this.#push(biased === 0x7fff ? value : significand);
  }

  #transcendental(operation: X87Operation): (() => bigint) | undefined {
    if (operation === 'SINCOS') return () => this.#trigonometric(SINE, COSINE);
    if (operation === 'SIN' || operation === 'COS')
      return () => this.#trigonometric(TRANSCENDENTALS_OF_ONE[operation]!);
    if (operation === 'PTAN') return () => this.#trigonometric(TRANSCENDENTALS_OF_ONE.PTAN!, 'one');
    const one = TRANSCENDENTALS_OF_ONE[operation];
    if (one) {
      return () => {
        this.#status &= ~FSW.C1;
        this.#replace(value => transcendental(this.#environment, one, value, value));
        return 0n;
      };
    }
    const two = TRANSCENDENTALS_OF_TWO[operation];
    if (!two) return undefined;
    return () => {
      const result = transcendental(this.#environment, two, this.#read(0), this.#read(1));
      this.#settle();
      this.#write(1, result);
      this.#pop();
      return 0n;
    };
  }

  /** Functions of an angle; one that is too large stays, with C2 set. @param pushed what goes on top: a second function, or 1 */
  #trigonometric(of: Transcendental, pushed?: Transcendental | 'one'): bigint {
    const angle = this.#read(0);
    this.#status &= ~(FSW.C1 | FSW.C2);
    if (isTooLarge(angle)) {
      this.#status |= FSW.C2;
      return 0n;
    }
    const second = typeof pushed === 'object' ? transcendental(this.#environment, pushed, angle, angle) : CONSTANTS[0]!;
    this.#replace(value => transcendental(this.#environment, of, value, value));
    if (pushed) this.#push(second);
    return 0n;
  }
}

const SINE = TRANSCENDENTALS_OF_ONE.SIN!;
const COSINE = TRANSCENDENTALS_OF_ONE.COS!;

interface Arithmetic {
  readonly compute: typeof add;
  readonly reversed: boolean;
}

const ARITHMETIC: Readonly<Partial<Record<X87Operation, Arithmetic>>> = {
  ADD: { compute: add, reversed: false },
  MUL: { compute: multiply, reversed: false },
  SUB: { compute: subtract, reversed: false },
  SUBR: { compute: subtract, reversed: true },
  DIV: { compute: divide, reversed: false },
  DIVR: { compute: divide, reversed: true },
};

interface Comparison {
  readonly quiet: boolean;
  readonly pops: number;
  readonly toFlags: boolean;
}

const COMPARISONS: Readonly<Partial<Record<X87Operation, Comparison>>> = {
  COM: { quiet: false, pops: 0, toFlags: false },
  COMP: { quiet: false, pops: 1, toFlags: false },
  COMPP: { quiet: false, pops: 2, toFlags: false },
  UCOM: { quiet: true, pops: 0, toFlags: false },
  UCOMP: { quiet: true, pops: 1, toFlags: false },
  UCOMPP: { quiet: true, pops: 2, toFlags: false },
  COMI: { quiet: false, pops: 0, toFlags: true },
  UCOMI: { quiet: true, pops: 0, toFlags: true },
  COMIP: { quiet: false, pops: 1, toFlags: true },
  UCOMIP: { quiet: true, pops: 1, toFlags: true },
};

const ORDER_BITS: Readonly<Record<Ordering, number>> = {
  less: FSW.C0,
  equal: FSW.C3,
  greater: 0,
  unordered: FSW.C0 | FSW.C2 | FSW.C3,
};

/** C3, C2, C0 as ZF, PF, CF. */
function flagsOf(bits: number): number {
  return (bits & FSW.C3 ? EFLAGS.ZF : 0) | (bits & FSW.C2 ? EFLAGS.PF : 0) | (bits & FSW.C0 ? EFLAGS.CF : 0);
}

/** Implementation of the helper. @param unit that of the CPU that runs now */
export function x87Helpers(unit: () => X87Unit): Readonly<Record<string, HelperImplementation>> {
  return {
    [x87.name]: (form: number, low: bigint, high: number) => unit().run(form, low, high),
  };
}
