/**
 * Encodings of the cryptographic extensions. Not modelled: SM3, SM4.
 *
 * Source: Arm ARM DDI 0487 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type { Encodings } from '../instruction.ts';

/** Advanced Encryption Standard. Feature: FEAT_AES. */
export const CRYPTO_AES = {
  AESE: '01001110 00 10100 00100 10 rn:5 rd:5',
  AESD: '01001110 00 10100 00101 10 rn:5 rd:5',
  AESMC: '01001110 00 10100 00110 10 rn:5 rd:5',
  AESIMC: '01001110 00 10100 00111 10 rn:5 rd:5',
} as const satisfies Encodings;

/** Product of polynomials of 64 bits. Feature: FEAT_PMULL. */
export const CRYPTO_PMULL = {
  'PMULL (64-bit)': '0 q:1 0 01110 11 1 rm:5 1110 00 rn:5 rd:5',
} as const satisfies Encodings;

/** SHA-1. Feature: FEAT_SHA1. */
export const CRYPTO_SHA1 = {
  SHA1C: '01011110 00 0 rm:5 0 000 00 rn:5 rd:5',
  SHA1P: '01011110 00 0 rm:5 0 001 00 rn:5 rd:5',
  SHA1M: '01011110 00 0 rm:5 0 010 00 rn:5 rd:5',
  SHA1SU0: '01011110 00 0 rm:5 0 011 00 rn:5 rd:5',
  SHA1H: '01011110 00 10100 00000 10 rn:5 rd:5',
  SHA1SU1: '01011110 00 10100 00001 10 rn:5 rd:5',
} as const satisfies Encodings;

/** SHA-256. Feature: FEAT_SHA256. */
export const CRYPTO_SHA256 = {
  SHA256H: '01011110 00 0 rm:5 0 100 00 rn:5 rd:5',
  SHA256H2: '01011110 00 0 rm:5 0 101 00 rn:5 rd:5',
  SHA256SU1: '01011110 00 0 rm:5 0 110 00 rn:5 rd:5',
  SHA256SU0: '01011110 00 10100 00010 10 rn:5 rd:5',
} as const satisfies Encodings;

/** SHA-512. Feature: FEAT_SHA512. */
export const CRYPTO_SHA512 = {
  SHA512H: '11001110 011 rm:5 1000 00 rn:5 rd:5',
  SHA512H2: '11001110 011 rm:5 1000 01 rn:5 rd:5',
  SHA512SU1: '11001110 011 rm:5 1000 10 rn:5 rd:5',
  SHA512SU0: '11001110 110 00000 1000 00 rn:5 rd:5',
} as const satisfies Encodings;

/** SHA-3. Feature: FEAT_SHA3. */
export const CRYPTO_SHA3 = {
  RAX1: '11001110 011 rm:5 1000 11 rn:5 rd:5',
  EOR3: '11001110 000 rm:5 0 ra:5 rn:5 rd:5',
  BCAX: '11001110 001 rm:5 0 ra:5 rn:5 rd:5',
  XAR: '11001110 100 rm:5 imm6:6 rn:5 rd:5',
} as const satisfies Encodings;
