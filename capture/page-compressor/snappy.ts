/**
 * A Snappy compressor for single pages.
 *
 * Source: Snappy "format_description.txt": a length, then literals and copies with offsets of 11 or 16 bits.
 */
import { copyBytes, Window } from './matching.ts';
import type { BlockCompress } from './matching.ts';

const HASH_BITS = 12;
const HASH_MULTIPLIER = 0x1e35_a7bd;
const MATCH_LIMIT = 8;
const LITERAL = 0;
const COPY_1 = 1;
const COPY_2 = 2;
const MAX_COPY = 64;

/** Makes a compressor with its own tables, for blocks of at most 65,536 bytes. */
export function snappyCompressor(): BlockCompress {
  const table = new Uint16Array(1 << HASH_BITS);
  const window = new Window();
  return (input, output) => {
    window.load(input);
    const size = input.length;
    const searchEnd = size - MATCH_LIMIT;
    let literals = 0;
    let out = writeLength(size, output);
    table.fill(0);
    for (let position = 1; position < searchEnd;) {
      const word = window.four(position);
      const slot = Math.imul(word, HASH_MULTIPLIER) >>> (32 - HASH_BITS);
      const candidate = table[slot]!;
      table[slot] = position;
      if (window.four(candidate) !== word) {
        position += 1 + ((position - literals) >> 5);
        continue;
      }
      const length = window.matchLength(position, candidate);
      out = writeLiterals(input, literals, position, output, out);
      out = writeCopy(position - candidate, length, output, out);
      position += length;
      literals = position;
    }
    return writeLiterals(input, literals, size, output, out);
  };
}

function writeLength(size: number, output: Uint8Array): number {
  let out = 0;
  let rest = size;
  for (; rest >= 0x80; rest >>>= 7) output[out++] = (rest & 0x7f) | 0x80;
  output[out++] = rest;
  return out;
}

function writeLiterals(input: Uint8Array, from: number, to: number, output: Uint8Array, start: number): number {
  const count = to - from;
  let out = start;
  if (count === 0) return out;
  if (count <= 60) output[out++] = LITERAL | ((count - 1) << 2);
  else if (count <= 256) {
    output[out++] = LITERAL | (60 << 2);
    output[out++] = count - 1;
  } else {
    output[out++] = LITERAL | (61 << 2);
    output[out++] = (count - 1) & 0xff;
    output[out++] = (count - 1) >> 8;
  }
  return copyBytes(input, from, to, output, out);
}

function writeCopy(distance: number, length: number, output: Uint8Array, start: number): number {
  let out = start;
  let rest = length;
  for (; rest >= MAX_COPY + 4; rest -= MAX_COPY) out = writeCopy2(distance, MAX_COPY, output, out);
  if (rest > MAX_COPY) {
    out = writeCopy2(distance, MAX_COPY - 4, output, out);
    rest -= MAX_COPY - 4;
  }
  if (rest >= 12 || distance >= 2048) return writeCopy2(distance, rest, output, out);
  output[out] = COPY_1 | ((rest - 4) << 2) | ((distance >> 8) << 5);
  output[out + 1] = distance & 0xff;
  return out + 2;
}

function writeCopy2(distance: number, length: number, output: Uint8Array, out: number): number {
  output[out] = COPY_2 | ((length - 1) << 2);
  output[out + 1] = distance & 0xff;
  output[out + 2] = distance >> 8;
  return out + 3;
}
