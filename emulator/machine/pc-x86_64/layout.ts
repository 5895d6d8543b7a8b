/**
 * Memory maps, ports and interrupts of QEMU's `q35` and `microvm`.
 *
 * Source: QEMU 7.2 hw/i386/pc_q35.c, pc.c, microvm.c and their headers; checked against `info mtree` and the ACPI tables of both.
 *
 *   0x0000_0000 ┌──────────────────────────────┐
 *               │ RAM, conventional memory     │
 *   0x000a_0000 ├──────────────────────────────┤
 *               │ VGA hole (nothing here)      │
 *   0x000e_0000 ├──────────────────────────────┤
 *               │ RAM that firmware would own: │
 *               │ the ACPI root pointer        │
 *   0x0010_0000 ├──────────────────────────────┤
 *               │ RAM up to 2 GiB (q35) or     │
 *               │ 3 GiB (microvm)              │
 *   0xb000_0000 ├──────────────────────────────┤ q35
 *               │ PCIe ECAM, 256 buses         │
 *   0xc000_0000 ├──────────────────────────────┤
 *               │ PCI memory window (q35)      │
 *   0xfea0_0000 │ GED (microvm)                │
 *   0xfeb0_0000 │ virtio-mmio (microvm)        │
 *   0xfec0_0000 ├──────────────────────────────┤
 *               │ I/O APICs, HPET, local APIC  │
 * 0x1_0000_0000 ├──────────────────────────────┤
 *               │ the rest of RAM              │
 *               └──────────────────────────────┘
 */

/** A half-open range of addresses. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A range of addresses by its size. */
export interface Region {
  readonly base: number;
  readonly size: number;
}

export type PcBoard = 'q35' | 'microvm';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Both boards. */
export const LAYOUT = {
  /** From here to 1 MiB a PC has no ordinary RAM. */
  LOW_END: 0xa_0000,
  /** What a VGA would decode; nothing does. */
  VGA: { base: 0xa_0000, size: 0x2_0000 },
  /** The last kilobyte below is the extended BIOS data area. */
  EBDA: 0x9_fc00,
  /** Where Linux looks for the ACPI root pointer: ACPI specification "Finding the RSDP on IA-PC Systems". */
  BIOS_AREA: { base: 0xe_0000, size: 0x2_0000 },
  HIGH_START: MIB,
  FOUR_GIB: 4 * GIB,
  IO_APIC: { base: 0xfec0_0000, size: 4 * KIB },
  /** microvm's second one, for virtio. */
  IO_APIC2: { base: 0xfec1_0000, size: 4 * KIB },
  HPET: { base: 0xfed0_0000, size: 0x400 },
  LOCAL_APIC: { base: 0xfee0_0000, size: MIB },
  /** Firmware's flash; empty here. */
  BIOS_ROM: { base: 0xfffc_0000, size: 256 * KIB },
  /** q35: configuration space, where SeaBIOS puts it. */
  PCIE_ECAM: { base: 0xb000_0000, size: 256 * MIB },
  /** q35: the ICH9's root complex registers; nothing answers. */
  ROOT_COMPLEX: { base: 0xfed1_c000, size: 16 * KIB },
  /** q35: PCI memory below 4 GiB, and I/O; more of it depends on RAM (`pciMemory`). */
  PCI_MMIO: { base: 0xc000_0000, size: 0x3ec0_0000 },
  PCI_IO: { base: 0x1000, size: 0xf000 },
  /** microvm: event selector and sleep registers of the generic event device. */
  GED_EVENTS: { base: 0xfea0_0000, size: 4 },
  GED_REGISTERS: { base: 0xfea0_0200, size: 3 },
  /** microvm: first of the virtio-mmio transports. */
  VIRTIO_MMIO: { base: 0xfeb0_0000, size: 0x200 },
} as const satisfies Record<string, number | Region>;

/** RAM below 4 GiB ends here at most. */
export const LOW_MEMORY_LIMIT = { q35: 2 * GIB, microvm: 3 * GIB } as const satisfies Record<PcBoard, number>;
/** q35 keeps RAM in one piece up to this size. */
const Q35_UNSPLIT_LIMIT = 0xb000_0000;

/**
 * microvm's transports and the interrupt of the first: pins of the second I/O APIC, or ISA interrupts where no ACPI tables tell of a
 * second I/O APIC.
 */
export const MICROVM_VIRTIO = { acpi: { count: 24, irq: 24 }, noAcpi: { count: 8, irq: 5 } } as const;

/** I/O ports. */
export const PORT = {
  PIC_MASTER: { base: 0x20, size: 2 },
  PIT: { base: 0x40, size: 4 },
  /** Data at 0x60, commands and status at 0x64; 0x61 between them is the timer's. */
  KBD_DATA: { base: 0x60, size: 1 },
  PORT_B: { base: 0x61, size: 1 },
  KBD_COMMAND: { base: 0x64, size: 1 },
  RTC: { base: 0x70, size: 2 },
  SYSTEM_CONTROL_A: { base: 0x92, size: 1 },
  PIC_SLAVE: { base: 0xa0, size: 2 },
  COM1: { base: 0x3f8, size: 8 },
  ELCR: { base: 0x4d0, size: 2 },
  DEBUG_EXIT: { base: 0x501, size: 1 },
  PVPANIC: { base: 0x505, size: 1 },
  FW_CFG: { base: 0x510, size: 12 },
  /** ICH9 power management, where SeaBIOS puts it. */
  ACPI_PM: { base: 0x600, size: 0x80 },
  PCI_CONFIG_ADDRESS: { base: 0xcf8, size: 8 },
  RESET: { base: 0xcf9, size: 1 },
} as const satisfies Record<string, Region>;

/** ISA interrupts. */
export const IRQ = { TIMER: 0, KEYBOARD: 1, COM1: 4, RTC: 8, SCI: 9 } as const;

/** Global system interrupts: I/O APIC pins. */
export const GSI = {
  /** The timer's IRQ 0 goes to pin 2. */
  TIMER: 2,
  /** INTx of slot s, pin p: PCI + (s + p) mod 4. */
  PCI: 20,
  /** First pin of microvm's second I/O APIC. */
  SECOND: 24,
} as const;

/** Pins to which HPET comparators may be routed on q35. */
export const HPET_ROUTES = 0x00ff_0104;

/** What firmware leaves between 0xf0000 and 1 MiB. */
export const FIRMWARE = {
  /** The MP floating pointer and its table. */
  MP: 0xf_0000,
  /** The ACPI root pointer. */
  RSDP: 0xf_59e0,
  /** The SMBIOS entry point and its structures. */
  SMBIOS: 0xf_5a20,
} as const;

/** q35 has its ACPI tables at the end of low RAM, in a region of this size... */
const Q35_ACPI_SIZE = 128 * KIB;
/** ...below which SeaBIOS keeps a page for itself. */
const Q35_FIRMWARE_PAGE = 4 * KIB;
/** microvm has them below the BIOS. */
const MICROVM_ACPI: Region = { base: 0xe_0000, size: 64 * KIB };

/** Where RAM is, in address order; the legacy hole is left out. */
export function ramRanges(board: PcBoard, memoryBytes: number): readonly Range[] {
  const limit = board === 'q35' && memoryBytes < Q35_UNSPLIT_LIMIT ? Q35_UNSPLIT_LIMIT : LOW_MEMORY_LIMIT[board];
  const low = Math.min(memoryBytes, limit);
  const ranges: Range[] = [
    { start: 0, end: LAYOUT.LOW_END },
    { start: LAYOUT.BIOS_AREA.base, end: low },
  ];
  if (memoryBytes > low) ranges.push({ start: LAYOUT.FOUR_GIB, end: LAYOUT.FOUR_GIB + memoryBytes - low });
  return ranges;
}

/** q35's PCI memory: between RAM and configuration space, below 4 GiB, and 32 GiB from the next GiB behind RAM. */
export function pciMemory(memoryBytes: number): readonly Region[] {
  const [, low, high] = ramRanges('q35', memoryBytes);
  const between = { base: low!.end, size: LAYOUT.PCIE_ECAM.base - low!.end };
  const above = Math.ceil((high?.end ?? LAYOUT.FOUR_GIB) / GIB) * GIB;
  return [...(between.size > 0 ? [between] : []), LAYOUT.PCI_MMIO, { base: above, size: 32 * GIB }];
}

/** Where the ACPI tables are. */
export function acpiTablesRegion(board: PcBoard, memoryBytes: number): Region {
  if (board === 'microvm') return MICROVM_ACPI;
  return { base: lowMemoryEnd(board, memoryBytes) - Q35_ACPI_SIZE, size: Q35_ACPI_SIZE };
}

/** End of the RAM below 4 GiB that kernels may use: SeaBIOS keeps q35's last part. */
export function usableLowMemoryEnd(board: PcBoard, memoryBytes: number): number {
  const end = lowMemoryEnd(board, memoryBytes);
  return board === 'microvm' ? end : end - Q35_ACPI_SIZE - Q35_FIRMWARE_PAGE;
}

function lowMemoryEnd(board: PcBoard, memoryBytes: number): number {
  return ramRanges(board, memoryBytes)[1]!.end;
}
