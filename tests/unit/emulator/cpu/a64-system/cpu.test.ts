import { expect, test } from 'vitest';
import { UnimplementedError } from '../../../../../capture/formats/errors.ts';
import {
  EXCEPTION_REGISTERS,
  TRANSLATION_REGISTERS,
} from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { createTestMachine, RAM_BASE, writeWords } from './machine.ts';

/** Instruction words. */
const WORD = {
  'b .': 0x1400_0000,
  'msr hcr_el2, x0': 0xd51c_1100,
  'mrs x1, midr_el1': 0xd538_0001,
  'mrs x2, mpidr_el1': 0xd538_00a2,
  'mrs x3, rndr': 0xd53b_2403,
  wfe: 0xd503_205f,
  sevl: 0xd503_20bf,
  'ldtr x1, [x0]': 0xf840_0801,
} as const;

function run(
  machine: ReturnType<typeof createTestMachine>,
  words: readonly number[],
  x: readonly bigint[],
  level: 1 | 2 = 1,
): void {
  writeWords(machine, RAM_BASE, [...words, WORD['b .']]);
  machine.cpus[0]!.start(BigInt(RAM_BASE), x, level);
  machine.engine.runSlice(machine.engine.cpus[0]!, words.length + 5);
}

test('a hypervisor that starts a virtual machine ends in a clear error', () => {
  const machine = createTestMachine({ hasEl2: true });
  expect(() => run(machine, [WORD['msr hcr_el2, x0']], [1n], 2)).toThrow(UnimplementedError);
});

test('with EL2, EL1 sees what VPIDR_EL2 and VMPIDR_EL2 say, which is the truth out of reset', () => {
  const machine = createTestMachine({ hasEl2: true });
  run(machine, [WORD['mrs x1, midr_el1'], WORD['mrs x2, mpidr_el1']], []);
  expect(machine.cpus[0]!.registers.x(1)).toBe(0x411f_d070n);
  expect(machine.cpus[0]!.registers.x(2)).toBe(0x8000_0000n);
});

test('EL2 translates 52-bit addresses with TCR_EL2.DS', () => {
  const machine = createTestMachine({ hasEl2: true, model: 'max' });
  const cpu = machine.cpus[0]!;
  const { view } = machine.memory;
  const table = RAM_BASE + 0x10_0000;
  // T0SZ 12 starts at level -1: tables of levels -1 and 0, and a 1 GiB block
  for (const [level, descriptor] of [BigInt(table + 0x1000) | 3n, BigInt(table + 0x2000) | 3n].entries()) {
    view.setBigUint64(machine.memory.ramAddress(table + level * 0x1000), descriptor, true);
  }
  view.setBigUint64(machine.memory.ramAddress(table + 0x2008), BigInt(RAM_BASE) | 0x401n, true);
  // msr tcr_el2, x0; msr ttbr0_el2, x1; msr sctlr_el2, x2; isb; mov x3, #7
  const words = [0xd51c_2040, 0xd51c_2001, 0xd51c_1002, 0xd503_3fdf, 0xd280_00e3];
  // TCR_EL2: DS, PS 52 bits, T0SZ 12, RES1
  run(machine, words, [(1n << 32n) | (1n << 31n) | (1n << 23n) | (6n << 16n) | 12n, BigInt(table), 1n], 2);
  expect(cpu.registers.x(3)).toBe(7n);
});

test('random numbers are the same in every run, and say that they succeeded', () => {
  const numbers = [1, 2].map(() => {
    const machine = createTestMachine({ model: 'max' });
    run(machine, [WORD['mrs x3, rndr']], []);
    expect(machine.cpus[0]!.process.conditionFlags).toBe(0);
    return machine.cpus[0]!.registers.x(3);
  });
  expect(numbers[0]).toBe(numbers[1]);
  expect(numbers[0]).not.toBe(0n);
});

test('SEVL makes the next WFE go on', () => {
  const machine = createTestMachine();
  run(machine, [WORD.sevl, WORD.wfe], []);
  expect(machine.cpus[0]!.hasEvent).toBe(false);
});

test('a snapshot keeps idle state, events and the random sequence', () => {
  const machine = createTestMachine({ model: 'max' });
  const cpu = machine.cpus[0]!;
  cpu.signalEvent();
  cpu.waitForInterrupt();
  cpu.raiseSerror();
  const state = structuredClone(cpu.save());
  const next = cpu.random();
  cpu.reset(true);
  cpu.restore(state);
  expect([cpu.idle, cpu.hasEvent, cpu.wakeUp, cpu.random()]).toEqual(['waiting-for-interrupt', true, true, next]);
});

test('debuggers see mapped memory whatever its permissions, and no fault remains', () => {
  const machine = createTestMachine();
  const cpu = machine.cpus[0]!;
  cpu.start(BigInt(RAM_BASE), [], 1);
  expect(cpu.translateForDebugger(0x4012_3456n)).toBe(0x4012_3456);
  cpu.write(TRANSLATION_REGISTERS.TCR_EL1, 25n | (4n << 32n));
  cpu.write(TRANSLATION_REGISTERS.TTBR0_EL1, 0x4010_0000n);
  cpu.write(TRANSLATION_REGISTERS.SCTLR_EL1, 1n);
  cpu.translationChanged();
  expect(cpu.translateForDebugger(0x4012_3456n)).toBeUndefined();
  // A 1 GiB block, valid, access flag set
  machine.memory.view.setBigUint64(machine.memory.ramAddress(0x4010_0008), 0x4000_0401n, true);
  expect(cpu.translateForDebugger(0x4012_3456n)).toBe(0x4012_3456);
  expect(cpu.read(EXCEPTION_REGISTERS.FAR_EL1)).toBe(0n);
});
