/** CPUID against QEMU 7.2's models of the same names, where the models announce the same. */
import { expect, test } from 'vitest';
import { GPR } from '../../../../../emulator/cpu/x64/state.ts';
import { X64TestMachine } from '../../../../support/x64-machine.ts';

const HLT = 0xf4;

function cpuid(model: string, leaf: number, subleaf: number): readonly number[] {
  const machine = new X64TestMachine(model);
  machine.cpu.state.setGpr(GPR.AX, BigInt(leaf));
  machine.cpu.state.setGpr(GPR.CX, BigInt(subleaf));
  machine.run(0x0f, 0xa2, HLT);
  return [GPR.AX, GPR.BX, GPR.CX, GPR.DX].map(register => machine.cpu.state.gpr32(register));
}

const [AMD, INTEL] = [
  [0x6874_7541, 0x444d_4163, 0x6974_6e65],
  [0x756e_6547, 0x6c65_746e, 0x4965_6e69],
];

test.each<[model: string, leaf: number, subleaf: number, registers: readonly number[]]>([
  ['qemu64', 0, 0, [0xd, ...AMD]],
  ['qemu64', 2, 0, [0, 0, 0, 0]],
  ['qemu64', 4, 0, [0, 0, 0, 0]],
  ['qemu64', 5, 0, [0, 0, 3, 0]],
  ['qemu64', 0x8000_0000, 0, [0x8000_000a, ...AMD]],
  ['qemu64', 0x8000_0005, 0, [0x01ff_01ff, 0x01ff_01ff, 0x4002_0140, 0x4002_0140]],
  ['Nehalem', 0, 0, [0xb, ...INTEL]],
  ['Nehalem', 1, 0, [0x1_06a3, 0x800, 0x8098_2201, 0x078b_fbfd]],
  ['Nehalem', 2, 0, [1, 0, 0x4d, 0x2c_307d]],
  ['Nehalem', 4, 2, [0x143, 0x03c0_003f, 0xfff, 1]],
  ['Nehalem', 4, 3, [0x163, 0x03c0_003f, 0x3fff, 6]],
  ['Nehalem', 6, 0, [0, 0, 0, 0]],
  ['Nehalem', 0x8000_0000, 0, [0x8000_0008, ...INTEL]],
  ['Nehalem', 0x8000_0001, 0, [0x1_06a3, 0, 1, 0x2010_0800]],
  ['Nehalem', 0x8000_0006, 0, [0, 0x4200_4200, 0x0200_8140, 0x0080_8140]],
  ['Haswell', 0x8000_0001, 0, [0x3_06c4, 0, 0x21, 0x2810_0800]],
  ['Haswell', 0xd, 2, [0x100, 0x240, 0, 0]],
  // beyond the highest leaves: as the highest basic one
  ['Haswell', 0x1234, 2, [0x100, 0x240, 0, 0]],
  ['Haswell', 0x8000_1234, 2, [0x100, 0x240, 0, 0]],
  ['max', 0x4000_0000, 0, [0x4000_0001, 0x5447_4354, 0x4354_4743, 0x4743_5447]],
])('%s, leaf %s, %i', (model, leaf, subleaf, registers) => {
  expect(cpuid(model, leaf, subleaf)).toEqual(registers);
});
