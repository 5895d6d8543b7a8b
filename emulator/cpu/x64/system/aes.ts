/** Rounds of AES. Source: FIPS 197 "Cipher", "Inverse Cipher"; Intel SDM vol. 2 "AESENC", "AESDEC", "AESKEYGENASSIST". */

/** Multiplies in GF(2^8) with the polynomial of AES. */
function product(a: number, b: number): number {
  let result = 0;
  let factor = a;
  for (let rest = b; rest !== 0; rest >>= 1) {
    if (rest & 1) result ^= factor;
    factor = (factor << 1) ^ (factor & 0x80 ? 0x11b : 0);
  }
  return result;
}

function inverse(value: number): number {
  for (let candidate = 1; candidate < 256; candidate++) if (product(value, candidate) === 1) return candidate;
  return 0;
}

function substitute(value: number): number {
  const i = inverse(value);
  let result = 0x63;
  for (let shift = 0; shift < 5; shift++) result ^= (i << shift) | (i >> (8 - shift));
  return result & 0xff;
}

const S_BOX = Uint8Array.from({ length: 256 }, (_, value) => substitute(value));
const INVERSE_S_BOX = Uint8Array.from({ length: 256 }, (_, value) => S_BOX.indexOf(value));

/** Byte i of the result comes from this byte: row i mod 4 moves by its number of columns. */
const SHIFT_ROWS = Array.from({ length: 16 }, (_, i) => (i + 4 * (i % 4)) % 16);
const INVERSE_SHIFT_ROWS = Array.from({ length: 16 }, (_, i) => (i + 12 * (i % 4)) % 16);

/** Products with a factor of the mixing matrix, by byte. */
const PRODUCTS: ReadonlyMap<number, Uint8Array> = new Map(
  [1, 2, 3, 9, 11, 13, 14].map(factor => [
    factor,
    Uint8Array.from({ length: 256 }, (_, value) => product(value, factor)),
  ]),
);

/** A row of the mixing matrix, as products of the four bytes of a column. */
function mixing(...factors: readonly number[]): readonly Uint8Array[] {
  return factors.map(factor => PRODUCTS.get(factor)!);
}

function mix(state: Uint8Array, [p0, p1, p2, p3]: readonly Uint8Array[]): Uint8Array {
  const mixed = new Uint8Array(16);
  for (let i = 0; i < 16; i++) {
    const column = i & ~3;
    const byte = (row: number): number => state[column + ((i + row) & 3)]!;
    mixed[i] = p0![byte(0)]! ^ p1![byte(1)]! ^ p2![byte(2)]! ^ p3![byte(3)]!;
  }
  return mixed;
}

const MIX = mixing(2, 3, 1, 1);
const INVERSE_MIX = mixing(14, 11, 13, 9);

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ b[i]!);
}

export function encryptRound(state: Uint8Array, key: Uint8Array, isLast: boolean): Uint8Array {
  const shifted = Uint8Array.from(SHIFT_ROWS, from => S_BOX[state[from]!]!);
  return xor(isLast ? shifted : mix(shifted, MIX), key);
}

export function decryptRound(state: Uint8Array, key: Uint8Array, isLast: boolean): Uint8Array {
  const shifted = Uint8Array.from(INVERSE_SHIFT_ROWS, from => INVERSE_S_BOX[state[from]!]!);
  return xor(isLast ? shifted : mix(shifted, INVERSE_MIX), key);
}

export function inverseMixColumns(state: Uint8Array): Uint8Array {
  return mix(state, INVERSE_MIX);
}

/** Words 1 and 3 substituted, and rotated with the round constant. */
export function keyGenerationAssist(source: Uint8Array, constant: number): Uint8Array {
  const word = (at: number): number[] => [0, 1, 2, 3].map(i => S_BOX[source[at + i]!]!);
  const rotated = ([a, b, c, d]: number[]): number[] => [b! ^ constant, c!, d!, a!];
  return Uint8Array.from([...word(4), ...rotated(word(4)), ...word(12), ...rotated(word(12))]);
}
