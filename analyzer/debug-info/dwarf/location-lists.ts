/** Location lists: where a variable is while control is at an address; DWARF 5 section 2.6.2 "Location Lists". */
import { listEntries } from './address-lists.ts';
import type { Bounds, ListKind } from './address-lists.ts';
import { DW_AT, DW_LLE } from './constants.ts';
import type { Cursor } from './cursor.ts';
import type { Die } from './die.ts';

/** An expression and the link-time addresses that it holds for; no range: everywhere. */
export interface LocationEntry extends Bounds {
  readonly expression: Uint8Array;
}

const LOCATION_LIST: ListKind = {
  name: 'location list',
  sections: ['loc', 'loclists'],
  baseAttribute: DW_AT.loclists_base,
  codes: DW_LLE,
};

/** The locations that an entry has by an attribute. @throws FormatError */
export function locationEntries(die: Die, attribute: number = DW_AT.location): LocationEntry[] {
  const expression = die.block(attribute);
  if (expression !== undefined) return [{ start: undefined, end: 0n, expression }];
  const isOld = die.unit.version < 5;
  const found: LocationEntry[] = [];
  for (const { start, end, cursor } of listEntries(die, attribute, LOCATION_LIST))
    found.push({ start, end, expression: take(cursor, isOld ? cursor.u16() : cursor.uleb()) });
  return found;
}

/** The expression that holds at a link-time address. @throws FormatError */
export function locationAt(die: Die, address: bigint, attribute: number = DW_AT.location): Uint8Array | undefined {
  const entries = locationEntries(die, attribute);
  const found = entries.find(({ start, end }) => start === undefined || (address >= start && address < end));
  return found?.expression;
}

function take(cursor: Cursor, length: number): Uint8Array {
  const start = cursor.offset;
  cursor.skip(length);
  return cursor.bytes.subarray(start, start + length);
}
