/** A structure in the dump's memory: members by path, read when asked for. */
import { cString } from '../../capture/formats/bytes.ts';
import { UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { sizeOf, stripTypedefs } from './types.ts';
import type { CType, MemberPlace, StructType } from './types.ts';

/** A struct or union at an address. All reads throw FaultError when the memory is not in the dump. */
export class StructObject {
  readonly type: StructType;
  readonly address: bigint;
  readonly memory: MemoryReader;

  constructor(memory: MemoryReader, type: StructType, address: bigint) {
    this.memory = memory;
    this.type = type;
    this.address = BigInt.asUintN(64, address);
  }

  /** What `--json` prints of it. */
  toJSON(): { readonly type: string; readonly address: bigint } {
    return { type: this.type.name, address: this.address };
  }

  /** Tells whether this kernel's structure has the member: how kernel differences are told apart. */
  has(path: string): boolean {
    return this.type.place(path) !== undefined;
  }

  /** Byte offset of a member. @throws UnimplementedError when this kernel has no such member */
  offsetOf(path: string): number {
    return this.#place(path).offset;
  }

  /** Address of a member. */
  addressOf(path: string): bigint {
    return this.address + BigInt(this.#place(path).offset);
  }

  /** An integer, pointer, enumeration or bit field, signed when its type is. */
  big(path: string): bigint {
    return readScalar(this.memory, this.address, this.#place(path));
  }

  /** The same as a number; exact up to 2^53. */
  num(path: string): number {
    return Number(this.big(path));
  }

  /** A pointer's value, unsigned. */
  pointer(path: string): bigint {
    return BigInt.asUintN(64, this.big(path));
  }

  /** A `char` array, up to its NUL. */
  string(path: string): string {
    const place = this.#place(path);
    const bytes = this.memory.readBytes(this.address + BigInt(place.offset), sizeOf(place.type));
    return cString(bytes);
  }

  /** The text that a `char *` member points to; empty for NULL. */
  stringAt(path: string, limit = 4096): string {
    const address = this.pointer(path);
    return address === 0n ? '' : this.memory.readString(address, limit);
  }

  /** An embedded structure, or an element of an array of structures (`path[3]`). */
  embedded(path: string): StructObject {
    const place = this.#place(path);
    const type = stripTypedefs(place.type);
    if (type.kind !== 'struct' && type.kind !== 'union')
      throw new UsageError(`${this.type.name}.${path} is not a structure`);
    return new StructObject(this.memory, type, this.address + BigInt(place.offset));
  }

  /** The structure that a member points to; undefined for NULL. */
  follow(path: string): StructObject | undefined {
    const address = this.pointer(path);
    if (address === 0n) return undefined;
    const type = stripTypedefs(this.#place(path).type);
    const target = type.kind === 'pointer' ? stripTypedefs(type.target) : type;
    if (target.kind !== 'struct' && target.kind !== 'union')
      throw new UsageError(`${this.type.name}.${path} does not point to a structure`);
    return new StructObject(this.memory, target, address);
  }

  /** Number of elements of an array member. */
  lengthOf(path: string): number {
    const type = stripTypedefs(this.#place(path).type);
    return type.kind === 'array' ? (type.length ?? 0) : 0;
  }

  /** Type of a member. */
  typeOf(path: string): CType {
    return this.#place(path).type;
  }

  #place(path: string): MemberPlace {
    const place = this.type.place(path);
    if (place === undefined)
      throw new UnimplementedError(`${this.type.kind} ${this.type.name} without a member ${path}`);
    return place;
  }
}

/** Reads a scalar at a place of a structure; signed types sign-extend. */
export function readScalar(memory: MemoryReader, base: bigint, place: MemberPlace): bigint {
  const type = stripTypedefs(place.type);
  const signed = (type.kind === 'int' || type.kind === 'enum') && type.signed;
  if (place.bitSize !== undefined) {
    const bytes = Math.ceil(((place.bitOffset & 7) + place.bitSize) / 8);
    let word = 0n;
    for (let i = bytes - 1; i >= 0; i--) word = (word << 8n) | BigInt(memory.readU8(base + BigInt(place.offset + i)));
    return extend(word >> BigInt(place.bitOffset & 7), place.bitSize, signed);
  }
  const size =
    type.kind === 'array' || type.kind === 'struct' || type.kind === 'union' ? Math.min(8, type.size) : type.size;
  return extend(memory.readUnsigned(base + BigInt(place.offset), size), 8 * size, signed);
}

function extend(value: bigint, bits: number, signed: boolean): bigint {
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}
