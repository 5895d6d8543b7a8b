/**
 * Cases of VEX-encoded instructions with the results that a processor gave, for machines that have no AVX2: tests/fixtures/x64/vex.json.gz,
 * written by tests/fixtures/x64/record-vex.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Random } from './random.ts';
import { X64_MEMORY, X64_REGISTER, type X64Case } from './x64-cases.ts';
import { INITIAL_SCRATCH, type CaseResult, type Outcome } from './x64-drivers.ts';

const FILE = join(import.meta.dirname, '../fixtures/x64/vex.json.gz');

/** Row, code, seed of the registers, outcome, registers and bytes of scratch memory that have changed: number and value in hexadecimal. */
export type RecordedCase = readonly [
  row: string,
  code: string,
  seed: number,
  outcome: Outcome,
  registers: readonly (readonly [number, string])[],
  scratch: readonly (readonly [number, number])[],
];

/** Small whole numbers, fractions, and what is special, as floats of both widths. */
const LANES = [
  0n,
  0x3f80_0000_bf80_0000n,
  0x3ff0_0000_0000_0000n,
  0xc008_0000_0000_0000n,
  0x7f80_0000_ff80_0000n,
  0x7ff8_0000_0000_0001n,
  0x4049_0fdb_3eaa_aaabn,
  0x0000_0001_8000_0000n,
];

/** The case of a record. Registers come from the seed, and changing how means recording anew. */
export function recordedCase([row, code, seed]: RecordedCase): X64Case {
  const random = new Random(seed);
  const registers = new BigUint64Array(X64_REGISTER.count);
  for (let n = 0; n < 16; n++) registers[n] = BigInt(random.word());
  for (const pointer of [3, 4, 5, 6, 7])
    registers[pointer] = BigInt(X64_MEMORY.scratch + 0x4000 + 32 * random.below(256));
  registers[1] = BigInt(random.below(32));
  registers[X64_REGISTER.flags] = 2n;
  registers[X64_REGISTER.mxcsr] = 0x1f80n;
  for (let i = 0; i < 64; i++) {
    const isSmall = row.includes('GATHER') && i >> 2 === 5;
    registers[X64_REGISTER.y + i] = isSmall
      ? BigInt(random.below(256))
      : random.below(2)
        ? random.pick(LANES)
        : random.word64();
  }
  return { code: Buffer.from(code, 'hex'), rows: [row], count: 1, repeats: false, registers };
}

/** What is kept of a result. */
export function recordResult(row: string, code: string, seed: number, test: X64Case, result: CaseResult): RecordedCase {
  const registers: [number, string][] = [];
  result.registers.forEach((value, at) => {
    if (value !== test.registers[at]) registers.push([at, value.toString(16)]);
  });
  const scratch: [number, number][] = [];
  for (let at = 0; at < result.scratch.length; at++) {
    if (result.scratch[at] !== INITIAL_SCRATCH[at]) scratch.push([at, result.scratch[at]!]);
  }
  return [row, code, seed, result.outcome, registers, scratch];
}

export function readRecorded(): readonly RecordedCase[] {
  return JSON.parse(gunzipSync(readFileSync(FILE)).toString()) as RecordedCase[];
}

export function writeRecorded(cases: readonly RecordedCase[]): void {
  writeFileSync(FILE, gzipSync(JSON.stringify(cases), { level: 9 }));
}
