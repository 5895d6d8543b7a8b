/**
 * The memory map that firmware gives to the kernel.
 *
 * Source: ACPI specification "System Address Map Interfaces"; Linux `Documentation/arch/x86/boot.rst` "e820_table"; ranges as SeaBIOS
 * gives them on QEMU's boards.
 */
import { LAYOUT, type PcBoard, ramRanges, type Region, usableLowMemoryEnd } from './layout.ts';

/** Types of ranges. */
export const E820_TYPE = { RAM: 1, RESERVED: 2, NVS: 4 } as const;

/** struct boot_e820_entry. */
export interface E820Entry {
  readonly addr: number;
  readonly size: number;
  readonly type: (typeof E820_TYPE)[keyof typeof E820_TYPE];
}

/** Addresses that AMD's processors keep for HyperTransport. */
const HYPERTRANSPORT: Region = { base: 0xfd_0000_0000, size: 0x3_0000_0000 };
/** microvm: SeaBIOS tells of its tables as ACPI NVS. */
const MICROVM_NVS: Region = { base: 0xd_0000, size: 0x2_0000 };

/** Builds the map in address order. */
export function buildE820(board: PcBoard, memoryBytes: number): readonly E820Entry[] {
  const isQ35 = board === 'q35';
  const [, low, high] = ramRanges(board, memoryBytes);
  const usable = usableLowMemoryEnd(board, memoryBytes);
  return [
    ram(0, LAYOUT.EBDA),
    reserved({ base: LAYOUT.EBDA, size: LAYOUT.LOW_END - LAYOUT.EBDA }),
    ...(isQ35 ? [] : [{ addr: MICROVM_NVS.base, size: MICROVM_NVS.size, type: E820_TYPE.NVS }]),
    reserved({ base: 0xf_0000, size: 0x1_0000 }),
    ram(LAYOUT.HIGH_START, usable),
    ...(isQ35 ? [reserved({ base: usable, size: low!.end - usable })] : []),
    ...(isQ35 ? [LAYOUT.PCIE_ECAM, LAYOUT.ROOT_COMPLEX, LAYOUT.BIOS_ROM].map(reserved) : []),
    ...(high === undefined ? [] : [ram(high.start, high.end)]),
    ...(isQ35 ? [reserved(HYPERTRANSPORT)] : []),
  ];
}

function ram(start: number, end: number): E820Entry {
  return { addr: start, size: end - start, type: E820_TYPE.RAM };
}

function reserved({ base, size }: Region): E820Entry {
  return { addr: base, size, type: E820_TYPE.RESERVED };
}
