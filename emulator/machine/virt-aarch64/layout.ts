/**
 * Memory map and interrupt numbers of QEMU's `virt` board for arm64.
 *
 * Source: QEMU 7.2 hw/arm/virt.c (`base_memmap`, `extended_memmap`, `a15irqmap`) and hw/arm/boot.c; checked against
 * `qemu-system-aarch64 -M virt,dumpdtb=`. Guests read addresses from the device tree, but people type them, earlycon names them,
 * and dumps made on QEMU have them: so they are the same here.
 *
 *   0x00_0000_0000 ┌──────────────────────────────┐
 *                  │ flash, 2 × 64 MiB            │
 *   0x00_0800_0000 ├──────────────────────────────┤
 *                  │ GIC: GICD GICC v2m ITS GICR  │
 *   0x00_0900_0000 ├──────────────────────────────┤
 *                  │ PL011 PL031 fw_cfg PL061     │
 *   0x00_0a00_0000 ├──────────────────────────────┤
 *                  │ 32 virtio-mmio transports    │
 *   0x00_0c00_0000 ├──────────────────────────────┤
 *                  │ platform bus (empty)         │
 *   0x00_1000_0000 ├──────────────────────────────┤
 *                  │ PCIe memory window, 32 bit   │
 *   0x00_3eff_0000 ├──────────────────────────────┤
 *                  │ PCIe I/O window              │
 *   0x00_3f00_0000 ├──────────────────────────────┤
 *                  │ PCIe ECAM, low (unused)      │
 *   0x00_4000_0000 ├──────────────────────────────┤
 *                  │ RAM                          │
 *                  ├──────────────────────────────┤
 *   0x40_1000_0000 │ PCIe ECAM, 256 buses         │
 *   0x80_0000_0000 │ PCIe memory window, 64 bit   │
 *                  └──────────────────────────────┘
 */

/** A range of physical addresses. */
export interface Region {
  readonly base: number;
  readonly size: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Where everything is. */
export const LAYOUT = {
  /** Two banks of flash for firmware; Linux is booted without. */
  FLASH: { base: 0x0000_0000, size: 128 * MIB },
  GIC_DIST: { base: 0x0800_0000, size: 64 * KIB },
  /** GICv2's CPU interface. */
  GIC_CPU: { base: 0x0801_0000, size: 64 * KIB },
  /** MSI frame beside a GICv2. */
  GIC_V2M: { base: 0x0802_0000, size: 4 * KIB },
  GIC_ITS: { base: 0x0808_0000, size: 128 * KIB },
  /** Room for 123 redistributors of 128 KiB; that many CPUs have GICv3. */
  GIC_REDIST: { base: 0x080a_0000, size: 0x00f6_0000 },
  UART: { base: 0x0900_0000, size: 4 * KIB },
  RTC: { base: 0x0901_0000, size: 4 * KIB },
  FW_CFG: { base: 0x0902_0000, size: 0x18 },
  GPIO: { base: 0x0903_0000, size: 4 * KIB },
  /** First of the virtio-mmio transports; `VIRTIO_MMIO_COUNT` of this size follow each other. */
  VIRTIO_MMIO: { base: 0x0a00_0000, size: 0x200 },
  /** For sysbus devices added on the command line: none here. */
  PLATFORM_BUS: { base: 0x0c00_0000, size: 32 * MIB },
  PCIE_MMIO: { base: 0x1000_0000, size: 0x2eff_0000 },
  PCIE_PIO: { base: 0x3eff_0000, size: 64 * KIB },
  /** Highmem is on, so configuration space is above RAM: room for 256 buses. */
  PCIE_ECAM: { base: 0x40_1000_0000, size: 256 * MIB },
  PCIE_MMIO_HIGH: { base: 0x80_0000_0000, size: 512 * GIB },
  RAM: { base: 0x4000_0000, size: 255 * GIB },
} as const satisfies Record<string, Region>;

export const VIRTIO_MMIO_COUNT = 32;

/** Shared interrupts (INTID − 32). */
export const SPI = {
  UART: 1,
  RTC: 2,
  /** INTA to INTD are 3 to 6. */
  PCIE: 3,
  GPIO: 7,
  /** First virtio-mmio transport; the others follow. */
  VIRTIO_MMIO: 16,
  /** First of the interrupts that the GICv2 MSI frame raises. */
  GIC_V2M: 48,
} as const;

/** Interrupts of the v2m frame. */
export const GIC_V2M_SPI_COUNT = 64;
/** What GICD_TYPER of the GICv3 announces: INTID 32 to 255. */
export const SPI_COUNT = 224;
/** QEMU's GICv2 announces all that its board has. */
export const GICV2_SPI_COUNT = 256;

/** Private interrupts (INTID − 16). */
export const PPI = {
  PMU: 7,
  VIRTUAL_GIC: 9,
  CNTHP: 10,
  CNTV: 11,
  CNTHV: 12,
  CNTPS: 13,
  CNTP: 14,
} as const;

/** Pin of the PL061 with the power key. */
export const POWER_KEY_PIN = 3;

/** QEMU pads the device tree to this size; see `device-tree.ts` for why this machine does not. */
export const QEMU_DTB_SIZE = MIB;

/** A kernel goes to a multiple of 2 MiB; QEMU leaves the first for its boot loader when `text_offset` is below 4 KiB. */
export const KERNEL_ALIGNMENT = 2 * MIB;

/** Where QEMU's boot loader puts what it loads. */
export interface LoadAddresses {
  readonly kernel: number;
  readonly initrd: number;
  readonly dtb: number;
}

/**
 * Chooses addresses as hw/arm/boot.c does: kernel at the start of RAM, initrd in the middle of RAM but at most 128 MiB in (so that
 * a decompressing kernel does not run over it), device tree behind the initrd at a multiple of 2 MiB.
 * @param textOffset `text_offset` of the Image header; 0 since v5.8
 */
export function chooseLoadAddresses(memoryBytes: number, textOffset: number, initrdBytes: number): LoadAddresses {
  const { base } = LAYOUT.RAM;
  const kernel = base + textOffset + (textOffset < 4 * KIB ? KERNEL_ALIGNMENT : 0);
  const initrd = base + Math.min(memoryBytes / 2, 128 * MIB);
  const dtb = Math.ceil((initrd + initrdBytes) / KERNEL_ALIGNMENT) * KERNEL_ALIGNMENT;
  return { kernel, initrd, dtb };
}

/** MPIDR affinity of a CPU as QEMU numbers them: clusters of 8 under GICv2, of 16 under GICv3. */
export function affinityOf(cpu: number, gicVersion: 2 | 3): number {
  const cluster = gicVersion === 2 ? 8 : 16;
  return Math.floor(cpu / cluster) * 256 + (cpu % cluster);
}
