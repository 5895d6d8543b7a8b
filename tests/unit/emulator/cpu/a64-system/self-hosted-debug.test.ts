/** Breakpoints, watchpoints and software step. Source: Arm ARM DDI 0487 "AArch64 Self-hosted Debug". */
import { describe, expect, test } from 'vitest';
import type { A64Cpu } from '../../../../../emulator/cpu/a64/index.ts';
import {
  EXCEPTION_REGISTERS,
  TRANSLATION_REGISTERS,
} from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { BREAKPOINT_REGISTERS, DEBUG_REGISTERS } from '../../../../../emulator/cpu/a64/system/registers/debug.ts';
import { a64 } from '../../../../support/a64-assemble.ts';
import { createMappedMachine, exceptionOf, MEMORY, runFrom } from './mapped-memory.ts';
import { RAM_BASE, type TestMachine, writeWords } from './machine.ts';

const CODE = 0x1000n;
const PC = MEMORY.ordinary + CODE;
const DATA = MEMORY.ordinary + 0x4000n;
const STOP = a64('B');
const NOP = 0xd503_201f;
const CLASS = { BREAKPOINT: 0x31, STEP: 0x33, WATCHPOINT: 0x35 } as const;
const DEBUG = 0x22;
const WnR = 0x40;
const MDSCR = { SS: 1n, KDE: 1n << 13n, MDE: 1n << 15n } as const;
const D = 1 << 9;

/** DBGBCR<n>_EL1 and DBGWCR<n>_EL1. */
const E = 1n;
const EL1 = 1n << 1n;
const EL0 = 2n << 1n;
const ALL_BYTES = 0xffn << 5n;
const [LOAD, STORE] = [1n << 3n, 2n << 3n];
const LINKED = 1n << 20n;
const CONTEXT_LINKED = 3n << 20n;
const LBN = (n: bigint): bigint => n << 16n;

type Names = Readonly<Record<string, bigint>>;

function set(cpu: A64Cpu, registers: Names): void {
  for (const [name, value] of Object.entries(registers)) cpu.write(BREAKPOINT_REGISTERS[name]!, value);
  cpu.debugRegistersWritten();
}

function enable(cpu: A64Cpu, control: bigint): void {
  cpu.write(DEBUG_REGISTERS.OSLSR_EL1, 8n);
  cpu.write(DEBUG_REGISTERS.MDSCR_EL1, control);
  cpu.process.daif &= ~D;
  cpu.contextChanged();
}

describe.each([
  ['interpreted', Number.POSITIVE_INFINITY],
  ['compiled', 1],
])('%s', (_, compileThreshold) => {
  function prepare(words: readonly number[], control = MDSCR.MDE | MDSCR.KDE): { machine: TestMachine; cpu: A64Cpu } {
    const { machine, cpu } = createMappedMachine({ compileThreshold });
    writeWords(machine, RAM_BASE + Number(CODE), [...words, STOP]);
    enable(cpu, control);
    return { machine, cpu };
  }

  describe('a breakpoint', () => {
    const words = [NOP, NOP, NOP];
    function breaks(registers: Names, control?: bigint, context = 0n): boolean {
      const { machine, cpu } = prepare(words, control);
      cpu.write(TRANSLATION_REGISTERS.CONTEXTIDR_EL1, context);
      set(cpu, registers);
      runFrom(machine, cpu, PC);
      const taken = cpu.engine.pc !== PC + 12n;
      if (taken) expect(exceptionOf(cpu)).toEqual({ class: CLASS.BREAKPOINT, iss: DEBUG, returns: PC + 8n, btype: 0 });
      return taken;
    }

    test.each<{ readonly name: string; readonly taken: boolean; readonly registers: Names; readonly control?: bigint }>(
      [
        { name: 'at EL1', taken: true, registers: { DBGBVR2_EL1: PC + 8n, DBGBCR2_EL1: E | EL1 } },
        { name: 'at EL1 and EL0', taken: true, registers: { DBGBVR0_EL1: PC + 8n, DBGBCR0_EL1: E | EL1 | EL0 } },
        { name: 'that is disabled', taken: false, registers: { DBGBVR0_EL1: PC + 8n, DBGBCR0_EL1: EL1 } },
        { name: 'for EL0', taken: false, registers: { DBGBVR0_EL1: PC + 8n, DBGBCR0_EL1: E | EL0 } },
        { name: 'elsewhere', taken: false, registers: { DBGBVR0_EL1: PC + 0x1008n, DBGBCR0_EL1: E | EL1 } },
        {
          name: 'without MDE',
          taken: false,
          registers: { DBGBVR0_EL1: PC + 8n, DBGBCR0_EL1: E | EL1 },
          control: MDSCR.KDE,
        },
        {
          name: 'without KDE',
          taken: false,
          registers: { DBGBVR0_EL1: PC + 8n, DBGBCR0_EL1: E | EL1 },
          control: MDSCR.MDE,
        },
        {
          name: 'of Secure state',
          taken: false,
          registers: { DBGBVR0_EL1: PC + 8n, DBGBCR0_EL1: E | EL1 | (2n << 14n) },
        },
      ],
    )('$name', ({ taken, registers, control }) => {
      expect(breaks(registers, control)).toBe(taken);
    });

    test('linked to a context matches in that context', () => {
      const registers = {
        DBGBVR0_EL1: PC + 8n,
        DBGBCR0_EL1: E | EL1 | LINKED | LBN(4n),
        DBGBVR4_EL1: 0x55n,
        DBGBCR4_EL1: E | EL1 | CONTEXT_LINKED,
      };
      expect(breaks(registers, undefined, 0x55n)).toBe(true);
      expect(breaks(registers, undefined, 0x56n)).toBe(false);
    });
  });

  describe('a watchpoint', () => {
    const store32 = a64('STR (unsigned offset)', { size: 2, rn: 0, rt: 1 });
    const load64 = a64('LDR (unsigned offset)', { size: 3, rn: 0, rt: 1 });
    const store128 = a64('STP (signed offset)', { sf: 1, rn: 0, rt: 1, rt2: 2 });

    /** @returns FAR_EL1, when it is hit */
    function watches(word: number, address: bigint, registers: Names, control?: bigint): bigint | undefined {
      // an access to the page before it is watched, so that the soft TLB knows it
      const { machine, cpu } = prepare([NOP, word], control);
      cpu.registers.setX(0, address);
      runFrom(machine, cpu, PC);
      set(cpu, registers);
      runFrom(machine, cpu, PC);
      if (cpu.engine.pc === PC + 8n) return undefined;
      const direction = word === load64 ? 0 : WnR;
      expect(exceptionOf(cpu)).toEqual({ class: CLASS.WATCHPOINT, iss: DEBUG | direction, returns: PC + 4n, btype: 0 });
      return cpu.read(EXCEPTION_REGISTERS.FAR_EL1);
    }

    const watch = (value: bigint, control: bigint): Names => ({ DBGWVR1_EL1: value, DBGWCR1_EL1: control });

    test.each<readonly [string, number, bigint, Names, bigint | undefined]>([
      ['stores', store32, DATA, watch(DATA, E | EL1 | STORE | ALL_BYTES), DATA],
      ['not loads', load64, DATA, watch(DATA, E | EL1 | STORE | ALL_BYTES), undefined],
      ['loads', load64, DATA, watch(DATA, E | EL1 | LOAD | ALL_BYTES), DATA],
      ['both', store32, DATA, watch(DATA, E | EL1 | LOAD | STORE | ALL_BYTES), DATA],
      ['the next byte not', store32, DATA + 8n, watch(DATA, E | EL1 | STORE | ALL_BYTES), undefined],
      ['bytes by BAS', store32, DATA + 4n, watch(DATA, E | EL1 | STORE | (0xf0n << 5n)), DATA + 4n],
      ['other bytes by BAS', store32, DATA, watch(DATA, E | EL1 | STORE | (0xf0n << 5n)), undefined],
      ['a word that is no doubleword', store32, DATA + 4n, watch(DATA + 4n, E | EL1 | STORE | (0xfn << 5n)), DATA + 4n],
      ['the second half of a pair', store128, DATA, watch(DATA + 8n, E | EL1 | STORE | ALL_BYTES), DATA + 8n],
      ['an unaligned access', load64, DATA - 3n, watch(DATA, E | EL1 | LOAD | (1n << 5n)), DATA],
      [
        'an access that crosses pages',
        load64,
        DATA + 0xffcn,
        watch(DATA + 0x1000n, E | EL1 | LOAD | (8n << 5n)),
        DATA + 0x1003n,
      ],
      ['and ends before it', load64, DATA + 0xffcn, watch(DATA + 0x1000n, E | EL1 | LOAD | (16n << 5n)), undefined],
      [
        'a range by MASK',
        store32,
        DATA + 0xe44n,
        watch(DATA, E | EL1 | STORE | ALL_BYTES | (12n << 24n)),
        DATA + 0xe44n,
      ],
      ['EL0 only', store32, DATA, watch(DATA, E | EL0 | STORE | ALL_BYTES), undefined],
      ['disabled', store32, DATA, watch(DATA, EL1 | STORE | ALL_BYTES), undefined],
    ])('watches %s', (_name, word, address, registers, far) => {
      expect(watches(word, address, registers)).toBe(far);
    });

    test('needs MDE, and KDE at EL1', () => {
      const registers = watch(DATA, E | EL1 | STORE | ALL_BYTES);
      expect(watches(store32, DATA, registers, MDSCR.KDE)).toBeUndefined();
      expect(watches(store32, DATA, registers, MDSCR.MDE)).toBeUndefined();
    });

    test('leaves memory as it was', () => {
      const { machine, cpu } = prepare([store32]);
      cpu.registers.setX(0, DATA);
      cpu.registers.setX(1, 0x1234n);
      set(cpu, watch(DATA, E | EL1 | STORE | ALL_BYTES));
      runFrom(machine, cpu, PC);
      expect(machine.memory.view.getUint32(machine.memory.ramAddress(RAM_BASE + 0x4000), true)).toBe(0);
    });

    test('that is gone is forgotten', () => {
      const { machine, cpu } = prepare([store32]);
      cpu.registers.setX(0, DATA);
      set(cpu, watch(DATA, E | EL1 | STORE | ALL_BYTES));
      runFrom(machine, cpu, PC);
      set(cpu, watch(DATA, 0n));
      runFrom(machine, cpu, PC);
      expect(cpu.engine.pc).toBe(PC + 4n);
    });
  });

  // ISS: ISV, and EX for a load-exclusive
  test.each<readonly [string, number, bigint, number, number]>([
    ['BLR, which leaves BTYPE', a64('BLR', { rn: 0 }), MEMORY.ordinary + 0x2000n, 1 << 24, 2],
    ['NOP', NOP, PC + 4n, 1 << 24, 0],
    ['LDXR', a64('LDXR', { size: 3, rn: 1, rt: 2 }), PC + 4n, (1 << 24) | (1 << 6), 0],
    ['LDAR', a64('LDAR', { size: 3, rn: 1, rt: 2 }), PC + 4n, 1 << 24, 0],
  ])('software step goes over %s', (_name, word, returns, iss, btype) => {
    const { machine, cpu } = prepare([word], 0n);
    cpu.registers.setX(0, MEMORY.ordinary + 0x2000n);
    cpu.registers.setX(1, DATA);
    const eret = 0x3000n;
    writeWords(machine, RAM_BASE + Number(eret), [a64('ERET')]);
    cpu.write(EXCEPTION_REGISTERS.ELR_EL1, PC);
    // SPSR_EL1: EL1h, SS, D clear
    cpu.write(EXCEPTION_REGISTERS.SPSR_EL1, BigInt((1 << 21) | 0x1c5));
    enable(cpu, MDSCR.SS | MDSCR.KDE);
    cpu.process.daif |= D;
    cpu.contextChanged();
    runFrom(machine, cpu, MEMORY.ordinary + eret);
    expect(exceptionOf(cpu)).toEqual({ class: CLASS.STEP, iss: iss | DEBUG, returns, btype });
  });
});
