/**
 * `struct boot_params`: what a 64-bit x86 kernel is told at its entry, with the memory map of a capture kernel.
 *
 * Sources: `Documentation/arch/x86/boot.rst` (v6.12) "64-bit Boot Protocol", `Documentation/arch/x86/zero-page.rst`; Linux v6.12
 * `arch/x86/kernel/kexec-bzimage64.c` "setup_boot_parameters", `arch/x86/kernel/crash.c` "crash_setup_memmap_entries".
 * Not modelled: EFI, IMA; with kexec-tools EDD, which it reads from /sys/firmware/edd.
 */
import { readU32, readU64, readU8, writeU16, writeU32, writeU64 } from '../capture/formats/bytes.ts';
import { UsageError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { HDRS, SETUP_HEADER, type BzImage } from './images.ts';
import { E820_TYPE, type E820Entry } from './running-system.ts';
import { subtractRanges } from './segments.ts';

export const BOOT_PARAMS_SIZE = 4096;
/** `startup_64` lies this far behind `startup_32`; boot.rst "64-bit Boot Protocol". */
export const STARTUP_64 = 0x200;
/** `struct setup_data`: next (8 bytes), type, length; `SETUP_RNG_SEED` of `asm/bootparam.h`. */
const SETUP_DATA = { type: 8, len: 12, data: 16 } as const;
export const SETUP_DATA_HEADER = SETUP_DATA.data;
const SETUP_RNG_SEED = 9;
/** Offsets outside of the setup header. */
const BOOT_PARAMS = {
  ext_ramdisk_image: 0xc0,
  ext_ramdisk_size: 0xc4,
  ext_cmd_line_ptr: 0xc8,
  acpi_rsdp_addr: 0x70,
  e820_entries: 0x1e8,
  e820_table: 0x2d0,
} as const;
/** E820_MAX_ENTRIES_ZEROPAGE, and the size of an entry (addr, size, type). */
export const MOST_E820_ENTRIES = 128;
export const E820_ENTRY_SIZE = 20;
/** Where the length byte of the setup header is: the jump's target. */
const HEADER_END_BASE = 0x202;
/** LOADER_TYPE_KEXEC << 4 of kexec-tools; the kernel's own loader says 0x0D << 4. */
const TYPE_OF_LOADER = 0xd0;

/** What the boot parameters tell. Addresses are physical. */
export interface BootParameters {
  readonly image: BzImage;
  readonly commandLinePaddr: number;
  readonly initrd: PhysicalRange | undefined;
  readonly memoryMap: readonly E820Entry[];
  /** Root pointer of ACPI; 0 lets the kernel look for it. */
  readonly acpiRsdp: number;
  /** `struct screen_info` of the running kernel; undefined: it cannot be read. */
  readonly screenInfo?: Uint8Array | undefined;
  /** First `struct setup_data`. */
  readonly setupData?: number | undefined;
  /** The running kernel's parameters: its disks (EDD) are passed on. */
  readonly running?: Uint8Array | undefined;
}

/** Builds the page. @throws UsageError when the memory map has more entries than the page holds */
export function buildBootParams({ image, ...told }: BootParameters): Uint8Array {
  const params = new Uint8Array(BOOT_PARAMS_SIZE);
  const headerEnd = HEADER_END_BASE + readU8(image.bytes, SETUP_HEADER.jump + 1);
  params.set(image.bytes.subarray(SETUP_HEADER.setup_sects, headerEnd), SETUP_HEADER.setup_sects);
  params.set(told.screenInfo ?? [], SCREEN_INFO_AT);
  writeU16(params, EXT_MEM_K, 0);
  for (const { at, size } of EDD) params.set(told.running?.subarray(at, at + size) ?? [], at);
  params[SETUP_HEADER.type_of_loader] = TYPE_OF_LOADER;
  params[SETUP_HEADER.loadflags] = 0;
  writeAddresses(params, told);
  writeU64(params, SETUP_HEADER.setup_data, BigInt(told.setupData ?? 0));
  return params;
}

/** Offsets that only kexec-tools writes; `include/x86/x86-linux.h` of kexec-tools. */
const TOOLS_PARAMS = {
  cl_magic: 0x20,
  cl_offset: 0x22,
  mount_root_rdonly: 0x1f2,
  root_dev: 0x1fc,
  aux_device_info: 0x1ff,
} as const;
const SCREEN_INFO_AT = 0;
/** Memory beyond 1 MiB by the BIOS, within `struct screen_info`; both loaders clear it. */
const EXT_MEM_K = 2;
/** eddbuf_entries and edd_mbr_sig_buf_entries, edd_mbr_sig_buffer, eddbuf. */
const EDD = [
  { at: 0x1e9, size: 2 },
  { at: 0x290, size: 0x40 },
  { at: 0xd00, size: 0x1ec },
] as const;
/** `struct screen_info`, within which the old protocol's command line has its place. */
export const SCREEN_INFO_SIZE = 0x40;
const SCREEN_INFO = {
  orig_video_cols: 7,
  orig_video_lines: 0xe,
  orig_video_isVGA: 0xf,
  orig_video_points: 0x10,
} as const;
const CL_MAGIC_VALUE = 0xa33f;
/** /dev/hda of old; the command line says better. */
const DEFAULT_ROOT_DEV = 0x300;
/** kexec-tools copies at most this much of the setup header. */
const LONGEST_HEADER = 0x7f;

export const TOOLS_BOOT_PARAMS_SIZE = BOOT_PARAMS_SIZE;

/** What kexec-tools' boot parameters tell. Addresses are physical. */
export interface ToolsBootParameters extends Omit<BootParameters, 'commandLinePaddr' | 'image'> {
  /** Undefined for a kernel without a setup header: an ELF file. */
  readonly image: BzImage | undefined;
  readonly commandLine: string;
  /** Where the parameters go, and the command line in them. */
  readonly paddr: number;
  readonly commandLineOffset: number;
}

/** Builds what kexec-tools calls the real mode data: parameters and command line. */
export function buildToolsBootParams({ image, commandLine, ...told }: ToolsBootParameters): Uint8Array {
  const text = Buffer.from(`${commandLine}\0`, 'latin1');
  const params = new Uint8Array(told.commandLineOffset + text.length);
  setHeader(params, image);
  setScreenInfo(params, told.screenInfo);
  params[SETUP_HEADER.type_of_loader] = TYPE_OF_LOADER;
  params[SETUP_HEADER.loadflags] = 0;
  writeU16(params, TOOLS_PARAMS.cl_magic, CL_MAGIC_VALUE);
  writeU16(params, TOOLS_PARAMS.cl_offset, told.commandLineOffset % 2 ** 16);
  writeU16(params, TOOLS_PARAMS.mount_root_rdonly, 0xffff);
  writeU16(params, TOOLS_PARAMS.root_dev, DEFAULT_ROOT_DEV);
  params[TOOLS_PARAMS.aux_device_info] = 0;
  writeAddresses(params, { ...told, commandLinePaddr: told.paddr + told.commandLineOffset });
  writeU64(params, SETUP_HEADER.setup_data, BigInt(told.setupData ?? 0));
  params.set(text, told.commandLineOffset);
  return params;
}

/** The image's own; without one what `init_linux_parameters` puts there. */
function setHeader(params: Uint8Array, image: BzImage | undefined): void {
  if (image === undefined) {
    writeU32(params, SETUP_HEADER.header, HDRS);
    writeU16(params, SETUP_HEADER.version, 0x0206);
    writeU32(params, SETUP_HEADER.initrd_addr_max, DEFAULT_INITRD_ADDR_MAX);
    writeU32(params, SETUP_HEADER.cmdline_size, COMMAND_LINE_SIZE);
    return;
  }
  const end = HEADER_END_BASE + readU8(image.bytes, SETUP_HEADER.jump + 1);
  const length = Math.min(end - SETUP_HEADER.setup_sects, LONGEST_HEADER);
  const header = image.bytes.subarray(SETUP_HEADER.setup_sects, SETUP_HEADER.setup_sects + length);
  params.set(header, SETUP_HEADER.setup_sects);
}

export const DEFAULT_INITRD_ADDR_MAX = 0x37ff_ffff;
const COMMAND_LINE_SIZE = 2048;

/** That of the running kernel, or that of a text screen. */
function setScreenInfo(params: Uint8Array, screenInfo: Uint8Array | undefined): void {
  if (screenInfo !== undefined) {
    params.set(screenInfo, SCREEN_INFO_AT);
    writeU16(params, EXT_MEM_K, 0);
    return;
  }
  params[SCREEN_INFO.orig_video_cols] = 80;
  params[SCREEN_INFO.orig_video_lines] = 25;
  params[SCREEN_INFO.orig_video_isVGA] = 1;
  params[SCREEN_INFO.orig_video_points] = 16;
}

type Addresses = Pick<BootParameters, 'commandLinePaddr' | 'initrd' | 'acpiRsdp' | 'memoryMap'>;

function writeAddresses(params: Uint8Array, told: Addresses): void {
  writeSplit(params, SETUP_HEADER.cmd_line_ptr, BOOT_PARAMS.ext_cmd_line_ptr, told.commandLinePaddr);
  const { start, end } = told.initrd ?? { start: 0, end: 0 };
  writeSplit(params, SETUP_HEADER.ramdisk_image, BOOT_PARAMS.ext_ramdisk_image, start);
  writeSplit(params, SETUP_HEADER.ramdisk_size, BOOT_PARAMS.ext_ramdisk_size, end - start);
  writeU64(params, BOOT_PARAMS.acpi_rsdp_addr, BigInt(told.acpiRsdp));
  writeMemoryMap(params, told.memoryMap);
}

/** Low and high halves stand apart: the high one came with protocol 2.12. */
function writeSplit(params: Uint8Array, low: number, high: number, value: number): void {
  writeU32(params, low, value % 2 ** 32);
  writeU32(params, high, Math.floor(value / 2 ** 32));
}

function writeMemoryMap(params: Uint8Array, entries: readonly E820Entry[]): void {
  if (entries.length > MOST_E820_ENTRIES)
    throw new UsageError(`the memory map has ${entries.length} entries, boot_params holds ${MOST_E820_ENTRIES}`);
  params[BOOT_PARAMS.e820_entries] = entries.length;
  for (const [i, { start, end, type }] of entries.entries()) {
    const at = BOOT_PARAMS.e820_table + i * E820_ENTRY_SIZE;
    writeU64(params, at, BigInt(start));
    writeU64(params, at + 8, BigInt(end - start));
    writeU32(params, at + 16, type);
  }
}

/** What `struct boot_params` tells a kernel. Addresses are physical. */
export interface ReadBootParams {
  readonly commandLinePaddr: number;
  readonly initrd: PhysicalRange | undefined;
  readonly initSize: number;
  /** First `struct setup_data`; 0 without one. */
  readonly setupData: number;
  readonly memoryMap: readonly E820Entry[];
}

/** Reads the page. @returns undefined when it is none: the setup header's magic is missing */
export function readBootParams(params: Uint8Array): ReadBootParams | undefined {
  if (params.length < BOOT_PARAMS_SIZE || readU32(params, SETUP_HEADER.header) !== HDRS) return undefined;
  const start = readSplit(params, SETUP_HEADER.ramdisk_image, BOOT_PARAMS.ext_ramdisk_image);
  const size = readSplit(params, SETUP_HEADER.ramdisk_size, BOOT_PARAMS.ext_ramdisk_size);
  return {
    commandLinePaddr: readSplit(params, SETUP_HEADER.cmd_line_ptr, BOOT_PARAMS.ext_cmd_line_ptr),
    initrd: size === 0 ? undefined : { start, end: start + size },
    initSize: readU32(params, SETUP_HEADER.init_size),
    setupData: Number(readU64(params, SETUP_HEADER.setup_data)),
    memoryMap: readMemoryMap(params),
  };
}

/** `struct setup_data` with a seed for the kernel's random numbers, the last of its list. */
export function buildSeedData(seed: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(SETUP_DATA.data + seed.length);
  writeU32(bytes, SETUP_DATA.type, SETUP_RNG_SEED);
  writeU32(bytes, SETUP_DATA.len, seed.length);
  bytes.set(seed, SETUP_DATA.data);
  return bytes;
}

/** `acpi_rsdp_addr`; 0 without one. */
export function readAcpiRsdp(params: Uint8Array): number {
  return Number(readU64(params, BOOT_PARAMS.acpi_rsdp_addr));
}

function readSplit(params: Uint8Array, low: number, high: number): number {
  return readU32(params, low) + readU32(params, high) * 2 ** 32;
}

function readMemoryMap(params: Uint8Array): E820Entry[] {
  const count = Math.min(params[BOOT_PARAMS.e820_entries]!, MOST_E820_ENTRIES);
  return Array.from({ length: count }, (_, i) => {
    const at = BOOT_PARAMS.e820_table + i * E820_ENTRY_SIZE;
    const start = Number(readU64(params, at));
    return { start, end: start + Number(readU64(params, at + 8)), type: readU32(params, at + 16) };
  });
}

/** Memory below 1 MiB that the capture kernel may use: it starts other CPUs from there. */
const LOW_MEMORY_END = 0x10_0000;

/**
 * The capture kernel's memory map: low memory, what firmware keeps, and the crash kernel regions less the ELF core header.
 * @param firmware the machine's own map
 */
export function captureMemoryMap(
  firmware: readonly E820Entry[],
  crashRegions: readonly PhysicalRange[],
  elfcorehdr: PhysicalRange,
): E820Entry[] {
  const low = firmware
    .filter(({ type, start }) => type === E820_TYPE.RAM && start < LOW_MEMORY_END)
    .map(({ start, end }) => ({ start, end: Math.min(end, LOW_MEMORY_END) }));
  const kept = ([E820_TYPE.ACPI, E820_TYPE.NVS, E820_TYPE.RESERVED] as const).flatMap(wanted =>
    firmware.filter(({ type }) => type === wanted),
  );
  const usable = subtractRanges(crashRegions, [elfcorehdr]);
  return [...asRam(low), ...kept, ...asRam(usable)];
}

function asRam(ranges: readonly PhysicalRange[]): E820Entry[] {
  return ranges.map(({ start, end }) => ({ start, end, type: E820_TYPE.RAM }));
}
