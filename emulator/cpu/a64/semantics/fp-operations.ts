/**
 * The floating-point operations that translated code calls as helpers, on the bit patterns of single numbers.
 *
 * They read FPCR and set the cumulative flags of FPSR. Half and single precision travel as i32, double precision as i64. Sizes are those
 * of lanes: 1 half, 2 single, 3 double. `fp-helpers.ts` has the bodies.
 */
import type { Value } from '../../ir/block.ts';
import { type HelperDeclaration, pureHelper, systemHelper } from '../../ir/helper-declaration.ts';
import type { IntType } from '../../ir/types.ts';
import type { Translation } from '../translation.ts';

/** The bits of a number. */
export type FpValue = Value<IntType>;

export const FP_UNARY = ['sqrt', 'recpe', 'rsqrte', 'recpx'] as const;
export const FP_BINARY = [
  'add',
  'sub',
  'mul',
  'div',
  'max',
  'min',
  'maxnm',
  'minnm',
  'mulx',
  'recps',
  'rsqrts',
  /** Comparisons give all ones or zero. */
  'cmeq',
  'cmge',
  'cmgt',
] as const;
export type FpUnary = (typeof FP_UNARY)[number];
export type FpBinary = (typeof FP_BINARY)[number];

export const FP_SUFFIX: Readonly<Record<number, string>> = { 1: 'h', 2: 's', 3: 'd' };
const SIZES = [1, 2, 3] as const;

type Type = 'i32' | 'i64';
const typeOf = (size: number): Type => (size === 3 ? 'i64' : 'i32');

type Declarations = ReadonlyMap<string, HelperDeclaration>;

/** Name of a helper for a size. */
export function fpHelperName(operation: string, size: number): string {
  return `a64.f${operation}.${FP_SUFFIX[size]}`;
}

function declareForSizes(operations: readonly string[], params: (type: Type) => readonly Type[]): Declarations {
  return new Map(
    operations.flatMap(operation =>
      SIZES.map(size => {
        const name = fpHelperName(operation, size);
        return [name, systemHelper(name, params(typeOf(size)), typeOf(size))] as const;
      }),
    ),
  );
}

const DECLARATIONS: Declarations = new Map([
  ...declareForSizes(FP_UNARY, type => [type]),
  ...declareForSizes(FP_BINARY, type => [type, type]),
  /** (addend, a, b) */
  ...declareForSizes(['mla'], type => [type, type, type]),
  /** (number, rounding) */
  ...declareForSizes(['rint'], type => [type, 'i32']),
]);

function call(t: Translation, operation: string, size: number, ...args: readonly Value<IntType>[]): FpValue {
  return t.ir.call(DECLARATIONS.get(fpHelperName(operation, size))!, ...args) as FpValue;
}

/** One operand. */
export function fpUnary(t: Translation, operation: FpUnary, size: number, a: FpValue): FpValue {
  return call(t, operation, size, a);
}
/** Two operands. */
export function fpBinary(t: Translation, operation: FpBinary, size: number, a: FpValue, b: FpValue): FpValue {
  return call(t, operation, size, a, b);
}
/** addend + a * b, rounded once. */
export function fpMultiplyAdd(t: Translation, size: number, addend: FpValue, a: FpValue, b: FpValue): FpValue {
  return call(t, 'mla', size, addend, a, b);
}

/** Rounding argument of helpers: FPCR.RMode's values, and more. */
export const FP_ROUNDING = { nearest: 0, up: 1, down: 2, zero: 3, away: 4, current: 5 } as const;
export type FpRounding = (typeof FP_ROUNDING)[keyof typeof FP_ROUNDING];

/** Bits above the rounding in `rint`'s second argument. */
export const RINT_CONTROL = { rounding: 7, exact: 8, within32: 16, within64: 32 } as const;

/** Rounds to an integer; `control` is a rounding with bits of `RINT_CONTROL`. */
export function fpRoundToIntegral(t: Translation, size: number, a: FpValue, control: number): FpValue {
  return call(t, 'rint', size, a, t.ir.i32(control));
}

// Comparison

const compareSmall = [1, 2].map(size => systemHelper(fpHelperName('cmp', size), ['i32', 'i32', 'i32'], 'i32'));
const compareDouble = systemHelper(fpHelperName('cmp', 3), ['i64', 'i64', 'i32'], 'i32');

/** Flags of a comparison, at their place in NZCV. @param signaling quiet NaNs raise the invalid flag too */
export function fpCompare(t: Translation, size: number, a: FpValue, b: FpValue, signaling: boolean): Value<'i32'> {
  const kind = t.ir.i32(signaling ? 1 : 0);
  if (size === 3) return t.ir.call(compareDouble, a as Value<'i64'>, b as Value<'i64'>, kind);
  return t.ir.call(compareSmall[size - 1]!, a as Value<'i32'>, b as Value<'i32'>, kind);
}

// Conversions

/** Bits of the control argument of conversions to and from integers. */
export const FIXED_CONTROL = {
  rounding: 7,
  signed: 8,
  /** log2 of the integer's bytes. */
  sizeShift: 4,
  /** Bits behind the binary point. */
  fractionShift: 8,
} as const;

/** The integer's side of a conversion. */
export interface FixedPoint {
  /** log2 of the bytes: 1 to 3. */
  readonly size: number;
  readonly signed: boolean;
  readonly rounding: FpRounding;
  /** Bits behind the binary point. */
  readonly fractionBits: number;
}

function fixedControl({ size, signed, rounding, fractionBits }: FixedPoint): number {
  const { signed: signedBit, sizeShift, fractionShift } = FIXED_CONTROL;
  return rounding | (signed ? signedBit : 0) | (size << sizeShift) | (fractionBits << fractionShift);
}

const toFixedSmall = [1, 2].map(size => systemHelper(fpHelperName('tofixed', size), ['i32', 'i32'], 'i64'));
const toFixedDouble = systemHelper(fpHelperName('tofixed', 3), ['i64', 'i32'], 'i64');
const fromFixedSmall = [1, 2].map(size => systemHelper(fpHelperName('fromfixed', size), ['i64', 'i32'], 'i32'));
const fromFixedDouble = systemHelper(fpHelperName('fromfixed', 3), ['i64', 'i32'], 'i64');

/** Converts to an integer, zero-extended. */
export function fpToFixed(t: Translation, size: number, a: FpValue, to: FixedPoint): Value<'i64'> {
  const control = t.ir.i32(fixedControl(to));
  if (size === 3) return t.ir.call(toFixedDouble, a as Value<'i64'>, control);
  return t.ir.call(toFixedSmall[size - 1]!, a as Value<'i32'>, control);
}

/** Converts from an integer; bits above its size are ignored. */
export function fpFromFixed(t: Translation, size: number, value: Value<'i64'>, from: FixedPoint): FpValue {
  const control = t.ir.i32(fixedControl(from));
  if (size === 3) return t.ir.call(fromFixedDouble, value, control);
  return t.ir.call(fromFixedSmall[size - 1]!, value, control);
}

/** Name of the conversion from one precision to another. */
export function fpConvertName(from: number, to: number): string {
  return `a64.fcvt.${FP_SUFFIX[from]}${FP_SUFFIX[to]}`;
}

const CONVERT: Declarations = new Map(
  SIZES.flatMap(from =>
    SIZES.filter(to => to !== from).map(to => {
      const name = fpConvertName(from, to);
      return [name, systemHelper(name, [typeOf(from)], typeOf(to))] as const;
    }),
  ),
);

/** Converts between precisions. */
export function fpConvert(t: Translation, from: number, to: number, a: FpValue): FpValue {
  return t.ir.call(CONVERT.get(fpConvertName(from, to))!, a) as FpValue;
}

/** FCVTXN: double to single, rounded to odd. */
export const convertToOdd = systemHelper('a64.fcvtxn', ['i64'], 'i32');

/** FJCVTZS: 32 bits of integer, and in bit 32 whether it is exact. */
export const convertJavaScript = systemHelper('a64.fjcvtzs', ['i64'], 'i64');

/** FMLAL: single-precision addend, half-precision factors. */
export const multiplyAddHalf = systemHelper('a64.fmlal', ['i32', 'i32', 'i32'], 'i32');

/** URECPE and URSQRTE. */
export const estimateUnsigned = pureHelper('a64.urecpe', ['i32'], 'i32');
export const estimateUnsignedRoot = pureHelper('a64.ursqrte', ['i32'], 'i32');

// Signs: operations on bits, which raise nothing

/** Flips the sign. */
export function fpNegate(t: Translation, size: number, a: FpValue): FpValue {
  return t.ir.xor(a, t.ir.int(a.type, 1n << BigInt((8 << size) - 1)));
}
/** Clears the sign. */
export function fpAbsolute(t: Translation, size: number, a: FpValue): FpValue {
  return t.ir.and(a, t.ir.int(a.type, (1n << BigInt((8 << size) - 1)) - 1n));
}
