/** A machine with its MMU on, whose RAM is mapped twice: at 0 as ordinary, and at its physical address as guarded memory. */
import type { A64Cpu } from '../../../../../emulator/cpu/a64/index.ts';
import {
  EXCEPTION_REGISTERS,
  TRANSLATION_REGISTERS,
} from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { createTestMachine, RAM_BASE, type TestMachine, type TestMachineOptions, writeWords } from './machine.ts';

/** Where RAM begins, by kind of memory. */
export const MEMORY = { ordinary: 0n, guarded: BigInt(RAM_BASE) } as const;
export type MemoryKind = keyof typeof MEMORY;

/** Offset in RAM of the exception vectors, each of which is a branch to itself. */
export const VECTORS = 0x8000;
const TABLE = RAM_BASE + 0x10_0000;
const BRANCH_TO_ITSELF = 0x1400_0000;

/** TCR_EL1: T0SZ 25, EPD1, IPS 40 bits. */
const TCR = 25n | (1n << 23n) | (2n << 32n);
/** CPACR_EL1: vector registers are not trapped. */
const CPACR_FPEN = 3n << 20n;
const TBI0 = 1n << 37n;
/** A block descriptor with AF; AP[1] gives EL0 access to ordinary memory, and takes execution from EL1. */
const BLOCK = BigInt(RAM_BASE) | 0x401n;
const GP = 1n << 50n;

/** SPSR_ELx of the level in which a program runs; everything masked. */
export const PSTATE = { EL0: 0x3c0, EL1: 0x3c5 } as const;

export interface MappedOptions extends TestMachineOptions {
  /** Bits of SCTLR_EL1 besides M. */
  readonly control?: bigint;
  readonly topByteIgnored?: boolean;
}

/** One CPU at EL1 with MMU; SCTLR_EL1 has what is asked for and nothing else. */
export function createMappedMachine({ control = 0n, topByteIgnored = false, ...options }: MappedOptions = {}): {
  machine: TestMachine;
  cpu: A64Cpu;
} {
  const machine = createTestMachine({ model: 'max', ...options });
  const cpu = machine.cpus[0]!;
  cpu.start(MEMORY.guarded, [], 1);
  const address = machine.memory.ramAddress(TABLE);
  machine.memory.view.setBigUint64(address, BLOCK, true);
  machine.memory.view.setBigUint64(address + 8, BLOCK | GP, true);
  for (let vector = 0; vector < 0x800; vector += 0x80)
    writeWords(machine, RAM_BASE + VECTORS + vector, [BRANCH_TO_ITSELF]);
  cpu.write(TRANSLATION_REGISTERS.TCR_EL1, topByteIgnored ? TCR | TBI0 : TCR);
  cpu.write(TRANSLATION_REGISTERS.TTBR0_EL1, BigInt(TABLE));
  cpu.write(TRANSLATION_REGISTERS.SCTLR_EL1, control | 1n);
  cpu.write(TRANSLATION_REGISTERS.CPACR_EL1, CPACR_FPEN);
  cpu.write(EXCEPTION_REGISTERS.VBAR_EL1, MEMORY.guarded + BigInt(VECTORS));
  cpu.translationChanged();
  return { machine, cpu };
}

/** Runs from an address until it branches to itself, with up to this many instructions. */
export function runFrom({ engine }: TestMachine, cpu: A64Cpu, pc: bigint, instructions = 20): void {
  cpu.branchTo(pc);
  for (let n = 0; n < instructions; n++) engine.runSlice(engine.cpus[0]!, 1);
}

/** The exception taken last. */
export function exceptionOf(cpu: A64Cpu): { class: number; iss: number; returns: bigint; btype: number } {
  const { ESR_EL1, ELR_EL1, SPSR_EL1 } = EXCEPTION_REGISTERS;
  const esr = Number(cpu.read(ESR_EL1));
  return {
    class: esr >>> 26,
    iss: esr & 0x1ff_ffff,
    returns: cpu.read(ELR_EL1),
    btype: Number((cpu.read(SPSR_EL1) >> 10n) & 3n),
  };
}
