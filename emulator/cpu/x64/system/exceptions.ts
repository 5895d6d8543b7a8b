/**
 * Delivery of exceptions and interrupts through the IDT (or the interrupt vector table in real mode).
 *
 * Source: Intel SDM vol. 3A "Interrupt and Exception Handling", "Interrupt and Exception Handling in 64-bit Mode"; vol. 2 "INT n/INTO/INT3/INT1".
 * Not modelled: delivery out of virtual-8086 mode through its redirection bitmap.
 */
import type { X64Cpu } from '../cpu.ts';
import { EFLAGS, GPR, SEGMENT } from '../state.ts';
import { DR6, DR7 } from './control-bits.ts';
import { ATTRIBUTE, type Descriptor, dpl, isCode, nullSegment, SYSTEM_TYPE, toSegment } from './descriptors.ts';
import { combineFaults, type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import { asStackFault, FarStack, innerPointerOffset, innerStack, longStackPointer } from './far-stack.ts';
import { readDescriptor } from './segment-loads.ts';
import { enterTask, findTask } from './task-switch.ts';

/** What is delivered. */
interface Event {
  readonly vector: number;
  readonly errorCode: number | undefined;
  /** An INT instruction: the gate's DPL is checked. */
  readonly software: boolean;
  /** Neither a fault of an instruction nor an INT: faults in its delivery have EXT set. */
  readonly external: boolean;
  /** Instruction pointer that the handler returns to. */
  readonly returnIp: bigint;
  /** Sets RF in the stored flags: the instruction is restarted. */
  readonly restarts: boolean;
}

/** Vectors that are traps, or that push no RF. */
const TRAPS: readonly number[] = [VECTOR.BP, VECTOR.OF, VECTOR.NMI];

/** Takes a fault of the instruction at the PC; what fails then is a double or triple fault. */
export function deliverFault(cpu: X64Cpu, first: Fault): void {
  let pending: Fault | undefined = first;
  while (pending !== undefined) {
    noteFault(cpu, pending);
    const next = deliver(cpu, faultEvent(cpu, pending));
    if (next === undefined) return;
    pending = combineFaults(pending, next);
  }
  cpu.tripleFault();
}

/** Takes an external interrupt or NMI in front of the instruction at the PC. */
export function deliverInterrupt(cpu: X64Cpu, vector: number): void {
  const event = {
    vector,
    errorCode: undefined,
    software: false,
    external: true,
    returnIp: cpu.ip,
    restarts: false,
  };
  const failure = deliver(cpu, event);
  if (failure !== undefined) deliverFault(cpu, failure);
}

/** INT n and its like, with the address of the next instruction. @returns a fault of the instruction itself */
export function deliverSoftwareInterrupt(
  cpu: X64Cpu,
  vector: number,
  returnIp: bigint,
  checksPrivilege: boolean,
): Fault | undefined {
  const event = { vector, errorCode: undefined, software: checksPrivilege, external: false, returnIp, restarts: false };
  return deliver(cpu, event);
}

function faultEvent(cpu: X64Cpu, { vector, errorCode, dr6 }: Fault): Event {
  const restarts = !TRAPS.includes(vector) && dr6 === undefined;
  return { vector, errorCode, software: false, external: false, returnIp: cpu.ip, restarts };
}

/** CR2 and DR6. */
function noteFault(cpu: X64Cpu, { address, dr6 }: Fault): void {
  const { registers } = cpu;
  if (address !== undefined) registers.cr2 = address;
  if (dr6 !== undefined) {
    registers.dr6 = DR6.FIXED | dr6 | 0;
    registers.dr7 &= ~DR7.GD;
  }
}

/** @returns a fault in the delivery; then no register has changed */
function deliver(cpu: X64Cpu, event: Event): Fault | undefined {
  const hits = cpu.debugHits;
  cpu.debugHits = 0;
  const failure = cpu.isProtected ? deliverProtected(cpu, event) : deliverReal(cpu, event);
  // breakpoints on data of MOV SS are taken at the first instruction of an INT's handler
  if (event.software || failure !== undefined) cpu.debugHits |= hits;
  if (failure !== undefined) return failure;
  cpu.stepArmed = false;
  cpu.stackShadow = false;
  cpu.closeStiWindow();
  cpu.lastDelivered = event;
  cpu.contextChanged();
  return undefined;
}

/** Real mode: four bytes of offset and segment at vector × 4. */
function deliverReal(cpu: X64Cpu, { vector, returnIp }: Event): Fault | undefined {
  const { state, memory, registers } = cpu;
  if (vector * 4 + 3 > registers.idtr.limit) return protectionFault();
  const entry = memory.read(registers.idtr.base + BigInt(vector * 4), 4);
  if (entry === undefined) return memory.fault;
  const flags = state.eflags;
  const frame = [flags, state.selector(SEGMENT.CS), Number(returnIp)];
  const base = state.base(SEGMENT.SS);
  let sp = Number(state.gpr(GPR.SP) & 0xffffn);
  for (const word of frame) {
    sp = (sp - 2) & 0xffff;
    if (!memory.write(base + BigInt(sp), BigInt(word & 0xffff), 2)) return memory.fault;
  }
  state.setGpr(GPR.SP, (state.gpr(GPR.SP) & ~0xffffn) | BigInt(sp));
  state.systemFlags &= ~(EFLAGS.IF | EFLAGS.TF | EFLAGS.RF | EFLAGS.AC);
  const selector = Number(entry >> 16n);
  state.setSegment(SEGMENT.CS, { ...state.segment(SEGMENT.CS), selector, base: BigInt(selector) << 4n });
  cpu.ip = entry & 0xffffn;
  return undefined;
}

/** A gate of the IDT. */
interface Gate {
  readonly selector: number;
  readonly offset: bigint;
  /** Bytes of the frame's words. */
  readonly size: 2 | 4 | 8;
  readonly clearsInterrupts: boolean;
  /** Interrupt stack table entry, or 0. */
  readonly ist: number;
}

function deliverProtected(cpu: X64Cpu, event: Event): Fault | undefined {
  const gate = readGate(cpu, event);
  if ('vector' in gate) return gate;
  if ('task' in gate) return deliverToTask(cpu, event, gate.task);
  const target = readDescriptor(cpu, gate.selector);
  if ('vector' in target) return withExternal(target, event);
  const failure = checkHandler(cpu, gate, target);
  if (failure !== undefined) return withExternal(failure, event);
  const inner = (target.attributes & ATTRIBUTE.DC) === 0 && dpl(target) < cpu.cpl;
  const newCpl = inner ? dpl(target) : cpu.cpl;
  return gate.size === 8
    ? enterLong(cpu, event, gate, target, newCpl, inner)
    : enterLegacy(cpu, event, gate, target, newCpl, inner);
}

/** A task gate: the handler is a task of its own, which gets the error code on its stack. */
function deliverToTask(cpu: X64Cpu, event: Event, selector: number): Fault | undefined {
  const task = findTask(cpu, selector);
  if ('vector' in task) return withExternal(task, event);
  const failure = enterTask(cpu, task, 'nested', event.returnIp, storedFlags(cpu, event));
  if (failure !== undefined) return withExternal(failure, event);
  if (event.errorCode === undefined) return undefined;
  const stack = FarStack.current(cpu);
  if (!stack.push(BigInt(event.errorCode >>> 0), task.isWide ? 4 : 2)) return withExternal(stack.fault, event);
  stack.commit();
  return undefined;
}

/** EXT in the error code of a fault in the delivery of an external event. */
function withExternal(failure: Fault, event: Event): Fault {
  if (!event.external || failure.errorCode === undefined || failure.vector === VECTOR.PF) return failure;
  return { ...failure, errorCode: failure.errorCode | 1 };
}

/** Error code that names an IDT entry. */
function gateError(vector: number, event: Event): number {
  return vector * 8 + 2 + (event.software || !event.external ? 0 : 1);
}

function readGate(cpu: X64Cpu, event: Event): Gate | { readonly task: number } | Fault {
  const { registers, memory } = cpu;
  const { vector } = event;
  const long = cpu.isLongMode;
  const size = long ? 16 : 8;
  if (vector * size + size - 1 > registers.idtr.limit) return fault(VECTOR.GP, gateError(vector, event));
  const address = registers.idtr.base + BigInt(vector * size);
  const raw = memory.read(address, 8);
  const upper = long && raw !== undefined ? memory.read(address + 8n, 8) : 0n;
  if (raw === undefined || upper === undefined) return memory.fault;
  return checkGate(cpu, event, Number((raw >> 32n) & 0xff00n)) ?? gateOf(raw, upper, long);
}

/** Whether an event may go through a gate of these attributes. */
function checkGate(cpu: X64Cpu, event: Event, attributes: number): Fault | undefined {
  const error = gateError(event.vector, event);
  const known = cpu.isLongMode ? LONG_GATES : LEGACY_GATES;
  if (!known.includes(gateType(attributes))) return fault(VECTOR.GP, error);
  if (event.software && ((attributes >> 13) & 3) < cpu.cpl) return fault(VECTOR.GP, error);
  return attributes & ATTRIBUTE.P ? undefined : fault(VECTOR.NP, error);
}

function gateType(attributes: number): number {
  return (attributes >> 8) & 31;
}

/** The fields of a gate. @param upper second half of a gate of long mode */
function gateOf(raw: bigint, upper: bigint, long: boolean): Gate | { readonly task: number } {
  const type = gateType(Number((raw >> 32n) & 0xff00n));
  if (type === SYSTEM_TYPE.TASK_GATE) return { task: Number((raw >> 16n) & 0xffffn) };
  const offset = (raw & 0xffffn) | ((raw >> 32n) & 0xffff_0000n) | ((upper & 0xffff_ffffn) << 32n);
  const narrow = type === SYSTEM_TYPE.INTERRUPT_GATE_16 || type === SYSTEM_TYPE.TRAP_GATE_16;
  return {
    selector: Number((raw >> 16n) & 0xffffn),
    offset: narrow ? offset & 0xffffn : offset,
    size: long ? 8 : narrow ? 2 : 4,
    clearsInterrupts: type === SYSTEM_TYPE.INTERRUPT_GATE || type === SYSTEM_TYPE.INTERRUPT_GATE_16,
    ist: long ? Number((raw >> 32n) & 7n) : 0,
  };
}

const LONG_GATES: readonly number[] = [SYSTEM_TYPE.INTERRUPT_GATE, SYSTEM_TYPE.TRAP_GATE];
const LEGACY_GATES: readonly number[] = [
  ...LONG_GATES,
  SYSTEM_TYPE.INTERRUPT_GATE_16,
  SYSTEM_TYPE.TRAP_GATE_16,
  SYSTEM_TYPE.TASK_GATE,
];

function checkHandler(cpu: X64Cpu, gate: Gate, target: Descriptor): Fault | undefined {
  const { selector } = gate;
  if ((selector & 0xfffc) === 0 || !isCode(target) || dpl(target) > cpu.cpl) return protectionFault(selector);
  if ((target.attributes & ATTRIBUTE.P) === 0) return fault(VECTOR.NP, selector & 0xfffc);
  if (cpu.isLongMode && (target.attributes & (ATTRIBUTE.L | ATTRIBUTE.DB)) !== ATTRIBUTE.L) {
    return protectionFault(selector);
  }
  return undefined;
}

/** Frame of 64-bit mode: SS, RSP, RFLAGS, CS, RIP, error code, on a stack aligned to 16 bytes. */
function enterLong(
  cpu: X64Cpu,
  event: Event,
  gate: Gate,
  target: Descriptor,
  newCpl: number,
  inner: boolean,
): Fault | undefined {
  const { state, memory } = cpu;
  const top = longStack(cpu, gate, newCpl, inner);
  if (typeof top !== 'bigint') return withExternal(top, event);
  const words = [
    BigInt(state.selector(SEGMENT.SS)),
    state.gpr(GPR.SP),
    BigInt(storedFlags(cpu, event) >>> 0),
    BigInt(state.selector(SEGMENT.CS)),
    event.returnIp,
  ];
  if (event.errorCode !== undefined) words.push(BigInt(event.errorCode >>> 0));
  let sp = top & ~15n;
  for (const word of words) {
    sp = BigInt.asUintN(64, sp - 8n);
    if (!memory.write(sp, word, 8)) return withExternal(asStackFault(memory.fault), event);
  }
  if (inner) state.setSegment(SEGMENT.SS, nullSegment(newCpl));
  state.setGpr(GPR.SP, sp);
  enterHandler(cpu, gate, target, newCpl);
  return undefined;
}

/** Stack pointer that the handler starts with, before alignment. */
function longStack(cpu: X64Cpu, gate: Gate, newCpl: number, inner: boolean): bigint | Fault {
  if (!inner && gate.ist === 0) return cpu.state.gpr(GPR.SP);
  return longStackPointer(cpu, gate.ist === 0 ? innerPointerOffset(newCpl) : 0x24 + 8 * (gate.ist - 1));
}

function storedFlags(cpu: X64Cpu, event: Event): number {
  return cpu.state.eflags | (event.restarts ? EFLAGS.RF : 0);
}

/** Frame of protected mode: SS:ESP when the level changes, EFLAGS, CS, EIP, error code. */
function enterLegacy(
  cpu: X64Cpu,
  event: Event,
  gate: Gate,
  target: Descriptor,
  newCpl: number,
  inner: boolean,
): Fault | undefined {
  const { state } = cpu;
  const place = inner ? innerStack(cpu, newCpl) : undefined;
  if (place !== undefined && 'vector' in place) return withExternal(place, event);
  if (cpu.isVm86 && newCpl !== 0) return withExternal(protectionFault(gate.selector), event);
  const stack = place === undefined ? FarStack.current(cpu) : FarStack.inner(cpu, place);
  if (!stack.pushAll(legacyFrame(cpu, event, inner), gate.size)) return withExternal(stack.fault, event);
  if (place !== undefined) state.setSegment(SEGMENT.SS, place.segment);
  stack.commit();
  if (cpu.isVm86) for (const n of VM86_FRAME) state.setSegment(n, nullSegment(0));
  enterHandler(cpu, gate, target, newCpl);
  return undefined;
}

/** Segment registers that are saved when virtual-8086 mode is left, first to last. */
const VM86_FRAME = [SEGMENT.GS, SEGMENT.FS, SEGMENT.DS, SEGMENT.ES];

function legacyFrame(cpu: X64Cpu, event: Event, inner: boolean): readonly bigint[] {
  const { state } = cpu;
  const words = [
    ...(cpu.isVm86 ? VM86_FRAME.map(n => state.selector(n)) : []),
    ...(inner ? [state.selector(SEGMENT.SS), state.gpr32(GPR.SP)] : []),
    storedFlags(cpu, event),
    state.selector(SEGMENT.CS),
    Number(event.returnIp),
    ...(event.errorCode === undefined ? [] : [event.errorCode]),
  ];
  return words.map(word => BigInt(word >>> 0));
}

function enterHandler(cpu: X64Cpu, gate: Gate, target: Descriptor, newCpl: number): void {
  const { state } = cpu;
  const cleared = EFLAGS.TF | EFLAGS.NT | EFLAGS.RF | EFLAGS.VM | (gate.clearsInterrupts ? EFLAGS.IF : 0);
  state.systemFlags &= ~cleared;
  state.setSegment(SEGMENT.CS, toSegment((gate.selector & ~3) | newCpl, target));
  cpu.ip = gate.offset;
}
