/** Finds types by name over the kernel's debug information and that of its modules. */
import { UnimplementedError } from '../../capture/formats/errors.ts';
import { StructType, stripTypedefs } from './types.ts';
import type { CType, EnumType, FunctionType, TagKind } from './types.ts';

/** A source of types: BTF of vmlinux, BTF of a module, DWARF. */
export interface TypeSource {
  find(name: string, kind: TagKind): CType | undefined;
  findFunction(name: string): FunctionType | undefined;
  names(kind: TagKind): Iterable<string>;
  /** An enumerator of any enumeration, anonymous ones included. */
  findEnumerator?(name: string): { readonly type: EnumType; readonly value: bigint } | undefined;
}

/** All types of a dump. */
export class TypeCatalog {
  readonly #sources: readonly TypeSource[];
  readonly #loadModules: () => readonly TypeSource[];
  #modules: readonly TypeSource[] | undefined;
  readonly #structs = new Map<string, StructType | null>();

  /** @param sources in order of preference @param loadModules read only when the others lack a name */
  constructor(sources: readonly TypeSource[], loadModules: () => readonly TypeSource[] = () => []) {
    this.#sources = sources;
    this.#loadModules = loadModules;
  }

  /** All sources, modules included. */
  get all(): readonly TypeSource[] {
    if (this.#modules === undefined) {
      this.#modules = [];
      this.#modules = this.#loadModules();
    }
    return [...this.#sources, ...this.#modules];
  }

  /** Finds a tag or type name. */
  find(name: string, kind: TagKind): CType | undefined {
    for (const source of this.#sources) {
      const found = source.find(name, kind);
      if (found !== undefined && isDefined(found)) return found;
    }
    for (const source of this.all.slice(this.#sources.length)) {
      const found = source.find(name, kind);
      if (found !== undefined && isDefined(found)) return found;
    }
    return undefined;
  }

  /** A struct or union by tag, or the one that a typedef of that name stands for. */
  findStruct(name: string): StructType | undefined {
    const known = this.#structs.get(name);
    if (known !== undefined) return known ?? undefined;
    const found = this.find(name, 'struct') ?? this.find(name, 'union') ?? this.find(name, 'typedef');
    const bare = found === undefined ? undefined : stripTypedefs(found);
    const struct = bare instanceof StructType ? bare : undefined;
    this.#structs.set(name, struct ?? null);
    return struct;
  }

  /** A struct or union. @throws UnimplementedError when this kernel has none of that name */
  struct(name: string): StructType {
    const type = this.findStruct(name);
    if (type === undefined) throw new UnimplementedError(`this kernel's debug information has no struct ${name}`);
    return type;
  }

  /** Tells whether a structure has a member. */
  has(struct: string, member: string): boolean {
    return this.findStruct(struct)?.place(member) !== undefined;
  }

  /** Byte offset of a member, or undefined. */
  offsetOf(struct: string, member: string): number | undefined {
    return this.findStruct(struct)?.place(member)?.offset;
  }

  /** Value of an enumerator of a named enum, or undefined. */
  enumerator(enumName: string, name: string): number | undefined {
    const type = this.find(enumName, 'enum');
    if (type?.kind !== 'enum') return undefined;
    const found = type.enumerators.find(entry => entry.name === name);
    return found === undefined ? undefined : Number(found.value);
  }

  /** An enumeration by tag. */
  findEnum(name: string): EnumType | undefined {
    const type = this.find(name, 'enum');
    return type?.kind === 'enum' ? type : undefined;
  }

  /** The prototype of a function. */
  findFunction(name: string): FunctionType | undefined {
    for (const source of this.#sources) {
      const found = source.findFunction(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** A bare declaration (`struct foo;`) does not count. */
function isDefined(type: CType): boolean {
  return !(type instanceof StructType) || type.declaredSize !== undefined;
}
