/**
 * An LZO1X compressor for single pages.
 *
 * Source: `Documentation/staging/lzo.rst` (Linux v6.12) "LZO stream format as understood by Linux's LZO decompressor".
 * Greedy matching over a hash of four bytes; the longer nothing matches, the larger the steps.
 */
import { copyBytes, Window } from './matching.ts';
import type { BlockCompress } from './matching.ts';

const HASH_BITS = 12;
const HASH_MULTIPLIER = 0x9e37_79b1;
/** Literals at the end that are not searched: a four-byte read must stay inside. */
const MATCH_LIMIT = 8;
const M2_MAX_LENGTH = 8;
const M2_MAX_DISTANCE = 0x800;
const M3_MAX_LENGTH = 33;
const M3_MAX_DISTANCE = 0x4000;
const M4_MAX_LENGTH = 9;
const M4_MAX_DISTANCE = 0xbfff;
const M3_MARKER = 32;
const M4_MARKER = 16;

/** Makes a compressor with its own tables, for blocks of at most 65,536 bytes. */
export function lzo1xCompressor(): BlockCompress {
  const table = new Uint16Array(1 << HASH_BITS);
  const window = new Window();
  return (input, output) => {
    window.load(input);
    const size = input.length;
    const searchEnd = size - MATCH_LIMIT;
    let literals = 0;
    let out = 0;
    table.fill(0);
    for (let position = 1; position < searchEnd;) {
      const word = window.four(position);
      const slot = Math.imul(word, HASH_MULTIPLIER) >>> (32 - HASH_BITS);
      const candidate = table[slot]!;
      table[slot] = position;
      const distance = position - candidate;
      if (distance > M4_MAX_DISTANCE || window.four(candidate) !== word) {
        position += 1 + ((position - literals) >> 5);
        continue;
      }
      const length = window.matchLength(position, candidate);
      out = writeLiterals(input, literals, position, output, out);
      out = writeMatch(distance, length, output, out);
      position += length;
      literals = position;
    }
    out = writeLiterals(input, literals, size, output, out);
    output[out] = M4_MARKER | 1;
    output[out + 1] = 0;
    output[out + 2] = 0;
    return out + 3;
  };
}

/** Writes what no match covers: up to three bytes hide in the low bits of the match before them. */
function writeLiterals(input: Uint8Array, from: number, to: number, output: Uint8Array, start: number): number {
  const count = to - from;
  let out = start;
  if (count === 0) return out;
  if (out === 0 && count <= 238) output[out++] = 17 + count;
  else if (count <= 3) output[out - 2]! |= count;
  else if (count <= 18) output[out++] = count - 3;
  else {
    output[out++] = 0;
    out = writeRun(count - 18, output, out);
  }
  return copyBytes(input, from, to, output, out);
}

/** Writes one match in the shortest of the forms M2, M3 and M4. */
function writeMatch(distance: number, length: number, output: Uint8Array, start: number): number {
  let out = start;
  if (length <= M2_MAX_LENGTH && distance <= M2_MAX_DISTANCE) {
    output[out] = ((length - 1) << 5) | (((distance - 1) & 7) << 2);
    output[out + 1] = (distance - 1) >> 3;
    return out + 2;
  }
  const far = distance > M3_MAX_DISTANCE;
  const maxLength = far ? M4_MAX_LENGTH : M3_MAX_LENGTH;
  const stored = far ? distance - M3_MAX_DISTANCE : distance - 1;
  const marker = far ? M4_MARKER | ((stored >> 11) & 8) : M3_MARKER;
  output[out++] = length <= maxLength ? marker | (length - 2) : marker;
  if (length > maxLength) out = writeRun(length - maxLength, output, out);
  output[out] = (stored << 2) & 0xff;
  output[out + 1] = (stored >> 6) & 0xff;
  return out + 2;
}

/** Writes the rest of a length: a zero byte for each full 255, then 1 to 255. */
function writeRun(rest: number, output: Uint8Array, start: number): number {
  let out = start;
  let left = rest;
  for (; left > 255; left -= 255) output[out++] = 0;
  output[out++] = left;
  return out;
}
