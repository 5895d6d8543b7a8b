/**
 * Meaning of the vector floating-point instructions, and of the scalar ones that share their encodings: lane by lane.
 *
 * Source: Arm ARM DDI 0487 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type {
  FP_LANE_THREE_SAME,
  FP_LANE_THREE_SAME_HALF,
  FP_LANE_TWO_REGISTER,
  FP_LANE_TWO_REGISTER_HALF,
  FP_VECTOR_ROUND_WITHIN,
  FP_VECTOR_THREE_SAME,
  FP_VECTOR_THREE_SAME_HALF,
  FP_VECTOR_TWO_REGISTER,
  FP_VECTOR_TWO_REGISTER_HALF,
} from '../encodings/fp-vector.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { type LaneOperation, mapLanes, type OneOperand, type TwoOperands } from './fp-lanes.ts';
import {
  FP_ROUNDING,
  fpAbsolute,
  fpBinary,
  type FpBinary,
  fpFromFixed,
  fpMultiplyAdd,
  fpNegate,
  type FpRounding,
  fpRoundToIntegral,
  fpToFixed,
  fpUnary,
  type FpUnary,
  type FpValue,
  RINT_CONTROL,
} from './fp-operations.ts';
import { neighbours } from './simd-forms.ts';
import { Lanes } from './vector-lanes.ts';
import { setV, vectorBits } from './vector-registers.ts';

// Forms: size 1 half, 2 single, 3 double; `sz` chooses between the last two

interface Registers {
  readonly rn: number;
  readonly rd: number;
}
interface ThreeRegisters extends Registers {
  readonly rm: number;
}
interface VectorFields {
  readonly q: number;
  readonly sz?: number;
}
const HALF = 1;

/** Lane size of a form: `sz`, or half precision where there is none; `undefined` for one double. */
function vectorSize({ q, sz }: VectorFields): number | undefined {
  if (sz === undefined) return HALF;
  return sz && !q ? undefined : 2 + sz;
}

const laneSize = ({ sz }: { readonly sz?: number }): number => (sz === undefined ? HALF : 2 + sz);

/** Vd = op(Vn, Vm), which may read the lane of Vd. */
function vectorThree(op: LaneOperation) {
  return (t: Translation, fields: ThreeRegisters & VectorFields): void => {
    const size = vectorSize(fields);
    if (size === undefined) return t.undefined();
    const bits = vectorBits(fields.q);
    const { rd, rn, rm } = fields;
    setV(t, rd, mapLanes(t, size, bits, op, [t.v(rn), t.v(rm), t.v(rd)]), bits);
  };
}

function laneThree(op: LaneOperation) {
  return (t: Translation, fields: ThreeRegisters & { readonly sz?: number }): void => {
    const size = laneSize(fields);
    const { rd, rn, rm } = fields;
    t.setV(rd, mapLanes(t, size, 8 << size, op, [t.v(rn), t.v(rm), t.v(rd)]));
  };
}

function vectorTwo(op: LaneOperation) {
  return (t: Translation, fields: Registers & VectorFields): void => {
    const size = vectorSize(fields);
    if (size === undefined) return t.undefined();
    const bits = vectorBits(fields.q);
    setV(t, fields.rd, mapLanes(t, size, bits, op, [t.v(fields.rn)]), bits);
  };
}

function laneTwo(op: LaneOperation) {
  return (t: Translation, fields: Registers & { readonly sz?: number }): void => {
    const size = laneSize(fields);
    t.setV(fields.rd, mapLanes(t, size, 8 << size, op, [t.v(fields.rn)]));
  };
}

/** Op on neighbours: those of Vn below those of Vm. */
function pairwise(operation: FpBinary) {
  return (t: Translation, fields: ThreeRegisters & VectorFields): void => {
    const size = vectorSize(fields);
    if (size === undefined) return t.undefined();
    const { q, rd, rn, rm } = fields;
    const pairs = neighbours(new Lanes(t.ir, size), t.v(rn), t.v(rm), q);
    setV(t, rd, mapLanes(t, size, vectorBits(q), binary(operation), pairs), vectorBits(q));
  };
}

// Operations on a lane

const binary =
  (operation: FpBinary): TwoOperands =>
  (t, size, a, b) =>
    fpBinary(t, operation, size, a, b);
const unary =
  (operation: FpUnary): OneOperand =>
  (t, size, a) =>
    fpUnary(t, operation, size, a);
const multiplyAdd: LaneOperation = (t, size, a, b, d) => fpMultiplyAdd(t, size, d, a, b);
const multiplySubtract: LaneOperation = (t, size, a, b, d) => fpMultiplyAdd(t, size, d, fpNegate(t, size, a), b);
const distance: TwoOperands = (t, size, a, b) => fpAbsolute(t, size, fpBinary(t, 'sub', size, a, b));
const absoluteCompare =
  (operation: 'cmge' | 'cmgt'): TwoOperands =>
  (t, size, a, b) =>
    fpBinary(t, operation, size, fpAbsolute(t, size, a), fpAbsolute(t, size, b));

const zeroLike = (t: Translation, a: FpValue): FpValue => t.ir.int(a.type, 0);
/** a op 0 */
const compareZero =
  (operation: 'cmeq' | 'cmge' | 'cmgt'): OneOperand =>
  (t, size, a) =>
    fpBinary(t, operation, size, a, zeroLike(t, a));
/** 0 op a */
const zeroCompare =
  (operation: 'cmge' | 'cmgt'): OneOperand =>
  (t, size, a) =>
    fpBinary(t, operation, size, zeroLike(t, a), a);

const round =
  (mode: FpRounding, control = 0): OneOperand =>
  (t, size, a) =>
    fpRoundToIntegral(t, size, a, mode | control);
const toInteger =
  (rounding: FpRounding, signed: boolean): OneOperand =>
  (t, size, a) => {
    const result = fpToFixed(t, size, a, { size, signed, rounding, fractionBits: 0 });
    return size === 3 ? result : t.ir.toI32(result);
  };
const fromInteger =
  (signed: boolean): OneOperand =>
  (t, size, a) =>
    fpFromFixed(t, size, t.ir.toI64(a), { size, signed, rounding: FP_ROUNDING.current, fractionBits: 0 });

export const vectorThreeSameSemantics: Semantics<typeof FP_VECTOR_THREE_SAME> = {
  'FMAXNM (vector)': vectorThree(binary('maxnm')),
  'FMINNM (vector)': vectorThree(binary('minnm')),
  'FMLA (vector)': vectorThree(multiplyAdd),
  'FMLS (vector)': vectorThree(multiplySubtract),
  'FADD (vector)': vectorThree(binary('add')),
  'FSUB (vector)': vectorThree(binary('sub')),
  'FMULX (vector)': vectorThree(binary('mulx')),
  'FCMEQ (register, vector)': vectorThree(binary('cmeq')),
  'FMAX (vector)': vectorThree(binary('max')),
  'FMIN (vector)': vectorThree(binary('min')),
  'FRECPS (vector)': vectorThree(binary('recps')),
  'FRSQRTS (vector)': vectorThree(binary('rsqrts')),
  'FMAXNMP (vector)': pairwise('maxnm'),
  'FMINNMP (vector)': pairwise('minnm'),
  'FADDP (vector)': pairwise('add'),
  'FABD (vector)': vectorThree(distance),
  'FMUL (vector)': vectorThree(binary('mul')),
  'FCMGE (register, vector)': vectorThree(binary('cmge')),
  'FCMGT (register, vector)': vectorThree(binary('cmgt')),
  'FACGE (vector)': vectorThree(absoluteCompare('cmge')),
  'FACGT (vector)': vectorThree(absoluteCompare('cmgt')),
  'FMAXP (vector)': pairwise('max'),
  'FMINP (vector)': pairwise('min'),
  'FDIV (vector)': vectorThree(binary('div')),
};

export const vectorThreeSameHalfSemantics: Semantics<typeof FP_VECTOR_THREE_SAME_HALF> = {
  'FMAXNM (vector, half)': vectorThree(binary('maxnm')),
  'FMINNM (vector, half)': vectorThree(binary('minnm')),
  'FMLA (vector, half)': vectorThree(multiplyAdd),
  'FMLS (vector, half)': vectorThree(multiplySubtract),
  'FADD (vector, half)': vectorThree(binary('add')),
  'FSUB (vector, half)': vectorThree(binary('sub')),
  'FMULX (vector, half)': vectorThree(binary('mulx')),
  'FCMEQ (register, vector, half)': vectorThree(binary('cmeq')),
  'FMAX (vector, half)': vectorThree(binary('max')),
  'FMIN (vector, half)': vectorThree(binary('min')),
  'FRECPS (vector, half)': vectorThree(binary('recps')),
  'FRSQRTS (vector, half)': vectorThree(binary('rsqrts')),
  'FMAXNMP (vector, half)': pairwise('maxnm'),
  'FMINNMP (vector, half)': pairwise('minnm'),
  'FADDP (vector, half)': pairwise('add'),
  'FABD (vector, half)': vectorThree(distance),
  'FMUL (vector, half)': vectorThree(binary('mul')),
  'FCMGE (register, vector, half)': vectorThree(binary('cmge')),
  'FCMGT (register, vector, half)': vectorThree(binary('cmgt')),
  'FACGE (vector, half)': vectorThree(absoluteCompare('cmge')),
  'FACGT (vector, half)': vectorThree(absoluteCompare('cmgt')),
  'FMAXP (vector, half)': pairwise('max'),
  'FMINP (vector, half)': pairwise('min'),
  'FDIV (vector, half)': vectorThree(binary('div')),
};

export const laneThreeSameSemantics: Semantics<typeof FP_LANE_THREE_SAME> = {
  'FMULX (scalar lane)': laneThree(binary('mulx')),
  'FCMEQ (register, scalar lane)': laneThree(binary('cmeq')),
  'FRECPS (scalar lane)': laneThree(binary('recps')),
  'FRSQRTS (scalar lane)': laneThree(binary('rsqrts')),
  'FABD (scalar lane)': laneThree(distance),
  'FCMGE (register, scalar lane)': laneThree(binary('cmge')),
  'FCMGT (register, scalar lane)': laneThree(binary('cmgt')),
  'FACGE (scalar lane)': laneThree(absoluteCompare('cmge')),
  'FACGT (scalar lane)': laneThree(absoluteCompare('cmgt')),
};

export const laneThreeSameHalfSemantics: Semantics<typeof FP_LANE_THREE_SAME_HALF> = {
  'FMULX (scalar lane, half)': laneThree(binary('mulx')),
  'FCMEQ (register, scalar lane, half)': laneThree(binary('cmeq')),
  'FRECPS (scalar lane, half)': laneThree(binary('recps')),
  'FRSQRTS (scalar lane, half)': laneThree(binary('rsqrts')),
  'FABD (scalar lane, half)': laneThree(distance),
  'FCMGE (register, scalar lane, half)': laneThree(binary('cmge')),
  'FCMGT (register, scalar lane, half)': laneThree(binary('cmgt')),
  'FACGE (scalar lane, half)': laneThree(absoluteCompare('cmge')),
  'FACGT (scalar lane, half)': laneThree(absoluteCompare('cmgt')),
};

export const vectorTwoRegisterSemantics: Semantics<typeof FP_VECTOR_TWO_REGISTER> = {
  'FRINTN (vector)': vectorTwo(round(FP_ROUNDING.nearest)),
  'FRINTM (vector)': vectorTwo(round(FP_ROUNDING.down)),
  'FCVTNS (vector)': vectorTwo(toInteger(FP_ROUNDING.nearest, true)),
  'FCVTMS (vector)': vectorTwo(toInteger(FP_ROUNDING.down, true)),
  'FCVTAS (vector)': vectorTwo(toInteger(FP_ROUNDING.away, true)),
  'SCVTF (integer, vector)': vectorTwo(fromInteger(true)),
  'FCMGT (zero, vector)': vectorTwo(compareZero('cmgt')),
  'FCMEQ (zero, vector)': vectorTwo(compareZero('cmeq')),
  'FCMLT (zero, vector)': vectorTwo(zeroCompare('cmgt')),
  'FABS (vector)': vectorTwo(fpAbsolute),
  'FRINTP (vector)': vectorTwo(round(FP_ROUNDING.up)),
  'FRINTZ (vector)': vectorTwo(round(FP_ROUNDING.zero)),
  'FCVTPS (vector)': vectorTwo(toInteger(FP_ROUNDING.up, true)),
  'FCVTZS (integer, vector)': vectorTwo(toInteger(FP_ROUNDING.zero, true)),
  'FRECPE (vector)': vectorTwo(unary('recpe')),
  'FRINTA (vector)': vectorTwo(round(FP_ROUNDING.away)),
  'FRINTX (vector)': vectorTwo(round(FP_ROUNDING.current, RINT_CONTROL.exact)),
  'FCVTNU (vector)': vectorTwo(toInteger(FP_ROUNDING.nearest, false)),
  'FCVTMU (vector)': vectorTwo(toInteger(FP_ROUNDING.down, false)),
  'FCVTAU (vector)': vectorTwo(toInteger(FP_ROUNDING.away, false)),
  'UCVTF (integer, vector)': vectorTwo(fromInteger(false)),
  'FCMGE (zero, vector)': vectorTwo(compareZero('cmge')),
  'FCMLE (zero, vector)': vectorTwo(zeroCompare('cmge')),
  'FNEG (vector)': vectorTwo(fpNegate),
  'FRINTI (vector)': vectorTwo(round(FP_ROUNDING.current)),
  'FCVTPU (vector)': vectorTwo(toInteger(FP_ROUNDING.up, false)),
  'FCVTZU (integer, vector)': vectorTwo(toInteger(FP_ROUNDING.zero, false)),
  'FRSQRTE (vector)': vectorTwo(unary('rsqrte')),
  'FSQRT (vector)': vectorTwo(unary('sqrt')),
};

export const vectorTwoRegisterHalfSemantics: Semantics<typeof FP_VECTOR_TWO_REGISTER_HALF> = {
  'FRINTN (vector, half)': vectorTwo(round(FP_ROUNDING.nearest)),
  'FRINTM (vector, half)': vectorTwo(round(FP_ROUNDING.down)),
  'FCVTNS (vector, half)': vectorTwo(toInteger(FP_ROUNDING.nearest, true)),
  'FCVTMS (vector, half)': vectorTwo(toInteger(FP_ROUNDING.down, true)),
  'FCVTAS (vector, half)': vectorTwo(toInteger(FP_ROUNDING.away, true)),
  'SCVTF (integer, vector, half)': vectorTwo(fromInteger(true)),
  'FCMGT (zero, vector, half)': vectorTwo(compareZero('cmgt')),
  'FCMEQ (zero, vector, half)': vectorTwo(compareZero('cmeq')),
  'FCMLT (zero, vector, half)': vectorTwo(zeroCompare('cmgt')),
  'FABS (vector, half)': vectorTwo(fpAbsolute),
  'FRINTP (vector, half)': vectorTwo(round(FP_ROUNDING.up)),
  'FRINTZ (vector, half)': vectorTwo(round(FP_ROUNDING.zero)),
  'FCVTPS (vector, half)': vectorTwo(toInteger(FP_ROUNDING.up, true)),
  'FCVTZS (integer, vector, half)': vectorTwo(toInteger(FP_ROUNDING.zero, true)),
  'FRECPE (vector, half)': vectorTwo(unary('recpe')),
  'FRINTA (vector, half)': vectorTwo(round(FP_ROUNDING.away)),
  'FRINTX (vector, half)': vectorTwo(round(FP_ROUNDING.current, RINT_CONTROL.exact)),
  'FCVTNU (vector, half)': vectorTwo(toInteger(FP_ROUNDING.nearest, false)),
  'FCVTMU (vector, half)': vectorTwo(toInteger(FP_ROUNDING.down, false)),
  'FCVTAU (vector, half)': vectorTwo(toInteger(FP_ROUNDING.away, false)),
  'UCVTF (integer, vector, half)': vectorTwo(fromInteger(false)),
  'FCMGE (zero, vector, half)': vectorTwo(compareZero('cmge')),
  'FCMLE (zero, vector, half)': vectorTwo(zeroCompare('cmge')),
  'FNEG (vector, half)': vectorTwo(fpNegate),
  'FRINTI (vector, half)': vectorTwo(round(FP_ROUNDING.current)),
  'FCVTPU (vector, half)': vectorTwo(toInteger(FP_ROUNDING.up, false)),
  'FCVTZU (integer, vector, half)': vectorTwo(toInteger(FP_ROUNDING.zero, false)),
  'FRSQRTE (vector, half)': vectorTwo(unary('rsqrte')),
  'FSQRT (vector, half)': vectorTwo(unary('sqrt')),
};

export const laneTwoRegisterSemantics: Semantics<typeof FP_LANE_TWO_REGISTER> = {
  'FCVTNS (scalar lane)': laneTwo(toInteger(FP_ROUNDING.nearest, true)),
  'FCVTMS (scalar lane)': laneTwo(toInteger(FP_ROUNDING.down, true)),
  'FCVTAS (scalar lane)': laneTwo(toInteger(FP_ROUNDING.away, true)),
  'SCVTF (integer, scalar lane)': laneTwo(fromInteger(true)),
  'FCMGT (zero, scalar lane)': laneTwo(compareZero('cmgt')),
  'FCMEQ (zero, scalar lane)': laneTwo(compareZero('cmeq')),
  'FCMLT (zero, scalar lane)': laneTwo(zeroCompare('cmgt')),
  'FCVTPS (scalar lane)': laneTwo(toInteger(FP_ROUNDING.up, true)),
  'FCVTZS (integer, scalar lane)': laneTwo(toInteger(FP_ROUNDING.zero, true)),
  'FRECPE (scalar lane)': laneTwo(unary('recpe')),
  'FCVTNU (scalar lane)': laneTwo(toInteger(FP_ROUNDING.nearest, false)),
  'FCVTMU (scalar lane)': laneTwo(toInteger(FP_ROUNDING.down, false)),
  'FCVTAU (scalar lane)': laneTwo(toInteger(FP_ROUNDING.away, false)),
  'UCVTF (integer, scalar lane)': laneTwo(fromInteger(false)),
  'FCMGE (zero, scalar lane)': laneTwo(compareZero('cmge')),
  'FCMLE (zero, scalar lane)': laneTwo(zeroCompare('cmge')),
  'FCVTPU (scalar lane)': laneTwo(toInteger(FP_ROUNDING.up, false)),
  'FCVTZU (integer, scalar lane)': laneTwo(toInteger(FP_ROUNDING.zero, false)),
  'FRSQRTE (scalar lane)': laneTwo(unary('rsqrte')),
  FRECPX: laneTwo(unary('recpx')),
};

export const laneTwoRegisterHalfSemantics: Semantics<typeof FP_LANE_TWO_REGISTER_HALF> = {
  'FCVTNS (scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.nearest, true)),
  'FCVTMS (scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.down, true)),
  'FCVTAS (scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.away, true)),
  'SCVTF (integer, scalar lane, half)': laneTwo(fromInteger(true)),
  'FCMGT (zero, scalar lane, half)': laneTwo(compareZero('cmgt')),
  'FCMEQ (zero, scalar lane, half)': laneTwo(compareZero('cmeq')),
  'FCMLT (zero, scalar lane, half)': laneTwo(zeroCompare('cmgt')),
  'FCVTPS (scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.up, true)),
  'FCVTZS (integer, scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.zero, true)),
  'FRECPE (scalar lane, half)': laneTwo(unary('recpe')),
  'FCVTNU (scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.nearest, false)),
  'FCVTMU (scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.down, false)),
  'FCVTAU (scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.away, false)),
  'UCVTF (integer, scalar lane, half)': laneTwo(fromInteger(false)),
  'FCMGE (zero, scalar lane, half)': laneTwo(compareZero('cmge')),
  'FCMLE (zero, scalar lane, half)': laneTwo(zeroCompare('cmge')),
  'FCVTPU (scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.up, false)),
  'FCVTZU (integer, scalar lane, half)': laneTwo(toInteger(FP_ROUNDING.zero, false)),
  'FRSQRTE (scalar lane, half)': laneTwo(unary('rsqrte')),
  'FRECPX (half)': laneTwo(unary('recpx')),
};

export const vectorRoundWithinSemantics: Semantics<typeof FP_VECTOR_ROUND_WITHIN> = {
  'FRINT32Z (vector)': vectorTwo(round(FP_ROUNDING.zero, RINT_CONTROL.within32)),
  'FRINT64Z (vector)': vectorTwo(round(FP_ROUNDING.zero, RINT_CONTROL.within64)),
  'FRINT32X (vector)': vectorTwo(round(FP_ROUNDING.current, RINT_CONTROL.within32)),
  'FRINT64X (vector)': vectorTwo(round(FP_ROUNDING.current, RINT_CONTROL.within64)),
};
