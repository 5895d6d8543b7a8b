/** The x87 against Unicorn: an instruction on eight random registers. KDUMP_LAB_CASES sets the cases per row, KDUMP_LAB_SEED the seed. */
import { describe, expect, test } from 'vitest';
import { X64_INSTRUCTIONS } from '../../../emulator/cpu/x64/instruction-set.ts';
import { GPR, X64_STATE } from '../../../emulator/cpu/x64/state.ts';
import { CR4 } from '../../../emulator/cpu/x64/system/control-bits.ts';
import { campaignSeed, campaignSize } from '../../support/a64-conformance.ts';
import { Random } from '../../support/random.ts';
import { loadUnicorn, UC_ARCH, UC_MODE, Unicorn } from '../../support/unicorn.ts';
import { AT, X64TestMachine } from '../../support/x64-machine.ts';

const UC_X86 = { RBX: 37, ST0: 114, FPCW: 246, FPSW: 31, FPTAG: 247 } as const;
/** Words of the register list: RBX, FPCW, FPSW, FPTAG, then ST0 to ST7, two each. */
const REGISTERS = {
  ids: [UC_X86.RBX, UC_X86.FPCW, UC_X86.FPSW, UC_X86.FPTAG, ...Array.from({ length: 8 }, (_, i) => UC_X86.ST0 + i)],
  words: [1, 1, 1, 1, ...Array<number>(8).fill(2)],
};
const FCW = 0x37fn;
const HLT = 0xf4;

const EXCLUDED: readonly { readonly row: RegExp; readonly reason: string }[] = [
  { row: /^F(SIN|COS|SINCOS|PTAN|PATAN|YL2X|YL2XP1|2XM1)/, reason: 'results differ in the last bits' },
  {
    row: /^F(LDENV|RSTOR|NSTENV|NSAVE|BLD|BSTP|LDCW|NINIT|WAIT)/,
    reason: 'needs memory or control that the cases do not set up',
  },
  { row: /^F(CMOV|U?COMIP?$)/, reason: 'flags of the CPU are not compared here' },
  { row: /^FSQRT$/, reason: 'QEMU 5.0 sets C2 for -0' },
  { row: /^F(XTRACT|SCALE|PREM1?|XAM)$/, reason: 'QEMU 5.0 is inexact here (rewritten later)' },
];

/** A finite number, mostly, of moderate size. */
function randomExtended(random: Random): readonly [low: bigint, high: bigint] {
  const special = random.below(8);
  const sign = BigInt(random.below(2)) << 15n;
  if (special === 0) return [0n, sign];
  if (special === 1) return [1n << 63n, sign | 0x7fffn];
  return [random.word64() | (1n << 63n), sign | BigInt(0x3fff - 20 + random.below(40))];
}

const rows = X64_INSTRUCTIONS.filter(
  row => row.unit === 'x87' && /^D[89A-F]/.test(row.key) && !EXCLUDED.some(({ row: name }) => name.test(row.mnemonic)),
);
const api = loadUnicorn();

describe.skipIf(typeof api === 'string')('x87 instructions', () => {
  const unicorn = new Unicorn(api as never, UC_ARCH.X86, UC_MODE.MODE_64, REGISTERS);
  unicorn.map(0, 0x20_0000);

  test.each(rows.map(row => [`${row.key}: ${row.text}`, row] as const))('%s', (_name, row) => {
    const random = new Random(campaignSeed());
    for (let i = 0; i < campaignSize(12); i++) {
      const i0 = random.below(7);
      const modrm = row.modrm ?? ((row.reg ?? 0) << 3) | (row.mod === 'mem' ? 3 : 0xc0 | i0);
      const code = [row.opcode, modrm];
      const stack = Array.from({ length: 8 }, () => randomExtended(random));
      const data = Uint8Array.from({ length: 16 }, () => random.below(256));
      const pushes = /^F(LD|ILD)/.test(row.mnemonic);
      expect(ours(code, stack, data, pushes)).toEqual(theirs(code, stack, data));
    }
  });

  function theirs(code: readonly number[], stack: readonly (readonly [bigint, bigint])[], data: Uint8Array): string {
    unicorn.forgetCode(AT.CODE, AT.CODE + 16);
    unicorn.write(AT.CODE, Uint8Array.from(code));
    unicorn.write(AT.DATA, data);
    unicorn.registers.set([BigInt(AT.DATA), FCW, 0n, 0n, ...stack.flat()]);
    unicorn.run(BigInt(AT.CODE), 1);
    const memory = new Uint8Array(16);
    unicorn.read(AT.DATA, memory);
    const [, , fsw, , ...registers] = unicorn.registers;
    return describeState(Number(fsw), registers, memory);
  }
});

/** @param pushes leaves a register empty: QEMU does not look for stack overflow */
function ours(
  code: readonly number[],
  stack: readonly (readonly [bigint, bigint])[],
  data: Uint8Array,
  pushes: boolean,
): string {
  const machine = new X64TestMachine();
  const { state, registers } = machine.cpu;
  registers.cr4 |= CR4.OSFXSR;
  machine.cpu.contextChanged();
  state.setGpr(GPR.BX, BigInt(AT.DATA));
  state.set32(X64_STATE.FCW, Number(FCW));
  state.set32(X64_STATE.emptyTags, pushes ? 0x80 : 0);
  stack.forEach(([low, high], i) => {
    state.set64(X64_STATE.significand[i]!, low);
    state.set32(X64_STATE.exponent[i]!, Number(high));
  });
  machine.write(AT.DATA, ...data);
  machine.run(...code, HLT);
  const top = state.get32(X64_STATE.TOP);
  const values = stack.flatMap((_, i) => {
    const register = (top + i) & 7;
    return [state.get64(X64_STATE.significand[register]!), BigInt(state.get32(X64_STATE.exponent[register]!) & 0xffff)];
  });
  return describeState(state.get32(X64_STATE.FSW) | (top << 11), values, machine.memory.ramSlice(AT.DATA, 16));
}

/**
 * TOP, C0, C2 and C3. QEMU 5.0 does not compute C1, nor the exceptions: infinity by zero raises divide-by-zero there, and invalid operations
 * raise nothing.
 */
const COMPARED_STATUS = 0x7d00;

function describeState(fsw: number, registers: readonly bigint[], memory: Uint8Array): string {
  const values = Array.from(
    { length: 8 },
    (_, i) => `${(registers[2 * i + 1]! & 0xffffn).toString(16)}:${registers[2 * i]!.toString(16)}`,
  );
  return `${(fsw & COMPARED_STATUS).toString(16)} ${values.join(' ')} ${Buffer.from(memory).toString('hex')}`;
}

if (typeof api === 'string') test.skip(`x87 instructions: ${api}`, () => {});
