/** Lists of address ranges; DWARF 5 section 2.17.3 "Non-Contiguous Address Ranges" (`.debug_rnglists`), before it `.debug_ranges`. */
import { listEntries } from './address-lists.ts';
import type { ListKind } from './address-lists.ts';
import { DW_AT, DW_RLE } from './constants.ts';
import type { Die } from './die.ts';

/** Link-time addresses, half open. */
export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

const RANGE_LIST: ListKind = {
  name: 'range list',
  sections: ['ranges', 'rnglists'],
  baseAttribute: DW_AT.rnglists_base,
  codes: DW_RLE,
};

/** The ranges that an entry's `DW_AT_ranges` names, without empty ones. @throws FormatError */
export function addressRanges(die: Die): AddressRange[] {
  const found: AddressRange[] = [];
  for (const { start, end } of listEntries(die, DW_AT.ranges, RANGE_LIST))
    if (start !== undefined && end > start) found.push({ start, end });
  return found;
}
