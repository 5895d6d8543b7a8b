/**
 * Bodies of the floating-point helpers: they run the soft-float library under FPCR and collect its flags in FPSR.
 *
 * Source: Arm ARM DDI 0487 "FPCR, Floating-point Control Register", pseudocode "FPProcessException".
 * Not modelled: trapped floating-point exceptions (FPCR.IDE to FPCR.IOE), FEAT_AFP.
 */
import type { EngineCpu, HelperImplementation } from '../execute/guest.ts';
import * as arithmetic from '../float/arithmetic.ts';
import { compare, extreme, extremeNumber, type Ordering } from '../float/compare.ts';
import * as conversion from '../float/convert.ts';
import {
  ARM_RULES,
  createEnvironment,
  FLOAT_FLAG,
  type FloatEnvironment,
  type RoundingMode,
} from '../float/environment.ts';
import * as estimate from '../float/estimate.ts';
import { BINARY16, BINARY32, BINARY64, type FloatFormat } from '../float/format.ts';
import { doubleOfBits, HostFloat, singleOfBits } from '../float/host.ts';
import { pack, unpack } from '../float/unpacked.ts';
import { FPCR, FPSR } from './fp-control.ts';
import {
  FIXED_CONTROL,
  FP_BINARY,
  FP_ROUNDING,
  FP_UNARY,
  type FpBinary,
  fpConvertName,
  fpHelperName,
  type FpUnary,
  RINT_CONTROL,
} from './semantics/fp-operations.ts';
import { A64_STATE } from './state.ts';

type Env = FloatEnvironment;
type Unary = (environment: Env, format: FloatFormat, a: bigint) => bigint;
type Binary = (environment: Env, format: FloatFormat, a: bigint, b: bigint) => bigint;

const FORMATS: Readonly<Record<number, FloatFormat>> = { 1: BINARY16, 2: BINARY32, 3: BINARY64 };
const SIZES = [1, 2, 3] as const;
/** By FPCR.RMode, and 4 for ties away from zero. */
const ROUNDINGS: readonly RoundingMode[] = ['nearest-even', 'up', 'down', 'zero', 'nearest-away'];

const UNARY: Readonly<Record<FpUnary, Unary>> = {
  sqrt: arithmetic.squareRoot,
  recpe: estimate.estimateReciprocal,
  rsqrte: estimate.estimateReciprocalRoot,
  recpx: estimate.reciprocalExponent,
};

const BINARY: Readonly<Record<FpBinary, Binary>> = {
  add: arithmetic.add,
  sub: arithmetic.subtract,
  mul: arithmetic.multiply,
  div: arithmetic.divide,
  max: (e, f, a, b) => extreme(e, f, 'maximum', a, b),
  min: (e, f, a, b) => extreme(e, f, 'minimum', a, b),
  maxnm: (e, f, a, b) => extremeNumber(e, f, 'maximum', a, b),
  minnm: (e, f, a, b) => extremeNumber(e, f, 'minimum', a, b),
  mulx: estimate.multiplyExtended,
  recps: estimate.reciprocalStep,
  rsqrts: estimate.reciprocalRootStep,
  cmeq: (e, f, a, b) => mask(f, compare(e, f, a, b, true) === 'equal'),
  cmge: (e, f, a, b) => mask(f, isOrdered(compare(e, f, a, b, false), 'equal', 'greater')),
  cmgt: (e, f, a, b) => mask(f, compare(e, f, a, b, false) === 'greater'),
};

function isOrdered(ordering: Ordering, ...wanted: readonly Ordering[]): boolean {
  return wanted.includes(ordering);
}

function mask({ bits }: FloatFormat, holds: boolean): bigint {
  return holds ? (1n << BigInt(bits)) - 1n : 0n;
}

/** NZCV of a comparison, at its place in the register. */
const NZCV: Readonly<Record<Ordering, number>> = {
  less: 0b1000 << 28,
  equal: 0b0110 << 28,
  greater: 0b0010 << 28,
  unordered: 0b0011 << 28,
};

/** A number of up to 64 bits as helpers pass it, from its bits, and back. */
const toNumber = (bits: bigint): number => Number(BigInt.asIntN(32, bits));
const fromNumber = (value: number): bigint => BigInt(value >>> 0);

/** Bits of FPCR under which the host's arithmetic differs. */
const NOT_PLAIN = (3 << FPCR.RMODE_SHIFT) | FPCR.FZ | FPCR.FZ16;

/** Runs operations under the FPCR of the current CPU. */
class FloatUnit {
  readonly #current: () => EngineCpu;
  readonly #environment = createEnvironment(ARM_RULES);
  #fpcr = 0;

  constructor(current: () => EngineCpu) {
    this.#current = current;
  }

  run<T>(operation: (environment: Env) => T): T {
    const { view, base } = this.#current();
    const environment = this.#environment;
    this.#configure(view.getInt32(base + A64_STATE.FPCR.offset, true));
    environment.flags = 0;
    const result = operation(environment);
    if (environment.flags !== 0) {
      const address = base + A64_STATE.FPSR.offset;
      view.setInt32(address, view.getInt32(address, true) | statusBits(environment.flags), true);
    }
    return result;
  }

  #configure(fpcr: number): void {
    if (fpcr === this.#fpcr) return;
    const environment = this.#environment;
    environment.rounding = ROUNDINGS[(fpcr >> FPCR.RMODE_SHIFT) & 3]!;
    environment.flushInputs = environment.flushOutputs = (fpcr & FPCR.FZ) !== 0;
    environment.flushHalf = (fpcr & FPCR.FZ16) !== 0;
    environment.defaultNaN = (fpcr & FPCR.DN) !== 0;
    environment.alternativeHalf = false;
    this.#fpcr = fpcr;
  }

  /** Round to nearest, no flushing: the host's arithmetic may do. */
  get isPlain(): boolean {
    const { view, base } = this.#current();
    return (view.getInt32(base + A64_STATE.FPCR.offset, true) & NOT_PLAIN) === 0;
  }

  /** Sets FPSR.IXC when the host's result is inexact. */
  noteHost({ inexact }: HostFloat): void {
    if (!inexact) return;
    const { view, base } = this.#current();
    const address = base + A64_STATE.FPSR.offset;
    view.setInt32(address, view.getInt32(address, true) | FPSR.IXC, true);
  }

  /** FPCR.AHP holds for conversions alone. */
  runConversion<T>(operation: (environment: Env) => T): T {
    return this.run(environment => {
      environment.alternativeHalf = (this.#fpcr & FPCR.AHP) !== 0;
      const result = operation(environment);
      environment.alternativeHalf = false;
      return result;
    });
  }

  /** Runs with a rounding of the instruction's own. */
  runRounding<T>(rounding: RoundingMode, operation: (environment: Env) => T): T {
    return this.run(environment => {
      const before = environment.rounding;
      environment.rounding = rounding;
      const result = operation(environment);
      environment.rounding = before;
      return result;
    });
  }

  /** @param rounding as `FP_ROUNDING` */
  rounding(environment: Env, rounding: number): RoundingMode {
    return ROUNDINGS[rounding] ?? environment.rounding;
  }
}

/** The first five flags stand as in FPSR. */
function statusBits(flags: number): number {
  return (flags & ~FLOAT_FLAG.DENORMAL) | (flags & FLOAT_FLAG.DENORMAL ? FPSR.IDC : 0);
}

/** The helpers by name; they act on the CPU that `current` gives. */
export function createFloatHelpers(current: () => EngineCpu): Record<string, HelperImplementation> {
  const unit = new FloatUnit(current);
  const helpers: Record<string, HelperImplementation> = { ...otherHelpers(unit), ...convertHelpers(unit) };
  for (const size of SIZES) Object.assign(helpers, arithmeticHelpers(unit, size), integerHelpers(unit, size));
  return withHostArithmetic(helpers, unit);
}

type Helpers = Record<string, HelperImplementation>;

/** Tries the host's arithmetic before each of these helpers. */
function withHostArithmetic(exact: Helpers, unit: FloatUnit): Helpers {
  const host = new HostFloat();
  const fast = hostHelpers(host);
  const helpers = { ...exact };
  for (const [name, attempt] of Object.entries(fast)) {
    const compute = exact[name] as (...args: unknown[]) => number | bigint;
    helpers[name] = (a: never, b: never, c: never) => {
      if (unit.isPlain) {
        const result = attempt(a, b);
        if (result !== undefined) {
          unit.noteHost(host);
          return result;
        }
      }
      return compute(a, b, c);
    };
  }
  return helpers;
}

type Attempt = (a: never, b: never) => number | bigint | undefined;

/** What the host can do, by name of the helper. */
function hostHelpers(host: HostFloat): Record<string, Attempt> {
  return {
    'a64.fadd.d': (a: bigint, b: bigint) => host.double('add', a, b),
    'a64.fsub.d': (a: bigint, b: bigint) => host.double('sub', a, b),
    'a64.fmul.d': (a: bigint, b: bigint) => host.double('mul', a, b),
    'a64.fdiv.d': (a: bigint, b: bigint) => host.double('div', a, b),
    'a64.fsqrt.d': (a: bigint) => host.squareRootDouble(a),
    'a64.fcmp.d': (a: bigint, b: bigint) => hostCompare(host, doubleOfBits(a), doubleOfBits(b)),
    'a64.ftofixed.d': (a: bigint, control: number) => hostToFixed(host, doubleOfBits(a), control),
    'a64.ffromfixed.d': (a: bigint, control: number) => {
      const value = hostInteger(a, control);
      return value === undefined ? undefined : host.doubleOfInteger(value);
    },
    'a64.fcvt.ds': (a: bigint) => host.narrow(a),
    'a64.fadd.s': (a: number, b: number) => host.single('add', a, b),
    'a64.fsub.s': (a: number, b: number) => host.single('sub', a, b),
    'a64.fmul.s': (a: number, b: number) => host.single('mul', a, b),
    'a64.fdiv.s': (a: number, b: number) => host.single('div', a, b),
    'a64.fsqrt.s': (a: number) => host.squareRootSingle(a),
    'a64.fcmp.s': (a: number, b: number) => hostCompare(host, singleOfBits(a), singleOfBits(b)),
    'a64.ftofixed.s': (a: number, control: number) => hostToFixed(host, singleOfBits(a), control),
    'a64.ffromfixed.s': (a: bigint, control: number) => {
      const value = hostInteger(a, control);
      return value === undefined ? undefined : host.singleOfInteger(value);
    },
    'a64.fcvt.sd': (a: number) => host.widen(a),
  };
}

function hostCompare(host: HostFloat, x: number, y: number): number | undefined {
  host.inexact = false;
  if (x < y) return NZCV.less;
  if (x > y) return NZCV.greater;
  return x === y ? NZCV.equal : undefined;
}

/** Truncation to an integer without fraction bits. */
function hostToFixed(host: HostFloat, x: number, control: number): bigint | undefined {
  const rounding = control & FIXED_CONTROL.rounding;
  if (rounding !== FP_ROUNDING.zero || control >> FIXED_CONTROL.fractionShift !== 0) return undefined;
  const whole = host.truncate(x);
  if (whole === undefined) return undefined;
  const { bits, signed } = integerFormat(control);
  const fits = (signed ? BigInt.asIntN(bits, whole) : BigInt.asUintN(bits, whole)) === whole;
  return fits ? BigInt.asUintN(bits, whole) : undefined;
}

/** The integer that a conversion without fraction bits starts from. */
function hostInteger(value: bigint, control: number): bigint | undefined {
  if (control >> FIXED_CONTROL.fractionShift !== 0) return undefined;
  const { bits, signed } = integerFormat(control);
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

/** A helper over numbers of a size: bigint for doubles, number for the others. */
function forSize(size: number, operation: (...args: bigint[]) => bigint): HelperImplementation {
  if (size === 3) return (...args: bigint[]) => operation(...args);
  return (...args: number[]) => toNumber(operation(...args.map(fromNumber)));
}

function arithmeticHelpers(unit: FloatUnit, size: number): Helpers {
  const format = FORMATS[size]!;
  const helpers: Helpers = {};
  for (const name of FP_UNARY) {
    helpers[fpHelperName(name, size)] = forSize(size, a =>
      unit.run(environment => UNARY[name](environment, format, a)),
    );
  }
  for (const name of FP_BINARY) {
    helpers[fpHelperName(name, size)] = forSize(size, (a, b) =>
      unit.run(environment => BINARY[name](environment, format, a, b)),
    );
  }
  helpers[fpHelperName('mla', size)] = forSize(size, (addend, a, b) =>
    unit.run(environment => arithmetic.fusedMultiplyAdd(environment, format, addend, a, b)),
  );
  return helpers;
}

function roundToIntegral(unit: FloatUnit, format: FloatFormat, bits: bigint, control: number): bigint {
  return unit.run(environment => {
    const mode = unit.rounding(environment, control & RINT_CONTROL.rounding);
    if (control & RINT_CONTROL.within32) return conversion.roundToIntegralWithin(environment, format, bits, mode, 32);
    if (control & RINT_CONTROL.within64) return conversion.roundToIntegralWithin(environment, format, bits, mode, 64);
    return conversion.roundToIntegral(environment, format, bits, mode, (control & RINT_CONTROL.exact) !== 0);
  });
}

function toFixed(unit: FloatUnit, format: FloatFormat, bits: bigint, control: number): bigint {
  return unit.run(environment =>
    conversion.toIntegerSaturated(
      environment,
      format,
      bits,
      control >> FIXED_CONTROL.fractionShift,
      unit.rounding(environment, control & FIXED_CONTROL.rounding),
      integerFormat(control),
    ),
  );
}

function integerFormat(control: number): conversion.IntegerFormat {
  const bits = (8 << ((control >> FIXED_CONTROL.sizeShift) & 3)) as 16 | 32 | 64;
  return { bits, signed: (control & FIXED_CONTROL.signed) !== 0 };
}

function fromFixed(unit: FloatUnit, format: FloatFormat, value: bigint, control: number): bigint {
  const { bits, signed } = integerFormat(control);
  const integer = signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  return unit.run(environment =>
    conversion.fromInteger(environment, format, integer, control >> FIXED_CONTROL.fractionShift),
  );
}

function integerHelpers(unit: FloatUnit, size: number): Helpers {
  const format = FORMATS[size]!;
  const nzcv = (a: bigint, b: bigint, signaling: number): number =>
    NZCV[unit.run(environment => compare(environment, format, a, b, signaling === 0))] | 0;
  if (size === 3) {
    return {
      [fpHelperName('rint', 3)]: (a: bigint, control: number) => roundToIntegral(unit, format, a, control),
      [fpHelperName('cmp', 3)]: nzcv,
      [fpHelperName('tofixed', 3)]: (a: bigint, control: number) => toFixed(unit, format, a, control),
      [fpHelperName('fromfixed', 3)]: (a: bigint, control: number) => fromFixed(unit, format, a, control),
    };
  }
  return {
    [fpHelperName('rint', size)]: (a: number, control: number) =>
      toNumber(roundToIntegral(unit, format, fromNumber(a), control)),
    [fpHelperName('cmp', size)]: (a: number, b: number, signaling: number) =>
      nzcv(fromNumber(a), fromNumber(b), signaling),
    [fpHelperName('tofixed', size)]: (a: number, control: number) => toFixed(unit, format, fromNumber(a), control),
    [fpHelperName('fromfixed', size)]: (a: bigint, control: number) => toNumber(fromFixed(unit, format, a, control)),
  };
}

function convertHelpers(unit: FloatUnit): Helpers {
  const helpers: Helpers = {};
  for (const from of SIZES) {
    for (const to of SIZES) {
      if (from === to) continue;
      const convert = (bits: bigint): bigint =>
        unit.runConversion(environment => conversion.convert(environment, FORMATS[from]!, FORMATS[to]!, bits));
      helpers[fpConvertName(from, to)] = (bits: number | bigint) => {
        const result = convert(typeof bits === 'bigint' ? bits : fromNumber(bits));
        return to === 3 ? result : toNumber(result);
      };
    }
  }
  return helpers;
}

function otherHelpers(unit: FloatUnit): Helpers {
  return {
    'a64.fcvtxn': (a: bigint) =>
      toNumber(unit.runRounding('odd', environment => conversion.convert(environment, BINARY64, BINARY32, a))),
    'a64.fjcvtzs': (a: bigint) => {
      const { value, exact } = unit.run(environment => conversion.toJavaScriptInteger(environment, BINARY64, a));
      return value | (exact ? 1n << 32n : 0n);
    },
    'a64.fmlal': (addend: number, a: number, b: number) =>
      toNumber(
        unit.run(environment => {
          const c = unpack(environment, BINARY32, fromNumber(addend));
          const left = unpack(environment, BINARY16, fromNumber(a));
          const right = unpack(environment, BINARY16, fromNumber(b));
          return pack(environment, BINARY32, arithmetic.multiplyAdd(environment, BINARY32, c, left, right));
        }),
      ),
    'a64.urecpe': (a: number) => estimate.estimateUnsignedReciprocal(a) | 0,
    'a64.ursqrte': (a: number) => estimate.estimateUnsignedReciprocalRoot(a) | 0,
  };
}
