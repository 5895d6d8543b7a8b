/**
 * The page walk: 32-bit, PAE, 4-level and 5-level paging. Addresses come as two 32-bit halves and nothing is allocated, because
 * walks are on the hot path.
 *
 * Source: Intel SDM vol. 3A "Paging". Modelled: PSE, PSE-36, the PDPTE registers of PAE, NX, WP, SMEP, SMAP, global pages, accessed and
 * dirty bits, reserved bits, protection keys. Not modelled: memory types.
 */
import type { AccessKind, EngineCpu, WalkResult } from '../../execute/guest.ts';
import { CR0, CR4, EFER, PF_ERROR } from './control-bits.ts';
import type { SystemRegisters } from './system-registers.ts';

/** Bits of paging-structure entries; NX is bit 31 of the upper half. */
const PTE = { P: 1, W: 2, U: 4, A: 1 << 5, D: 1 << 6, PS: 1 << 7, G: 1 << 8, NX: -0x8000_0000 } as const;

/** The protection key of a page, in the upper half of its entry. */
const PROTECTION_KEY = 27;
/** Rights of a key in PKRU. */
const KEY = { ACCESS_DISABLE: 1, WRITE_DISABLE: 2 } as const;

/** What of the CPU model matters. */
export interface PagingModel {
  readonly physicalAddressBits: number;
  readonly hasGigabytePages: boolean;
}

/** As whom an access is made. */
export interface Privilege {
  /** CPL 3. */
  readonly user: boolean;
  /** SMAP forbids user pages to this supervisor access. */
  readonly smapBlocked: boolean;
}

const PAGE = 4096;
const FAULT = -1;
/** Bits of a PDPTE that must be 0, below the physical address width. */
const PDPTE_RESERVED = 0x1e6n;

/** The MMU of one CPU. */
export class Paging {
  /** Error code of the last failed walk, or -1 when the address is not canonical. */
  errorCode = 0;
  /** The page of the last walk is global: its translation survives a load of CR3. */
  isGlobal = false;
  readonly #engine: EngineCpu;
  readonly #model: PagingModel;
  readonly #registers: SystemRegisters;
  /** Bits of an entry's upper half that must be 0: beyond the physical address width, and NX when EFER.NXE is clear. */
  #reservedHigh = 0;
  // the walk under way
  #kind: AccessKind = 'read';
  #entryAddress = 0;
  #low = 0;
  #high = 0;
  #allowed = 0;
  #noExecute = false;

  constructor(engine: EngineCpu, registers: SystemRegisters, model: PagingModel) {
    this.#engine = engine;
    this.#registers = registers;
    this.#model = model;
  }

  /** Control registers have changed. */
  configure(): void {
    const width = this.#model.physicalAddressBits - 32;
    const beyond = 0x000f_ffff & ~(2 ** width - 1);
    this.#reservedHigh = beyond | (this.#registers.efer & EFER.NXE ? 0 : PTE.NX);
  }

  /** Loads the PDPTE registers of PAE paging from the table at CR3. @returns false when reserved bits are set (#GP); then they stay */
  loadPdptes(cr3: number): boolean {
    const table = cr3 - (cr3 % 32);
    const entries = [0, 8, 16, 24].map(offset => {
      const at = this.#engine.ramAddress(table + offset);
      const entry = at < 0 ? 0n : this.#engine.view.getBigUint64(at, true);
      return (entry & 1n) === 0n ? 0n : entry;
    });
    if (
      entries.some(entry => (entry & PDPTE_RESERVED) !== 0n || entry >> BigInt(this.#model.physicalAddressBits) !== 0n)
    ) {
      return false;
    }
    this.#registers.pdptes = entries.map(Number);
    return true;
  }

  /** Whether bits 63 to 47 (56 with 5 levels) are equal. Only 64-bit mode makes addresses beyond 32 bits. */
  isCanonical(high: number): boolean {
    const top = this.#registers.cr4 & CR4.LA57 ? high >> 24 : high >> 15;
    return top === 0 || top === -1;
  }

  /** @returns false when it faults, with `errorCode` */
  walk(low: number, high: number, kind: AccessKind, privilege: Privilege, result: WalkResult): boolean {
    const { cr0, cr4, efer } = this.#registers;
    result.guarded = false;
    if ((cr0 & CR0.PG) === 0) return identity(low, result);
    if ((efer & EFER.LMA) !== 0 && !this.isCanonical(high)) {
      this.errorCode = -1;
      return false;
    }
    this.#kind = kind;
    this.#allowed = PTE.W | PTE.U;
    this.#noExecute = false;
    const mapped =
      (efer & EFER.LMA) !== 0
        ? this.#walkLong(low, high, result)
        : (cr4 & CR4.PAE) !== 0
          ? this.#walkPae(low, result)
          : this.#walk32(low, result);
    return this.#finish(mapped, privilege, result);
  }

  #walkLong(low: number, high: number, result: WalkResult): number {
    const { cr3, cr4 } = this.#registers;
    let table = cr3 - (cr3 % PAGE);
    if ((cr4 & CR4.LA57) !== 0) {
      table = this.#next(table + ((high >>> 16) & 0x1ff) * 8, true);
      if (table < 0) return table;
    }
    table = this.#next(table + ((high >>> 7) & 0x1ff) * 8, true);
    if (table < 0) return table;
    const third = ((high & 0x7f) << 2) | (low >>> 30);
    table = this.#next(table + third * 8, !this.#model.hasGigabytePages);
    if (table < 0) return table;
    if ((this.#low & PTE.PS) !== 0) return this.#leaf(low, 2 ** 30, result);
    return this.#walkLastTwo(table, low, result);
  }

  #walkPae(low: number, result: WalkResult): number {
    // a PDPTE has no permission bits
    const entry = this.#registers.pdptes[low >>> 30]!;
    this.errorCode = 0;
    return entry === 0 ? FAULT : this.#walkLastTwo(entry - (entry % PAGE), low, result);
  }

  #walkLastTwo(directory: number, low: number, result: WalkResult): number {
    const table = this.#next(directory + ((low >>> 21) & 0x1ff) * 8, false);
    if (table < 0) return table;
    if ((this.#low & PTE.PS) !== 0) return this.#leaf(low, 2 ** 21, result);
    const page = this.#next(table + ((low >>> 12) & 0x1ff) * 8, false, true);
    return page < 0 ? page : this.#leaf(low, PAGE, result);
  }

  #walk32(low: number, result: WalkResult): number {
    const { cr3, cr4 } = this.#registers;
    const table = this.#next32(cr3 - (cr3 % PAGE) + (low >>> 22) * 4);
    if (table < 0) return table;
    if ((this.#low & PTE.PS) !== 0 && (cr4 & CR4.PSE) !== 0) {
      // PSE-36: bits 20 to 13 are address bits 39 to 32
      this.#high = (this.#low >>> 13) & 0xff;
      return this.#leaf(low, 2 ** 22, result);
    }
    const page = this.#next32(table + ((low >>> 12) & 0x3ff) * 4, true);
    return page < 0 ? page : this.#leaf(low, PAGE, result);
  }

  /** Reads an entry of 8 bytes. @returns the address in it, or FAULT with `errorCode`'s P and RSVD */
  #next(address: number, pageSizeReserved: boolean, isPage = false): number {
    if (!this.#read(address)) return FAULT;
    if ((this.#low & PTE.P) === 0) {
      this.errorCode = 0;
      return FAULT;
    }
    if ((this.#high & this.#reservedHigh) !== 0 || (pageSizeReserved && (this.#low & PTE.PS) !== 0)) {
      this.errorCode = PF_ERROR.P | PF_ERROR.RSVD;
      return FAULT;
    }
    this.#allowed &= this.#low;
    if (this.#high < 0) this.#noExecute = true;
    this.#markAccessed(isPage || (this.#low & PTE.PS) !== 0);
    return this.#tableAddress();
  }

  #next32(address: number, isPage = false): number {
    const at = this.#engine.ramAddress(address);
    this.#entryAddress = at;
    this.#low = at < 0 ? 0 : this.#engine.view.getInt32(at, true);
    this.#high = 0;
    this.errorCode = 0;
    if ((this.#low & PTE.P) === 0) return FAULT;
    this.#allowed &= this.#low;
    this.#markAccessed(isPage || (this.#low & PTE.PS) !== 0);
    return this.#tableAddress();
  }

  #read(address: number): boolean {
    const at = this.#engine.ramAddress(address);
    this.errorCode = 0;
    if (at < 0) return false;
    this.#entryAddress = at;
    this.#low = this.#engine.view.getInt32(at, true);
    this.#high = this.#engine.view.getInt32(at + 4, true);
    return true;
  }

  #tableAddress(): number {
    return (this.#high & 0x000f_ffff) * 2 ** 32 + ((this.#low & -PAGE) >>> 0);
  }

  /** Sets A of an entry that names a table; that of the leaf is set when the access is allowed. */
  #markAccessed(isLeaf: boolean): void {
    if (isLeaf || (this.#low & PTE.A) !== 0) return;
    this.#engine.view.setInt32(this.#entryAddress, this.#low | PTE.A, true);
  }

  #leaf(low: number, size: number, result: WalkResult): number {
    const base = this.#tableAddress();
    const start = base - (base % size);
    result.paddr = start + (((low & -PAGE) >>> 0) % size);
    result.leafSize = size;
    if ((this.#low & reservedOfLeaf(size)) === 0) return 0;
    this.errorCode = PF_ERROR.P | PF_ERROR.RSVD;
    return FAULT;
  }

  #finish(mapped: number, privilege: Privilege, result: WalkResult): boolean {
    if (mapped < 0) return this.#fail(this.errorCode, privilege);
    const isUserPage = (this.#allowed & PTE.U) !== 0;
    const key = isUserPage ? this.#keyRights(privilege) : 0;
    const mayWrite = this.#mayWrite(privilege) && (key & KEY.WRITE_DISABLE) === 0;
    const reaches = (key & KEY.ACCESS_DISABLE) === 0 && reachesPage(isUserPage, privilege);
    const executes = this.#executes(isUserPage, privilege);
    const allowed = this.#kind === 'execute' ? executes : reaches && (this.#kind === 'read' || mayWrite);
    if (!allowed) return this.#fail(PF_ERROR.P | this.#keyError(key), privilege);
    this.isGlobal = (this.#low & PTE.G) !== 0 && (this.#registers.cr4 & CR4.PGE) !== 0;
    this.#updateEntry(this.#kind === 'write');
    result.readable = reaches;
    // a first write must come here again to set D
    result.writable = reaches && mayWrite && (this.#low & PTE.D) !== 0;
    result.executable = executes;
    return true;
  }

  /** What PKRU forbids of data accesses to a user page: KEY bits. Source: Intel SDM vol. 3A "Protection Keys". */
  #keyRights(privilege: Privilege): number {
    const { cr0, cr4, efer, pkru } = this.#registers;
    if ((cr4 & CR4.PKE) === 0 || (efer & EFER.LMA) === 0) return 0;
    const rights = pkru >>> (2 * ((this.#high >>> PROTECTION_KEY) & 15));
    const writesAnyway = !privilege.user && (cr0 & CR0.WP) === 0;
    return rights & (writesAnyway ? KEY.ACCESS_DISABLE : KEY.ACCESS_DISABLE | KEY.WRITE_DISABLE);
  }

  #keyError(key: number): number {
    if (this.#kind === 'execute') return 0;
    return key & (this.#kind === 'write' ? KEY.ACCESS_DISABLE | KEY.WRITE_DISABLE : KEY.ACCESS_DISABLE)
      ? PF_ERROR.PK
      : 0;
  }

  #mayWrite(privilege: Privilege): boolean {
    return (this.#allowed & PTE.W) !== 0 || (!privilege.user && (this.#registers.cr0 & CR0.WP) === 0);
  }

  #executes(isUserPage: boolean, privilege: Privilege): boolean {
    if (this.#noExecute) return false;
    return privilege.user ? isUserPage : !(isUserPage && (this.#registers.cr4 & CR4.SMEP) !== 0);
  }

  #updateEntry(write: boolean): void {
    const bits = PTE.A | (write ? PTE.D : 0);
    if ((this.#low & bits) === bits) return;
    this.#low |= bits;
    this.#engine.view.setInt32(this.#entryAddress, this.#low, true);
  }

  #fail(code: number, privilege: Privilege): false {
    const { cr4, efer } = this.#registers;
    const kind = this.#kind;
    const showsFetch = (efer & EFER.NXE) !== 0 || (cr4 & CR4.SMEP) !== 0;
    this.errorCode =
      code |
      (kind === 'write' ? PF_ERROR.W : 0) |
      (privilege.user ? PF_ERROR.U : 0) |
      (kind === 'execute' && showsFetch ? PF_ERROR.ID : 0);
    return false;
  }
}

/** Bits between the page offset and the address of a large page; bit 12 is PAT, and 4 MiB pages have address bits 39 to 32 in 20 to 13. */
function reservedOfLeaf(size: number): number {
  if (size === PAGE) return 0;
  return size === 2 ** 22 ? 1 << 21 : (size - 1) & ~0x1fff;
}

/** Whether privilege and SMAP let data accesses reach a page. */
function reachesPage(isUserPage: boolean, { user, smapBlocked }: Privilege): boolean {
  return user ? isUserPage : !(isUserPage && smapBlocked);
}

/** Paging off: linear addresses are physical. */
function identity(low: number, result: WalkResult): boolean {
  result.paddr = (low & -PAGE) >>> 0;
  result.readable = true;
  result.writable = true;
  result.executable = true;
  result.leafSize = PAGE;
  return true;
}
