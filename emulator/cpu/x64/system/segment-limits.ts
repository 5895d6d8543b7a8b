/**
 * What segments allow outside of 64-bit mode: offsets within the limit, reads and writes by the type.
 *
 * Source: Intel SDM vol. 3A "Limit Checking", "Type Checking"; vol. 1 "Segment Limit". Translated code asks here only while a segment
 * has a limit or type that could matter (`X64Mode.limited`), and for FS and GS always.
 */
import { SEGMENT } from '../state.ts';
import { ATTRIBUTE } from './descriptors.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import type { SegmentValue } from './register-access.ts';

const FOUR_GIB = 2 ** 32;
const PRESENT_CODE_OR_DATA = ATTRIBUTE.P | ATTRIBUTE.S;
const TYPE = PRESENT_CODE_OR_DATA | ATTRIBUTE.CODE | ATTRIBUTE.DC | ATTRIBUTE.RW;

/** Whether every access is allowed: writable data that expands up, over the whole 4 GiB. */
export function isUnlimitedData(attributes: number, limit: number): boolean {
  return limit === FOUR_GIB - 1 && (attributes & TYPE) === (PRESENT_CODE_OR_DATA | ATTRIBUTE.RW);
}

/** Whether `size` bytes at `offset` lie within the segment. */
export function isWithin({ attributes, limit }: SegmentValue, offset: number, size: number): boolean {
  const last = offset + size - 1;
  const expandsDown = (attributes & (ATTRIBUTE.CODE | ATTRIBUTE.DC)) === ATTRIBUTE.DC;
  if (!expandsDown) return last <= limit;
  return offset > limit && last < (attributes & ATTRIBUTE.DB ? FOUR_GIB : 0x1_0000);
}

function isReadable({ attributes }: SegmentValue): boolean {
  return (attributes & ATTRIBUTE.CODE) === 0 || (attributes & ATTRIBUTE.RW) !== 0;
}

function isWritable({ attributes }: SegmentValue): boolean {
  return (attributes & (ATTRIBUTE.CODE | ATTRIBUTE.RW)) === ATTRIBUTE.RW;
}

/** Whether an access through a segment register is allowed. @returns #SS(0) for SS, else #GP(0), when not */
export function checkAccess(
  segment: number,
  value: SegmentValue,
  offset: number,
  size: number,
  write: boolean,
): Fault | undefined {
  const usable = (value.attributes & PRESENT_CODE_OR_DATA) === PRESENT_CODE_OR_DATA;
  const allowed = usable && (write ? isWritable(value) : isReadable(value)) && isWithin(value, offset, size);
  if (allowed) return undefined;
  return segment === SEGMENT.SS ? fault(VECTOR.SS, 0) : protectionFault();
}
