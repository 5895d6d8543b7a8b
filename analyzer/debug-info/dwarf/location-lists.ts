/** Location lists: where a variable is while control is at an address; DWARF 5 section 2.6.2 "Location Lists". */
import { FormatError } from '../../../capture/formats/errors.ts';
import { DW_AT, DW_LIST, DW_LLE } from './constants.ts';
import { Cursor } from './cursor.ts';
import type { Die } from './die.ts';
import type { Unit } from './units.ts';

/** An expression and the link-time addresses that it holds for; no range: everywhere. */
export interface LocationEntry {
  readonly start: bigint | undefined;
  readonly end: bigint;
  readonly expression: Uint8Array;
}

const MAX_ENTRIES = 100_000;
const BASE_SELECTION = 0xffff_ffff_ffff_ffffn;

/** The locations that an entry has by an attribute. @throws FormatError */
export function locationEntries(die: Die, attribute: number = DW_AT.location): LocationEntry[] {
  const expression = die.block(attribute);
  if (expression !== undefined) return [{ start: undefined, end: 0n, expression }];
  const offset = listOffset(die, attribute);
  if (offset === undefined) return [];
  return die.unit.version >= 5 ? list5(die.unit, offset) : list4(die.unit, offset);
}

/** The expression that holds at a link-time address. @throws FormatError */
export function locationAt(die: Die, address: bigint, attribute: number = DW_AT.location): Uint8Array | undefined {
  const entries = locationEntries(die, attribute);
  const found = entries.find(({ start, end }) => start === undefined || (address >= start && address < end));
  return found?.expression;
}

function listOffset(die: Die, attribute: number): number | undefined {
  const index = die.listIndex(attribute);
  if (index === undefined) return die.sectionOffset(attribute);
  const base = die.unit.root?.sectionOffset(DW_AT.loclists_base) ?? 12;
  const { offsetSize, units } = die.unit;
  return base + new Cursor(units.loclists.all(), base + index * offsetSize).sectionOffset(offsetSize);
}

function take(cursor: Cursor, length: number): Uint8Array {
  const start = cursor.offset;
  cursor.skip(length);
  return cursor.bytes.subarray(start, start + length);
}

function list4(unit: Unit, offset: number): LocationEntry[] {
  const cursor = new Cursor(unit.units.loc.all(), offset);
  const found: LocationEntry[] = [];
  let base = unit.baseAddress;
  while (found.length < MAX_ENTRIES) {
    const start = cursor.address();
    const end = cursor.address();
    if (start === 0n && end === 0n) return found;
    if (start === BASE_SELECTION) base = end;
    else found.push({ start: base + start, end: base + end, expression: take(cursor, cursor.u16()) });
  }
  return found;
}

function list5(unit: Unit, offset: number): LocationEntry[] {
  const cursor = new Cursor(unit.units.loclists.all(), offset);
  const found: LocationEntry[] = [];
  let base = unit.baseAddress;
  while (found.length < MAX_ENTRIES) {
    const kind = cursor.u8();
    if (kind === DW_LIST.end_of_list) return found;
    if (kind === DW_LIST.base_addressx) base = unit.indexedAddress(cursor.uleb());
    else if (kind === DW_LLE.base_address) base = cursor.address();
    else if (kind === DW_LLE.view_pair) {
      cursor.uleb();
      cursor.uleb();
    } else found.push(readEntry(unit, cursor, kind, base));
  }
  return found;
}

function readEntry(unit: Unit, cursor: Cursor, kind: number, base: bigint): LocationEntry {
  const [start, end] = readBounds(unit, cursor, kind, base);
  return { start, end, expression: take(cursor, cursor.uleb()) };
}

function readBounds(unit: Unit, cursor: Cursor, kind: number, base: bigint): [bigint | undefined, bigint] {
  switch (kind) {
    case DW_LIST.startx_endx: {
      const start = unit.indexedAddress(cursor.uleb());
      return [start, unit.indexedAddress(cursor.uleb())];
    }
    case DW_LIST.startx_length: {
      const start = unit.indexedAddress(cursor.uleb());
      return [start, start + cursor.bigUleb()];
    }
    case DW_LIST.offset_pair: {
      const start = base + cursor.bigUleb();
      return [start, base + cursor.bigUleb()];
    }
    case DW_LLE.default_location:
      return [undefined, 0n];
    case DW_LLE.start_end: {
      const start = cursor.address();
      return [start, cursor.address()];
    }
    case DW_LLE.start_length: {
      const start = cursor.address();
      return [start, start + cursor.bigUleb()];
    }
    default:
      throw new FormatError(`unknown entry ${kind} of a location list`, { offset: cursor.offset });
  }
}
