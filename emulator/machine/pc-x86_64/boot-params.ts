/**
 * `boot_params`, the page by which a loader tells a kernel what it found.
 *
 * Source: Linux `Documentation/arch/x86/boot.rst` "The Real-Mode Kernel Header", `Documentation/arch/x86/zero-page.rst`.
 */
import { writeU16, writeU32, writeU64 } from '../../../capture/formats/bytes.ts';
import { size64, struct, u16, u32, u8 } from '../../../capture/formats/struct.ts';
import { BOOT_LAYOUT } from './boot-segments.ts';
import type { E820Entry } from './e820.ts';
import { eddEntries } from './edd.ts';

/** `struct setup_header`, from 0x1f1 of the file and of `boot_params`. */
export const SETUP_HEADER = struct(
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
export const SETUP_HEADER_AT = 0x1f1;
export const HDRS = 0x5372_6448;
export const XLF_KERNEL_64 = 1;
export const LOADED_HIGH = 1;
/** QEMU's number with its version 0. */
const LOADER_QEMU = 0xb0;
const VIDEO_MODE_NORMAL = 0xffff;

export type SetupHeader = ReturnType<typeof SETUP_HEADER.parse>;

/** `struct boot_params`. */
const BOOT_PARAMS = {
  /** Of `screen_info`: memory above 1 MiB as int 15h 88h tells it, in KiB. */
  ext_mem_k: 0x02,
  acpi_rsdp_addr: 0x70,
  /** Memory above 1 MiB as int 15h e801h tells it, in KiB. */
  alt_mem_k: 0x1e0,
  e820_entries: 0x1e8,
  eddbuf_entries: 0x1e9,
  e820_table: 0x2d0,
  eddbuf: 0xd00,
  E820_ENTRY_SIZE: 20,
  SIZE: 0x1000,
} as const;

/** What a loader tells the kernel beside what the kernel's own header says. */
export interface BootParamsContents {
  readonly rsdp: number;
  readonly e820: readonly E820Entry[];
  readonly initrd: { readonly at: number; readonly size: number };
  /** What int 13h and int 15h tell: `eddbuf`, and memory above 1 MiB in KiB. */
  readonly bios?: { readonly edd: Uint8Array; readonly extendedKib: number; readonly alternativeKib: number };
}

/** @param setup the kernel's header, from 0x1f1 of its file on */
export function bootParams(setup: Uint8Array, { rsdp, e820, initrd, bios }: BootParamsContents): Uint8Array {
  const params = new Uint8Array(BOOT_PARAMS.SIZE);
  params.set(setup, SETUP_HEADER_AT);
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
  if (bios !== undefined) {
    params[BOOT_PARAMS.eddbuf_entries] = eddEntries(bios.edd);
    params.set(bios.edd, BOOT_PARAMS.eddbuf);
    writeU16(params, BOOT_PARAMS.ext_mem_k, bios.extendedKib);
    writeU32(params, BOOT_PARAMS.alt_mem_k, bios.alternativeKib);
  }
  return params;
}
