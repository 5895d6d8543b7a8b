/**
 * A writer for AML, the byte code of ACPI's definition blocks: as much as the boards' DSDTs need.
 *
 * Source: ACPI specification 6.4 "ACPI Machine Language (AML) Specification"; resource descriptors: "Resource Data Types for ACPI".
 */
import { assert } from '../../../capture/formats/errors.ts';

/** Encoded AML. */
export type Aml = readonly number[];

const OP = {
  ZERO: 0x00,
  ONE: 0x01,
  NAME: 0x08,
  BYTE: 0x0a,
  WORD: 0x0b,
  DWORD: 0x0c,
  STRING: 0x0d,
  QWORD: 0x0e,
  SCOPE: 0x10,
  BUFFER: 0x11,
  PACKAGE: 0x12,
  METHOD: 0x14,
  DUAL_NAME: 0x2e,
  MULTI_NAME: 0x2f,
  EXTENDED: 0x5b,
  LOCAL0: 0x60,
  ARG0: 0x68,
  STORE: 0x70,
  AND: 0x7b,
  OR: 0x7d,
  NOTIFY: 0x86,
  CREATE_DWORD_FIELD: 0x8a,
  NOT: 0x92,
  EQUAL: 0x93,
  IF: 0xa0,
  ELSE: 0xa1,
  RETURN: 0xa4,
} as const;
const EXTENDED_OP = { REGION: 0x80, FIELD: 0x81, DEVICE: 0x82 } as const;

/** Address spaces of operation regions. */
export const REGION_SPACE = { SYSTEM_MEMORY: 0, SYSTEM_IO: 1 } as const;
/** Field flags: double-word access, write as zeros. */
export const FIELD_DWORD_ZEROS = 0x43;

export const LOCAL0: Aml = [OP.LOCAL0];
/** Arguments of a method. */
export const ARG = [[OP.ARG0], [OP.ARG0 + 1], [OP.ARG0 + 2], [OP.ARG0 + 3]] as const satisfies readonly Aml[];

/** An integer in its shortest form. */
export function integer(value: number): Aml {
  if (value === 0) return [OP.ZERO];
  if (value === 1) return [OP.ONE];
  if (value < 2 ** 8) return [OP.BYTE, value];
  if (value < 2 ** 16) return [OP.WORD, ...littleEndian(value, 2)];
  if (value < 2 ** 32) return [OP.DWORD, ...littleEndian(value, 4)];
  return [OP.QWORD, ...littleEndian(value, 8)];
}

export function string(text: string): Aml {
  return [OP.STRING, ...Buffer.from(text, 'latin1'), 0];
}

/** A name or path: `_HID`, `_SB.PCI0`, `\`. */
export function path(text: string): Aml {
  const root = text.startsWith('\\') ? [0x5c] : [];
  const segments = text
    .replace('\\', '')
    .split('.')
    .filter(part => part !== '');
  const bytes = segments.flatMap(segment => {
    assert(/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment), `${segment} is an ACPI name`);
    return [...Buffer.from(segment.padEnd(4, '_'), 'latin1')];
  });
  if (segments.length === 0) return [...root, 0];
  if (segments.length === 1) return [...root, ...bytes];
  if (segments.length === 2) return [...root, OP.DUAL_NAME, ...bytes];
  return [...root, OP.MULTI_NAME, segments.length, ...bytes];
}

/** `Name (path, value)`. */
export function name(key: string, value: Aml): Aml {
  return [OP.NAME, ...path(key), ...value];
}

export function scope(where: string, ...content: readonly Aml[]): Aml {
  return [OP.SCOPE, ...withLength([...path(where), ...content.flat()])];
}

export function device(label: string, ...content: readonly Aml[]): Aml {
  return [OP.EXTENDED, EXTENDED_OP.DEVICE, ...withLength([...path(label), ...content.flat()])];
}

/** A method of `argumentCount` arguments, serialized. */
export function method(label: string, argumentCount: number, ...content: readonly Aml[]): Aml {
  const SERIALIZED = 8;
  return [OP.METHOD, ...withLength([...path(label), argumentCount | SERIALIZED, ...content.flat()])];
}

export function packageOf(...elements: readonly Aml[]): Aml {
  return [OP.PACKAGE, ...withLength([elements.length, ...elements.flat()])];
}

/** `OperationRegion (label, space, offset, length)`. */
export function operationRegion(label: string, space: number, offset: number, length: number): Aml {
  return [OP.EXTENDED, EXTENDED_OP.REGION, ...path(label), space, ...integer(offset), ...integer(length)];
}

/** `Field (region, …) { name, bits, … }`. */
export function fieldOf(region: string, flags: number, fields: Readonly<Record<string, number>>): Aml {
  const list = Object.entries(fields).flatMap(([label, bits]) => [...path(label), ...packageLength(bits)]);
  return [OP.EXTENDED, EXTENDED_OP.FIELD, ...withLength([...path(region), flags, ...list])];
}

export function store(value: Aml, target: Aml): Aml {
  return [OP.STORE, ...value, ...target];
}

/** `If (value & mask == mask) { … }`. */
export function ifBitsSet(value: Aml, mask: number, ...content: readonly Aml[]): Aml {
  const masked = [OP.AND, ...value, ...integer(mask), OP.ZERO];
  return [OP.IF, ...withLength([OP.EQUAL, ...masked, ...integer(mask), ...content.flat()])];
}

/** `target = a & b`. */
export function and(a: Aml, b: Aml, target: Aml): Aml {
  return [OP.AND, ...a, ...b, ...target];
}

/** `target = a | b`. */
export function or(a: Aml, b: Aml, target: Aml): Aml {
  return [OP.OR, ...a, ...b, ...target];
}

export function equal(a: Aml, b: Aml): Aml {
  return [OP.EQUAL, ...a, ...b];
}

export function notEqual(a: Aml, b: Aml): Aml {
  return [OP.NOT, ...equal(a, b)];
}

/** `If (condition) { … } Else { … }`. */
export function ifElse(condition: Aml, content: Aml, otherwise?: Aml): Aml {
  const rest = otherwise === undefined ? [] : [OP.ELSE, ...withLength(otherwise)];
  return [OP.IF, ...withLength([...condition, ...content]), ...rest];
}

export function returnValue(value: Aml): Aml {
  return [OP.RETURN, ...value];
}

/** `CreateDWordField (source, offset, label)`. */
export function createDwordField(source: Aml, offset: number, label: string): Aml {
  return [OP.CREATE_DWORD_FIELD, ...source, ...integer(offset), ...path(label)];
}

/** `ToUUID (text)`: the first three groups are little endian. */
export function uuid(text: string): Aml {
  const groups = text.split('-').map(group => [...Buffer.from(group, 'hex')]);
  const bytes = groups.flatMap((group, i) => (i < 3 ? group.toReversed() : group));
  return [OP.BUFFER, ...withLength([...integer(bytes.length), ...bytes])];
}

export function notify(target: string, code: number): Aml {
  return [OP.NOTIFY, ...path(target), ...integer(code)];
}

/** A plug-and-play id such as PNP0501, three letters and four digits in 32 bits. */
export function eisaId(id: string): Aml {
  assert(/^[A-Z]{3}[0-9A-F]{4}$/.test(id), `${id} is an EISA id`);
  const letter = (index: number): number => id.charCodeAt(index) - 0x40;
  const vendor = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = Number.parseInt(id.slice(3), 16);
  return [OP.DWORD, vendor >>> 8, vendor & 0xff, product >>> 8, product & 0xff];
}

/** A buffer of resource descriptors with its end tag. */
export function resources(...descriptors: readonly Aml[]): Aml {
  const bytes = [...descriptors.flat(), 0x79, 0];
  return [OP.BUFFER, ...withLength([...integer(bytes.length), ...bytes])];
}

/** `IO (Decode16, base, base, alignment, length)`. */
export function ioPorts(base: number, length: number, alignment = 1): Aml {
  return [0x47, 1, ...littleEndian(base, 2), ...littleEndian(base, 2), alignment, length];
}

/** `IRQNoFlags () { irq }`. */
export function irq(number: number): Aml {
  return [0x22, ...littleEndian(1 << number, 2)];
}

export function memory32Fixed(base: number, length: number, writable: boolean): Aml {
  return [0x86, 9, 0, writable ? 1 : 0, ...littleEndian(base, 4), ...littleEndian(length, 4)];
}

/** `Interrupt (ResourceConsumer, edge or level, ActiveHigh, Exclusive) { gsi }`. */
export function interrupt(gsi: number, isEdge: boolean): Aml {
  const CONSUMER = 1;
  const EDGE = 2;
  return [0x89, 6, 0, CONSUMER | (isEdge ? EDGE : 0), 1, ...littleEndian(gsi, 4)];
}

/** Resource types and flags of address-space descriptors. */
const SPACE = { MEMORY: 0, IO: 1, BUS: 2 } as const;
/** Produced, positively decoded, both ends fixed. */
const PRODUCED_FIXED = 0x0c;
const IO_ENTIRE_RANGE = 3;
const MEMORY_WRITABLE = 1;

export function wordBusNumbers(first: number, last: number): Aml {
  return addressSpace(0x88, 2, SPACE.BUS, 0, first, last);
}

export function wordIo(first: number, last: number): Aml {
  return addressSpace(0x88, 2, SPACE.IO, IO_ENTIRE_RANGE, first, last);
}

export function dwordMemory(first: number, last: number): Aml {
  return addressSpace(0x87, 4, SPACE.MEMORY, MEMORY_WRITABLE, first, last);
}

export function qwordMemory(first: number, last: number): Aml {
  return addressSpace(0x8a, 8, SPACE.MEMORY, MEMORY_WRITABLE, first, last);
}

/** Granularity, minimum, maximum, translation, length, each `width` bytes. */
function addressSpace(tag: number, width: number, type: number, flags: number, first: number, last: number): Aml {
  const values = [0, first, last, 0, last - first + 1].flatMap(value => littleEndian(value, width));
  return [tag, ...littleEndian(3 + values.length, 2), type, PRODUCED_FIXED, flags, ...values];
}

/** A little-endian integer of `width` bytes. */
export function littleEndian(value: number, width: number): number[] {
  return Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** i) % 256);
}

/** PkgLength of `content`, which counts its own bytes, and the content. */
function withLength(content: Aml): number[] {
  let size = 1;
  while (packageLength(content.length + size).length !== size) size += 1;
  return [...packageLength(content.length + size), ...content];
}

/** "PkgLength Encoding": up to 63 in one byte, else four bits and one to three bytes more. */
function packageLength(value: number): number[] {
  if (value < 64) return [value];
  const extra = value < 2 ** 12 ? 1 : value < 2 ** 20 ? 2 : 3;
  return [(extra << 6) | (value & 0xf), ...littleEndian(Math.floor(value / 16), extra)];
}
