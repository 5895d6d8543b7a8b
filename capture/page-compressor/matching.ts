/** What compressors of the Lempel-Ziv family share: comparing, and copying what nothing matches. */

/** Compresses a block into an output that has room for an incompressible one; returns the number of bytes. */
export type BlockCompress = (input: Uint8Array, output: Uint8Array) => number;

/** Up to so many bytes a loop is faster than `set`. */
const SHORT_COPY = 16;

/** Four bytes as one integer, to hash and to compare them; faster here than a DataView made for each block. */
export function fourBytes(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** How many bytes from two places are the same, of which four are known to be. @param candidate the earlier place */
export function matchLength(input: Uint8Array, position: number, candidate: number): number {
  let length = 4;
  while (position + length < input.length && input[position + length] === input[candidate + length]) length++;
  return length;
}

/** Copies `[from, to)` of the input. @returns where the output goes on */
export function copyBytes(input: Uint8Array, from: number, to: number, output: Uint8Array, start: number): number {
  if (to - from > SHORT_COPY) {
    output.set(input.subarray(from, to), start);
    return start + to - from;
  }
  let out = start;
  for (let index = from; index < to; index++) output[out++] = input[index]!;
  return out;
}
