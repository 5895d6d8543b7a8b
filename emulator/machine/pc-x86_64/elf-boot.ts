/**
 * Boots a vmlinux: at its PVH entry where it has one, as QEMU does, else at its 64-bit entry.
 *
 * Source: Xen "x86/HVM direct boot ABI" (PVH), include/xen/interface/hvm/start_info.h (Linux v6.12); Linux
 * `Documentation/arch/x86/boot.rst` "64-bit Boot Protocol" for what the 64-bit entry expects in `boot_params`.
 * Not modelled: relocation (KASLR moves a bzImage's kernel in its decompressor, which a vmlinux does not have).
 */
import { writeU32, writeU64 } from '../../../capture/formats/bytes.ts';
import { MemorySourceBytes } from '../../../capture/formats/byte-source.ts';
import { type ElfFile, parseElf, PT } from '../../../capture/formats/elf.ts';
import { findPvhEntry } from '../../../capture/formats/elf-pvh.ts';
import { ImageError } from '../../../capture/formats/errors.ts';
import type { BootState, EntryRegisters, LoadSegment } from '../boot-state.ts';
import type { AcpiConfig } from './acpi-tables.ts';
import { bootParams, type BootParamsContents, HDRS, LOADED_HIGH, SETUP_HEADER } from './boot-params.ts';
import {
  BOOT_LAYOUT,
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

const XEN_HVM_START_MAGIC_VALUE = 0x336e_c578;
/** Linux's COMMAND_LINE_SIZE on x86. */
const COMMAND_LINE_LIMIT = 2047;
const BOOT_FLAG = 0xaa55;
const LOADER_UNDEFINED = 0xff;
/** 16 MiB: CONFIG_PHYSICAL_START and CONFIG_PHYSICAL_ALIGN of distributions. */
const KERNEL_ALIGNMENT = 0x100_0000;

/** struct hvm_start_info version 1 and what it points to, one behind the other. */
const START_INFO = { SIZE: 56, MODULE_SIZE: 32, MEMMAP_ENTRY_SIZE: 24 } as const;

/** @throws ImageError when it cannot be booted on a PC or does not fit into memory */
export function elfBoot(boot: PcLinuxBoot, hardware: AcpiConfig): BootState {
  const elf = readElf(boot.kernel);
  const segments = loadSegments(elf, hardware);
  const kernelEnd = Math.max(...segments.map(({ paddr, memorySize }) => paddr + memorySize));
  const { initrd } = boot;
  const tables = buildFirmwareTables(hardware);
  const told: BootParamsContents = {
    rsdp: tables.rsdp,
    e820: buildE820(hardware.board, hardware.memoryBytes),
    initrd: { at: placeInitrd(initrd, initrdLimit(hardware), kernelEnd), size: initrd?.length ?? 0 },
  };
  const pvhEntry = findPvhEntry(elf);
  return {
    segments: [
      ...firmwareSegments(),
      segment('command-line', BOOT_LAYOUT.COMMAND_LINE, commandLineBytes(boot.commandLine, COMMAND_LINE_LIMIT)),
      pvhEntry === undefined
        ? segment('boot-params', BOOT_LAYOUT.BOOT_PARAMS, bootParams(setupHeader(), told))
        : segment('start-info', BOOT_LAYOUT.BOOT_PARAMS, startInfo(told)),
      ...segments,
      ...(initrd ? [segment('initrd', told.initrd.at, initrd)] : []),
      ...tables.segments,
    ],
    entry: pvhEntry === undefined ? longEntry(elf) : pvhRegisters(pvhEntry),
  };
}

function readElf(kernel: Uint8Array): ElfFile {
  return readingKernel(() => parseElf(new MemorySourceBytes('vmlinux', kernel)));
}

/** The parts that go into memory, at their physical addresses. */
function loadSegments(elf: ElfFile, { board, memoryBytes }: AcpiConfig): readonly LoadSegment[] {
  const end = ramRanges(board, memoryBytes)[1]!.end;
  const loads = elf.segments.filter(({ p_type, p_memsz }) => p_type === PT.LOAD && p_memsz > 0);
  if (loads.length === 0) throw new ImageError('the ELF file has no segment to load');
  return loads.map((load, i) => {
    const paddr = Number(load.p_paddr);
    if (paddr < LAYOUT.HIGH_START || paddr + load.p_memsz > end) throw segmentOutsideMemory(i, paddr);
    const bytes = elf.source.read(load.p_offset, load.p_filesz);
    return { name: 'kernel', paddr, bytes, memorySize: load.p_memsz };
  });
}

/** 32-bit flat mode without paging; the start info in EBX. */
function pvhRegisters(rip: number): EntryRegisters {
  return { architecture: 'x86_64', mode: 'protected32', rip, rsi: 0, rbx: BOOT_LAYOUT.BOOT_PARAMS };
}

/** The entry of a vmlinux is a physical address. */
function longEntry({ header }: ElfFile): EntryRegisters {
  const rip = Number(header.e_entry);
  return { architecture: 'x86_64', mode: 'long64', rip, rsi: BOOT_LAYOUT.BOOT_PARAMS, rbx: 0 };
}

/** A vmlinux has no header of its own: what a boot loader would have taken from the bzImage's. */
function setupHeader(): Uint8Array {
  const none = SETUP_HEADER.parse(new Uint8Array(SETUP_HEADER.size), 0);
  return SETUP_HEADER.build({
    ...none,
    boot_flag: BOOT_FLAG,
    header: HDRS,
    type_of_loader: LOADER_UNDEFINED,
    loadflags: LOADED_HIGH,
    kernel_alignment: KERNEL_ALIGNMENT,
    cmdline_size: COMMAND_LINE_LIMIT,
  });
}

function startInfo({ rsdp, e820, initrd }: BootParamsContents): Uint8Array {
  const { SIZE, MODULE_SIZE, MEMMAP_ENTRY_SIZE } = START_INFO;
  const modules = initrd.size > 0 ? 1 : 0;
  const memmapAt = SIZE + MODULE_SIZE;
  const bytes = new Uint8Array(memmapAt + e820.length * MEMMAP_ENTRY_SIZE);
  const paddr = BOOT_LAYOUT.BOOT_PARAMS;
  writeU32(bytes, 0, XEN_HVM_START_MAGIC_VALUE);
  writeU32(bytes, 4, 1); // version
  writeU32(bytes, 12, modules); // nr_modules
  if (modules > 0) writeU64(bytes, 16, BigInt(paddr + SIZE)); // modlist_paddr
  writeU64(bytes, 24, BigInt(BOOT_LAYOUT.COMMAND_LINE)); // cmdline_paddr
  writeU64(bytes, 32, BigInt(rsdp)); // rsdp_paddr
  writeU64(bytes, 40, BigInt(paddr + memmapAt)); // memmap_paddr
  writeU32(bytes, 48, e820.length); // memmap_entries
  writeU64(bytes, SIZE, BigInt(initrd.at));
  writeU64(bytes, SIZE + 8, BigInt(initrd.size));
  for (const [i, { addr, size, type }] of e820.entries()) {
    const at = memmapAt + i * MEMMAP_ENTRY_SIZE;
    writeU64(bytes, at, BigInt(addr));
    writeU64(bytes, at + 8, BigInt(size));
    writeU32(bytes, at + 16, type);
  }
  return bytes;
}
