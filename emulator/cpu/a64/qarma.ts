/**
 * QARMA5, the block cipher of pointer authentication codes.
 *
 * A word is 16 cells of four bits, cell 0 lowest. Source: Arm ARM DDI 0487, pseudocode `ComputePAC`, `PACCellShuffle`, `PACMult`,
 * `PACSub`, `TweakShuffle` and their inverses.
 */

/** A key of two 64-bit halves, as the APxKeyHi and APxKeyLo registers hold it. */
export interface PacKey {
  readonly high: bigint;
  readonly low: bigint;
}

type Cells = Uint8Array;

const CELLS = 16;
const LAST_ROUND = 4;
/** `RC` and `Alpha`: digits of pi. */
const ROUND_CONSTANTS = [
  0n,
  0x1319_8a2e_0370_7344n,
  0xa409_3822_299f_31d0n,
  0x082e_fa98_ec4e_6c89n,
  0x4528_21e6_38d0_1377n,
].map(cellsOf);
const ALPHA = cellsOf(0xc0ac_29b7_c97c_50ddn);

/** Where each cell comes from. */
const SHUFFLE = [13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15];
const INVERSE_SHUFFLE = inverseOf(SHUFFLE);
const SUBSTITUTION = [11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10];
const INVERSE_SUBSTITUTION = inverseOf(SUBSTITUTION);

/** Where each cell of the tweak comes from; those of `TWEAK_ROTATED` go through a shift register on the way. */
const TWEAK_SHUFFLE = [4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9];
const INVERSE_TWEAK_SHUFFLE = inverseOf(TWEAK_SHUFFLE);
const TWEAK_ROTATED = [2, 4, 7, 11, 12, 14, 15];
const TWEAK_ROTATION = Array.from({ length: 16 }, (_, cell) => (cell >> 1) | (((cell ^ (cell >> 1)) & 1) << 3));
const INVERSE_TWEAK_ROTATION = inverseOf(TWEAK_ROTATION);

/** `RotCell` by one and by two. */
const ROTATED_1 = Array.from({ length: 16 }, (_, cell) => ((cell << 1) | (cell >> 3)) & 15);
const ROTATED_2 = Array.from({ length: 16 }, (_, cell) => ((cell << 2) | (cell >> 2)) & 15);

function inverseOf(permutation: readonly number[]): number[] {
  const inverse: number[] = [];
  permutation.forEach((from, to) => (inverse[from] = to));
  return inverse;
}

function cellsOf(word: bigint): Cells {
  const cells = new Uint8Array(CELLS);
  const low = Number(word & 0xffff_ffffn);
  const high = Number(word >> 32n);
  for (let i = 0; i < 8; i++) {
    cells[i] = (low >>> (4 * i)) & 15;
    cells[i + 8] = (high >>> (4 * i)) & 15;
  }
  return cells;
}

function wordOf(cells: Cells): bigint {
  let low = 0;
  let high = 0;
  for (let i = 0; i < 8; i++) {
    low |= cells[i]! << (4 * i);
    high |= cells[i + 8]! << (4 * i);
  }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

function addTo(cells: Cells, other: Cells): void {
  for (let i = 0; i < CELLS; i++) cells[i]! ^= other[i]!;
}

function shuffle(cells: Cells, from: readonly number[]): Cells {
  const result = new Uint8Array(CELLS);
  for (let i = 0; i < CELLS; i++) result[i] = cells[from[i]!]!;
  return result;
}

function substitute(cells: Cells, table: readonly number[]): void {
  for (let i = 0; i < CELLS; i++) cells[i] = table[cells[i]!]!;
}

/** Multiplies each column of four cells by a matrix; it is its own inverse. */
function multiply(cells: Cells): void {
  for (let i = 0; i < 4; i++) {
    const [a, b, c, d] = [cells[i]!, cells[i + 4]!, cells[i + 8]!, cells[i + 12]!];
    cells[i + 12] = ROTATED_1[c]! ^ ROTATED_2[b]! ^ ROTATED_1[a]!;
    cells[i + 8] = ROTATED_1[d]! ^ ROTATED_1[b]! ^ ROTATED_2[a]!;
    cells[i + 4] = ROTATED_2[d]! ^ ROTATED_1[c]! ^ ROTATED_1[a]!;
    cells[i] = ROTATED_1[d]! ^ ROTATED_2[c]! ^ ROTATED_1[b]!;
  }
}

function nextTweak(tweak: Cells): Cells {
  const result = shuffle(tweak, TWEAK_SHUFFLE);
  for (const i of TWEAK_ROTATED) result[i] = TWEAK_ROTATION[result[i]!]!;
  return result;
}

function previousTweak(tweak: Cells): Cells {
  const turned = tweak.slice();
  for (const i of TWEAK_ROTATED) turned[i] = INVERSE_TWEAK_ROTATION[turned[i]!]!;
  return shuffle(turned, INVERSE_TWEAK_SHUFFLE);
}

/** Encrypts `data` with a tweak. All words are 64 bits. */
export function qarma5(data: bigint, tweak: bigint, { high, low }: PacKey): bigint {
  const key0 = cellsOf(high);
  const key1 = cellsOf(low);
  const lastKey = cellsOf(
    BigInt.asUintN(64, (high << 63n) | ((high >> 2n) << 1n) | ((high >> 63n) ^ ((high >> 1n) & 1n))),
  );
  let running = cellsOf(tweak);
  let work = cellsOf(data ^ high);
  for (let round = 0; round <= LAST_ROUND; round++) {
    for (const part of [key1, running, ROUND_CONSTANTS[round]!]) addTo(work, part);
    if (round > 0) {
      work = shuffle(work, SHUFFLE);
      multiply(work);
    }
    substitute(work, SUBSTITUTION);
    running = nextTweak(running);
  }
  work = reflect(work, lastKey, running, key0, key1);
  for (let round = LAST_ROUND; round >= 0; round--) {
    substitute(work, INVERSE_SUBSTITUTION);
    if (round > 0) {
      multiply(work);
      work = shuffle(work, INVERSE_SHUFFLE);
    }
    running = previousTweak(running);
    for (const part of [key1, running, ROUND_CONSTANTS[round]!, ALPHA]) addTo(work, part);
  }
  addTo(work, lastKey);
  return wordOf(work);
}

/** The middle of the cipher, between the forward and the backward rounds. */
function reflect(start: Cells, lastKey: Cells, tweak: Cells, key0: Cells, key1: Cells): Cells {
  let work = start;
  addTo(work, lastKey);
  addTo(work, tweak);
  work = shuffle(work, SHUFFLE);
  multiply(work);
  substitute(work, SUBSTITUTION);
  work = shuffle(work, SHUFFLE);
  multiply(work);
  addTo(work, key1);
  work = shuffle(work, INVERSE_SHUFFLE);
  substitute(work, INVERSE_SUBSTITUTION);
  multiply(work);
  work = shuffle(work, INVERSE_SHUFFLE);
  addTo(work, key0);
  addTo(work, tweak);
  return work;
}
