/**
 * Recognises kernel images: format, architecture, version, and the size that the kernel takes in memory.
 *
 * Sources: `Documentation/arch/arm64/booting.rst` (v6.12) "Call the kernel image"; `Documentation/arch/x86/boot.rst` (v6.12)
 * "The Real-Mode Kernel Header"; `drivers/firmware/efi/libstub/zboot-header.S` (v6.12); ELF gABI "ELF Header".
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

import { MemorySourceBytes } from '../capture/formats/byte-source.ts';
import { cString, readSize64, readU16, readU32 } from '../capture/formats/bytes.ts';
import { parseElf } from '../capture/formats/elf.ts';
import { findPvhEntry } from '../capture/formats/elf-pvh.ts';
import { ImageError } from '../capture/formats/errors.ts';
import { findMultibootFlags } from '../capture/formats/multiboot.ts';
import { decompress, detectCompression } from './decompress.ts';

/** Architectures by the kernel's and QEMU's names. */
export type Architecture = 'aarch64' | 'x86_64';

/** Containers that a kernel comes in. */
export type KernelFormat = 'Image' | 'Image.gz' | 'zboot' | 'bzImage' | 'vmlinux' | 'multiboot';

/** A kernel that was looked at. */
export interface KernelImage {
  readonly format: KernelFormat;
  readonly architecture: Architecture;
  /** `6.1.0-50-cloud-arm64`; empty when the image does not say. */
  readonly version: string;
  /** Bytes to load: the raw Image for `Image`, `Image.gz` and `zboot`, else the file. */
  readonly bytes: Uint8Array;
  /** Memory that the running kernel takes from its load address on, in bytes (`image_size`, `init_size`); 0 when unknown. */
  readonly memorySize: number;
  /** Bytes of a page, where the image says it. */
  readonly pageSize?: number | undefined;
}

/** By bits 2:1 of the arm64 header's flags; 0: not said. */
const ARM64_PAGE_SIZES: readonly (number | undefined)[] = [undefined, 4096, 16_384, 65_536];

/** arm64 Image header: offsets in bytes. */
export const ARM64_HEADER = { code0: 0, text_offset: 8, image_size: 16, flags: 24, magic: 56, size: 64 } as const;
const ARM64_MAGIC = 0x644d5241;

/** EFI zboot header: offsets in bytes. */
const ZBOOT_HEADER = { image_type: 4, payload_offset: 8, payload_size: 12, compression_type: 24, size: 64 } as const;

/** x86 setup header: offsets in bytes from the beginning of the file. */
const SETUP_HEADER = {
  setup_sects: 0x1f1,
  syssize: 0x1f4,
  boot_flag: 0x1fe,
  header: 0x202,
  version: 0x206,
  kernel_version: 0x20e,
  xloadflags: 0x236,
  init_size: 0x260,
  size: 0x268,
} as const;
const HDRS = 0x53726448;
const XLF_KERNEL_64 = 1;

const ELF_MAGIC = 0x464c457f;
const ELF_MACHINES: Readonly<Record<number, Architecture>> = { 62: 'x86_64', 183: 'aarch64' };

/**
 * Recognises a kernel by its contents.
 * @param file name, for messages
 * @throws ImageError when it is no kernel that we know, is cut short, or is damaged
 */
export async function readKernelImage(bytes: Uint8Array, file: string): Promise<KernelImage> {
  if (bytes.length < ARM64_HEADER.size)
    throw new ImageError(`not a kernel image: only ${bytes.length} bytes`, { file });
  if (readU32(bytes, ARM64_HEADER.magic) === ARM64_MAGIC) return readArm64Image(bytes, 'Image', file);
  if (isZboot(bytes)) return readZboot(bytes, file);
  if (findMultibootFlags(bytes) !== undefined)
    return { format: 'multiboot', architecture: 'x86_64', version: '', bytes, memorySize: 0 };
  if (readU32(bytes, 0) === ELF_MAGIC) return readVmlinux(bytes, file);
  if (bytes.length >= SETUP_HEADER.size && readU32(bytes, SETUP_HEADER.header) === HDRS)
    return readBzImage(bytes, file);
  if (detectCompression(bytes) === 'gzip') return readArm64Image(await gunzipKernel(bytes, file), 'Image.gz', file);
  throw new ImageError(
    'not a kernel image (known: arm64 Image, Image.gz, EFI zboot, x86 bzImage, vmlinux, Multiboot)',
    { file },
  );
}

/** Checks that a kernel fits a machine. @throws ImageError */
export function requireArchitecture(image: KernelImage, architecture: Architecture, file: string): void {
  if (image.architecture === architecture) return;
  throw new ImageError(
    `the kernel is for ${image.architecture}, but the machine is ${architecture}: choose with --arch or give another kernel`,
    { file },
  );
}

function readArm64Image(bytes: Uint8Array, format: KernelFormat, file: string): KernelImage {
  if (bytes.length < ARM64_HEADER.size || readU32(bytes, ARM64_HEADER.magic) !== ARM64_MAGIC) {
    throw new ImageError('the compressed data is no arm64 Image', { file });
  }
  const memorySize = readSize64(bytes, ARM64_HEADER.image_size);
  const flags = readU32(bytes, ARM64_HEADER.flags);
  if ((flags & 1) !== 0) throw new ImageError('big-endian arm64 kernels are not supported', { file });
  // image_size covers the BSS too; what is missing from the file beyond a generous BSS is a cut.
  if (memorySize > 0 && bytes.length < memorySize / 2) {
    throw new ImageError(`truncated kernel: ${bytes.length} bytes of an image of ${memorySize}`, { file });
  }
  const pageSize = ARM64_PAGE_SIZES[(flags >> 1) & 3];
  return { format, architecture: 'aarch64', version: findVersionBanner(bytes), bytes, memorySize, pageSize };
}

async function gunzipKernel(bytes: Uint8Array, file: string): Promise<Uint8Array> {
  try {
    return await decompress(bytes, file);
  } catch (error) {
    throw new ImageError('truncated or damaged gzip kernel', { file, cause: error });
  }
}

function isZboot(bytes: Uint8Array): boolean {
  return readU16(bytes, 0) === 0x5a4d && cString(bytes, ZBOOT_HEADER.image_type, 4) === 'zimg';
}

function readZboot(bytes: Uint8Array, file: string): KernelImage {
  const offset = readU32(bytes, ZBOOT_HEADER.payload_offset);
  const size = readU32(bytes, ZBOOT_HEADER.payload_size);
  const type = cString(bytes, ZBOOT_HEADER.compression_type, 32);
  if (offset + size > bytes.length)
    throw new ImageError(`truncated kernel: the payload ends at ${offset + size}, the file at ${bytes.length}`, {
      file,
    });
  const payload = bytes.subarray(offset, offset + size);
  try {
    if (type === 'gzip') return readArm64Image(gunzipSync(payload), 'zboot', file);
    if (type === 'zstd' || type === 'zstd22') return readArm64Image(zstdDecompressSync(payload), 'zboot', file);
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw new ImageError(`damaged ${type} payload`, { file, cause: error });
  }
  throw new ImageError(`zboot payloads compressed with ${type} are not supported (gzip and zstd are)`, { file });
}

function readBzImage(bytes: Uint8Array, file: string): KernelImage {
  const protocol = readU16(bytes, SETUP_HEADER.version);
  if (protocol < 0x020c || (readU16(bytes, SETUP_HEADER.xloadflags) & XLF_KERNEL_64) === 0) {
    throw new ImageError('the bzImage has no 64-bit entry point (boot protocol 2.12 with XLF_KERNEL_64)', { file });
  }
  const setupSectors = bytes[SETUP_HEADER.setup_sects] || 4;
  const end = (setupSectors + 1) * 512 + readU32(bytes, SETUP_HEADER.syssize) * 16;
  // syssize counts units of 16 bytes, so the last one may stick out.
  if (bytes.length + 16 <= end)
    throw new ImageError(`truncated kernel: ${bytes.length} bytes, the header promises ${end}`, { file });
  const versionAt = readU16(bytes, SETUP_HEADER.kernel_version) + 0x200;
  const version = versionAt < bytes.length ? (cString(bytes, versionAt, 200).split(' ')[0] ?? '') : '';
  return {
    format: 'bzImage',
    architecture: 'x86_64',
    version,
    bytes,
    memorySize: readU32(bytes, SETUP_HEADER.init_size),
  };
}

function readVmlinux(bytes: Uint8Array, file: string): KernelImage {
  const machine = readU16(bytes, 18);
  const architecture = ELF_MACHINES[machine];
  if (architecture === undefined || bytes[4] !== 2)
    throw new ImageError(`an ELF file for machine ${machine}, not a 64-bit arm64 or x86 kernel`, { file });
  const [phoff, phentsize, phnum] = [readSize64(bytes, 32), readU16(bytes, 54), readU16(bytes, 56)];
  for (let at = phoff, i = 0; i < phnum; i++, at += phentsize) {
    if (
      at + 56 > bytes.length ||
      (readU32(bytes, at) === 1 && readSize64(bytes, at + 8) + readSize64(bytes, at + 32) > bytes.length)
    ) {
      throw new ImageError('truncated kernel: a segment lies beyond the end of the file', { file });
    }
  }
  const version = findVersionBanner(bytes);
  // other kernels for PCs have a PVH entry
  if (version === '' && findPvhEntry(parseElf(new MemorySourceBytes(file, bytes))) === undefined)
    throw new ImageError('an ELF file, but no Linux kernel: neither a version banner nor a PVH note', { file });
  return { format: 'vmlinux', architecture, version, bytes, memorySize: 0 };
}

/** Finds `linux_banner`: "Linux version 6.1.0-50-cloud-arm64 (…". */
function findVersionBanner(bytes: Uint8Array): string {
  const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const marker = 'Linux version ';
  for (let at = haystack.indexOf(marker); at !== -1; at = haystack.indexOf(marker, at + 1)) {
    const version = /^\d\S*(?= )/.exec(cString(bytes, at + marker.length, 120))?.[0];
    if (version !== undefined) return version;
  }
  return '';
}
