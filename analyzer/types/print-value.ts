/**
 * Values as gdb prints them.
 *
 * Source: GDB manual "Print Settings"; the defaults are what crash sets: `pretty` on, `symbol` on, `elements` 256,
 * `repeats` unlimited.
 */
import { readUnsigned } from '../../capture/formats/bytes.ts';
import { FaultError } from '../../capture/formats/errors.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { escapeChar, floatBits, formatScalar } from './print-format.ts';
import type { FormatLetter } from './print-format.ts';
import { sizeOf, stripTypedefs } from './types.ts';
import type { ArrayType, CType, EnumType, IntType, Member, StructType } from './types.ts';

const ELEMENTS = 256;
const MAX_DEPTH = 64;

/** What `set print …` changes. */
export interface PrintSettings {
  readonly pretty: boolean;
  /** Elements of arrays and characters of strings shown; 0 for all. */
  readonly elements: number;
  /** As many equal elements in a row become `<repeats N times>`; 0 for never. */
  readonly repeats: number;
  /** Show addresses of pointers. */
  readonly address: boolean;
  /** Show the symbol that a pointer points to. */
  readonly symbol: boolean;
  /** One line for each element of an array. */
  readonly array: boolean;
  /** Texts end at their first NUL. */
  readonly nullStop: boolean;
}

/** crash's settings. */
export const DEFAULT_PRINT_SETTINGS: PrintSettings = {
  pretty: true,
  elements: ELEMENTS,
  repeats: 0,
  address: true,
  symbol: true,
  array: false,
  nullStop: false,
};

/** What printing needs besides the bytes. */
export interface PrintContext {
  /** Name of what an address points to, `name+offset`, or undefined. */
  readonly symbolAt: (address: bigint) => string | undefined;
  /** For the text behind a `char *`. */
  readonly memory: MemoryReader | undefined;
  /** Address of the first byte given, when it has one. */
  readonly base?: bigint;
  /** 10, or 16 for hexadecimal integers. */
  readonly radix: 10 | 16;
  /** Of all scalars, whatever their type. */
  readonly format?: FormatLetter | undefined;
  readonly settings?: PrintSettings;
}

/** Text of a value whose bytes start at `offset`. */
export function printValue(type: CType, bytes: Uint8Array, offset: number, context: PrintContext, depth = 0): string {
  const bare = stripTypedefs(type);
  if (depth > MAX_DEPTH) return '{...}';
  switch (bare.kind) {
    case 'struct':
    case 'union':
      return printStruct(bare, bytes, offset, context, depth);
    case 'array':
      return printArray(bare, bytes, offset, context, depth);
    case 'int':
    case 'enum':
    case 'pointer':
    case 'float':
      return printScalar(type, readUnsigned(bytes, offset, bare.size), 8 * bare.size, context);
    default:
      return 'void';
  }
}

function settingsOf({ settings }: PrintContext): PrintSettings {
  return settings ?? DEFAULT_PRINT_SETTINGS;
}

function printStruct(
  type: StructType,
  bytes: Uint8Array,
  offset: number,
  context: PrintContext,
  depth: number,
): string {
  if (type.members.length === 0) return type.declaredSize === undefined ? '<incomplete type>' : '{<No data fields>}';
  const { pretty } = settingsOf(context);
  const indent = pretty ? '  '.repeat(depth + 1) : '';
  const members = type.members.map(member => {
    const text = printMember(member, bytes, offset, context, depth + 1);
    return `${indent}${member.name === '' ? '' : `${member.name} = `}${text}`;
  });
  return pretty ? `{\n${members.join(',\n')}\n${'  '.repeat(depth)}}` : `{${members.join(', ')}}`;
}

function printMember(member: Member, bytes: Uint8Array, offset: number, context: PrintContext, depth: number): string {
  if (member.bitSize === undefined)
    return printValue(member.type, bytes, offset + (member.bitOffset >> 3), context, depth);
  return printScalar(
    member.type,
    readBits(bytes, 8 * offset + member.bitOffset, member.bitSize),
    member.bitSize,
    context,
  );
}

/** Reads a bit field, least significant bit first. */
export function readBits(bytes: Uint8Array, bitOffset: number, width: number): bigint {
  const start = bitOffset >> 3;
  const shift = bitOffset & 7;
  let word = 0n;
  for (let i = Math.ceil((shift + width) / 8) - 1; i >= 0; i--) word = (word << 8n) | BigInt(bytes[start + i] ?? 0);
  return BigInt.asUintN(width, word >> BigInt(shift));
}

/** Text of an integer, enumeration, pointer or floating value of `bits` bits. */
export function printScalar(type: CType, raw: bigint, bits: number, context: PrintContext): string {
  const bare = stripTypedefs(type);
  if (context.format !== undefined && context.format !== 's')
    return formatScalar(context.format, type, raw, bits, context.symbolAt);
  if (bare.kind === 'int') return printInt(bare, raw, bits, context);
  if (bare.kind === 'enum') return printEnum(bare, raw, bits, context);
  if (bare.kind === 'pointer') return printPointer(bare.target, raw, context);
  if (bare.kind === 'float') return floatBits(raw, bare.size);
  return `${raw}`;
}

function printInt(type: IntType, raw: bigint, bits: number, context: PrintContext): string {
  if (type.encoding === 'bool' && context.radix === 10) return raw === 0n ? 'false' : raw === 1n ? 'true' : `${raw}`;
  const value = type.signed ? BigInt.asIntN(bits, raw) : raw;
  const text = context.radix === 16 ? `0x${raw.toString(16)}` : `${value}`;
  const isChar = type.size === 1;
  return isChar && context.radix === 10 ? `${text} '${escapeChar(Number(raw), "'")}'` : text;
}

function printEnum(type: EnumType, raw: bigint, bits: number, context: PrintContext): string {
  const value = type.signed ? BigInt.asIntN(bits, raw) : raw;
  const exact = type.enumerators.find(entry => entry.value === value);
  if (exact !== undefined) return exact.name;
  if (!isFlagEnum(type)) return context.radix === 16 ? `0x${raw.toString(16)}` : `${value}`;
  const parts = type.enumerators.filter(entry => entry.value !== 0n && (value & entry.value) === entry.value);
  const known = parts.reduce((sum, entry) => sum | entry.value, 0n);
  if (value === 0n) return '0';
  if (known === value) return `(${parts.map(({ name }) => name).join(' | ')})`;
  const unknown = `unknown: 0x${(value & ~known).toString(16)}`;
  return parts.length === 0 ? `(${unknown})` : `(${parts.map(({ name }) => name).join(' | ')} | ${unknown})`;
}

/** All values are disjoint bits or groups of bits: gdb's notion of a flag enumeration. */
function isFlagEnum(type: EnumType): boolean {
  let seen = 0n;
  for (const { value } of type.enumerators) {
    if (value < 0n || (value !== 0n && (seen & value) !== 0n) || !isRun(value)) return false;
    seen |= value;
  }
  return true;
}

/** One bit, or several that touch. */
function isRun(value: bigint): boolean {
  if (value === 0n) return true;
  const low = value & -value;
  return (value & (value + low)) === 0n;
}

function printPointer(target: CType, raw: bigint, context: PrintContext): string {
  const { address, symbol: wanted } = settingsOf(context);
  const text = `0x${raw.toString(16)}`;
  const bare = stripTypedefs(target);
  const symbol = raw === 0n || !(wanted || bare.kind === 'function') ? undefined : context.symbolAt(raw);
  const named = [...(address ? [text] : []), ...(symbol === undefined ? [] : [`<${symbol}>`])].join(' ');
  if (raw === 0n || bare.kind !== 'int' || bare.size !== 1 || bare.encoding === 'bool') return named;
  const pointee = stringAt(context, raw);
  return pointee === undefined
    ? `${text} <error: Cannot access memory at address ${text}>`
    : `${named}${named === '' ? '' : ' '}${pointee}`;
}

function stringAt(context: PrintContext, address: bigint): string | undefined {
  if (context.memory === undefined) return '';
  const limit = settingsOf(context).elements || 0x1_0000;
  try {
    const bytes = context.memory.readAvailable(address, limit + 1);
    if (bytes.length === 0) return undefined;
    const end = bytes.indexOf(0);
    const shown = bytes.subarray(0, end === -1 ? limit : Math.min(end, limit));
    return `${quote(shown)}${end === -1 || end > limit ? '...' : ''}`;
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}

function printArray(type: ArrayType, bytes: Uint8Array, offset: number, context: PrintContext, depth: number): string {
  const { element } = type;
  const length = type.length ?? 0;
  const bare = stripTypedefs(element);
  const asText = context.format === undefined || context.format === 's';
  if (asText && bare.kind === 'int' && bare.size === 1 && bare.encoding !== 'bool' && length > 0)
    return printCharArray(bytes.subarray(offset, offset + length), context);
  if (length === 0 || sizeOf(bare) === 0) return printEmptyArray(bare, offset, context);
  return printElements(element, length, bytes, offset, context, depth);
}

/** A flexible array has no contents that are known: its address stands for it, with the text of a `char` one. */
function printEmptyArray(element: CType, offset: number, context: PrintContext): string {
  if (context.base === undefined) return '{}';
  const address = context.base + BigInt(offset);
  return printPointer(element, address, context);
}

function printElements(
  element: CType,
  length: number,
  bytes: Uint8Array,
  offset: number,
  context: PrintContext,
  depth: number,
): string {
  const size = sizeOf(element);
  const { elements, repeats } = settingsOf(context);
  const limit = elements === 0 ? length : elements;
  const items: string[] = [];
  let index = 0;
  for (let shown = 0; index < length && shown < limit; shown++) {
    const text = printValue(element, bytes, offset + index * size, context, depth + 1);
    const run = repeats === 0 ? 1 : runLength(bytes, offset + index * size, size, length - index);
    const folds = repeats !== 0 && run > repeats;
    items.push(folds ? `${text} <repeats ${run} times>` : text);
    index += folds ? run : 1;
    if (folds) shown += repeats - 1;
  }
  return bracketed(items, index < length, settingsOf(context), depth);
}

function bracketed(items: readonly string[], isCut: boolean, { array, pretty }: PrintSettings, depth: number): string {
  const rest = isCut ? '...' : '';
  if (!array || !pretty) return `{${items.join(', ')}${rest}}`;
  const indent = '  '.repeat(depth + 1);
  return `{\n${indent}${items.join(`,\n${indent}`)}${rest}\n${'  '.repeat(depth)}}`;
}

/** Number of equal elements in a row. */
function runLength(bytes: Uint8Array, offset: number, size: number, most: number): number {
  let run = 1;
  const first = Buffer.from(bytes.subarray(offset, offset + size));
  while (run < most && first.equals(bytes.subarray(offset + run * size, offset + (run + 1) * size))) run++;
  return run;
}

/** A `char` array; one NUL at the end is not shown. */
function printCharArray(whole: Uint8Array, context: PrintContext): string {
  const end = settingsOf(context).nullStop ? whole.indexOf(0) : -1;
  const all = end === -1 ? whole : whole.subarray(0, end + 1);
  const limit = settingsOf(context).elements || all.length;
  if (all.length > limit) {
    const shown = all.subarray(0, limit);
    // Beyond the limit only NULs: the text is whole.
    return all.subarray(limit).every(byte => byte === 0) && all.length === limit + 1
      ? quote(shown)
      : `${quote(shown)}...`;
  }
  return quote(all.at(-1) === 0 ? all.subarray(0, -1) : all);
}

function quote(bytes: Uint8Array): string {
  return `"${Array.from(bytes, byte => escapeChar(byte, '"')).join('')}"`;
}
