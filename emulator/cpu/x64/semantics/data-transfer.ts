/** Moves, stack, flags and strings. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { IntSize } from '../flags.ts';
import type { Semantics } from '../instruction.ts';
import type { FLAG_ROWS, HINTS, MOVES, STRINGS } from '../opcode-map/data-transfer.ts';
import type { Operand } from '../operands.ts';
import { EFLAGS, GPR, SEGMENT, X64_STATE } from '../state.ts';
import { changeInterruptFlag, interruptsEnabled, pause, stringOperation, writeFlags } from '../system/helpers.ts';
import { packStringForm, type StringOperation } from '../system/string-form.ts';
import type { Translation } from '../translation.ts';

/** Operand size of pushes and pops. */
function stackOperandSize(t: Translation): 2 | 4 | 8 {
  return t.insn.operandSize;
}

function moveExtended(signed: boolean): (t: Translation, a: Operand, b: Operand) => void {
  return (t, a, b) => {
    const [to, from] = [t.size(a), t.size(b)];
    const value = t.read(b);
    t.write(a, signed ? t.signExtend(value, from, to) : t.resize(value, from, to));
  };
}

function exchange(t: Translation, a: Operand, b: Operand): void {
  const first = t.read(a, true);
  const second = t.read(b);
  t.write(a, second);
  t.write(b, first);
}

function popTo(t: Translation, a: Operand): void {
  const size = stackOperandSize(t);
  const value = t.load(t.stackAddress(0), size);
  if (a.kind === 'memory') {
    t.stackAdjustment = size;
    t.write(a, value);
    t.moveStack(size);
  } else {
    t.moveStack(size);
    t.write(a, value);
  }
}

function pushAll(t: Translation): void {
  const size = stackOperandSize(t);
  for (let number = 0; number < 8; number++) {
    t.store(t.stackAddress(-size * (number + 1)), size, t.gpr(number, size));
  }
  t.moveStack(-8 * size);
}

function popAll(t: Translation): void {
  const size = stackOperandSize(t);
  const values = Array.from({ length: 8 }, (_, number) => t.load(t.stackAddress(size * (7 - number)), size));
  values.forEach((value, number) => {
    if (number !== GPR.SP) t.setGpr(number, size, value);
  });
  t.moveStack(8 * size);
}

/** ENTER with nesting level 0 to 31. */
function enter(t: Translation, a: Operand, b: Operand): void {
  const { ir } = t;
  const size = stackOperandSize(t);
  const bytes = a.kind === 'immediate' ? Number(BigInt.asUintN(16, a.value)) : 0;
  const level = b.kind === 'immediate' ? Number(b.value) & 31 : 0;
  const frame = t.gpr(GPR.BP, size);
  const pointer = t.gpr(GPR.SP, t.stackSize);
  t.store(t.stackAddress(-size), size, frame);
  const framePointer = t.flags.truncate(t.stackSize, ir.sub(pointer, ir.int(pointer.type, size)));
  for (let i = 1; i < level; i++) {
    const outer = t.gpr(GPR.BP, t.stackSize);
    const address = t.flags.truncate(t.stackSize, ir.sub(outer, ir.int(outer.type, i * size)));
    t.store(t.stackAddress(-size * (i + 1)), size, t.load(t.linear(SEGMENT.SS, address), size));
  }
  if (level > 0) t.store(t.stackAddress(-size * (level + 1)), size, t.resize(framePointer, t.stackSize, size));
  // the new stack must be writable before anything changes
  t.load(t.stackAddress(-size * (level + 1) - bytes), size, true);
  t.moveStack(-size * (level + 1) - bytes);
  t.setGpr(GPR.BP, size, t.resize(framePointer, t.stackSize, size));
}

export const moves: Semantics<typeof MOVES> = {
  MOV: (t, a, b) => t.write(a, t.readAs(b, t.size(a))),
  MOVNTI: (t, a, b) => t.write(a, t.read(b)),
  LEA: (t, a, b) => {
    const { ir } = t;
    if (b.kind !== 'memory') return t.undefined();
    const address = t.effectiveAddress(b);
    const size = t.size(a);
    t.write(a, size === 8 ? ir.toI64(address) : t.flags.truncate(size, ir.toI32(address)));
  },
  MOVZX: moveExtended(false),
  MOVSX: moveExtended(true),
  XCHG: (t, a, b) => {
    const isNop = t.insn.opcode === 0x90 && a.kind === 'register' && a.number === GPR.AX;
    if (!isNop) exchange(t, a, b);
  },
  CMOVcc: (t, a, b) => {
    const value = t.read(b);
    const condition = t.flags.condition(t.insn.opcode & 15);
    t.write(a, t.ir.select(condition, value, t.read(a)));
  },
  SETcc: (t, a) => t.write(a, t.flags.condition(t.insn.opcode & 15)),
  PUSH: (t, a) => {
    const size = stackOperandSize(t);
    t.push(size, t.readAs(a, size));
  },
  POP: popTo,
  PUSHA: pushAll,
  POPA: popAll,
  ENTER: enter,
  LEAVE: t => {
    const { ir } = t;
    const size = stackOperandSize(t);
    const frame = t.gpr(GPR.BP, t.stackSize);
    const value = t.load(t.linear(SEGMENT.SS, frame), size);
    const pointer = t.flags.truncate(t.stackSize, ir.add(frame, ir.int(frame.type, size)));
    t.setGpr(GPR.SP, t.stackSize, pointer);
    t.setGpr(GPR.BP, size, value);
  },
  // not in Intel's opcode map, but in every processor
  SALC: t => t.setGpr(GPR.AX, 1, t.ir.neg(t.flags.carryAs('i32'))),
  XLAT: t => {
    const { ir, insn } = t;
    const size = insn.addressSize;
    const base = size === 8 ? ir.get(X64_STATE.r[GPR.BX]!) : t.gpr(GPR.BX, size);
    const index = t.resize(t.gpr(GPR.AX, 1), 1, size);
    const offset = t.flags.truncate(size, ir.add(base, index));
    t.setGpr(GPR.AX, 1, t.load(t.linear(insn.prefixes.segment ?? SEGMENT.DS, offset), 1));
  },
};

const nothing = (): void => undefined;

export const hints: Semantics<typeof HINTS> = {
  NOP: nothing,
  PAUSE: t => {
    if (!t.options.pauseEndsTurn) return;
    t.ir.call(pause);
    t.endBlock();
  },
  LFENCE: nothing,
  MFENCE: nothing,
  SFENCE: nothing,
  // the address must be readable, as for a load of a byte
  CLFLUSH: (t, a) => void t.load(t.address(a), 1),
};

/** EFLAGS or FLAGS as PUSHF stores them: RF and VM read as 0. */
function packedFlags(t: Translation): Value<'i32'> {
  const { ir } = t;
  const system = ir.and(ir.get(X64_STATE.eflags), ir.i32(~(EFLAGS.RF | EFLAGS.VM)));
  return ir.or(ir.or(t.flags.pack(), system), ir.i32(EFLAGS.FIXED));
}

/** POPF at CPL 0 changes all but VM, VIP, VIF; elsewhere a helper decides. */
function popFlags(t: Translation): void {
  const size = stackOperandSize(t);
  const value = t.pop(size);
  t.ir.call(writeFlags, t.ir.toI64(value), t.ir.i32(size), t.length);
  t.resume();
}

function setFlag(flag: number): (t: Translation) => void {
  return t => t.ir.set(X64_STATE.eflags, t.ir.or(t.ir.get(X64_STATE.eflags), t.ir.i32(flag)));
}

function clearFlag(flag: number): (t: Translation) => void {
  return t => t.ir.set(X64_STATE.eflags, t.ir.and(t.ir.get(X64_STATE.eflags), t.ir.i32(~flag)));
}

const setInterrupt = setFlag(EFLAGS.IF);
const clearInterrupt = clearFlag(EFLAGS.IF);

function changeInterrupts(t: Translation, which: 0 | 1): void {
  t.ir.call(changeInterruptFlag, t.ir.i32(which), t.length);
  t.resume();
}

export const flagInstructions: Semantics<typeof FLAG_ROWS> = {
  PUSHF: t => {
    const size = stackOperandSize(t);
    if (!t.mode.privileged && t.mode.codeSize === 16) t.requireVm86Privilege();
    t.push(size, size === 8 ? t.ir.toI64(packedFlags(t)) : t.resize(packedFlags(t), 4, size));
  },
  POPF: popFlags,
  SAHF: t => {
    if (t.is64 && !t.features.has('lahf_lm')) return t.undefined();
    t.flags.unpack(t.ir.toI32(t.gprHigh(GPR.AX)), false);
  },
  LAHF: t => {
    if (t.is64 && !t.features.has('lahf_lm')) return t.undefined();
    t.setGprHigh(GPR.AX, t.ir.or(t.flags.pack(), t.ir.i32(EFLAGS.FIXED)));
  },
  CMC: t => t.flags.setC(t.ir.xor(t.flags.carryAs('i32'), t.ir.i32(1))),
  CLC: t => t.flags.setC(t.ir.i32(0)),
  STC: t => t.flags.setC(t.ir.i32(1)),
  CLI: t => (t.mode.privileged ? clearInterrupt(t) : changeInterrupts(t, 0)),
  STI: t => {
    if (!t.mode.privileged) return changeInterrupts(t, 1);
    const before = t.ir.get(X64_STATE.eflags);
    setInterrupt(t);
    t.ir.call(interruptsEnabled, before, t.ir.i32(Number(t.options.debuggerSteps)));
  },
  CLD: clearFlag(EFLAGS.DF),
  STD: setFlag(EFLAGS.DF),
};

/**
 * String instructions are helpers. One that repeats runs up to the end of a page at a time: the block ends with it, and
 * branches back to it until it is complete. Each such run retires as one instruction.
 */
function string(operation: StringOperation): (t: Translation, a: Operand) => void {
  return (t, a) => {
    const { insn, ir } = t;
    const size: IntSize = operation === 'INS' || operation === 'OUTS' ? (Math.min(t.size(a), 4) as IntSize) : t.size(a);
    const segment = insn.prefixes.segment ?? SEGMENT.DS;
    const form = packStringForm({
      operation,
      size,
      addressSize: insn.addressSize,
      repeat: insn.prefixes.repeat,
      segment,
      single: t.options.single,
    });
    const done = ir.call(stringOperation, ir.i32(form));
    t.flags.forget();
    if (insn.prefixes.repeat !== 0) t.branch(done, t.next, ir.instructionOffset);
  };
}

export const strings: Semantics<typeof STRINGS> = {
  MOVS: string('MOVS'),
  CMPS: string('CMPS'),
  STOS: string('STOS'),
  LODS: string('LODS'),
  SCAS: string('SCAS'),
  INS: string('INS'),
  OUTS: string('OUTS'),
};
