/**
 * The CRC-32 instructions' arithmetic: bit-reflected, without the complement before and after that checksums of files have.
 *
 * Source: Arm ARM DDI 0487 "CRC32B, CRC32H, CRC32W, CRC32X"; the polynomials below are those, reflected.
 */

const POLYNOMIAL_CRC32 = 0xedb8_8320;
const POLYNOMIAL_CRC32C = 0x82f6_3b78;

type Checksum = (checksum: number, data: number, bytes: number) => number;

/** Makes the update function: takes the low `bytes` (1, 2, 4) of `data`, lowest first. All values are signed 32-bit numbers. */
function checksumOf(polynomial: number): Checksum {
  const table = Int32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1;
    return rest;
  });
  return (checksum, data, bytes) => {
    let result = checksum;
    for (let i = 0; i < bytes; i++) result = (result >>> 8) ^ table[(result ^ (data >>> (8 * i))) & 0xff]!;
    return result;
  };
}

export const updateCrc32 = checksumOf(POLYNOMIAL_CRC32);
export const updateCrc32c = checksumOf(POLYNOMIAL_CRC32C);
