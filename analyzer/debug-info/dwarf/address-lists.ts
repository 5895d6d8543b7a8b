/**
 * What range lists and location lists share: entries that bound addresses, relative to a base that the list may change.
 * DWARF 5 "Range List Table" and "Location List Table"; DWARF 4 "Range Lists" and "Location Lists".
 */
import { FormatError } from '../../../capture/formats/errors.ts';
import { DW_LIST } from './constants.ts';
import { Cursor } from './cursor.ts';
import type { Die } from './die.ts';
import type { Unit } from './units.ts';

/** In what the two kinds differ. */
export interface ListKind {
  /** For messages. */
  readonly name: string;
  /** Sections of DWARF 4 and of DWARF 5. */
  readonly sections: readonly ['ranges', 'rnglists'] | readonly ['loc', 'loclists'];
  /** The unit's attribute with the place of its table of offsets. */
  readonly baseAttribute: number;
  /** Codes that have other numbers in each kind. */
  readonly codes: {
    readonly base_address: number;
    readonly start_end: number;
    readonly start_length: number;
    readonly default_location?: number;
    readonly view_pair?: number;
  };
}

/** Link-time addresses, half open; without a start: everywhere. */
export interface Bounds {
  readonly start: bigint | undefined;
  readonly end: bigint;
}

/** An entry's bounds; the cursor stands behind them, where an entry of a location list has its expression. */
export interface ListEntry extends Bounds {
  readonly cursor: Cursor;
}

const MAX_ENTRIES = 1_000_000;
const BASE_SELECTION = 0xffff_ffff_ffff_ffffn;
/** Size of a table's header, which the base of a unit without `DW_AT_…lists_base` lies behind. */
const HEADER_SIZE = 12;

/** The entries of the list that an attribute names; each must be read to its end before the next is asked for. @throws FormatError */
export function* listEntries(die: Die, attribute: number, kind: ListKind): Generator<ListEntry> {
  const offset = listOffset(die, attribute, kind);
  if (offset === undefined) return;
  yield* die.unit.version >= 5 ? entries5(die.unit, offset, kind) : entries4(die.unit, offset, kind);
}

function listOffset(die: Die, attribute: number, { sections, baseAttribute }: ListKind): number | undefined {
  const index = die.listIndex(attribute);
  if (index === undefined) return die.sectionOffset(attribute);
  const base = die.unit.root?.sectionOffset(baseAttribute) ?? HEADER_SIZE;
  const { offsetSize, units } = die.unit;
  return base + new Cursor(units[sections[1]].all(), base + index * offsetSize).sectionOffset(offsetSize);
}

function* entries4(unit: Unit, offset: number, { sections }: ListKind): Generator<ListEntry> {
  const cursor = new Cursor(unit.units[sections[0]].all(), offset);
  let base = unit.baseAddress;
  for (let count = 0; count < MAX_ENTRIES; count++) {
    const start = cursor.address();
    const end = cursor.address();
    if (start === 0n && end === 0n) return;
    if (start === BASE_SELECTION) base = end;
    else yield { start: base + start, end: base + end, cursor };
  }
}

function* entries5(unit: Unit, offset: number, kind: ListKind): Generator<ListEntry> {
  const { codes } = kind;
  const cursor = new Cursor(unit.units[kind.sections[1]].all(), offset);
  let base = unit.baseAddress;
  for (let count = 0; count < MAX_ENTRIES; count++) {
    const code = cursor.u8();
    if (code === DW_LIST.end_of_list) return;
    if (code === DW_LIST.base_addressx) base = unit.indexedAddress(cursor.uleb());
    else if (code === codes.base_address) base = cursor.address();
    else if (code === codes.view_pair) {
      cursor.uleb();
      cursor.uleb();
    } else yield { ...readBounds(unit, cursor, code, base, kind), cursor };
  }
}

function readBounds(unit: Unit, cursor: Cursor, code: number, base: bigint, { codes, name }: ListKind): Bounds {
  switch (code) {
    case DW_LIST.startx_endx: {
      const start = unit.indexedAddress(cursor.uleb());
      return { start, end: unit.indexedAddress(cursor.uleb()) };
    }
    case DW_LIST.startx_length: {
      const start = unit.indexedAddress(cursor.uleb());
      return { start, end: start + cursor.bigUleb() };
    }
    case DW_LIST.offset_pair: {
      const start = base + cursor.bigUleb();
      return { start, end: base + cursor.bigUleb() };
    }
    case codes.default_location:
      return { start: undefined, end: 0n };
    case codes.start_end: {
      const start = cursor.address();
      return { start, end: cursor.address() };
    }
    case codes.start_length: {
      const start = cursor.address();
      return { start, end: start + cursor.bigUleb() };
    }
    default:
      throw new FormatError(`unknown entry ${code} of a ${name}`, { offset: cursor.offset });
  }
}
