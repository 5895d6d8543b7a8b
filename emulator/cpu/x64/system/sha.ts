/** SHA extensions. Source: FIPS 180-4 "Secure Hash Standard"; Intel SDM vol. 2 "SHA1RNDS4", "SHA256RNDS2" and the like. */
import type { VectorOperands } from './vector-operations.ts';

type Words = readonly [number, number, number, number];

function words(bytes: Uint8Array): Words {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [0, 4, 8, 12].map(at => view.getUint32(at, true)) as unknown as Words;
}

function bytes(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values, value => value >>> 0).buffer);
}

const rotl = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
const rotr = (value: number, by: number): number => rotl(value, 32 - by);

const choose = (x: number, y: number, z: number): number => (x & y) ^ (~x & z);
const majority = (x: number, y: number, z: number): number => (x & y) ^ (x & z) ^ (y & z);
const parity = (x: number, y: number, z: number): number => x ^ y ^ z;

const SHA1_FUNCTIONS = [choose, parity, majority, parity];
const SHA1_CONSTANTS = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

/** Four rounds; the highest word is a, and the first message word has e added already. */
function sha1Rounds({ a, b, immediate }: VectorOperands): Uint8Array {
  const f = SHA1_FUNCTIONS[immediate & 3]!;
  const k = SHA1_CONSTANTS[immediate & 3]!;
  const message = words(b).toReversed();
  let [D, C, B, A] = words(a) as [number, number, number, number];
  let E = 0;
  for (let round = 0; round < 4; round++) {
    const next = (f(B, C, D) + rotl(A, 5) + message[round]! + E + k) | 0;
    [E, D, C, B, A] = [D, C, rotl(B, 30), A, next];
  }
  return bytes(D, C, B, A);
}

function sha1Next({ a, b }: VectorOperands): Uint8Array {
  const [m0, m1, m2, m3] = words(b);
  return bytes(m0, m1, m2, m3 + rotl(words(a)[3], 30));
}

function sha1Message1({ a, b }: VectorOperands): Uint8Array {
  const [w3, w2, w1, w0] = words(a);
  const [, , w5, w4] = words(b);
  return bytes(w5 ^ w3, w4 ^ w2, w3 ^ w1, w2 ^ w0);
}

function sha1Message2({ a, b }: VectorOperands): Uint8Array {
  const [a0, a1, a2, a3] = words(a);
  const [w15, w14, w13] = words(b);
  const w16 = rotl(a3 ^ w13, 1);
  const w17 = rotl(a2 ^ w14, 1);
  const w18 = rotl(a1 ^ w15, 1);
  return bytes(rotl(a0 ^ w16, 1), w18, w17, w16);
}

const bigSigma0 = (x: number): number => rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22);
const bigSigma1 = (x: number): number => rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25);
const smallSigma0 = (x: number): number => rotr(x, 7) ^ rotr(x, 18) ^ (x >>> 3);
const smallSigma1 = (x: number): number => rotr(x, 17) ^ rotr(x, 19) ^ (x >>> 10);

/** Two rounds; the source has A, B, E, F, the destination C, D, G, H, XMM0 two words of message plus constant. */
function sha256Rounds({ a, b, xmm0 }: VectorOperands): Uint8Array {
  let [F, E, B, A] = words(b) as [number, number, number, number];
  let [H, G, D, C] = words(a) as [number, number, number, number];
  for (const wk of words(xmm0).slice(0, 2)) {
    const t = (choose(E, F, G) + bigSigma1(E) + wk + H) | 0;
    const next = (t + majority(A, B, C) + bigSigma0(A)) | 0;
    [H, G, F, E, D, C, B, A] = [G, F, E, (t + D) | 0, C, B, A, next];
  }
  return bytes(F, E, B, A);
}

function sha256Message1({ a, b }: VectorOperands): Uint8Array {
  const [w0, w1, w2, w3] = words(a);
  const w4 = words(b)[0];
  return bytes(w0 + smallSigma0(w1), w1 + smallSigma0(w2), w2 + smallSigma0(w3), w3 + smallSigma0(w4));
}

function sha256Message2({ a, b }: VectorOperands): Uint8Array {
  const [a0, a1, a2, a3] = words(a);
  const [, , w14, w15] = words(b);
  const w16 = a0 + smallSigma1(w14);
  const w17 = a1 + smallSigma1(w15);
  return bytes(w16, w17, a2 + smallSigma1(w16 | 0), a3 + smallSigma1(w17 | 0));
}

export const SHA_OPERATIONS: Readonly<Record<string, (operands: VectorOperands) => Uint8Array>> = {
  SHA1RNDS4: sha1Rounds,
  SHA1NEXTE: sha1Next,
  SHA1MSG1: sha1Message1,
  SHA1MSG2: sha1Message2,
  SHA256RNDS2: sha256Rounds,
  SHA256MSG1: sha256Message1,
  SHA256MSG2: sha256Message2,
};
