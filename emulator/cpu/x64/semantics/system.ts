/** System instructions: mostly calls of helpers. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { HelperDeclaration } from '../../ir/helper-declaration.ts';
import type { IntSize } from '../flags.ts';
import type { Semantics } from '../instruction.ts';
import type { SYSTEM } from '../opcode-map/system.ts';
import type { Operand } from '../operands.ts';
import { EFLAGS, GPR, SEGMENT, X64_STATE } from '../state.ts';
import * as helper from '../system/helpers.ts';
import { VECTOR } from '../system/fault.ts';
import type { Translation } from '../translation.ts';

/** Calls a helper with the length of the instruction; it continues. */
function continuing(declaration: HelperDeclaration<readonly ['i32'], 'none'>): (t: Translation) => void {
  return t => {
    t.ir.call(declaration, t.length);
    t.resume();
  };
}

/** Ends in a helper that takes the operand size; it continues. */
function returning(declaration: HelperDeclaration<readonly ['i32'], 'none'>): (t: Translation) => void {
  return t => {
    t.ir.call(declaration, t.ir.i32(t.insn.operandSize));
    t.resume();
  };
}

function calling(declaration: HelperDeclaration<readonly [], 'none'>): (t: Translation) => void {
  return t => void t.ir.call(declaration);
}

/** Loading a segment changes what translation relies on outside of 64-bit mode, and SS everywhere holds interrupts off. */
function loadSegment(t: Translation, number: number, selector: Value<'i32'>): void {
  t.ir.call(helper.loadSegment, t.ir.i32(number), selector);
}

function endAfterSegmentLoad(t: Translation, number: number): void {
  if (t.is64 && number >= SEGMENT.FS) return;
  t.ir.call(helper.continueAfter, t.length);
  t.resume();
}

function moveToSegment(t: Translation, a: Operand, b: Operand): void {
  const number = a.kind === 'segment' ? a.number : SEGMENT.CS;
  if (number === SEGMENT.CS || number > SEGMENT.GS) return t.undefined();
  loadSegment(t, number, t.ir.toI32(t.read(b)));
  endAfterSegmentLoad(t, number);
}

/** A selector stored: 2 bytes in memory, zero-extended in a register. */
function storeSelector(t: Translation, a: Operand, value: Value<'i32'>): void {
  if (a.kind === 'memory') t.store(t.address(a), 2, value);
  else t.write(a, t.resize(value, 4, t.size(a)));
}

const FAR_LOAD_SEGMENT: Readonly<Record<number, number>> = {
  0xc4: SEGMENT.ES,
  0xc5: SEGMENT.DS,
  0xb2: SEGMENT.SS,
  0xb4: SEGMENT.FS,
  0xb5: SEGMENT.GS,
};

function loadFarPointer(t: Translation, a: Operand, b: Operand): void {
  const size = t.size(a);
  const number = FAR_LOAD_SEGMENT[t.insn.opcode]!;
  const offset = t.load(t.address(b), size);
  loadSegment(t, number, t.ir.toI32(t.load(t.addressAt(b, size), 2)));
  t.write(a, offset);
  endAfterSegmentLoad(t, number);
}

/** LAR, LSL: ZF says whether the selector is accessible; the register stays when it is not. */
function segmentQuery(which: 0 | 1): (t: Translation, a: Operand, b: Operand) => void {
  return (t, a, b) => {
    const { ir } = t;
    if (a.kind !== 'register') return;
    const result = ir.call(helper.segmentQuery, ir.i32(which), ir.toI32(t.read(b)));
    const accessible = ir.geS(result, ir.i64(0));
    const before = ir.get(X64_STATE.r[a.number]!);
    t.write(a, t.resize(result, 8, t.size(a)));
    const field = X64_STATE.r[a.number]!;
    ir.set(field, ir.select(accessible, ir.get(field), before));
    t.flags.setZ(accessible);
  };
}

function segmentVerify(which: 0 | 1): (t: Translation, a: Operand) => void {
  return (t, a) => t.flags.setZ(t.ir.call(helper.segmentVerify, t.ir.i32(which), t.ir.toI32(t.read(a))));
}

function tableRegister(declaration: typeof helper.loadTableRegister): (t: Translation, a: Operand) => void {
  return (t, a) => {
    if (declaration === helper.storeTableRegister && !t.mode.privileged) t.ir.call(helper.requireNoUmip);
    const reg = (t.insn.reg & 7) | 0;
    const address = t.checkedAddress(a, t.is64 ? 10 : 6, declaration === helper.storeTableRegister);
    t.ir.call(declaration, t.ir.i32(reg), address, t.ir.i32(t.insn.operandSize));
  };
}

/** RDMSR and its like give EDX:EAX from an i64. */
function setEdxEax(t: Translation, value: Value<'i64'>): void {
  t.setGpr(GPR.AX, 4, t.resize(value, 8, 4));
  t.setGpr(GPR.DX, 4, t.resize(t.ir.shrU(value, 32), 8, 4));
}

function readBase(segment: number): (t: Translation, a: Operand) => void {
  return (t, a) => {
    t.ir.call(helper.requireFsGsBase);
    t.write(a, t.resize(t.ir.get(X64_STATE.segments[segment]!.base), 8, t.size(a)));
  };
}

function writeBase(segment: number): (t: Translation, a: Operand) => void {
  return (t, a) => {
    t.ir.call(helper.requireFsGsBase);
    const value = t.ir.toI64(t.read(a));
    t.ir.call(helper.requireCanonical, value);
    t.ir.set(X64_STATE.segments[segment]!.base, value);
  };
}

/** Size of port data: 8-byte operand size means 4. */
function portSize(operand: Operand): IntSize {
  return Math.min(operand.size, 4) as IntSize;
}

function portNumber(t: Translation, operand: Operand): Value<'i32'> {
  return operand.kind === 'immediate'
    ? t.ir.i32(Number(BigInt.asUintN(8, operand.value)))
    : t.ir.toI32(t.read(operand));
}

/** MOV to CR: CR8 by LOCK prefix is AMD's and not modelled. */
function writeRegister(declaration: typeof helper.writeControl): (t: Translation, a: Operand, b: Operand) => void {
  return (t, a, b) => {
    const number = a.kind === 'control' || a.kind === 'debug' ? a.number : 0;
    if (!t.mode.privileged) return t.protection();
    const size = t.is64 ? 8 : 4;
    const value = b.kind === 'register' ? t.gpr(b.number, size) : t.int(size, 0);
    t.ir.call(declaration, t.ir.i32(number), t.ir.toI64(value), t.length);
    t.resume();
  };
}

function readRegister(declaration: typeof helper.readControl): (t: Translation, a: Operand, b: Operand) => void {
  return (t, a, b) => {
    const number = b.kind === 'control' || b.kind === 'debug' ? b.number : 0;
    if (!t.mode.privileged) return t.protection();
    const value = t.ir.call(declaration, t.ir.i32(number));
    const size = t.is64 ? 8 : 4;
    if (a.kind === 'register') t.setGpr(a.number, size, t.resize(value, 8, size));
  };
}

/** The counter counts retired instructions; what sleeping CPUs skip, and what the guest has added, is in a field. */
function readTimestamp(t: Translation): void {
  if (!t.mode.privileged) t.ir.call(helper.requireTimestamp);
  setEdxEax(t, t.ir.add(t.ir.retired(), t.ir.get(X64_STATE.tscOffset)));
}

/** A pseudo-random number, the same in every run, which never fails: CF is 1. */
function randomInteger(t: Translation, a: Operand): void {
  t.write(a, t.resize(t.ir.call(helper.randomNumber), 8, t.size(a)));
  t.flags.unpack(t.ir.i32(EFLAGS.CF));
}

export const system: Semantics<typeof SYSTEM> = {
  MOV_from_segment: (t, a, b) => {
    if (b.kind === 'segment' && b.number > SEGMENT.GS) return t.undefined();
    storeSelector(t, a, t.ir.toI32(t.read(b)));
  },
  MOV_to_segment: moveToSegment,
  PUSH_segment: (t, a) => {
    const size = t.insn.operandSize;
    t.push(size, t.resize(t.read(a), 2, size));
  },
  POP_segment: (t, a) => {
    const size = t.insn.operandSize;
    const number = a.kind === 'segment' ? a.number : 0;
    const selector = t.load(t.stackAddress(0), size === 2 ? 2 : size);
    loadSegment(t, number, t.ir.and(t.ir.toI32(selector), t.ir.i32(0xffff)));
    t.moveStack(size);
    endAfterSegmentLoad(t, number);
  },
  LDS: loadFarPointer,
  SLDT: (t, a) => {
    if (!t.mode.privileged) t.ir.call(helper.requireNoUmip);
    storeSelector(t, a, t.ir.get(X64_STATE.segments[SEGMENT.LDTR]!.selector));
  },
  STR: (t, a) => {
    if (!t.mode.privileged) t.ir.call(helper.requireNoUmip);
    storeSelector(t, a, t.ir.get(X64_STATE.segments[SEGMENT.TR]!.selector));
  },
  LLDT: (t, a) => void t.ir.call(helper.loadSystemSegment, t.ir.i32(0), t.ir.toI32(t.read(a))),
  LTR: (t, a) => void t.ir.call(helper.loadSystemSegment, t.ir.i32(1), t.ir.toI32(t.read(a))),
  VERR: segmentVerify(0),
  VERW: segmentVerify(1),
  SGDT: tableRegister(helper.storeTableRegister),
  SIDT: tableRegister(helper.storeTableRegister),
  LGDT: tableRegister(helper.loadTableRegister),
  LIDT: tableRegister(helper.loadTableRegister),
  SMSW: (t, a) => {
    if (!t.mode.privileged) t.ir.call(helper.requireNoUmip);
    const value = t.ir.call(helper.readControl, t.ir.i32(0));
    if (a.kind === 'memory') t.store(t.address(a), 2, value);
    else t.write(a, t.resize(value, 8, t.size(a)));
  },
  LMSW: (t, a) => {
    t.ir.call(helper.loadMachineStatus, t.ir.toI32(t.read(a)), t.length);
    t.resume();
  },
  INVLPG: (t, a) => void t.ir.call(helper.invalidatePage, t.address(a)),
  VMCALL: continuing(helper.vmcall),
  MONITOR: calling(helper.monitor),
  MWAIT: continuing(helper.monitorWait),
  CLAC: t => {
    t.ir.call(helper.changeAccessCheck, t.ir.i32(0));
    t.endBlock();
  },
  STAC: t => {
    t.ir.call(helper.changeAccessCheck, t.ir.i32(1));
    t.endBlock();
  },
  XGETBV: calling(helper.xgetbv),
  XSETBV: continuing(helper.xsetbv),
  SWAPGS: calling(helper.swapGs),
  RDTSCP: t => {
    readTimestamp(t);
    t.setGpr(GPR.CX, 4, t.ir.get(X64_STATE.TSC_AUX));
  },
  RDPKRU: t => {
    const value = t.ir.call(helper.readPkru);
    t.setGpr(GPR.AX, 8, value);
    t.setGpr(GPR.DX, 8, t.ir.i64(0));
  },
  WRPKRU: continuing(helper.writePkru),
  LAR: segmentQuery(0),
  LSL: segmentQuery(1),
  SYSCALL: continuing(helper.syscall),
  SYSRET: returning(helper.sysret),
  CLTS: continuing(helper.clearTaskSwitched),
  INVD: () => undefined,
  MOV_from_control: readRegister(helper.readControl),
  MOV_to_control: writeRegister(helper.writeControl),
  MOV_from_debug: readRegister(helper.readDebug),
  MOV_to_debug: writeRegister(helper.writeDebug),
  WRMSR: continuing(helper.writeMsr),
  RDTSC: readTimestamp,
  RDMSR: calling(helper.readMsr),
  RDPMC: calling(helper.readPerformanceCounter),
  SYSENTER: continuing(helper.sysenter),
  SYSEXIT: returning(helper.sysexit),
  CPUID: t => void t.ir.call(helper.cpuid),
  IN: (t, a, b) => {
    const size = portSize(a);
    const value = t.ir.call(helper.portIn, portNumber(t, b), t.ir.i32(size));
    t.setGpr(GPR.AX, size, value);
  },
  OUT: (t, a, b) => {
    const size = portSize(b);
    t.ir.call(helper.portOut, portNumber(t, a), t.ir.toI32(t.gpr(GPR.AX, size)), t.ir.i32(size));
  },
  HLT: continuing(helper.halt),
  ARPL: (t, a, b) => {
    const { ir } = t;
    const destination = ir.toI32(t.read(a, true));
    const rpl = ir.and(ir.toI32(t.read(b)), ir.i32(3));
    const lower = ir.ltU(ir.and(destination, ir.i32(3)), rpl);
    t.write(a, ir.select(lower, ir.or(ir.and(destination, ir.i32(0xfffc)), rpl), destination));
    t.flags.setZ(lower);
  },
  INVPCID: (t, a, b) => {
    const size = t.is64 ? 8 : 4;
    const type = a.kind === 'register' ? t.gpr(a.number, size) : t.int(size, 0);
    t.ir.call(helper.invalidatePcid, t.ir.toI64(type), t.checkedAddress(b, 16, false));
  },
  RDFSBASE: readBase(SEGMENT.FS),
  RDGSBASE: readBase(SEGMENT.GS),
  WRFSBASE: writeBase(SEGMENT.FS),
  WRGSBASE: writeBase(SEGMENT.GS),
  RDPID: (t, a) => {
    if (a.kind === 'register') t.setGpr(a.number, 8, t.ir.toI64(t.ir.get(X64_STATE.TSC_AUX)));
  },
  RDRAND: randomInteger,
  RDSEED: randomInteger,
  RSM: t => t.raise(VECTOR.UD),
};
