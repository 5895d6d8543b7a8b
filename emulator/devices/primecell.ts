/**
 * The identification registers at the end of every Arm PrimeCell's 4 KiB page.
 *
 * Source: PrimeCell UART (PL011) TRM, DDI 0183 "Peripheral Identification Registers" and "PrimeCell Identification
 * Registers"; the other cells' manuals have the same page. Linux's amba bus matches drivers by them.
 */

/** Offset of PeriphID0; PeriphID1…3 and PCellID0…3 follow at steps of 4 bytes up to the end of the page. */
export const PERIPH_ID0 = 0xfe0;

const PCELL_ID = [0x0d, 0xf0, 0x05, 0xb1] as const;

/** The eight values of a cell: four bytes of its own, then 0xb105f00d in bytes. */
export function primeCellId(periphId: readonly [number, number, number, number]): readonly number[] {
  return [...periphId, ...PCELL_ID];
}

/** The byte that `offset` (PERIPH_ID0 to 0xfff) shows. */
export function readPrimeCellId(id: readonly number[], offset: number): number {
  return id[(offset - PERIPH_ID0) >> 2] ?? 0;
}
