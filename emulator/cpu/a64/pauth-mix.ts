/**
 * The algorithm of pointer authentication with FEAT_PACIMP: IMPLEMENTATION DEFINED, and so as cheap as it can be.
 *
 * It mixes with the finaliser of MurmurHash3 (A. Appleby, "fmix64") and is no cipher: good enough to find pointers that were not signed.
 */
import type { PacAlgorithm } from './pauth.ts';

function mix(value: bigint): bigint {
  let h = BigInt.asUintN(64, (value ^ (value >> 33n)) * 0xff51_afd7_ed55_8ccdn);
  h = BigInt.asUintN(64, (h ^ (h >> 33n)) * 0xc4ce_b9fe_1a85_ec53n);
  return h ^ (h >> 33n);
}

/** A code of 64 bits. */
export const mixedCode: PacAlgorithm = (pointer, modifier, { low, high }) =>
  mix(mix(mix(pointer ^ low) ^ modifier) ^ high);
