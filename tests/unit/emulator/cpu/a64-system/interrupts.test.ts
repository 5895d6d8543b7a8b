/** Which interrupts are taken, and where: Arm ARM DDI 0487 "Asynchronous exception types", "Exception vectors". */
import { describe, expect, test } from 'vitest';
import type { A64Cpu } from '../../../../../emulator/cpu/a64/index.ts';
import { EXCEPTION_REGISTERS } from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { HYPERVISOR_REGISTERS } from '../../../../../emulator/cpu/a64/system/registers/hypervisor.ts';
import { createTestMachine, RAM_BASE, writeWords } from './machine.ts';

const VBAR = 0x4010_0000n;
const VBAR_EL2 = 0x4020_0000n;
const PC = 0x4000_1234n;
const HCR = { FMO: 1n << 3n, IMO: 1n << 4n, AMO: 1n << 5n, TGE: 1n << 27n } as const;
const SPSR = { EL0: 0n, EL1t: 4n, EL1h: 5n, EL2h: 9n, F: 1n << 6n, I: 1n << 7n, A: 1n << 8n, D: 1n << 9n } as const;

/** A CPU with PSTATE from an SPSR value. */
function cpuIn(spsr: bigint, hcr?: bigint): A64Cpu {
  const cpu = createTestMachine({ hasEl2: hcr !== undefined }).cpus[0]!;
  cpu.write(EXCEPTION_REGISTERS.VBAR_EL1, VBAR);
  cpu.write(HYPERVISOR_REGISTERS.VBAR_EL2, VBAR_EL2);
  cpu.write(HYPERVISOR_REGISTERS.HCR_EL2, hcr ?? 0n);
  cpu.process.restore(Number(spsr));
  cpu.contextChanged();
  cpu.engine.pc = PC;
  return cpu;
}

function raise(cpu: A64Cpu, line: 'irq' | 'fiq' | 'serror'): void {
  if (line === 'irq') cpu.setIrq(true);
  else if (line === 'fiq') cpu.setFiq(true);
  else cpu.raiseSerror();
}

test.each([
  ['irq', SPSR.EL0, VBAR + 0x480n],
  ['fiq', SPSR.EL0, VBAR + 0x500n],
  ['serror', SPSR.EL0, VBAR + 0x580n],
  ['irq', SPSR.EL1t, VBAR + 0x080n],
  ['irq', SPSR.EL1h, VBAR + 0x280n],
  ['fiq', SPSR.EL1h, VBAR + 0x300n],
  ['serror', SPSR.EL1h, VBAR + 0x380n],
] as const)('%s from SPSR %s goes to %s', (line, spsr, vector) => {
  const cpu = cpuIn(spsr);
  raise(cpu, line);
  expect(cpu.takeInterrupt()).toBe(true);
  expect(cpu.engine.pc).toBe(vector);
  expect(cpu.read(EXCEPTION_REGISTERS.ELR_EL1)).toBe(PC);
  expect(cpu.read(EXCEPTION_REGISTERS.SPSR_EL1) & 0x3cfn).toBe(spsr);
  expect(cpu.process.saved() & 0x3cf).toBe(0x3c5);
});

test.each([
  ['irq', SPSR.I],
  ['fiq', SPSR.F],
  ['serror', SPSR.A],
] as const)('%s waits while its mask is set, and wakes WFI all the same', (line, mask) => {
  const cpu = cpuIn(SPSR.EL1h | mask);
  cpu.waitForInterrupt();
  expect(cpu.idle).toBe('waiting-for-interrupt');
  raise(cpu, line);
  expect(cpu.wakeUp).toBe(true);
  expect(cpu.takeInterrupt()).toBe(false);
  expect(cpu.idle).toBe('running');
  expect(cpu.engine.pc).toBe(PC);
});

test('SError goes before FIQ, and FIQ before IRQ', () => {
  const cpu = cpuIn(SPSR.EL1h);
  for (const line of ['irq', 'fiq', 'serror'] as const) raise(cpu, line);
  const taken = [];
  for (let n = 0; n < 3; n++) {
    cpu.takeInterrupt();
    taken.push(cpu.engine.pc - VBAR);
    if (taken.at(-1) === 0x300n) cpu.setFiq(false);
    cpu.process.restore(Number(SPSR.EL1h));
  }
  expect(taken).toEqual([0x380n, 0x300n, 0x280n]);
});

describe('with EL2', () => {
  test.each([
    ['IMO sends it to EL2, whatever EL1 masks', SPSR.EL1h | SPSR.I, HCR.IMO, VBAR_EL2 + 0x480n],
    ['TGE sends it to EL2 from EL0', SPSR.EL0 | SPSR.I, HCR.TGE, VBAR_EL2 + 0x480n],
    ['at EL2 it needs IMO and an open mask', SPSR.EL2h, HCR.IMO, VBAR_EL2 + 0x280n],
    ['EL1 takes it without IMO', SPSR.EL1h, 0n, VBAR + 0x280n],
    ['at EL2 it waits without IMO', SPSR.EL2h, 0n, undefined],
    ['at EL2 it waits while masked', SPSR.EL2h | SPSR.I, HCR.IMO, undefined],
  ])('%s', (_, spsr, hcr, vector) => {
    const cpu = cpuIn(spsr, hcr);
    cpu.setIrq(true);
    expect(cpu.takeInterrupt()).toBe(vector !== undefined);
    expect(cpu.engine.pc).toBe(vector ?? PC);
  });
});

test('ISR_EL1 shows what is pending, masked or not', () => {
  const cpu = cpuIn(SPSR.EL1h | SPSR.I | SPSR.F | SPSR.A);
  cpu.setIrq(true);
  cpu.raiseSerror();
  expect(cpu.pendingInterrupts()).toBe(0x180n);
});

test('an interrupt that is unmasked by MSR DAIFClr is taken before the next instruction', () => {
  const machine = createTestMachine();
  const cpu = machine.cpus[0]!;
  // msr daifclr, #2; add x0, x0, #1; b .
  writeWords(machine, RAM_BASE, [0xd503_42ff, 0x9100_0400, 0x1400_0000]);
  writeWords(machine, Number(VBAR) + 0x280, [0x1400_0000]);
  cpu.start(BigInt(RAM_BASE), [5n], 1);
  cpu.write(EXCEPTION_REGISTERS.VBAR_EL1, VBAR);
  cpu.setIrq(true);
  const run = (): void => machine.engine.runSlice(machine.engine.cpus[0]!, 100);
  run();
  run();
  expect(cpu.registers.x(0)).toBe(5n);
  expect(cpu.read(EXCEPTION_REGISTERS.ELR_EL1)).toBe(BigInt(RAM_BASE) + 4n);
});
