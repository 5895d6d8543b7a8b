/**
 * Boots a Linux bzImage on a PC without firmware: places kernel, initrd, command line and `boot_params`, and starts the boot CPU
 * at the kernel's 64-bit entry point with what firmware would have left behind.
 *
 * Source: Linux `Documentation/arch/x86/boot.rst` "64-bit Boot Protocol", "The Real-Mode Kernel Header", and
 * `Documentation/arch/x86/zero-page.rst`; QEMU 7.2 hw/i386/x86.c `x86_load_linux` for the addresses of kernel and initrd.
 * Modelled: the memory map, the ACPI root pointer, the BIOS data area's words that kernels look for. Not modelled: video modes, EDD,
 * APM (QEMU's kernels find none of them either when it has no disk that the BIOS knows, and no VGA).
 */
import { alignUp, readU32, writeU16, writeU32, writeU64 } from '../../../capture/formats/bytes.ts';
import { ImageError } from '../../../capture/formats/errors.ts';
import { size64, struct, u16, u32, u8 } from '../../../capture/formats/struct.ts';
import type { BootState, LoadSegment } from '../boot-state.ts';
import { type AcpiConfig, buildAcpiTables } from './acpi-tables.ts';
import { buildE820, type E820Entry } from './e820.ts';
import { acpiTablesBase, LAYOUT } from './layout.ts';

/** A Linux kernel and what goes with it. */
export interface PcLinuxBoot {
  /** A bzImage. */
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
}

/** Where the loader's own tables are, in conventional memory. */
export const BOOT_LAYOUT = {
  /** The BIOS data area. */
  BDA: 0x400,
  GDT: 0x1000,
  /** PML4, PDPT and four page directories: 4 GiB mapped to itself. */
  PAGE_TABLES: 0x2000,
  BOOT_PARAMS: 0x1_0000,
  COMMAND_LINE: 0x2_0000,
  /** The protected-mode kernel of a bzImage. */
  KERNEL: LAYOUT.HIGH_START,
} as const;

/** Selectors 0x10 (64-bit code) and 0x18 (data), as the 64-bit boot protocol wants them. */
const GDT_ENTRIES = [0n, 0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn] as const;
export const GDT_LIMIT = GDT_ENTRIES.length * 8 - 1;

/** `struct setup_header`, from 0x1f1 of the file and of `boot_params`. */
const SETUP_HEADER = struct(
  'setup_header',
  {
    setup_sects: u8,
    root_flags: u16,
    syssize: u32,
    ram_size: u16,
    vid_mode: u16,
    root_dev: u16,
    boot_flag: u16,
    jump: u16,
    header: u32,
    version: u16,
    realmode_swtch: u32,
    start_sys_seg: u16,
    kernel_version: u16,
    type_of_loader: u8,
    loadflags: u8,
    setup_move_size: u16,
    code32_start: u32,
    ramdisk_image: u32,
    ramdisk_size: u32,
    bootsect_kludge: u32,
    heap_end_ptr: u16,
    ext_loader_ver: u8,
    ext_loader_type: u8,
    cmd_line_ptr: u32,
    initrd_addr_max: u32,
    kernel_alignment: u32,
    relocatable_kernel: u8,
    min_alignment: u8,
    xloadflags: u16,
    cmdline_size: u32,
    hardware_subarch: u32,
    hardware_subarch_data: size64,
    payload_offset: u32,
    payload_length: u32,
    setup_data: size64,
    pref_address: size64,
    init_size: u32,
  },
  { packed: true, order: 'little' },
);
const SETUP_HEADER_AT = 0x1f1;
const HDRS = 0x5372_6448;
const XLF_KERNEL_64 = 1;
const LOADED_HIGH = 1;
/** QEMU's number with its version 0. */
const LOADER_QEMU = 0xb0;
const VIDEO_MODE_NORMAL = 0xffff;
const SECTOR = 512;
const DEFAULT_SETUP_SECTORS = 4;
/** The 64-bit entry is here behind the load address. */
const ENTRY_64 = 0x200;

/** `struct boot_params`. */
const BOOT_PARAMS = {
  acpi_rsdp_addr: 0x70,
  e820_entries: 0x1e8,
  e820_table: 0x2d0,
  E820_ENTRY_SIZE: 20,
  SIZE: 0x1000,
} as const;

const PAGE = 4096;
/** QEMU leaves this between initrd and ACPI tables. */
const INITRD_GAP = 0x1_0000;
const COMMAND_LINE_ROOM = 0x1_0000;

/** @throws ImageError when the kernel is no bzImage with a 64-bit entry, or kernel and initrd do not fit into memory */
export function directBoot(boot: PcLinuxBoot, hardware: AcpiConfig): BootState {
  const { kernel, initrd } = boot;
  const header = readHeader(kernel);
  const acpi = buildAcpiTables(hardware);
  const lowEnd = acpiTablesBase(hardware.board, hardware.memoryBytes) - INITRD_GAP;
  const code = kernel.subarray((header.setup_sects || DEFAULT_SETUP_SECTORS) * SECTOR + SECTOR);
  const kernelEnd = Math.max(BOOT_LAYOUT.KERNEL + code.length, kernelRunEnd(header));
  const initrdAt = placeInitrd(initrd, Math.min(lowEnd, header.initrd_addr_max + 1), kernelEnd);
  const commandLine = commandLineBytes(boot.commandLine, header.cmdline_size);
  const params = bootParams(kernel, {
    rsdp: acpi.rsdp,
    e820: buildE820(hardware.board, hardware.memoryBytes),
    initrd: { at: initrdAt, size: initrd?.length ?? 0 },
  });
  const segments: LoadSegment[] = [
    segment('bios-data-area', BOOT_LAYOUT.BDA, biosDataArea()),
    segment('gdt', BOOT_LAYOUT.GDT, quadwords(GDT_ENTRIES)),
    segment('page-tables', BOOT_LAYOUT.PAGE_TABLES, identityMap()),
    segment('boot-params', BOOT_LAYOUT.BOOT_PARAMS, params),
    segment('command-line', BOOT_LAYOUT.COMMAND_LINE, commandLine),
    { ...segment('kernel', BOOT_LAYOUT.KERNEL, code), memorySize: kernelEnd - BOOT_LAYOUT.KERNEL },
    ...(initrd ? [segment('initrd', initrdAt, initrd)] : []),
    ...acpi.segments,
  ];
  const rip = BOOT_LAYOUT.KERNEL + ENTRY_64;
  return {
    segments,
    entry: { architecture: 'x86_64', mode: 'long64', rip, rsi: BOOT_LAYOUT.BOOT_PARAMS, rbx: 0 },
  };
}

type SetupHeader = ReturnType<typeof SETUP_HEADER.parse>;

function readHeader(kernel: Uint8Array): SetupHeader {
  const tooShort = kernel.length < SETUP_HEADER_AT + SETUP_HEADER.size;
  if (tooShort || readU32(kernel, 0x202) !== HDRS) throw new ImageError('not a bzImage');
  const header = SETUP_HEADER.parse(kernel, SETUP_HEADER_AT);
  if ((header.xloadflags & XLF_KERNEL_64) === 0 || (header.loadflags & LOADED_HIGH) === 0) {
    throw new ImageError('the bzImage has no 64-bit entry point (XLF_KERNEL_64)');
  }
  return header;
}

/** End of the memory that the kernel uses until it has read the memory map. */
function kernelRunEnd({ pref_address, init_size, kernel_alignment }: SetupHeader): number {
  return alignUp(Math.max(pref_address, BOOT_LAYOUT.KERNEL), kernel_alignment || 1) + init_size;
}

/** The highest page-aligned place, as QEMU has it. */
function placeInitrd(initrd: Uint8Array | undefined, limit: number, kernelEnd: number): number {
  if (initrd === undefined) return 0;
  const at = Math.floor((limit - initrd.length) / PAGE) * PAGE;
  if (at >= kernelEnd) return at;
  const room = Math.max(0, limit - kernelEnd);
  throw new ImageError(
    `initrd of ${mebibytes(initrd.length)} does not fit: there is room for ${mebibytes(room)} behind the kernel; give the machine more (-m)`,
  );
}

function commandLineBytes(text: string, limit: number): Uint8Array {
  const bytes = Buffer.from(`${text}\0`, 'utf8');
  if (bytes.length - 1 > Math.min(limit, COMMAND_LINE_ROOM - 1)) {
    throw new ImageError(
      `the command line of ${bytes.length - 1} characters is longer than the kernel takes: ${limit}`,
    );
  }
  return bytes;
}

interface BootParamsContents {
  readonly rsdp: number;
  readonly e820: readonly E820Entry[];
  readonly initrd: { readonly at: number; readonly size: number };
}

function bootParams(kernel: Uint8Array, { rsdp, e820, initrd }: BootParamsContents): Uint8Array {
  const params = new Uint8Array(BOOT_PARAMS.SIZE);
  // the header ends where the jump at 0x200 goes
  const headerEnd = 0x202 + kernel[0x201]!;
  params.set(kernel.subarray(SETUP_HEADER_AT, headerEnd), SETUP_HEADER_AT);
  const header = SETUP_HEADER.parse(params, SETUP_HEADER_AT);
  const filled = SETUP_HEADER.build({
    ...header,
    vid_mode: VIDEO_MODE_NORMAL,
    type_of_loader: LOADER_QEMU,
    ramdisk_image: initrd.at,
    ramdisk_size: initrd.size,
    cmd_line_ptr: BOOT_LAYOUT.COMMAND_LINE,
    code32_start: BOOT_LAYOUT.KERNEL,
  });
  params.set(filled, SETUP_HEADER_AT);
  writeU64(params, BOOT_PARAMS.acpi_rsdp_addr, BigInt(rsdp));
  params[BOOT_PARAMS.e820_entries] = e820.length;
  for (const [i, { addr, size, type }] of e820.entries()) {
    const at = BOOT_PARAMS.e820_table + i * BOOT_PARAMS.E820_ENTRY_SIZE;
    writeU64(params, at, BigInt(addr));
    writeU64(params, at + 8, BigInt(size));
    writeU32(params, at + 16, type);
  }
  return params;
}

/** Words of the BIOS data area that kernels read: COM1, the EBDA's segment, and the KiB of conventional memory. */
function biosDataArea(): Uint8Array {
  const bytes = new Uint8Array(0x100);
  writeU16(bytes, 0x00, 0x3f8);
  writeU16(bytes, 0x0e, LAYOUT.EBDA >> 4);
  writeU16(bytes, 0x13, LAYOUT.EBDA >> 10);
  return bytes;
}

const PTE = { PRESENT_WRITABLE: 3, LARGE: 0x80 } as const;
const ENTRIES = 512;
const LARGE_PAGE = 2 ** 21;
const DIRECTORIES = 4;

/** PML4, PDPT and page directories with pages of 2 MiB. */
function identityMap(): Uint8Array {
  const at = (page: number): number => (BOOT_LAYOUT.PAGE_TABLES + page * PAGE) | PTE.PRESENT_WRITABLE;
  const bytes = new Uint8Array((2 + DIRECTORIES) * PAGE);
  writeU64(bytes, 0, BigInt(at(1)));
  for (let i = 0; i < DIRECTORIES; i++) writeU64(bytes, PAGE + i * 8, BigInt(at(2 + i)));
  for (let i = 0; i < DIRECTORIES * ENTRIES; i++) {
    writeU64(bytes, 2 * PAGE + i * 8, BigInt(i * LARGE_PAGE + (PTE.PRESENT_WRITABLE | PTE.LARGE)));
  }
  return bytes;
}

function quadwords(values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  for (const [i, value] of values.entries()) writeU64(bytes, i * 8, value);
  return bytes;
}

function segment(name: string, paddr: number, bytes: Uint8Array): LoadSegment {
  return { name, paddr, bytes, memorySize: bytes.length };
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
