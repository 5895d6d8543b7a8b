/** A machine's CPUs as debuggers and monitors see them, whatever the architecture. */

import type { Watchpoints } from '../cpu/execute/watchpoints.ts';

/** A mapping of the page tables: consecutive pages of one kind. */
export interface PageMapping {
  /** First virtual address. */
  readonly vaddr: bigint;
  readonly paddr: number;
  /** Bytes. */
  readonly size: number;
  readonly user: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  /** Flags as the architecture's manual names them. */
  readonly flags: string;
}

/** Registers, virtual memory and breakpoints. CPUs are numbered from 0. */
export interface DebugView {
  readonly cpuCount: number;
  /** target.xml, for gdb. */
  readonly description: string;
  /** How many registers from number 0 on gdb's `g` packet has. */
  readonly generalRegisters: number;
  /** A register by its number in the description, little endian. */
  readRegister(cpu: number, register: number): Uint8Array | undefined;
  /** @returns false when there is no such register, or it cannot have this value */
  writeRegister(cpu: number, register: number, bytes: Uint8Array): boolean;
  /** RAM as the CPU maps it, up to the first byte that is not. */
  readMemory(cpu: number, address: bigint, length: number): Uint8Array;
  /** @returns false, with nothing written, when not all of it is mapped RAM */
  writeMemory(cpu: number, address: bigint, bytes: Uint8Array): boolean;
  /** RAM by physical address, up to the first byte that is none. */
  readPhysical(address: bigint, length: number): Uint8Array;
  /** @returns false, with nothing written, when not all of it is RAM */
  writePhysical(address: bigint, bytes: Uint8Array): boolean;
  addBreakpoint(address: bigint): void;
  removeBreakpoint(address: bigint): void;
  /** Data accesses at which CPUs stop, by the address that instructions use. */
  readonly watchpoints: Watchpoints;
  /** gdb wants CPUs to stop behind the instruction that has come to a watchpoint, not before it. */
  readonly stopsAfterAccess: boolean;
  /** Runs one instruction. */
  step(cpu: number): void;
  /** What a CPU does, in one line. */
  describe(cpu: number): string;
  /** A register by the name that the architecture gives it, in lower case: `pc`, `x0`, `rip`, `cr3`. */
  register(cpu: number, name: string): bigint | undefined;
  /** Lines of a register dump, laid out as QEMU's `info registers`. */
  dumpRegisters(cpu: number): readonly string[];
  /** Physical address behind a virtual one as the CPU maps it for privileged code, if it does. */
  translate(cpu: number, vaddr: bigint): number | undefined;
  /** What the CPU's page tables map, in address order, at most `limit` mappings; nothing when paging is off. */
  mappings(cpu: number, limit: number): readonly PageMapping[];
}
