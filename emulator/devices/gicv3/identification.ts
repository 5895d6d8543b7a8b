/**
 * Identification registers of the GICv3's register pages, with the values of QEMU's `virt`.
 *
 * Source: GICv3 IHI 0069 "Identification registers"; CoreSight component layout. The part number differs from page to page.
 */

/** GICD_IIDR, GICR_IIDR, GITS_IIDR: implementer Arm (0x43b). */
export const IIDR = 0x43b;

/** GICD_PIDR2 and its siblings show the architecture version, 3, in bits 7:4. */
const PIDR4 = 0xffd0;
const END = 0x10000;

/** PIDR0, the low byte of the part number, for each page. */
export const IDENTIFICATION = { distributor: 0x92, redistributor: 0x93, its: 0x94 } as const;

/** PIDR4 to PIDR7, PIDR0 to PIDR3, CIDR0 to CIDR3; PIDR0 is the page's. */
const VALUES = [0x44, 0x00, 0x00, 0x00, 0x00, 0xb4, 0x3b, 0x00, 0x0d, 0xf0, 0x05, 0xb1] as const;
const PIDR0_INDEX = 4;

/** Reads a register of the identification area; 0 below it. */
export function readIdentification(offset: number, pidr0: number): number {
  if (offset < PIDR4 || offset >= END) return 0;
  const index = (offset - PIDR4) >>> 2;
  return index === PIDR0_INDEX ? pidr0 : VALUES[index]!;
}
