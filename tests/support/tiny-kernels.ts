/** Kernels of a few instructions, in the formats that `boot` takes. */
import { writeFileSync } from 'node:fs';

import { size64, struct, u16, u32 } from '../../capture/formats/struct.ts';

const IMAGE_SIZE = 65_536;
/** The header takes 64 bytes; the first instruction jumps over it. */
const IMAGE_CODE = 64;
const BRANCH_OVER_HEADER = 0x1400_0010;

/** An arm64 Image. Source: Linux `Documentation/arch/arm64/booting.rst` "Call the kernel image". */
export function tinyImage(instructions: readonly number[]): Buffer {
  const image = Buffer.alloc(IMAGE_SIZE);
  image.writeUInt32LE(BRANCH_OVER_HEADER);
  image.writeBigUInt64LE(BigInt(IMAGE_SIZE), 16);
  image.write('ARM\x64', 56, 'latin1');
  for (const [i, word] of instructions.entries()) image.writeUInt32LE(word, IMAGE_CODE + 4 * i);
  return image;
}

const ELF_HEADER = struct(
  'Elf64_Ehdr',
  {
    magic: u32,
    classAndData: u32,
    padding: size64,
    e_type: u16,
    e_machine: u16,
    e_version: u32,
    e_entry: size64,
    e_phoff: size64,
    e_shoff: size64,
    e_flags: u32,
    e_ehsize: u16,
    e_phentsize: u16,
    e_phnum: u16,
    e_shentsize: u16,
    e_shnum: u16,
    e_shstrndx: u16,
  },
  { order: 'little' },
);
const PROGRAM_HEADER = struct(
  'Elf64_Phdr',
  {
    p_type: u32,
    p_flags: u32,
    p_offset: size64,
    p_vaddr: size64,
    p_paddr: size64,
    p_filesz: size64,
    p_memsz: size64,
    p_align: size64,
  },
  { order: 'little' },
);
const CODE_AT = 0x1000;
const LOAD_ADDRESS = 0x10_0000;
const EM = { x86_64: 62, aarch64: 183 } as const;

/** A vmlinux whose first instruction is at its 64-bit entry. */
export function tinyVmlinux(code: readonly number[], architecture: keyof typeof EM = 'x86_64'): Buffer {
  const file = Buffer.alloc(2 * CODE_AT);
  const header = ELF_HEADER.build({
    magic: 0x464c_457f,
    classAndData: 0x0001_0102,
    e_type: 2,
    e_machine: EM[architecture],
    e_version: 1,
    e_entry: LOAD_ADDRESS,
    e_phoff: ELF_HEADER.size,
    e_ehsize: ELF_HEADER.size,
    e_phentsize: PROGRAM_HEADER.size,
    e_phnum: 1,
  });
  const load = PROGRAM_HEADER.build({
    p_type: 1,
    p_flags: 5,
    p_offset: CODE_AT,
    p_vaddr: LOAD_ADDRESS,
    p_paddr: LOAD_ADDRESS,
    p_filesz: CODE_AT,
    p_memsz: CODE_AT,
    p_align: CODE_AT,
  });
  file.set(header);
  file.set(load, ELF_HEADER.size);
  file.set(code, CODE_AT);
  file.write('Linux version 6.1.0-tiny (x) ', CODE_AT + 0x800, 'latin1');
  return file;
}

/** A64 words that the tests are made of. Source: Arm ARM DDI 0487 "A64 Base Instructions". */
export const A64 = {
  /** b . */
  SPIN: 0x1400_0000,
  WFI: 0xd503_207f,
  /** b .-4 */
  BACK: 0x17ff_ffff,
  HVC: 0xd400_0002,
  /** mov w0, #0x8 then movk w0, #0x8400, lsl #16: PSCI SYSTEM_OFF; movz w0, #9 instead of 8: SYSTEM_RESET. */
  systemOff: [0x5280_0100, 0x72b0_8000, 0xd400_0002],
  systemReset: [0x5280_0120, 0x72b0_8000, 0xd400_0002],
  /** mov x1, #0x09000000: the UART. */
  UART: 0xd2a1_2001,
  /** mov w0, #'h'; strb w0, [x1] */
  PUT_H: [0x5280_0d00, 0x3900_0020],
} as const;

/** x86 code that the tests are made of. Source: Intel SDM vol. 2. */
export const X64 = {
  SPIN: [0xeb, 0xfe],
  /** cli; hlt; jmp to the hlt */
  HALT: [0xfa, 0xf4, 0xeb, 0xfd],
  /** lidt [0], where zeros are: then nothing can be delivered; int3 */
  TRIPLE_FAULT: [0x0f, 0x01, 0x1c, 0x25, 0, 0, 0, 0, 0xcc],
  /** mov $port, %dx; mov $value, %al; out %al, %dx */
  out: (port: number, value: number): number[] => [0x66, 0xba, port & 0xff, port >> 8, 0xb0, value, 0xee],
} as const;

/** Writes a kernel and gives its path back. */
export function writeKernel(path: string, kernel: Uint8Array): string {
  writeFileSync(path, kernel);
  return path;
}
