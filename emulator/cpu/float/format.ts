/** Binary floating-point formats. Source: IEEE 754-2019 "Binary interchange formats"; Intel SDM vol. 1 "Floating-Point Data Types". */

/** Layout and range of a format: sign, biased exponent, fraction, from the highest bit down. */
export interface FloatFormat {
  readonly bits: number;
  readonly exponentBits: number;
  /** Stored bits below the integer bit. */
  readonly fractionBits: number;
  /** Significant bits that results are rounded to: `fractionBits + 1`, or less under the x87's precision control. */
  readonly precision: number;
  /** The integer bit is stored (x87). */
  readonly explicitInteger: boolean;
}

/** An IEEE interchange format. */
function interchange(bits: number, exponentBits: number): FloatFormat {
  const fractionBits = bits - exponentBits - 1;
  return { bits, exponentBits, fractionBits, precision: fractionBits + 1, explicitInteger: false };
}

export const BINARY16: FloatFormat = interchange(16, 5);
export const BINARY32: FloatFormat = interchange(32, 8);
export const BINARY64: FloatFormat = interchange(64, 11);

/** The x87's 80 bits. @param precision significant bits by the precision control: 24, 53 or 64 */
export function extended80(precision: number): FloatFormat {
  return { bits: 80, exponentBits: 15, fractionBits: 63, precision, explicitInteger: true };
}
export const EXTENDED80: FloatFormat = extended80(64);

/** The exponent field's value for infinities and NaNs. */
export function maxBiasedExponent({ exponentBits }: FloatFormat): number {
  return 2 ** exponentBits - 1;
}

export function bias({ exponentBits }: FloatFormat): number {
  return 2 ** (exponentBits - 1) - 1;
}

/** Exponent of the smallest normal number. */
export function minExponent(format: FloatFormat): number {
  return 1 - bias(format);
}
