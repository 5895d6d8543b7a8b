/**
 * QARMA5, the block cipher of pointer authentication codes.
 *
 * A word is 16 cells of four bits, cell 0 lowest; here it is two 32-bit halves, low first. Every step that maps cell to cell works by
 * tables of bytes, so that a code takes less than a microsecond.
 * Source: Arm ARM DDI 0487, pseudocode `ComputePAC`, `PACCellShuffle`, `PACMult`, `PACSub`, `TweakShuffle` and their inverses.
 */

/** A key of two 64-bit halves, as the APxKeyHi and APxKeyLo registers hold it. */
export interface PacKey {
  readonly high: bigint;
  readonly low: bigint;
}

/** Low and high half of a 64-bit word. */
type Word = Int32Array;

const CELLS = 16;
const LAST_ROUND = 4;

function toWord(value: bigint): Word {
  return Int32Array.of(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
}

function toBigInt(word: Word): bigint {
  return (BigInt(word[1]! >>> 0) << 32n) | BigInt(word[0]! >>> 0);
}

function add(word: Word, other: Word): void {
  word[0]! ^= other[0]!;
  word[1]! ^= other[1]!;
}

/** Moves each cell to another place, and changes its value on the way. */
class CellMap {
  /** By byte number and value of the byte: what its two cells become. */
  readonly #low = new Int32Array(8 * 256);
  readonly #high = new Int32Array(8 * 256);

  /**
   * @param from for each cell of the result, the cell that it comes from
   * @param change the new value of a cell, by its value and its place in the result
   */
  constructor(from: readonly number[], change: (value: number, to: number) => number) {
    for (let byte = 0; byte < 8; byte++) {
      for (let value = 0; value < 256; value++) {
        this.#place(byte * 256 + value, from.indexOf(2 * byte), value & 15, change);
        this.#place(byte * 256 + value, from.indexOf(2 * byte + 1), value >> 4, change);
      }
    }
  }

  #place(index: number, to: number, value: number, change: (value: number, to: number) => number): void {
    const table = to < 8 ? this.#low : this.#high;
    table[index]! |= change(value, to) << (4 * (to & 7));
  }

  apply(word: Word): void {
    let low = 0;
    let high = 0;
    for (let byte = 0; byte < 8; byte++) {
      const index = byte * 256 + ((word[byte >> 2]! >>> (8 * (byte & 3))) & 255);
      low |= this.#low[index]!;
      high |= this.#high[index]!;
    }
    word[0] = low;
    word[1] = high;
  }
}

function inverseOf(permutation: readonly number[]): number[] {
  return permutation.map((_, value) => permutation.indexOf(value));
}

const IN_PLACE = Array.from({ length: CELLS }, (_, i) => i);
const unchanged = (value: number): number => value;

const CELL_SHUFFLE = [13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15];
const shuffle = new CellMap(CELL_SHUFFLE, unchanged);
const unshuffle = new CellMap(inverseOf(CELL_SHUFFLE), unchanged);

const SUBSTITUTION = [11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10];
const substitute = new CellMap(IN_PLACE, value => SUBSTITUTION[value]!);
const unsubstitute = new CellMap(IN_PLACE, value => SUBSTITUTION.indexOf(value));

const TWEAK_SHUFFLE = [4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9];
/** Cells of the result that go through a shift register on the way. */
const TWEAK_ROTATED: ReadonlySet<number> = new Set([2, 4, 7, 11, 12, 14, 15]);
const TWEAK_ROTATION = IN_PLACE.map(cell => (cell >> 1) | (((cell ^ (cell >> 1)) & 1) << 3));
const nextTweak = new CellMap(TWEAK_SHUFFLE, (value, to) => (TWEAK_ROTATED.has(to) ? TWEAK_ROTATION[value]! : value));
const previousTweak = new CellMap(inverseOf(TWEAK_SHUFFLE), (value, to) =>
  TWEAK_ROTATED.has(TWEAK_SHUFFLE.indexOf(to)) ? TWEAK_ROTATION.indexOf(value) : value,
);

/** `RotCell` by one and by two, on the four cells of a row. */
const rotated1 = (row: number): number => ((row << 1) & 0xeeee) | ((row >>> 3) & 0x1111);
const rotated2 = (row: number): number => ((row << 2) & 0xcccc) | ((row >>> 2) & 0x3333);

/** Multiplies each column of four cells by a matrix, which is its own inverse. */
function multiply(word: Word): void {
  const [low, high] = [word[0]!, word[1]!];
  const [a, b, c, d] = [low & 0xffff, low >>> 16, high & 0xffff, high >>> 16];
  const row0 = rotated1(d) ^ rotated2(c) ^ rotated1(b);
  const row1 = rotated2(d) ^ rotated1(c) ^ rotated1(a);
  const row2 = rotated1(d) ^ rotated1(b) ^ rotated2(a);
  const row3 = rotated1(c) ^ rotated2(b) ^ rotated1(a);
  word[0] = row0 | (row1 << 16);
  word[1] = row2 | (row3 << 16);
}

/** `RC` and `Alpha`: digits of pi. */
const ROUND_CONSTANTS = [
  0n,
  0x1319_8a2e_0370_7344n,
  0xa409_3822_299f_31d0n,
  0x082e_fa98_ec4e_6c89n,
  0x4528_21e6_38d0_1377n,
].map(toWord);
const ALPHA = toWord(0xc0ac_29b7_c97c_50ddn);

/** `modk0`: the first key, rotated right by one bit, with its top bit added to its lowest. */
function lastKeyOf(high: bigint): Word {
  const rotated = (high << 63n) | (high >> 1n);
  return toWord(BigInt.asUintN(64, rotated ^ (high >> 63n)));
}

interface KeySchedule {
  readonly key0: Word;
  readonly key1: Word;
  readonly lastKey: Word;
}

const schedules = new WeakMap<PacKey, KeySchedule>();

function scheduleOf(key: PacKey): KeySchedule {
  const known = schedules.get(key);
  if (known) return known;
  const schedule = { key0: toWord(key.high), key1: toWord(key.low), lastKey: lastKeyOf(key.high) };
  schedules.set(key, schedule);
  return schedule;
}

/** Encrypts `data` with a tweak. All words are 64 bits. */
export function qarma5(data: bigint, tweak: bigint, key: PacKey): bigint {
  const { key0, key1, lastKey } = scheduleOf(key);
  const running = toWord(tweak);
  const work = toWord(data);
  add(work, key0);
  for (let round = 0; round <= LAST_ROUND; round++) {
    add(work, key1);
    add(work, running);
    add(work, ROUND_CONSTANTS[round]!);
    if (round > 0) {
      shuffle.apply(work);
      multiply(work);
    }
    substitute.apply(work);
    nextTweak.apply(running);
  }
  add(work, lastKey);
  reflect(work, running, key0, key1);
  for (let round = LAST_ROUND; round >= 0; round--) {
    unsubstitute.apply(work);
    if (round > 0) {
      multiply(work);
      unshuffle.apply(work);
    }
    previousTweak.apply(running);
    add(work, key1);
    add(work, running);
    add(work, ROUND_CONSTANTS[round]!);
    add(work, ALPHA);
  }
  add(work, lastKey);
  return toBigInt(work);
}

/** The middle of the cipher, between the forward and the backward rounds. */
function reflect(work: Word, tweak: Word, key0: Word, key1: Word): void {
  add(work, tweak);
  shuffle.apply(work);
  multiply(work);
  substitute.apply(work);
  shuffle.apply(work);
  multiply(work);
  add(work, key1);
  unshuffle.apply(work);
  unsubstitute.apply(work);
  multiply(work);
  unshuffle.apply(work);
  add(work, key0);
  add(work, tweak);
}
