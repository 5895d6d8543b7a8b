/** AVX, AVX2, FMA and F16C against results that a processor gave: tests/fixtures/x64/record-vex.ts says how they were recorded. */
import { describe, expect, test } from 'vitest';
import { X64_MEMORY } from '../../../../support/x64-cases.ts';
import { ourDriver } from '../../../../support/x64-drivers.ts';
import { readRecorded, type RecordedCase, recordedCase, recordResult } from '../../../../support/x64-recorded.ts';

const byRow = new Map<string, RecordedCase[]>();
for (const recorded of readRecorded()) byRow.set(recorded[0], [...(byRow.get(recorded[0]) ?? []), recorded]);

/** RFLAGS, RIP: signals of the recording machine and bits that no case sets. */
const isCompared = ([at]: readonly [number, string]): boolean => at !== 16 && at !== 17;

function comparable([row, code, seed, outcome, registers, scratch]: RecordedCase): unknown {
  return { row, code, seed, outcome, registers: outcome === 'done' ? registers.filter(isCompared) : [], scratch };
}

describe.each(['evaluate', 'compile'] as const)('recorded results, %s', execute => {
  const driver = ourDriver(execute);

  test.each([...byRow])('%s', (_row, cases) => {
    // compiling takes longer than everything else: one case a row
    for (const recorded of execute === 'compile' ? cases.slice(0, 1) : cases) {
      const [row, code, seed] = recorded;
      const input = recordedCase(recorded);
      driver.reset();
      const result = driver.run(input, X64_MEMORY.code);
      expect(comparable(recordResult(row, code, seed, input, result))).toEqual(comparable(recorded));
    }
  });
});
