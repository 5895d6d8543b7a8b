/**
 * Random programs with loops: the engine does the same whether it interprets, compiles at once, or compiles when code gets warm, and
 * as Unicorn does.
 */
import { describe, expect, test } from 'vitest';
import { A64_INSTRUCTIONS } from '../../../emulator/cpu/a64/instruction-set.ts';
import type { Instruction } from '../../../emulator/cpu/a64/instruction.ts';
import { isBranch } from '../../support/a64-cases.ts';
import { campaignSeed, campaignSize, compareDrivers } from '../../support/a64-conformance.ts';
import { unicornDriver } from '../../support/a64-drivers.ts';
import { engineDriver, randomProgram } from '../../support/a64-programs.ts';
import { Random } from '../../support/random.ts';
import { loadUnicorn } from '../../support/unicorn.ts';

/** Rows that neither call the machine nor branch (`integer.test.ts` says why) nor load from code, which is another program's. */
const LEFT_OUT =
  /^(HINT|YIELD|WFE|WFI|SEV|SEVL|ISB|ERET|SYS|SYSL|MRS|MSR|SVC|HVC|SMC|BRK|HLT|PAC|AUT|XPAC|LDRAA|PRFM)|literal/;
const isLoadStore = ({ pattern }: Instruction): boolean => ((pattern.value >>> 25) & 5) === 4;

const rows = A64_INSTRUCTIONS.filter(
  row => !row.simd && typeof row.semantics === 'function' && !isBranch(row) && !LEFT_OUT.test(row.name),
);
const registerRows = rows.filter(row => !isLoadStore(row));

const api = loadUnicorn();
const seed = campaignSeed();
const engines = [
  engineDriver('interpreted', Number.POSITIVE_INFINITY),
  engineDriver('compiled', 1),
  engineDriver('compiled when warm', 5),
];
const options = { seed, generate: randomProgram, stride: 4096 };

describe(`random programs with seed ${seed}`, () => {
  test('run alike however they are executed', () => {
    const differences = compareDrivers(engines, rows, { ...options, cases: campaignSize(300), length: 12 });
    expect(differences.join('\n')).toBe('');
  });
  test('retire the same number of instructions however they are executed', () => {
    const random = new Random(seed);
    for (let i = 0; i < campaignSize(100); i++) {
      const program = randomProgram(random, rows, 12);
      const counts = engines.map(engine => {
        engine.run(program, 0x40_0000);
        return engine.retired;
      });
      expect(counts).toEqual(counts.map(() => counts[0]));
    }
  });
  test.skipIf(typeof api === 'string').each([
    ['registers', registerRows],
    ['registers and memory', rows],
  ])('run as on Unicorn: %s', (_what, chosen) => {
    const drivers = [unicornDriver(api as never, 'to the end'), ...engines];
    for (const driver of drivers) driver.reset();
    const differences = compareDrivers(drivers, chosen, { ...options, cases: campaignSize(300), length: 12 });
    expect(differences.join('\n')).toBe('');
  });
});
