/**
 * Delivery of exceptions and interrupts through the IDT (or the interrupt vector table in real mode).
 *
 * Source: Intel SDM vol. 3A "Interrupt and Exception Handling", "Interrupt and Exception Handling in 64-bit Mode"; vol. 2 "INT n/INTO/INT3/INT1".
 * Not modelled: task gates, delivery out of virtual-8086 mode through its redirection bitmap.
 */
import type { X64Cpu } from '../cpu.ts';
import { EFLAGS, GPR, SEGMENT } from '../state.ts';
import { DR6, DR7 } from './control-bits.ts';
import {
  ATTRIBUTE,
  checkDataSegment,
  type Descriptor,
  dpl,
  isCode,
  nullSegment,
  systemType,
  SYSTEM_TYPE,
  toSegment,
} from './descriptors.ts';
import { combineFaults, type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import type { SegmentValue } from './register-access.ts';
import { readDescriptor } from './segment-loads.ts';

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
  const failure = cpu.isProtected ? deliverProtected(cpu, event) : deliverReal(cpu, event);
  if (failure === undefined) {
    cpu.stepArmed = false;
    cpu.stackShadow = false;
    // breakpoints on data of MOV SS are taken at the handler's first instruction
    if (!event.software) cpu.debugHits = 0;
    cpu.closeStiWindow();
    cpu.lastDelivered = event;
    cpu.contextChanged();
  }
  return failure;
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

/** EXT in the error code of a fault in the delivery of an external event. */
function withExternal(failure: Fault, event: Event): Fault {
  if (!event.external || failure.errorCode === undefined || failure.vector === VECTOR.PF) return failure;
  return { ...failure, errorCode: failure.errorCode | 1 };
}

/** Error code that names an IDT entry. */
function gateError(vector: number, event: Event): number {
  return vector * 8 + 2 + (event.software || !event.external ? 0 : 1);
}

function readGate(cpu: X64Cpu, event: Event): Gate | Fault {
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
function gateOf(raw: bigint, upper: bigint, long: boolean): Gate {
  const type = gateType(Number((raw >> 32n) & 0xff00n));
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
const LEGACY_GATES: readonly number[] = [...LONG_GATES, SYSTEM_TYPE.INTERRUPT_GATE_16, SYSTEM_TYPE.TRAP_GATE_16];

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
    if (!memory.write(sp, word, 8)) return memory.fault;
  }
  if (inner) state.setSegment(SEGMENT.SS, nullSegment(newCpl));
  state.setGpr(GPR.SP, sp);
  enterHandler(cpu, gate, target, newCpl);
  return undefined;
}

/** Stack pointer that the handler starts with, before alignment. */
function longStack(cpu: X64Cpu, gate: Gate, newCpl: number, inner: boolean): bigint | Fault {
  if (!inner && gate.ist === 0) return cpu.state.gpr(GPR.SP);
  const tr = cpu.state.segment(SEGMENT.TR);
  const offset = gate.ist === 0 ? 4 + 8 * newCpl : 0x24 + 8 * (gate.ist - 1);
  if (offset + 7 > tr.limit) return fault(VECTOR.TS, tr.selector & 0xfffc);
  const stack = cpu.memory.read(tr.base + BigInt(offset), 8);
  if (stack === undefined) return cpu.memory.fault;
  const high = Number(BigInt.asIntN(32, stack >> 32n));
  return cpu.paging.isCanonical(high) ? stack : fault(VECTOR.SS, 0);
}

function storedFlags(cpu: X64Cpu, event: Event): number {
  return cpu.state.eflags | (event.restarts ? EFLAGS.RF : 0);
}

/** A stack to push on: where it is and how wide its pointer is. */
interface Stack {
  readonly segment: SegmentValue;
  readonly pointer: number;
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
  const { state, memory } = cpu;
  const stack = inner ? innerStack(cpu, newCpl) : { segment: state.segment(SEGMENT.SS), pointer: state.gpr32(GPR.SP) };
  if ('vector' in stack) return withExternal(stack, event);
  const fromVm86 = cpu.isVm86;
  const words = [
    ...(fromVm86 ? [SEGMENT.GS, SEGMENT.FS, SEGMENT.DS, SEGMENT.ES].map(n => state.selector(n)) : []),
    ...(inner ? [state.selector(SEGMENT.SS), state.gpr32(GPR.SP)] : []),
    storedFlags(cpu, event),
    state.selector(SEGMENT.CS),
    Number(event.returnIp),
    ...(event.errorCode === undefined ? [] : [event.errorCode]),
  ];
  const mask = stack.segment.attributes & ATTRIBUTE.DB ? 0xffff_ffff : 0xffff;
  let { pointer } = stack;
  for (const word of words) {
    pointer = ((pointer - gate.size) & mask) >>> 0;
    const address = BigInt.asUintN(32, stack.segment.base + BigInt(pointer));
    if (!memory.write(address, BigInt(word >>> 0), gate.size)) return memory.fault;
  }
  state.setSegment(SEGMENT.SS, stack.segment);
  const kept = mask === 0xffff ? state.gpr32(GPR.SP) & ~0xffff : 0;
  state.setGpr32(GPR.SP, kept | pointer);
  if (fromVm86) for (const n of [SEGMENT.GS, SEGMENT.FS, SEGMENT.DS, SEGMENT.ES]) state.setSegment(n, nullSegment(0));
  enterHandler(cpu, gate, target, newCpl);
  return undefined;
}

/** SS:ESP of an inner level, from the task-state segment. */
function innerStack(cpu: X64Cpu, newCpl: number): Stack | Fault {
  const tr = cpu.state.segment(SEGMENT.TR);
  const wide = systemType(tr) >= SYSTEM_TYPE.TSS;
  const offset = wide ? 4 + 8 * newCpl : 2 + 4 * newCpl;
  const size = wide ? 4 : 2;
  const failed = fault(VECTOR.TS, tr.selector & 0xfffc);
  if (offset + size + 1 > tr.limit) return failed;
  const pointer = cpu.memory.read(tr.base + BigInt(offset), size);
  const selector = cpu.memory.read(tr.base + BigInt(offset + size), 2);
  if (pointer === undefined || selector === undefined) return cpu.memory.fault;
  const descriptor = readDescriptor(cpu, Number(selector));
  if ('vector' in descriptor) return { ...descriptor, vector: VECTOR.TS };
  const failure = checkDataSegment(SEGMENT.SS, Number(selector), descriptor, newCpl);
  if (failure !== undefined) return failure.vector === VECTOR.SS ? failure : { ...failure, vector: VECTOR.TS };
  return { segment: toSegment(Number(selector), descriptor), pointer: Number(pointer) };
}

function enterHandler(cpu: X64Cpu, gate: Gate, target: Descriptor, newCpl: number): void {
  const { state } = cpu;
  const cleared = EFLAGS.TF | EFLAGS.NT | EFLAGS.RF | EFLAGS.VM | (gate.clearsInterrupts ? EFLAGS.IF : 0);
  state.systemFlags &= ~cleared;
  state.setSegment(SEGMENT.CS, toSegment((gate.selector & ~3) | newCpl, target));
  cpu.ip = gate.offset;
}
