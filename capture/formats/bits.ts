/** Bit fields of registers, descriptors and flag words, declared as `field(high, low)` in the manual's order. */

/** A contiguous bit field of an unsigned word of up to 64 bits. */
export interface BitField {
  readonly high: number;
  readonly low: number;
  /** Mask of the field in place. */
  readonly mask: bigint;
  /** Extracts the field's value. */
  get(word: bigint): number;
  /** Places a value; bits outside the field's width are dropped. */
  place(value: number | bigint): bigint;
}

/** Declares the field of bits `high` down to `low`, both included. */
export function field(high: number, low = high): BitField {
  const width = BigInt(high - low + 1);
  const shift = BigInt(low);
  const mask = ((1n << width) - 1n) << shift;
  return {
    high,
    low,
    mask,
    get: word => Number((word & mask) >> shift),
    place: value => (BigInt(value) << shift) & mask,
  };
}

/** Extracts bits `high` to `low` in place (not shifted down), as a physical address. Exact below 2^53. */
export function addressBits(word: bigint, high: number, low: number): number {
  return Number(word & (((1n << BigInt(high - low + 1)) - 1n) << BigInt(low)));
}

/** Counts the set bits of a byte. */
export const POPCOUNT8: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) count++;
  return count;
});
