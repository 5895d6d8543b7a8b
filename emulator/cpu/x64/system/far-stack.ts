/**
 * The stacks that far transfers and exceptions push on and pop from: the current one, or that of an inner privilege level from the
 * task-state segment.
 *
 * Source: Intel SDM vol. 3A "Stack Switching", "Task-State Segment (TSS)", "64-Bit Task State Segment".
 */
import type { X64Cpu } from '../cpu.ts';
import { GPR, SEGMENT } from '../state.ts';
import { ATTRIBUTE, checkDataSegment, systemType, SYSTEM_TYPE, toSegment } from './descriptors.ts';
import { type Fault, fault, VECTOR } from './fault.ts';
import type { SegmentValue } from './register-access.ts';
import { isWithin } from './segment-limits.ts';
import { readDescriptor } from './segment-loads.ts';

/** Bytes of what is pushed at a time. */
export type Size = 2 | 4 | 8;

export function maskOf(size: Size): bigint {
  return (1n << BigInt(8 * size)) - 1n;
}

/** What a stack is made of. */
interface StackPlace {
  /** Undefined for the flat stack of 64-bit mode. */
  readonly segment: SegmentValue | undefined;
  readonly pointer: bigint;
  /** Accesses have the user's privilege. */
  readonly user: boolean;
  /** Of #SS beyond the limit: the selector of a stack that is being switched to. */
  readonly errorCode: number;
}

/** Pushes and pops that take effect when the transfer has succeeded. */
export class FarStack {
  readonly #cpu: X64Cpu;
  readonly #place: StackPlace;
  readonly #mask: bigint;
  pointer: bigint;
  /** Why the last push or pop failed. */
  fault: Fault;

  constructor(cpu: X64Cpu, place: StackPlace) {
    this.#cpu = cpu;
    this.#place = place;
    const wide = place.segment !== undefined && (place.segment.attributes & ATTRIBUTE.DB) !== 0;
    this.#mask = place.segment === undefined ? maskOf(8) : wide ? maskOf(4) : maskOf(2);
    this.pointer = place.pointer & this.#mask;
    this.fault = fault(VECTOR.SS, place.errorCode);
  }

  /** The stack that SS and rSP point to. */
  static current(cpu: X64Cpu): FarStack {
    const segment = cpu.is64 ? undefined : cpu.state.segment(SEGMENT.SS);
    return new FarStack(cpu, { segment, pointer: cpu.state.gpr(GPR.SP), user: cpu.cpl === 3, errorCode: 0 });
  }

  /** The stack of an inner level. */
  static inner(cpu: X64Cpu, { segment, pointer }: { segment: SegmentValue; pointer: number }): FarStack {
    const errorCode = segment.selector & 0xfffc;
    return new FarStack(cpu, { segment, pointer: BigInt(pointer), user: false, errorCode });
  }

  /** A flat stack of 64-bit mode. */
  static long(cpu: X64Cpu, pointer: bigint, user = false): FarStack {
    return new FarStack(cpu, { segment: undefined, pointer, user, errorCode: 0 });
  }

  /** Linear address of the stack pointer, or undefined when the segment ends before `size` bytes from there. */
  #address(size: number): bigint | undefined {
    const { segment, errorCode } = this.#place;
    if (segment === undefined) return this.pointer;
    if (!isWithin(segment, Number(this.pointer), size)) {
      this.fault = fault(VECTOR.SS, errorCode);
      return undefined;
    }
    return BigInt.asUintN(32, this.pointer + segment.base);
  }

  push(value: bigint, size: Size): boolean {
    this.pointer = (this.pointer - BigInt(size)) & this.#mask;
    const address = this.#address(size);
    if (address === undefined) return false;
    if (this.#cpu.memory.write(address, value & maskOf(size), size, this.#place.user)) return true;
    this.fault = asStackFault(this.#cpu.memory.fault);
    return false;
  }

  /** Pushes several values, the first one first. */
  pushAll(values: readonly bigint[], size: Size): boolean {
    return values.every(value => this.push(value, size));
  }

  pop(size: Size): bigint | undefined {
    const address = this.#address(size);
    if (address === undefined) return undefined;
    const value = this.#cpu.memory.read(address, size, this.#place.user);
    if (value === undefined) this.fault = asStackFault(this.#cpu.memory.fault);
    this.pointer = (this.pointer + BigInt(size)) & this.#mask;
    return value;
  }

  /** Pops several values; undefined when one faults. */
  popAll(size: Size, count: number): readonly bigint[] | undefined {
    const values: bigint[] = [];
    for (let i = 0; i < count; i++) {
      const value = this.pop(size);
      if (value === undefined) return undefined;
      values.push(value);
    }
    return values;
  }

  skip(bytes: number): void {
    this.pointer = (this.pointer + BigInt(bytes)) & this.#mask;
  }

  /** Makes the pointer that of the CPU: as wide as the stack. */
  commit(): void {
    const { state } = this.#cpu;
    state.setGpr(GPR.SP, this.#mask === maskOf(2) ? (state.gpr(GPR.SP) & ~0xffffn) | this.pointer : this.pointer);
  }
}

/** An address on the stack that is not canonical is #SS(0). */
export function asStackFault(failure: Fault): Fault {
  return failure.vector === VECTOR.GP ? fault(VECTOR.SS, 0) : failure;
}

/** SS:ESP of an inner level, from the task-state segment. */
export function innerStack(cpu: X64Cpu, newCpl: number): { segment: SegmentValue; pointer: number } | Fault {
  const tr = cpu.state.segment(SEGMENT.TR);
  const wide = systemType(tr) >= SYSTEM_TYPE.TSS;
  const offset = wide ? 4 + 8 * newCpl : 2 + 4 * newCpl;
  const size = wide ? 4 : 2;
  if (offset + size + 1 > tr.limit) return fault(VECTOR.TS, tr.selector & 0xfffc);
  const pointer = cpu.memory.read(tr.base + BigInt(offset), size);
  const selector = cpu.memory.read(tr.base + BigInt(offset + size), 2);
  if (pointer === undefined || selector === undefined) return cpu.memory.fault;
  const descriptor = readDescriptor(cpu, Number(selector));
  if ('vector' in descriptor) return asTaskFault(descriptor);
  const failure = checkDataSegment(SEGMENT.SS, Number(selector), descriptor, newCpl);
  if (failure !== undefined) return asTaskFault(failure);
  return { segment: toSegment(Number(selector), descriptor), pointer: Number(pointer) };
}

/** RSP of an inner level, or of the interrupt stack table: 8 bytes at an offset of the task-state segment of long mode. */
export function longStackPointer(cpu: X64Cpu, offset: number): bigint | Fault {
  const tr = cpu.state.segment(SEGMENT.TR);
  if (offset + 7 > tr.limit) return fault(VECTOR.TS, tr.selector & 0xfffc);
  const stack = cpu.memory.read(tr.base + BigInt(offset), 8);
  if (stack === undefined) return cpu.memory.fault;
  const high = Number(BigInt.asIntN(32, stack >> 32n));
  return cpu.paging.isCanonical(high) ? stack : fault(VECTOR.SS, 0);
}

/** Offset of RSP0, RSP1 or RSP2 in the task-state segment of long mode. */
export function innerPointerOffset(cpl: number): number {
  return 4 + 8 * cpl;
}

/** What is wrong with a segment that a task-state segment names is #TS, unless it is not present. */
export function asTaskFault(failure: Fault): Fault {
  return failure.vector === VECTOR.GP ? { ...failure, vector: VECTOR.TS } : failure;
}
