/**
 * SSE floating point.
 *
 * Source: Intel SDM vol. 1 "Programming with Intel SSE", "SSE/SSE2/SSE3 Floating-Point Exceptions"; vol. 2 at the instruction's name.
 * RCPxx and RSQRTxx give the correctly rounded result, as QEMU does, where processors approximate.
 */
import type { HelperImplementation } from '../../execute/guest.ts';
import { add, divide, multiply, multiplyAdd, negated, squareRoot, subtract } from '../../float/arithmetic.ts';
import { compare, type Ordering } from '../../float/compare.ts';
import { convert, fromInteger, roundToIntegral, toIntegerIndefinite } from '../../float/convert.ts';
import {
  createEnvironment,
  FLOAT_FLAG,
  type FloatEnvironment,
  type RoundingMode,
  SSE_RULES,
} from '../../float/environment.ts';
import { BINARY16, BINARY32, BINARY64, type FloatFormat } from '../../float/format.ts';
import { isNaN, pack, unpack, type Unpacked } from '../../float/unpacked.ts';
import { EFLAGS, X64_STATE } from '../state.ts';
import type { EngineCpu } from '../../execute/guest.ts';
import { sseFloat } from './vector-helpers.ts';
import { type SseForm, type SseOperation, unpackSse } from './sse-form.ts';

/** Bits of MXCSR. */
const MXCSR = {
  IE: 1,
  DE: 2,
  ZE: 4,
  OE: 8,
  UE: 16,
  PE: 32,
  DAZ: 64,
  MASKS: 7,
  UM: 1 << 11,
  RC: 13,
  FTZ: 1 << 15,
} as const;
const EXCEPTIONS = 0x3f;
const ROUNDING: readonly RoundingMode[] = ['nearest-even', 'down', 'up', 'zero'];
const ONE: Readonly<Record<32 | 64, bigint>> = { 32: 0x3f80_0000n, 64: 0x3ff0n << 48n };

/** What the unit works on. */
export interface SseHost {
  readonly engine: Pick<EngineCpu, 'view' | 'base'>;
  /** Raises #XM, or #UD where CR4.OSXMMEXCPT is clear. */
  raiseFloatingPoint(): void;
}

function formatOf(bits: 32 | 64): FloatFormat {
  return bits === 32 ? BINARY32 : BINARY64;
}

/** Runs operations for the CPU that runs now. */
export class SseUnit {
  readonly #host: SseHost;
  readonly #environment: FloatEnvironment = createEnvironment(SSE_RULES);
  /** Flags of all lanes: each computes with its own, because a NaN takes back the denormal flag of its lane. */
  #raised = 0;

  constructor(host: SseHost) {
    this.#host = host;
  }

  /** @returns the flags of a comparison, else 0 */
  run(packed: number): number {
    const form = unpackSse(packed);
    const mxcsr = this.#prepare();
    const [a, b] = [this.#lanes(X64_STATE.vectorA.offset, form.from), this.#lanes(X64_STATE.vectorB.offset, form.from)];
    if (form.operation === 'UCOMI' || form.operation === 'COMI') {
      const order = compare(this.#environment, formatOf(form.from), a[0]!, b[0]!, form.operation === 'UCOMI');
      this.#raised = this.#environment.flags;
      this.#settle(mxcsr);
      return ORDER_FLAGS[order];
    }
    const results = this.#compute(form, a, b);
    if (this.#settle(mxcsr)) this.#store(form, results);
    return 0;
  }

  #prepare(): number {
    const { view, base } = this.#host.engine;
    const mxcsr = view.getInt32(base + X64_STATE.MXCSR.offset, true);
    const environment = this.#environment;
    environment.rounding = ROUNDING[(mxcsr >> MXCSR.RC) & 3]!;
    environment.flushInputs = (mxcsr & MXCSR.DAZ) !== 0;
    environment.flushOutputs = (mxcsr & MXCSR.FTZ) !== 0 && (mxcsr & MXCSR.UM) !== 0;
    environment.flags = 0;
    this.#raised = 0;
    return mxcsr;
  }

  /** Writes the exception flags. @returns false when an unmasked exception was raised */
  #settle(mxcsr: number): boolean {
    const flags = this.#raised;
    const bits =
      (flags & FLOAT_FLAG.INVALID ? MXCSR.IE : 0) |
      (flags & FLOAT_FLAG.DENORMAL && !(mxcsr & MXCSR.DAZ) ? MXCSR.DE : 0) |
      (flags & FLOAT_FLAG.DIVIDE_BY_ZERO ? MXCSR.ZE : 0) |
      (flags & FLOAT_FLAG.OVERFLOW ? MXCSR.OE : 0) |
      (flags & FLOAT_FLAG.UNDERFLOW ? MXCSR.UE : 0) |
      (flags & FLOAT_FLAG.INEXACT ? MXCSR.PE : 0);
    if (bits === 0) return true;
    const { view, base } = this.#host.engine;
    view.setInt32(base + X64_STATE.MXCSR.offset, mxcsr | bits, true);
    if ((bits & ~(mxcsr >> MXCSR.MASKS) & EXCEPTIONS) === 0) return true;
    this.#host.raiseFloatingPoint();
    return false;
  }

  #lanes(offset: number, bits: 32 | 64): readonly bigint[] {
    const { view, base } = this.#host.engine;
    const at = base + offset;
    return bits === 64
      ? [view.getBigUint64(at, true), view.getBigUint64(at + 8, true)]
      : [0, 4, 8, 12].map(lane => BigInt(view.getUint32(at + lane, true)));
  }

  #store({ to, clearsRest }: SseForm, results: readonly bigint[]): void {
    const { view, base } = this.#host.engine;
    const rest = clearsRest ? undefined : this.#lanes(X64_STATE.vectorA.offset, to);
    const at = base + X64_STATE.vectorResult.offset;
    for (let lane = 0; lane < 128 / to; lane++) {
      const value = results[lane] ?? rest?.[lane] ?? 0n;
      if (to === 64) view.setBigUint64(at + 8 * lane, value, true);
      else view.setUint32(at + 4 * lane, Number(value), true);
    }
  }

  /** Computes lanes one by one, and collects their flags. */
  #each(count: number, lane: (i: number) => bigint): bigint[] {
    return Array.from({ length: count }, (_, i) => {
      this.#environment.flags = 0;
      const result = lane(i);
      this.#raised |= this.#environment.flags;
      return result;
    });
  }

  #compute(form: SseForm, a: readonly bigint[], b: readonly bigint[]): readonly bigint[] {
    if (FUSED_SIGNS[form.operation]) return this.#fused(form, a, b);
    switch (form.operation) {
      case 'HADD':
      case 'HSUB': {
        const operation = form.operation === 'HADD' ? add : subtract;
        const pairs = [...a, ...b];
        return this.#each(a.length, i =>
          operation(this.#environment, formatOf(form.from), pairs[2 * i]!, pairs[2 * i + 1]!),
        );
      }
      case 'ADDSUB':
        return this.#each(a.length, i =>
          (i % 2 === 0 ? subtract : add)(this.#environment, formatOf(form.from), a[i]!, b[i]!),
        );
      case 'DP':
        return this.#dotProduct(form, a, b);
      case 'HALF_TO_SINGLE':
        return this.#widenHalves(b);
      case 'SINGLE_TO_HALF':
        return this.#narrowToHalves(form, b);
      default:
        return this.#each(form.lanes, i => this.#lane(form, a[i]!, b[i]!));
    }
  }

  /** One lane of most operations. */
  #lane(form: SseForm, a: bigint, b: bigint): bigint {
    const { operation, from, immediate } = form;
    const environment = this.#environment;
    const format = formatOf(from);
    const binary = BINARY[operation];
    if (binary) return binary(environment, format, a, b);
    switch (operation) {
      case 'MIN':
      case 'MAX':
        return this.#extreme(format, operation === 'MIN' ? 'less' : 'greater', a, b);
      case 'SQRT':
        return squareRoot(environment, format, b);
      case 'RCP':
      case 'RSQRT':
        return approximate(environment, operation, b);
      case 'CMP':
        return this.#predicate(format, immediate, a, b) ? (1n << BigInt(from)) - 1n : 0n;
      default:
        return this.#convertLane(form, b);
    }
  }

  /** One lane of roundings and conversions. */
  #convertLane({ operation, from, to, immediate }: SseForm, b: bigint): bigint {
    const environment = this.#environment;
    const format = formatOf(from);
    switch (operation) {
      case 'ROUND': {
        const mode = immediate & 4 ? environment.rounding : ROUNDING[immediate & 3]!;
        const rounded = roundToIntegral(environment, format, b, mode, (immediate & 8) === 0);
        environment.flags &= ~FLOAT_FLAG.DENORMAL;
        return rounded;
      }
      case 'FLOAT_TO_FLOAT':
        return convert(environment, format, formatOf(to), b);
      case 'INT_TO_FLOAT':
        return fromInteger(environment, formatOf(to), BigInt.asIntN(from, b), 0);
      default: {
        const mode = operation === 'FLOAT_TO_INT' ? environment.rounding : 'zero';
        return toIntegerIndefinite(environment, format, b, mode, to);
      }
    }
  }

  /** The second operand when either is a NaN or both are zero. */
  #extreme(format: FloatFormat, wanted: Ordering, a: bigint, b: bigint): bigint {
    return compare(this.#environment, format, a, b, false) === wanted ? a : b;
  }

  #predicate(format: FloatFormat, immediate: number, a: bigint, b: bigint): boolean {
    const isQuiet = QUIET_PREDICATES.includes(immediate & 7) !== ((immediate & 16) !== 0);
    const order = compare(this.#environment, format, a, b, isQuiet);
    return (PREDICATES[immediate & 15]! & ORDER_BITS[order]) !== 0;
  }

  /** Four halves; DAZ does not apply to them, and they raise no denormal exception. */
  #widenHalves(b: readonly bigint[]): readonly bigint[] {
    const environment = this.#environment;
    const halves = [b[0]! & 0xffffn, b[0]! >> 16n, b[1]! & 0xffffn, b[1]! >> 16n];
    const results = this.#each(4, i => convert(environment, BINARY16, BINARY32, halves[i]!));
    this.#raised &= ~FLOAT_FLAG.DENORMAL;
    return results;
  }

  /** Four halves in the low eight bytes, rounded as MXCSR or the immediate says. */
  #narrowToHalves({ immediate }: SseForm, b: readonly bigint[]): readonly bigint[] {
    const environment = this.#environment;
    if (!(immediate & 4)) environment.rounding = ROUNDING[immediate & 3]!;
    const halves = this.#each(4, i => convert(environment, BINARY32, BINARY16, b[i]!));
    return [halves[0]! | (halves[1]! << 16n), halves[2]! | (halves[3]! << 16n), 0n, 0n];
  }

  /** a × b + c with signs, rounded once; the alternating forms subtract in even, or odd, lanes. */
  #fused({ operation, from, lanes }: SseForm, a: readonly bigint[], b: readonly bigint[]): readonly bigint[] {
    const environment = this.#environment;
    const format = formatOf(from);
    const c = this.#lanes(X64_STATE.vectorC.offset, from);
    const { product, even, odd } = FUSED_SIGNS[operation]!;
    return this.#each(lanes, i => {
      const left = signed(unpack(environment, format, a[i]!), product);
      const right = unpack(environment, format, b[i]!);
      const addend = signed(unpack(environment, format, c[i]!), i % 2 === 0 ? even : odd);
      return pack(environment, format, multiplyAdd(environment, format, addend, left, right));
    });
  }

  /** Products of the lanes that the upper bits of the immediate choose, summed pairwise, into those that the lower bits choose. */
  #dotProduct({ from, immediate }: SseForm, a: readonly bigint[], b: readonly bigint[]): readonly bigint[] {
    const format = formatOf(from);
    const environment = this.#environment;
    const products = this.#each(a.length, i =>
      (immediate >> (4 + i)) & 1 ? multiply(environment, format, a[i]!, b[i]!) : 0n,
    );
    const pairs = this.#each(products.length / 2, i =>
      add(environment, format, products[2 * i]!, products[2 * i + 1]!),
    );
    const sum =
      pairs.length === 1 ? pairs[0]! : this.#each(1, () => add(environment, format, pairs[0]!, pairs[1]!))[0]!;
    return a.map((_, i) => ((immediate >> i) & 1 ? sum : 0n));
  }
}

const BINARY: Readonly<Partial<Record<SseOperation, typeof add>>> = {
  ADD: add,
  SUB: subtract,
  MUL: multiply,
  DIV: divide,
};

type Sign = 1 | -1;

/** Signs of the product, and of the addend in even and odd lanes. */
const FUSED_SIGNS: Readonly<Partial<Record<SseOperation, { product: Sign; even: Sign; odd: Sign }>>> = {
  FMADD: { product: 1, even: 1, odd: 1 },
  FMSUB: { product: 1, even: -1, odd: -1 },
  FNMADD: { product: -1, even: 1, odd: 1 },
  FNMSUB: { product: -1, even: -1, odd: -1 },
  FMADDSUB: { product: 1, even: -1, odd: 1 },
  FMSUBADD: { product: 1, even: 1, odd: -1 },
};

/** NaNs keep their sign. */
function signed(value: Unpacked, sign: Sign): Unpacked {
  return sign === 1 || isNaN(value) ? value : negated(value);
}

const ORDER_BITS: Readonly<Record<Ordering, number>> = { less: 1, equal: 2, greater: 4, unordered: 8 };
/**
 * Orders for which a comparison holds: EQ, LT, LE, UNORD, NEQ, NLT, NLE, ORD, EQ (or unordered), NGE, NGT, FALSE, NEQ (ordered), GE, GT,
 * TRUE. Source: Intel SDM vol. 2 "CMPPD", "Comparison Predicate for CMPPD and CMPPS Instructions".
 */
const PREDICATES: readonly number[] = [2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15];
/** Predicates, modulo 8, for which quiet NaNs are no invalid operation; bit 4 turns it round. */
const QUIET_PREDICATES: readonly number[] = [0, 3, 4, 7];

const ORDER_FLAGS: Readonly<Record<Ordering, number>> = {
  less: EFLAGS.CF,
  equal: EFLAGS.ZF,
  greater: 0,
  unordered: EFLAGS.ZF | EFLAGS.PF | EFLAGS.CF,
};

/** Raises no exceptions. */
function approximate(environment: FloatEnvironment, operation: 'RCP' | 'RSQRT', value: bigint): bigint {
  const { flags } = environment;
  const divisor = operation === 'RCP' ? value : squareRoot(environment, BINARY32, value);
  const result = divide(environment, BINARY32, ONE[32], divisor);
  environment.flags = flags;
  return result;
}

/** Implementation of the helper. @param unit that of the CPU that runs now */
export function sseHelpers(unit: () => SseUnit): Readonly<Record<string, HelperImplementation>> {
  return { [sseFloat.name]: (form: number) => unit().run(form) };
}
