/** Function identifiers and return codes: PSCI, DEN 0022; answers as QEMU 7.2's `virt`. */
import { describe, expect, test, vi } from 'vitest';
import { EXCEPTION_REGISTERS } from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { createTestMachine, RAM_BASE, type TestMachineOptions, writeWords } from './machine.ts';

const HVC_0 = 0xd400_0002;
const SMC_0 = 0xd400_0003;
const B_SELF = 0x1400_0000;

/** Executes one call and gives X0. */
function call(instruction: number, x: readonly bigint[], options: TestMachineOptions = {}): bigint {
  const machine = createTestMachine(options);
  writeWords(machine, RAM_BASE, [instruction, B_SELF]);
  const cpu = machine.cpus[0]!;
  cpu.start(BigInt(RAM_BASE), x, 1);
  machine.engine.runSlice(machine.engine.cpus[0]!, 10);
  return cpu.registers.x(0);
}

/** A 32-bit return code, sign-extended as QEMU's. */
const code = (value: bigint): bigint => BigInt.asUintN(64, value);

test.each([
  ['PSCI_VERSION', [0x8400_0000n], 0x1_0001n],
  ['PSCI_FEATURES of CPU_ON', [0x8400_000an, 0xc400_0003n], 0n],
  ['PSCI_FEATURES of SYSTEM_RESET2', [0x8400_000an, 0xc400_0012n], 0n],
  ['PSCI_FEATURES of SMCCC_VERSION', [0x8400_000an, 0x8000_0000n], code(-1n)],
  ['SMCCC_VERSION', [0x8000_0000n], code(-1n)],
  ['MIGRATE_INFO_TYPE', [0x8400_0006n], 2n],
  ['an unknown function', [0x1234n], code(-1n)],
])('%s answers', (_, x, result) => {
  expect(call(HVC_0, x)).toBe(result);
});

test.each([
  ['success', 0n],
  ['already-on', code(-4n)],
  ['on-pending', code(-5n)],
  ['invalid-parameters', code(-2n)],
  ['invalid-address', code(-9n)],
] as const)('CPU_ON with result %s', (result, x0) => {
  const cpuOn = vi.fn(() => result);
  expect(call(HVC_0, [0xc400_0003n, 0x101n, 0x4100_0000n, 0x42n], { psci: { cpuOn } })).toBe(x0);
  expect(cpuOn).toHaveBeenCalledWith(0x101n, 0x4100_0000n, 0x42n, 1);
});

test.each([
  ['on', true, 0n],
  ['off', false, 1n],
  ['absent', undefined, code(-2n)],
])('AFFINITY_INFO of a CPU that is %s', (_, isOn, x0) => {
  expect(call(HVC_0, [0xc400_0004n, 1n, 0n], { psci: { cpuIsOn: () => isOn } })).toBe(x0);
});

test('32-bit calls ignore the upper half of their arguments', () => {
  const cpuOn = vi.fn(() => 'success' as const);
  call(HVC_0, [0x8400_0003n, 0xffff_ffff_0000_0001n, 0x1_4100_0000n, 0n], { psci: { cpuOn } });
  expect(cpuOn).toHaveBeenCalledWith(1n, 0x4100_0000n, 0n, 1);
});

test('SYSTEM_OFF and SYSTEM_RESET reach the machine', () => {
  const systemOff = vi.fn();
  const systemReset = vi.fn();
  call(HVC_0, [0x8400_0008n], { psci: { systemOff, systemReset } });
  expect(systemOff).toHaveBeenCalledOnce();
  call(HVC_0, [0x8400_0009n], { psci: { systemOff, systemReset } });
  expect(systemReset).toHaveBeenCalledOnce();
});

test('CPU_OFF stops the CPU, and CPU_SUSPEND waits for an interrupt', () => {
  const machine = createTestMachine();
  const cpu = machine.cpus[0]!;
  writeWords(machine, RAM_BASE, [HVC_0, B_SELF]);
  cpu.start(BigInt(RAM_BASE), [0xc400_0001n], 1);
  machine.engine.runSlice(machine.engine.cpus[0]!, 10);
  expect(cpu.idle).toBe('waiting-for-interrupt');
  cpu.start(BigInt(RAM_BASE), [0x8400_0002n], 1);
  machine.engine.runSlice(machine.engine.cpus[0]!, 10);
  expect(cpu.idle).toBe('off');
});

describe('the other conduit', () => {
  /** ESR_EL1 of an UNDEFINED instruction. */
  const UNKNOWN = 0x200_0000n;
  test.each([
    ['SMC where PSCI is called by HVC', SMC_0, 'hvc'],
    ['HVC where PSCI is called by SMC', HVC_0, 'smc'],
  ] as const)('%s is UNDEFINED', (_, instruction, psciConduit) => {
    const machine = createTestMachine({ psciConduit });
    const cpu = machine.cpus[0]!;
    writeWords(machine, RAM_BASE, [instruction]);
    writeWords(machine, RAM_BASE + 0x200, [B_SELF]);
    cpu.start(BigInt(RAM_BASE), [0x8400_0000n], 1);
    cpu.write(EXCEPTION_REGISTERS.VBAR_EL1, BigInt(RAM_BASE));
    machine.engine.runSlice(machine.engine.cpus[0]!, 10);
    expect(cpu.read(EXCEPTION_REGISTERS.ESR_EL1)).toBe(UNKNOWN);
    expect(cpu.registers.x(0)).toBe(0x8400_0000n);
  });
});
