/** Lists of address ranges; DWARF 5 section 2.17.3 "Non-Contiguous Address Ranges" (`.debug_rnglists`), before it `.debug_ranges`. */
import { FormatError } from '../../../capture/formats/errors.ts';
import { DW_AT, DW_LIST, DW_RLE } from './constants.ts';
import { Cursor } from './cursor.ts';
import type { Die } from './die.ts';
import type { Unit } from './units.ts';

/** Link-time addresses, half open. */
export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

const MAX_ENTRIES = 1_000_000;
const BASE_SELECTION = 0xffff_ffff_ffff_ffffn;

/** The ranges that an entry's `DW_AT_ranges` names. @throws FormatError */
export function addressRanges(die: Die): AddressRange[] {
  const { unit } = die;
  const offset = listOffset(die);
  if (offset === undefined) return [];
  return unit.version >= 5 ? rangeList5(unit, offset) : rangeList4(unit, offset);
}

function listOffset(die: Die): number | undefined {
  const index = die.listIndex(DW_AT.ranges);
  if (index === undefined) return die.sectionOffset(DW_AT.ranges);
  const base = die.unit.root?.sectionOffset(DW_AT.rnglists_base) ?? 12;
  const { rnglists } = die.unit.units;
  const { offsetSize } = die.unit;
  return base + new Cursor(rnglists.all(), base + index * offsetSize).sectionOffset(offsetSize);
}

function rangeList4(unit: Unit, offset: number): AddressRange[] {
  const cursor = new Cursor(unit.units.ranges.all(), offset);
  const found: AddressRange[] = [];
  let base = unit.baseAddress;
  while (found.length < MAX_ENTRIES) {
    const start = cursor.address();
    const end = cursor.address();
    if (start === 0n && end === 0n) return found;
    if (start === BASE_SELECTION) base = end;
    else if (end > start) found.push({ start: base + start, end: base + end });
  }
  return found;
}

function rangeList5(unit: Unit, offset: number): AddressRange[] {
  const cursor = new Cursor(unit.units.rnglists.all(), offset);
  const found: AddressRange[] = [];
  let base = unit.baseAddress;
  while (found.length < MAX_ENTRIES) {
    const kind = cursor.u8();
    if (kind === DW_LIST.end_of_list) return found;
    if (kind === DW_LIST.base_addressx) base = unit.indexedAddress(cursor.uleb());
    else if (kind === DW_RLE.base_address) base = cursor.address();
    else found.push(readRange(unit, cursor, kind, base));
  }
  return found;
}

function readRange(unit: Unit, cursor: Cursor, kind: number, base: bigint): AddressRange {
  switch (kind) {
    case DW_LIST.offset_pair: {
      const start = base + cursor.bigUleb();
      return { start, end: base + cursor.bigUleb() };
    }
    case DW_LIST.startx_endx: {
      const start = unit.indexedAddress(cursor.uleb());
      return { start, end: unit.indexedAddress(cursor.uleb()) };
    }
    case DW_LIST.startx_length: {
      const start = unit.indexedAddress(cursor.uleb());
      return { start, end: start + cursor.bigUleb() };
    }
    case DW_RLE.start_end: {
      const start = cursor.address();
      return { start, end: cursor.address() };
    }
    case DW_RLE.start_length: {
      const start = cursor.address();
      return { start, end: start + cursor.bigUleb() };
    }
    default:
      throw new FormatError(`unknown entry ${kind} of a range list`, { offset: cursor.offset });
  }
}
