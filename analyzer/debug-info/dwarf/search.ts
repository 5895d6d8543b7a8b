/**
 * Finds entries of a unit among hundreds of megabytes without an index: the bytes that they must contain are searched.
 *
 * A variable's entry holds its address behind `DW_OP_addr`, a named entry the offset of its name in `.debug_str`; a
 * search for those bytes through 160 MB of `.debug_info` takes about 0.1 s, an index of all units some seconds.
 * What is found is checked by decoding the unit that it lies in.
 */
import { asBuffer, writeU32, writeU64 } from '../../../capture/formats/bytes.ts';
import { DW_AT } from './constants.ts';
import type { Die } from './die.ts';
import { DW_OP } from './operations.ts';
import type { DwarfSection } from './sections.ts';
import type { DwarfUnits } from './units.ts';

const CHUNK = 2 * 2 ** 20;
/** Names that are the end of many longer ones in the string table. */
const MAX_STRINGS = 64;
const MAX_HITS = 100_000;
/** Bytes of a reference to `.debug_str` in 32-bit DWARF. */
const OFFSET_SIZE = 4;

/** Entries whose `DW_AT_location` is a fixed link-time address. */
export function* diesAtAddress(units: DwarfUnits, address: bigint): Generator<Die> {
  const EXPRESSION_LENGTH = 9;
  const pattern = new Uint8Array(1 + EXPRESSION_LENGTH);
  pattern[0] = EXPRESSION_LENGTH;
  pattern[1] = DW_OP.addr;
  writeU64(pattern, 2, address);
  yield* diesWith(units, [pattern], DW_AT.location);
  for (const index of addressIndices(units, address)) yield* diesWith(units, [indexPattern(index)], DW_AT.location);
}

/** `DW_OP_addrx index` with its length. */
function indexPattern(index: number): Uint8Array {
  const bytes: number[] = [DW_OP.addrx];
  for (let rest = index; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest < 128 ? rest : (rest % 128) | 0x80);
    if (rest < 128) break;
  }
  return Uint8Array.from([bytes.length, ...bytes]);
}

/** Indices that an address may have in `.debug_addr`, from the start of its unit's part. */
function* addressIndices(units: DwarfUnits, address: bigint): Generator<number> {
  if (!units.addr.exists) return;
  const wanted = new Uint8Array(8);
  writeU64(wanted, 0, address);
  for (const offset of occurrences(units.addr, [wanted])) {
    for (const { offset: unit } of units.headers) {
      const base = units.unit(unit).root?.sectionOffset(DW_AT.addr_base);
      if (base !== undefined && offset >= base && (offset - base) % 8 === 0) yield (offset - base) / 8;
    }
  }
}

/** Entries with a `DW_AT_name`, in the order of the file. */
export function* diesNamed(units: DwarfUnits, name: string): Generator<Die> {
  const inline = [Buffer.from(`${name}\0`, 'latin1')];
  // Compilers write names that are no longer than an offset into the entry itself, assemblers all of them.
  if (name.length < OFFSET_SIZE) yield* diesWith(units, inline, DW_AT.name, name);
  const patterns = stringOffsets(units, name).map(offset => {
    const pattern = new Uint8Array(OFFSET_SIZE);
    writeU32(pattern, 0, offset);
    return pattern;
  });
  yield* diesWith(units, patterns, DW_AT.name, name);
  if (patterns.length === 0 && name.length >= OFFSET_SIZE) yield* diesWith(units, inline, DW_AT.name, name);
}

/** Where a name may stand in `.debug_str`: alone, else as the end of a longer one, as linkers merge strings. */
function stringOffsets(units: DwarfUnits, name: string): number[] {
  const strings = asBuffer(units.str.all());
  const alone = strings.indexOf(`\0${name}\0`, 0, 'latin1');
  if (alone !== -1) return [alone + 1];
  const text = Buffer.from(`${name}\0`, 'latin1');
  const found: number[] = [];
  for (let at = strings.indexOf(text); at !== -1 && found.length < MAX_STRINGS; at = strings.indexOf(text, at + 1))
    found.push(at);
  return found;
}

/** Entries in whose attributes a pattern occurs, if the attribute is there and, when given, is the name. */
function* diesWith(
  units: DwarfUnits,
  patterns: readonly Uint8Array[],
  attribute: number,
  name?: string,
): Generator<Die> {
  let last = -1;
  for (const offset of occurrences(units.info, patterns)) {
    const die = units.unitAround(offset)?.dieAround(offset);
    if (die === undefined || die.offset === last || !die.has(attribute)) continue;
    if (name !== undefined && die.name !== name) continue;
    last = die.offset;
    yield die;
  }
}

/** Offsets of patterns in a section, ascending; read in pieces. */
function* occurrences(section: DwarfSection, patterns: readonly Uint8Array[]): Generator<number> {
  const longest = Math.max(0, ...patterns.map(({ length }) => length));
  if (longest === 0) return;
  let hits = 0;
  for (let start = 0; start < section.size; start += CHUNK) {
    const chunk = asBuffer(section.read(start, CHUNK + longest - 1));
    const found = patterns.flatMap(pattern => hitsIn(chunk, pattern)).sort((a, b) => a - b);
    hits += found.length;
    if (hits > MAX_HITS) return;
    for (const at of found) yield start + at;
  }
}

function hitsIn(chunk: Buffer, pattern: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = chunk.indexOf(pattern); at !== -1 && at < CHUNK; at = chunk.indexOf(pattern, at + 1)) found.push(at);
  return found;
}
