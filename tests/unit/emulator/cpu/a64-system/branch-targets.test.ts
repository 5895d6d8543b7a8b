/** PSTATE.BTYPE and Branch Target exceptions. Source: Arm ARM DDI 0487 "PSTATE.BTYPE", "Effect of entering a guarded page". */
import { describe, expect, test } from 'vitest';
import { EXCEPTION_REGISTERS } from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { HOST_CALL_WORD } from '../../../../../emulator/cpu/a64/index.ts';
import { a64 } from '../../../../support/a64-assemble.ts';
import {
  createMappedMachine,
  exceptionOf,
  MEMORY,
  type MemoryKind,
  PSTATE,
  runFrom,
  VECTORS,
} from './mapped-memory.ts';
import { RAM_BASE, writeWords } from './machine.ts';

const SOURCE = 0x1000n;
const TARGET = 0x2000n;
const BTI_EXCEPTION = 0x0d;
const BREAKPOINT_INSTRUCTION = 0x3c;
/** SCTLR_EL1. */
const BT1 = 1n << 36n;

const MARK = a64('MOVZ', { sf: 1, imm16: 7, rd: 9 });
const STOP = a64('B');
const WORD = {
  BTI: a64('BTI', { target: 0 }),
  'BTI c': a64('BTI', { target: 1 }),
  'BTI j': a64('BTI', { target: 2 }),
  'BTI jc': a64('BTI', { target: 3 }),
  PACIASP: a64('PACIASP'),
  PACIBSP: a64('PACIBSP'),
  NOP: 0xd503_201f,
  'an unallocated word': 0,
} as const;
const BRANCH = {
  'BR X0': a64('BR', { rn: 0 }),
  'BR X16': a64('BR', { rn: 16 }),
  'BR X17': a64('BR', { rn: 17 }),
  'BLR X0': a64('BLR', { rn: 0 }),
  'RET X0': a64('RET', { rn: 0 }),
  'BRAAZ X0': a64('BRAAZ/BZ', { rn: 0 }),
  'BLRAAZ X0': a64('BLRAAZ/BZ', { rn: 0 }),
  B: a64('B', { imm26: Number(TARGET - SOURCE) / 4 }),
} as const;

type Target = keyof typeof WORD;
type Branch = keyof typeof BRANCH;

describe.each([
  ['interpreted', Number.POSITIVE_INFINITY],
  ['compiled', 1],
])('%s', (_, compileThreshold) => {
  /** Branches from one kind of memory to another. @returns PSTATE.BTYPE of the Branch Target exception, or 'arrives' */
  function branch(how: Branch, from: MemoryKind, to: MemoryKind, target: Target, control = 0n): number | 'arrives' {
    const { machine, cpu } = createMappedMachine({ compileThreshold, control });
    writeWords(machine, RAM_BASE + Number(SOURCE), [BRANCH[how]]);
    writeWords(machine, RAM_BASE + Number(TARGET), [WORD[target], MARK, STOP]);
    for (const n of [0, 16, 17]) cpu.registers.setX(n, MEMORY[to] + TARGET);
    runFrom(machine, cpu, MEMORY[from] + SOURCE);
    if (cpu.registers.x(9) === 7n) return 'arrives';
    const exception = exceptionOf(cpu);
    expect(exception).toEqual({
      class: BTI_EXCEPTION,
      iss: exception.iss,
      returns: MEMORY[to] + TARGET,
      btype: exception.iss,
    });
    return exception.iss;
  }

  test.each<readonly [Branch, number, readonly Target[], readonly Target[]]>([
    ['BLR X0', 2, ['BTI c', 'BTI jc', 'PACIASP', 'PACIBSP'], ['BTI', 'BTI j', 'NOP', 'an unallocated word']],
    ['BLRAAZ X0', 2, ['BTI c', 'PACIASP'], ['BTI j', 'NOP']],
    ['BR X16', 1, ['BTI c', 'BTI j', 'BTI jc', 'PACIASP', 'PACIBSP'], ['BTI', 'NOP']],
    ['BR X17', 1, ['BTI c', 'BTI j', 'PACIASP'], ['BTI', 'NOP']],
    ['BR X0', 3, ['BTI j', 'BTI jc', 'PACIASP', 'PACIBSP'], ['BTI', 'BTI c', 'NOP']],
    ['BRAAZ X0', 3, ['BTI j', 'BTI jc'], ['BTI c', 'NOP']],
  ])('%s within guarded memory has BTYPE %i', (how, btype, allowed, refused) => {
    for (const target of allowed)
      expect([target, branch(how, 'guarded', 'guarded', target)]).toEqual([target, 'arrives']);
    for (const target of refused) expect([target, branch(how, 'guarded', 'guarded', target)]).toEqual([target, btype]);
  });

  test.each<readonly [Branch, Target, number | 'arrives']>([
    ['BR X0', 'BTI c', 'arrives'],
    ['BR X0', 'NOP', 1],
    ['BLR X0', 'NOP', 2],
    ['RET X0', 'NOP', 'arrives'],
  ])('%s from ordinary memory to %s', (how, target, outcome) => {
    expect(branch(how, 'ordinary', 'guarded', target)).toBe(outcome);
  });

  test.each<Branch>(['BR X0', 'BLR X0', 'RET X0', 'B'])('%s goes anywhere in ordinary memory', how => {
    expect(branch(how, 'guarded', 'ordinary', 'NOP')).toBe('arrives');
  });

  test.each<Branch>(['RET X0', 'B'])('%s goes anywhere in guarded memory', how => {
    expect(branch(how, 'guarded', 'guarded', 'NOP')).toBe('arrives');
  });

  test('SCTLR_EL1.BT1 makes PACIASP no target of BR through any register', () => {
    expect(branch('BR X0', 'guarded', 'guarded', 'PACIASP', BT1)).toBe(3);
    expect(branch('BR X16', 'guarded', 'guarded', 'PACIASP', BT1)).toBe('arrives');
    expect(branch('BLR X0', 'guarded', 'guarded', 'PACIBSP', BT1)).toBe('arrives');
  });

  test('BRK is a landing pad, and its exception saves BTYPE', () => {
    const { machine, cpu } = createMappedMachine({ compileThreshold });
    writeWords(machine, RAM_BASE + Number(SOURCE), [BRANCH['BLR X0']]);
    writeWords(machine, RAM_BASE + Number(TARGET), [a64('BRK', { imm16: 5 })]);
    cpu.registers.setX(0, MEMORY.guarded + TARGET);
    runFrom(machine, cpu, MEMORY.guarded + SOURCE);
    expect(exceptionOf(cpu)).toEqual({
      class: BREAKPOINT_INSTRUCTION,
      iss: 5,
      returns: MEMORY.guarded + TARGET,
      btype: 2,
    });
  });

  test("the host's call may stand in place of a landing pad", () => {
    const { machine, cpu } = createMappedMachine({ compileThreshold });
    writeWords(machine, RAM_BASE + Number(SOURCE), [BRANCH['BLR X0']]);
    writeWords(machine, RAM_BASE + Number(TARGET), [HOST_CALL_WORD.hvc, MARK, STOP]);
    cpu.hostCall = () => cpu.branchTo(cpu.engine.pc + 4n);
    cpu.registers.setX(0, MEMORY.guarded + TARGET);
    runFrom(machine, cpu, MEMORY.guarded + SOURCE);
    expect(cpu.registers.x(9)).toBe(7n);
  });

  test('an interrupt at the target saves BTYPE, and its return brings it back', () => {
    const { machine, cpu } = createMappedMachine({ compileThreshold });
    const target = MEMORY.guarded + TARGET;
    writeWords(machine, RAM_BASE + Number(SOURCE), [BRANCH['BLR X0']]);
    writeWords(machine, RAM_BASE + Number(TARGET), [WORD.NOP, STOP]);
    writeWords(machine, RAM_BASE + VECTORS + 0x280, [a64('ERET')]);
    cpu.registers.setX(0, target);
    cpu.process.daif = 0;
    cpu.branchTo(MEMORY.guarded + SOURCE);
    const cpuOfEngine = machine.engine.cpus[0]!;
    machine.engine.runSlice(cpuOfEngine, 1);
    expect([cpu.engine.pc, cpu.branchType]).toEqual([target, 2]);
    cpu.setIrq(true);
    expect(cpu.takeInterrupt()).toBe(true);
    expect(exceptionOf(cpu)).toMatchObject({ returns: target, btype: 2 });
    expect(cpu.branchType).toBe(0);
    cpu.setIrq(false);
    machine.engine.runSlice(cpuOfEngine, 1);
    expect([cpu.engine.pc, cpu.branchType]).toEqual([target, 2]);
    machine.engine.runSlice(cpuOfEngine, 1);
    expect(exceptionOf(cpu)).toMatchObject({ class: BTI_EXCEPTION, iss: 2, returns: target, btype: 2 });
  });

  test('ERET goes anywhere with BTYPE 0 in SPSR_EL1', () => {
    const { machine, cpu } = createMappedMachine({ compileThreshold });
    writeWords(machine, RAM_BASE + Number(SOURCE), [a64('ERET')]);
    writeWords(machine, RAM_BASE + Number(TARGET), [WORD.NOP, MARK, STOP]);
    cpu.write(EXCEPTION_REGISTERS.ELR_EL1, MEMORY.guarded + TARGET);
    cpu.write(EXCEPTION_REGISTERS.SPSR_EL1, BigInt(PSTATE.EL1));
    runFrom(machine, cpu, MEMORY.guarded + SOURCE);
    expect(cpu.registers.x(9)).toBe(7n);
  });

  test.each<readonly [string, number]>([
    ['RET', a64('RET', { rn: 0 })],
    ['BR', a64('BR', { rn: 0 })],
    ['BLR', a64('BLR', { rn: 0 })],
  ])('%s to an address that is not aligned is a PC alignment fault at that address', (_name, word) => {
    for (const low of [1n, 2n, 3n]) {
      const { machine, cpu } = createMappedMachine({ compileThreshold });
      writeWords(machine, RAM_BASE + Number(SOURCE), [word]);
      const target = MEMORY.guarded + TARGET + low;
      cpu.registers.setX(0, target);
      runFrom(machine, cpu, MEMORY.guarded + SOURCE);
      expect(exceptionOf(cpu)).toEqual({ class: 0x22, iss: 0, returns: target, btype: 0 });
      expect(cpu.read(EXCEPTION_REGISTERS.FAR_EL1)).toBe(target);
    }
  });

  test('a fetch that faults reports the target without its BTYPE', () => {
    const { machine, cpu } = createMappedMachine({ compileThreshold });
    writeWords(machine, RAM_BASE + Number(SOURCE), [BRANCH['BLR X0']]);
    cpu.registers.setX(0, 0x8000_0000n);
    runFrom(machine, cpu, MEMORY.guarded + SOURCE);
    // Instruction abort at EL1, translation fault at level 1
    expect(exceptionOf(cpu)).toEqual({ class: 0x21, iss: 5, returns: 0x8000_0000n, btype: 2 });
    expect(cpu.read(EXCEPTION_REGISTERS.FAR_EL1)).toBe(0x8000_0000n);
  });
});

describe('a target with a tag', () => {
  test.each(['cortex-a57', 'max'] as const)('loses it where TCR_EL1.TBI0 ignores the top byte, on %s', model => {
    const { machine, cpu } = createMappedMachine({ model, topByteIgnored: true });
    writeWords(machine, RAM_BASE + Number(SOURCE), [a64('BLR', { rn: 0 })]);
    writeWords(machine, RAM_BASE + Number(TARGET), [WORD['BTI c'], a64('ADR', { rd: 9 }), STOP]);
    cpu.registers.setX(0, (0x5an << 56n) | (MEMORY.guarded + TARGET));
    runFrom(machine, cpu, MEMORY.guarded + SOURCE);
    expect(cpu.registers.x(9)).toBe(MEMORY.guarded + TARGET + 4n);
    expect(cpu.engine.pc).toBe(MEMORY.guarded + TARGET + 8n);
  });
  test('faults where it does not', () => {
    const { machine, cpu } = createMappedMachine({});
    writeWords(machine, RAM_BASE + Number(SOURCE), [a64('BLR', { rn: 0 })]);
    const target = (0x5an << 56n) | (MEMORY.guarded + TARGET);
    cpu.registers.setX(0, target);
    runFrom(machine, cpu, MEMORY.guarded + SOURCE);
    expect(exceptionOf(cpu)).toMatchObject({ class: 0x21, returns: target });
  });
});
