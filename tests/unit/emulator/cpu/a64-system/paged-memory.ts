/** A machine whose first 2 MiB of virtual addresses are mapped page by page; from 1 GiB on, RAM is mapped to itself. */
import type { A64Cpu } from '../../../../../emulator/cpu/a64/index.ts';
import {
  EXCEPTION_REGISTERS,
  TRANSLATION_REGISTERS,
} from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { createTestMachine, RAM_BASE, type TestMachine, type TestMachineOptions, writeWords } from './machine.ts';

export const PAGE = 0x1000n;
/** Descriptor bits of a page with AF and an ASID of its own. */
const PAGE_DESCRIPTOR = 0x403n | (1n << 11n);
export const READ_ONLY = 1n << 7n;
export const PXN = 1n << 53n;
const BLOCK = BigInt(RAM_BASE) | 0x401n;

/** Two sets of tables, for two ASIDs. */
const ROOTS = [RAM_BASE + 0x10_0000, RAM_BASE + 0x11_0000] as const;
const VECTORS = RAM_BASE + 0x8000;
const BRANCH_TO_ITSELF = 0x1400_0000;
/** TCR_EL1: T0SZ 25, EPD1, IPS 40 bits, AS: 16-bit ASIDs. */
const TCR = 25n | (1n << 23n) | (2n << 32n) | (1n << 36n);

export interface PagedMachine {
  readonly machine: TestMachine;
  readonly cpus: readonly A64Cpu[];
}

export function createPagedMachine(options: TestMachineOptions = {}): PagedMachine {
  const machine = createTestMachine({ model: 'max', ...options });
  const { view } = machine.memory;
  for (const root of ROOTS) {
    const address = machine.memory.ramAddress(root);
    view.setBigUint64(address, BigInt(root + 0x1000) | 3n, true);
    view.setBigUint64(address + 8, BLOCK, true);
    view.setBigUint64(address + 0x1000, BigInt(root + 0x2000) | 3n, true);
  }
  for (let vector = 0; vector < 0x800; vector += 0x80) writeWords(machine, VECTORS + vector, [BRANCH_TO_ITSELF]);
  for (const cpu of machine.cpus) {
    cpu.start(BigInt(RAM_BASE), [], 1);
    cpu.write(TRANSLATION_REGISTERS.TCR_EL1, TCR);
    cpu.write(TRANSLATION_REGISTERS.TTBR0_EL1, tablesOf(0));
    cpu.write(TRANSLATION_REGISTERS.SCTLR_EL1, 1n);
    cpu.write(TRANSLATION_REGISTERS.CPACR_EL1, 3n << 20n);
    cpu.write(EXCEPTION_REGISTERS.VBAR_EL1, BigInt(VECTORS));
    cpu.translationChanged();
  }
  return { machine, cpus: machine.cpus };
}

/** TTBR0_EL1 of an ASID, 0 or 1. */
export function tablesOf(asid: 0 | 1): bigint {
  return (BigInt(asid) << 48n) | BigInt(ROOTS[asid]);
}

/** Maps a page below 2 MiB, without telling the TLB. @param paddr undefined: nothing is there */
export function mapPage(
  { machine }: PagedMachine,
  vaddr: bigint,
  paddr: number | undefined,
  flags = 0n,
  asid: 0 | 1 = 0,
): void {
  const entry = machine.memory.ramAddress(ROOTS[asid] + 0x2000) + Number(vaddr >> 12n) * 8;
  const descriptor = paddr === undefined ? 0n : BigInt(paddr) | PAGE_DESCRIPTOR | flags;
  machine.memory.view.setBigUint64(entry, descriptor, true);
}

/** Runs a program at a physical address of RAM until it branches to itself. */
export function runAt({ machine, cpus }: PagedMachine, paddr: number, words: readonly number[], index = 0): A64Cpu {
  writeWords(machine, paddr, [...words, BRANCH_TO_ITSELF]);
  return runOn({ machine, cpus }, BigInt(paddr), index);
}

/** Runs what is at an address. */
export function runOn({ machine, cpus }: PagedMachine, pc: bigint, index = 0): A64Cpu {
  const cpu = cpus[index]!;
  cpu.branchTo(pc);
  for (let n = 0; n < 40; n++) machine.engine.runSlice(machine.engine.cpus[index]!, 1);
  return cpu;
}
