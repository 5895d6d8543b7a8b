/** System registers that are no fields of the CPU state block, as plain data: this is what a snapshot holds. */
import { CR0, DR6, DR7 } from './control-bits.ts';

/** GDTR or IDTR. */
export interface TableRegister {
  base: bigint;
  limit: number;
}

/** Registers of one CPU. Numbers are 32-bit words (signed or not) unless said. */
export interface SystemRegisters {
  cr0: number;
  /** Linear address of the last page fault. */
  cr2: bigint;
  /** Physical address, PCID and flags; below 2^52. */
  cr3: number;
  /** PDPTE registers of PAE paging: entries that are present, else 0. */
  pdptes: readonly number[];
  cr4: number;
  efer: number;
  xcr0: number;
  /** Access-disable and write-disable bits of 16 protection keys. */
  pkru: number;
  /** What RDRAND and RDSEED go on from. */
  random: bigint;
  gdtr: TableRegister;
  idtr: TableRegister;
  /** DR0 to DR3. */
  breakpoints: [bigint, bigint, bigint, bigint];
  dr6: number;
  dr7: number;
  star: bigint;
  lstar: bigint;
  cstar: bigint;
  fmask: number;
  kernelGsBase: bigint;
  sysenterCs: number;
  sysenterEsp: bigint;
  sysenterEip: bigint;
  /** Added to the time-stamp counter: IA32_TSC_ADJUST, and what WRMSR of the counter set. */
  tscAdjust: bigint;
  /** MSRs that only keep what was written, by number. */
  storage: Record<number, bigint>;
}

/** IA32_PAT after reset. Source: Intel SDM vol. 3A "Programming the PAT". */
const PAT_RESET = 0x0007_0406_0007_0406n;
export const MSR_PAT = 0x277;

/** Values after reset and INIT. Source: Intel SDM vol. 3A "Processor State After Reset". */
export function resetRegisters(): SystemRegisters {
  return {
    cr0: CR0.CD | CR0.NW | CR0.ET,
    cr2: 0n,
    cr3: 0,
    pdptes: [0, 0, 0, 0],
    cr4: 0,
    efer: 0,
    xcr0: 1,
    pkru: 0,
    random: 0n,
    gdtr: { base: 0n, limit: 0xffff },
    idtr: { base: 0n, limit: 0xffff },
    breakpoints: [0n, 0n, 0n, 0n],
    dr6: DR6.FIXED | 0,
    dr7: DR7.FIXED,
    star: 0n,
    lstar: 0n,
    cstar: 0n,
    fmask: 0,
    kernelGsBase: 0n,
    sysenterCs: 0,
    sysenterEsp: 0n,
    sysenterEip: 0n,
    tscAdjust: 0n,
    storage: { [MSR_PAT]: PAT_RESET },
  };
}
