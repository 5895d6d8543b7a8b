/**
 * The memory map that firmware gives to the kernel.
 *
 * Source: ACPI specification "System Address Map Interfaces"; Linux `Documentation/arch/x86/boot.rst` "e820_table"; ranges as SeaBIOS
 * gives them on QEMU's q35.
 */
import { ACPI_TABLES_SIZE, acpiTablesBase, LAYOUT, type PcBoard, ramRanges, type Region } from './layout.ts';

/** Types of ranges. */
export const E820_TYPE = { RAM: 1, RESERVED: 2 } as const;

/** struct boot_e820_entry. */
export interface E820Entry {
  readonly addr: number;
  readonly size: number;
  readonly type: (typeof E820_TYPE)[keyof typeof E820_TYPE];
}

/** Builds the map in address order. */
export function buildE820(board: PcBoard, memoryBytes: number): readonly E820Entry[] {
  const tables = acpiTablesBase(board, memoryBytes);
  const high = ramRanges(board, memoryBytes)[2];
  return [
    ram(0, LAYOUT.EBDA),
    reserved({ base: LAYOUT.EBDA, size: LAYOUT.LOW_END - LAYOUT.EBDA }),
    reserved({ base: 0xf_0000, size: 0x1_0000 }),
    ram(LAYOUT.HIGH_START, tables),
    reserved({ base: tables, size: ACPI_TABLES_SIZE }),
    ...(board === 'q35' ? [reserved(LAYOUT.PCIE_ECAM)] : []),
    reserved(LAYOUT.BIOS_ROM),
    ...(high === undefined ? [] : [ram(high.start, high.end)]),
  ];
}

function ram(start: number, end: number): E820Entry {
  return { addr: start, size: end - start, type: E820_TYPE.RAM };
}

function reserved({ base, size }: Region): E820Entry {
  return { addr: base, size, type: E820_TYPE.RESERVED };
}
