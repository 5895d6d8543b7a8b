/** C types from DWARF's entries; DWARF 5 section 5 "Type Entries". */
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
} from '../../types/types.ts';
import type { CType, Enumerator, Member, Parameter } from '../../types/types.ts';
import { SHORT_NAMES } from '../base-type-names.ts';
import { DW_AT, DW_ATE, DW_TAG } from './constants.ts';
import { Cursor } from './cursor.ts';
import type { Die } from './die.ts';
import { DW_OP } from './operations.ts';

/** Finds the definition of what a unit only declares (`struct foo;`). */
export type DefinitionFinder = (kind: 'struct' | 'union' | 'enum', name: string) => CType | undefined;

/** Turns entries into types; each once. */
export class DwarfTypes {
  readonly #types = new Map<number, CType>();
  readonly #findDefinition: DefinitionFinder;

  constructor(findDefinition: DefinitionFinder) {
    this.#findDefinition = findDefinition;
  }

  /** The type that an entry's `DW_AT_type` names; void without one. */
  typeOf(die: Die): CType {
    const target = die.reference(DW_AT.type);
    return target === undefined ? VOID : this.type(target);
  }

  /** The type that an entry is. */
  type(die: Die): CType {
    const known = this.#types.get(die.offset);
    if (known !== undefined) return known;
    const type = this.#decode(die);
    this.#types.set(die.offset, type);
    return type;
  }

  /** How each kind of entry becomes a type; other entries are no types. */
  readonly #decoders: Readonly<{ [tag: number]: (die: Die) => CType }> = {
    [DW_TAG.base_type]: baseType,
    [DW_TAG.pointer_type]: die => new PointerType(() => this.typeOf(die)),
    [DW_TAG.const_type]: die => new QualifiedType('const', () => this.typeOf(die)),
    [DW_TAG.volatile_type]: die => new QualifiedType('volatile', () => this.typeOf(die)),
    [DW_TAG.restrict_type]: die => new QualifiedType('restrict', () => this.typeOf(die)),
    [DW_TAG.atomic_type]: die => new QualifiedType('atomic', () => this.typeOf(die)),
    [DW_TAG.typedef]: die => new TypedefType(die.name, () => this.typeOf(die)),
    [DW_TAG.array_type]: die => this.#array(die),
    [DW_TAG.structure_type]: die => this.#struct(die, 'struct'),
    [DW_TAG.union_type]: die => this.#struct(die, 'union'),
    [DW_TAG.enumeration_type]: die => this.#enum(die),
    [DW_TAG.subroutine_type]: die => this.function(die),
    [DW_TAG.subprogram]: die => this.function(die),
  };

  #decode(die: Die): CType {
    return this.#decoders[die.tag]?.(die) ?? VOID;
  }

  /** The type of a function or function type. */
  function(die: Die): FunctionType {
    return new FunctionType(
      () => this.typeOf(die),
      () => this.#parameters(die),
      die.flag(DW_AT.prototyped),
    );
  }

  #parameters(die: Die): Parameter[] {
    const found: Parameter[] = [];
    for (const child of die.children()) {
      if (child.tag === DW_TAG.formal_parameter) found.push({ name: child.name, type: this.typeOf(child) });
      else if (child.tag === DW_TAG.unspecified_parameters) found.push({ name: '', type: undefined });
    }
    return found;
  }

  /** One dimension after the other, the last innermost. */
  #array(die: Die): CType {
    const lengths = [...die.children()].filter(({ tag }) => tag === DW_TAG.subrange_type).map(lengthOf);
    const [first, ...rest] = lengths.length === 0 ? [undefined] : lengths;
    const element = rest.reduceRight<() => CType>(
      (inner, length) => () => new ArrayType(inner, length),
      () => this.typeOf(die),
    );
    return new ArrayType(element, first);
  }

  #struct(die: Die, kind: 'struct' | 'union'): CType {
    const { name } = die;
    if (die.flag(DW_AT.declaration)) {
      return this.#findDefinition(kind, name) ?? new StructType(kind, name, undefined, () => []);
    }
    const size = die.number(DW_AT.byte_size) ?? 0;
    return new StructType(kind, name, size, () => this.#members(die));
  }

  #members(die: Die): Member[] {
    return [...die.children()]
      .filter(({ tag }) => tag === DW_TAG.member)
      .map(member => {
        const type = (): CType => this.typeOf(member);
        return {
          name: member.name,
          ...placeOf(member, type),
          get type() {
            return type();
          },
        };
      });
  }

  #enum(die: Die): CType {
    const { name } = die;
    if (die.flag(DW_AT.declaration)) {
      const found = this.#findDefinition('enum', name);
      if (found !== undefined) return found;
    }
    const enumerators = enumeratorsOf(die);
    const signed = enumerators.some(({ value }) => value < 0n);
    return new EnumType(name, die.number(DW_AT.byte_size) ?? 4, signed, () => enumerators);
  }
}

function baseType(die: Die): CType {
  const { name } = die;
  const size = die.number(DW_AT.byte_size) ?? 0;
  const encoding = die.number(DW_AT.encoding) ?? 0;
  const short = SHORT_NAMES[name] ?? name;
  if (encoding === DW_ATE.float) return new FloatType(short, size);
  const signed = encoding === DW_ATE.signed || encoding === DW_ATE.signed_char;
  if (encoding === DW_ATE.boolean) return new IntType(short, size, false, 'bool');
  const isChar = encoding === DW_ATE.signed_char || encoding === DW_ATE.unsigned_char;
  return new IntType(short, size, signed, isChar ? 'char' : 'int');
}

/** Elements of a dimension; undefined when it is flexible or known at run time only. */
function lengthOf(subrange: Die): number | undefined {
  const count = subrange.number(DW_AT.count);
  if (count !== undefined) return count;
  const bound = subrange.integer(DW_AT.upper_bound);
  if (bound === undefined) return undefined;
  // A bound of -1, whatever its width: an array of no elements.
  const NO_ELEMENTS: readonly bigint[] = [-1n, 0xffff_ffffn, 0xffff_ffff_ffff_ffffn];
  return NO_ELEMENTS.includes(bound) ? 0 : Number(bound) + 1;
}

function enumeratorsOf(die: Die): Enumerator[] {
  return [...die.children()]
    .filter(({ tag }) => tag === DW_TAG.enumerator)
    .map(child => ({ name: child.name, value: child.integer(DW_AT.const_value) ?? 0n }));
}

/** Place of a member: `DW_AT_data_bit_offset`, or `DW_AT_data_member_location` with the older `DW_AT_bit_offset`. */
function placeOf(member: Die, type: () => CType): Pick<Member, 'bitOffset' | 'bitSize'> {
  const bitSize = member.number(DW_AT.bit_size);
  const dataBits = member.number(DW_AT.data_bit_offset);
  if (dataBits !== undefined) return { bitOffset: dataBits, bitSize };
  const byteOffset = memberOffset(member);
  const fromTop = member.number(DW_AT.bit_offset);
  if (bitSize === undefined || fromTop === undefined) return { bitOffset: 8 * byteOffset, bitSize };
  // Counted from the most significant bit of the storage unit.
  const storage = member.number(DW_AT.byte_size) ?? type().size;
  return { bitOffset: 8 * byteOffset + 8 * storage - fromTop - bitSize, bitSize };
}

/** Bytes from the structure's start; DWARF 2 wrote it as an expression. */
function memberOffset(member: Die): number {
  const constant = member.number(DW_AT.data_member_location);
  if (constant !== undefined) return constant;
  const block = member.block(DW_AT.data_member_location);
  return block?.[0] === DW_OP.plus_uconst ? new Cursor(block, 1).uleb() : 0;
}
