/** Registers as crash lays them out. */
import { describe, expect, test } from 'vitest';
import type { Program } from '../../../../analyzer/program.ts';
import { registersText } from '../../../../analyzer/text/registers.ts';
import type { SavedRegisters } from '../../../../analyzer/unwind/frames.ts';

const AARCH64 = { architecture: 'aarch64' } as Program;
const VALUES: SavedRegisters['values'] = new Map([
  ['pc', 0x4c_0ea4n],
  ['sp', 0xffff_d1c1_70a0n],
  ['pstate', 0x6000_0000n],
]);
const USER: SavedRegisters = { kind: 'registers', address: 0n, user: true, values: VALUES };

/** The first line, and those behind the rows of X registers. */
function edges(registers: SavedRegisters): string[] {
  const lines = registersText(AARCH64, registers).trimEnd().split('\n');
  return [lines[0]!, ...lines.slice(11)];
}

describe('a CPU of arm64 that ran in user space', () => {
  // crash 9.0.2 arm64.c, `arm64_back_trace_cmd`: " #0 [user space]" behind the exception frame
  test('ends with the line that crash has for it', () => {
    expect(edges({ ...USER, running: true })).toEqual([
      '     PC: 00000000004c0ea4   LR: 0000000000000000   SP: 0000ffffd1c170a0',
      '    ORIG_X0: 0000000000000000  SYSCALLNO: 0  PSTATE: 60000000',
      ' #0 [user space]',
    ]);
  });

  test('shows no system call where the registers are those of the note', () => {
    expect(edges({ ...USER, inNote: true, running: true }).slice(1)).toEqual([
      '    PSTATE: 60000000',
      ' #0 [user space]',
    ]);
  });

  test('is one line shorter when it called the kernel', () => {
    expect(edges(USER).at(-1)).toMatch(/^ {4}ORIG_X0: /);
  });
});
