/**
 * Compilation units: which covers an address, and what its first entry says.
 *
 * Source: DWARF 5 section 6.1.2 "Lookup by Address" (`.debug_aranges`), 7.5 "Format of Debugging Information".
 */
import { cString } from '../../../capture/formats/bytes.ts';
import { FormatError } from '../../../capture/formats/errors.ts';
import { Cursor } from './cursor.ts';
import { DwarfSection } from './sections.ts';
import type { ElfFile } from '../../../capture/formats/elf.ts';

const DW_UT = { type: 2, skeleton: 4, split_compile: 5, split_type: 6 } as const;
const DW_AT = { name: 0x03, stmt_list: 0x10, comp_dir: 0x1b } as const;
const DW_FORM_IMPLICIT_CONST = 0x21;
const UNIT_START = 4096;
const ABBREV_WINDOW = 0x1_0000;

/** A range of code and the unit that it belongs to. */
interface Arange {
  readonly start: bigint;
  readonly end: bigint;
  /** Offset of the unit in `.debug_info`. */
  readonly unit: number;
}

/** What a unit's first entry says. */
export interface UnitHead {
  readonly name: string;
  readonly directory: string;
  /** Offset in `.debug_line`, when it has a table. */
  readonly lineTable: number | undefined;
}

/** The DWARF sections of a vmlinux. */
export class DwarfUnits {
  readonly info: DwarfSection;
  readonly abbrev: DwarfSection;
  readonly line: DwarfSection;
  readonly lineStr: DwarfSection;
  readonly str: DwarfSection;
  readonly #aranges: DwarfSection;
  #ranges: readonly Arange[] | undefined;

  constructor(elf: ElfFile) {
    const section = (name: string): DwarfSection => new DwarfSection(elf, name);
    this.info = section('.debug_info');
    this.abbrev = section('.debug_abbrev');
    this.line = section('.debug_line');
    this.lineStr = section('.debug_line_str');
    this.str = section('.debug_str');
    this.#aranges = section('.debug_aranges');
  }

  /** Tells whether the file has line tables that can be searched by address. */
  get hasLines(): boolean {
    return this.line.size > 0 && this.#aranges.size > 0;
  }

  /** Offset of the unit that covers a link-time address. */
  unitAt(address: bigint): number | undefined {
    this.#ranges ??= readAranges(this.#aranges.all());
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ranges[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.#ranges[low - 1];
    return found !== undefined && address < found.end ? found.unit : undefined;
  }

  /** Reads a unit's first entry. @throws FormatError */
  head(offset: number): UnitHead {
    const cursor = new Cursor(this.info.read(offset, UNIT_START));
    const { offsetSize } = cursor.initialLength();
    const version = cursor.u16();
    let abbreviations: number;
    if (version >= 5) {
      const type = cursor.u8();
      cursor.skip(1);
      abbreviations = cursor.sectionOffset(offsetSize);
      if (type === DW_UT.skeleton || type === DW_UT.split_compile) cursor.skip(8);
      else if (type === DW_UT.type || type === DW_UT.split_type) cursor.skip(8 + offsetSize);
    } else {
      abbreviations = cursor.sectionOffset(offsetSize);
      cursor.skip(1);
    }
    return this.#readHead(cursor, version, offsetSize, abbreviations, cursor.uleb());
  }

  #readHead(cursor: Cursor, version: number, offsetSize: 4 | 8, abbreviations: number, code: number): UnitHead {
    let [name, directory] = ['', ''];
    let lineTable: number | undefined;
    for (const { attribute, form } of this.#attributes(abbreviations, code)) {
      const value = this.#value(cursor, form, version, offsetSize);
      if (attribute === DW_AT.name) name = String(value);
      else if (attribute === DW_AT.comp_dir) directory = String(value);
      else if (attribute === DW_AT.stmt_list) lineTable = Number(value);
    }
    return { name, directory, lineTable };
  }

  /** Attributes of an abbreviation; the first entry's code may stand anywhere in its table. */
  #attributes(offset: number, code: number): { attribute: number; form: number }[] {
    const cursor = new Cursor(this.abbrev.read(offset, ABBREV_WINDOW));
    for (;;) {
      const current = cursor.uleb();
      if (current === 0) throw new FormatError(`no abbreviation ${code}`, { offset });
      cursor.uleb();
      cursor.skip(1);
      const found: { attribute: number; form: number }[] = [];
      for (;;) {
        const attribute = cursor.uleb();
        const form = cursor.uleb();
        if (form === DW_FORM_IMPLICIT_CONST) cursor.sleb();
        if (attribute === 0 && form === 0) break;
        found.push({ attribute, form });
      }
      if (current === code) return found;
    }
  }

  #value(cursor: Cursor, form: number, version: number, offsetSize: 4 | 8): string | number {
    switch (form) {
      case 0x08:
        return cursor.string();
      case 0x0e:
        return cString(this.str.read(cursor.sectionOffset(offsetSize), 4096));
      case 0x1f:
        return cString(this.lineStr.read(cursor.sectionOffset(offsetSize), 4096));
      case 0x17:
        return cursor.sectionOffset(offsetSize);
      case 0x06:
        return cursor.u32();
      default:
        skipForm(cursor, form, version, offsetSize);
        return 0;
    }
  }
}

/** Sizes of forms of fixed size; DWARF 5 table 7.6. */
const FIXED_SIZES: Readonly<{ [form: number]: number }> = {
  0x01: 8,
  0x05: 2,
  0x07: 8,
  0x0b: 1,
  0x0c: 1,
  0x11: 1,
  0x12: 2,
  0x13: 4,
  0x14: 8,
  0x19: 0,
  0x1c: 4,
  0x1e: 16,
  0x20: 8,
  0x21: 0,
  0x25: 1,
  0x26: 2,
  0x27: 3,
  0x28: 4,
  0x29: 1,
  0x2a: 2,
  0x2b: 3,
  0x2c: 4,
};
const LEB_FORMS = new Set([0x0d, 0x0f, 0x15, 0x1a, 0x1b, 0x22, 0x23]);

function skipForm(cursor: Cursor, form: number, version: number, offsetSize: 4 | 8): void {
  const fixed = FIXED_SIZES[form];
  if (fixed !== undefined) cursor.skip(fixed);
  else if (LEB_FORMS.has(form)) cursor.uleb();
  else if (form === 0x10) cursor.skip(version <= 2 ? 8 : offsetSize);
  else if (form === 0x1d) cursor.skip(offsetSize);
  else if (form === 0x0a) cursor.skip(cursor.u8());
  else if (form === 0x03) cursor.skip(cursor.u16());
  else if (form === 0x04) cursor.skip(cursor.u32());
  else if (form === 0x09 || form === 0x18) cursor.skip(cursor.uleb());
  else throw new FormatError(`unknown DWARF form 0x${form.toString(16)}`);
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
  return found.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
}
