/**
 * Stage 1 translation: the EL1&0 regime and the EL2 regime.
 *
 * Source: Arm ARM DDI 0487 "The AArch64 Virtual Memory System Architecture", "VMSAv8-64 translation table format descriptors".
 * Modelled: 4, 16 and 64 KiB granules, 48- and 52-bit addresses, hierarchical permissions, PAN, WXN, E0PD, TBI, access flag
 * and dirty state in hardware. Not modelled: stage 2, memory types (all RAM is normal memory, all else device memory;
 * no alignment faults from device memory), SCTLR_ELx.EE, the contiguous hint, TCR_EL1.NFD, TBID.
 *
 * `walk` is the TLB-miss path: 32-bit halves of 64-bit values, no allocation. A 4-level walk takes about 60 ns.
 */
import type { AccessKind, EngineCpu, WalkResult } from '../../execute/guest.ts';
import type { A64Features } from '../features.ts';
import { FAULT, faultAtLevel } from './syndrome.ts';
import { type AddressSpaceHalf, asid, decodeEl1Half, decodeEl2, hardwareUpdates } from './translation-control.ts';

/** What the walker does with memory: the engine, or a test's stand-in. */
export type WalkMemory = Pick<EngineCpu, 'int32' | 'ramAddress'>;

/** Values of the registers that the EL1&0 regime depends on. */
export interface El1Registers {
  readonly SCTLR: bigint;
  readonly TCR: bigint;
  readonly TTBR0: bigint;
  readonly TTBR1: bigint;
}

/** Values of the registers that the EL2 regime depends on. */
export interface El2Registers {
  readonly SCTLR: bigint;
  readonly TCR: bigint;
  readonly TTBR0: bigint;
}

const TWO_32 = 2 ** 32;
const SCTLR_M = 1n << 0n;
const SCTLR_WXN = 1n << 19n;

/** Low word of a descriptor. */
const VALID = 1 << 0;
const TABLE_OR_PAGE = 1 << 1;
/** AP[1]: EL0 may access. AP[2]: read-only. */
const AP_EL0 = 1 << 6;
const AP_READ_ONLY = 1 << 7;
const ACCESS_FLAG = 1 << 10;

/** High word of a descriptor: bits 63 to 32. */
const GUARDED = 1 << (50 - 32);
const DIRTY_BIT_MODIFIER = 1 << (51 - 32);
const PXN = 1 << (53 - 32);
const UXN = 1 << (54 - 32);
/** The EL2 regime has one execute-never bit, at UXN's place. */
const XN = UXN;
const PXN_TABLE = 1 << (59 - 32);
const UXN_TABLE = 1 << (60 - 32);
/** APTable[0]: no access from EL0. APTable[1]: read-only. */
const AP_TABLE_NO_EL0 = 1 << (61 - 32);
const AP_TABLE_READ_ONLY = 1 << (62 - 32);

const UNUSED_HALF: AddressSpaceHalf = decodeEl2(25n, 0n, new Set(), 48);

/** Translates addresses for one CPU. */
export class Mmu {
  readonly #memory: WalkMemory;
  readonly #features: A64Features;
  readonly #physicalBits: number;
  readonly #physicalLimit: number;
  #lower = UNUSED_HALF;
  #upper = UNUSED_HALF;
  #el2 = UNUSED_HALF;
  #el1On = false;
  #el2On = false;
  #el1Wxn = false;
  #el2Wxn = false;
  #setsAccessFlag = false;
  #setsDirtyState = false;
  /** FEAT_BTI: the GP bit of a leaf counts. */
  readonly #guardsPages: boolean;
  /** Fault status code of the last failed walk. */
  faultStatus = 0;
  /** Descriptor of the last walk that found a leaf, for AT. */
  leafLow = 0;
  leafHigh = 0;
  /** Some translation since the last `forgetTags` ignored a top byte that is no sign extension. */
  sawTaggedAddress = false;
  /** ASID in use. */
  asid = 0;

  constructor(memory: WalkMemory, features: A64Features, physicalBits: number) {
    this.#memory = memory;
    this.#features = features;
    this.#physicalBits = physicalBits;
    this.#physicalLimit = 2 ** physicalBits;
    this.#guardsPages = features.has('FEAT_BTI');
  }

  /** SCTLR_ELx.M of the regime of an exception level. */
  isOn(exceptionLevel: number): boolean {
    return exceptionLevel === 2 ? this.#el2On : this.#el1On;
  }

  /** TBI of the half that an address is in. @param high upper word of the address */
  ignoresTopByte(high: number, exceptionLevel: number): boolean {
    return this.#half(high, exceptionLevel).topByteIgnored;
  }

  /** TCR_EL1.DS is in force. */
  get usesWideDescriptors(): boolean {
    return this.#lower.highAddress === 'bits 9:8' || this.#upper.highAddress === 'bits 9:8';
  }

  configureEl1({ SCTLR, TCR, TTBR0, TTBR1 }: El1Registers): void {
    this.#el1On = (SCTLR & SCTLR_M) !== 0n;
    this.#el1Wxn = (SCTLR & SCTLR_WXN) !== 0n;
    this.#lower = decodeEl1Half(0, TCR, TTBR0, this.#features, this.#physicalBits);
    this.#upper = decodeEl1Half(1, TCR, TTBR1, this.#features, this.#physicalBits);
    this.asid = asid(TCR, TTBR0, TTBR1);
    const updates = hardwareUpdates(TCR, this.#features);
    this.#setsAccessFlag = updates.accessFlag;
    this.#setsDirtyState = updates.dirtyState;
  }

  configureEl2({ SCTLR, TCR, TTBR0 }: El2Registers): void {
    this.#el2On = (SCTLR & SCTLR_M) !== 0n;
    this.#el2Wxn = (SCTLR & SCTLR_WXN) !== 0n;
    this.#el2 = decodeEl2(TCR, TTBR0, this.#features, this.#physicalBits);
  }

  /**
   * Translates an address as an access from `exceptionLevel` would.
   * @param pan PSTATE.PAN applies to this access
   * @returns false when it faults, with the code in `faultStatus`
   */
  walk(low: number, high: number, kind: AccessKind, exceptionLevel: number, pan: boolean, result: WalkResult): boolean {
    if (!this.isOn(exceptionLevel)) return this.#flat(low, high, exceptionLevel, result);
    const half = this.#half(high, exceptionLevel);
    if (!half.isWalkable || !this.#isInRange(half, low, high, exceptionLevel)) return this.#fail(FAULT.TRANSLATION, 0);
    if (half.el0Prevented && exceptionLevel === 0) return this.#fail(FAULT.TRANSLATION, 0);
    return this.#descend(half, low, high, kind, exceptionLevel, pan, result);
  }

  #half(high: number, exceptionLevel: number): AddressSpaceHalf {
    if (exceptionLevel === 2) return this.#el2;
    return (high & (1 << (55 - 32))) === 0 ? this.#lower : this.#upper;
  }

  /** Bits above the input size equal bit 55 (EL2: are zero), the top byte apart when it is ignored. */
  #isInRange(half: AddressSpaceHalf, low: number, high: number, exceptionLevel: number): boolean {
    const sign = exceptionLevel === 2 ? 0 : (high << 8) >> 31;
    let top = high;
    if (half.topByteIgnored) {
      top = (high << 8) >> 8;
      if (top !== high) this.sawTaggedAddress = true;
      if (exceptionLevel === 2) top &= 0xff_ffff;
    }
    if (half.inputBits >= 32) return top >> (half.inputBits - 32) === sign;
    return top === sign && low >> half.inputBits === sign;
  }

  /** With the MMU off, addresses are physical. */
  #flat(low: number, high: number, exceptionLevel: number, result: WalkResult): boolean {
    const top = this.#half(high, exceptionLevel).topByteIgnored ? high & 0xff_ffff : high >>> 0;
    const paddr = top * TWO_32 + ((low & ~0xfff) >>> 0);
    if (paddr >= this.#physicalLimit) return this.#fail(FAULT.ADDRESS_SIZE, 0);
    result.paddr = paddr;
    result.leafSize = 4096;
    result.readable = true;
    result.writable = true;
    result.executable = true;
    result.guarded = false;
    return true;
  }

  #fail(fault: number, level: number): boolean {
    this.faultStatus = faultAtLevel(fault, level);
    return false;
  }

  /** Walks the tables down to a leaf. */
  #descend(
    half: AddressSpaceHalf,
    low: number,
    high: number,
    kind: AccessKind,
    exceptionLevel: number,
    pan: boolean,
    result: WalkResult,
  ): boolean {
    const memory = this.#memory;
    const { int32 } = memory;
    const { outputLimit } = half;
    let { tableBase, startLevel: level, startShift: shift, startIndexMask: indexMask } = half;
    let tableAttributes = 0;
    if (tableBase >= outputLimit) return this.#fail(FAULT.ADDRESS_SIZE, 0);
    for (;;) {
      const address = memory.ramAddress(tableBase + tableIndex(low, high, shift, indexMask) * 8);
      if (address < 0) return this.#fail(FAULT.EXTERNAL_ON_WALK, level);
      const word = address >>> 2;
      const descriptorLow = int32[word]!;
      const descriptorHigh = int32[word + 1]!;
      const type = descriptorLow & (VALID | TABLE_OR_PAGE);
      if ((type & VALID) === 0) return this.#fail(FAULT.TRANSLATION, level);
      if (type === VALID || level === 3) {
        if (!isLeaf(half, type, level)) return this.#fail(FAULT.TRANSLATION, level);
        this.leafLow = descriptorLow;
        this.leafHigh = descriptorHigh;
        if (!this.#place(half, low, high, shift, result)) return this.#fail(FAULT.ADDRESS_SIZE, level);
        return this.#permit(tableAttributes, kind, exceptionLevel, pan, level, word, result);
      }
      tableBase = outputAddress(half, descriptorLow, descriptorHigh, half.pageShift);
      if (tableBase >= outputLimit) return this.#fail(FAULT.ADDRESS_SIZE, level);
      if (!half.hierarchicalPermissionsDisabled) tableAttributes |= descriptorHigh;
      level++;
      shift -= half.stride;
      indexMask = (1 << half.stride) - 1;
    }
  }

  /** Fills in the physical page that the leaf gives the address. @returns false when it is out of range */
  #place(half: AddressSpaceHalf, low: number, high: number, shift: number, result: WalkResult): boolean {
    const base = outputAddress(half, this.leafLow, this.leafHigh, shift);
    if (base >= half.outputLimit) return false;
    const inLeaf =
      shift > 31
        ? (high & ((1 << (shift - 32)) - 1)) * TWO_32 + ((low & ~0xfff) >>> 0)
        : (low & ((1 << shift) - 1) & ~0xfff) >>> 0;
    result.paddr = base + inLeaf;
    result.leafSize = shift > 31 ? (1 << (shift - 32)) * TWO_32 : (1 << shift) >>> 0;
    return true;
  }

  /** Checks the access flag and permissions, and updates them where hardware does. @param word index of the leaf descriptor */
  #permit(
    tableAttributes: number,
    kind: AccessKind,
    exceptionLevel: number,
    pan: boolean,
    level: number,
    word: number,
    result: WalkResult,
  ): boolean {
    const isManaged = exceptionLevel < 2;
    if ((this.leafLow & ACCESS_FLAG) === 0 && !(this.#setsAccessFlag && isManaged))
      return this.#fail(FAULT.ACCESS_FLAG, level);
    if (kind === 'write' && this.#setsDirtyState && isManaged) {
      this.#makeDirty(tableAttributes, exceptionLevel, pan);
    }
    if (exceptionLevel === 2) this.#el2Permissions(tableAttributes, result);
    else this.#el1Permissions(tableAttributes, exceptionLevel, pan, result);
    result.guarded = (this.leafHigh & GUARDED) !== 0 && this.#guardsPages;
    if (!permits(result, kind)) return this.#fail(FAULT.PERMISSION, level);
    this.leafLow |= ACCESS_FLAG;
    const { int32 } = this.#memory;
    if (int32[word] !== this.leafLow) int32[word] = this.leafLow;
    return true;
  }

  /** A write to a clean writable page (DBM set, AP[2] read-only) makes it dirty, if nothing else forbids the write. */
  #makeDirty(tableAttributes: number, exceptionLevel: number, pan: boolean): void {
    const isClean = (this.leafHigh & DIRTY_BIT_MODIFIER) !== 0 && (this.leafLow & AP_READ_ONLY) !== 0;
    if (!isClean || (tableAttributes & AP_TABLE_READ_ONLY) !== 0) return;
    const el0 = (this.leafLow & AP_EL0) !== 0 && (tableAttributes & AP_TABLE_NO_EL0) === 0;
    if (exceptionLevel === 0 ? !el0 : pan && el0) return;
    this.leafLow &= ~AP_READ_ONLY;
  }

  #el1Permissions(tableAttributes: number, exceptionLevel: number, pan: boolean, result: WalkResult): void {
    const el0 = (this.leafLow & AP_EL0) !== 0 && (tableAttributes & AP_TABLE_NO_EL0) === 0;
    const isWritable = (this.leafLow & AP_READ_ONLY) === 0 && (tableAttributes & AP_TABLE_READ_ONLY) === 0;
    const isAllowed = exceptionLevel === 0 ? el0 : !(pan && el0);
    result.readable = isAllowed;
    result.writable = isAllowed && isWritable;
    if (exceptionLevel === 0) {
      const never = (this.leafHigh & UXN) | (tableAttributes & UXN_TABLE);
      result.executable = never === 0 && !(this.#el1Wxn && result.writable);
    } else {
      const never = (this.leafHigh & PXN) | (tableAttributes & PXN_TABLE);
      result.executable = never === 0 && !(isWritable && (el0 || this.#el1Wxn));
    }
  }

  #el2Permissions(tableAttributes: number, result: WalkResult): void {
    const isWritable = (this.leafLow & AP_READ_ONLY) === 0 && (tableAttributes & AP_TABLE_READ_ONLY) === 0;
    const never = (this.leafHigh & XN) !== 0 || (tableAttributes & UXN_TABLE) !== 0;
    result.readable = true;
    result.writable = isWritable;
    result.executable = !never && !(isWritable && this.#el2Wxn);
  }
}

function permits(result: WalkResult, kind: AccessKind): boolean {
  if (kind === 'read') return result.readable;
  return kind === 'write' ? result.writable : result.executable;
}

/** Whether a valid descriptor of a kind may map memory at a level: pages at level 3, blocks at some above. */
function isLeaf(half: AddressSpaceHalf, type: number, level: number): boolean {
  return level === 3 ? type !== VALID : level >= half.firstBlockLevel;
}

/** The table index of an address that starts at bit `shift` (12 or more). */
function tableIndex(low: number, high: number, shift: number, mask: number): number {
  return (shift > 31 ? high >>> (shift - 32) : (low >>> shift) | (high << (32 - shift))) & mask;
}

/** The address in a descriptor, without the bits below `shift`. */
function outputAddress(half: AddressSpaceHalf, low: number, high: number, shift: number): number {
  const inHigh = shift > 31 ? high & 0xffff & (-1 << (shift - 32)) : high & 0xffff;
  const inLow = shift > 31 ? 0 : (low & (-1 << shift)) >>> 0;
  const address = inHigh * TWO_32 + inLow;
  if (half.highAddress === 'none') return address;
  return address + highAddressBits(half, low, high) * 2 ** 48;
}

/** Bits 51 to 48. With FEAT_LPA2 bits 49 and 48 are in place, and 51 and 50 in bits 9 and 8. */
function highAddressBits(half: AddressSpaceHalf, low: number, high: number): number {
  if (half.highAddress === 'bits 15:12') return (low >>> 12) & 15;
  return ((low >>> 6) & 12) | ((high >>> 16) & 3);
}
