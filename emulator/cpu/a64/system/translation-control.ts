/**
 * TCR_ELx and TTBRn_ELx in the form that the table walk wants: decoded once, when they are written.
 *
 * Source: Arm ARM DDI 0487 "The AArch64 Virtual Memory System Architecture", "TCR_EL1", "TCR_EL2", "TTBR0_EL1".
 */
import type { A64Features } from '../features.ts';

/** One half of an address space: what one translation table base register translates. */
export interface AddressSpaceHalf {
  /** TCR.EPDn is clear and TxSZ is in range: addresses may be walked. */
  readonly isWalkable: boolean;
  /** Physical address of the first table. */
  readonly tableBase: number;
  /** -1 to 3. */
  readonly startLevel: number;
  /** Lowest bit of the index into the first table, and the mask of that index. */
  readonly startShift: number;
  readonly startIndexMask: number;
  /** Bits of a table index below the first table: 9, 11 or 13. */
  readonly stride: number;
  /** log2 of the granule: 12, 14 or 16. */
  readonly pageShift: number;
  /** Lowest level at which a block descriptor is allowed. */
  readonly firstBlockLevel: number;
  /** Bits of a valid virtual address: 64 - TxSZ. */
  readonly inputBits: number;
  /** First output address that is out of range. */
  readonly outputLimit: number;
  /** TBIn: the top byte of an address is ignored. */
  readonly topByteIgnored: boolean;
  /** E0PDn: every access from EL0 faults. */
  readonly el0Prevented: boolean;
  /** HPDn: permissions in table descriptors are ignored. */
  readonly hierarchicalPermissionsDisabled: boolean;
  /** Where descriptors keep bits 51 to 48 of an address: nowhere, as 64 KiB granules do, or as FEAT_LPA2 does. */
  readonly highAddress: 'none' | 'bits 15:12' | 'bits 9:8';
}

/** What a translation control register says of one half, before TxSZ is interpreted. */
interface HalfControl {
  readonly sizeOffset: number;
  readonly pageShift: 12 | 14 | 16;
  readonly disabled: boolean;
  readonly outputBits: number;
  readonly topByteIgnored: boolean;
  readonly el0Prevented: boolean;
  readonly hierarchicalPermissionsDisabled: boolean;
  readonly wideDescriptors: boolean;
}

/** TCR_ELx.IPS and PS, ID_AA64MMFR0_EL1.PARange. */
const OUTPUT_BITS = [32, 36, 40, 42, 44, 48, 52, 52] as const;
/** TCR_EL1.TG0 and TCR_EL2.TG0; TG1 is numbered differently. */
const TG0_PAGE_SHIFT = [12, 16, 14, 14] as const;
const TG1_PAGE_SHIFT = [14, 14, 12, 16] as const;
const PAGE_SIZE_GRANULE_64K = 16;

function bit(value: bigint, position: number): boolean {
  return ((value >> BigInt(position)) & 1n) !== 0n;
}

function bits(value: bigint, high: number, low: number): number {
  return Number((value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n));
}

/** Decodes TCR_EL1 and TTBR0_EL1 (`half` 0) or TTBR1_EL1 (`half` 1). @param physicalBits width of the CPU's physical addresses */
export function decodeEl1Half(
  half: 0 | 1,
  TCR: bigint,
  TTBR: bigint,
  features: A64Features,
  physicalBits: number,
): AddressSpaceHalf {
  const control: HalfControl = {
    sizeOffset: half === 0 ? bits(TCR, 5, 0) : bits(TCR, 21, 16),
    pageShift: half === 0 ? TG0_PAGE_SHIFT[bits(TCR, 15, 14)]! : TG1_PAGE_SHIFT[bits(TCR, 31, 30)]!,
    disabled: bit(TCR, half === 0 ? 7 : 23),
    outputBits: Math.min(OUTPUT_BITS[bits(TCR, 34, 32)]!, physicalBits),
    topByteIgnored: bit(TCR, 37 + half),
    el0Prevented: features.has('FEAT_E0PD') && bit(TCR, 55 + half),
    hierarchicalPermissionsDisabled: features.has('FEAT_HPDS') && bit(TCR, 41 + half),
    wideDescriptors: features.has('FEAT_LPA2') && bit(TCR, 59),
  };
  return layOut(control, TTBR, features);
}

/** Decodes TCR_EL2 and TTBR0_EL2 of the EL2 regime without the Virtualization Host Extensions. */
export function decodeEl2(TCR: bigint, TTBR: bigint, features: A64Features, physicalBits: number): AddressSpaceHalf {
  const control: HalfControl = {
    sizeOffset: bits(TCR, 5, 0),
    pageShift: TG0_PAGE_SHIFT[bits(TCR, 15, 14)]!,
    disabled: false,
    outputBits: Math.min(OUTPUT_BITS[bits(TCR, 18, 16)]!, physicalBits),
    topByteIgnored: bit(TCR, 20),
    el0Prevented: false,
    hierarchicalPermissionsDisabled: features.has('FEAT_HPDS') && bit(TCR, 24),
    wideDescriptors: features.has('FEAT_LPA2') && bit(TCR, 32),
  };
  return layOut(control, TTBR, features);
}

function layOut(control: HalfControl, TTBR: bigint, features: A64Features): AddressSpaceHalf {
  const { pageShift, wideDescriptors } = control;
  const inputBits = 64 - control.sizeOffset;
  const stride = pageShift - 3;
  const levelsBelow = Math.ceil((inputBits - pageShift) / stride) - 1;
  const startShift = pageShift + levelsBelow * stride;
  const startLevel = 3 - levelsBelow;
  const is64K = pageShift === PAGE_SIZE_GRANULE_64K;
  const highAddress =
    wideDescriptors && !is64K ? 'bits 9:8' : is64K && features.has('FEAT_LVA') ? 'bits 15:12' : 'none';
  return {
    isWalkable: !control.disabled && isSizeInRange(control, features),
    tableBase: tableBase(TTBR, inputBits - startShift, highAddress !== 'none' && control.outputBits === 52),
    startLevel,
    startShift,
    startIndexMask: 2 ** (inputBits - startShift) - 1,
    stride,
    pageShift,
    firstBlockLevel: firstBlockLevel(pageShift, highAddress !== 'none'),
    inputBits,
    outputLimit: 2 ** (highAddress === 'none' ? Math.min(control.outputBits, 48) : control.outputBits),
    topByteIgnored: control.topByteIgnored,
    el0Prevented: control.el0Prevented,
    hierarchicalPermissionsDisabled: control.hierarchicalPermissionsDisabled,
    highAddress,
  };
}

/** 52-bit addresses take FEAT_LVA with 64 KiB granules, and TCR.DS (FEAT_LPA2) with the others. */
function isSizeInRange({ sizeOffset, pageShift, wideDescriptors }: HalfControl, features: A64Features): boolean {
  const is64K = pageShift === PAGE_SIZE_GRANULE_64K;
  const is52Bit = is64K ? features.has('FEAT_LVA') : wideDescriptors;
  const smallest = is52Bit ? 12 : 16;
  const largest = features.has('FEAT_TTST') ? (is64K ? 47 : 48) : 39;
  return sizeOffset >= smallest && sizeOffset <= largest;
}

function firstBlockLevel(pageShift: number, isWide: boolean): number {
  if (pageShift === 12) return isWide ? 0 : 1;
  return isWide ? 1 : 2;
}

/** TTBR.BADDR, aligned to the table of `2 ** indexBits` entries (of at least 64 bytes for 52-bit addresses, whose top is in bits 5 to 2). */
function tableBase(TTBR: bigint, indexBits: number, is52Bit: boolean): number {
  const alignment = Math.max(indexBits + 3, is52Bit ? 6 : 0);
  const mask = 0xffff_ffff_fffen & ~((1n << BigInt(alignment)) - 1n);
  const top = is52Bit ? bits(TTBR, 5, 2) * 2 ** 48 : 0;
  return Number(TTBR & mask) + top;
}

/** TCR_EL1.A1: the ASID is TTBR1_EL1's. */
export function asid(TCR: bigint, TTBR0: bigint, TTBR1: bigint): number {
  const source = bit(TCR, 22) ? TTBR1 : TTBR0;
  const wide = bit(TCR, 36);
  return bits(source, wide ? 63 : 55, 48);
}

/** TCR_EL1.HA and HD: hardware sets the access flag and the dirty state (FEAT_HAFDBS). */
export function hardwareUpdates(TCR: bigint, features: A64Features): { accessFlag: boolean; dirtyState: boolean } {
  const accessFlag = features.has('FEAT_HAFDBS') && bit(TCR, 39);
  return { accessFlag, dirtyState: accessFlag && bit(TCR, 40) };
}
