/**
 * Declarations of fixed binary layouts: one declaration yields reader, writer, size, offsets and the TypeScript type.
 *
 * Members are laid out as C does it: at multiples of their alignment, the whole padded to the largest alignment;
 * `packed` turns that off.
 */
import {
  readI32,
  readI64,
  readSize64,
  readU16,
  readU32,
  readU64,
  readU8,
  writeU16,
  writeU32,
  writeU64,
} from './bytes.ts';
import type { ByteOrder } from './bytes.ts';
import { FormatError } from './errors.ts';

/** How one member is read and written. */
export interface Codec<T> {
  readonly size: number;
  readonly alignment: number;
  read(bytes: Uint8Array, offset: number, order: ByteOrder): T;
  write(bytes: Uint8Array, offset: number, value: T, order: ByteOrder): void;
}

type Members = Readonly<Record<string, Codec<unknown>>>;
type Value<M extends Members> = { -readonly [K in keyof M]: M[K] extends Codec<infer T> ? T : never };

/** A declared layout. */
export interface Struct<M extends Members> extends Codec<Value<M>> {
  readonly name: string;
  readonly offsets: { readonly [K in keyof M]: number };
  /**
   * Reads the structure from untrusted bytes.
   * @param place file and file offset of `bytes[0]`, for the message
   * @throws FormatError when the bytes end before the structure does
   */
  parse(bytes: Uint8Array, offset?: number, place?: { readonly file?: string; readonly base?: number }): Value<M>;
  /** Builds the bytes; members that are not given are zero. */
  build(value: Partial<Value<M>>): Uint8Array;
}

/** The type of a declared layout: `type Header = StructValue<typeof HEADER>`. */
export type StructValue<S> = S extends Struct<infer M> ? Value<M> : never;

interface StructOptions {
  readonly order?: ByteOrder;
  readonly packed?: boolean;
}

/** Declares a layout under the name that its specification gives it. */
export function struct<M extends Members>(name: string, members: M, options: StructOptions = {}): Struct<M> {
  const layout = layOut(members, options.packed === true);
  const entries = Object.entries(members);
  const ownOrder = options.order;
  const read = (bytes: Uint8Array, offset: number, order: ByteOrder): Value<M> => {
    const value: Record<string, unknown> = {};
    for (const [key, codec] of entries)
      value[key] = codec.read(bytes, offset + layout.offsets[key]!, ownOrder ?? order);
    return value as Value<M>;
  };
  const write = (bytes: Uint8Array, offset: number, value: Partial<Value<M>>, order: ByteOrder): void => {
    for (const [key, codec] of entries) {
      const given = (value as Record<string, unknown>)[key];
      if (given !== undefined) codec.write(bytes, offset + layout.offsets[key]!, given, ownOrder ?? order);
    }
  };
  return {
    name,
    size: layout.size,
    alignment: layout.alignment,
    offsets: layout.offsets as { readonly [K in keyof M]: number },
    read,
    write,
    parse(bytes, offset = 0, place = {}) {
      if (offset < 0 || offset + layout.size > bytes.length) {
        throw new FormatError(`${name} is cut short`, {
          file: place.file,
          offset: (place.base ?? 0) + offset,
          expected: `${layout.size} bytes`,
          found: `${Math.max(0, bytes.length - offset)}`,
        });
      }
      return read(bytes, offset, 'little');
    },
    build(value) {
      const bytes = new Uint8Array(layout.size);
      write(bytes, 0, value, 'little');
      return bytes;
    },
  };
}

function layOut(
  members: Members,
  packed: boolean,
): { size: number; alignment: number; offsets: Record<string, number> } {
  const offsets: Record<string, number> = {};
  let end = 0;
  let alignment = 1;
  for (const [key, codec] of Object.entries(members)) {
    const step = packed ? 1 : codec.alignment;
    end = Math.ceil(end / step) * step;
    offsets[key] = end;
    end += codec.size;
    alignment = Math.max(alignment, step);
  }
  return { size: Math.ceil(end / alignment) * alignment, alignment, offsets };
}

function codec<T>(
  size: number,
  read: (bytes: Uint8Array, offset: number, order: ByteOrder) => T,
  write: (bytes: Uint8Array, offset: number, value: T, order: ByteOrder) => void,
): Codec<T> {
  return { size, alignment: size, read, write };
}

export const u8 = codec(1, readU8, (bytes, offset, value: number) => {
  bytes[offset] = value;
});
export const u16 = codec(2, readU16, writeU16);
export const u32 = codec(4, readU32, writeU32);
export const i32 = codec(4, readI32, writeU32);
export const u64 = codec(8, readU64, writeU64);
export const i64 = codec(8, readI64, writeU64);

/** A 64-bit size, file offset or physical address as a number; exact below 2^53. */
export const size64 = codec(8, readSize64, (bytes, offset, value: number, order) =>
  writeU64(bytes, offset, BigInt(value), order),
);

/** Text of a fixed size, ended by NUL when shorter; each byte is one character. */
export function ascii(size: number): Codec<string> {
  return {
    size,
    alignment: 1,
    read: (bytes, offset) => {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset + offset, size).toString('latin1');
      const end = text.indexOf('\0');
      return end === -1 ? text : text.slice(0, end);
    },
    write: (bytes, offset, value) => {
      bytes.fill(0, offset, offset + size);
      bytes.set(Buffer.from(value, 'latin1').subarray(0, size), offset);
    },
  };
}

/** Raw bytes of a fixed size; the reader returns a copy. */
export function raw(size: number): Codec<Uint8Array> {
  return {
    size,
    alignment: 1,
    read: (bytes, offset) => bytes.slice(offset, offset + size),
    write: (bytes, offset, value) => bytes.set(value.subarray(0, size), offset),
  };
}

/** A fixed number of equal members. */
export function array<T>(element: Codec<T>, length: number): Codec<T[]> {
  return {
    size: element.size * length,
    alignment: element.alignment,
    read: (bytes, offset, order) =>
      Array.from({ length }, (_, index) => element.read(bytes, offset + index * element.size, order)),
    write: (bytes, offset, value, order) => {
      for (const [index, item] of value.slice(0, length).entries())
        element.write(bytes, offset + index * element.size, item, order);
    },
  };
}
