/**
 * BTF: the kernel's description of its own types, read from the dump.
 *
 * Source: `Documentation/bpf/btf.rst` and `include/uapi/linux/btf.h` (Linux v6.12). The type section is indexed once
 * (where each type begins) and decoded type by type on demand. A module's BTF is *split*: its ids and string offsets
 * continue those of vmlinux.
 * Not modelled: DECL_TAG (skipped); big-endian BTF.
 */
import { asBuffer, asWords32, cString, readI32, readU32 } from '../../capture/formats/bytes.ts';
import { FormatError } from '../../capture/formats/errors.ts';
import { struct, u16, u32, u8 } from '../../capture/formats/struct.ts';
import {
  ArrayType,
  EnumType,
  FloatType,
  FunctionType,
  IntType,
  PointerType,
  QualifiedType,
  StructType,
  TypedefType,
  VOID,
} from '../types/types.ts';
import type { CType, Enumerator, Member, Parameter, TagKind } from '../types/types.ts';
import { SHORT_NAMES } from './base-type-names.ts';

export const BTF_MAGIC = 0xeb9f;
export const BTF_HEADER = struct('btf_header', {
  magic: u16,
  version: u8,
  flags: u8,
  hdr_len: u32,
  type_off: u32,
  type_len: u32,
  str_off: u32,
  str_len: u32,
});

/** `BTF_KIND_*`. */
export const BTF_KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

const COMMON_SIZE = 12;
const INT_ENCODING = { SIGNED: 1, CHAR: 2, BOOL: 4 } as const;
const MAX_SECTION = 256 * 2 ** 20;

/** Bytes after the common part of a type: fixed, and for each of its `vlen` items. */
const TRAILING: Readonly<{ [kind: number]: readonly [fixed: number, item: number] }> = {
  [BTF_KIND.INT]: [4, 0],
  [BTF_KIND.PTR]: [0, 0],
  [BTF_KIND.ARRAY]: [12, 0],
  [BTF_KIND.STRUCT]: [0, 12],
  [BTF_KIND.UNION]: [0, 12],
  [BTF_KIND.ENUM]: [0, 8],
  [BTF_KIND.FWD]: [0, 0],
  [BTF_KIND.TYPEDEF]: [0, 0],
  [BTF_KIND.VOLATILE]: [0, 0],
  [BTF_KIND.CONST]: [0, 0],
  [BTF_KIND.RESTRICT]: [0, 0],
  [BTF_KIND.FUNC]: [0, 0],
  [BTF_KIND.FUNC_PROTO]: [0, 8],
  [BTF_KIND.VAR]: [4, 0],
  [BTF_KIND.DATASEC]: [0, 12],
  [BTF_KIND.FLOAT]: [0, 0],
  [BTF_KIND.DECL_TAG]: [4, 0],
  [BTF_KIND.TYPE_TAG]: [0, 0],
  [BTF_KIND.ENUM64]: [0, 12],
};

/** The common part of a type record. */
interface TypeRecord {
  readonly name: string;
  readonly sizeOrType: number;
  readonly flag: boolean;
  readonly vlen: number;
  /** Offset of what follows the common part. */
  readonly at: number;
}

/** A variable of a BTF section: per-cpu variables of vmlinux are listed so. */
export interface BtfVariable {
  readonly name: string;
  readonly type: CType;
  /** Offset in its section. */
  readonly offset: number;
  readonly size: number;
}

/** Size in bytes of a BTF blob, from its first bytes; undefined when they are no BTF header. */
export function btfSize(start: Uint8Array): number | undefined {
  if (start.length < BTF_HEADER.size) return undefined;
  const header = BTF_HEADER.parse(start);
  if (header.magic !== BTF_MAGIC || header.version !== 1 || header.hdr_len < BTF_HEADER.size) return undefined;
  const size = header.hdr_len + Math.max(header.type_off + header.type_len, header.str_off + header.str_len);
  return size > MAX_SECTION ? undefined : size;
}

/** Types of vmlinux or of one module. */
export class Btf {
  /** First id of this blob: 1, or what follows the base's last. */
  readonly firstId: number;
  /** One more than the last id. */
  readonly endId: number;
  readonly #base: Btf | undefined;
  readonly #types: Uint8Array;
  readonly #strings: Buffer;
  readonly #stringStart: number;
  /** Byte offset of each type in the type section. */
  readonly #starts: Uint32Array;
  readonly #nameOffsets: Int32Array;
  readonly #kinds: Uint8Array;
  readonly #decoded = new Map<number, CType>();
  readonly #found = new Map<string, number>();

  /** @throws FormatError when the blob is damaged */
  constructor(bytes: Uint8Array, base?: Btf, name = 'BTF') {
    const header = BTF_HEADER.parse(bytes, 0, { file: name });
    const size = btfSize(bytes);
    if (size === undefined || size > bytes.length) {
      throw new FormatError('no BTF', {
        file: name,
        offset: 0,
        expected: `${size ?? 'magic 0xeb9f'}`,
        found: `${bytes.length} bytes`,
      });
    }
    this.#base = base;
    this.firstId = base === undefined ? 1 : base.endId;
    this.#stringStart = base === undefined ? 0 : base.#stringStart + base.#strings.length;
    this.#types = bytes.subarray(header.hdr_len + header.type_off, header.hdr_len + header.type_off + header.type_len);
    this.#strings = asBuffer(
      bytes.subarray(header.hdr_len + header.str_off, header.hdr_len + header.str_off + header.str_len),
    );
    const index = indexTypes(this.#types, name);
    this.#starts = index.starts;
    this.#nameOffsets = index.names;
    this.#kinds = index.kinds;
    this.endId = this.firstId + index.starts.length;
  }

  /** Finds a struct, union or enum by its tag, or a typedef or base type by its name. */
  find(name: string, kind: TagKind): CType | undefined {
    const wanted = KINDS_OF_TAG[kind];
    const id = this.#findId(name, wanted);
    return id === undefined ? undefined : this.type(id);
  }

  /** The prototype of a kernel function, when BTF has it. */
  findFunction(name: string): FunctionType | undefined {
    const id = this.#findId(name, [BTF_KIND.FUNC]);
    const type = id === undefined ? undefined : this.type(readU32(this.#types, this.#starts[id - this.firstId]! + 8));
    return type?.kind === 'function' ? type : undefined;
  }

  /** An enumerator by name, in any enumeration of this blob. */
  findEnumerator(name: string): { type: EnumType; value: bigint } | undefined {
    const offsets = this.#stringOffsets(name);
    if (offsets.length === 0) return undefined;
    const words = asWords32(this.#types);
    for (const [index, kind] of this.#kinds.entries()) {
      if (kind !== BTF_KIND.ENUM && kind !== BTF_KIND.ENUM64) continue;
      const at = this.#starts[index]! >> 2;
      const step = kind === BTF_KIND.ENUM ? 2 : 3;
      const count = words[at + 1]! & 0xffff;
      for (let item = 0; item < count; item++) {
        if (!offsets.includes(words[at + COMMON_SIZE / 4 + item * step]!)) continue;
        const type = this.type(index + this.firstId) as EnumType;
        return { type, value: type.enumerators[item]!.value };
      }
    }
    return undefined;
  }

  /**
   * All names of a kind, in order of ids. Where each stands is remembered: to search the strings for every one of 10,000
   * names takes 4 s, to find them here 0.1 s.
   */
  *names(kind: TagKind): Generator<string> {
    const wanted: readonly number[] = KINDS_OF_TAG[kind];
    for (let index = 0; index < this.#kinds.length; index++) {
      if (!wanted.includes(this.#kinds[index]!) || this.#nameOffsets[index] === 0) continue;
      const name = this.#string(this.#nameOffsets[index]!);
      const key = `${wanted[0]}:${name}`;
      if (!this.#found.has(key)) this.#found.set(key, index + this.firstId);
      yield name;
    }
  }

  /** Variables by section: `.data..percpu` for vmlinux. */
  variables(section: string): BtfVariable[] {
    for (let index = 0; index < this.#kinds.length; index++) {
      if (this.#kinds[index] !== BTF_KIND.DATASEC || this.#string(this.#nameOffsets[index]!) !== section) continue;
      const start = this.#starts[index]!;
      const count = readU32(this.#types, start + 4) & 0xffff;
      return Array.from({ length: count }, (_, at) => this.#variable(start + COMMON_SIZE + 12 * at)).filter(
        v => v !== undefined,
      );
    }
    return [];
  }

  #variable(at: number): BtfVariable | undefined {
    const id = readU32(this.#types, at) - this.firstId;
    const start = this.#starts[id];
    if (start === undefined) return undefined;
    const type = (): CType => this.type(readU32(this.#types, start + 8));
    return {
      name: this.#string(this.#nameOffsets[id]!),
      get type() {
        return type();
      },
      offset: readU32(this.#types, at + 4),
      size: readU32(this.#types, at + 8),
    };
  }

  /** How each kind becomes a type; kinds that are no types are absent. */
  readonly #decoders: Readonly<{ [kind: number]: (record: TypeRecord) => CType }> = {
    [BTF_KIND.INT]: r => intType(r.name, r.sizeOrType, readU32(this.#types, r.at)),
    [BTF_KIND.FLOAT]: r => new FloatType(r.name, r.sizeOrType),
    [BTF_KIND.PTR]: r => new PointerType(() => this.type(r.sizeOrType)),
    [BTF_KIND.ARRAY]: r => this.#array(r.at),
    [BTF_KIND.STRUCT]: r => new StructType('struct', r.name, r.sizeOrType, () => this.#structMembers(r)),
    [BTF_KIND.UNION]: r => new StructType('union', r.name, r.sizeOrType, () => this.#members(r.at, r.vlen, r.flag)),
    [BTF_KIND.ENUM]: r => new EnumType(r.name, r.sizeOrType, r.flag, () => this.#enumerators(r)),
    [BTF_KIND.ENUM64]: r => new EnumType(r.name, r.sizeOrType, r.flag, () => this.#enumerators64(r)),
    [BTF_KIND.FWD]: r => new StructType(r.flag ? 'union' : 'struct', r.name, undefined, () => []),
    [BTF_KIND.TYPEDEF]: r => new TypedefType(r.name, () => this.type(r.sizeOrType)),
    [BTF_KIND.CONST]: r => new QualifiedType('const', () => this.type(r.sizeOrType)),
    [BTF_KIND.VOLATILE]: r => new QualifiedType('volatile', () => this.type(r.sizeOrType)),
    [BTF_KIND.RESTRICT]: r => new QualifiedType('restrict', () => this.type(r.sizeOrType)),
    [BTF_KIND.TYPE_TAG]: r => this.type(r.sizeOrType),
    [BTF_KIND.FUNC]: r => this.type(r.sizeOrType),
    [BTF_KIND.FUNC_PROTO]: r =>
      new FunctionType(
        () => this.type(r.sizeOrType),
        () => this.#parameters(r.at, r.vlen),
      ),
  };

  /** The type of an id; 0 is void. Unknown ids of a damaged blob are void too. */
  type(id: number): CType {
    if (id < this.firstId) return id === 0 || this.#base === undefined ? VOID : this.#base.type(id);
    const known = this.#decoded.get(id);
    if (known !== undefined) return known;
    const start = this.#starts[id - this.firstId];
    const type = start === undefined ? VOID : this.#decode(start);
    this.#decoded.set(id, type);
    return type;
  }

  #decode(start: number): CType {
    const info = readU32(this.#types, start + 4);
    const record: TypeRecord = {
      name: this.#string(readU32(this.#types, start)),
      sizeOrType: readU32(this.#types, start + 8),
      flag: info >>> 31 === 1,
      vlen: info & 0xffff,
      at: start + COMMON_SIZE,
    };
    return this.#decoders[(info >>> 24) & 0x1f]?.(record) ?? VOID;
  }

  #array(at: number): CType {
    const element = readU32(this.#types, at);
    return new ArrayType(() => this.type(element), readU32(this.#types, at + 8));
  }

  /** BTF does not tell `x[]` from `x[0]`; at the end of a structure it is nearly always the former. */
  #structMembers({ at, vlen, flag }: TypeRecord): Member[] {
    const members = this.#members(at, vlen, flag);
    const last = members.at(-1);
    const { type } = last ?? { type: VOID };
    if (last === undefined || type.kind !== 'array' || type.length !== 0) return members;
    return [...members.slice(0, -1), { ...last, type: new ArrayType(() => type.element, undefined) }];
  }

  #members(at: number, count: number, bitfields: boolean): Member[] {
    return Array.from({ length: count }, (_, index) => {
      const start = at + 12 * index;
      const id = readU32(this.#types, start + 4);
      const offset = readU32(this.#types, start + 8);
      const bitSize = bitfields ? offset >>> 24 : 0;
      const bitOffset = bitfields ? offset & 0xff_ffff : offset;
      const type = (): CType => this.type(id);
      return {
        name: this.#string(readU32(this.#types, start)),
        bitOffset,
        bitSize: bitSize === 0 ? undefined : bitSize,
        get type() {
          return type();
        },
      };
    });
  }

  #enumerators({ at, vlen, flag: signed }: TypeRecord): Enumerator[] {
    return Array.from({ length: vlen }, (_, index) => {
      const start = at + 8 * index;
      const value = signed ? readI32(this.#types, start + 4) : readU32(this.#types, start + 4);
      return { name: this.#string(readU32(this.#types, start)), value: BigInt(value) };
    });
  }

  #enumerators64({ at, vlen, flag: signed }: TypeRecord): Enumerator[] {
    return Array.from({ length: vlen }, (_, index) => {
      const start = at + 12 * index;
      const value = BigInt(readU32(this.#types, start + 4)) | (BigInt(readU32(this.#types, start + 8)) << 32n);
      return { name: this.#string(readU32(this.#types, start)), value: signed ? BigInt.asIntN(64, value) : value };
    });
  }

  #parameters(at: number, count: number): Parameter[] {
    return Array.from({ length: count }, (_, index) => {
      const id = readU32(this.#types, at + 8 * index + 4);
      return { name: this.#string(readU32(this.#types, at + 8 * index)), type: id === 0 ? undefined : this.type(id) };
    });
  }

  #string(offset: number): string {
    if (offset < this.#stringStart) return this.#base === undefined ? '' : this.#base.#string(offset);
    const start = offset - this.#stringStart;
    return start < this.#strings.length ? cString(this.#strings, start) : '';
  }

  /** Looks in this blob only. */
  #findId(name: string, kinds: readonly number[]): number | undefined {
    const key = `${kinds[0]}:${name}`;
    const known = this.#found.get(key);
    if (known !== undefined) return known === 0 ? undefined : known;
    const id = this.#scan(name, kinds);
    this.#found.set(key, id ?? 0);
    return id;
  }

  #scan(name: string, kinds: readonly number[]): number | undefined {
    for (const offset of this.#stringOffsets(name)) {
      for (
        let index = this.#nameOffsets.indexOf(offset);
        index !== -1;
        index = this.#nameOffsets.indexOf(offset, index + 1)
      ) {
        if (kinds.includes(this.#kinds[index]!)) return index + this.firstId;
      }
    }
    return undefined;
  }

  /** Offsets at which a name may stand: in this blob's strings, and in the base's, which split BTF refers to. */
  #stringOffsets(name: string): number[] {
    const own = findString(this.#strings, name);
    const inBase = this.#base === undefined ? [] : this.#base.#stringOffsets(name);
    return own === -1 ? inBase : [...inBase, own + this.#stringStart];
  }
}

const KINDS_OF_TAG: Readonly<Record<TagKind, readonly number[]>> = {
  struct: [BTF_KIND.STRUCT],
  union: [BTF_KIND.UNION],
  enum: [BTF_KIND.ENUM, BTF_KIND.ENUM64],
  typedef: [BTF_KIND.TYPEDEF, BTF_KIND.INT, BTF_KIND.FLOAT],
};

function intType(name: string, size: number, data: number): IntType {
  const encoding = (data >>> 24) & 0xf;
  const shortName = SHORT_NAMES[name] ?? name;
  const isChar = (encoding & INT_ENCODING.CHAR) !== 0 || (size === 1 && /\bchar$/.test(name));
  return new IntType(
    shortName,
    size,
    (encoding & INT_ENCODING.SIGNED) !== 0,
    (encoding & INT_ENCODING.BOOL) !== 0 ? 'bool' : isChar ? 'char' : 'int',
  );
}

/** Finds a NUL-delimited name in a string section. */
function findString(strings: Buffer, name: string): number {
  return strings.indexOf(`\0${name}\0`, 0, 'latin1') + 1 || -1;
}

/** Notes where each type begins, its name and its kind, in one pass. */
function indexTypes(types: Uint8Array, file: string): { starts: Uint32Array; names: Int32Array; kinds: Uint8Array } {
  const capacity = Math.floor(types.length / COMMON_SIZE) + 1;
  const starts = new Uint32Array(capacity);
  const names = new Int32Array(capacity);
  const kinds = new Uint8Array(capacity);
  const words = asWords32(types);
  let count = 0;
  // Types are multiples of 4 bytes: three words are read where a DataView for each number took five times as long.
  for (let offset = 0; offset + COMMON_SIZE <= types.length; count++) {
    const info = words[(offset >> 2) + 1]!;
    const kind = (info >>> 24) & 0x1f;
    const trailing = TRAILING[kind];
    if (trailing === undefined) throw new FormatError(`unknown BTF kind ${kind}`, { file, offset });
    starts[count] = offset;
    names[count] = words[offset >> 2]!;
    kinds[count] = kind;
    offset += COMMON_SIZE + trailing[0] + trailing[1] * (info & 0xffff);
  }
  return { starts: starts.slice(0, count), names: names.slice(0, count), kinds: kinds.slice(0, count) };
}
