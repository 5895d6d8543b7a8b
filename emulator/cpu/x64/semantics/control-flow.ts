/** Jumps, calls and software interrupts. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { IntType } from '../../ir/types.ts';
import type { IntSize } from '../flags.ts';
import type { Semantics } from '../instruction.ts';
import type { CONTROL_FLOW } from '../opcode-map/control-flow.ts';
import type { Operand } from '../operands.ts';
import { GPR } from '../state.ts';
import {
  checkBound,
  checkBranchTarget,
  farCall,
  farJump,
  farReturn,
  interruptReturn,
  softwareInterrupt,
} from '../system/helpers.ts';
import type { Translation } from '../translation.ts';

type Int = Value<IntType>;

/** Byte in the page that a relative operand names. */
function target(t: Translation, operand: Operand): number {
  return t.next + (operand.kind === 'relative' ? operand.distance : 0);
}

/** Sees to it that a near target is canonical, before the instruction changes anything. */
function checkTarget(t: Translation, size: IntSize, ip: Int): Int {
  const { ir } = t;
  if (size === 8) {
    const target = ir.toI64(ip);
    ir.call(checkBranchTarget, ir.eq(ir.shrS(ir.shl(target, 16), 16), target), target);
  }
  return ip;
}

/** A 16-bit jump clears the upper half of EIP. Without a limit 16-bit code is taken not to run round the ends of its 64 KiB. */
function truncatesIp(t: Translation): boolean {
  return t.insn.operandSize === 2 && (t.mode.codeSize === 32 || t.mode.limited);
}

function jumpRelative(t: Translation, a: Operand): void {
  if (truncatesIp(t)) t.indirect(2, t.ip(target(t, a)));
  else t.jump(target(t, a));
}

function branchRelative(t: Translation, condition: Value<'i32'>, a: Operand): void {
  const { ir } = t;
  if (!truncatesIp(t)) return t.branch(condition, target(t, a), t.next);
  const taken = ir.and(t.ip(target(t, a)), ir.i64(0xffff));
  t.indirect(4, ir.select(condition, taken, t.ip(t.next)));
}

/** The count register of LOOP and JCXZ, at the address size. */
function decrementCount(t: Translation): Int {
  const { ir, insn } = t;
  const size = insn.addressSize;
  const count = t.gpr(GPR.CX, size);
  const less = t.flags.truncate(size, ir.sub(count, ir.int(count.type, 1)));
  t.setGpr(GPR.CX, size, less);
  return less;
}

function loop(t: Translation, a: Operand): void {
  const { ir, insn } = t;
  const notZero = ir.eqz(ir.eqz(decrementCount(t)));
  // E0 LOOPNE, E1 LOOPE, E2 LOOP
  if (insn.opcode === 0xe2) return branchRelative(t, notZero, a);
  const flag = t.flags.condition(insn.opcode === 0xe1 ? 4 : 5);
  branchRelative(t, ir.and(notZero, flag), a);
}

function farTarget(t: Translation, a: Operand): { selector: Value<'i32'>; offset: Value<'i64'> } {
  const { ir, insn } = t;
  if (a.kind === 'far') return { selector: ir.i32(a.selector), offset: ir.i64(a.offset) };
  const size = insn.operandSize;
  const offset = ir.toI64(t.load(t.address(a), size));
  return { selector: ir.toI32(t.load(t.addressAt(a, size), 2)), offset };
}

/** INT3 and INTO are kind 1, INT1 kind 2, INT n kind 0. */
function interrupt(t: Translation, vector: number, kind: 0 | 1 | 2): void {
  t.ir.call(softwareInterrupt, t.ir.i32(vector), t.ir.i32(kind), t.length);
  t.resume();
}

/** Width of return addresses and near targets. */
function pointerSize(t: Translation): IntSize {
  return t.insn.operandSize;
}

export const controlFlow: Semantics<typeof CONTROL_FLOW> = {
  Jcc: (t, a) => branchRelative(t, t.flags.condition(t.insn.opcode & 15), a),
  LOOPcc: loop,
  JCXZ: (t, a) => branchRelative(t, t.ir.eqz(t.gpr(GPR.CX, t.insn.addressSize)), a),
  JMP: jumpRelative,
  CALL: (t, a) => {
    const size = pointerSize(t);
    t.push(size, t.resize(t.ip(t.next), 8, size));
    jumpRelative(t, a);
  },
  JMP_indirect: (t, a) => t.indirect(t.size(a), checkTarget(t, t.size(a), t.read(a))),
  CALL_indirect: (t, a) => {
    const size = pointerSize(t);
    const ip = checkTarget(t, size, t.read(a));
    t.push(size, t.resize(t.ip(t.next), 8, size));
    t.indirect(size, ip);
  },
  RET: (t, a) => {
    const size = pointerSize(t);
    const ip = checkTarget(t, size, t.load(t.stackAddress(0), size));
    t.moveStack(size);
    if (a !== undefined && a.kind === 'immediate') t.moveStack(Number(BigInt.asUintN(16, a.value)));
    t.indirect(size, ip);
  },
  JMP_far: (t, a) => {
    const { selector, offset } = farTarget(t, a);
    t.ir.call(farJump, selector, offset, t.ir.i32(t.insn.operandSize), t.length);
    t.resume();
  },
  CALL_far: (t, a) => {
    const { selector, offset } = farTarget(t, a);
    t.ir.call(farCall, selector, offset, t.ir.i32(t.insn.operandSize), t.length);
    t.resume();
  },
  RET_far: (t, a) => {
    const bytes = a !== undefined && a.kind === 'immediate' ? Number(BigInt.asUintN(16, a.value)) : 0;
    t.ir.call(farReturn, t.ir.i32(t.insn.operandSize), t.ir.i32(bytes));
    t.resume();
  },
  INT3: t => interrupt(t, 3, 1),
  INT: (t, a) => interrupt(t, a.kind === 'immediate' ? Number(BigInt.asUintN(8, a.value)) : 0, 0),
  INTO: t => {
    // vector 4 is taken when OF is set: the helper does nothing, and goes on behind, for a negative vector
    const { ir } = t;
    ir.call(softwareInterrupt, ir.select(t.flags.condition(0), ir.i32(4), ir.i32(-1)), ir.i32(1), t.length);
    t.resume();
  },
  INT1: t => interrupt(t, 1, 2),
  IRET: t => {
    t.ir.call(interruptReturn, t.ir.i32(t.insn.operandSize), t.length);
    t.resume();
  },
  UD: t => t.undefined(),
  BOUND: (t, a, b) => {
    const { ir } = t;
    const size = t.size(a);
    const lower = t.load(t.address(b), size);
    const upper = t.load(t.addressAt(b, size), size);
    const signed = (value: Int): Value<'i32'> => ir.toI32(t.signExtend(value, size, 4));
    const wide = (value: Int): Value<'i32'> => (size === 2 ? ir.signExtend(ir.toI32(value), 16) : signed(value));
    const index = wide(t.read(a));
    ir.call(checkBound, ir.and(ir.geS(index, wide(lower)), ir.leS(index, wide(upper))));
  },
};
