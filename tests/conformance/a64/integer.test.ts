/**
 * Random integer, branch, load and store instructions: Unicorn, our evaluator and our compiled code do the same.
 *
 * KDUMP_LAB_CASES sets the number of cases per test, KDUMP_LAB_SEED the seed.
 */
import { describe, expect, test } from 'vitest';
import { A64_INSTRUCTIONS } from '../../../emulator/cpu/a64/instruction-set.ts';
import { isBranch } from '../../support/a64-cases.ts';
import { campaignSeed, campaignSize, compareDrivers } from '../../support/a64-conformance.ts';
import { ourDrivers, unicornDriver } from '../../support/a64-drivers.ts';
import { loadUnicorn } from '../../support/unicorn.ts';

/** Rows that are not compared with Unicorn, and why. */
const EXCLUDED: readonly { readonly row: RegExp; readonly reason: string }[] = [
  { row: /^(YIELD|WFE|WFI|SEV|SEVL|ERET|SYS|SYSL|MRS|MSR \(register\))$/, reason: 'calls the machine' },
  { row: /^ISB$/, reason: 'ends a block where it stands, and a case is one block' },
  { row: /^(SVC|HVC|SMC|BRK|HLT)$/, reason: 'exceptions end a case in Unicorn' },
  { row: /^M(SR|RS) (DAIF|CurrentEL|UAO|PAN|SPSel|SSBS|DIT)/, reason: 'system state that no case sets up' },
  {
    row: /^(PAC|AUT|XPAC|BRAA|BLRAA|RETAA|ERETAA|LDRAA)/,
    reason: 'keys and controls are system state; pauth.test.ts has them',
  },
  { row: /^HINT$/, reason: 'hint space contains instructions that call the machine' },
];

const rows = A64_INSTRUCTIONS.filter(
  row => !row.simd && typeof row.semantics === 'function' && !EXCLUDED.some(({ row: name }) => name.test(row.name)),
);

const api = loadUnicorn();
const seed = campaignSeed();

describe.skipIf(typeof api === 'string')(`A64 integer instructions with seed ${seed}`, () => {
  const drivers = [unicornDriver(api as never), ...ourDrivers()];

  test.each(rows.map(row => [row.name, row] as const))('%s', (_name, row) => {
    const differences = compareDrivers(drivers, [row], { cases: campaignSize(60), seed, length: 1 });
    expect(differences.join('\n')).toBe('');
  });
  test('sequences of instructions that work on registers', () => {
    const chosen = rows.filter(row => ((row.pattern.value >>> 25) & 5) !== 4);
    const differences = compareDrivers(drivers, chosen, { cases: campaignSize(2000), seed, length: 12 });
    expect(differences.join('\n')).toBe('');
  });
  test('flags across instructions, tested by every condition', () => {
    const chosen = rows.filter(row =>
      /^(ADDS|SUBS|ANDS|BICS|ADCS|SBCS|CCM|CS|B\.cond|ADC|SBC|RMIF|SETF|CFINV)/.test(row.name),
    );
    const differences = compareDrivers(drivers, chosen, { cases: campaignSize(2000), seed, length: 8 });
    expect(differences.join('\n')).toBe('');
  });
  test('sequences of all instructions', () => {
    const chosen = rows.filter(row => !isBranch(row));
    const differences = compareDrivers(drivers, chosen, { cases: campaignSize(2000), seed, length: 10 });
    expect(differences.join('\n')).toBe('');
  });
});

if (typeof api === 'string') test.skip(`A64 integer instructions: ${api}`, () => {});
