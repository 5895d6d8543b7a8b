/** Everything that the DWARF of one file tells: types, variables, functions, lines. */
import type { ElfFile } from '../../../capture/formats/elf.ts';
import { FormatError } from '../../../capture/formats/errors.ts';
import type { TypeSource } from '../../types/catalog.ts';
import { stripTypedefs } from '../../types/types.ts';
import type { CType, EnumType, FunctionType, TagKind } from '../../types/types.ts';
import { CallFrames } from './call-frames.ts';
import { DW_AT, DW_TAG } from './constants.ts';
import type { Die } from './die.ts';
import { diesAtAddress, diesNamed } from './search.ts';
import type { SectionAddresses } from './sections.ts';
import { SourceLines } from './source-lines.ts';
import { DwarfTypes } from './types.ts';
import { DwarfUnits } from './units.ts';

/** A variable as its entry describes it. */
export interface DwarfVariable {
  readonly die: Die;
  readonly type: CType;
}

const TAGS_OF_KIND: Readonly<Record<TagKind, readonly number[]>> = {
  struct: [DW_TAG.structure_type],
  union: [DW_TAG.union_type],
  enum: [DW_TAG.enumeration_type],
  typedef: [DW_TAG.typedef, DW_TAG.base_type],
};

const DEFINING_TAGS: ReadonlySet<number> = new Set(Object.values(TAGS_OF_KIND).flat());

/** Debug information of a vmlinux or of a module; read bit by bit as it is asked for. */
export class DebugInfo implements TypeSource {
  /** What has to be added to the file's addresses to get those of the dump. */
  readonly bias: bigint;
  readonly units: DwarfUnits;
  readonly lines: SourceLines;
  readonly types: DwarfTypes;
  readonly frames: CallFrames;
  /** First definition of each kind by name, and whether all of the file was searched. */
  readonly #found = new Map<string, { readonly definitions: Die[]; complete: boolean }>();
  readonly #variables = new Map<string, DwarfVariable | null>();

  /**
   * @param bias KASLR's offset; 0 for a module, whose sections lie at `addresses`
   * @param findType where to look first for the definition of a type that is only declared
   */
  constructor(elf: ElfFile, bias: bigint, findType: DebugInfo['find'], addresses?: SectionAddresses) {
    this.bias = bias;
    this.units = new DwarfUnits(elf, addresses);
    this.lines = new SourceLines(this.units);
    this.frames = new CallFrames(elf, addresses);
    this.types = new DwarfTypes((kind, name) => (name === '' ? undefined : findType.call(this, name, kind)));
  }

  /** Tells whether there is any: a stripped file has none. */
  get exists(): boolean {
    return this.units.info.exists;
  }

  /** A definition of a type by name. */
  find(name: string, kind: TagKind): CType | undefined {
    const known = this.#known(name);
    const tags = TAGS_OF_KIND[kind];
    const isWanted = ({ tag }: Die): boolean => tags.includes(tag);
    const found = known.definitions.find(isWanted);
    if (found !== undefined || known.complete) return found === undefined ? undefined : this.types.type(found);
    // The search goes on from the start: what it meets of other kinds is kept, so that a name is searched to the end once.
    known.definitions.length = 0;
    const die = this.#first(name, entry => {
      if (!DEFINING_TAGS.has(entry.tag) || entry.flag(DW_AT.declaration)) return false;
      if (!known.definitions.some(({ tag }) => tag === entry.tag)) known.definitions.push(entry);
      return isWanted(entry);
    });
    known.complete = die === undefined;
    return die === undefined ? undefined : this.types.type(die);
  }

  #known(name: string): { readonly definitions: Die[]; complete: boolean } {
    let known = this.#found.get(name);
    if (known === undefined) this.#found.set(name, (known = { definitions: [], complete: false }));
    return known;
  }

  findFunction(name: string): FunctionType | undefined {
    const die = this.#first(name, entry => entry.tag === DW_TAG.subprogram);
    return die === undefined ? undefined : this.types.function(die);
  }

  findEnumerator(name: string): { type: EnumType; value: bigint } | undefined {
    const die = this.#first(name, entry => entry.tag === DW_TAG.enumerator);
    if (die === undefined) return undefined;
    for (const outer of die.unit.root?.children() ?? []) {
      if (outer.tag !== DW_TAG.enumeration_type || die.offset < outer.offset || die.offset >= outer.next) continue;
      return { type: this.types.type(outer) as EnumType, value: die.integer(DW_AT.const_value) ?? 0n };
    }
    return undefined;
  }

  /** Names are not listed: that would read all units. */
  *names(): Generator<string> {}

  /**
   * A variable by its name and its link-time address. A declaration counts when there is no definition: the linker
   * script gives some variables a second name (`jiffies`).
   */
  variable(name: string, address: bigint): DwarfVariable | undefined {
    const key = `${name} ${address}`;
    const known = this.#variables.get(key);
    if (known !== undefined) return known ?? undefined;
    const found = this.#definition(name, address) ?? this.#declaration(name);
    this.#variables.set(key, found ?? null);
    return found;
  }

  #definition(name: string, address: bigint): DwarfVariable | undefined {
    return this.#guard(() => {
      let incomplete: DwarfVariable | undefined;
      for (const die of diesAtAddress(this.units, address)) {
        if (die.tag !== DW_TAG.variable) continue;
        // Another variable's second name, or one of no size (`lock_class_key` without lockdep) that lies at the same place.
        if (nameOf(die) !== name) continue;
        const type = this.types.typeOf(typed(die));
        if (isComplete(type)) return { die, type };
        incomplete ??= { die, type };
      }
      return incomplete;
    });
  }

  #declaration(name: string): DwarfVariable | undefined {
    const die = this.#first(name, entry => entry.tag === DW_TAG.variable && entry.flag(DW_AT.external));
    return die === undefined ? undefined : { die, type: this.types.typeOf(die) };
  }

  #first(name: string, accept: (die: Die) => boolean): Die | undefined {
    return this.#guard(() => {
      for (const die of diesNamed(this.units, name)) if (accept(die)) return die;
      return undefined;
    });
  }

  /** Damaged debug information knows nothing. */
  #guard<T>(read: () => T | undefined): T | undefined {
    if (!this.exists) return undefined;
    try {
      return read();
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }
}

/** Tells whether an array says how long it is. */
function isComplete(type: CType): boolean {
  const bare = stripTypedefs(type);
  return bare.kind !== 'array' || bare.length !== undefined;
}

/** Name of an entry, or of the declaration that it completes. */
export function nameOf(die: Die): string {
  return die.name || (origin(die)?.name ?? '');
}

/** The entry with the type: the definition itself, else its declaration. */
export function typed(die: Die): Die {
  return die.has(DW_AT.type) ? die : (origin(die) ?? die);
}

/** The declaration of a definition, or the abstract instance of an inlined or cloned one. */
export function origin(die: Die): Die | undefined {
  return die.reference(DW_AT.specification) ?? die.reference(DW_AT.abstract_origin);
}
