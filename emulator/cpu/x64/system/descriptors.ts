/**
 * Segment descriptors and the checks of loading one.
 *
 * Source: Intel SDM vol. 3A "Segment Descriptors", "Privilege Checking When Accessing Data Segments"; vol. 2 "MOV".
 */
import { SEGMENT } from '../state.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import type { SegmentValue } from './register-access.ts';

/** Bits of a descriptor's second word at their place; `SegmentValue.attributes` holds bits 8 to 23 of it. */
export const ATTRIBUTE = {
  ACCESSED: 1 << 8,
  /** Data: writable; code: readable. */
  RW: 1 << 9,
  /** Data: expands down; code: conforming. */
  DC: 1 << 10,
  CODE: 1 << 11,
  /** Code or data; clear for system segments. */
  S: 1 << 12,
  P: 1 << 15,
  L: 1 << 21,
  /** D of code, B of stacks. */
  DB: 1 << 22,
  G: 1 << 23,
} as const;

const KEPT = 0x00f0_ff00;

/** Types of system descriptors, bits 11 to 8. */
export const SYSTEM_TYPE = {
  TSS16: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL_GATE_16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE_16: 6,
  TRAP_GATE_16: 7,
  TSS: 9,
  TSS_BUSY: 11,
  CALL_GATE: 12,
  INTERRUPT_GATE: 14,
  TRAP_GATE: 15,
} as const;

/** A descriptor of 8 bytes as read from a table. */
export interface Descriptor {
  readonly attributes: number;
  readonly base: bigint;
  readonly limit: number;
}

export function parseDescriptor(raw: bigint): Descriptor {
  const low = Number(raw & 0xffff_ffffn);
  const high = Number(raw >> 32n);
  const limit = (low & 0xffff) | (high & 0xf_0000);
  return {
    attributes: high & KEPT,
    base: BigInt((low >>> 16) | ((high & 0xff) << 16)) | (BigInt(high >>> 24) << 24n),
    limit: high & ATTRIBUTE.G ? limit * 4096 + 0xfff : limit,
  };
}

export function dpl({ attributes }: { readonly attributes: number }): number {
  return (attributes >> 13) & 3;
}

export function systemType({ attributes }: { readonly attributes: number }): number {
  return (attributes >> 8) & 15;
}

export function isCode({ attributes }: { readonly attributes: number }): boolean {
  return (attributes & (ATTRIBUTE.S | ATTRIBUTE.CODE)) === (ATTRIBUTE.S | ATTRIBUTE.CODE);
}

function isWritableData({ attributes }: Descriptor): boolean {
  return (attributes & (ATTRIBUTE.S | ATTRIBUTE.CODE | ATTRIBUTE.RW)) === (ATTRIBUTE.S | ATTRIBUTE.RW);
}

/** The hidden part of a null selector. */
export function nullSegment(selector: number): SegmentValue {
  return { selector, base: 0n, limit: 0, attributes: 0 };
}

/** A segment as real mode and virtual-8086 mode load it; limit and attributes stay in real mode. */
export function realModeSegment(selector: number, before: SegmentValue): SegmentValue {
  return { ...before, selector, base: BigInt(selector) << 4n };
}

/** A segment register after reset and INIT. Source: Intel SDM vol. 3A "Processor State After Reset". */
export function segmentAtReset(segment: number): SegmentValue {
  return segment === SEGMENT.CS
    ? { selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, attributes: 0x9b00 }
    : { selector: 0, base: 0n, limit: 0xffff, attributes: 0x9300 };
}

export function toSegment(selector: number, { attributes, base, limit }: Descriptor): SegmentValue {
  return { selector, base, limit, attributes };
}

/** Data, or code that may be read. */
function isReadable(descriptor: Descriptor): boolean {
  const { attributes } = descriptor;
  return (attributes & ATTRIBUTE.S) !== 0 && (!isCode(descriptor) || (attributes & ATTRIBUTE.RW) !== 0);
}

/** Whether a data or stack segment register may be loaded with a descriptor. @returns the fault when not */
export function checkDataSegment(
  segment: number,
  selector: number,
  descriptor: Descriptor,
  cpl: number,
): Fault | undefined {
  const rpl = selector & 3;
  if (segment === SEGMENT.SS) {
    if (rpl !== cpl || dpl(descriptor) !== cpl || !isWritableData(descriptor)) return protectionFault(selector);
    return descriptor.attributes & ATTRIBUTE.P ? undefined : fault(VECTOR.SS, selector & 0xfffc);
  }
  const conforming = isCode(descriptor) && (descriptor.attributes & ATTRIBUTE.DC) !== 0;
  if (!isReadable(descriptor) || (!conforming && Math.max(rpl, cpl) > dpl(descriptor)))
    return protectionFault(selector);
  return descriptor.attributes & ATTRIBUTE.P ? undefined : fault(VECTOR.NP, selector & 0xfffc);
}

/** Whether control may go to a code segment directly. */
export function checkCodeSegment(
  selector: number,
  descriptor: Descriptor,
  cpl: number,
  longMode: boolean,
): Fault | undefined {
  const { attributes } = descriptor;
  if (!isCode(descriptor)) return protectionFault(selector);
  if (longMode && attributes & ATTRIBUTE.L && attributes & ATTRIBUTE.DB) return protectionFault(selector);
  const conforming = (attributes & ATTRIBUTE.DC) !== 0;
  const allowed = conforming ? dpl(descriptor) <= cpl : (selector & 3) <= cpl && dpl(descriptor) === cpl;
  if (!allowed) return protectionFault(selector);
  return attributes & ATTRIBUTE.P ? undefined : fault(VECTOR.NP, selector & 0xfffc);
}
