/**
 * What a kernel does between a panic and the jump to the capture kernel, done from outside: registers become crash notes,
 * VMCOREINFO gets the time, the loaded image becomes a state to start from.
 *
 * Sources: Linux v6.12 `kernel/crash_core.c` "__crash_kexec", "crash_save_cpu", `kernel/vmcore_info.c` "crash_save_vmcoreinfo",
 * `arch/arm64/kernel/machine_kexec.c` "machine_kexec", `arch/arm64/kernel/relocate_kernel.S`.
 * The kernel also masks interrupts in the controller; the capture kernel's driver resets it anyway.
 */
import { writeU32 } from '../capture/formats/bytes.ts';
import {
  AARCH64_REGISTERS,
  buildNote,
  buildPrstatus,
  NT,
  parseNotes,
  X86_64_REGISTERS,
  type CpuRegisters,
} from '../capture/formats/elf-notes.ts';
import { FormatError } from '../capture/formats/errors.ts';
import type { BootState } from '../emulator/machine/boot-state.ts';
import { findPlanned, type LoadPlan } from './load-plan.ts';

/** Header of an empty note, which ends a note buffer. */
const NOTE_HEADER_SIZE = 12;

/** Size of `struct elf_prstatus` by architecture decides the size of a CPU's note buffer (`note_buf_t`). */
export function noteBufferSize(architecture: 'aarch64' | 'x86_64'): number {
  return crashNote({ pid: 0, registers: new Map() }, architecture).length;
}

/** One CPU's `crash_notes`: NT_PRSTATUS and the end of notes. */
export function crashNote(cpu: CpuRegisters, architecture: 'aarch64' | 'x86_64'): Uint8Array {
  const names = architecture === 'aarch64' ? AARCH64_REGISTERS : X86_64_REGISTERS;
  const note = buildNote({ name: 'CORE', type: NT.PRSTATUS, descriptor: buildPrstatus(cpu, names) });
  return Buffer.concat([note, new Uint8Array(NOTE_HEADER_SIZE)]);
}

/**
 * The VMCOREINFO note with the time of the crash.
 * @param note as it stands in memory; its size does not change
 * @param seconds since 1970-01-01 UTC
 * @throws FormatError when it is no such note, or is full
 */
export function withCrashTime(note: Uint8Array, seconds: number): Uint8Array {
  const found = parseNotes(note).find(({ name }) => name === 'VMCOREINFO');
  if (found === undefined) throw new FormatError('no VMCOREINFO note', { found: `${note.length} other bytes` });
  const text = Buffer.from(found.descriptor)
    .toString('latin1')
    .replace(/\0.*$/s, '')
    .replace(/CRASHTIME=\d+\n/, '');
  const descriptor = Buffer.from(`${text}CRASHTIME=${Math.floor(seconds)}\n`, 'latin1');
  const written = buildNote({ name: 'VMCOREINFO', type: NT.VMCOREINFO, descriptor });
  if (written.length + NOTE_HEADER_SIZE > note.length)
    throw new FormatError('the VMCOREINFO note is full', {
      expected: `${note.length} bytes`,
      found: `${written.length}`,
    });
  const bytes = new Uint8Array(note.length);
  bytes.set(written);
  // n_descsz counts the text, not its padding.
  writeU32(bytes, 4, descriptor.length);
  return bytes;
}

/**
 * The state in which `machine_kexec` leaves the machine on arm64: MMU off, interrupts masked, x0 the device tree.
 * @param exceptionLevel in which the production kernel was booted
 */
export function captureBootState(plan: LoadPlan, exceptionLevel: 1 | 2): BootState {
  const dtb = plan.dtb ?? findPlanned(plan, 'dtb')?.mem ?? 0;
  return {
    segments: plan.segments.map(({ name, bytes, mem, memsz }) => ({ name, paddr: mem, bytes, memorySize: memsz })),
    entry: { architecture: 'aarch64', pc: plan.entry, x: [BigInt(dtb), 0n, 0n, 0n], exceptionLevel },
  };
}
