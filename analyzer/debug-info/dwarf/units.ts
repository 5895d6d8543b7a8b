/**
 * Compilation units: where they are, which covers an address, and the entries in them.
 *
 * Source: DWARF 5 section 6.1.2 "Lookup by Address" (`.debug_aranges`), 7.5 "Format of Debugging Information"; versions 2 to 5.
 * Not modelled: split DWARF (`.dwo`), supplementary files, type units.
 */
import { FormatError } from '../../../capture/formats/errors.ts';
import type { ElfFile } from '../../../capture/formats/elf.ts';
import { readAbbreviations } from './abbreviations.ts';
import type { Abbreviation } from './abbreviations.ts';
import { DW_AT, DW_UT } from './constants.ts';
import { Cursor } from './cursor.ts';
import { Die } from './die.ts';
import { skipForm } from './forms.ts';
import { DwarfSection } from './sections.ts';
import type { SectionAddresses } from './sections.ts';

const MAX_HEADER = 64;
/** Units that stay in memory. */
const KEPT_UNITS = 48;

/** A range of code and the unit that it belongs to. */
interface Arange {
  readonly start: bigint;
  readonly end: bigint;
  /** Offset of the unit in `.debug_info`. */
  readonly unit: number;
}

/** A unit's header. */
interface UnitHeader {
  readonly offset: number;
  /** Behind the unit. */
  readonly end: number;
  readonly version: number;
  readonly offsetSize: 4 | 8;
  readonly abbreviations: number;
  /** Offset of the first entry. */
  readonly first: number;
}

/** A compilation unit, its bytes in memory. */
export class Unit {
  readonly units: DwarfUnits;
  readonly offset: number;
  readonly end: number;
  readonly version: number;
  readonly offsetSize: 4 | 8;
  /** From the header on: index 0 is `offset`. */
  readonly bytes: Uint8Array;
  readonly #first: number;
  readonly #abbreviations: readonly Abbreviation[];
  #base: bigint | undefined;

  constructor(units: DwarfUnits, header: UnitHeader, abbreviations: readonly Abbreviation[]) {
    this.units = units;
    ({ offset: this.offset, end: this.end, version: this.version, offsetSize: this.offsetSize } = header);
    this.#first = header.first;
    this.#abbreviations = abbreviations;
    this.bytes = units.info.read(this.offset, this.end - this.offset);
  }

  /** The unit's own entry. */
  get root(): Die | undefined {
    return this.dieAt(this.#first);
  }

  /** What `DW_AT_low_pc` of the unit says: offsets in its lists count from there. */
  get baseAddress(): bigint {
    this.#base ??= this.root?.address(DW_AT.low_pc) ?? 0n;
    return this.#base;
  }

  /** The entry at an offset of `.debug_info`; undefined for the mark behind the last child. @throws FormatError */
  dieAt(offset: number): Die | undefined {
    if (offset >= this.end) return undefined;
    const cursor = new Cursor(this.bytes, offset - this.offset);
    const code = cursor.uleb();
    return code === 0 ? undefined : new Die(this, offset, this.#abbreviation(code, offset), cursor.offset);
  }

  /** The entry whose attributes a byte of `.debug_info` belongs to. @throws FormatError */
  dieAround(offset: number): Die | undefined {
    const cursor = new Cursor(this.bytes, this.#first - this.offset);
    while (!cursor.atEnd && cursor.offset <= offset - this.offset) {
      const start = cursor.offset;
      const code = cursor.uleb();
      if (code === 0) continue;
      const abbreviation = this.#abbreviation(code, this.offset + start);
      const values = cursor.offset;
      if (abbreviation.fixedSize >= 0) cursor.skip(abbreviation.fixedSize);
      else for (const { form } of abbreviation.attributes) skipForm(cursor, form, this.version, this.offsetSize);
      if (offset - this.offset < cursor.offset) return new Die(this, this.offset + start, abbreviation, values);
    }
    return undefined;
  }

  /** An address of the unit's part of `.debug_addr`. */
  indexedAddress(index: number): bigint {
    const base = this.root?.sectionOffset(DW_AT.addr_base) ?? 8;
    return new Cursor(this.units.addr.all(), base + 8 * index).address();
  }

  /** A string of the unit's part of `.debug_str_offsets`. */
  indexedString(index: number): string {
    const base = this.root?.sectionOffset(DW_AT.str_offsets_base) ?? 8;
    const cursor = new Cursor(this.units.strOffsets.all(), base + this.offsetSize * index);
    return this.units.str.string(cursor.sectionOffset(this.offsetSize));
  }

  #abbreviation(code: number, offset: number): Abbreviation {
    const found = this.#abbreviations[code];
    if (found === undefined) throw new FormatError(`no abbreviation ${code}`, { offset });
    return found;
  }
}

/** The DWARF sections of a file. */
export class DwarfUnits {
  readonly info: DwarfSection;
  readonly abbrev: DwarfSection;
  readonly line: DwarfSection;
  readonly lineStr: DwarfSection;
  readonly str: DwarfSection;
  readonly strOffsets: DwarfSection;
  readonly addr: DwarfSection;
  readonly ranges: DwarfSection;
  readonly rnglists: DwarfSection;
  readonly loc: DwarfSection;
  readonly loclists: DwarfSection;
  readonly #aranges: DwarfSection;
  #ranges: readonly Arange[] | undefined;
  #headers: readonly UnitHeader[] | undefined;
  /** Least recently used first. */
  readonly #units = new Map<number, Unit>();
  readonly #abbreviations = new Map<string, readonly Abbreviation[]>();

  /** @param addresses where the sections of a module lie */
  constructor(elf: ElfFile, addresses?: SectionAddresses) {
    const section = (name: string): DwarfSection => new DwarfSection(elf, name, addresses);
    this.info = section('.debug_info');
    this.abbrev = section('.debug_abbrev');
    this.line = section('.debug_line');
    this.lineStr = section('.debug_line_str');
    this.str = section('.debug_str');
    this.strOffsets = section('.debug_str_offsets');
    this.addr = section('.debug_addr');
    this.ranges = section('.debug_ranges');
    this.rnglists = section('.debug_rnglists');
    this.loc = section('.debug_loc');
    this.loclists = section('.debug_loclists');
    this.#aranges = section('.debug_aranges');
  }

  /** Tells whether the file has line tables. */
  get hasLines(): boolean {
    return this.line.exists && this.info.exists;
  }

  /** Offset of the unit that covers a link-time address. */
  unitAt(address: bigint): number | undefined {
    this.#ranges ??= this.#aranges.exists ? readAranges(this.#aranges.all()) : this.#rangesOfUnits();
    const ranges = this.#ranges;
    const index = lastIndexWhere(ranges.length, at => ranges[at]!.start <= address);
    const found = ranges[index];
    return found !== undefined && address < found.end ? found.unit : undefined;
  }

  /** The unit at an offset. @throws FormatError */
  unit(offset: number): Unit {
    const known = this.#units.get(offset);
    if (known !== undefined) {
      this.#units.delete(offset);
      this.#units.set(offset, known);
      return known;
    }
    const header = readUnitHeader(this.info.read(offset, MAX_HEADER), offset);
    const unit = new Unit(this, header, this.#table(header));
    this.#units.set(offset, unit);
    const [oldest] = this.#units.keys();
    if (this.#units.size > KEPT_UNITS) this.#units.delete(oldest!);
    return unit;
  }

  /** The unit that a byte of `.debug_info` belongs to. */
  unitAround(offset: number): Unit | undefined {
    const headers = this.headers;
    const index = lastIndexWhere(headers.length, at => headers[at]!.offset <= offset);
    const found = headers[index];
    return found !== undefined && offset < found.end ? this.unit(found.offset) : undefined;
  }

  /** The entry at an offset. @throws FormatError */
  dieAt(offset: number): Die | undefined {
    return this.unitAround(offset)?.dieAt(offset);
  }

  /** Headers of all units, in order. The walk stops at a damaged one. */
  get headers(): readonly UnitHeader[] {
    this.#headers ??= this.#readHeaders();
    return this.#headers;
  }

  #readHeaders(): UnitHeader[] {
    const found: UnitHeader[] = [];
    const { size } = this.info;
    for (let offset = 0; offset + 12 <= size;) {
      const header = readUnitHeader(this.info.read(offset, MAX_HEADER), offset);
      if (header.end > size) break;
      found.push(header);
      offset = header.end;
    }
    return found;
  }

  #table({ abbreviations, version, offsetSize }: UnitHeader): readonly Abbreviation[] {
    const key = `${abbreviations}/${version <= 2}/${offsetSize}`;
    const known = this.#abbreviations.get(key);
    if (known !== undefined) return known;
    const table = readAbbreviations(this.abbrev.all().subarray(abbreviations), version, offsetSize);
    this.#abbreviations.set(key, table);
    return table;
  }

  /** Without `.debug_aranges` (clang writes none) the units' own entries tell. */
  #rangesOfUnits(): Arange[] {
    const found = this.headers.flatMap(({ offset }) =>
      (this.unit(offset).root?.ranges ?? []).map(({ start, end }) => ({ start, end, unit: offset })),
    );
    return found.sort(byStart);
  }
}

function readUnitHeader(bytes: Uint8Array, offset: number): UnitHeader {
  const cursor = new Cursor(bytes);
  const { length, offsetSize } = cursor.initialLength();
  const end = offset + cursor.offset + length;
  const version = cursor.u16();
  if (version < 2 || version > 5) throw new FormatError(`DWARF version ${version}`, { offset });
  if (version < 5) {
    const abbreviations = cursor.sectionOffset(offsetSize);
    cursor.skip(1);
    return { offset, end, version, offsetSize, abbreviations, first: offset + cursor.offset };
  }
  const type = cursor.u8();
  cursor.skip(1);
  const abbreviations = cursor.sectionOffset(offsetSize);
  if (type === DW_UT.skeleton || type === DW_UT.split_compile) cursor.skip(8);
  else if (type === DW_UT.type || type === DW_UT.split_type) cursor.skip(8 + offsetSize);
  return { offset, end, version, offsetSize, abbreviations, first: offset + cursor.offset };
}

function readAranges(bytes: Uint8Array): Arange[] {
  const found: Arange[] = [];
  const cursor = new Cursor(bytes);
  while (!cursor.atEnd) {
    const start = cursor.offset;
    const { length, offsetSize } = cursor.initialLength();
    const end = cursor.offset + length;
    cursor.skip(2);
    const unit = cursor.sectionOffset(offsetSize);
    cursor.skip(2);
    const TUPLE = 16;
    cursor.offset = start + Math.ceil((cursor.offset - start) / TUPLE) * TUPLE;
    while (cursor.offset + TUPLE <= end) {
      const address = cursor.address();
      const size = cursor.address();
      if (size !== 0n) found.push({ start: address, end: address + size, unit });
    }
    cursor.offset = end;
  }
  return found.sort(byStart);
}

function byStart(a: Arange, b: Arange): number {
  return a.start < b.start ? -1 : a.start > b.start ? 1 : 0;
}

/** The last index for which a condition holds that holds for a front part only; -1 for none. */
function lastIndexWhere(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
