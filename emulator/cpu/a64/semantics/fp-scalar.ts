/**
 * Meaning of the scalar floating-point instructions.
 *
 * Source: Arm ARM DDI 0487 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type {
  FP_COMPARE_SELECT,
  FP_FIXED,
  FP_INTEGER,
  FP_JAVASCRIPT,
  FP_ONE_SOURCE,
  FP_ROUND_WITHIN,
  FP_THREE_SOURCES,
  FP_TWO_SOURCES,
} from '../encodings/fp-scalar.ts';
import type { Value } from '../../ir/block.ts';
import type { IntType } from '../../ir/types.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { expandFpImmediate } from './fp-immediate.ts';
import {
  convertJavaScript,
  FP_ROUNDING,
  fpAbsolute,
  fpBinary,
  type FpBinary,
  fpCompare,
  fpConvert,
  fpFromFixed,
  fpMultiplyAdd,
  fpNegate,
  type FpRounding,
  fpRoundToIntegral,
  fpToFixed,
  fpUnary,
  type FpValue,
  RINT_CONTROL,
} from './fp-operations.ts';
import { fromScalar, lane, withLane } from './vector-registers.ts';

/** Lane size by ftype; `undefined` where the precision does not exist. */
function sizeOf(t: Translation, ftype: number): number | undefined {
  if (ftype === 3) return t.features.has('FEAT_FP16') ? 1 : undefined;
  return [2, 3][ftype];
}

/** Reads a scalar register of `8 << size` bits. */
export function fpRegister(t: Translation, size: number, n: number): FpValue {
  return lane(t.ir, size, t.v(n), 0);
}

/** Writes a scalar register; the rest of the vector register becomes zero. */
export function setFpRegister(t: Translation, size: number, d: number, value: FpValue): void {
  t.setV(d, fromScalar(t.ir, size, value));
}

interface OneSource {
  readonly ftype: number;
  readonly rn: number;
  readonly rd: number;
}

function oneSource(op: (t: Translation, size: number, a: FpValue) => FpValue) {
  return (t: Translation, { ftype, rn, rd }: OneSource): void => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    setFpRegister(t, size, rd, op(t, size, fpRegister(t, size, rn)));
  };
}

const rounding = (mode: FpRounding, exact = 0) =>
  oneSource((t, size, a) => fpRoundToIntegral(t, size, a, mode | exact));

/** Precision by the `opc` of FCVT. */
const CONVERT_TO: readonly (number | undefined)[] = [2, 3, undefined, 1];
const CONVERT_FROM: readonly (number | undefined)[] = [2, 3, undefined, 1];

export const oneSourceSemantics: Semantics<typeof FP_ONE_SOURCE> = {
  'FMOV (register)': oneSource((_t, _size, a) => a),
  'FABS (scalar)': oneSource(fpAbsolute),
  'FNEG (scalar)': oneSource(fpNegate),
  'FSQRT (scalar)': oneSource((t, size, a) => fpUnary(t, 'sqrt', size, a)),
  /** Exists for half precision even without FEAT_FP16. */
  FCVT: (t, { ftype, opc, rn, rd }) => {
    const from = CONVERT_FROM[ftype];
    const to = CONVERT_TO[opc];
    if (from === undefined || to === undefined || from === to) return t.undefined();
    setFpRegister(t, to, rd, fpConvert(t, from, to, fpRegister(t, from, rn)));
  },
  'FRINTN (scalar)': rounding(FP_ROUNDING.nearest),
  'FRINTP (scalar)': rounding(FP_ROUNDING.up),
  'FRINTM (scalar)': rounding(FP_ROUNDING.down),
  'FRINTZ (scalar)': rounding(FP_ROUNDING.zero),
  'FRINTA (scalar)': rounding(FP_ROUNDING.away),
  'FRINTX (scalar)': rounding(FP_ROUNDING.current, RINT_CONTROL.exact),
  'FRINTI (scalar)': rounding(FP_ROUNDING.current),
};

function roundWithin(control: number) {
  return (t: Translation, { ftype, rn, rd }: OneSource): void => {
    if (ftype > 1) return t.undefined();
    const size = 2 + ftype;
    setFpRegister(t, size, rd, fpRoundToIntegral(t, size, fpRegister(t, size, rn), control));
  };
}

export const roundWithinSemantics: Semantics<typeof FP_ROUND_WITHIN> = {
  'FRINT32Z (scalar)': roundWithin(FP_ROUNDING.zero | RINT_CONTROL.within32),
  'FRINT32X (scalar)': roundWithin(FP_ROUNDING.current | RINT_CONTROL.within32),
  'FRINT64Z (scalar)': roundWithin(FP_ROUNDING.zero | RINT_CONTROL.within64),
  'FRINT64X (scalar)': roundWithin(FP_ROUNDING.current | RINT_CONTROL.within64),
};

interface TwoSources extends OneSource {
  readonly rm: number;
}

function twoSources(operation: FpBinary) {
  return (t: Translation, { ftype, rm, rn, rd }: TwoSources): void => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    setFpRegister(t, size, rd, fpBinary(t, operation, size, fpRegister(t, size, rn), fpRegister(t, size, rm)));
  };
}

export const twoSourcesSemantics: Semantics<typeof FP_TWO_SOURCES> = {
  'FMUL (scalar)': twoSources('mul'),
  'FDIV (scalar)': twoSources('div'),
  'FADD (scalar)': twoSources('add'),
  'FSUB (scalar)': twoSources('sub'),
  'FMAX (scalar)': twoSources('max'),
  'FMIN (scalar)': twoSources('min'),
  'FMAXNM (scalar)': twoSources('maxnm'),
  'FMINNM (scalar)': twoSources('minnm'),
  'FNMUL (scalar)': (t, { ftype, rm, rn, rd }) => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    const product = fpBinary(t, 'mul', size, fpRegister(t, size, rn), fpRegister(t, size, rm));
    setFpRegister(t, size, rd, fpNegate(t, size, product));
  },
};

/** (±addend) + (±a) * b */
function threeSources(negateAddend: boolean, negateProduct: boolean) {
  return (t: Translation, { ftype, rm, ra, rn, rd }: TwoSources & { readonly ra: number }): void => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    const signed = (negate: boolean, value: FpValue): FpValue => (negate ? fpNegate(t, size, value) : value);
    const addend = signed(negateAddend, fpRegister(t, size, ra));
    const factor = signed(negateProduct, fpRegister(t, size, rn));
    setFpRegister(t, size, rd, fpMultiplyAdd(t, size, addend, factor, fpRegister(t, size, rm)));
  };
}

export const threeSourcesSemantics: Semantics<typeof FP_THREE_SOURCES> = {
  FMADD: threeSources(false, false),
  FMSUB: threeSources(false, true),
  FNMADD: threeSources(true, true),
  FNMSUB: threeSources(true, false),
};

// Comparison and selection

interface Comparison {
  readonly ftype: number;
  readonly rn: number;
  readonly rm: number;
}

function compare(signaling: boolean, withZero: boolean) {
  return (t: Translation, { ftype, rm, rn }: Comparison): void => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    const a = fpRegister(t, size, rn);
    const b = withZero ? t.ir.int(a.type, 0) : fpRegister(t, size, rm);
    t.flags.setNzcv(fpCompare(t, size, a, b, signaling));
  };
}

/**
 * The comparison is made even when the condition fails, on operands that raise no flag then: zeros.
 */
function conditionalCompare(signaling: boolean) {
  return (
    t: Translation,
    { ftype, rm, rn, cond, nzcv }: Comparison & { readonly cond: number; readonly nzcv: number },
  ): void => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    const { ir } = t;
    const holds = t.flags.condition(cond);
    const ifHolds = (n: number): FpValue => {
      const value = fpRegister(t, size, n);
      return ir.select<IntType>(holds, value, ir.int(value.type, 0));
    };
    const compared = fpCompare(t, size, ifHolds(rn), ifHolds(rm), signaling);
    t.flags.setNzcv(ir.select(holds, compared, ir.i32(nzcv << 28)));
  };
}

export const compareSelectSemantics: Semantics<typeof FP_COMPARE_SELECT> = {
  FCMP: compare(false, false),
  'FCMP (zero)': compare(false, true),
  FCMPE: compare(true, false),
  'FCMPE (zero)': compare(true, true),
  FCCMP: conditionalCompare(false),
  FCCMPE: conditionalCompare(true),
  FCSEL: (t, { ftype, rm, cond, rn, rd }) => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    const holds = t.flags.condition(cond);
    setFpRegister(t, size, rd, t.ir.select<IntType>(holds, fpRegister(t, size, rn), fpRegister(t, size, rm)));
  },
  'FMOV (scalar, immediate)': (t, { ftype, imm8, rd }) => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    const bits = expandFpImmediate(imm8, 8 << size);
    setFpRegister(t, size, rd, size === 3 ? t.ir.i64(bits) : t.ir.int('i32', bits));
  },
};

// Integers and fixed-point numbers

interface Conversion extends OneSource {
  readonly sf: number;
}

function toGeneral(mode: FpRounding, signed: boolean) {
  return (t: Translation, { sf, ftype, rn, rd }: Conversion): void => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    const to = { size: 2 + sf, signed, rounding: mode, fractionBits: 0 };
    t.setReg(rd, fpToFixed(t, size, fpRegister(t, size, rn), to));
  };
}

function fromGeneral(signed: boolean) {
  return (t: Translation, { sf, ftype, rn, rd }: Conversion): void => {
    const size = sizeOf(t, ftype);
    if (size === undefined) return t.undefined();
    const from = { size: 2 + sf, signed, rounding: FP_ROUNDING.current, fractionBits: 0 };
    setFpRegister(t, size, rd, fpFromFixed(t, size, t.x(rn), from));
  };
}

/** FMOV moves W and S, X and D, and half precision to and from both. */
function isMovable(size: number, sf: number): boolean {
  return size === 1 || size === 2 + sf;
}

export const integerSemantics: Semantics<typeof FP_INTEGER> = {
  'FCVTNS (scalar, integer)': toGeneral(FP_ROUNDING.nearest, true),
  'FCVTNU (scalar, integer)': toGeneral(FP_ROUNDING.nearest, false),
  'FCVTPS (scalar, integer)': toGeneral(FP_ROUNDING.up, true),
  'FCVTPU (scalar, integer)': toGeneral(FP_ROUNDING.up, false),
  'FCVTMS (scalar, integer)': toGeneral(FP_ROUNDING.down, true),
  'FCVTMU (scalar, integer)': toGeneral(FP_ROUNDING.down, false),
  'FCVTZS (scalar, integer)': toGeneral(FP_ROUNDING.zero, true),
  'FCVTZU (scalar, integer)': toGeneral(FP_ROUNDING.zero, false),
  'FCVTAS (scalar, integer)': toGeneral(FP_ROUNDING.away, true),
  'FCVTAU (scalar, integer)': toGeneral(FP_ROUNDING.away, false),
  'SCVTF (scalar, integer)': fromGeneral(true),
  'UCVTF (scalar, integer)': fromGeneral(false),
  'FMOV (general, from FP)': (t, { sf, ftype, rn, rd }) => {
    const size = sizeOf(t, ftype);
    if (size === undefined || !isMovable(size, sf)) return t.undefined();
    t.setReg(rd, fpRegister(t, size, rn));
  },
  'FMOV (general, to FP)': (t, { sf, ftype, rn, rd }) => {
    const size = sizeOf(t, ftype);
    if (size === undefined || !isMovable(size, sf)) return t.undefined();
    setFpRegister(t, size, rd, size === 3 ? t.x(rn) : t.w(rn));
  },
  'FMOV (general, from upper half)': (t, { rn, rd }) => t.setReg(rd, lane(t.ir, 3, t.v(rn), 1)),
  'FMOV (general, to upper half)': (t, { rn, rd }) => t.setV(rd, withLane(t.ir, 3, t.v(rd), 1, t.x(rn))),
};

export const javaScriptSemantics: Semantics<typeof FP_JAVASCRIPT> = {
  /** Z says that the result is exact; the other flags become 0. */
  FJCVTZS: (t, { rn, rd }) => {
    const { ir } = t;
    const result = ir.call(convertJavaScript, fpRegister(t, 3, rn) as Value<'i64'>);
    t.setReg(rd, ir.toI32(result));
    t.flags.setNzcv(ir.shl(ir.toI32(ir.shrU(result, 32)), 30));
  },
};

/** With 32-bit integers there are at most 32 bits behind the point. */
function fractionBitsOf({ sf, scale }: { readonly sf: number; readonly scale: number }): number | undefined {
  return sf === 0 && scale < 32 ? undefined : 64 - scale;
}

function toGeneralFixed(signed: boolean) {
  return (t: Translation, fields: Conversion & { readonly scale: number }): void => {
    const { sf, ftype, rn, rd } = fields;
    const size = sizeOf(t, ftype);
    const fractionBits = fractionBitsOf(fields);
    if (size === undefined || fractionBits === undefined) return t.undefined();
    const to = { size: 2 + sf, signed, rounding: FP_ROUNDING.zero, fractionBits };
    t.setReg(rd, fpToFixed(t, size, fpRegister(t, size, rn), to));
  };
}

function fromGeneralFixed(signed: boolean) {
  return (t: Translation, fields: Conversion & { readonly scale: number }): void => {
    const { sf, ftype, rn, rd } = fields;
    const size = sizeOf(t, ftype);
    const fractionBits = fractionBitsOf(fields);
    if (size === undefined || fractionBits === undefined) return t.undefined();
    const from = { size: 2 + sf, signed, rounding: FP_ROUNDING.current, fractionBits };
    setFpRegister(t, size, rd, fpFromFixed(t, size, t.x(rn), from));
  };
}

export const fixedSemantics: Semantics<typeof FP_FIXED> = {
  'SCVTF (scalar, fixed-point)': fromGeneralFixed(true),
  'UCVTF (scalar, fixed-point)': fromGeneralFixed(false),
  'FCVTZS (scalar, fixed-point)': toGeneralFixed(true),
  'FCVTZU (scalar, fixed-point)': toGeneralFixed(false),
};
