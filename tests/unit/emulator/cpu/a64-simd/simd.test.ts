/** Vector and cryptographic instructions by published examples, and what Unicorn cannot judge. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';

import { FPSR } from '../../../../../emulator/cpu/a64/fp-control.ts';
import { SIMD_INSTRUCTIONS } from '../../../../../emulator/cpu/a64/simd-instructions.ts';
import { translateBlock } from '../../../../../emulator/cpu/a64/translate-block.ts';
import { EC, raiseException } from '../../../../../emulator/cpu/a64/translation.ts';
import { CASE_MEMORY, REGISTER } from '../../../../support/a64-cases.ts';
import { ALL_FEATURES, evaluatorDriver } from '../../../../support/a64-drivers.ts';
import { randomWord } from '../../../../support/a64-words.ts';
import { Random } from '../../../../support/random.ts';

const driver = evaluatorDriver();

/** Vector registers by number, each as 32 hexadecimal digits, highest byte first. */
type Vectors = Readonly<Record<number, string>>;

interface Result {
  readonly v: (n: number) => string;
  readonly fpsr: number;
}

/** Runs instructions on vector registers. */
function run(words: readonly number[], vectors: Vectors, fpcr = 0): Result {
  const registers = new BigUint64Array(REGISTER.count);
  registers[REGISTER.fpcr] = BigInt(fpcr);
  for (const [n, digits] of Object.entries(vectors)) {
    const value = BigInt(`0x${digits}`);
    registers[REGISTER.v + 2 * Number(n)] = BigInt.asUintN(64, value);
    registers[REGISTER.v + 2 * Number(n) + 1] = value >> 64n;
  }
  const result = driver.run({ words: words.map(word => word | 0), rows: [], registers }, CASE_MEMORY.code);
  expect(result.outcome).toBe('done');
  const half = (at: number): string => result.registers[REGISTER.v + at]!.toString(16).padStart(16, '0');
  return { v: n => half(2 * n + 1) + half(2 * n), fpsr: Number(result.registers[REGISTER.fpsr]) };
}

/** Bytes in the order of memory as 32 digits, highest first. */
const reversed = (digits: string): string => Buffer.from(digits, 'hex').reverse().toString('hex');
const words = (...values: number[]): string =>
  values
    .toReversed()
    .map(value => (value >>> 0).toString(16).padStart(8, '0'))
    .join('');

/** Instruction words with operands: Vd, Vn, Vm. */
const three = (base: number) => (d: number, n: number, m: number) => base | (m << 16) | (n << 5) | d;
const two = (base: number) => (d: number, n: number) => base | (n << 5) | d;

describe('vector instructions', () => {
  test('trap, every row, while CPACR_EL1.FPEN says so', () => {
    const random = new Random(1);
    const mode = {
      exceptionLevel: 0,
      simdTrapped: true,
      stepping: false,
      guarded: false,
      cacheMaintenanceTrapped: false,
      handlerStack: false,
      breakpoints: false,
      alignmentChecked: false,
      stackChecked: false,
    } as const;
    const code = new DataView(new ArrayBuffer(4096));
    for (const row of SIMD_INSTRUCTIONS) {
      code.setInt32(0, randomWord(random, row), true);
      const { values, instructions } = translateBlock(code, 0, mode, ALL_FEATURES);
      const call = values.at(-1)!;
      expect([row.name, instructions.length, call.immediate]).toEqual([row.name, 1, raiseException]);
      expect(call.args[0]!.immediate).toBe(EC.SIMD_TRAPPED);
      expect(call.args[1]!.immediate).toBe(0x1e0_0000);
    }
  });

  test('FCVTZS to a half-precision fixed-point number clears the bits above it', () => {
    const fcvtzs = 0x5f1f_fc20; // FCVTZS H0, H1, #1
    const minusOne = 'ffffffffffffffffffffffffffffbc00';
    expect(run([fcvtzs], { 0: 'f'.repeat(32), 1: minusOne }).v(0)).toBe('0000000000000000000000000000fffe');
  });

  test('a saturating addition that fits leaves FPSR.QC alone, one that does not sets it', () => {
    const sqadd = three(0x4e20_0c00)(0, 1, 2); // SQADD V0.16B, V1.16B, V2.16B
    const one = '01'.repeat(16);
    expect(run([sqadd], { 1: one, 2: one }).fpsr).toBe(0);
    const result = run([sqadd], { 1: one, 2: '7f' + '00'.repeat(15) });
    expect(result.fpsr).toBe(FPSR.QC);
    expect(result.v(0)).toBe('7f' + '01'.repeat(15));
  });

  test('a saturation in the unused half of a 64-bit vector does not set FPSR.QC', () => {
    const sqadd = three(0x0e20_0c00)(0, 1, 2); // SQADD V0.8B, V1.8B, V2.8B
    expect(run([sqadd], { 1: '7f'.repeat(8) + '00'.repeat(8), 2: '7f'.repeat(16) })).toMatchObject({ fpsr: 0 });
  });
});

describe('vector loads that fault behind their first bytes', () => {
  test.each([
    ['LDP (post-index)', 0xacc1_0760], // LDP Q0, Q1, [X27], #32
    ['LD4 (multiple structures, post-index)', 0x4cdf_0f60], // LD4 {V0.2D-V3.2D}, [X27], #64
    ['LD2 (single structure, post-index)', 0x0dff_8760], // LD2 {V0.D, V1.D}[0], [X27], #16
  ])('%s leaves base and destinations as they were', (_name, word) => {
    const registers = new BigUint64Array(REGISTER.count);
    registers[27] = BigInt(CASE_MEMORY.size - 8);
    if (word !== 0x0dff_8760) registers[27] = BigInt(CASE_MEMORY.size - 16);
    registers.fill(0x1234n, REGISTER.v);
    const result = driver.run({ words: [word | 0], rows: [], registers }, CASE_MEMORY.code);
    expect(result.outcome).toBe('memory fault');
    expect(result.registers[27]).toBe(registers[27]);
    expect(result.registers.subarray(REGISTER.v)).toEqual(registers.subarray(REGISTER.v));
  });
});

/** FIPS 197 "Cipher Example", round 1. */
describe('AES instructions', () => {
  const start = '193de3bea0f4e22b9ac68d2ae9f84808';
  const afterShiftRows = 'd4bf5d30e0b452aeb84111f11e2798e5';
  const afterMixColumns = '046681e5e0cb199a48f8d37a2806264c';
  const zero = '0'.repeat(32);

  test.each([
    ['AESE', 0x4e28_4800, start, afterShiftRows],
    ['AESMC', 0x4e28_6800, afterShiftRows, afterMixColumns],
    ['AESIMC', 0x4e28_7800, afterMixColumns, afterShiftRows],
    ['AESD', 0x4e28_5800, afterShiftRows, start],
  ])('%s', (_name, base, before, after) => {
    const isKeyed = base < 0x4e28_6800;
    const word = isKeyed ? two(base)(0, 1) : two(base)(0, 0);
    expect(run([word], { 0: reversed(before), 1: zero }).v(0)).toBe(reversed(after));
  });
});

/** The block of FIPS 180-4's example "abc", as big-endian words. */
const BLOCK = [0x6162_6380, ...Array<number>(14).fill(0), 24];

describe('SHA instructions', () => {
  const su0 = two(0x5e28_2800);
  const su1 = three(0x5e00_6000);
  const sha256h = three(0x5e00_4000);
  const sha256h2 = three(0x5e00_5000);
  const add4s = three(0x4ea0_8400);
  const mov = (d: number, n: number): number => three(0x4ea0_1c00)(d, n, n);

  test('SHA256H, SHA256H2, SHA256SU0 and SHA256SU1 hash "abc"', () => {
    const constants = sha256Constants();
    const initial = [words(...SHA256_INITIAL.slice(0, 4)), words(...SHA256_INITIAL.slice(4))];
    let state: Record<number, string> = { 0: initial[0]!, 1: initial[1]! };
    for (let i = 0; i < 4; i++) state[4 + i] = words(...BLOCK.slice(4 * i, 4 * i + 4));
    for (let round = 0; round < 16; round++) {
      const [w0, w1, w2, w3] = [0, 1, 2, 3].map(i => 4 + ((round + i) % 4)) as [number, number, number, number];
      state[8] = words(...constants.slice(4 * round, 4 * round + 4));
      const program = [add4s(9, w0, 8), mov(2, 0), sha256h(0, 1, 9), sha256h2(1, 2, 9), su0(w0, w1), su1(w0, w2, w3)];
      const result = run(program, state);
      state = Object.fromEntries([0, 1, 4, 5, 6, 7].map(n => [n, result.v(n)]));
    }
    const sum = run([add4s(0, 0, 2), add4s(1, 1, 3)], { ...state, 2: initial[0]!, 3: initial[1]! });
    const digest = [0, 1].flatMap(n => sum.v(n).match(/.{8}/g)!.toReversed()).join('');
    expect(digest).toBe(createHash('sha256').update('abc').digest('hex'));
  });

  test('SHA1C, SHA1P, SHA1M, SHA1H, SHA1SU0 and SHA1SU1 hash "abc"', () => {
    const rounds = [0x5e00_0000, 0x5e00_1000, 0x5e00_2000, 0x5e00_1000].map(three);
    const sha1h = two(0x5e28_0800);
    const initial = words(0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476);
    let state: Record<number, string> = { 0: initial, 1: words(0xc3d2_e1f0, 0, 0, 0) };
    for (let i = 0; i < 4; i++) state[4 + i] = words(...BLOCK.slice(4 * i, 4 * i + 4));
    for (let round = 0; round < 20; round++) {
      const [w0, w1, w2, w3] = [0, 1, 2, 3].map(i => 4 + ((round + i) % 4)) as [number, number, number, number];
      const quarter = Math.floor(round / 5);
      state[8] = words(...Array<number>(4).fill([0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6][quarter]!));
      const program = [
        add4s(9, w0, 8),
        sha1h(2, 0),
        rounds[quarter]!(0, 1, 9),
        mov(1, 2),
        three(0x5e00_3000)(w0, w1, w2), // SHA1SU0
        two(0x5e28_1800)(w0, w3), // SHA1SU1
      ];
      const result = run(program, state);
      state = Object.fromEntries([0, 1, 4, 5, 6, 7].map(n => [n, result.v(n)]));
    }
    const sum = run([add4s(0, 0, 2), add4s(1, 1, 3)], { ...state, 2: initial, 3: words(0xc3d2_e1f0, 0, 0, 0) });
    const digest = [...sum.v(0).match(/.{8}/g)!.toReversed(), sum.v(1).slice(24)].join('');
    expect(digest).toBe(createHash('sha1').update('abc').digest('hex'));
  });
});

const PRIMES = Array.from({ length: 312 }, (_, n) => n).filter(
  n => n > 1 && !Array.from({ length: n - 2 }, (_, i) => i + 2).some(factor => n % factor === 0),
);
/** First 32 bits of the fraction of a number. */
const fraction32 = (x: number): number => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
/** FIPS 180-4 "SHA-256 Constants": cube roots of the first 64 primes. */
function sha256Constants(): number[] {
  return PRIMES.slice(0, 64).map(prime => fraction32(Math.cbrt(prime)));
}
const SHA256_INITIAL = PRIMES.slice(0, 8).map(prime => fraction32(Math.sqrt(prime)));

test('the polynomial product of 64 bits is that of its bits', () => {
  const pmull = 0x0ee0_e000 | (2 << 16) | (1 << 5); // PMULL V0.1Q, V1.1D, V2.1D
  const random = new Random(2);
  for (let i = 0; i < 20; i++) {
    const [a, b] = [random.word64(), random.word64()];
    let product = 0n;
    for (let bit = 0n; bit < 64n; bit++) if ((b >> bit) & 1n) product ^= a << bit;
    const result = run([pmull], { 1: a.toString(16), 2: b.toString(16) });
    expect(result.v(0)).toBe(product.toString(16).padStart(32, '0'));
  }
});
