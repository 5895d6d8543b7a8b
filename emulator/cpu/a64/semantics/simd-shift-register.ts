/**
 * Shifts by a register: each lane shifts left by the signed low byte of the other operand's lane, or right when that is negative.
 *
 * WebAssembly shifts all lanes by one amount, so these call helpers on 64 bits at a time.
 * Source: Arm ARM DDI 0487 "SSHL", "SRSHL", "SQSHL (register)", "SQRSHL" and their unsigned forms.
 */
import { pureHelper, systemHelper } from '../../ir/helper-declaration.ts';
import type { Translation } from '../translation.ts';
import { BHSD, isVector, type Sizes } from './simd-forms.ts';
import { lowBits, vectorBits } from './vector-registers.ts';

/** (lanes of 64 bits, amounts of 64 bits, control) → lanes. */
export const shiftLanes = pureHelper('a64.shiftLanes', ['i64', 'i64', 'i32'], 'i64');
/** The same with saturation: sets FPSR.QC. */
export const shiftLanesSaturating = systemHelper('a64.shiftLanesSaturating', ['i64', 'i64', 'i32'], 'i64');

/** Bits of the helpers' control argument, above the lane size in bits 1 and 0. */
export const SHIFT_CONTROL = { size: 3, signed: 4, rounding: 8 } as const;

interface ShiftKind {
  readonly signed?: boolean;
  readonly rounding?: boolean;
  readonly saturating?: boolean;
}

interface Fields {
  readonly size: number;
  readonly rm: number;
  readonly rn: number;
  readonly rd: number;
}

/** Vd = Vn shifted by Vm. */
export function registerShift(kind: ShiftKind) {
  return (t: Translation, fields: Fields & { readonly q: number }): void => {
    if (!isVector(BHSD, fields.size, fields.q)) return t.undefined();
    shift(t, kind, fields, vectorBits(fields.q));
  };
}

/** The same on the lowest lane. */
export function registerShiftScalar([smallest, largest]: Sizes, kind: ShiftKind) {
  return (t: Translation, fields: Fields): void => {
    if (fields.size < smallest || fields.size > largest) return t.undefined();
    shift(t, kind, fields, 8 << fields.size);
  };
}

function shift(t: Translation, kind: ShiftKind, { size, rm, rn, rd }: Fields, bits: number): void {
  const { ir } = t;
  const helper = kind.saturating ? shiftLanesSaturating : shiftLanes;
  const control = size | (kind.signed ? SHIFT_CONTROL.signed : 0) | (kind.rounding ? SHIFT_CONTROL.rounding : 0);
  // Lanes that do not count are zero: they never saturate.
  const values = lowBits(ir, t.v(rn), bits);
  const amounts = t.v(rm);
  const half = (index: number) =>
    ir.call(
      helper,
      ir.lane('i64x2.extract_lane', index, values),
      ir.lane('i64x2.extract_lane', index, amounts),
      ir.i32(control),
    );
  const low = ir.op('i64x2.splat', half(0));
  t.setV(rd, ir.lane('i64x2.replace_lane', 1, low, bits === 128 ? half(1) : ir.i64(0)));
}
