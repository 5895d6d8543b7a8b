/** Abbreviation tables: what attributes the entries of a unit have, and how they are encoded; DWARF 5 section 7.5.3 "Abbreviations Tables". */
import { FormatError } from '../../../capture/formats/errors.ts';
import { DW_FORM } from './constants.ts';
import { Cursor } from './cursor.ts';
import { fixedFormSize } from './forms.ts';

/** One attribute of an abbreviation. */
export interface AttributeSpec {
  readonly attribute: number;
  readonly form: number;
  /** Value of a `DW_FORM_implicit_const`. */
  readonly constant: number;
}

/** The shape of an entry. */
export interface Abbreviation {
  readonly code: number;
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeSpec[];
  /** Bytes of all attributes together when every form has a fixed size, else -1: what makes skipping entries fast. */
  readonly fixedSize: number;
}

/** Reads a table; codes are the index. @param offsetSize of the unit: some forms depend on it @throws FormatError */
export function readAbbreviations(bytes: Uint8Array, version: number, offsetSize: 4 | 8): Abbreviation[] {
  const table: Abbreviation[] = [];
  const cursor = new Cursor(bytes);
  const MAX_CODE = 1_000_000;
  for (;;) {
    if (cursor.atEnd) return table;
    const code = cursor.uleb();
    if (code === 0) return table;
    if (code > MAX_CODE) throw new FormatError(`abbreviation code ${code}`, { offset: cursor.offset });
    const tag = cursor.uleb();
    const hasChildren = cursor.u8() !== 0;
    const attributes = readSpecs(cursor);
    let fixedSize = 0;
    for (const { form } of attributes) {
      const size = fixedFormSize(form, version, offsetSize);
      if (size === undefined || fixedSize < 0) fixedSize = -1;
      else fixedSize += size;
    }
    table[code] = { code, tag, hasChildren, attributes, fixedSize };
  }
}

function readSpecs(cursor: Cursor): AttributeSpec[] {
  const specs: AttributeSpec[] = [];
  for (;;) {
    const attribute = cursor.uleb();
    const form = cursor.uleb();
    const constant = form === DW_FORM.implicit_const ? cursor.sleb() : 0;
    if (attribute === 0 && form === 0) return specs;
    specs.push({ attribute, form, constant });
  }
}
