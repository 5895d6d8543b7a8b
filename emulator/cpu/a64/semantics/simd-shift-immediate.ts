/**
 * Meaning of the Advanced SIMD shifts by an immediate.
 *
 * The highest set bit of immh gives the lane width; right shifts count down from twice the width, left shifts up from it.
 * Source: Arm ARM DDI 0487 "Advanced SIMD shift by immediate", "Advanced SIMD scalar shift by immediate".
 */
import type { SIMD_SCALAR_SHIFT_IMMEDIATE, SIMD_SHIFT_IMMEDIATE } from '../encodings/simd-integer.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { setNarrowed } from './simd-forms.ts';
import { Lanes, type Saturated } from './vector-lanes.ts';
import type { Vector } from './vector-permute.ts';
import { noteSaturation, setResult, setV, vectorBits } from './vector-registers.ts';

interface Fields {
  readonly immh: number;
  readonly immb: number;
  readonly rn: number;
  readonly rd: number;
}
type FieldsWithQ = Fields & { readonly q: number };

/** log2 of the lane's bytes: 0 to 3. */
export function sizeOfImmh(immh: number): number {
  return 31 - Math.clz32(immh);
}

/** Amount of a right shift: 1 to the lane's width. */
export function rightAmount({ immh, immb }: Pick<Fields, 'immh' | 'immb'>): number {
  return (16 << sizeOfImmh(immh)) - ((immh << 3) | immb);
}

function leftAmount({ immh, immb }: Fields): number {
  return ((immh << 3) | immb) - (8 << sizeOfImmh(immh));
}

/** The narrow lanes have 8 to 32 bits. */
const isNarrow = (immh: number): boolean => immh !== 0 && immh < 8;

type Shift = (l: Lanes, a: Vector, amount: number, d: Vector) => Vector | Saturated;

function vectorShift(amountOf: (fields: Fields) => number, op: Shift) {
  return (t: Translation, fields: FieldsWithQ): void => {
    const size = sizeOfImmh(fields.immh);
    if (fields.immh === 0 || (size === 3 && !fields.q)) return t.undefined();
    const result = op(new Lanes(t.ir, size), t.v(fields.rn), amountOf(fields), t.v(fields.rd));
    setResult(t, fields.rd, result, vectorBits(fields.q));
  };
}

/** @param anyWidth false where only doublewords exist */
function scalarShift(amountOf: (fields: Fields) => number, op: Shift, anyWidth = false) {
  return (t: Translation, fields: Fields): void => {
    const size = sizeOfImmh(fields.immh);
    if (fields.immh === 0 || (size !== 3 && !anyWidth)) return t.undefined();
    const result = op(new Lanes(t.ir, size), t.v(fields.rn), amountOf(fields), t.v(fields.rd));
    setResult(t, fields.rd, result, 8 << size);
  };
}

const right = (op: Shift) => vectorShift(rightAmount, op);
const left = (op: Shift) => vectorShift(leftAmount, op);
const rightScalar = (op: Shift) => scalarShift(rightAmount, op);
const leftScalar = (op: Shift, anyWidth = false) => scalarShift(leftAmount, op, anyWidth);

const shr =
  (signed: boolean): Shift =>
  (l, a, amount) =>
    l.shr(signed, a, amount);
const sra =
  (signed: boolean): Shift =>
  (l, a, amount, d) =>
    l.add(d, l.shr(signed, a, amount));
const rshr =
  (signed: boolean): Shift =>
  (l, a, amount) =>
    l.shrRounded(signed, a, amount);
const rsra =
  (signed: boolean): Shift =>
  (l, a, amount, d) =>
    l.add(d, l.shrRounded(signed, a, amount));
const shl: Shift = (l, a, amount) => l.shl(a, amount);
const qshl =
  (signed: boolean): Shift =>
  (l, a, amount) =>
    l.shlSaturated(signed, a, amount);
const sqshlu: Shift = (l, a, amount) => l.shlToUnsignedSaturated(a, amount);
/** Shifts right into Vd, whose high `amount` bits stay. */
const sri: Shift = (l, a, amount, d) => {
  const inserted = l.shrU(l.allOnes, amount);
  return l.or(l.shrU(a, amount), l.andNot(d, inserted));
};
/** Shifts left into Vd, whose low `amount` bits stay. */
const sli: Shift = (l, a, amount, d) => {
  const inserted = l.shl(l.allOnes, amount);
  return l.or(l.shl(a, amount), l.andNot(d, inserted));
};

interface NarrowKind {
  readonly rounding?: boolean;
  /** Limits the result to the narrow range. */
  readonly saturating?: boolean;
  readonly fromSigned?: boolean;
  readonly toSigned?: boolean;
}

function shiftForNarrowing(kind: NarrowKind, wide: Lanes, a: Vector, amount: number): Saturated | Vector {
  const { rounding = false, saturating = false, fromSigned = false, toSigned = false } = kind;
  const shifted = rounding ? wide.shrRounded(fromSigned, a, amount) : wide.shr(fromSigned, a, amount);
  return saturating ? wide.clampToNarrower(shifted, fromSigned, toSigned) : shifted;
}

/** Shifts wide lanes right and keeps the low half of each. */
function narrow(kind: NarrowKind) {
  return (t: Translation, fields: FieldsWithQ): void => {
    const { immh, q, rn, rd } = fields;
    if (!isNarrow(immh)) return t.undefined();
    const l = new Lanes(t.ir, sizeOfImmh(immh));
    const result = shiftForNarrowing(kind, l.wider, t.v(rn), rightAmount(fields));
    if ('saturated' in result) noteSaturation(t, result.saturated, 128);
    setNarrowed(t, l, q, rd, 'saturated' in result ? result.value : result);
  };
}

function narrowScalar(kind: NarrowKind) {
  return (t: Translation, fields: Fields): void => {
    const { immh, rn, rd } = fields;
    if (!isNarrow(immh)) return t.undefined();
    const l = new Lanes(t.ir, sizeOfImmh(immh));
    const result = shiftForNarrowing(kind, l.wider, t.v(rn), rightAmount(fields));
    if ('saturated' in result) noteSaturation(t, result.saturated, l.wider.bits);
    setV(t, rd, 'saturated' in result ? result.value : result, l.bits);
  };
}

function shiftLeftLong(signed: boolean) {
  return (t: Translation, fields: FieldsWithQ): void => {
    const { immh, q, rn, rd } = fields;
    if (!isNarrow(immh)) return t.undefined();
    const l = new Lanes(t.ir, sizeOfImmh(immh));
    t.setV(rd, l.wider.shl(l.widen(q ? 'high' : 'low', signed, t.v(rn)), leftAmount(fields)));
  };
}

const SIGNED: NarrowKind = { saturating: true, fromSigned: true, toSigned: true };
const SIGNED_TO_UNSIGNED: NarrowKind = { saturating: true, fromSigned: true };
const UNSIGNED: NarrowKind = { saturating: true };

export const shiftImmediateSemantics: Semantics<typeof SIMD_SHIFT_IMMEDIATE> = {
  'SSHR (vector)': right(shr(true)),
  'SSRA (vector)': right(sra(true)),
  'SRSHR (vector)': right(rshr(true)),
  'SRSRA (vector)': right(rsra(true)),
  'SHL (vector)': left(shl),
  'SQSHL (immediate, vector)': left(qshl(true)),
  'SHRN (vector)': narrow({}),
  'RSHRN (vector)': narrow({ rounding: true }),
  'SQSHRN (vector)': narrow(SIGNED),
  'SQRSHRN (vector)': narrow({ ...SIGNED, rounding: true }),
  'SSHLL (vector)': shiftLeftLong(true),
  'USHR (vector)': right(shr(false)),
  'USRA (vector)': right(sra(false)),
  'URSHR (vector)': right(rshr(false)),
  'URSRA (vector)': right(rsra(false)),
  'SRI (vector)': right(sri),
  'SLI (vector)': left(sli),
  'SQSHLU (vector)': left(sqshlu),
  'UQSHL (immediate, vector)': left(qshl(false)),
  'SQSHRUN (vector)': narrow(SIGNED_TO_UNSIGNED),
  'SQRSHRUN (vector)': narrow({ ...SIGNED_TO_UNSIGNED, rounding: true }),
  'UQSHRN (vector)': narrow(UNSIGNED),
  'UQRSHRN (vector)': narrow({ ...UNSIGNED, rounding: true }),
  'USHLL (vector)': shiftLeftLong(false),
};

export const scalarShiftImmediateSemantics: Semantics<typeof SIMD_SCALAR_SHIFT_IMMEDIATE> = {
  'SSHR (scalar)': rightScalar(shr(true)),
  'SSRA (scalar)': rightScalar(sra(true)),
  'SRSHR (scalar)': rightScalar(rshr(true)),
  'SRSRA (scalar)': rightScalar(rsra(true)),
  'SHL (scalar)': leftScalar(shl),
  'SQSHL (immediate, scalar)': leftScalar(qshl(true), true),
  'SQSHRN (scalar)': narrowScalar(SIGNED),
  'SQRSHRN (scalar)': narrowScalar({ ...SIGNED, rounding: true }),
  'USHR (scalar)': rightScalar(shr(false)),
  'USRA (scalar)': rightScalar(sra(false)),
  'URSHR (scalar)': rightScalar(rshr(false)),
  'URSRA (scalar)': rightScalar(rsra(false)),
  'SRI (scalar)': rightScalar(sri),
  'SLI (scalar)': leftScalar(sli),
  'SQSHLU (scalar)': leftScalar(sqshlu, true),
  'UQSHL (immediate, scalar)': leftScalar(qshl(false), true),
  'SQSHRUN (scalar)': narrowScalar(SIGNED_TO_UNSIGNED),
  'SQRSHRUN (scalar)': narrowScalar({ ...SIGNED_TO_UNSIGNED, rounding: true }),
  'UQSHRN (scalar)': narrowScalar(UNSIGNED),
  'UQRSHRN (scalar)': narrowScalar({ ...UNSIGNED, rounding: true }),
};
