/**
 * Random instructions of every row: Unicorn, our evaluator and our compiled code do the same.
 *
 * KDUMP_LAB_CASES sets the number of cases per test, KDUMP_LAB_SEED the seed.
 */
import { describe, expect, test } from 'vitest';
import { X64_INSTRUCTIONS } from '../../../emulator/cpu/x64/instruction-set.ts';
import { campaignSeed, campaignSize } from '../../support/a64-conformance.ts';
import { loadUnicorn } from '../../support/unicorn.ts';
import { compareX64 } from '../../support/x64-conformance.ts';
import { ourDriver, unicornDriver } from '../../support/x64-drivers.ts';
import { isExcluded, isExcludedIn, undefinedFlags } from './exclusions.ts';

const api = loadUnicorn();
const seed = campaignSeed();

const rows = X64_INSTRUCTIONS.filter(row => typeof row.semantics === 'function' && !isExcluded(row));
const rowsOf = (codeSize: 16 | 32 | 64) =>
  rows.filter(row => row.mode !== (codeSize === 64 ? 'i64' : 'o64') && !isExcludedIn(row, codeSize));

describe.skipIf(typeof api === 'string').each([16, 32, 64] as const)(
  `%i-bit x86_64 instructions with seed ${seed}`,
  codeSize => {
    const ours = [ourDriver('evaluate', codeSize), ourDriver('compile', codeSize)];

    test.each(rowsOf(codeSize).map(row => [`${row.key}: ${row.text}`, row] as const))('%s', (_name, row) => {
      const options = { codeSize, seed, length: 1, ignoredFlags: undefinedFlags(row), ignoreMxcsr: true };
      using unicorn = unicornDriver(api as never, codeSize);
      const differences = compareX64([unicorn, ...ours], [row], { ...options, cases: campaignSize(40) });
      expect(differences.join('\n')).toBe('');
    });
  },
);

describe.skipIf(typeof api === 'string')('sequences', () => {
  test('sequences of register instructions keep flags for each other', () => {
    const names = 'ADD SUB ADC SBB CMP TEST AND OR XOR INC DEC NEG SETcc CMOVcc LAHF SAHF CMC STC CLC LEA MOV'.split(
      ' ',
    );
    const chosen = rowsOf(64).filter(({ mnemonic }) => names.includes(mnemonic));
    using unicorn = unicornDriver(api as never);
    const drivers = [unicorn, ourDriver('evaluate'), ourDriver('compile')];
    const differences = compareX64(drivers, chosen, { seed, length: 8, cases: campaignSize(1500) });
    expect(differences.join('\n')).toBe('');
  });
});

if (typeof api === 'string') test.skip(`x86_64 instructions: ${api}`, () => {});
