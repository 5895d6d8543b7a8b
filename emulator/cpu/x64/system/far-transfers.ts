/**
 * Far jumps, calls and returns, IRET, SYSCALL, SYSRET, SYSENTER, SYSEXIT.
 *
 * Source: Intel SDM vol. 2 at the instruction's name. Call gates and task switches are in files of their own.
 */
import type { X64Cpu } from '../cpu.ts';
import { EFLAGS, GPR, SEGMENT } from '../state.ts';
import { DR7, EFER } from './control-bits.ts';
import {
  ATTRIBUTE,
  checkCodeSegment,
  checkDataSegment,
  type Descriptor,
  dpl,
  isCode,
  nullSegment,
  realModeSegment,
  toSegment,
} from './descriptors.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import { checkTarget, enterCode } from './code-entry.ts';
import { callThroughGate, type CallGate, findGate, jumpThroughGate } from './call-gates.ts';
import { FarStack, maskOf, type Size } from './far-stack.ts';
import { loadCodeSegment, readDescriptor } from './segment-loads.ts';
import { enterTask, returnToTask, type Task } from './task-switch.ts';

function enterRealCode(cpu: X64Cpu, selector: number, ip: bigint): void {
  cpu.state.setSegment(SEGMENT.CS, realModeSegment(selector, cpu.state.segment(SEGMENT.CS)));
  cpu.ip = ip;
  cpu.contextChanged();
}

/** What the selector of a far jump or call names in protected mode. */
function farTarget(cpu: X64Cpu, selector: number): Descriptor | CallGate | Task | Fault {
  if ((selector & 0xfffc) === 0) return protectionFault();
  const descriptor = readDescriptor(cpu, selector);
  if ('vector' in descriptor) return descriptor;
  if ((descriptor.attributes & ATTRIBUTE.S) === 0) return findGate(cpu, selector, descriptor);
  return checkCodeSegment(selector, descriptor, cpu.cpl, cpu.isLongMode) ?? descriptor;
}

export function farJump(cpu: X64Cpu, selector: number, offset: bigint, next: bigint): Fault | undefined {
  if (!cpu.isProtected || cpu.isVm86) {
    enterRealCode(cpu, selector, offset);
    return undefined;
  }
  const target = farTarget(cpu, selector);
  if ('vector' in target) return target;
  if ('isWide' in target) return enterTask(cpu, target, 'jump', next, cpu.state.eflags);
  if ('gate' in target) return jumpThroughGate(cpu, target);
  return enterCode(cpu, selector, target, offset, cpu.cpl);
}

export function farCall(cpu: X64Cpu, selector: number, offset: bigint, size: Size, next: bigint): Fault | undefined {
  const real = !cpu.isProtected || cpu.isVm86;
  const target = real ? undefined : farTarget(cpu, selector);
  if (target !== undefined) {
    if ('vector' in target) return target;
    if ('isWide' in target) return enterTask(cpu, target, 'nested', next, cpu.state.eflags);
    if ('gate' in target) return callThroughGate(cpu, target, next);
  }
  const stack = FarStack.current(cpu);
  if (!stack.pushAll([BigInt(cpu.state.selector(SEGMENT.CS)), next], size)) return stack.fault;
  const failure = target && enterCode(cpu, selector, target, offset, cpu.cpl);
  if (failure) return failure;
  stack.commit();
  if (!target) enterRealCode(cpu, selector, offset);
  return undefined;
}

export function farReturn(cpu: X64Cpu, size: Size, release: number): Fault | undefined {
  const stack = FarStack.current(cpu);
  const frame = stack.popAll(size, 2);
  if (!frame) return stack.fault;
  const [ip, selectorWord] = frame as [bigint, bigint];
  const selector = Number(selectorWord & 0xffffn);
  stack.skip(release);
  if (!cpu.isProtected || cpu.isVm86) {
    stack.commit();
    enterRealCode(cpu, selector, ip);
    return undefined;
  }
  return returnTo(cpu, stack, { selector, ip, size, release, flags: undefined });
}

/** Where a far return or IRET goes. */
interface Return {
  readonly selector: number;
  readonly ip: bigint;
  readonly size: Size;
  readonly release: number;
  /** Flags to load, for IRET. */
  readonly flags: number | undefined;
}

function checkReturnSegment(cpu: X64Cpu, selector: number): Descriptor | Fault {
  if ((selector & 0xfffc) === 0) return protectionFault();
  const descriptor = readDescriptor(cpu, selector);
  if ('vector' in descriptor) return descriptor;
  const rpl = selector & 3;
  const conforming = (descriptor.attributes & ATTRIBUTE.DC) !== 0;
  const levelOk = conforming ? dpl(descriptor) <= rpl : dpl(descriptor) === rpl;
  if (!isCode(descriptor) || rpl < cpu.cpl || !levelOk) return protectionFault(selector);
  return descriptor.attributes & ATTRIBUTE.P ? descriptor : fault(VECTOR.NP, selector & 0xfffc);
}

/** Ends a far return or IRET in protected mode: to the same or to an outer level. */
function returnTo(cpu: X64Cpu, stack: FarStack, target: Return): Fault | undefined {
  const { selector, ip, size, flags } = target;
  const descriptor = checkReturnSegment(cpu, selector);
  if ('vector' in descriptor) return descriptor;
  const newCpl = selector & 3;
  const outer = newCpl > cpu.cpl;
  const wasLong = cpu.is64;
  // IRET in 64-bit mode always restores SS:RSP
  if (outer || (flags !== undefined && wasLong)) return returnWithStack(cpu, stack, target, descriptor);
  const failure = checkTarget(cpu, descriptor, ip) ?? loadCodeSegment(cpu, selector, descriptor, newCpl);
  if (failure) return failure;
  stack.commit();
  if (flags !== undefined) loadFlags(cpu, flags, size, cpu.cpl);
  cpu.ip = ip;
  cpu.contextChanged();
  return undefined;
}

/** The part of `returnTo` that also takes SS:SP from the stack. */
function returnWithStack(cpu: X64Cpu, stack: FarStack, target: Return, descriptor: Descriptor): Fault | undefined {
  const { selector, ip, size, release, flags } = target;
  const newCpl = selector & 3;
  const outer = newCpl > cpu.cpl;
  const pair = stack.popAll(size, 2);
  if (!pair) return stack.fault;
  const [sp, ssWord] = pair as [bigint, bigint];
  const ss = stackSegment(cpu, Number(ssWord & 0xffffn), newCpl, (descriptor.attributes & ATTRIBUTE.L) !== 0);
  if ('vector' in ss) return ss;
  const oldCpl = cpu.cpl;
  const failure = checkTarget(cpu, descriptor, ip) ?? loadCodeSegment(cpu, selector, descriptor, newCpl);
  if (failure) return failure;
  cpu.state.setSegment(SEGMENT.SS, ss);
  const wide = (descriptor.attributes & ATTRIBUTE.L) !== 0 || (ss.attributes & ATTRIBUTE.DB) !== 0;
  const released = sp + BigInt(release);
  cpu.state.setGpr(
    GPR.SP,
    wide ? released & maskOf(size === 2 ? 2 : size) : (cpu.state.gpr(GPR.SP) & ~0xffffn) | (released & 0xffffn),
  );
  if (flags !== undefined) loadFlags(cpu, flags, size, oldCpl);
  if (outer) dropInnerSegments(cpu, newCpl);
  cpu.ip = ip;
  cpu.contextChanged();
  return undefined;
}

/** SS of an outer level. A null one is allowed for 64-bit code below CPL 3. */
function stackSegment(cpu: X64Cpu, selector: number, newCpl: number, to64: boolean) {
  if ((selector & 0xfffc) === 0) {
    if (!to64 || newCpl === 3) return protectionFault();
    return { ...nullSegment(selector), attributes: newCpl << 13 };
  }
  const descriptor = readDescriptor(cpu, selector);
  if ('vector' in descriptor) return descriptor;
  return checkDataSegment(SEGMENT.SS, selector, descriptor, newCpl) ?? toSegment(selector, descriptor);
}

/** Data segments that the outer level may not use become null. */
function dropInnerSegments(cpu: X64Cpu, newCpl: number): void {
  for (const n of [SEGMENT.ES, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS]) {
    const segment = cpu.state.segment(n);
    const conforming = isCode(segment) && (segment.attributes & ATTRIBUTE.DC) !== 0;
    if ((segment.selector & 0xfffc) === 0 || conforming || dpl(segment) >= newCpl) continue;
    const base = n >= SEGMENT.FS && cpu.isLongMode ? segment.base : 0n;
    cpu.state.setSegment(n, { ...nullSegment(0), base });
  }
}

/** Flags that IRET and POPF load at a privilege level. IOPL needs CPL 0, IF needs CPL ≤ IOPL. */
export function loadFlags(cpu: X64Cpu, value: number, size: Size, cpl: number): void {
  const { state } = cpu;
  const before = state.eflags;
  let writable: number =
    EFLAGS.CF | EFLAGS.PF | EFLAGS.AF | EFLAGS.ZF | EFLAGS.SF | EFLAGS.TF | EFLAGS.DF | EFLAGS.OF | EFLAGS.NT;
  if (size !== 2) writable |= EFLAGS.AC | EFLAGS.ID;
  // RF says something to instruction breakpoints only, and the next instruction clears it
  if (size !== 2 && (cpu.registers.dr7 & DR7.ENABLES) !== 0) writable |= EFLAGS.RF;
  if (cpl <= (before & EFLAGS.IOPL) >> 12) writable |= EFLAGS.IF;
  if (cpl === 0) writable |= EFLAGS.IOPL | (size === 2 ? 0 : EFLAGS.VIF | EFLAGS.VIP);
  state.eflags = (before & ~writable) | (value & writable);
}

export function interruptReturn(cpu: X64Cpu, size: Size, next: bigint): Fault | undefined {
  const stack = FarStack.current(cpu);
  if (cpu.isProtected && !cpu.isVm86 && (cpu.state.systemFlags & EFLAGS.NT) !== 0) {
    return cpu.isLongMode ? protectionFault() : returnToTask(cpu, next);
  }
  if (cpu.isVm86 && cpu.iopl < 3) return protectionFault();
  const frame = stack.popAll(size, 3);
  if (!frame) return stack.fault;
  const [ip, selectorWord, flagsWord] = frame as [bigint, bigint, bigint];
  const selector = Number(selectorWord & 0xffffn);
  const flags = Number(flagsWord & 0xffff_ffffn) | 0;
  const failure = returnFromInterrupt(cpu, stack, { selector, ip, size, release: 0, flags });
  if (!failure) cpu.nmiBlocked = false;
  return failure;
}

function returnFromInterrupt(cpu: X64Cpu, stack: FarStack, target: Return): Fault | undefined {
  const { selector, ip, size, flags } = target;
  if (!cpu.isProtected || cpu.isVm86) {
    stack.commit();
    loadFlags(cpu, flags!, size, cpu.isVm86 ? 3 : 0);
    enterRealCode(cpu, selector, ip);
    return undefined;
  }
  if (flags! & EFLAGS.VM && cpu.cpl === 0 && !cpu.isLongMode) return returnToVm86(cpu, stack, target);
  return returnTo(cpu, stack, target);
}

/** IRET into virtual-8086 mode: ESP, SS, ES, DS, FS and GS follow. */
function returnToVm86(cpu: X64Cpu, stack: FarStack, { selector, ip, flags }: Return): Fault | undefined {
  const rest = stack.popAll(4, 6);
  if (!rest) return stack.fault;
  const { state } = cpu;
  state.eflags = flags!;
  const real = { base: 0n, limit: 0xffff, attributes: 0xf300, selector: 0 };
  const selectors = rest.slice(1).map(word => Number(word & 0xffffn));
  [SEGMENT.SS, SEGMENT.ES, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS].forEach((n, i) => {
    state.setSegment(n, realModeSegment(selectors[i]!, real));
  });
  state.setSegment(SEGMENT.CS, realModeSegment(selector, real));
  state.setGpr32(GPR.SP, Number(rest[0]!));
  cpu.ip = ip & 0xffffn;
  cpu.contextChanged();
  return undefined;
}

/** A flat segment as SYSCALL and its like load it, without looking at the descriptor tables. */
function flatSegment(selector: number, attributes: number) {
  return { selector, base: 0n, limit: 0xffff_ffff, attributes };
}

const FLAT_CODE_64 = 0x00a0_9b00;
const FLAT_CODE_32 = 0x00c0_9b00;
const FLAT_DATA = 0x00c0_9300;
const DPL_3 = 3 << 13;

/** SYSCALL and SYSRET trap by the TF that they load, not by the one that they began with. */
function stepByNewFlags(cpu: X64Cpu): void {
  cpu.stepArmed = (cpu.state.systemFlags & EFLAGS.TF) !== 0;
}

function isIntel({ model }: X64Cpu): boolean {
  return model.vendor === 'GenuineIntel';
}

/** Intel's processors have SYSCALL and SYSRET in 64-bit mode only. */
function hasSyscall(cpu: X64Cpu): boolean {
  return (cpu.registers.efer & EFER.SCE) !== 0 && (cpu.is64 || !isIntel(cpu));
}

/** AMD's have SYSENTER and SYSEXIT outside of long mode only. Source: AMD APM vol. 3 "SYSENTER". */
function hasSysenter(cpu: X64Cpu): boolean {
  return isIntel(cpu) || !cpu.isLongMode;
}

function isCanonical({ paging }: X64Cpu, address: bigint): boolean {
  return paging.isCanonical(Number(BigInt.asIntN(32, address >> 32n)));
}

export function syscall(cpu: X64Cpu, next: bigint): Fault | undefined {
  const { registers, state } = cpu;
  if (!hasSyscall(cpu)) return fault(VECTOR.UD);
  const selector = Number((registers.star >> 32n) & 0xfffcn);
  const flags = state.eflags & ~EFLAGS.RF;
  if (cpu.isLongMode) {
    const target = cpu.is64 ? registers.lstar : registers.cstar;
    state.setGpr(GPR.CX, next);
    state.setGpr(11, BigInt(flags >>> 0));
    state.eflags = flags & ~registers.fmask;
    state.setSegment(SEGMENT.CS, flatSegment(selector, FLAT_CODE_64));
    state.setSegment(SEGMENT.SS, flatSegment(selector + 8, FLAT_DATA));
    cpu.engine.pc = target;
  } else {
    state.setGpr32(GPR.CX, Number(next));
    state.systemFlags &= ~(EFLAGS.IF | EFLAGS.VM | EFLAGS.RF);
    state.setSegment(SEGMENT.CS, flatSegment(selector, FLAT_CODE_32));
    state.setSegment(SEGMENT.SS, flatSegment(selector + 8, FLAT_DATA));
    cpu.engine.pc = registers.star & 0xffff_ffffn;
  }
  stepByNewFlags(cpu);
  cpu.contextChanged();
  return undefined;
}

export function sysret(cpu: X64Cpu, size: Size): Fault | undefined {
  const { registers, state } = cpu;
  if (!hasSyscall(cpu)) return fault(VECTOR.UD);
  if (!cpu.isProtected || cpu.cpl !== 0) return protectionFault();
  const base = Number((registers.star >> 48n) & 0xffffn);
  const target = state.gpr(GPR.CX);
  const to64 = size === 8;
  // AMD's processors fault at the target, as the user
  if (to64 && isIntel(cpu) && !isCanonical(cpu, target)) return protectionFault();
  if (cpu.isLongMode) state.eflags = Number(state.gpr(11) & 0x3c_7fd7n) & ~(EFLAGS.RF | EFLAGS.VM);
  else state.systemFlags |= EFLAGS.IF;
  state.setSegment(
    SEGMENT.CS,
    flatSegment((to64 ? base + 16 : base) | 3, (to64 ? FLAT_CODE_64 : FLAT_CODE_32) | DPL_3),
  );
  state.setSegment(SEGMENT.SS, flatSegment((base + 8) | 3, FLAT_DATA | DPL_3));
  cpu.engine.pc = to64 ? target : target & 0xffff_ffffn;
  stepByNewFlags(cpu);
  cpu.contextChanged();
  return undefined;
}

export function sysenter(cpu: X64Cpu): Fault | undefined {
  const { registers, state } = cpu;
  if (!hasSysenter(cpu)) return fault(VECTOR.UD);
  if (!cpu.isProtected || (registers.sysenterCs & 0xfffc) === 0) return protectionFault();
  const selector = registers.sysenterCs & 0xfffc;
  const long = cpu.isLongMode;
  state.systemFlags &= ~(EFLAGS.IF | EFLAGS.VM | EFLAGS.RF);
  state.setSegment(SEGMENT.CS, flatSegment(selector, long ? FLAT_CODE_64 : FLAT_CODE_32));
  state.setSegment(SEGMENT.SS, flatSegment(selector + 8, FLAT_DATA));
  state.setGpr(GPR.SP, long ? registers.sysenterEsp : registers.sysenterEsp & 0xffff_ffffn);
  cpu.engine.pc = long ? registers.sysenterEip : registers.sysenterEip & 0xffff_ffffn;
  cpu.contextChanged();
  return undefined;
}

export function sysexit(cpu: X64Cpu, size: Size): Fault | undefined {
  const { registers, state } = cpu;
  if (!hasSysenter(cpu)) return fault(VECTOR.UD);
  if (!cpu.isProtected || cpu.cpl !== 0 || (registers.sysenterCs & 0xfffc) === 0) return protectionFault();
  const to64 = size === 8;
  if (to64 && [GPR.CX, GPR.DX].some(register => !isCanonical(cpu, state.gpr(register)))) return protectionFault();
  const selector = (registers.sysenterCs & 0xfffc) + (to64 ? 32 : 16);
  state.setSegment(SEGMENT.CS, flatSegment(selector | 3, (to64 ? FLAT_CODE_64 : FLAT_CODE_32) | DPL_3));
  state.setSegment(SEGMENT.SS, flatSegment((selector + 8) | 3, FLAT_DATA | DPL_3));
  const mask = to64 ? maskOf(8) : maskOf(4);
  const target = state.gpr(GPR.DX) & mask;
  state.setGpr(GPR.SP, state.gpr(GPR.CX) & mask);
  cpu.engine.pc = target;
  cpu.contextChanged();
  return undefined;
}
