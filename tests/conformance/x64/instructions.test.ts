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
import { isExcluded, undefinedFlags } from './exclusions.ts';

const api = loadUnicorn();
const seed = campaignSeed();

const rows = X64_INSTRUCTIONS.filter(
  row => typeof row.semantics === 'function' && row.mode !== 'i64' && !isExcluded(row),
);

describe.skipIf(typeof api === 'string')(`x86_64 instructions with seed ${seed}`, () => {
  const drivers = [unicornDriver(api as never), ourDriver('evaluate'), ourDriver('compile')];

  test.each(rows.map(row => [`${row.key}: ${row.text}`, row] as const))('%s', (_name, row) => {
    const options = { seed, length: 1, ignoredFlags: undefinedFlags(row), ignoreMxcsr: true };
    const differences = compareX64(drivers, [row], { ...options, cases: campaignSize(40) });
    expect(differences.join('\n')).toBe('');
  });

  test('sequences of register instructions keep flags for each other', () => {
    const names = 'ADD SUB ADC SBB CMP TEST AND OR XOR INC DEC NEG SETcc CMOVcc LAHF SAHF CMC STC CLC LEA MOV'.split(
      ' ',
    );
    const chosen = rows.filter(({ mnemonic }) => names.includes(mnemonic));
    const differences = compareX64(drivers, chosen, { seed, length: 8, cases: campaignSize(1500) });
    expect(differences.join('\n')).toBe('');
  });
});

if (typeof api === 'string') test.skip(`x86_64 instructions: ${api}`, () => {});
