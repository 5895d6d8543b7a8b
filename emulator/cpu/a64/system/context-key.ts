/**
 * Keys of translation contexts: facts that select which translations apply. Contexts with equal keys share TLB entries.
 *
 *     15:0   ASID (0 while the MMU is off, and at EL2)
 *     17:16  exception level of the access
 *     18     PAN
 *     19     MMU on
 */

/** Packs a key; it is below 2^20. */
export function contextKey(asid: number, exceptionLevel: number, pan: boolean, mmuOn: boolean): number {
  return (mmuOn ? asid : 0) | (exceptionLevel << 16) | (Number(pan) << 18) | (Number(mmuOn) << 19);
}

export function contextAsid(key: number): number {
  return key & 0xffff;
}

export function contextLevel(key: number): number {
  return (key >> 16) & 3;
}

/** Contexts that differ in the ASID alone have the same TTBR1_EL1 tables at EL1; EL0 has no access to that half. */
export function sharesUpperHalf(key: number, other: number): boolean {
  return key >>> 16 === other >>> 16 && contextLevel(key) === 1;
}
