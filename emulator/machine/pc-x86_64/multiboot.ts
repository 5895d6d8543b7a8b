/**
 * Boots an ELF file with a Multiboot header, as QEMU's `-kernel` does: operating systems and tests that are no Linux.
 *
 * Source: "Multiboot Specification version 0.6.96", "OS image format", "Machine state", "Boot information format"; the fields that
 * QEMU 7.2 hw/i386/multiboot.c fills in.
 * Modelled: ELF32 images, command line, memory map, one module (the initrd).
 * Not modelled: load addresses in the header (a.out), video modes, ELF64 images, which QEMU refuses, too.
 */
import { ImageError } from '../../../capture/formats/errors.ts';
import { writeU32, writeU64 } from '../../../capture/formats/bytes.ts';
import { PT } from '../../../capture/formats/elf.ts';
import { findMultibootFlags, MULTIBOOT_FLAG } from '../../../capture/formats/multiboot.ts';
import { raw, struct, u16, u32 } from '../../../capture/formats/struct.ts';
import type { BootState, LoadSegment } from '../boot-state.ts';
import type { AcpiConfig } from './acpi-tables.ts';
import {
  commandLineBytes,
  firmwareSegments,
  initrdLimit,
  type PcLinuxBoot,
  placeInitrd,
  readingKernel,
  segment,
  segmentOutsideMemory,
} from './boot-segments.ts';
import { buildE820 } from './e820.ts';
import { buildFirmwareTables } from './firmware-tables.ts';
import { LAYOUT, ramRanges } from './layout.ts';

/** What EAX holds at the entry. */
const BOOTLOADER_MAGIC = 0x2bad_b002;

const ELF32_EHDR = struct('Elf32_Ehdr', {
  e_ident: raw(16),
  e_type: u16,
  e_machine: u16,
  e_version: u32,
  e_entry: u32,
  e_phoff: u32,
  e_shoff: u32,
  e_flags: u32,
  e_ehsize: u16,
  e_phentsize: u16,
  e_phnum: u16,
});
const ELF32_PHDR = struct('Elf32_Phdr', {
  p_type: u32,
  p_offset: u32,
  p_vaddr: u32,
  p_paddr: u32,
  p_filesz: u32,
  p_memsz: u32,
});

/** Where the boot information, the command line and the memory map are: conventional memory below the EBDA. */
const INFO = { AT: 0x9_0000, COMMAND_LINE: 0x9_1000, MODULES: 0x200, MEMORY_MAP: 0x400 } as const;
const COMMAND_LINE_LIMIT = 4095;
const INFO_FLAG = { MEMORY: 1, COMMAND_LINE: 4, MODULES: 8, MEMORY_MAP: 64 } as const;
/** Bytes of an entry behind its own size. */
const MAP_ENTRY = 20;
/** The loader puts its own name in front, as the path of the kernel. */
const PROGRAM = 'kernel';

/** @throws ImageError when it cannot be booted on a PC or does not fit into memory */
export function multibootBoot({ kernel, initrd, commandLine }: PcLinuxBoot, hardware: AcpiConfig): BootState {
  if ((findMultibootFlags(kernel)! & (MULTIBOOT_FLAG.VIDEO | MULTIBOOT_FLAG.ADDRESSES)) !== 0) {
    throw new ImageError('the Multiboot header asks for a video mode or has load addresses, which is not supported');
  }
  const { entry, segments } = readingKernel(() => readImage(kernel, hardware));
  const end = Math.max(...segments.map(({ paddr, memorySize }) => paddr + memorySize));
  const module = { at: placeInitrd(initrd, initrdLimit(hardware), end), size: initrd?.length ?? 0 };
  return {
    segments: [
      ...firmwareSegments().filter(({ name }) => name === 'bios-data-area'),
      segment('command-line', INFO.COMMAND_LINE, commandLineBytes(`${PROGRAM} ${commandLine}`, COMMAND_LINE_LIMIT)),
      segment('multiboot-information', INFO.AT, information(module, hardware)),
      ...segments,
      ...(initrd ? [segment('initrd', module.at, initrd)] : []),
      ...buildFirmwareTables(hardware).segments,
    ],
    entry: { architecture: 'x86_64', mode: 'protected32', rip: entry, rsi: 0, rbx: INFO.AT, rax: BOOTLOADER_MAGIC },
  };
}

function readImage(kernel: Uint8Array, hardware: AcpiConfig): { entry: number; segments: readonly LoadSegment[] } {
  const header = ELF32_EHDR.parse(kernel);
  const loads = Array.from({ length: header.e_phnum }, (_, i) =>
    ELF32_PHDR.parse(kernel, header.e_phoff + i * header.e_phentsize),
  ).filter(({ p_type, p_memsz }) => p_type === PT.LOAD && p_memsz > 0);
  if (loads.length === 0) throw new ImageError('the ELF file has no segment to load');
  return { entry: header.e_entry, segments: loads.map((load, i) => loadSegment(kernel, load, i, hardware)) };
}

function loadSegment(
  kernel: Uint8Array,
  load: { p_offset: number; p_paddr: number; p_filesz: number; p_memsz: number },
  index: number,
  { board, memoryBytes }: AcpiConfig,
): LoadSegment {
  const { p_paddr: paddr, p_memsz: memorySize, p_offset, p_filesz } = load;
  const isRam = ramRanges(board, memoryBytes).some(({ start, end }) => paddr >= start && paddr + memorySize <= end);
  if (!isRam) throw segmentOutsideMemory(index, paddr);
  if (p_offset + p_filesz > kernel.length || p_filesz > memorySize) {
    throw new ImageError(`not a kernel that can be booted: segment ${index} ends beyond the file`);
  }
  return { name: 'kernel', paddr, bytes: kernel.subarray(p_offset, p_offset + p_filesz), memorySize };
}

/** The boot information with its lists. */
function information(module: { at: number; size: number }, { board, memoryBytes }: AcpiConfig): Uint8Array {
  const map = buildE820(board, memoryBytes);
  const bytes = new Uint8Array(INFO.MEMORY_MAP + map.length * (MAP_ENTRY + 4));
  const hasModule = module.size > 0;
  const { MEMORY, COMMAND_LINE, MODULES, MEMORY_MAP } = INFO_FLAG;
  const upper = map.find(({ addr }) => addr === LAYOUT.HIGH_START)?.size ?? 0;
  writeU32(bytes, 0, MEMORY | COMMAND_LINE | MODULES | MEMORY_MAP);
  writeU32(bytes, 4, LAYOUT.LOW_END / 1024); // mem_lower
  writeU32(bytes, 8, upper / 1024); // mem_upper
  writeU32(bytes, 16, INFO.COMMAND_LINE); // cmdline
  writeU32(bytes, 20, Number(hasModule)); // mods_count
  writeU32(bytes, 24, INFO.AT + INFO.MODULES); // mods_addr
  writeU32(bytes, 44, map.length * (MAP_ENTRY + 4)); // mmap_length
  writeU32(bytes, 48, INFO.AT + INFO.MEMORY_MAP); // mmap_addr
  if (hasModule) {
    writeU32(bytes, INFO.MODULES, module.at); // mod_start
    writeU32(bytes, INFO.MODULES + 4, module.at + module.size); // mod_end
    writeU32(bytes, INFO.MODULES + 8, INFO.COMMAND_LINE); // string
  }
  map.forEach(({ addr, size, type }, i) => {
    const at = INFO.MEMORY_MAP + i * (MAP_ENTRY + 4);
    writeU32(bytes, at, MAP_ENTRY);
    writeU64(bytes, at + 4, BigInt(addr));
    writeU64(bytes, at + 12, BigInt(size));
    writeU32(bytes, at + 20, type);
  });
  return bytes;
}
