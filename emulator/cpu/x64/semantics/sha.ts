/**
 * SHA extensions, word by word, as kernels hash megabytes with them.
 *
 * Source: Intel SDM vol. 2 "SHA1RNDS4", "SHA256RNDS2" and the like; FIPS 180-4 "Secure Hash Standard".
 */
import type { Value } from '../../ir/block.ts';
import type { BlockBuilder } from '../../ir/builder.ts';
import type { InstructionSemantics } from '../instruction.ts';
import { X64_STATE } from '../state.ts';
import { immediateByte, readVector, type Vector, writeVector, zero } from './vector-operands.ts';

type Word = Value<'i32'>;
type Words = readonly [Word, Word, Word, Word];

function words(ir: BlockBuilder, vector: Vector): Words {
  return [0, 1, 2, 3].map(n => ir.lane('i32x4.extract_lane', n, vector)) as unknown as Words;
}

/** An instruction that computes four words from those of both operands. */
function computing(
  compute: (ir: BlockBuilder, a: Words, b: Words, immediate: number) => readonly Word[],
): InstructionSemantics {
  return (t, a, b, c) => {
    const { ir } = t;
    const right = words(ir, readVector(t, b));
    const results = compute(ir, words(ir, readVector(t, a)), right, c === undefined ? 0 : immediateByte(c));
    const vector = results.reduce<Vector>((so, word, n) => ir.lane('i32x4.replace_lane', n, so, word), zero(t));
    writeVector(t, a, vector);
  };
}

// Functions of FIPS 180-4

type Mix = (ir: BlockBuilder, x: Word, y: Word, z: Word) => Word;

const choose: Mix = (ir, x, y, z) => ir.xor(ir.and(ir.xor(y, z), x), z);
const majority: Mix = (ir, x, y, z) => ir.or(ir.and(x, y), ir.and(ir.or(x, y), z));
const parity: Mix = (ir, x, y, z) => ir.xor(ir.xor(x, y), z);

function sum(ir: BlockBuilder, first: Word, ...others: readonly Word[]): Word {
  return others.reduce((total, word) => ir.add(total, word), first);
}

function sigma(ir: BlockBuilder, x: Word, a: number, b: number, c: number): Word {
  return ir.xor(ir.xor(ir.rotr(x, a), ir.rotr(x, b)), ir.rotr(x, c));
}
function smallSigma(ir: BlockBuilder, x: Word, a: number, b: number, shift: number): Word {
  return ir.xor(ir.xor(ir.rotr(x, a), ir.rotr(x, b)), ir.shrU(x, shift));
}
const smallSigma0 = (ir: BlockBuilder, x: Word): Word => smallSigma(ir, x, 7, 18, 3);
const smallSigma1 = (ir: BlockBuilder, x: Word): Word => smallSigma(ir, x, 17, 19, 10);

const SHA1_FUNCTIONS = [choose, parity, majority, parity];
const SHA1_CONSTANTS = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

/** Four rounds; the highest word is a, and the first message word has e added already. */
const sha1Rounds = computing((ir, state, message, immediate) => {
  const f = SHA1_FUNCTIONS[immediate & 3]!;
  const k = ir.i32(SHA1_CONSTANTS[immediate & 3]!);
  let [d, c, b, a] = state;
  let e: Word = ir.i32(0);
  for (const w of message.toReversed()) {
    const next = sum(ir, f(ir, b, c, d), ir.rotl(a, 5), w, e, k);
    [e, d, c, b, a] = [d, c, ir.rotl(b, 30), a, next];
  }
  return [d, c, b, a];
});

/** Two rounds; the source has A, B, E, F, the destination C, D, G, H, XMM0 two words of message plus constant. */
const sha256Rounds: InstructionSemantics = (t, ...operands) => {
  const schedule = words(t.ir, t.ir.get(X64_STATE.xmm[0]!)).slice(0, 2);
  return computing((ir, cdgh, abef) => {
    let [f, e, b, a] = abef;
    let [h, g, d, c] = cdgh;
    for (const wk of schedule) {
      const t1 = sum(ir, choose(ir, e, f, g), sigma(ir, e, 6, 11, 25), wk, h);
      const t2 = ir.add(majority(ir, a, b, c), sigma(ir, a, 2, 13, 22));
      [h, g, f, e, d, c, b, a] = [g, f, e, ir.add(t1, d), c, b, a, ir.add(t1, t2)];
    }
    return [f, e, b, a];
  })(t, ...operands);
};

export const sha = {
  SHA1NEXTE: computing((ir, a, [m0, m1, m2, m3]) => [m0, m1, m2, ir.add(m3, ir.rotl(a[3], 30))]),
  SHA1MSG1: computing((ir, [w3, w2, w1, w0], [, , w5, w4]) => [
    ir.xor(w5, w3),
    ir.xor(w4, w2),
    ir.xor(w3, w1),
    ir.xor(w2, w0),
  ]),
  SHA1MSG2: computing((ir, [a0, a1, a2, a3], [w15, w14, w13]) => {
    const mix = (a: Word, w: Word): Word => ir.rotl(ir.xor(a, w), 1);
    const w16 = mix(a3, w13);
    return [mix(a0, w16), mix(a1, w15), mix(a2, w14), w16];
  }),
  SHA256RNDS2: sha256Rounds,
  SHA256MSG1: computing((ir, [w0, w1, w2, w3], [w4]) => [
    ir.add(w0, smallSigma0(ir, w1)),
    ir.add(w1, smallSigma0(ir, w2)),
    ir.add(w2, smallSigma0(ir, w3)),
    ir.add(w3, smallSigma0(ir, w4)),
  ]),
  SHA256MSG2: computing((ir, [a0, a1, a2, a3], [, , w14, w15]) => {
    const w16 = ir.add(a0, smallSigma1(ir, w14));
    const w17 = ir.add(a1, smallSigma1(ir, w15));
    return [w16, w17, ir.add(a2, smallSigma1(ir, w16)), ir.add(a3, smallSigma1(ir, w17))];
  }),
  SHA1RNDS4: sha1Rounds,
} as const satisfies Readonly<Record<string, InstructionSemantics>>;
