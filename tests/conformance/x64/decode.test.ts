/**
 * Decoding against iced-x86: instructions of every row have the same length and are valid for both, and of random bytes we take
 * nothing for an instruction that iced-x86 does not, nor with another length. objdump is asked, too.
 *
 * KDUMP_LAB_CASES sets the number of cases per test, KDUMP_LAB_SEED the seed.
 */
import { Code, Decoder as IcedDecoder, DecoderOptions } from 'iced-x86';
import { describe, expect, test } from 'vitest';
import { X64_FEATURE_NAMES } from '../../../emulator/cpu/x64/features.ts';
import { decoderFor, X64_INSTRUCTIONS } from '../../../emulator/cpu/x64/instruction-set.ts';
import { USER_MODE_64, type X64Mode } from '../../../emulator/cpu/x64/mode.ts';
import { objdumpLengths } from '../../support/objdump.ts';
import { campaignSeed, campaignSize } from '../../support/a64-conformance.ts';
import { Random } from '../../support/random.ts';
import { randomInstruction } from '../../support/x64-cases.ts';

const decoder = decoderFor(new Set(X64_FEATURE_NAMES));
const MODES: Readonly<Record<16 | 32 | 64, X64Mode>> = {
  16: { ...USER_MODE_64, codeSize: 16 },
  32: { ...USER_MODE_64, codeSize: 32 },
  64: USER_MODE_64,
};
const LONGEST = 15;

/** Length of the first instruction, or 0 for none. */
function ours(bytes: Uint8Array, codeSize: 16 | 32 | 64): number {
  const page = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const decoded = decoder.decode({ page, next: undefined }, 0, MODES[codeSize]);
  return typeof decoded === 'string' ? 0 : decoded.length;
}

function theirs(bytes: Uint8Array, codeSize: 16 | 32 | 64): number {
  const iced = new IcedDecoder(codeSize, bytes, DecoderOptions.NoInvalidCheck);
  const instruction = iced.decode();
  const length = instruction.code === Code.INVALID ? 0 : instruction.length;
  instruction.free();
  iced.free();
  return length;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** An instruction with bytes behind it. */
function padded(bytes: readonly number[]): Uint8Array {
  return Uint8Array.from({ length: 2 * LONGEST }, (_, i) => bytes[i] ?? 0x90);
}

describe('decoding as iced-x86 does', () => {
  test.each(X64_INSTRUCTIONS.map(row => [`${row.key}: ${row.text}`, row] as const))('%s', (_name, row) => {
    const random = new Random(campaignSeed());
    for (const codeSize of [16, 32, 64] as const) {
      if (row.mode === (codeSize === 64 ? 'i64' : 'o64')) continue;
      for (let i = 0; i < campaignSize(20); i++) {
        const bytes = padded(randomInstruction(random, row, { codeSize }));
        expect(`${hex(bytes)}: ${ours(bytes, codeSize)}`).toBe(`${hex(bytes)}: ${theirs(bytes, codeSize)}`);
      }
    }
  });

  test.each([16, 32, 64] as const)('random bytes in %i-bit code', codeSize => {
    const random = new Random(campaignSeed());
    const differences: string[] = [];
    for (let i = 0; i < campaignSize(30) * 500; i++) {
      const bytes = Uint8Array.from({ length: 2 * LONGEST }, () => random.below(256));
      const length = ours(bytes, codeSize);
      if (length !== 0 && length !== theirs(bytes, codeSize))
        differences.push(`${hex(bytes)}: ${length}, ${theirs(bytes, codeSize)}`);
    }
    expect(differences.slice(0, 20)).toEqual([]);
  });
});

/** What objdump (2.40) calls bad, and manuals and processors do not: SALC, reserved NOPs, fences with another register than 0, gathers that use a register twice (#UD when executed). */
const UNKNOWN_TO_OBJDUMP = /: (SALC|NOP Ev|[MS]FENCE|GATHER)/;

describe('decoding as objdump does', () => {
  test.for([16, 32, 64] as const)('instructions of every row in %i-bit code', (codeSize, { skip }) => {
    const random = new Random(campaignSeed());
    const cases = X64_INSTRUCTIONS.filter(row => row.mode !== (codeSize === 64 ? 'i64' : 'o64')).flatMap(row =>
      Array.from({ length: campaignSize(8) }, () => ({
        row,
        bytes: Uint8Array.from(randomInstruction(random, row, { codeSize })),
      })),
    );
    const lengths = objdumpLengths(
      cases.map(({ bytes }) => bytes),
      codeSize,
    );
    skip(lengths === undefined, 'objdump is not installed (Debian package binutils)');
    const differences = cases.flatMap(({ row, bytes }, number) => {
      const length = ours(padded([...bytes]), codeSize);
      const theirLength = lengths![number]!;
      const name = `${row.key}: ${row.text}`;
      if (length === theirLength || (theirLength === 0 && UNKNOWN_TO_OBJDUMP.test(name))) return [];
      return [`${name}: ${hex(bytes)}: ${length}, ${theirLength}`];
    });
    expect(differences).toEqual([]);
  });
});
