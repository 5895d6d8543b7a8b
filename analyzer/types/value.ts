/** Typed values of C expressions: scalars, and objects in the dump's memory. */
import { readUnsigned } from '../../capture/formats/bytes.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { typeName } from './declare.ts';
import { printScalar, printValue, readBits } from './print-value.ts';
import type { PrintContext } from './print-value.ts';
import { FloatType, IntType, PointerType, sizeOf, stripTypedefs } from './types.ts';
import type { CType } from './types.ts';

export const INT = new IntType('int', 4, true);
export const UNSIGNED_INT = new IntType('unsigned int', 4, false);
export const LONG = new IntType('long', 8, true);
export const UNSIGNED_LONG = new IntType('unsigned long', 8, false);
export const CHAR = new IntType('char', 1, true, 'char');
export const DOUBLE = new FloatType('double', 8);

/** A value: either bits, or a place in memory whose bytes are read when needed. */
export interface Value {
  readonly type: CType;
  /** Address of the object, for what has one. */
  readonly address?: bigint;
  /** Bits of a scalar that is not in memory, unsigned; of a floating one as IEEE 754 has them. */
  readonly bits?: bigint;
  /** Of an array or structure that is not in memory. */
  readonly bytes?: Uint8Array;
  /** For a bit field: where it begins in the bytes at `address`, and its width. */
  readonly bitField?: { readonly offset: number; readonly width: number };
}

/** Unsigned bits of a scalar, read from memory if it is there. @throws UsageError for a structure */
export function bitsOf(memory: MemoryReader, value: Value): bigint {
  const bare = stripTypedefs(value.type);
  if (value.bits !== undefined) return value.bits;
  if (value.address === undefined) throw new UsageError('the value cannot be known');
  if (value.bitField !== undefined) {
    const { offset, width } = value.bitField;
    return readBits(memory.readBytes(value.address, Math.ceil((offset + width) / 8)), offset, width);
  }
  if (bare.kind === 'array' || bare.kind === 'function') return value.address;
  if (bare.kind === 'struct' || bare.kind === 'union' || bare.kind === 'void')
    throw new UsageError('a number is needed, not a structure');
  return readUnsigned(memory.readBytes(value.address, bare.size), 0, bare.size);
}

/** The number that a scalar stands for, negative when its type is signed and its top bit is set. */
export function numberOf(memory: MemoryReader, value: Value): bigint {
  const bare = stripTypedefs(value.type);
  const bits = bitsOf(memory, value);
  const signed = (bare.kind === 'int' || bare.kind === 'enum') && bare.signed;
  const width = value.bitField?.width ?? 8 * (bare.kind === 'array' || bare.kind === 'function' ? 8 : bare.size);
  return signed ? BigInt.asIntN(width, bits) : BigInt.asUintN(width, bits);
}

/** Tells whether a type is a floating one. */
export function isFloating(type: CType): boolean {
  return stripTypedefs(type).kind === 'float';
}

/** A floating value. */
export function floating(type: CType, number: number): Value {
  const bytes = Buffer.alloc(8);
  if (stripTypedefs(type).size === 4) bytes.writeFloatLE(number);
  else bytes.writeDoubleLE(number);
  return { type, bits: bytes.readBigUInt64LE() };
}

/** A number of any scalar type, floating ones exactly. @throws UsageError for a structure */
export function floatOf(memory: MemoryReader, value: Value): number {
  const bare = stripTypedefs(value.type);
  if (bare.kind !== 'float') return Number(numberOf(memory, value));
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(bitsOf(memory, value));
  return bare.size === 4 ? bytes.readFloatLE() : bytes.readDoubleLE();
}

/** A scalar of a type from a number: cut to its width. */
export function scalar(type: CType, number: bigint): Value {
  const bare = stripTypedefs(type);
  if (bare.kind === 'int' && bare.encoding === 'bool') return { type, bits: number === 0n ? 0n : 1n };
  return { type, bits: BigInt.asUintN(8 * Math.max(1, bare.size), number) };
}

/** Text of a value as gdb prints it at the outermost level. @throws FaultError */
export function valueText(memory: MemoryReader, value: Value, context: PrintContext): string {
  const bare = stripTypedefs(value.type);
  if (bare.kind === 'void') return 'void';
  if (bare.kind === 'function') return functionText(value, context);
  const prefix = context.format === undefined ? pointerPrefix(value.type) : '';
  if (value.bits !== undefined || value.bitField !== undefined) {
    const width = value.bitField?.width ?? 8 * bare.size;
    return prefix + printScalar(value.type, bitsOf(memory, value), width, context);
  }
  const base = value.address;
  const bytes = value.bytes ?? memory.readBytes(base ?? 0n, sizeOf(value.type));
  return prefix + printValue(value.type, bytes, 0, base === undefined ? context : { ...context, base });
}

function functionText({ type, address = 0n }: Value, context: PrintContext): string {
  const where = `0x${address.toString(16)}`;
  if (context.format !== undefined) return where;
  const symbol = context.symbolAt(address);
  return `{${typeName(type)}} ${where}${symbol === undefined ? '' : ` <${symbol}>`}`;
}

/** gdb puts the type in front of a pointer that is not text. */
function pointerPrefix(type: CType): string {
  const bare = stripTypedefs(type);
  if (bare.kind !== 'pointer') return '';
  const target = stripTypedefs(bare.target);
  const isText = target.kind === 'int' && target.size === 1 && target.encoding !== 'bool';
  return isText ? '' : `(${typeName(type)}) `;
}

/** A pointer to a type. */
export function pointerTo(type: CType): PointerType {
  return new PointerType(() => type);
}
