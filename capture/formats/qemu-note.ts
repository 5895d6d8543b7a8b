/**
 * QEMU's own note in cores of x86_64 machines: a CPU's registers with segments, tables and control registers.
 *
 * Source: QEMU 7.2 `target/i386/arch_dump.c` (`QEMUCPUState`, version 1). crash finds the kernel by CR3 and IDT when
 * there is no VMCOREINFO.
 */
import { writeU32, writeU64 } from './bytes.ts';
import { NT } from './elf-notes.ts';
import type { ElfNote } from './elf-notes.ts';

const VERSION = 1;
/** General registers in the note's order, by the names of `X86_64_REGISTERS`. */
const GENERAL = 'ax bx cx dx si di sp bp r8 r9 r10 r11 r12 r13 r14 r15 ip flags'.split(' ');
/** Segments and tables in the note's order. */
export const QEMU_SEGMENTS = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'ldt', 'tr', 'gdt', 'idt'] as const;
const SEGMENT_SIZE = 24;
const CONTROL_REGISTERS = 5;
const SIZE = 8 + 8 * GENERAL.length + SEGMENT_SIZE * QEMU_SEGMENTS.length + 8 * CONTROL_REGISTERS + 8;

/** A segment register, or GDTR or IDTR with only base and limit. */
export interface QemuSegment {
  readonly selector: number;
  /** Last valid offset. */
  readonly limit: number;
  /** Bits 8 to 23 of the descriptor's second word, at their place. */
  readonly flags: number;
  readonly base: bigint;
}

/** What the note holds beyond the general registers. */
export interface QemuCpuState {
  readonly segments: Readonly<Record<(typeof QEMU_SEGMENTS)[number], QemuSegment>>;
  /** CR0 to CR4. */
  readonly controlRegisters: readonly bigint[];
  readonly kernelGsBase: bigint;
}

/** Makes the note of one CPU. @param registers general registers by the names of `X86_64_REGISTERS` */
export function qemuNote(registers: ReadonlyMap<string, bigint>, state: QemuCpuState): ElfNote {
  const bytes = new Uint8Array(SIZE);
  writeU32(bytes, 0, VERSION);
  writeU32(bytes, 4, SIZE);
  let at = 8;
  for (const name of GENERAL) {
    writeU64(bytes, at, registers.get(name) ?? 0n);
    at += 8;
  }
  for (const name of QEMU_SEGMENTS) {
    const { selector, limit, flags, base } = state.segments[name];
    writeU32(bytes, at, selector);
    writeU32(bytes, at + 4, limit);
    writeU32(bytes, at + 8, flags);
    writeU64(bytes, at + 16, base);
    at += SEGMENT_SIZE;
  }
  for (const value of [...state.controlRegisters, state.kernelGsBase]) {
    writeU64(bytes, at, value);
    at += 8;
  }
  return { name: 'QEMU', type: NT.QEMU, descriptor: bytes };
}
