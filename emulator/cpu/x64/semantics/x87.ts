/** The x87: memory operands are loaded and stored here, everything else is one helper. Source: Intel SDM vol. 1 "Programming with the x87 FPU". */
import type { Value } from '../../ir/block.ts';
import type { InstructionSemantics, Semantics } from '../instruction.ts';
import type { X87 } from '../opcode-map/x87.ts';
import type { Operand } from '../operands.ts';
import { GPR, X64_STATE } from '../state.ts';
import { x87, x87Environment } from '../system/vector-helpers.ts';
import { packX87, type X87Format, type X87Operation } from '../system/x87-form.ts';
import type { Translation } from '../translation.ts';

function call(t: Translation, form: number, low?: Value<'i64'>, high?: Value<'i32'>): Value<'i64'> {
  return t.ir.call(x87, t.ir.i32(form), low ?? t.ir.i64(0), high ?? t.ir.i32(0));
}

function stIndex(t: Translation): number {
  return t.insn.rm & 7;
}

const FLOAT_FORMATS: Readonly<Record<number, X87Format>> = { 4: 'float32', 8: 'float64' };
const INT_FORMATS: Readonly<Record<number, X87Format>> = { 2: 'int16', 4: 'int32', 8: 'int64' };

function load(t: Translation, a: Operand): Value<'i64'> {
  return t.ir.toI64(t.load(t.address(a), t.size(a)));
}

/** With a memory operand, a float or an integer. */
function memory(operation: X87Operation, formats = FLOAT_FORMATS): InstructionSemantics {
  return (t, a) => void call(t, packX87(operation, formats[a.size]), load(t, a));
}

/** With registers. */
function registers(operation: X87Operation, format: X87Format = 'st0'): InstructionSemantics {
  return t => void call(t, packX87(operation, format, stIndex(t)));
}

/** Stores are in two steps, because a store that faults must not pop. */
function store(
  operation: X87Operation,
  formats: Readonly<Record<number, X87Format>>,
  pops: boolean,
): InstructionSemantics {
  return (t, a) => {
    const value = call(t, packX87(operation, formats[a.size]));
    t.store(t.address(a), t.size(a), t.resize(value, 8, t.size(a)));
    if (pops) call(t, packX87('POP'));
  };
}

/** 80 bits: FLD, FSTP, FBLD, FBSTP. */
function load80(operation: X87Operation): InstructionSemantics {
  return (t, a) => {
    const low = t.ir.toI64(t.load(t.address(a), 8));
    call(t, packX87(operation, 'float80'), low, t.ir.toI32(t.load(t.addressAt(a, 8), 2)));
  };
}

function store80(operation: X87Operation): InstructionSemantics {
  return (t, a) => {
    const low = call(t, packX87(operation, 'float80'));
    const high = call(t, packX87('EXPONENT', operation === 'STORE_BCD' ? 'int64' : 'float80'));
    t.store(t.address(a), 8, low);
    t.store(t.addressAt(a, 8), 2, t.resize(high, 8, 2));
    call(t, packX87('POP'));
  };
}

function constant(index: number): InstructionSemantics {
  return t => void call(t, packX87('CONSTANT', 'st0', index));
}

/** FCMOVcc by a condition number. */
function conditionalMove(condition: number): InstructionSemantics {
  return t => {
    const holds = t.flags.condition(condition);
    call(t, packX87('MOVE', 'sti', stIndex(t)), undefined, holds);
  };
}

/** FCOMI and its like set ZF, PF and CF, and clear the others. */
function compareFlags(operation: X87Operation): InstructionSemantics {
  return t => {
    const flags = call(t, packX87(operation, 'sti', stIndex(t)));
    t.flags.unpack(t.ir.toI32(flags));
  };
}

/** FLDENV, FRSTOR, FNSTENV, FNSAVE: (which, address, operand size). */
function environment(which: number): InstructionSemantics {
  const hasRegisters = (which & 1) !== 0;
  return (t, a) => {
    const size = (t.insn.operandSize === 2 ? 14 : 28) + (hasRegisters ? 80 : 0);
    const address = t.checkedAddress(a, size, which >= 2);
    t.ir.call(x87Environment, t.ir.i32(which), address, t.ir.i32(t.insn.operandSize));
  };
}

function clearPointers({ ir }: Translation): void {
  ir.set(X64_STATE.FIP, ir.i64(0));
  ir.set(X64_STATE.FOP, ir.i32(0));
  ir.set(X64_STATE.FDP, ir.i64(0));
}

function statusWord(t: Translation): Value<'i32'> {
  return t.ir.or(t.ir.get(X64_STATE.FSW), t.ir.shl(t.ir.get(X64_STATE.TOP), 11));
}

/** Instructions that leave the pointers to the last instruction. Source: Intel SDM vol. 1 "x87 FPU Instruction and Data (Operand) Pointers". */
const CONTROL = /^F(N?CLEX|LDCW|NSTCW|NSTSW|NINIT|LDENV|NSTENV|NSAVE|RSTOR|WAIT)|^WAIT/;

/** Keeps instruction pointer, opcode and the offset of a memory operand behind an instruction. */
function recording(mnemonic: string, semantics: InstructionSemantics): InstructionSemantics {
  if (CONTROL.test(mnemonic)) return semantics;
  return (t, a, b, c, d) => {
    semantics(t, a, b, c, d);
    const { ir, insn } = t;
    ir.set(X64_STATE.FIP, t.ip(ir.instructionOffset));
    ir.set(X64_STATE.FOP, ir.i32(((insn.opcode & 7) << 8) | insn.modrm));
    if (a?.kind === 'memory') ir.set(X64_STATE.FDP, ir.toI64(t.effectiveAddress(a)));
  };
}

const instructions: Semantics<typeof X87> = {
  FADDm: memory('ADD'),
  FMULm: memory('MUL'),
  FCOMm: memory('COM'),
  FCOMPm: memory('COMP'),
  FSUBm: memory('SUB'),
  FSUBRm: memory('SUBR'),
  FDIVm: memory('DIV'),
  FDIVRm: memory('DIVR'),
  FIADD: memory('ADD', INT_FORMATS),
  FIMUL: memory('MUL', INT_FORMATS),
  FICOM: memory('COM', INT_FORMATS),
  FICOMP: memory('COMP', INT_FORMATS),
  FISUB: memory('SUB', INT_FORMATS),
  FISUBR: memory('SUBR', INT_FORMATS),
  FIDIV: memory('DIV', INT_FORMATS),
  FIDIVR: memory('DIVR', INT_FORMATS),
  FADD0: registers('ADD'),
  FMUL0: registers('MUL'),
  FCOM: registers('COM'),
  FCOMP: registers('COMP'),
  FSUB0: registers('SUB'),
  FSUBR0: registers('SUBR'),
  FDIV0: registers('DIV'),
  FDIVR0: registers('DIVR'),
  FADDt: registers('ADD', 'sti'),
  FMULt: registers('MUL', 'sti'),
  FSUBRt: registers('SUBR', 'sti'),
  FSUBt: registers('SUB', 'sti'),
  FDIVRt: registers('DIVR', 'sti'),
  FDIVt: registers('DIV', 'sti'),
  FADDp: registers('ADD', 'pop'),
  FMULp: registers('MUL', 'pop'),
  FCOMPP: registers('COMPP'),
  FSUBRp: registers('SUBR', 'pop'),
  FSUBp: registers('SUB', 'pop'),
  FDIVRp: registers('DIVR', 'pop'),
  FDIVp: registers('DIV', 'pop'),
  FLDm: memory('LOAD'),
  FLD80: load80('LOAD'),
  FSTm: store('STORE', FLOAT_FORMATS, false),
  FSTPm: store('STORE', FLOAT_FORMATS, true),
  FSTP80: store80('STORE'),
  FILD: memory('LOAD', INT_FORMATS),
  FIST: store('STORE', INT_FORMATS, false),
  FISTP: store('STORE', INT_FORMATS, true),
  FISTTP: store('STORE_TRUNCATED', INT_FORMATS, true),
  FBLD: load80('LOAD_BCD'),
  FBSTP: store80('STORE_BCD'),
  FLD: registers('LOAD', 'sti'),
  FXCH: registers('EXCHANGE'),
  FFREE: registers('FREE'),
  FST: registers('STORE', 'sti'),
  FSTP: registers('STORE', 'pop'),
  FUCOM: registers('UCOM'),
  FUCOMP: registers('UCOMP'),
  FUCOMPP: registers('UCOMPP'),
  FUCOMI: compareFlags('UCOMI'),
  FCOMI: compareFlags('COMI'),
  FUCOMIP: compareFlags('UCOMIP'),
  FCOMIP: compareFlags('COMIP'),
  FCMOVB: conditionalMove(2),
  FCMOVE: conditionalMove(4),
  FCMOVBE: conditionalMove(6),
  FCMOVU: conditionalMove(10),
  FCMOVNB: conditionalMove(3),
  FCMOVNE: conditionalMove(5),
  FCMOVNBE: conditionalMove(7),
  FCMOVNU: conditionalMove(11),
  FNOP: () => undefined,
  FCHS: registers('CHS'),
  FABS: registers('ABS'),
  FTST: registers('TST'),
  FXAM: registers('XAM'),
  FLD1: constant(0),
  FLDL2T: constant(1),
  FLDL2E: constant(2),
  FLDPI: constant(3),
  FLDLG2: constant(4),
  FLDLN2: constant(5),
  FLDZ: constant(6),
  F2XM1: registers('F2XM1'),
  FYL2X: registers('YL2X'),
  FPTAN: registers('PTAN'),
  FPATAN: registers('PATAN'),
  FXTRACT: registers('XTRACT'),
  FPREM1: registers('PREM1'),
  FDECSTP: registers('DECSTP'),
  FINCSTP: registers('INCSTP'),
  FPREM: registers('PREM'),
  FYL2XP1: registers('YL2XP1'),
  FSQRT: registers('SQRT'),
  FSINCOS: registers('SINCOS'),
  FRNDINT: registers('RNDINT'),
  FSCALE: registers('SCALE'),
  FSIN: registers('SIN'),
  FCOS: registers('COS'),
  FLDENV: environment(0),
  FRSTOR: environment(1),
  FNSTENV: environment(2),
  FNSAVE: (t, a, b, c, d) => {
    environment(3)(t, a, b, c, d);
    clearPointers(t);
  },
  FLDCW: (t, a) => {
    const { ir } = t;
    const value = ir.and(ir.toI32(t.load(t.address(a), 2)), ir.i32(0x1f7f));
    ir.set(X64_STATE.FCW, ir.or(value, ir.i32(0x40)));
    // an exception that is now unmasked is pending
    call(t, packX87('WAIT', 'sti'));
  },
  FNSTCW: (t, a) => t.store(t.address(a), 2, t.ir.get(X64_STATE.FCW)),
  FNSTSW: (t, a) => t.store(t.address(a), 2, statusWord(t)),
  FNSTSW_AX: t => t.setGpr(GPR.AX, 2, statusWord(t)),
  FNCLEX: registers('CLEAR'),
  FNINIT: t => {
    call(t, packX87('INIT'));
    clearPointers(t);
  },
  FWAIT: registers('WAIT'),
};

export const x87Instructions = Object.fromEntries(
  Object.entries(instructions).map(([mnemonic, semantics]) => [
    mnemonic,
    typeof semantics === 'function' ? recording(mnemonic, semantics) : semantics,
  ]),
) as Semantics<typeof X87>;
