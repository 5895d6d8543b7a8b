/**
 * Finds the row of the instruction table that an instruction word belongs to.
 *
 * Rows are sorted into buckets by bits 31 to 21; a bucket with many rows (vector instructions) is divided again by bits 15 to 10.
 */
import { extractFields, fixedBits } from './encodings/pattern.ts';
import type { A64Features } from './features.ts';
import type { Instruction } from './instruction.ts';

/** Buckets with more rows than this are divided by bits 15 to 10. */
const MAX_ROWS = 4;

interface Row {
  readonly mask: number;
  readonly value: number;
  readonly instruction: Instruction;
}

type Rows = readonly Row[];

/** An instruction word, decoded. */
export interface DecodedWord {
  readonly word: number;
  readonly instruction: Instruction;
  readonly fields: Readonly<Record<string, number>>;
}

/** Places for words that are remembered; a power of two. */
const REMEMBERED = 4096;

/** A decoder for the instructions that a set of features has. */
export class Decoder {
  /** By bits 31 to 21. */
  readonly #buckets: readonly (Rows | undefined)[];
  /** By bits 31 to 21, then bits 15 to 10. */
  readonly #divided: readonly (readonly Rows[] | undefined)[];
  /** The word that was decoded last among those with the same hash. */
  readonly #remembered = Array.from<DecodedWord | undefined>({ length: REMEMBERED });

  constructor(instructions: readonly Instruction[], features: A64Features) {
    const rows = instructions
      .filter(({ feature }) => feature === undefined || features.has(feature))
      .toSorted((a, b) => fixedBits(b.pattern) - fixedBits(a.pattern))
      .map(instruction => ({ mask: instruction.pattern.mask, value: instruction.pattern.value, instruction }));
    const buckets = divide(rows, 21, 11);
    this.#buckets = buckets.map(bucket => (bucket.length > MAX_ROWS ? undefined : bucket));
    this.#divided = buckets.map(bucket => (bucket.length > MAX_ROWS ? divide(bucket, 10, 6) : undefined));
  }

  /** Row and fields of a word; words repeat, and taking them apart costs as much as translating them. */
  decodeFields(word: number): DecodedWord | undefined {
    const place = (word ^ (word >>> 12) ^ (word >>> 20)) & (REMEMBERED - 1);
    const known = this.#remembered[place];
    if (known?.word === word) return known;
    const instruction = this.decode(word);
    if (instruction === undefined) return undefined;
    const decoded = { word, instruction, fields: extractFields(instruction.pattern, word) };
    this.#remembered[place] = decoded;
    return decoded;
  }

  /** @returns `undefined` when the word is unallocated */
  decode(word: number): Instruction | undefined {
    const high = word >>> 21;
    const rows = this.#buckets[high] ?? this.#divided[high]![(word >>> 10) & 63]!;
    for (const row of rows) {
      if ((word & row.mask) === row.value) return row.instruction;
    }
    return undefined;
  }
}

/** Sorts rows into `2 ** width` lists by the bits from `shift` on; a row stands in every list that it may match. */
function divide(rows: Rows, shift: number, width: number): Rows[] {
  const buckets: Row[][] = Array.from({ length: 1 << width }, () => []);
  const keyMask = ((1 << width) - 1) << shift;
  for (const row of rows) {
    for (let key = 0; key < 1 << width; key++) {
      if ((((key << shift) ^ row.value) & row.mask & keyMask) === 0) buckets[key]!.push(row);
    }
  }
  return buckets;
}
