/**
 * What a loader needs to know of a kernel image, from its header.
 *
 * Sources: `Documentation/arch/arm64/booting.rst` (v6.12) "Call the kernel image"; `Documentation/arch/x86/boot.rst` (v6.12)
 * "The Real-Mode Kernel Header". Containers (gzip, zboot) are unpacked before: these are the bytes that go into memory.
 */
import { readU16, readU32 } from '../capture/formats/bytes.ts';
import { ImageError } from '../capture/formats/errors.ts';
import { field } from '../capture/formats/bits.ts';
import { ascii, size64, struct, u32, u64 } from '../capture/formats/struct.ts';

export const ARM64_IMAGE_HEADER = struct('arm64_image_header', {
  code0: u32,
  code1: u32,
  text_offset: size64,
  image_size: size64,
  flags: u64,
  res2: u64,
  res3: u64,
  res4: u64,
  magic: ascii(4),
  pe_header: u32,
});
const ARM64_IMAGE_MAGIC = 'ARM\x64';

/** Bits of `flags`. */
export const ARM64_IMAGE_FLAGS = { BE: field(0), PAGE_SIZE: field(2, 1), PHYS_BASE: field(3) } as const;

/** Before v3.17 images told no size: kexec-tools assumes these. */
const OLD_IMAGE = { text_offset: 0x8_0000, image_size: 16 * 2 ** 20 } as const;

/** An arm64 Image. */
export interface Arm64Image {
  readonly architecture: 'aarch64';
  readonly bytes: Uint8Array;
  /** Bytes from a 2 MiB boundary to the place of the image. */
  readonly textOffset: number;
  /** Memory that the image takes, its BSS included. */
  readonly imageSize: number;
  readonly bigEndian: boolean;
  /** Bytes of a page of the kernel; undefined when the header does not tell. */
  readonly pageSize: 4096 | 16_384 | 65_536 | undefined;
  readonly hasPeHeader: boolean;
}

/** Reads the header of a raw Image. @throws ImageError when it is none */
export function readArm64Image(bytes: Uint8Array, file?: string): Arm64Image {
  if (bytes.length < ARM64_IMAGE_HEADER.size) throw new ImageError('too short for an arm64 Image', { file });
  const header = ARM64_IMAGE_HEADER.parse(bytes);
  if (header.magic !== ARM64_IMAGE_MAGIC) throw new ImageError('Bad arm64 image header.', { file });
  const { text_offset, image_size } = header.image_size === 0 ? OLD_IMAGE : header;
  return {
    architecture: 'aarch64',
    bytes,
    textOffset: text_offset,
    imageSize: image_size,
    bigEndian: ARM64_IMAGE_FLAGS.BE.get(header.flags) === 1,
    pageSize: ([undefined, 4096, 16_384, 65_536] as const)[ARM64_IMAGE_FLAGS.PAGE_SIZE.get(header.flags)],
    hasPeHeader: readU16(bytes, 0) === PE_MAGIC,
  };
}

const PE_MAGIC = 0x5a4d;

/** x86 setup header: offsets from the beginning of the file, and of `boot_params`. */
export const SETUP_HEADER = {
  setup_sects: 0x1f1,
  syssize: 0x1f4,
  vid_mode: 0x1fa,
  boot_flag: 0x1fe,
  jump: 0x200,
  header: 0x202,
  version: 0x206,
  type_of_loader: 0x210,
  loadflags: 0x211,
  ramdisk_image: 0x218,
  ramdisk_size: 0x21c,
  heap_end_ptr: 0x224,
  ext_loader_ver: 0x226,
  ext_loader_type: 0x227,
  cmd_line_ptr: 0x228,
  initrd_addr_max: 0x22c,
  kernel_alignment: 0x230,
  relocatable_kernel: 0x234,
  min_alignment: 0x235,
  xloadflags: 0x236,
  cmdline_size: 0x238,
  setup_data: 0x250,
  pref_address: 0x258,
  init_size: 0x260,
} as const;
export const HDRS = 0x5372_6448;
const BOOT_FLAG = 0xaa55;
const LOADED_HIGH = 1;
/** xloadflags. */
export const XLF = { KERNEL_64: 1, CAN_BE_LOADED_ABOVE_4G: 2, '5LEVEL': 0x20 } as const;

/** An x86 bzImage with a 64-bit entry point. */
export interface BzImage {
  readonly architecture: 'x86_64';
  /** The whole file. */
  readonly bytes: Uint8Array;
  /** Setup sectors and the boot sector. */
  readonly setup: Uint8Array;
  /** The protected-mode kernel, which goes into memory. */
  readonly kernel: Uint8Array;
  /** Memory that the kernel needs from its load address on until it has read its memory map. */
  readonly initSize: number;
  readonly alignment: number;
  readonly loadsAbove4G: boolean;
  readonly protocol: number;
}

/** Reads a bzImage. @throws ImageError when it is none, or too old for the 64-bit entry */
export function readBzImage(bytes: Uint8Array, file?: string): BzImage {
  const end = SETUP_HEADER.init_size + 4;
  const isBzImage =
    bytes.length >= end &&
    readU32(bytes, SETUP_HEADER.header) === HDRS &&
    readU16(bytes, SETUP_HEADER.boot_flag) === BOOT_FLAG;
  if (!isBzImage) throw new ImageError('Not a bzImage', { file });
  const protocol = readU16(bytes, SETUP_HEADER.version);
  const xloadflags = readU16(bytes, SETUP_HEADER.xloadflags);
  if (protocol < 0x020c || (xloadflags & XLF.KERNEL_64) === 0)
    throw new ImageError('XLF_KERNEL_64 is not set: the bzImage has no 64-bit entry point', { file });
  if ((bytes[SETUP_HEADER.loadflags]! & LOADED_HIGH) === 0) throw new ImageError('zImage not a bzImage', { file });
  const setupSize = ((bytes[SETUP_HEADER.setup_sects] || 4) + 1) * 512;
  if (setupSize >= bytes.length) throw new ImageError('truncated bzImage: nothing follows the setup', { file });
  return {
    architecture: 'x86_64',
    bytes,
    setup: bytes.subarray(0, setupSize),
    kernel: bytes.subarray(setupSize),
    initSize: readU32(bytes, SETUP_HEADER.init_size),
    alignment: readU32(bytes, SETUP_HEADER.kernel_alignment),
    loadsAbove4G: (xloadflags & XLF.CAN_BE_LOADED_ABOVE_4G) !== 0,
    protocol,
  };
}
