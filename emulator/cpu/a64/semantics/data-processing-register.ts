/** Arm ARM DDI 0487 "Data Processing -- Register": logical, arithmetic and conditional instructions. */
import type { Value } from '../../ir/block.ts';
import type { IntType } from '../../ir/types.ts';
import type {
  ADD_SUB_CARRY,
  ADD_SUB_EXTENDED,
  ADD_SUB_SHIFTED,
  CONDITIONAL_COMPARE,
  CONDITIONAL_SELECT,
  FLAG_MANIPULATION,
  LOGICAL_SHIFTED,
} from '../encodings/data-processing-register.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { amountOutOfRange, extendedRegister, shiftedRegister } from './operands.ts';

interface ShiftedFields {
  readonly sf: number;
  readonly shift: number;
  readonly rm: number;
  readonly imm6: number;
  readonly rn: number;
  readonly rd: number;
}

type Binary = (t: Translation, a: Value<IntType>, b: Value<IntType>) => Value<IntType>;

/** rd = operation(rn, rm shifted). */
function shifted(operation: Binary, hasRor: boolean): (t: Translation, f: ShiftedFields) => void {
  return (t, f) => {
    if (amountOutOfRange(f.sf, f.imm6) || (f.shift === 3 && !hasRor)) return t.undefined();
    t.setReg(f.rd, operation(t, t.reg(f.sf, f.rn), shiftedRegister(t, f.sf, f.rm, f.shift, f.imm6)));
  };
}

/** Sets the flags of a logical operation's result. */
function withFlags(operation: Binary): Binary {
  return (t, a, b) => {
    const result = operation(t, a, b);
    t.flags.logical(result);
    return result;
  };
}

const and: Binary = (t, a, b) => t.ir.and(a, b);
const bic: Binary = (t, a, b) => t.ir.and(a, t.ir.not(b));

export const logicalShifted: Semantics<typeof LOGICAL_SHIFTED> = {
  'AND (shifted register)': shifted(and, true),
  'BIC (shifted register)': shifted(bic, true),
  'ORR (shifted register)': shifted((t, a, b) => t.ir.or(a, b), true),
  'ORN (shifted register)': shifted((t, a, b) => t.ir.or(a, t.ir.not(b)), true),
  'EOR (shifted register)': shifted((t, a, b) => t.ir.xor(a, b), true),
  'EON (shifted register)': shifted((t, a, b) => t.ir.xor(a, t.ir.not(b)), true),
  'ANDS (shifted register)': shifted(withFlags(and), true),
  'BICS (shifted register)': shifted(withFlags(bic), true),
};

export const addSubShifted: Semantics<typeof ADD_SUB_SHIFTED> = {
  'ADD (shifted register)': shifted((t, a, b) => t.ir.add(a, b), false),
  'ADDS (shifted register)': shifted((t, a, b) => t.flags.add(a, b), false),
  'SUB (shifted register)': shifted((t, a, b) => t.ir.sub(a, b), false),
  'SUBS (shifted register)': shifted((t, a, b) => t.flags.sub(a, b), false),
};

interface ExtendedFields {
  readonly sf: number;
  readonly rm: number;
  readonly option: number;
  readonly imm3: number;
  readonly rn: number;
  readonly rd: number;
}

/** rd (or SP) = operation(rn or SP, rm extended). */
function extended(operation: Binary, toSp: boolean): (t: Translation, f: ExtendedFields) => void {
  return (t, f) => {
    if (f.imm3 > 4) return t.undefined();
    const result = operation(t, t.regOrSp(f.sf, f.rn), extendedRegister(t, f.sf, f.rm, f.option, f.imm3));
    if (toSp) t.setRegOrSp(f.rd, result);
    else t.setReg(f.rd, result);
  };
}

export const addSubExtended: Semantics<typeof ADD_SUB_EXTENDED> = {
  'ADD (extended register)': extended((t, a, b) => t.ir.add(a, b), true),
  'ADDS (extended register)': extended((t, a, b) => t.flags.add(a, b), false),
  'SUB (extended register)': extended((t, a, b) => t.ir.sub(a, b), true),
  'SUBS (extended register)': extended((t, a, b) => t.flags.sub(a, b), false),
};

export const addSubCarry: Semantics<typeof ADD_SUB_CARRY> = {
  ADC: (t, f) => {
    const a = t.reg(f.sf, f.rn);
    t.setReg(f.rd, t.ir.add(t.ir.add(a, t.reg(f.sf, f.rm)), t.flags.carryAs(a.type)));
  },
  ADCS: (t, f) => t.setReg(f.rd, t.flags.addWithCarry(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm))),
  SBC: (t, f) => {
    const a = t.reg(f.sf, f.rn);
    t.setReg(f.rd, t.ir.add(t.ir.add(a, t.ir.not(t.reg(f.sf, f.rm))), t.flags.carryAs(a.type)));
  },
  SBCS: (t, f) => t.setReg(f.rd, t.flags.addWithCarry(t.reg(f.sf, f.rn), t.ir.not(t.reg(f.sf, f.rm)))),
};

/** SETF8, SETF16: N, Z and V as of a sum of `bits` bits; C stays. */
function setFlagsOfNarrowSum(t: Translation, rn: number, bits: 8 | 16): void {
  const { ir, flags } = t;
  const value = t.w(rn);
  const bit = (at: number): Value<'i32'> => ir.and(ir.shrU(value, at), ir.i32(1));
  flags.setN(bit(bits - 1));
  flags.setZ(ir.eqz(ir.and(value, ir.i32((1 << bits) - 1))));
  flags.setV(ir.xor(bit(bits), bit(bits - 1)));
}

export const flagManipulation: Semantics<typeof FLAG_MANIPULATION> = {
  RMIF: (t, f) => {
    const rotated = t.ir.toI32(t.ir.rotr(t.x(f.rn), f.imm6));
    const bit = (at: number): Value<'i32'> => t.ir.and(t.ir.shrU(rotated, at), t.ir.i32(1));
    if (f.mask & 8) t.flags.setN(bit(3));
    if (f.mask & 4) t.flags.setZ(bit(2));
    if (f.mask & 2) t.flags.setC(bit(1));
    if (f.mask & 1) t.flags.setV(bit(0));
  },
  SETF8: (t, f) => setFlagsOfNarrowSum(t, f.rn, 8),
  SETF16: (t, f) => setFlagsOfNarrowSum(t, f.rn, 16),
};

export const conditionalCompare: Semantics<typeof CONDITIONAL_COMPARE> = {
  'CCMN (register)': (t, f) => t.flags.conditionalCompare('add', t.reg(f.sf, f.rn), t.reg(f.sf, f.rm), f.cond, f.nzcv),
  'CCMP (register)': (t, f) => t.flags.conditionalCompare('sub', t.reg(f.sf, f.rn), t.reg(f.sf, f.rm), f.cond, f.nzcv),
  'CCMN (immediate)': (t, f) => {
    const a = t.reg(f.sf, f.rn);
    t.flags.conditionalCompare('add', a, t.ir.int(a.type, f.imm5), f.cond, f.nzcv);
  },
  'CCMP (immediate)': (t, f) => {
    const a = t.reg(f.sf, f.rn);
    t.flags.conditionalCompare('sub', a, t.ir.int(a.type, f.imm5), f.cond, f.nzcv);
  },
};

/** The number of the opposite condition. AL and NV have none: both hold. */
function opposite(cond: number): number | undefined {
  return cond < 14 ? cond ^ 1 : undefined;
}

/** 1 when the condition does not hold, in the width of the instruction. */
function failed(t: Translation, sf: number, cond: number): Value<IntType> {
  const inverse = opposite(cond);
  const flag = inverse === undefined ? t.ir.i32(0) : t.flags.condition(inverse);
  return sf ? t.ir.toI64(flag) : flag;
}

export const conditionalSelect: Semantics<typeof CONDITIONAL_SELECT> = {
  CSEL: (t, f) => t.setReg(f.rd, t.ir.select(t.flags.condition(f.cond), t.reg(f.sf, f.rn), t.reg(f.sf, f.rm))),
  CSINC: (t, f) => {
    // CSET and CINC: the flag itself is what is added
    if (f.rn === f.rm) return t.setReg(f.rd, t.ir.add(t.reg(f.sf, f.rn), failed(t, f.sf, f.cond)));
    const b = t.reg(f.sf, f.rm);
    const incremented = t.ir.add(b, t.ir.int(b.type, 1));
    t.setReg(f.rd, t.ir.select(t.flags.condition(f.cond), t.reg(f.sf, f.rn), incremented));
  },
  CSINV: (t, f) => {
    // CSETM and CINV: exclusive or with the flag as a mask
    if (f.rn === f.rm) return t.setReg(f.rd, t.ir.xor(t.reg(f.sf, f.rn), t.ir.neg(failed(t, f.sf, f.cond))));
    const b = t.ir.not(t.reg(f.sf, f.rm));
    t.setReg(f.rd, t.ir.select(t.flags.condition(f.cond), t.reg(f.sf, f.rn), b));
  },
  CSNEG: (t, f) => {
    const b = t.ir.neg(t.reg(f.sf, f.rm));
    t.setReg(f.rd, t.ir.select(t.flags.condition(f.cond), t.reg(f.sf, f.rn), b));
  },
};
