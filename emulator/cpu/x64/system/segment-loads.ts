/** Loads of segment registers. Source: Intel SDM vol. 2 "MOV—Move", "LLDT", "LTR", "LAR", "LSL", "VERR/VERW". */
import type { X64Cpu } from '../cpu.ts';
import { SEGMENT } from '../state.ts';
import {
  ATTRIBUTE,
  checkDataSegment,
  type Descriptor,
  dpl,
  isCode,
  nullSegment,
  parseDescriptor,
  realModeSegment,
  systemType,
  SYSTEM_TYPE,
  toSegment,
} from './descriptors.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';

/** Linear address of a selector's descriptor, or undefined when it is beyond its table. */
function descriptorAddress(cpu: X64Cpu, selector: number, size: number): bigint | undefined {
  const offset = selector & 0xfff8;
  const ldt = cpu.state.segment(SEGMENT.LDTR);
  if (selector & 4 && (ldt.selector & 0xfffc) === 0) return undefined;
  const table = selector & 4 ? { base: ldt.base, limit: ldt.limit } : cpu.registers.gdtr;
  return offset + size - 1 > table.limit ? undefined : table.base + BigInt(offset);
}

/** Reads a descriptor of 8 bytes. @returns #GP(selector) when there is none */
export function readDescriptor(cpu: X64Cpu, selector: number): Descriptor | Fault {
  const address = descriptorAddress(cpu, selector, 8);
  if (address === undefined) return protectionFault(selector);
  const raw = cpu.memory.read(address, 8);
  return raw === undefined ? cpu.memory.fault : parseDescriptor(raw);
}

/** Sets the accessed bit of a code or data descriptor in its table. */
function markAccessed(cpu: X64Cpu, selector: number, descriptor: Descriptor): Fault | undefined {
  if (descriptor.attributes & ATTRIBUTE.ACCESSED) return undefined;
  const address = descriptorAddress(cpu, selector, 8);
  if (address === undefined) return undefined;
  const type = cpu.memory.read(address + 5n, 1);
  if (type === undefined || !cpu.memory.write(address + 5n, type | 1n, 1)) return cpu.memory.fault;
  return undefined;
}

/** MOV, POP or far load of ES, SS, DS, FS or GS. */
export function loadDataSegment(cpu: X64Cpu, segment: number, selector: number): Fault | undefined {
  const { state } = cpu;
  if (!cpu.isProtected || cpu.isVm86) {
    state.setSegment(segment, realModeSegment(selector, state.segment(segment)));
    return undefined;
  }
  if ((selector & 0xfffc) === 0) return loadNull(cpu, segment, selector);
  const descriptor = readDescriptor(cpu, selector);
  if ('vector' in descriptor) return descriptor;
  const failure = checkDataSegment(segment, selector, descriptor, cpu.cpl) ?? markAccessed(cpu, selector, descriptor);
  if (failure === undefined) state.setSegment(segment, toSegment(selector, accessed(descriptor)));
  return failure;
}

function accessed(descriptor: Descriptor): Descriptor {
  return { ...descriptor, attributes: descriptor.attributes | ATTRIBUTE.ACCESSED };
}

/** A null selector faults when used, and for SS is allowed in 64-bit mode below CPL 3 only. */
function loadNull(cpu: X64Cpu, segment: number, selector: number): Fault | undefined {
  if (segment === SEGMENT.SS && (!cpu.is64 || cpu.cpl === 3 || (selector & 3) !== cpu.cpl)) return protectionFault();
  // processors keep the base of FS and GS or clear it; Intel's and QEMU's clear it
  cpu.state.setSegment(segment, { ...nullSegment(selector), attributes: segment === SEGMENT.SS ? cpu.cpl << 13 : 0 });
  return undefined;
}

/** The code segment of a far transfer that keeps the privilege level `cpl`. */
export function loadCodeSegment(cpu: X64Cpu, selector: number, descriptor: Descriptor, cpl: number): Fault | undefined {
  const failure = markAccessed(cpu, selector, descriptor);
  if (failure === undefined) {
    cpu.state.setSegment(SEGMENT.CS, toSegment((selector & ~3) | cpl, accessed(descriptor)));
  }
  return failure;
}

/** Reads an LDT or TSS descriptor, which has 16 bytes in long mode. */
function readSystemDescriptor(cpu: X64Cpu, selector: number): Descriptor | Fault {
  const long = cpu.isLongMode;
  const address = selector & 4 ? undefined : descriptorAddress(cpu, selector, long ? 16 : 8);
  if (address === undefined) return protectionFault(selector);
  const low = cpu.memory.read(address, 8);
  const high = long ? cpu.memory.read(address + 8n, 8) : 0n;
  if (low === undefined || high === undefined) return cpu.memory.fault;
  const descriptor = parseDescriptor(low);
  const base = descriptor.base | ((high & 0xffff_ffffn) << 32n);
  return cpu.isCanonicalBase(base) ? { ...descriptor, base } : protectionFault(selector);
}

export function loadLdt(cpu: X64Cpu, selector: number): Fault | undefined {
  if ((selector & 0xfffc) === 0) {
    cpu.state.setSegment(SEGMENT.LDTR, nullSegment(selector));
    return undefined;
  }
  const descriptor = readSystemDescriptor(cpu, selector);
  if ('vector' in descriptor) return descriptor;
  if (descriptor.attributes & ATTRIBUTE.S || systemType(descriptor) !== SYSTEM_TYPE.LDT) {
    return protectionFault(selector);
  }
  if ((descriptor.attributes & ATTRIBUTE.P) === 0) return fault(VECTOR.NP, selector & 0xfffc);
  cpu.state.setSegment(SEGMENT.LDTR, toSegment(selector, descriptor));
  return undefined;
}

export function loadTaskRegister(cpu: X64Cpu, selector: number): Fault | undefined {
  if ((selector & 0xfffc) === 0) return protectionFault();
  const descriptor = readSystemDescriptor(cpu, selector);
  if ('vector' in descriptor) return descriptor;
  const type = systemType(descriptor);
  const available = type === SYSTEM_TYPE.TSS || (type === SYSTEM_TYPE.TSS16 && !cpu.isLongMode);
  if (descriptor.attributes & ATTRIBUTE.S || !available) return protectionFault(selector);
  if ((descriptor.attributes & ATTRIBUTE.P) === 0) return fault(VECTOR.NP, selector & 0xfffc);
  const busy = { ...descriptor, attributes: descriptor.attributes | (2 << 8) };
  const address = descriptorAddress(cpu, selector, 8)! + 5n;
  if (!cpu.memory.write(address, BigInt((busy.attributes >> 8) & 0xff), 1)) return cpu.memory.fault;
  cpu.state.setSegment(SEGMENT.TR, toSegment(selector, busy));
  return undefined;
}

/** Marks the task-state segment of a selector as busy or available, in the GDT. */
export function setBusy(cpu: X64Cpu, selector: number, busy: boolean): void {
  const address = descriptorAddress(cpu, selector, 8);
  const type = address === undefined ? undefined : cpu.memory.read(address + 5n, 1);
  if (type !== undefined) cpu.memory.write(address! + 5n, busy ? type | 2n : type & ~2n, 1);
}

/** Reads a gate: 8 bytes, in long mode 16. @returns both halves, or #GP(selector) when there is none */
export function readGateBytes(cpu: X64Cpu, selector: number): readonly [low: bigint, high: bigint] | Fault {
  const address = descriptorAddress(cpu, selector, cpu.isLongMode ? 16 : 8);
  if (address === undefined) return protectionFault(selector);
  const low = cpu.memory.read(address, 8);
  const high = cpu.isLongMode ? cpu.memory.read(address + 8n, 8) : 0n;
  return low === undefined || high === undefined ? cpu.memory.fault : [low, high];
}

/** The descriptor that LAR, LSL, VERR or VERW may look at, or undefined. A page fault is a fault. */
export function visibleDescriptor(cpu: X64Cpu, selector: number): Descriptor | Fault | undefined {
  if ((selector & 0xfffc) === 0) return undefined;
  const descriptor = readDescriptor(cpu, selector);
  if ('vector' in descriptor) return descriptor.vector === VECTOR.PF ? descriptor : undefined;
  const conforming = isCode(descriptor) && (descriptor.attributes & ATTRIBUTE.DC) !== 0;
  const visible = conforming || dpl(descriptor) >= Math.max(cpu.cpl, selector & 3);
  return visible ? descriptor : undefined;
}
