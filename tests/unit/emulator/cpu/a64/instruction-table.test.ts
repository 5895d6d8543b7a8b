import { describe, expect, test } from 'vitest';
import { Decoder } from '../../../../../emulator/cpu/a64/decode.ts';
import { extractFields, fixedBits, overlap, parsePattern } from '../../../../../emulator/cpu/a64/encodings/pattern.ts';
import { A64_FEATURE_NAMES } from '../../../../../emulator/cpu/a64/features.ts';
import { A64_INSTRUCTIONS } from '../../../../../emulator/cpu/a64/instruction-set.ts';
import type { Instruction } from '../../../../../emulator/cpu/a64/instruction.ts';
import { Random } from '../../../../support/random.ts';
import { randomWord } from '../../../../support/a64-words.ts';

const ALL_FEATURES = new Set(A64_FEATURE_NAMES);
const decoder = new Decoder(A64_INSTRUCTIONS, ALL_FEATURES);

function winsOver(a: Instruction, b: Instruction): boolean {
  return a.over.includes(b.name) && fixedBits(a.pattern) > fixedBits(b.pattern);
}

describe('the notation', () => {
  test('reads fixed bits, ignored bits and fields from bit 31 down', () => {
    const pattern = parsePattern('sf:1 0 0 100010 sh:1 imm12:12 xxxx0 rd:5');
    expect(pattern.mask >>> 0).toBe(0x7f80_0020);
    expect(pattern.value >>> 0).toBe(0x1100_0000);
    expect(extractFields(pattern, 0x9140_4c03)).toEqual({ sf: 1, sh: 1, imm12: 0x13, rd: 3 });
  });
  test('refuses a diagram that has not 32 bits', () => {
    expect(() => parsePattern('0101 rd:5')).toThrow('9 bits');
  });
});

describe('the table', () => {
  test('has no two rows of one name', () => {
    const names = A64_INSTRUCTIONS.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });
  test('has no overlap but the declared ones', () => {
    const undeclared: string[] = [];
    A64_INSTRUCTIONS.forEach((a, i) => {
      for (const b of A64_INSTRUCTIONS.slice(i + 1)) {
        if (overlap(a.pattern, b.pattern) && !winsOver(a, b) && !winsOver(b, a))
          undeclared.push(`${a.name} / ${b.name}`);
      }
    });
    expect(undeclared).toEqual([]);
  });
  test('declares no overlap that is none', () => {
    const idle = A64_INSTRUCTIONS.flatMap(a =>
      a.over.length > 0 && !A64_INSTRUCTIONS.some(b => a.over.includes(b.name) && overlap(a.pattern, b.pattern))
        ? [a.name]
        : [],
    );
    expect(idle).toEqual([]);
  });
  test.each(A64_INSTRUCTIONS.map(row => [row.name, row] as const))('%s decodes to itself', (_name, row) => {
    const random = new Random(row.pattern.value);
    for (let i = 0; i < 50; i++) {
      const word = randomWord(random, row);
      const decoded = decoder.decode(word);
      const winner = decoded !== row && decoded?.over.includes(row.name);
      expect(winner ? row.name : decoded?.name).toBe(row.name);
    }
  });
});

describe('a decoder', () => {
  test('has no instructions of absent features', () => {
    const without = new Decoder(A64_INSTRUCTIONS, new Set());
    const ldadd = 0xb821_0041; // ldadd w1, w1, [x2]
    expect(decoder.decode(ldadd)?.name).toBe('LDADD');
    expect(without.decode(ldadd)).toBeUndefined();
  });
  test('knows no unallocated word', () => {
    expect(decoder.decode(0)).toBeUndefined();
    expect(decoder.decode(0xffff_ffff)).toBeUndefined();
  });
  test('finds an instruction in less than half a microsecond', () => {
    const random = new Random(1);
    const words = A64_INSTRUCTIONS.flatMap(row => Array.from({ length: 10 }, () => randomWord(random, row)));
    let best = Infinity;
    for (let round = 0; round < 20; round++) {
      const begin = performance.now();
      for (const word of words) decoder.decode(word);
      best = Math.min(best, ((performance.now() - begin) * 1000) / words.length);
    }
    expect(best).toBeLessThan(0.5);
  });
});
