/**
 * Task switches outside of long mode: by CALL, JMP, IRET, interrupts and exceptions, to task-state segments of 32 and 16 bits.
 *
 * Source: Intel SDM vol. 3A "Task Management", "Task Switching", "Task Linking", "16-Bit Task-State Segment (TSS)".
 */
import type { X64Cpu } from '../cpu.ts';
import { EFLAGS, SEGMENT } from '../state.ts';
import { CR0, DR6 } from './control-bits.ts';
import {
  ATTRIBUTE,
  type Descriptor,
  dpl,
  isCode,
  nullSegment,
  realModeSegment,
  systemType,
  SYSTEM_TYPE,
  toSegment,
} from './descriptors.ts';
import { asTaskFault } from './far-stack.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import { loadDataSegment, loadLdt, readDescriptor, setBusy } from './segment-loads.ts';

/** How a task is left for another one: JMP; CALL or an interrupt, which can be returned from; IRET with NT set. */
export type SwitchKind = 'jump' | 'nested' | 'return';

/** A task-state segment to switch to. */
export interface Task {
  readonly selector: number;
  readonly descriptor: Descriptor;
  /** It has 32 bits. */
  readonly isWide: boolean;
}

/** Offsets in a task-state segment. */
interface TaskLayout {
  readonly word: 2 | 4;
  readonly ip: number;
  readonly flags: number;
  readonly registers: number;
  readonly segments: number;
  readonly segmentCount: 4 | 6;
  readonly ldt: number;
  /** Offset of the last byte that there must be. */
  readonly limit: number;
}

const WIDE: TaskLayout = {
  word: 4,
  ip: 0x20,
  flags: 0x24,
  registers: 0x28,
  segments: 0x48,
  segmentCount: 6,
  ldt: 0x60,
  limit: 0x67,
};
const NARROW: TaskLayout = {
  word: 2,
  ip: 0x0e,
  flags: 0x10,
  registers: 0x12,
  segments: 0x22,
  segmentCount: 4,
  ldt: 0x2a,
  limit: 0x2b,
};
const CR3_OFFSET = 0x1c;
/** T: a #DB behind the switch. */
const TRAP_OFFSET = 0x64;
/** Segment registers in the order of a task-state segment. */
const SEGMENTS = [SEGMENT.ES, SEGMENT.CS, SEGMENT.SS, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS];

/** The task of a selector, which must be available. @returns #GP or #NP when there is none */
export function findTask(cpu: X64Cpu, selector: number): Task | Fault {
  if ((selector & 0xfffc) === 0 || (selector & 4) !== 0) return protectionFault(selector);
  const descriptor = readDescriptor(cpu, selector);
  if ('vector' in descriptor) return descriptor;
  return taskOf(selector, descriptor, [SYSTEM_TYPE.TSS, SYSTEM_TYPE.TSS16]) ?? protectionFault(selector);
}

function taskOf(selector: number, descriptor: Descriptor, types: readonly number[]): Task | Fault | undefined {
  const type = systemType(descriptor);
  if ((descriptor.attributes & ATTRIBUTE.S) !== 0 || !types.includes(type)) return undefined;
  if ((descriptor.attributes & ATTRIBUTE.P) === 0) return fault(VECTOR.NP, selector & 0xfffc);
  return { selector, descriptor, isWide: type >= SYSTEM_TYPE.TSS };
}

/** IRET with NT: goes back to the task that the current one is linked to. */
export function returnToTask(cpu: X64Cpu, nextIp: bigint): Fault | undefined {
  const link = cpu.memory.read(cpu.state.segment(SEGMENT.TR).base, 2);
  if (link === undefined) return cpu.memory.fault;
  const selector = Number(link);
  const failed = fault(VECTOR.TS, selector & 0xfffc);
  if ((selector & 4) !== 0) return failed;
  const descriptor = readDescriptor(cpu, selector);
  if ('vector' in descriptor) return asTaskFault(descriptor);
  const task = taskOf(selector, descriptor, [SYSTEM_TYPE.TSS_BUSY, SYSTEM_TYPE.TSS16_BUSY]) ?? failed;
  return 'vector' in task ? task : enterTask(cpu, task, 'return', nextIp, cpu.state.eflags);
}

/**
 * Leaves the current task and enters another one.
 * @param nextIp instruction pointer at which the current task goes on
 * @param flags its flags
 * @returns a fault: of the switch, or of the new task before its first instruction
 */
export function enterTask(cpu: X64Cpu, task: Task, kind: SwitchKind, nextIp: bigint, flags: number): Fault | undefined {
  const layout = task.isWide ? WIDE : NARROW;
  if (task.descriptor.limit < layout.limit) return fault(VECTOR.TS, task.selector & 0xfffc);
  const old = cpu.state.segment(SEGMENT.TR);
  const incoming = readTask(cpu, task, layout);
  const saved = incoming && saveTask(cpu, kind, nextIp, flags);
  if (!incoming || !saved) return cpu.memory.fault;
  if (kind === 'nested' && !cpu.memory.write(task.descriptor.base, BigInt(old.selector), 2)) return cpu.memory.fault;
  if (kind !== 'nested') setBusy(cpu, old.selector, false);
  if (kind !== 'return') setBusy(cpu, task.selector, true);
  const busy = { ...task.descriptor, attributes: task.descriptor.attributes | (2 << 8) };
  cpu.state.setSegment(SEGMENT.TR, toSegment(task.selector, busy));
  cpu.registers.cr0 |= CR0.TS;
  if (incoming.traps) cpu.debugHits |= DR6.BT;
  const failure = loadTask(cpu, incoming, kind === 'nested');
  cpu.contextChanged();
  return failure;
}

/** What a task-state segment holds. */
interface TaskState {
  readonly cr3: number | undefined;
  readonly ip: bigint;
  readonly flags: number;
  readonly registers: readonly bigint[];
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly traps: boolean;
}

function readTask(cpu: X64Cpu, { descriptor, isWide }: Task, layout: TaskLayout): TaskState | undefined {
  const { word } = layout;
  let failed = false;
  const read = (offset: number, size: number = word): bigint => {
    const value = cpu.memory.read(descriptor.base + BigInt(offset), size);
    failed ||= value === undefined;
    return value ?? 0n;
  };
  const many = (offset: number, count: number, size: number = word): readonly bigint[] =>
    Array.from({ length: count }, (_, i) => read(offset + i * word, size));
  const state = {
    cr3: isWide && (cpu.registers.cr0 & CR0.PG) !== 0 ? Number(read(CR3_OFFSET)) : undefined,
    ip: read(layout.ip),
    flags: Number(read(layout.flags)),
    // a task of 16 bits leaves ones in the upper halves
    registers: many(layout.registers, 8).map(value => (isWide ? value : value | 0xffff_0000n)),
    selectors: many(layout.segments, layout.segmentCount, 2).map(Number),
    ldt: Number(read(layout.ldt, 2)),
    traps: isWide && (read(TRAP_OFFSET, 2) & 1n) !== 0n,
  };
  return failed ? undefined : state;
}

/** Writes what changes into the current task-state segment. @returns false when it faulted */
function saveTask(cpu: X64Cpu, kind: SwitchKind, nextIp: bigint, flags: number): boolean {
  const { state, memory } = cpu;
  const tr = state.segment(SEGMENT.TR);
  const layout = systemType(tr) >= SYSTEM_TYPE.TSS ? WIDE : NARROW;
  const write = (offset: number, value: bigint, size: number = layout.word): boolean =>
    memory.write(tr.base + BigInt(offset), BigInt.asUintN(8 * size, value), size);
  const kept = kind === 'return' ? flags & ~EFLAGS.NT : flags;
  let done = write(layout.ip, nextIp) && write(layout.flags, BigInt(kept));
  for (let n = 0; n < 8 && done; n++) done = write(layout.registers + n * layout.word, state.gpr(n));
  for (let i = 0; i < layout.segmentCount && done; i++) {
    done = write(layout.segments + i * layout.word, BigInt(state.selector(SEGMENTS[i]!)), 2);
  }
  return done;
}

/** Loads the registers; from here on a fault is the new task's. */
function loadTask(cpu: X64Cpu, task: TaskState, isNested: boolean): Fault | undefined {
  const { state, registers } = cpu;
  if (task.cr3 !== undefined) {
    registers.cr3 = task.cr3;
    cpu.flushTranslations();
    if (cpu.usesPae && !cpu.paging.loadPdptes(task.cr3)) return protectionFault();
  }
  state.eflags = task.flags | EFLAGS.FIXED | (isNested ? EFLAGS.NT : 0);
  task.registers.forEach((value, n) => state.setGpr(n, value));
  // the selectors are there even when their descriptors are not
  const selectors = SEGMENTS.map((_, i) => task.selectors[i] ?? 0);
  const isVm86 = (task.flags & EFLAGS.VM) !== 0;
  SEGMENTS.forEach((n, i) => {
    const selector = selectors[i]!;
    state.setSegment(n, isVm86 ? realModeSegment(selector, VM86_SEGMENT) : nullSegment(selector));
  });
  cpu.contextChanged();
  const ldt = loadTaskLdt(cpu, task.ldt);
  const failure = ldt ?? (isVm86 ? undefined : loadTaskSegments(cpu, selectors));
  cpu.ip = task.ip;
  if (failure !== undefined) return failure;
  return task.ip > BigInt(state.segment(SEGMENT.CS).limit) ? protectionFault() : undefined;
}

const VM86_SEGMENT = { selector: 0, base: 0n, limit: 0xffff, attributes: 0xf300 };

function loadTaskLdt(cpu: X64Cpu, selector: number): Fault | undefined {
  const failure = (selector & 4) !== 0 ? protectionFault(selector) : loadLdt(cpu, selector);
  return failure === undefined || failure.vector === VECTOR.PF ? failure : fault(VECTOR.TS, selector & 0xfffc);
}

/** CS decides the privilege level, so that it comes first. */
function loadTaskSegments(cpu: X64Cpu, selectors: readonly number[]): Fault | undefined {
  const failure = loadTaskCode(cpu, selectors[1]!);
  if (failure !== undefined) return failure;
  for (const i of [2, 0, 3, 4, 5]) {
    const wrong = loadDataSegment(cpu, SEGMENTS[i]!, selectors[i]!);
    if (wrong !== undefined) return asTaskFault(wrong);
  }
  return undefined;
}

function loadTaskCode(cpu: X64Cpu, selector: number): Fault | undefined {
  const failed = fault(VECTOR.TS, selector & 0xfffc);
  if ((selector & 0xfffc) === 0) return failed;
  const descriptor = readDescriptor(cpu, selector);
  if ('vector' in descriptor) return asTaskFault(descriptor);
  const conforming = (descriptor.attributes & ATTRIBUTE.DC) !== 0;
  const rpl = selector & 3;
  if (!isCode(descriptor) || (conforming ? dpl(descriptor) > rpl : dpl(descriptor) !== rpl)) return failed;
  if ((descriptor.attributes & ATTRIBUTE.P) === 0) return fault(VECTOR.NP, selector & 0xfffc);
  cpu.state.setSegment(SEGMENT.CS, toSegment(selector, descriptor));
  // the level of the stack to come
  cpu.state.setSegment(SEGMENT.SS, { ...cpu.state.segment(SEGMENT.SS), attributes: rpl << 13 });
  return undefined;
}
