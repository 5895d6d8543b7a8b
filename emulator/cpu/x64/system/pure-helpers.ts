/** Helpers whose result depends on their arguments alone. Source: Intel SDM vol. 2 at the instruction's name. */
import { pureHelper } from '../../ir/helper-declaration.ts';
import type { HelperImplementation } from '../../execute/guest.ts';

/** RCL: (value, count, CF, bits of the operand) → result. A negative count is RCR's. */
export const rotateCarryLeft = pureHelper('x64.rotateCarryLeft', ['i64', 'i32', 'i32', 'i32'], 'i64');
/** RCL: → CF. */
export const rotateCarryLeftFlag = pureHelper('x64.rotateCarryLeftFlag', ['i64', 'i32', 'i32', 'i32'], 'i32');
/** CRC32: (sum, data, bytes of data) → sum. */
export const crc32 = pureHelper('x64.crc32', ['i32', 'i64', 'i32'], 'i32');
/** PEXT: (source, mask). */
export const parallelExtract = pureHelper('x64.parallelExtract', ['i64', 'i64'], 'i64');
/** PDEP: (source, mask). */
export const parallelDeposit = pureHelper('x64.parallelDeposit', ['i64', 'i64'], 'i64');

/** The operand with CF above it, rotated. */
function rotateWithCarry(value: bigint, count: number, carry: number, bits: number): bigint {
  const width = bits + 1;
  const left = BigInt(((count % width) + width) % width);
  const whole = BigInt.asUintN(bits, value) | (BigInt(carry) << BigInt(bits));
  return BigInt.asUintN(width, (whole << left) | (whole >> (BigInt(width) - left)));
}

/** CRC-32C (Castagnoli), bits reflected. */
const CASTAGNOLI = 0x82f63b78;

function crc32c(sum: number, data: bigint, bytes: number): number {
  let crc = sum;
  for (let i = 0; i < bytes; i++) {
    crc ^= Number((data >> BigInt(8 * i)) & 0xffn);
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? CASTAGNOLI : 0);
  }
  return crc | 0;
}

function extractBits(source: bigint, mask: bigint): bigint {
  let result = 0n;
  let position = 0n;
  for (let bit = 0n; bit < 64n; bit++) {
    if (((mask >> bit) & 1n) === 0n) continue;
    result |= ((source >> bit) & 1n) << position++;
  }
  return result;
}

function depositBits(source: bigint, mask: bigint): bigint {
  let result = 0n;
  let position = 0n;
  for (let bit = 0n; bit < 64n; bit++) {
    if (((mask >> bit) & 1n) === 0n) continue;
    result |= ((source >> position++) & 1n) << bit;
  }
  return result;
}

/** JavaScript hands i64 arguments over signed when they come from compiled code. */
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

export const PURE_IMPLEMENTATIONS: Readonly<Record<string, HelperImplementation>> = {
  [rotateCarryLeft.name]: (value: bigint, count: number, carry: number, bits: number): bigint =>
    BigInt.asUintN(bits, rotateWithCarry(value, count, carry, bits)),
  [rotateCarryLeftFlag.name]: (value: bigint, count: number, carry: number, bits: number): number =>
    Number(rotateWithCarry(value, count, carry, bits) >> BigInt(bits)),
  [crc32.name]: (sum: number, data: bigint, bytes: number): number => crc32c(sum, u64(data), bytes),
  [parallelExtract.name]: (source: bigint, mask: bigint): bigint => extractBits(u64(source), u64(mask)),
  [parallelDeposit.name]: (source: bigint, mask: bigint): bigint => depositBits(u64(source), u64(mask)),
};
