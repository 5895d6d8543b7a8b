/**
 * Boots a Linux kernel on a PC without firmware: places kernel, initrd, command line and what the kernel is told, and starts the boot
 * CPU as the boot protocol says. A bzImage starts at its 64-bit entry point; elf-boot.ts has the vmlinux, multiboot.ts what is no Linux.
 *
 * Source: Linux `Documentation/arch/x86/boot.rst` "64-bit Boot Protocol".
 * Modelled: the memory map, the ACPI root pointer, the BIOS data area's words that kernels look for, what the real-mode code asks the
 * BIOS for (EDD, memory sizes). Not modelled: video modes (there is no VGA), APM (QEMU's kernels find none either).
 */
import { alignUp, readU32 } from '../../../capture/formats/bytes.ts';
import { isElf } from '../../../capture/formats/elf.ts';
import { ImageError } from '../../../capture/formats/errors.ts';
import { findMultibootFlags } from '../../../capture/formats/multiboot.ts';
import type { BootState, LoadSegment } from '../boot-state.ts';
import type { AcpiConfig } from './acpi-tables.ts';
import {
  bootParams,
  type BootParamsContents,
  HDRS,
  LOADED_HIGH,
  SETUP_HEADER,
  SETUP_HEADER_AT,
  type SetupHeader,
  XLF_KERNEL_64,
} from './boot-params.ts';
import {
  BOOT_LAYOUT,
  commandLineBytes,
  firmwareSegments,
  initrdLimit,
  type PcLinuxBoot,
  placeInitrd,
  segment,
} from './boot-segments.ts';
import { buildE820 } from './e820.ts';
import { buildEdd } from './edd.ts';
import { elfBoot } from './elf-boot.ts';
import { buildFirmwareTables } from './firmware-tables.ts';
import { LAYOUT, usableLowMemoryEnd } from './layout.ts';
import { multibootBoot } from './multiboot.ts';

export { BOOT_LAYOUT, GDT_LIMIT, type PcLinuxBoot } from './boot-segments.ts';

const SECTOR = 512;
const DEFAULT_SETUP_SECTORS = 4;
/** The 64-bit entry is here behind the load address. */
const ENTRY_64 = 0x200;

/** @throws ImageError when the kernel is no bzImage or vmlinux that a PC boots, or kernel and initrd do not fit into memory */
export function directBoot(boot: PcLinuxBoot, hardware: AcpiConfig): BootState {
  if (!isElf(boot.kernel)) return bzImageBoot(boot, hardware);
  return findMultibootFlags(boot.kernel) !== undefined ? multibootBoot(boot, hardware) : elfBoot(boot, hardware);
}

function bzImageBoot(boot: PcLinuxBoot, hardware: AcpiConfig): BootState {
  const { kernel, initrd } = boot;
  const header = readHeader(kernel);
  const tables = buildFirmwareTables(hardware);
  const code = kernel.subarray((header.setup_sects || DEFAULT_SETUP_SECTORS) * SECTOR + SECTOR);
  const kernelEnd = Math.max(BOOT_LAYOUT.KERNEL + code.length, kernelRunEnd(header));
  const initrdAt = placeInitrd(initrd, Math.min(initrdLimit(hardware), header.initrd_addr_max + 1), kernelEnd);
  const commandLine = commandLineBytes(boot.commandLine, header.cmdline_size);
  // the header ends where the jump at 0x200 goes
  const setup = kernel.subarray(SETUP_HEADER_AT, 0x202 + kernel[0x201]!);
  const params = bootParams(setup, {
    rsdp: tables.rsdp,
    e820: buildE820(hardware.board, hardware.memoryBytes),
    initrd: { at: initrdAt, size: initrd?.length ?? 0 },
    ...(hardware.board === 'q35' && { bios: biosAnswers(hardware) }),
  });
  const segments: LoadSegment[] = [
    ...firmwareSegments(),
    segment('boot-params', BOOT_LAYOUT.BOOT_PARAMS, params),
    segment('command-line', BOOT_LAYOUT.COMMAND_LINE, commandLine),
    { ...segment('kernel', BOOT_LAYOUT.KERNEL, code), memorySize: kernelEnd - BOOT_LAYOUT.KERNEL },
    ...(initrd ? [segment('initrd', initrdAt, initrd)] : []),
    ...tables.segments,
  ];
  const rip = BOOT_LAYOUT.KERNEL + ENTRY_64;
  return {
    segments,
    entry: { architecture: 'x86_64', mode: 'long64', rip, rsi: BOOT_LAYOUT.BOOT_PARAMS, rbx: 0 },
  };
}

/** What int 13h and int 15h of SeaBIOS tell the kernel's real-mode code. */
function biosAnswers({ board, memoryBytes, disks = [] }: AcpiConfig): NonNullable<BootParamsContents['bios']> {
  const [KIB, BLOCK] = [1024, 0x1_0000];
  const [SIXTEEN_MIB, SIXTY_FOUR_MIB] = [0x100_0000, 0x400_0000];
  const end = usableLowMemoryEnd(board, memoryBytes);
  const above16 = Math.floor(Math.max(end - SIXTEEN_MIB, 0) / BLOCK) * BLOCK;
  return {
    edd: buildEdd(disks),
    extendedKib: (Math.min(end, SIXTY_FOUR_MIB) - LAYOUT.HIGH_START) / KIB,
    alternativeKib: (SIXTEEN_MIB - LAYOUT.HIGH_START + above16) / KIB,
  };
}

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
