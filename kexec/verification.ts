/**
 * What our purgatories of both architectures are told to verify: regions, their SHA-256, and the padding of the hashed message. Segments
 * are whole pages, so the message is whole blocks, and its padding is a block that the loader writes.
 *
 * Sources: FIPS 180-4 4.2.2, 5.1.1, 5.3.3; kexec-tools 2.0.25 `kexec/kexec.c` "update_purgatory" for what is hashed.
 */
import { createHash } from 'node:crypto';

import { readU64, writeU32, writeU64 } from '../capture/formats/bytes.ts';
import { assert } from '../capture/formats/errors.ts';
import type { KexecSegment } from './segments.ts';

/** FIPS 180-4 4.2.2 and 5.3.3: the first 32 bits of the fractional parts of roots of the first primes. */
const PRIMES = Array.from({ length: 312 }, (_, n) => n)
  .filter(isPrime)
  .slice(0, 64);
/** Initial hash value and constants of the rounds. */
export const SHA256 = {
  H: PRIMES.slice(0, 8).map(prime => fraction(Math.sqrt(prime))),
  K: PRIMES.map(cubeRootFraction),
} as const;

function isPrime(n: number): boolean {
  if (n < 2) return false;
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false;
  return true;
}

function fraction(value: number): number {
  return Math.floor((value % 1) * 2 ** 32);
}

/** floor(∛prime · 2³²) mod 2³², in integers: a double's cube root may be off in the last bit. */
function cubeRootFraction(prime: number): number {
  const target = BigInt(prime) << 96n;
  let root = BigInt(Math.floor(Math.cbrt(prime) * 2 ** 32));
  while (root * root * root > target) root--;
  while ((root + 1n) * (root + 1n) * (root + 1n) <= target) root++;
  return Number(BigInt.asUintN(32, root));
}

/** Bytes of a block of SHA-256. */
export const BLOCK = 64;
/** Of the list: pairs of address and number of blocks, an empty one at the end. */
const REGION_SIZE = 16;
/** KEXEC_SEGMENT_MAX less the purgatory, the padding, and the end. */
export const REGIONS_SIZE = 17 * REGION_SIZE;

/** Where a purgatory keeps it, in bytes from its beginning. */
export interface VerificationOffsets {
  readonly digest: number;
  readonly padding: number;
  readonly regions: number;
}

/**
 * Writes what is to be verified.
 * @param mem physical address of the purgatory's first byte
 */
export function writeVerification(
  bytes: Uint8Array,
  offsets: VerificationOffsets,
  mem: number,
  segments: readonly KexecSegment[],
): void {
  assert((segments.length + 2) * REGION_SIZE <= REGIONS_SIZE, 'the list of regions holds all segments');
  const regions = segments.map(({ mem: start, memsz }) => [start, memsz / BLOCK] as const);
  for (const [i, [start, blocks]] of [...regions, [mem + offsets.padding, 1] as const].entries()) {
    writeU64(bytes, offsets.regions + i * REGION_SIZE, BigInt(start));
    writeU64(bytes, offsets.regions + i * REGION_SIZE + 8, BigInt(blocks));
  }
  const size = segments.reduce((sum, { memsz }) => sum + memsz, 0);
  bytes[offsets.padding] = 0x80;
  writeU64(bytes, offsets.padding + BLOCK - 8, BigInt(size) * 8n, 'big');
  // The state's words are in host order when they are compared.
  const digest = segmentsDigest(segments);
  for (let i = 0; i < digest.length; i += 4) writeU32(bytes, offsets.digest + i, digest.readUInt32BE(i));
}

/** What a purgatory verifies, as kexec-tools' symbols `sha256_regions` and `sha256_digest` have it. */
export interface Verification {
  readonly regions: readonly { readonly start: number; readonly len: number }[];
  /** Hexadecimal. */
  readonly digest: string;
}

/** Reads back what `writeVerification` wrote. */
export function readVerification(bytes: Uint8Array, offsets: VerificationOffsets): Verification {
  const regions: { start: number; len: number }[] = [];
  for (let at = offsets.regions; ; at += REGION_SIZE) {
    const blocks = Number(readU64(bytes, at + 8));
    // The last region is the padding.
    if (blocks === 0) break;
    regions.push({ start: Number(readU64(bytes, at)), len: blocks * BLOCK });
  }
  const digest = Buffer.from(bytes.slice(offsets.digest, offsets.digest + 32)).swap32();
  return { regions: regions.slice(0, -1), digest: digest.toString('hex') };
}

/** SHA-256 over segments as they are in memory: contents and the zeros behind them. */
export function segmentsDigest(segments: readonly KexecSegment[]): Buffer {
  const hash = createHash('sha256');
  for (const { bytes, memsz } of segments) hash.update(bytes).update(new Uint8Array(memsz - bytes.length));
  return hash.digest();
}
