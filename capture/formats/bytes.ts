/**
 * Integers in byte arrays. Endianness is named here and in `struct.ts` and nowhere else.
 *
 * All functions throw RangeError when the integer does not lie inside the array: callers that read untrusted input
 * check lengths first or use `struct.ts`, which turns it into a FormatError.
 */

import { assert } from './errors.ts';

/** Order of the bytes of an integer in memory or in a file. */
export type ByteOrder = 'little' | 'big';

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads an unsigned 8-bit integer. */
export function readU8(bytes: Uint8Array, offset: number): number {
  return view(bytes).getUint8(offset);
}

/** Reads an unsigned 16-bit integer. */
export function readU16(bytes: Uint8Array, offset: number, order: ByteOrder = 'little'): number {
  return view(bytes).getUint16(offset, order === 'little');
}

/** Reads an unsigned 32-bit integer. */
export function readU32(bytes: Uint8Array, offset: number, order: ByteOrder = 'little'): number {
  return view(bytes).getUint32(offset, order === 'little');
}

/** Reads a signed 32-bit integer. */
export function readI32(bytes: Uint8Array, offset: number, order: ByteOrder = 'little'): number {
  return view(bytes).getInt32(offset, order === 'little');
}

/** Reads an unsigned 64-bit integer. */
export function readU64(bytes: Uint8Array, offset: number, order: ByteOrder = 'little'): bigint {
  return view(bytes).getBigUint64(offset, order === 'little');
}

/** Reads a signed 64-bit integer. */
export function readI64(bytes: Uint8Array, offset: number, order: ByteOrder = 'little'): bigint {
  return view(bytes).getBigInt64(offset, order === 'little');
}

/**
 * Reads an unsigned 64-bit integer as a number: for sizes, file offsets and physical addresses.
 * @returns a value that is exact below 2^53 and rounded above, so that comparisons with file sizes stay right.
 */
export function readSize64(bytes: Uint8Array, offset: number, order: ByteOrder = 'little'): number {
  const high = readU32(bytes, offset + (order === 'little' ? 4 : 0), order);
  const low = readU32(bytes, offset + (order === 'little' ? 0 : 4), order);
  return high * 0x1_0000_0000 + low;
}

/** Reads an unsigned integer of 1, 2, 4 or 8 bytes, little endian. */
export function readUnsigned(bytes: Uint8Array, offset: number, size: number): bigint {
  let value = 0n;
  if (size === 8) return readU64(bytes, offset);
  if (size === 4) return BigInt(readU32(bytes, offset));
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(readU8(bytes, offset + i));
  return value;
}

/** Writes the low 16 bits of an integer. */
export function writeU16(bytes: Uint8Array, offset: number, value: number, order: ByteOrder = 'little'): void {
  view(bytes).setUint16(offset, value, order === 'little');
}

/** Writes the low 32 bits of an integer, signed or unsigned. */
export function writeU32(bytes: Uint8Array, offset: number, value: number, order: ByteOrder = 'little'): void {
  view(bytes).setUint32(offset, value, order === 'little');
}

/** Writes the low 64 bits of an integer, signed or unsigned. */
export function writeU64(bytes: Uint8Array, offset: number, value: bigint, order: ByteOrder = 'little'): void {
  view(bytes).setBigUint64(offset, BigInt.asUintN(64, value), order === 'little');
}

/** Decodes bytes up to the first NUL, or all of them, as Latin-1: every byte becomes one character. */
export function cString(bytes: Uint8Array, offset = 0, limit = bytes.length - offset): string {
  const end = bytes.indexOf(0, offset);
  const stop = end === -1 || end > offset + limit ? offset + limit : end;
  return Buffer.from(bytes.buffer, bytes.byteOffset + offset, Math.max(0, stop - offset)).toString('latin1');
}

/** The bytes as little-endian 32-bit words, for loops over millions of them; copied only when they are not aligned. */
export function asWords32(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
}

/** Wraps bytes as a Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Rounds up to a multiple of `alignment`, a power of two or any positive integer. */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/**
 * Views bytes as signed 32-bit little-endian integers: for loops over millions of structures.
 * @param bytes at an address that is a multiple of four in its buffer, as a new Uint8Array is
 */
export function wordsOf(bytes: Uint8Array): Int32Array {
  assert(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, 'the host is little endian');
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
}
