/**
 * Pointer authentication: signs pointers, checks and removes signatures. Pure: keys and address format are arguments.
 *
 * Source: Arm ARM DDI 0487 "Pointer authentication", pseudocode `AddPAC`, `Auth`, `Strip`. Not modelled: FEAT_PAuth2 (codes that are
 * added by exclusive or), FEAT_FPAC (a fault instead of an invalid pointer).
 */
import type { PacKey } from './qarma.ts';

export type { PacKey };

/** The computation of a code from pointer, modifier and key: QARMA5, or whatever the implementation chooses. */
export type PacAlgorithm = (pointer: bigint, modifier: bigint, key: PacKey) => bigint;

/** What the translation controls say of one half of the address space. */
export interface PointerHalf {
  /** Bits 63 to 56 are not part of an address (TBI, and TBID for instruction addresses). */
  readonly topByteIgnored: boolean;
  /** Bits of an address: the lowest bit of the code. */
  readonly inputBits: number;
}

/** The lower and the upper half of the address space, by bit 55. */
export type PointerFormat = readonly [lower: PointerHalf, upper: PointerHalf];

const BIT_55 = 1n << 55n;
const TOP_BYTE = 0xffn << 56n;
const ALL = 0xffff_ffff_ffff_ffffn;

/** A mask of bits `from` to 63. */
function bitsFrom(from: number): bigint {
  return (ALL << BigInt(from)) & ALL;
}

/** The bits that a code takes in a pointer of this half: without bit 55, which keeps saying which half it is. */
function codeMask({ topByteIgnored, inputBits }: PointerHalf): bigint {
  return bitsFrom(inputBits) & ~BIT_55 & (topByteIgnored ? ~TOP_BYTE : ALL);
}

/** The pointer as it would be without a code: bits above the address all equal `isUpper`. */
function extended(pointer: bigint, half: PointerHalf, isUpper: boolean): bigint {
  const mask = codeMask(half) | BIT_55;
  return isUpper ? pointer | mask : pointer & ~mask & ALL;
}

function halfOf(pointer: bigint, format: PointerFormat): PointerHalf {
  return format[(pointer & BIT_55) === 0n ? 0 : 1];
}

/** Puts a code into a pointer; one that is not canonical gets a wrong code. */
export function signPointer(
  algorithm: PacAlgorithm,
  pointer: bigint,
  modifier: bigint,
  key: PacKey,
  format: PointerFormat,
): bigint {
  const { topByteIgnored } = halfOf(pointer, format);
  const selector = format[0].topByteIgnored || format[1].topByteIgnored ? BIT_55 : 1n << 63n;
  const isUpper = (pointer & selector) !== 0n;
  const half = { topByteIgnored, inputBits: format[isUpper ? 1 : 0].inputBits };
  const canonical = extended(pointer, half, isUpper);
  const code = algorithm(canonical, modifier, key);
  const mask = codeMask(half);
  const checked = pointer & (mask | BIT_55);
  const isValid = checked === 0n || checked === (mask | BIT_55);
  const corruption = isValid ? 0n : 1n << (topByteIgnored ? 54n : 62n);
  return (canonical & ~mask & ALL) | ((code ^ corruption) & mask);
}

/**
 * Checks and removes a code. A wrong one gives a pointer that no translation accepts.
 * @param keyNumber 0 for an A key, 1 for a B key
 */
export function authenticatePointer(
  algorithm: PacAlgorithm,
  pointer: bigint,
  modifier: bigint,
  key: PacKey,
  keyNumber: 0 | 1,
  format: PointerFormat,
): bigint {
  const half = halfOf(pointer, format);
  const canonical = stripPointer(pointer, format);
  const mask = codeMask(half);
  const code = algorithm(canonical, modifier, key);
  if ((code & mask) === (pointer & mask)) return canonical;
  const error = keyNumber === 0 ? 0b01n : 0b10n;
  const at = half.topByteIgnored ? 53n : 61n;
  return (canonical & ~(0b11n << at)) | (error << at);
}

/** Removes a code without checking it. */
export function stripPointer(pointer: bigint, format: PointerFormat): bigint {
  return extended(pointer, halfOf(pointer, format), (pointer & BIT_55) !== 0n);
}

/** PACGA: a code of any value, in the high 32 bits. */
export function genericCode(algorithm: PacAlgorithm, value: bigint, modifier: bigint, key: PacKey): bigint {
  return algorithm(value, modifier, key) & bitsFrom(32);
}
