/**
 * Notes of core files: the envelope, and the per-CPU registers inside `NT_PRSTATUS`.
 *
 * Sources: gABI "Note Section"; `include/uapi/linux/elfcore.h` `struct elf_prstatus` and `arch/{arm64,x86}/include/uapi/asm/ptrace.h`
 * (Linux v6.12). Kernels write vmcore notes with 4-byte alignment; a segment with `p_align` 8 is read with that.
 */
import { alignUp, cString, readU32, readU64, writeU32, writeU64 } from './bytes.ts';

/** n_type of the notes that dumps carry. */
export const NT = { PRSTATUS: 1, VMCOREINFO: 0, QEMU: 0, ARM_PAC_MASK: 0x406 } as const;

/** One note. */
export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
}

const NOTE_HEADER_SIZE = 12;

/**
 * Splits a note segment into notes. A damaged tail ends the list; an all-zero header is padding.
 * @param alignment 4, or 8 when the segment says so
 */
export function parseNotes(bytes: Uint8Array, alignment = 4): ElfNote[] {
  const notes: ElfNote[] = [];
  let offset = 0;
  while (offset + NOTE_HEADER_SIZE <= bytes.length) {
    const nameSize = readU32(bytes, offset);
    const size = readU32(bytes, offset + 4);
    const type = readU32(bytes, offset + 8);
    if (nameSize === 0 && size === 0 && type === 0) {
      offset += NOTE_HEADER_SIZE;
      continue;
    }
    const start = alignUp(offset + NOTE_HEADER_SIZE + nameSize, alignment);
    if (start + size > bytes.length) break;
    notes.push({
      name: cString(bytes, offset + NOTE_HEADER_SIZE, nameSize),
      type,
      descriptor: bytes.subarray(start, start + size),
    });
    offset = alignUp(start + size, alignment);
  }
  return notes;
}

/** Builds one note, padded to 4 bytes. */
export function buildNote({ name, type, descriptor }: ElfNote): Uint8Array {
  const nameSize = name.length + 1;
  const start = alignUp(NOTE_HEADER_SIZE + nameSize, 4);
  const bytes = new Uint8Array(alignUp(start + descriptor.length, 4));
  writeU32(bytes, 0, nameSize);
  writeU32(bytes, 4, descriptor.length);
  writeU32(bytes, 8, type);
  bytes.set(Buffer.from(name, 'latin1'), NOTE_HEADER_SIZE);
  bytes.set(descriptor, start);
  return bytes;
}

/** Bytes of `struct elf_prstatus` before `pr_reg` on 64-bit Linux. */
export const PRSTATUS_REGISTERS_OFFSET = 112;
const PRSTATUS_PID_OFFSET = 32;

/** Names of `struct user_pt_regs`, in order; `arch/arm64/include/uapi/asm/ptrace.h`. */
export const AARCH64_REGISTERS: readonly string[] = [
  ...Array.from({ length: 31 }, (_, index) => `x${index}`),
  'sp',
  'pc',
  'pstate',
];

/** Names of `struct user_regs_struct`, in order; `arch/x86/include/asm/user_64.h`. */
export const X86_64_REGISTERS: readonly string[] =
  'r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss fs_base gs_base ds es fs gs'.split(' ');

/** Registers of one CPU at the time of the crash. */
export interface CpuRegisters {
  readonly pid: number;
  readonly registers: ReadonlyMap<string, bigint>;
}

/** Reads an `NT_PRSTATUS` descriptor, or undefined when it is too short. */
export function parsePrstatus(descriptor: Uint8Array, names: readonly string[]): CpuRegisters | undefined {
  if (descriptor.length < PRSTATUS_REGISTERS_OFFSET + 8 * names.length) return undefined;
  const registers = new Map<string, bigint>();
  for (const [index, name] of names.entries()) {
    registers.set(name, readU64(descriptor, PRSTATUS_REGISTERS_OFFSET + 8 * index));
  }
  return { pid: readU32(descriptor, PRSTATUS_PID_OFFSET), registers };
}

/**
 * Builds an `NT_PRSTATUS` descriptor.
 * @param names registers in the order of the architecture; those without a value are zero
 */
export function buildPrstatus({ pid, registers }: CpuRegisters, names: readonly string[]): Uint8Array {
  // pr_fpvalid and padding follow the registers.
  const descriptor = new Uint8Array(PRSTATUS_REGISTERS_OFFSET + 8 * names.length + 8);
  writeU32(descriptor, PRSTATUS_PID_OFFSET, pid);
  for (const [index, name] of names.entries())
    writeU64(descriptor, PRSTATUS_REGISTERS_OFFSET + 8 * index, registers.get(name) ?? 0n);
  return descriptor;
}
