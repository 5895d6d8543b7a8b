/**
 * Meaning of the SHA-1, SHA-256, SHA-512 and SHA-3 instructions.
 *
 * Sources: Arm ARM DDI 0487 "SHA1C", "SHA256H", "SHA512H", "RAX1" (pseudocode "SHA256hash"); FIPS 180-4 "Functions".
 */
import type { Value } from '../../ir/block.ts';
import type { BlockBuilder } from '../../ir/builder.ts';
import type { IntType } from '../../ir/types.ts';
import type { CRYPTO_SHA1, CRYPTO_SHA256, CRYPTO_SHA3, CRYPTO_SHA512 } from '../encodings/crypto.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { fromLanes } from './fp-lanes.ts';
import { Lanes } from './vector-lanes.ts';
import { pickLanes, times, type Vector, ZERO } from './vector-permute.ts';
import { fromScalar, lane } from './vector-registers.ts';

type Word = Value<'i32'>;
type Long = Value<'i64'>;

const WORD = 2;
const LONG = 3;

function words(ir: BlockBuilder, value: Vector): [Word, Word, Word, Word] {
  return times(4, i => i).map(i => lane(ir, WORD, value, i)) as [Word, Word, Word, Word];
}

// Functions of FIPS 180-4

function choose<T extends IntType>(ir: BlockBuilder, x: Value<T>, y: Value<T>, z: Value<T>): Value<T> {
  return ir.xor(ir.and(ir.xor(y, z), x), z);
}
function parity(ir: BlockBuilder, x: Word, y: Word, z: Word): Word {
  return ir.xor(ir.xor(x, y), z);
}
function majority<T extends IntType>(ir: BlockBuilder, x: Value<T>, y: Value<T>, z: Value<T>): Value<T> {
  return ir.or(ir.and(x, y), ir.and(ir.or(x, y), z));
}
/** Exclusive or of three rotations to the right. */
function sigma<T extends IntType>(ir: BlockBuilder, x: Value<T>, a: number, b: number, c: number): Value<T> {
  return ir.xor(ir.xor(ir.rotr(x, a), ir.rotr(x, b)), ir.rotr(x, c));
}
function sum<T extends IntType>(ir: BlockBuilder, first: Value<T>, ...others: Value<T>[]): Value<T> {
  return others.reduce((total, value) => ir.add(total, value), first);
}

/** Each lane rotated to the right. */
function rotateLanes(l: Lanes, a: Vector, amount: number): Vector {
  return l.or(l.shrU(a, amount), l.shl(a, l.bits - amount));
}
/** The small sigma functions: two rotations and a shift of each lane. */
function smallSigma(l: Lanes, a: Vector, first: number, second: number, shift: number): Vector {
  return l.xor(l.xor(rotateLanes(l, a, first), rotateLanes(l, a, second)), l.shrU(a, shift));
}

interface Two {
  readonly rn: number;
  readonly rd: number;
}
interface Three extends Two {
  readonly rm: number;
}

// SHA-1

function sha1Rounds(mix: (ir: BlockBuilder, x: Word, y: Word, z: Word) => Word) {
  return (t: Translation, { rm, rn, rd }: Three): void => {
    const { ir } = t;
    let [a, b, c, d] = words(ir, t.v(rd));
    let e = lane(ir, WORD, t.v(rn), 0) as Word;
    for (const w of words(ir, t.v(rm))) {
      const next = sum(ir, e, ir.rotl(a, 5), mix(ir, b, c, d), w);
      [a, b, c, d, e] = [next, a, ir.rotl(b, 30), c, d];
    }
    t.setV(rd, fromLanes(t, WORD, [a, b, c, d]));
  };
}

export const sha1Semantics: Semantics<typeof CRYPTO_SHA1> = {
  SHA1C: sha1Rounds(choose),
  SHA1P: sha1Rounds(parity),
  SHA1M: sha1Rounds(majority),
  SHA1SU0: (t, { rm, rn, rd }) => {
    const l = new Lanes(t.ir, LONG);
    const middle = pickLanes(t.ir, LONG, [t.v(rd), t.v(rn)], [1, 2]);
    t.setV(rd, l.xor(l.xor(middle, t.v(rd)), t.v(rm)));
  },
  SHA1H: (t, { rn, rd }) => t.setV(rd, fromScalar(t.ir, WORD, t.ir.rotl(lane(t.ir, WORD, t.v(rn), 0) as Word, 30))),
  SHA1SU1: (t, { rn, rd }) => {
    const l = new Lanes(t.ir, WORD);
    const mixed = l.xor(t.v(rd), pickLanes(t.ir, WORD, [t.v(rn)], [1, 2, 3, ZERO]));
    const lowest = pickLanes(t.ir, WORD, [mixed], [ZERO, ZERO, ZERO, 0]);
    t.setV(rd, l.xor(rotateLanes(l, mixed, 31), rotateLanes(l, lowest, 30)));
  },
};

// SHA-256

/** Four rounds on the state `abcd` and `efgh`. */
function sha256Rounds(ir: BlockBuilder, abcd: Vector, efgh: Vector, schedule: Vector): [Word[], Word[]] {
  let [a, b, c, d] = words(ir, abcd);
  let [e, f, g, h] = words(ir, efgh);
  for (const w of words(ir, schedule)) {
    const t1 = sum(ir, h, sigma(ir, e, 6, 11, 25), choose(ir, e, f, g), w);
    const t2 = ir.add(sigma(ir, a, 2, 13, 22), majority(ir, a, b, c));
    [a, b, c, d, e, f, g, h] = [ir.add(t1, t2), a, b, c, ir.add(d, t1), e, f, g];
  }
  return [
    [a, b, c, d],
    [e, f, g, h],
  ];
}

export const sha256Semantics: Semantics<typeof CRYPTO_SHA256> = {
  SHA256H: (t, { rm, rn, rd }) => t.setV(rd, fromLanes(t, WORD, sha256Rounds(t.ir, t.v(rd), t.v(rn), t.v(rm))[0])),
  SHA256H2: (t, { rm, rn, rd }) => t.setV(rd, fromLanes(t, WORD, sha256Rounds(t.ir, t.v(rn), t.v(rd), t.v(rm))[1])),
  SHA256SU0: (t, { rn, rd }) => {
    const l = new Lanes(t.ir, WORD);
    const next = pickLanes(t.ir, WORD, [t.v(rd), t.v(rn)], [1, 2, 3, 4]);
    t.setV(rd, l.add(t.v(rd), smallSigma(l, next, 7, 18, 3)));
  },
  SHA256SU1: (t, { rm, rn, rd }) => {
    const { ir } = t;
    const l = new Lanes(ir, WORD);
    const base = l.add(t.v(rd), pickLanes(ir, WORD, [t.v(rn), t.v(rm)], [1, 2, 3, 4]));
    const lowInput = pickLanes(ir, WORD, [t.v(rm)], [2, 3, ZERO, ZERO]);
    const low = l.add(base, smallSigma(l, lowInput, 17, 19, 10));
    const highInput = pickLanes(ir, WORD, [low], [ZERO, ZERO, 0, 1]);
    t.setV(rd, l.add(low, smallSigma(l, highInput, 17, 19, 10)));
  },
};

// SHA-512

/** The low and the high half. */
function halves(ir: BlockBuilder, value: Vector): [low: Long, high: Long] {
  return [lane(ir, LONG, value, 0) as Long, lane(ir, LONG, value, 1) as Long];
}

export const sha512Semantics: Semantics<typeof CRYPTO_SHA512> = {
  SHA512H: (t, { rm, rn, rd }) => {
    const { ir } = t;
    const [xLow, xHigh] = halves(ir, t.v(rn));
    const [yLow, yHigh] = halves(ir, t.v(rm));
    const [wLow, wHigh] = halves(ir, t.v(rd));
    const high = sum(ir, choose(ir, yHigh, xLow, xHigh), sigma(ir, yHigh, 14, 18, 41), wHigh);
    const next = ir.add(high, yLow);
    const low = sum(ir, choose(ir, next, yHigh, xLow), sigma(ir, next, 14, 18, 41), wLow);
    t.setV(rd, fromLanes(t, LONG, [low, high]));
  },
  SHA512H2: (t, { rm, rn, rd }) => {
    const { ir } = t;
    const [xLow] = halves(ir, t.v(rn));
    const [yLow, yHigh] = halves(ir, t.v(rm));
    const [wLow, wHigh] = halves(ir, t.v(rd));
    const high = sum(ir, majority(ir, xLow, yHigh, yLow), sigma(ir, yLow, 28, 34, 39), wHigh);
    const low = sum(ir, majority(ir, high, yLow, yHigh), sigma(ir, high, 28, 34, 39), wLow);
    t.setV(rd, fromLanes(t, LONG, [low, high]));
  },
  SHA512SU0: (t, { rn, rd }) => {
    const l = new Lanes(t.ir, LONG);
    const next = pickLanes(t.ir, LONG, [t.v(rd), t.v(rn)], [1, 2]);
    t.setV(rd, l.add(t.v(rd), smallSigma(l, next, 1, 8, 7)));
  },
  SHA512SU1: (t, { rm, rn, rd }) => {
    const l = new Lanes(t.ir, LONG);
    t.setV(rd, l.add(l.add(t.v(rd), smallSigma(l, t.v(rn), 19, 61, 6)), t.v(rm)));
  },
};

// SHA-3

export const sha3Semantics: Semantics<typeof CRYPTO_SHA3> = {
  RAX1: (t, { rm, rn, rd }) => {
    const l = new Lanes(t.ir, LONG);
    t.setV(rd, l.xor(t.v(rn), rotateLanes(l, t.v(rm), 63)));
  },
  EOR3: (t, { rm, ra, rn, rd }) => {
    const l = new Lanes(t.ir, LONG);
    t.setV(rd, l.xor(l.xor(t.v(rn), t.v(rm)), t.v(ra)));
  },
  BCAX: (t, { rm, ra, rn, rd }) => {
    const l = new Lanes(t.ir, LONG);
    t.setV(rd, l.xor(t.v(rn), l.andNot(t.v(rm), t.v(ra))));
  },
  XAR: (t, { rm, imm6, rn, rd }) => {
    const l = new Lanes(t.ir, LONG);
    t.setV(rd, rotateLanes(l, l.xor(t.v(rn), t.v(rm)), imm6));
  },
};
