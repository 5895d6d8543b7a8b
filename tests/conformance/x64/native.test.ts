/**
 * Random instructions of every row: the host's own processor, our evaluator and our compiled code do the same. Unlike Unicorn it has AVX,
 * AVX2, FMA and F16C, and shows MXCSR and the MMX registers.
 *
 * KDUMP_LAB_CASES sets the number of cases per test, KDUMP_LAB_SEED the seed.
 */
import { afterAll, describe, expect, test } from 'vitest';
import type { Instruction } from '../../../emulator/cpu/x64/instruction.ts';
import { X64_INSTRUCTIONS } from '../../../emulator/cpu/x64/instruction-set.ts';
import { campaignSeed, campaignSize } from '../../support/a64-conformance.ts';
import { compareWithNative } from '../../support/x64-conformance.ts';
import { ourDriver } from '../../support/x64-drivers.ts';
import { loadNative, type NativeRunner } from '../../support/x64-native.ts';
import { isNative, undefinedFlags } from './exclusions.ts';

const native = loadNative();
const seed = campaignSeed();

/** Features that the processor may lack, as /proc/cpuinfo has them. */
const OPTIONAL = ['adx', 'sha_ni', 'vaes', 'vpclmulqdq', 'movbe', 'rdpid', 'sse4a', 'clwb', 'pku'];

function runsHere(row: Instruction): boolean {
  if (typeof native === 'string') return false;
  return row.features.every(feature => !OPTIONAL.includes(feature) || native.flags.has(feature));
}

const rows = X64_INSTRUCTIONS.filter(
  row => typeof row.semantics === 'function' && row.mode !== 'i64' && isNative(row) && runsHere(row),
);

describe.skipIf(typeof native === 'string')(`x86_64 instructions on the processor, seed ${seed}`, () => {
  const runner = native as NativeRunner;
  const drivers = [ourDriver('evaluate'), ourDriver('compile')];
  afterAll(() => runner.close());

  test.each(rows.map(row => [`${row.key}: ${row.text}`, row] as const))('%s', (_name, row) => {
    const options = { seed, length: 1, ignoredFlags: undefinedFlags(row, true), cases: campaignSize(25) };
    expect(compareWithNative(runner, drivers, [row], options).join('\n')).toBe('');
  });
});

if (typeof native === 'string') test.skip(`x86_64 instructions on the processor: ${native}`, () => {});
