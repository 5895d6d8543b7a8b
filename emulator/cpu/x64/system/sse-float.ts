/**
 * SSE floating point.
 *
 * Source: Intel SDM vol. 1 "Programming with Intel SSE", "SSE/SSE2/SSE3 Floating-Point Exceptions"; vol. 2 at the instruction's name.
 * RCPxx and RSQRTxx give the correctly rounded result, as QEMU does, where processors approximate.
 */
import type { HelperImplementation } from '../../execute/guest.ts';
import { add, divide, multiply, squareRoot, subtract } from '../../float/arithmetic.ts';
import { compare, type Ordering } from '../../float/compare.ts';
import { convert, fromInteger, roundToIntegral, toIntegerIndefinite } from '../../float/convert.ts';
import {
  createEnvironment,
  FLOAT_FLAG,
  type FloatEnvironment,
  type RoundingMode,
  SSE_RULES,
} from '../../float/environment.ts';
import { BINARY32, BINARY64, type FloatFormat } from '../../float/format.ts';
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
    return mxcsr;
  }

  /** Writes the exception flags. @returns false when an unmasked exception was raised */
  #settle(mxcsr: number): boolean {
    const { flags } = this.#environment;
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

  #compute(form: SseForm, a: readonly bigint[], b: readonly bigint[]): readonly bigint[] {
    switch (form.operation) {
      case 'HADD':
      case 'HSUB': {
        const operation = form.operation === 'HADD' ? add : subtract;
        const pairs = [...a, ...b];
        return a.map((_, i) => operation(this.#environment, formatOf(form.from), pairs[2 * i]!, pairs[2 * i + 1]!));
      }
      case 'ADDSUB':
        return a.map((value, i) =>
          (i % 2 === 0 ? subtract : add)(this.#environment, formatOf(form.from), value, b[i]!),
        );
      case 'DP':
        return this.#dotProduct(form, a, b);
      default:
        return Array.from({ length: form.lanes }, (_, i) => this.#lane(form, a[i]!, b[i]!));
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
        return roundToIntegral(environment, format, b, mode, (immediate & 8) === 0);
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
    const predicate = immediate & 7;
    const isQuiet = QUIET_PREDICATES.includes(predicate) !== ((immediate & 16) !== 0);
    const order = compare(this.#environment, format, a, b, isQuiet);
    const holds = PREDICATES[predicate & 3]!(order);
    return predicate & 4 ? !holds : holds;
  }

  /** Products of the lanes that the upper bits of the immediate choose, summed pairwise, into those that the lower bits choose. */
  #dotProduct({ from, immediate }: SseForm, a: readonly bigint[], b: readonly bigint[]): readonly bigint[] {
    const format = formatOf(from);
    const environment = this.#environment;
    const products = a.map((value, i) =>
      (immediate >> (4 + i)) & 1 ? multiply(environment, format, value, b[i]!) : 0n,
    );
    const pairs = [0, 2]
      .filter(i => i < products.length)
      .map(i => add(environment, format, products[i]!, products[i + 1]!));
    const sum = pairs.length === 1 ? pairs[0]! : add(environment, format, pairs[0]!, pairs[1]!);
    return a.map((_, i) => ((immediate >> i) & 1 ? sum : 0n));
  }
}

const BINARY: Readonly<Partial<Record<SseOperation, typeof add>>> = {
  ADD: add,
  SUB: subtract,
  MUL: multiply,
  DIV: divide,
};

/** EQ, LT, LE, UNORD; 4 to 7 are their negations. */
const PREDICATES: readonly ((order: Ordering) => boolean)[] = [
  order => order === 'equal',
  order => order === 'less',
  order => order === 'less' || order === 'equal',
  order => order === 'unordered',
];
/** Predicates for which quiet NaNs are no invalid operation. */
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
