/** C values and types as plain data, for `--json`. */
import { readUnsigned } from '../../capture/formats/bytes.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { typeName } from './declare.ts';
import { readBits } from './print-value.ts';
import { sizeOf, stripTypedefs } from './types.ts';
import type { ArrayType, CType, Member, StructType } from './types.ts';
import { bitsOf, floatOf } from './value.ts';
import type { Value } from './value.ts';

const MAX_DEPTH = 32;
const MAX_ELEMENTS = 65_536;

/**
 * A value whose bytes start at `offset`: structures as objects by member, arrays as arrays, `char` arrays as text up to the
 * first NUL, pointers and what no JSON number holds exactly as bigint, enumerations by name.
 */
export function plainValue(type: CType, bytes: Uint8Array, offset: number, depth = 0): unknown {
  const bare = stripTypedefs(type);
  if (depth > MAX_DEPTH) return null;
  if (bare.kind === 'struct' || bare.kind === 'union') return plainStruct(bare, bytes, offset, depth);
  if (bare.kind === 'array') return plainArray(bare, bytes, offset, depth);
  if (bare.kind === 'void' || bare.kind === 'function') return null;
  return plainScalar(type, readUnsigned(bytes, offset, bare.size), 8 * bare.size);
}

function plainStruct(type: StructType, bytes: Uint8Array, offset: number, depth: number): unknown {
  const members = type.members.flatMap(member => {
    const value = plainMember(member, bytes, offset, depth + 1);
    // Members of anonymous structures and unions are the outer one's, as in C.
    return member.name === '' && typeof value === 'object' && value !== null
      ? Object.entries(value)
      : [[member.name, value] as const];
  });
  return Object.fromEntries(members);
}

function plainMember({ type, bitOffset, bitSize }: Member, bytes: Uint8Array, offset: number, depth: number): unknown {
  if (bitSize === undefined) return plainValue(type, bytes, offset + (bitOffset >> 3), depth);
  return plainScalar(type, readBits(bytes, 8 * offset + bitOffset, bitSize), bitSize);
}

function plainArray(type: ArrayType, bytes: Uint8Array, offset: number, depth: number): unknown {
  const element = stripTypedefs(type.element);
  const size = sizeOf(element);
  const length = Math.min(type.length ?? 0, MAX_ELEMENTS);
  if (element.kind === 'int' && size === 1 && element.encoding !== 'bool') {
    const text = Buffer.from(bytes.subarray(offset, offset + length));
    const end = text.indexOf(0);
    return text.toString('latin1', 0, end === -1 ? text.length : end);
  }
  return Array.from({ length }, (_, index) => plainValue(type.element, bytes, offset + index * size, depth + 1));
}

function plainScalar(type: CType, raw: bigint, bits: number): unknown {
  const bare = stripTypedefs(type);
  if (bare.kind === 'pointer') return raw;
  if (bare.kind === 'int' && bare.encoding === 'bool') return raw !== 0n;
  const isSigned = (bare.kind === 'int' || bare.kind === 'enum') && bare.signed;
  const value = isSigned ? BigInt.asIntN(bits, raw) : raw;
  if (bare.kind === 'enum') return bare.enumerators.find(entry => entry.value === value)?.name ?? Number(value);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The value of an expression. @throws FaultError */
export function plainResult(memory: MemoryReader, value: Value): unknown {
  const bare = stripTypedefs(value.type);
  if (bare.kind === 'void') return null;
  if (bare.kind === 'function') return value.address ?? null;
  if (bare.kind === 'float') return floatOf(memory, value);
  if (value.bits !== undefined || value.bitField !== undefined)
    return plainScalar(value.type, bitsOf(memory, value), value.bitField?.width ?? 8 * bare.size);
  return plainValue(value.type, value.bytes ?? memory.readBytes(value.address ?? 0n, sizeOf(value.type)), 0);
}

/** A type's name and size; of structures the members with their places, of enumerations the enumerators. */
export function plainType(type: CType): unknown {
  const bare = stripTypedefs(type);
  const head = { kind: bare.kind, name: typeName(type) };
  if (bare.kind === 'struct' || bare.kind === 'union')
    return { ...head, size: bare.size, members: bare.members.map(plainDeclaration) };
  if (bare.kind === 'enum')
    return {
      ...head,
      size: bare.size,
      enumerators: bare.enumerators.map(({ name, value }) => ({ name, number: Number(value) })),
    };
  return bare.kind === 'function' || bare.kind === 'void' ? head : { ...head, size: sizeOf(type) };
}

function plainDeclaration({ name, type, bitOffset, bitSize }: Member): unknown {
  const place = { offset: bitOffset >> 3, ...(bitSize === undefined ? {} : { bit: bitOffset & 7, bits: bitSize }) };
  const bare = stripTypedefs(type);
  const isAnonymous = name === '' && (bare.kind === 'struct' || bare.kind === 'union');
  return {
    name,
    type: typeName(type),
    ...place,
    ...(isAnonymous ? { members: bare.members.map(plainDeclaration) } : {}),
  };
}
