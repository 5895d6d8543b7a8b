/**
 * Call gates, which far calls and jumps go through: to code of the same or, for calls, of an inner privilege level, whose stack gets
 * the return address and copies of parameters. Task gates and task-state segments lead to task switches.
 *
 * Source: Intel SDM vol. 3A "Call Gates", "IA-32e Mode Call Gates", "Accessing a Code Segment Through a Call Gate", "Stack Switching";
 * vol. 2 "CALL—Call Procedure", "JMP—Jump".
 */
import type { X64Cpu } from '../cpu.ts';
import { GPR, SEGMENT } from '../state.ts';
import { checkTarget, enterCode } from './code-entry.ts';
import { ATTRIBUTE, type Descriptor, dpl, isCode, nullSegment, systemType, SYSTEM_TYPE } from './descriptors.ts';
import { FarStack, innerPointerOffset, innerStack, longStackPointer, type Size } from './far-stack.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import { loadCodeSegment, readDescriptor, readGateBytes } from './segment-loads.ts';
import { findTask, type Task } from './task-switch.ts';

/** A call gate with its target. */
export interface CallGate {
  /** Selector of the code segment. */
  readonly gate: number;
  readonly target: Descriptor;
  readonly offset: bigint;
  /** Bytes of what a call pushes. */
  readonly size: Size;
  /** Values of `size` bytes that are copied between stacks. */
  readonly parameters: number;
}

const TASK_TYPES: readonly number[] = [SYSTEM_TYPE.TSS16, SYSTEM_TYPE.TSS, SYSTEM_TYPE.TASK_GATE];
const CALL_TYPES: readonly number[] = [SYSTEM_TYPE.CALL_GATE, SYSTEM_TYPE.CALL_GATE_16];

/** What a system descriptor lets a far call or jump do; long mode has call gates of 64 bits only. */
export function findGate(cpu: X64Cpu, selector: number, descriptor: Descriptor): CallGate | Task | Fault {
  const type = systemType(descriptor);
  const known = cpu.isLongMode ? [SYSTEM_TYPE.CALL_GATE] : [...TASK_TYPES, ...CALL_TYPES];
  if (!known.some(one => one === type)) return protectionFault(selector);
  if (dpl(descriptor) < Math.max(cpu.cpl, selector & 3)) return protectionFault(selector);
  if (type === SYSTEM_TYPE.TSS || type === SYSTEM_TYPE.TSS16) return findTask(cpu, selector);
  if ((descriptor.attributes & ATTRIBUTE.P) === 0) return fault(VECTOR.NP, selector & 0xfffc);
  const bytes = readGateBytes(cpu, selector);
  if ('vector' in bytes) return bytes;
  if (type === SYSTEM_TYPE.TASK_GATE) return findTask(cpu, Number((bytes[0] >> 16n) & 0xffffn));
  return callGate(cpu, selector, type, bytes);
}

function callGate(
  cpu: X64Cpu,
  selector: number,
  type: number,
  [low, high]: readonly [bigint, bigint],
): CallGate | Fault {
  const long = cpu.isLongMode;
  // the type of the second half of a gate of long mode is 0
  if (long && ((high >> 40n) & 0x1fn) !== 0n) return protectionFault(selector);
  const gate = Number((low >> 16n) & 0xffffn);
  if ((gate & 0xfffc) === 0) return protectionFault();
  const target = gateTarget(cpu, gate);
  if ('vector' in target) return target;
  const narrow = type === SYSTEM_TYPE.CALL_GATE_16;
  const offset = (low & 0xffffn) | (narrow ? 0n : (low >> 32n) & 0xffff_0000n) | ((high & 0xffff_ffffn) << 32n);
  const parameters = long ? 0 : Number((low >> 32n) & 0x1fn);
  return { gate, target, offset, size: long ? 8 : narrow ? 2 : 4, parameters };
}

/** The code segment that a gate names. */
function gateTarget(cpu: X64Cpu, selector: number): Descriptor | Fault {
  const target = readDescriptor(cpu, selector);
  if ('vector' in target) return target;
  const { attributes } = target;
  if (!isCode(target) || dpl(target) > cpu.cpl) return protectionFault(selector);
  const isLong = (attributes & (ATTRIBUTE.L | ATTRIBUTE.DB)) === ATTRIBUTE.L;
  if (cpu.isLongMode && !isLong) return protectionFault(selector);
  return attributes & ATTRIBUTE.P ? target : fault(VECTOR.NP, selector & 0xfffc);
}

function isConforming({ attributes }: Descriptor): boolean {
  return (attributes & ATTRIBUTE.DC) !== 0;
}

/** A jump keeps the privilege level. */
export function jumpThroughGate(cpu: X64Cpu, { gate, target, offset }: CallGate): Fault | undefined {
  if (!isConforming(target) && dpl(target) !== cpu.cpl) return protectionFault(gate);
  return enterCode(cpu, gate, target, offset, cpu.cpl);
}

export function callThroughGate(cpu: X64Cpu, call: CallGate, next: bigint): Fault | undefined {
  const { target, size } = call;
  if (!isConforming(target) && dpl(target) < cpu.cpl) return callInner(cpu, call, next);
  const stack = size === 8 ? FarStack.long(cpu, cpu.state.gpr(GPR.SP), cpu.cpl === 3) : FarStack.current(cpu);
  if (!stack.pushAll([BigInt(cpu.state.selector(SEGMENT.CS)), next], size)) return stack.fault;
  const failure = enterCode(cpu, call.gate, target, call.offset, cpu.cpl);
  if (failure === undefined) stack.commit();
  return failure;
}

/** A call of an inner level: SS, rSP, parameters, CS and rIP go to its stack. */
function callInner(cpu: X64Cpu, call: CallGate, next: bigint): Fault | undefined {
  const { state } = cpu;
  const { gate, target, offset, size } = call;
  const newCpl = dpl(target);
  const opened = openInner(cpu, size, newCpl);
  if ('vector' in opened) return opened;
  const outer = FarStack.current(cpu);
  const parameters = outer.popAll(size, call.parameters);
  if (!parameters) return outer.fault;
  const words = [
    BigInt(state.selector(SEGMENT.SS)),
    state.gpr(GPR.SP),
    ...parameters.toReversed(),
    BigInt(state.selector(SEGMENT.CS)),
    next,
  ];
  const { stack, segment } = opened;
  if (!stack.pushAll(words, size)) return stack.fault;
  const failure = checkTarget(cpu, target, offset) ?? loadCodeSegment(cpu, gate, target, newCpl);
  if (failure !== undefined) return failure;
  state.setSegment(SEGMENT.SS, segment);
  stack.commit();
  cpu.ip = offset;
  cpu.contextChanged();
  return undefined;
}

/** The stack of an inner level, with what SS becomes. */
function openInner(cpu: X64Cpu, size: Size, newCpl: number) {
  if (size === 8) {
    const pointer = longStackPointer(cpu, innerPointerOffset(newCpl));
    if (typeof pointer !== 'bigint') return pointer;
    const segment = { ...nullSegment(newCpl), attributes: newCpl << 13 };
    return { stack: FarStack.long(cpu, pointer), segment };
  }
  const place = innerStack(cpu, newCpl);
  return 'vector' in place ? place : { stack: FarStack.inner(cpu, place), segment: place.segment };
}
