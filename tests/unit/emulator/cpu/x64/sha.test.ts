import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { X64_STATE } from '../../../../../emulator/cpu/x64/state.ts';
import { CR4 } from '../../../../../emulator/cpu/x64/system/control-bits.ts';
import { AT, X64TestMachine } from '../../../../support/x64-machine.ts';

type Vector = Uint8Array;

/** Four words, lowest first. */
const vector = (...words: readonly number[]): Vector =>
  new Uint8Array(Uint32Array.from(words, word => word >>> 0).buffer);
const words = (value: Vector): number[] => [...new Uint32Array(value.slice().buffer)];
const machine = new X64TestMachine();
machine.cpu.registers.cr4 |= CR4.OSFXSR;
machine.cpu.contextChanged();

/** Bytes of the instructions with XMM1 and XMM2. */
const CODE: Readonly<Record<string, readonly number[]>> = {
  SHA1NEXTE: [0x0f, 0x38, 0xc8, 0xca],
  SHA1MSG1: [0x0f, 0x38, 0xc9, 0xca],
  SHA1MSG2: [0x0f, 0x38, 0xca, 0xca],
  SHA256RNDS2: [0x0f, 0x38, 0xcb, 0xca],
  SHA256MSG1: [0x0f, 0x38, 0xcc, 0xca],
  SHA256MSG2: [0x0f, 0x38, 0xcd, 0xca],
  SHA1RNDS4: [0x0f, 0x3a, 0xcc, 0xca],
};
const HLT = 0xf4;

function run(name: string, a: Vector, b: Vector, immediate = 0, xmm0 = a): Vector {
  const { cpu, memory, engine } = machine;
  const registers = new Uint8Array(memory.view.buffer, engine.cpus[0]!.base);
  [xmm0, a, b].forEach((value, n) => registers.set(value, X64_STATE.xmm[n]!.offset));
  cpu.idle = 'running';
  cpu.engine.pc = BigInt(AT.CODE);
  machine.run(...CODE[name]!, ...(name === 'SHA1RNDS4' ? [immediate] : []), HLT);
  return registers.slice(X64_STATE.xmm[1]!.offset, X64_STATE.xmm[1]!.offset + 16);
}

const add = (a: Vector, b: Vector): Vector => vector(...words(a).map((word, i) => (word + words(b)[i]!) | 0));
const xor = (a: Vector, b: Vector): Vector => vector(...words(a).map((word, i) => word ^ words(b)[i]!));

/** One padded block of "abc", as big-endian words. FIPS 180-4 "Padding the Message". */
const BLOCK = [0x6162_6380, ...Array<number>(14).fill(0), 24];

/** The first bits of the fractional parts of the cube roots of the first primes. FIPS 180-4 "SHA-224 and SHA-256 Constants". */
function sha256Constants(): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every(prime => n % prime !== 0)) primes.push(n);
  return primes.map(prime => {
    // the integer cube root of prime * 2^96 has 32 fractional bits
    let root = BigInt(Math.floor(Math.cbrt(prime) * 2 ** 32));
    const target = BigInt(prime) << 96n;
    while ((root + 1n) ** 3n <= target) root++;
    while (root ** 3n > target) root--;
    return Number(root & 0xffff_ffffn);
  });
}

test('SHA256RNDS2 and its message schedule compute the digest that node computes', () => {
  const constants = sha256Constants();
  const initial = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
  const [A, B, C, D, E, F, G, H] = initial as [number, number, number, number, number, number, number, number];
  let abef = vector(F, E, B, A);
  let cdgh = vector(H, G, D, C);
  const message = [0, 4, 8, 12].map(at => vector(...BLOCK.slice(at, at + 4)));
  for (let step = 0; step < 16; step++) {
    if (step >= 4) {
      const [w0, w1, w2, w3] = message.slice(-4) as [Vector, Vector, Vector, Vector];
      const w9to12 = vector(words(w2)[1]!, words(w2)[2]!, words(w2)[3]!, words(w3)[0]!);
      message.push(run('SHA256MSG2', add(run('SHA256MSG1', w0, w1), w9to12), w3));
    }
    const wk = add(message[step]!, vector(...constants.slice(4 * step, 4 * step + 4)));
    cdgh = run('SHA256RNDS2', cdgh, abef, 0, wk);
    abef = run('SHA256RNDS2', abef, cdgh, 0, vector(words(wk)[2]!, words(wk)[3]!, 0, 0));
  }
  const [f, e, b, a] = words(abef) as [number, number, number, number];
  const [h, g, d, c] = words(cdgh) as [number, number, number, number];
  const digest = [a, b, c, d, e, f, g, h].map((word, i) => (word + initial[i]!) >>> 0);
  const text = digest.map(word => word.toString(16).padStart(8, '0')).join('');
  expect(text).toBe(createHash('sha256').update('abc').digest('hex'));
});

test('SHA1RNDS4 and its message schedule compute the digest that node computes', () => {
  const initial = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  const [A, B, C, D, E] = initial as [number, number, number, number, number];
  let abcd = vector(D, C, B, A);
  let previous = abcd;
  const message = [0, 4, 8, 12].map(at => vector(...BLOCK.slice(at, at + 4).reverse()));
  for (let step = 0; step < 20; step++) {
    if (step >= 4) {
      const [w0, w1, w2, w3] = message.slice(-4) as [Vector, Vector, Vector, Vector];
      message.push(run('SHA1MSG2', xor(run('SHA1MSG1', w0, w1), w2), w3));
    }
    const withE = step === 0 ? add(message[0]!, vector(0, 0, 0, E)) : run('SHA1NEXTE', previous, message[step]!);
    previous = abcd;
    abcd = run('SHA1RNDS4', abcd, withE, Math.floor(step / 5));
  }
  const last = words(run('SHA1NEXTE', previous, vector(0, 0, 0, 0)))[3]!;
  const [d, c, b, a] = words(abcd) as [number, number, number, number];
  const digest = [a, b, c, d, last].map((word, i) => (word + initial[i]!) >>> 0);
  const text = digest.map(word => word.toString(16).padStart(8, '0')).join('');
  expect(text).toBe(createHash('sha1').update('abc').digest('hex'));
});
