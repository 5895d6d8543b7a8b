/** C types as debug information describes them, independent of BTF or DWARF. Parts that refer to other types are lazy. */

/** What a tag or name can denote in a search. */
export type TagKind = 'struct' | 'union' | 'enum' | 'typedef';

/** Any C type. */
export type CType =
  | VoidType
  | IntType
  | FloatType
  | PointerType
  | ArrayType
  | StructType
  | EnumType
  | TypedefType
  | QualifiedType
  | FunctionType;

/** A member of a struct or union. */
export interface Member {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  /** From the start of the structure, little endian: bit 0 is the least significant bit of byte 0. */
  readonly bitOffset: number;
  /** Width of a bit field; undefined for an ordinary member. */
  readonly bitSize: number | undefined;
  readonly type: CType;
}

export interface Enumerator {
  readonly name: string;
  readonly value: bigint;
}

export interface Parameter {
  readonly name: string;
  /** Undefined for the `...` at the end. */
  readonly type: CType | undefined;
}

export class VoidType {
  readonly kind = 'void';
  readonly name = 'void';
  readonly size = 1;
}

export const VOID = new VoidType();

export class IntType {
  readonly kind = 'int';
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly encoding: 'int' | 'char' | 'bool';

  constructor(name: string, size: number, signed: boolean, encoding: 'int' | 'char' | 'bool' = 'int') {
    this.name = name;
    this.size = size;
    this.signed = signed;
    this.encoding = encoding;
  }
}

export class FloatType {
  readonly kind = 'float';
  readonly name: string;
  readonly size: number;

  constructor(name: string, size: number) {
    this.name = name;
    this.size = size;
  }
}

export class PointerType {
  readonly kind = 'pointer';
  readonly size = 8;
  readonly #target: () => CType;

  constructor(target: () => CType) {
    this.#target = target;
  }

  get target(): CType {
    return this.#target();
  }
}

export class ArrayType {
  readonly kind = 'array';
  /** Undefined for a flexible array of DWARF; BTF gives 0. */
  readonly length: number | undefined;
  readonly #element: () => CType;

  constructor(element: () => CType, length: number | undefined) {
    this.#element = element;
    this.length = length;
  }

  get element(): CType {
    return this.#element();
  }

  get size(): number {
    return (this.length ?? 0) * sizeOf(this.element);
  }
}

export class TypedefType {
  readonly kind = 'typedef';
  readonly name: string;
  readonly #target: () => CType;

  constructor(name: string, target: () => CType) {
    this.name = name;
    this.#target = target;
  }

  get target(): CType {
    return this.#target();
  }

  get size(): number {
    return sizeOf(this.target);
  }
}

export class QualifiedType {
  readonly kind = 'qualified';
  readonly qualifier: 'const' | 'volatile' | 'restrict' | 'atomic';
  readonly #target: () => CType;

  constructor(qualifier: 'const' | 'volatile' | 'restrict' | 'atomic', target: () => CType) {
    this.qualifier = qualifier;
    this.#target = target;
  }

  get target(): CType {
    return this.#target();
  }

  get size(): number {
    return sizeOf(this.target);
  }
}

export class FunctionType {
  readonly kind = 'function';
  readonly size = 1;
  /** False for `f()` of old C: nothing is said about its parameters. */
  readonly prototyped: boolean;
  readonly #result: () => CType;
  readonly #parameters: () => readonly Parameter[];

  constructor(result: () => CType, parameters: () => readonly Parameter[], prototyped = true) {
    this.#result = result;
    this.#parameters = parameters;
    this.prototyped = prototyped;
  }

  get result(): CType {
    return this.#result();
  }

  get parameters(): readonly Parameter[] {
    return this.#parameters();
  }
}

export class EnumType {
  readonly kind = 'enum';
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly #load: () => readonly Enumerator[];
  #enumerators: readonly Enumerator[] | undefined;

  constructor(name: string, size: number, signed: boolean, load: () => readonly Enumerator[]) {
    this.name = name;
    this.size = size;
    this.signed = signed;
    this.#load = load;
  }

  get enumerators(): readonly Enumerator[] {
    this.#enumerators ??= this.#load();
    return this.#enumerators;
  }
}

/** Where a member path ends: `mm.rss_stat.count` seen from `task_struct`'s start. */
export interface MemberPlace {
  readonly bitOffset: number;
  /** Byte offset of the member, or of the byte that holds a bit field's first bit. */
  readonly offset: number;
  readonly bitSize: number | undefined;
  readonly type: CType;
}

export class StructType {
  readonly kind: 'struct' | 'union';
  /** Empty for an anonymous one. */
  readonly name: string;
  /** Undefined for a declaration without a definition. */
  readonly declaredSize: number | undefined;
  readonly #load: () => readonly Member[];
  readonly #places = new Map<string, MemberPlace | undefined>();
  #members: readonly Member[] | undefined;

  constructor(kind: 'struct' | 'union', name: string, size: number | undefined, load: () => readonly Member[]) {
    this.kind = kind;
    this.name = name;
    this.declaredSize = size;
    this.#load = load;
  }

  get size(): number {
    return this.declaredSize ?? 0;
  }

  get members(): readonly Member[] {
    this.#members ??= this.#load();
    return this.#members;
  }

  /** Finds a member by a path with dots and indices; members of anonymous structures count as the structure's own. */
  place(path: string): MemberPlace | undefined {
    if (this.#places.has(path)) return this.#places.get(path);
    const found = findPlace(this, path);
    this.#places.set(path, found);
    return found;
  }
}

const MAX_NESTING = 32;

function findPlace(start: StructType, path: string): MemberPlace | undefined {
  let type: CType = start;
  let bitOffset = 0;
  let bitSize: number | undefined;
  for (const part of path.replaceAll('[', '.[').split('.')) {
    const bare = stripTypedefs(type);
    if (part.startsWith('[')) {
      if (bare.kind !== 'array') return undefined;
      type = bare.element;
      bitOffset += 8 * sizeOf(type) * Number.parseInt(part.slice(1), 10);
      continue;
    }
    if (bare.kind !== 'struct' && bare.kind !== 'union') return undefined;
    const member = findMember(bare, part, 0);
    if (member === undefined) return undefined;
    bitOffset += member.bitOffset;
    ({ bitSize, type } = member);
  }
  return { bitOffset, offset: bitOffset >> 3, bitSize, type };
}

/** Finds a member in a structure and its anonymous members; the offset is from the outer structure. */
export function findMember(type: StructType, name: string, depth = 0): Member | undefined {
  for (const member of type.members) {
    if (member.name === name) return member;
    if (member.name !== '' || depth >= MAX_NESTING) continue;
    const inner = stripTypedefs(member.type);
    if (inner.kind !== 'struct' && inner.kind !== 'union') continue;
    const found = findMember(inner, name, depth + 1);
    if (found === undefined) continue;
    const { type: innerType, bitSize } = found;
    return { name, bitOffset: member.bitOffset + found.bitOffset, bitSize, type: innerType };
  }
  return undefined;
}

/** Removes typedefs and qualifiers from the outside. */
export function stripTypedefs(type: CType): Exclude<CType, TypedefType | QualifiedType> {
  let bare = type;
  for (let depth = 0; depth < MAX_NESTING; depth++) {
    if (bare.kind !== 'typedef' && bare.kind !== 'qualified') return bare;
    bare = bare.target;
  }
  return VOID;
}

/** Size in bytes; a function and void count 1, as in GNU C. */
export function sizeOf(type: CType): number {
  const bare = stripTypedefs(type);
  return bare.size;
}
