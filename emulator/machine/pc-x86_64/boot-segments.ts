/**
 * What every way of booting a kernel directly puts into a PC's memory: tables that firmware would have left behind, command line, initrd.
 *
 * Source: Linux `Documentation/arch/x86/boot.rst`; QEMU 7.2 hw/i386/x86.c `x86_load_linux` for the initrd's address.
 */
import { writeU16, writeU64 } from '../../../capture/formats/bytes.ts';
import { FormatError, ImageError } from '../../../capture/formats/errors.ts';
import type { LoadSegment } from '../boot-state.ts';
import type { AcpiConfig } from './acpi-tables.ts';
import { LAYOUT, usableLowMemoryEnd } from './layout.ts';

/** A kernel and what goes with it. */
export interface PcLinuxBoot {
  /** A bzImage, a vmlinux, or a Multiboot image. */
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

const PAGE = 4096;
const COMMAND_LINE_ROOM = 0x1_0000;

/** Firmware's leavings: the BIOS data area, descriptors, page tables. */
export function firmwareSegments(): readonly LoadSegment[] {
  return [
    segment('bios-data-area', BOOT_LAYOUT.BDA, biosDataArea()),
    segment('gdt', BOOT_LAYOUT.GDT, quadwords(GDT_ENTRIES)),
    segment('page-tables', BOOT_LAYOUT.PAGE_TABLES, identityMap()),
  ];
}

/** q35: QEMU keeps this much between an initrd and what SeaBIOS takes. */
const Q35_INITRD_GAP = 0xf000;

/** Where an initrd must end. */
export function initrdLimit({ board, memoryBytes }: Pick<AcpiConfig, 'board' | 'memoryBytes'>): number {
  return usableLowMemoryEnd(board, memoryBytes) - (board === 'q35' ? Q35_INITRD_GAP : 0);
}

/** The highest page-aligned place, as QEMU has it; 0 without an initrd. @throws ImageError when it does not fit */
export function placeInitrd(initrd: Uint8Array | undefined, limit: number, kernelEnd: number): number {
  if (initrd === undefined) return 0;
  const at = Math.floor((limit - initrd.length) / PAGE) * PAGE;
  if (at >= kernelEnd) return at;
  const room = Math.max(0, limit - kernelEnd);
  throw new ImageError(
    `initrd of ${mebibytes(initrd.length)} does not fit: there is room for ${mebibytes(room)} behind the kernel; give the machine more (-m)`,
  );
}

/** The command line with its end. @throws ImageError when the kernel takes no such length */
export function commandLineBytes(text: string, limit: number): Uint8Array {
  const bytes = Buffer.from(`${text}\0`, 'utf8');
  if (bytes.length - 1 > Math.min(limit, COMMAND_LINE_ROOM - 1)) {
    throw new ImageError(
      `the command line of ${bytes.length - 1} characters is longer than the kernel takes: ${limit}`,
    );
  }
  return bytes;
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

/** A segment without room behind its bytes. */
export function segment(name: string, paddr: number, bytes: Uint8Array): LoadSegment {
  return { name, paddr, bytes, memorySize: bytes.length };
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

/** Reads a kernel's headers. @throws ImageError when they are damaged */
export function readingKernel<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) throw new ImageError(`not a kernel that can be booted: ${error.message}`);
    throw error;
  }
}

/** What is wrong with a segment of an ELF file that lies where there is no RAM. */
export function segmentOutsideMemory(index: number, paddr: number): ImageError {
  return new ImageError(
    `kernel segment ${index} at 0x${paddr.toString(16)} does not fit into memory; give the machine more (-m)`,
  );
}
