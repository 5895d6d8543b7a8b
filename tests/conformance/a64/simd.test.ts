/**
 * Random Advanced SIMD, floating-point and cryptographic instructions: Unicorn, our evaluator and our compiled code do the same.
 *
 * KDUMP_LAB_CASES sets the number of cases per test, KDUMP_LAB_SEED the seed.
 */
import { describe, expect, test } from 'vitest';

import { FPCR } from '../../../emulator/cpu/a64/fp-control.ts';
import { A64_INSTRUCTIONS } from '../../../emulator/cpu/a64/instruction-set.ts';
import { SIMD_INSTRUCTIONS } from '../../../emulator/cpu/a64/simd-instructions.ts';
import { type A64Case, REGISTER } from '../../support/a64-cases.ts';
import { campaignSeed, campaignSize, compareDrivers } from '../../support/a64-conformance.ts';
import { ourDrivers, unicornDriver } from '../../support/a64-drivers.ts';
import { randomNumbers } from '../../support/float-patterns.ts';
import type { Random } from '../../support/random.ts';
import { loadUnicorn } from '../../support/unicorn.ts';

/** Words that are not compared with Unicorn 2.0.1, and why. */
const EXCLUDED: readonly { readonly mask: number; readonly value: number; readonly reason: string }[] = [
  {
    mask: 0xfff0_f400,
    value: 0x5f10_f400,
    reason: 'FCVTZS to a half-precision fixed-point number: it extends the sign to 32 bits instead of clearing them',
  },
  {
    mask: 0xbff8_fc00,
    value: 0x2f00_fc00,
    reason: 'a modified immediate with o2 and op set is unallocated: it executes it',
  },
  {
    mask: 0xffc0_9400,
    value: 0x2f40_1000,
    reason: 'FCMLA by element on four halves: it raises flags for the four lanes above too',
  },
];

function isExcluded({ words }: A64Case): boolean {
  return words.some(word => EXCLUDED.some(({ mask, value }) => ((word ^ value) & mask) === 0));
}

/** Controls that numbers depend on: every rounding, and each mode now and then. */
function randomControl(random: Random): number {
  const now = (bit: number): number => (random.below(4) === 0 ? bit : 0);
  const rounding = random.below(2) === 0 ? 0 : random.below(4) << FPCR.RMODE_SHIFT;
  return rounding | now(FPCR.FZ) | now(FPCR.DN) | now(FPCR.FZ16) | now(FPCR.AHP);
}

/** Numbers of one precision in most vector registers. */
function prepareNumbers(random: Random, registers: BigUint64Array): void {
  const bits = random.pick([16, 32, 64] as const);
  for (let at = REGISTER.v; at < REGISTER.count; at++) {
    if (random.below(4) !== 0) registers[at] = randomNumbers(random, bits);
  }
  registers[REGISTER.fpcr] = BigInt(randomControl(random));
}

/** Bytes at the edges of saturation in some registers. */
function prepareIntegers(random: Random, registers: BigUint64Array): void {
  for (let at = REGISTER.v; at < REGISTER.count; at++) {
    if (random.below(2) === 0) continue;
    let word = 0n;
    for (let i = 0; i < 8; i++) word = (word << 8n) | BigInt(random.pick([0, 1, 0x7f, 0x80, 0xff]));
    registers[at] = word;
  }
}

const usesNumbers = (name: string): boolean => /^(F|[SU]CVTF|UR(ECPE|SQRTE)$)/.test(name);

/** MSR is not compared: Unicorn keeps the fields of AArch32's FPSCR, which are RES0 without AArch32. */
const controls = A64_INSTRUCTIONS.filter(({ name }) => /^MRS FP[CS]R$/.test(name));
const rows = [...SIMD_INSTRUCTIONS, ...controls].filter(row => typeof row.semantics === 'function');
const api = loadUnicorn();
const seed = campaignSeed();

describe.skipIf(typeof api === 'string')(`A64 vector and floating-point instructions with seed ${seed}`, () => {
  const drivers = [unicornDriver(api as never), ...ourDrivers()];
  const options = { seed, length: 1, isExcluded };

  test.each(rows.map(row => [row.name, row] as const))('%s', (name, row) => {
    const prepare = usesNumbers(name) ? prepareNumbers : prepareIntegers;
    const differences = compareDrivers(drivers, [row], { ...options, cases: campaignSize(40), prepare });
    expect(differences.join('\n')).toBe('');
  });
  test('sequences of integer instructions', () => {
    const chosen = rows.filter(row => !usesNumbers(row.name));
    const differences = compareDrivers(drivers, chosen, {
      ...options,
      cases: campaignSize(2000),
      length: 10,
      prepare: prepareIntegers,
    });
    expect(differences.join('\n')).toBe('');
  });
  test('sequences of all instructions on numbers', () => {
    const differences = compareDrivers(drivers, rows, {
      ...options,
      cases: campaignSize(2000),
      length: 8,
      prepare: prepareNumbers,
    });
    expect(differences.join('\n')).toBe('');
  });
});

if (typeof api === 'string') test.skip(`A64 vector and floating-point instructions: ${api}`, () => {});
