/**
 * The notation of encodings: one string per encoding, the manual's bit diagram from bit 31 down to bit 0.
 *
 * Tokens are separated by single spaces: `0` and `1` are fixed bits, `x` is a bit that is ignored ("should be" bits, printed in
 * brackets in the manual), `name:width` is a field. Example: `'sf:1 0 0 100010 sh:1 imm12:12 rn:5 rd:5'`.
 */
import { assert } from '../../../../capture/formats/errors.ts';

type FieldName<Token extends string> = Token extends `${infer Name}:${number}` ? Name : never;

type FieldNames<Pattern extends string> = Pattern extends `${infer Head} ${infer Rest}`
  ? FieldName<Head> | FieldNames<Rest>
  : FieldName<Pattern>;

/** The fields of an encoding by name, as unsigned numbers. */
export type Fields<Pattern extends string> = { readonly [Name in FieldNames<Pattern>]: number };

/** Where a field stands in the instruction word. */
export interface FieldPosition {
  readonly name: string;
  /** Bit number of its lowest bit. */
  readonly shift: number;
  readonly width: number;
}

/** An encoding, parsed: a word belongs to it when `(word & mask) === value`; both are signed 32-bit numbers. */
export interface Pattern {
  readonly mask: number;
  readonly value: number;
  readonly fields: readonly FieldPosition[];
}

/** Reads the notation. */
export function parsePattern(text: string): Pattern {
  const fields: FieldPosition[] = [];
  let mask = 0;
  let value = 0;
  let bit = 32;
  for (const token of text.split(' ')) {
    const field = /^([a-zA-Z]\w*):(\d+)$/.exec(token);
    if (field) {
      const width = Number(field[2]);
      bit -= width;
      fields.push({ name: field[1]!, shift: bit, width });
      continue;
    }
    assert(/^[01x]+$/.test(token), `encoding "${text}": "${token}" is neither bits nor a field`);
    for (const digit of token) {
      bit--;
      if (digit !== 'x') mask |= 1 << bit;
      if (digit === '1') value |= 1 << bit;
    }
  }
  assert(bit === 0, `encoding "${text}" has ${32 - bit} bits, not 32`);
  return { mask, value, fields };
}

/** Takes the fields out of an instruction word. */
export function extractFields(pattern: Pattern, word: number): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const { name, shift, width } of pattern.fields) fields[name] = (word >>> shift) & ((1 << width) - 1);
  return fields;
}

/** Some instruction word belongs to both encodings. */
export function overlap(a: Pattern, b: Pattern): boolean {
  return ((a.value ^ b.value) & a.mask & b.mask) === 0;
}

/** Number of fixed bits. */
export function fixedBits(pattern: Pattern): number {
  let count = 0;
  for (let rest = pattern.mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
