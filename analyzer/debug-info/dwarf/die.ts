/** Debugging information entries: one entry of a unit, its attributes read when asked for; DWARF 5 section 2 "General Description". */
import { FormatError, UnimplementedError } from '../../../capture/formats/errors.ts';
import type { Abbreviation } from './abbreviations.ts';
import { DW_AT, DW_FORM } from './constants.ts';
import { Cursor } from './cursor.ts';
import { blockLength, fixedFormSize, skipForm } from './forms.ts';
import { addressRanges } from './ranges.ts';
import type { AddressRange } from './ranges.ts';
import type { Unit } from './units.ts';

/** Where an attribute's value stands. */
interface AttributePlace {
  readonly form: number;
  readonly constant: number;
  /** At the value, in the unit's bytes. */
  readonly cursor: Cursor;
}

/** An entry. Offsets are those of `.debug_info`. */
export class Die {
  readonly unit: Unit;
  readonly offset: number;
  readonly abbreviation: Abbreviation;
  /** Offset of the first attribute's value in the unit's bytes. */
  readonly #start: number;

  constructor(unit: Unit, offset: number, abbreviation: Abbreviation, start: number) {
    this.unit = unit;
    this.offset = offset;
    this.abbreviation = abbreviation;
    this.#start = start;
  }

  get tag(): number {
    return this.abbreviation.tag;
  }

  has(attribute: number): boolean {
    return this.abbreviation.attributes.some(spec => spec.attribute === attribute);
  }

  /** Behind the last attribute. */
  get attributesEnd(): number {
    const { fixedSize, attributes } = this.abbreviation;
    const { offset, version, offsetSize } = this.unit;
    if (fixedSize >= 0) return offset + this.#start + fixedSize;
    const cursor = new Cursor(this.unit.bytes, this.#start);
    for (const { form } of attributes) skipForm(cursor, form, version, offsetSize);
    return offset + cursor.offset;
  }

  /** Entries inside this one, in order. */
  *children(): Generator<Die> {
    if (!this.abbreviation.hasChildren) return;
    let at = this.attributesEnd;
    for (let child = this.unit.dieAt(at); child !== undefined; child = this.unit.dieAt(at)) {
      yield child;
      at = child.next;
    }
  }

  /** Offset behind this entry and all inside it. */
  get next(): number {
    let at = this.#over ?? this.attributesEnd;
    for (let depth = this.#over === undefined ? 1 : 0; depth > 0 && at < this.unit.end;) {
      const die = this.unit.dieAt(at);
      const over = die === undefined ? undefined : die.#over;
      if (die === undefined) depth--;
      else if (over === undefined) depth++;
      at = die === undefined ? at + 1 : (over ?? die.attributesEnd);
    }
    return at;
  }

  /** Offset behind all inside this entry, when that is known without reading it. */
  get #over(): number | undefined {
    if (!this.abbreviation.hasChildren) return this.attributesEnd;
    const sibling = this.#find(DW_AT.sibling);
    const target = sibling === undefined ? 0 : this.#referenceOffset(sibling);
    return target > this.offset ? target : undefined;
  }

  /** A string attribute. */
  string(attribute: number): string | undefined {
    const place = this.#find(attribute);
    return place === undefined ? undefined : this.#string(place);
  }

  /** `DW_AT_name`, empty without one. */
  get name(): string {
    return this.string(DW_AT.name) ?? '';
  }

  /** A flag; false without the attribute. */
  flag(attribute: number): boolean {
    const place = this.#find(attribute);
    if (place === undefined) return false;
    return place.form === DW_FORM.flag ? place.cursor.u8() !== 0 : place.form === DW_FORM.flag_present;
  }

  /** A constant; undefined when it is an expression or a reference. Signed when its form is. */
  integer(attribute: number): bigint | undefined {
    const place = this.#find(attribute);
    if (place === undefined) return undefined;
    const { cursor, constant, form } = place;
    switch (form) {
      case DW_FORM.data1:
        return BigInt(cursor.u8());
      case DW_FORM.data2:
        return BigInt(cursor.u16());
      case DW_FORM.data4:
        return BigInt(cursor.u32());
      case DW_FORM.data8:
        return cursor.address();
      case DW_FORM.sdata:
        return cursor.bigSleb();
      case DW_FORM.udata:
        return cursor.bigUleb();
      case DW_FORM.implicit_const:
        return BigInt(constant);
      default:
        return undefined;
    }
  }

  /** As `integer`, exact below 2^53. */
  number(attribute: number): number | undefined {
    const value = this.integer(attribute);
    return value === undefined ? undefined : Number(value);
  }

  /** Tells whether a constant's form keeps its sign. */
  isSignedForm(attribute: number): boolean {
    const form = this.abbreviation.attributes.find(spec => spec.attribute === attribute)?.form;
    return form === DW_FORM.sdata || form === DW_FORM.implicit_const;
  }

  /** A link-time address. */
  address(attribute: number): bigint | undefined {
    const place = this.#find(attribute);
    if (place === undefined) return undefined;
    if (place.form === DW_FORM.addr) return place.cursor.address();
    const index = this.#index(place, DW_FORM.addrx, DW_FORM.addrx1);
    return index === undefined ? undefined : this.unit.indexedAddress(index);
  }

  /** An offset into another section: of a line table, a range list, a location list. */
  sectionOffset(attribute: number): number | undefined {
    const place = this.#find(attribute);
    if (place === undefined) return undefined;
    const { form, cursor } = place;
    if (form === DW_FORM.sec_offset) return cursor.sectionOffset(this.unit.offsetSize);
    // Before version 4 plain numbers of 4 and 8 bytes stood for offsets.
    if (this.unit.version < 4 && form === DW_FORM.data4) return cursor.u32();
    if (this.unit.version < 4 && form === DW_FORM.data8) return cursor.u64();
    return undefined;
  }

  /** Index into the unit's tables of lists (`rnglistx`, `loclistx`). */
  listIndex(attribute: number): number | undefined {
    const place = this.#find(attribute);
    const isIndex = place?.form === DW_FORM.rnglistx || place?.form === DW_FORM.loclistx;
    return isIndex ? place.cursor.uleb() : undefined;
  }

  /** An expression or other block of bytes. */
  block(attribute: number): Uint8Array | undefined {
    const place = this.#find(attribute);
    if (place === undefined || fixedFormSize(place.form, 5, 4) !== undefined) return undefined;
    if (!BLOCK_FORMS.has(place.form)) return undefined;
    const length = blockLength(place.cursor, place.form);
    const start = place.cursor.offset;
    place.cursor.skip(length);
    return this.unit.bytes.subarray(start, start + length);
  }

  /** The entry that an attribute refers to. */
  reference(attribute: number): Die | undefined {
    const place = this.#find(attribute);
    return place === undefined ? undefined : this.unit.units.dieAt(this.#referenceOffset(place));
  }

  /** Ranges of code: `DW_AT_ranges`, else `DW_AT_low_pc` and `DW_AT_high_pc`; link-time addresses. */
  get ranges(): readonly AddressRange[] {
    if (this.has(DW_AT.ranges)) return addressRanges(this);
    const start = this.address(DW_AT.low_pc);
    if (start === undefined || !this.has(DW_AT.high_pc)) return [];
    const size = this.integer(DW_AT.high_pc);
    const end = size === undefined ? this.address(DW_AT.high_pc)! : start + size;
    return end > start ? [{ start, end }] : [];
  }

  /** Tells whether a link-time address lies in the entry's code. */
  covers(address: bigint): boolean {
    return this.ranges.some(({ start, end }) => address >= start && address < end);
  }

  #find(attribute: number): AttributePlace | undefined {
    if (!this.has(attribute)) return undefined;
    const { version, offsetSize, bytes } = this.unit;
    const cursor = new Cursor(bytes, this.#start);
    for (const spec of this.abbreviation.attributes) {
      if (spec.attribute === attribute) {
        const form = spec.form === DW_FORM.indirect ? cursor.uleb() : spec.form;
        return { form, constant: spec.constant, cursor };
      }
      skipForm(cursor, spec.form, version, offsetSize);
    }
    return undefined;
  }

  #string({ form, cursor }: AttributePlace): string | undefined {
    const { units, offsetSize } = this.unit;
    if (form === DW_FORM.string) return cursor.string();
    if (form === DW_FORM.strp) return units.str.string(cursor.sectionOffset(offsetSize));
    if (form === DW_FORM.line_strp) return units.lineStr.string(cursor.sectionOffset(offsetSize));
    const index = this.#index({ form, cursor, constant: 0 }, DW_FORM.strx, DW_FORM.strx1);
    return index === undefined ? undefined : this.unit.indexedString(index);
  }

  /** Index of a `strx` or `addrx` form: a LEB128, or 1 to 4 bytes. */
  #index({ form, cursor }: AttributePlace, leb: number, oneByte: number): number | undefined {
    if (form === leb) return cursor.uleb();
    const size = form - oneByte + 1;
    if (size < 1 || size > 4) return undefined;
    let value = 0;
    for (let i = 0; i < size; i++) value += cursor.u8() * 256 ** i;
    return value;
  }

  #referenceOffset({ form, cursor }: AttributePlace): number {
    const { offset, version, offsetSize } = this.unit;
    switch (form) {
      case DW_FORM.ref1:
        return offset + cursor.u8();
      case DW_FORM.ref2:
        return offset + cursor.u16();
      case DW_FORM.ref4:
        return offset + cursor.u32();
      case DW_FORM.ref8:
        return offset + cursor.u64();
      case DW_FORM.ref_udata:
        return offset + cursor.uleb();
      case DW_FORM.ref_addr:
        return version <= 2 ? cursor.u64() : cursor.sectionOffset(offsetSize);
      case DW_FORM.ref_sig8:
        throw new UnimplementedError('types in type units', 'DWARF 5 "Type Units"');
      default:
        throw new FormatError(`DWARF form 0x${form.toString(16)} is no reference`, { offset: this.offset });
    }
  }
}

const BLOCK_FORMS: ReadonlySet<number> = new Set([
  DW_FORM.block,
  DW_FORM.block1,
  DW_FORM.block2,
  DW_FORM.block4,
  DW_FORM.exprloc,
]);
