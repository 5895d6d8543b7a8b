/** Sizes of attribute forms; DWARF 5 section 7.5.6 "Form Encodings". */
import { FormatError } from '../../../capture/formats/errors.ts';
import { DW_FORM } from './constants.ts';
import type { Cursor } from './cursor.ts';

/** Sizes that depend on nothing. */
const FIXED_SIZES: Readonly<{ [form: number]: number }> = {
  [DW_FORM.addr]: 8,
  [DW_FORM.data2]: 2,
  [DW_FORM.data4]: 4,
  [DW_FORM.data8]: 8,
  [DW_FORM.data1]: 1,
  [DW_FORM.flag]: 1,
  [DW_FORM.ref1]: 1,
  [DW_FORM.ref2]: 2,
  [DW_FORM.ref4]: 4,
  [DW_FORM.ref8]: 8,
  [DW_FORM.flag_present]: 0,
  [DW_FORM.ref_sup4]: 4,
  [DW_FORM.data16]: 16,
  [DW_FORM.ref_sig8]: 8,
  [DW_FORM.implicit_const]: 0,
  [DW_FORM.ref_sup8]: 8,
  [DW_FORM.strx1]: 1,
  [DW_FORM.strx2]: 2,
  [DW_FORM.strx3]: 3,
  [DW_FORM.strx4]: 4,
  [DW_FORM.addrx1]: 1,
  [DW_FORM.addrx2]: 2,
  [DW_FORM.addrx3]: 3,
  [DW_FORM.addrx4]: 4,
};

/** Forms that are an offset into another section. */
const OFFSET_FORMS: ReadonlySet<number> = new Set([
  DW_FORM.strp,
  DW_FORM.sec_offset,
  DW_FORM.strp_sup,
  DW_FORM.line_strp,
]);
const LEB_FORMS: ReadonlySet<number> = new Set([
  DW_FORM.sdata,
  DW_FORM.udata,
  DW_FORM.ref_udata,
  DW_FORM.strx,
  DW_FORM.addrx,
  DW_FORM.loclistx,
  DW_FORM.rnglistx,
]);

/** Bytes of a form, or undefined when they depend on the value. */
export function fixedFormSize(form: number, version: number, offsetSize: 4 | 8): number | undefined {
  if (OFFSET_FORMS.has(form)) return offsetSize;
  // Version 2 took references to other units for addresses.
  if (form === DW_FORM.ref_addr) return version <= 2 ? 8 : offsetSize;
  return FIXED_SIZES[form];
}

/** Moves behind a value. @throws FormatError for a form that is not known */
export function skipForm(cursor: Cursor, form: number, version: number, offsetSize: 4 | 8): void {
  const fixed = fixedFormSize(form, version, offsetSize);
  if (fixed !== undefined) cursor.skip(fixed);
  else if (LEB_FORMS.has(form)) cursor.uleb();
  else if (form === DW_FORM.string) cursor.string();
  else if (form === DW_FORM.indirect) skipForm(cursor, cursor.uleb(), version, offsetSize);
  else cursor.skip(blockLength(cursor, form));
}

/** Reads the length in front of a block. @throws FormatError for a form that is none */
export function blockLength(cursor: Cursor, form: number): number {
  switch (form) {
    case DW_FORM.block1:
      return cursor.u8();
    case DW_FORM.block2:
      return cursor.u16();
    case DW_FORM.block4:
      return cursor.u32();
    case DW_FORM.block:
    case DW_FORM.exprloc:
      return cursor.uleb();
    default:
      throw new FormatError(`unknown DWARF form 0x${form.toString(16)}`, { offset: cursor.offset });
  }
}
