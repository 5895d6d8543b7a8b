/**
 * Interrupt numbers and priorities of this GICv3.
 *
 * Source: GICv3 IHI 0069 "INTIDs" and "Interrupt prioritization".
 */

/** Number of SGIs and PPIs, which each CPU has its own of. */
export const PRIVATE_INTERRUPTS = 32;
/** First PPI. */
export const FIRST_PPI = 16;
/** First LPI. */
export const FIRST_LPI = 8192;
/** Returned by acknowledge registers when nothing is to be taken. */
export const INTID_SPURIOUS = 1023;
/** Five priority bits: 0x00, 0x08 … 0xf8. Writes of the others are dropped in the CPU interface only, as QEMU does. */
export const PRIORITY_BITS = 5;
