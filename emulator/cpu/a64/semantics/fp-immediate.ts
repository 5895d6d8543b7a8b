/** The 8-bit floating-point immediates of FMOV. Source: Arm ARM DDI 0487 pseudocode "VFPExpandImm". */

const EXPONENT_BITS: Readonly<Record<number, number>> = { 16: 5, 32: 8, 64: 11 };

/** The bit pattern of `bits` (16, 32 or 64) that an 8-bit immediate stands for: sign, 3 bits of exponent, 4 bits of fraction. */
export function expandFpImmediate(imm8: number, bits: number): bigint {
  const exponentBits = EXPONENT_BITS[bits]!;
  const sign = BigInt(imm8 >> 7);
  const high = BigInt((imm8 >> 6) & 1);
  const repeated = high ? (1n << BigInt(exponentBits - 3)) - 1n : 0n;
  const exponent = ((high ^ 1n) << BigInt(exponentBits - 1)) | (repeated << 2n) | BigInt((imm8 >> 4) & 3);
  const fraction = BigInt(imm8 & 15) << BigInt(bits - exponentBits - 5);
  return (sign << BigInt(bits - 1)) | (exponent << BigInt(bits - exponentBits - 1)) | fraction;
}
