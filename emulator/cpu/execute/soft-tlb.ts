/**
 * Translation banks: per translation context a soft TLB and a jump cache, in linear memory where compiled code probes them.
 *
 * A bank holds
 *
 *     TLB         1,024 entries of 32 bytes: tag for reads (i64), tag for writes (i64), addend (i32)
 *     jump cache  65,536 entries of 16 bytes: PC (i64), table index of a compiled region (i32), its entry (i32);
 *                 all 0 when free, which is an entry for PC 0 that leads back to the run loop
 *
 * A tag is the virtual address of the page, or all ones. Address + addend (modulo 2^32) is the linear-memory address.
 * A context (ASID, exception level, PAN …) that was used lately keeps its bank, so that switching back is no flush.
 */
import type { GuestMemory } from '../../memory/guest-memory.ts';

const TLB_ENTRIES = 1024;
/** Jump cache: groups of entries, one for pages with the same hash. With 64 × 64 entries, 85 of 100 misses were conflicts. */
const JUMP_GROUPS = 512;
const JUMP_SLOTS = 128;
const JUMP_ENTRIES = JUMP_GROUPS * JUMP_SLOTS;

/** Pages of 4 KiB below the addresses whose highest bit is 1. */
const LOWER_HALF_PAGES = 2 ** 51;

/** Layout of a bank, for the code that probes it. */
export const BANK = {
  /** TLB entry of an address: `((low >>> TLB_SHIFT) ^ (low >>> TLB_HASH_SHIFT)) & TLB_MASK` bytes from the bank. */
  TLB_SHIFT: 7,
  /** Pages that are a power of two apart, as large buffers often are, do not compete for an entry. */
  TLB_HASH_SHIFT: 17,
  TLB_MASK: (TLB_ENTRIES - 1) << 5,
  readTag: 0,
  writeTag: 8,
  addend: 16,
  /** Jump cache of the bank, in bytes from its start. */
  JUMP_CACHE: TLB_ENTRIES * 32,
  /** Jump entries of one page are in one group, so that one page can be invalidated. */
  JUMP_GROUP_MASK: (JUMP_GROUPS - 1) << 11,
  JUMP_SLOT_MASK: (JUMP_SLOTS - 1) << 4,
  /** Changes the address of an entry into that of the other one that may have the same PC. */
  JUMP_ALTERNATE: 16,
  jumpPc: 0,
  jumpFunction: 8,
  jumpEntry: 12,
  SIZE: TLB_ENTRIES * 32 + JUMP_ENTRIES * 16,
} as const;

/** Banks that each CPU has. */
export const BANKS_PER_CPU = 16;

/** Offset of the TLB entry of an address within its bank. Compiled code computes the same. */
export function tlbOffset(low: number): number {
  return ((low >>> BANK.TLB_SHIFT) ^ (low >>> BANK.TLB_HASH_SHIFT)) & BANK.TLB_MASK;
}

/** Offset in the jump cache of the group of a PC's page: a hash of bits 12 and up. Compiled code computes the same. */
function groupOffset(low: number): number {
  return ((low >>> 1) ^ (low >>> 10)) & BANK.JUMP_GROUP_MASK;
}

/** Offset of the jump cache entry of a PC within its bank. Compiled code computes the same. */
function jumpOffset(low: number): number {
  return BANK.JUMP_CACHE + (groupOffset(low) | (((low << 2) ^ (low >>> 5)) & BANK.JUMP_SLOT_MASK));
}

/** The instruction side of a bank is probed by the run loop only and lives in JavaScript. */
export interface Bank {
  /** Linear-memory address. */
  readonly base: number;
  /** Context that the bank serves, or -1. */
  key: number;
  /** For choosing the bank that was not used for longest. */
  lastUse: number;
  /** Leaves larger than 4 KiB that entries came from: size → numbers of the leaves of that size. An invalidation in one drops the bank. */
  readonly largeLeaves: Map<number, Set<number>>;
  /** Numbers of the pages from which code was fetched: only those have jump cache entries. */
  readonly codePages: Set<number>;
  /** Nothing was entered since the bank was cleared. */
  isEmpty: boolean;
  /** Changes with every flush of such a page; caches of instruction translations compare it. */
  generation: number;
}

/** The translation banks of one CPU. */
export class TranslationBanks {
  readonly #memory: GuestMemory;
  readonly #banks: readonly Bank[];
  readonly #byKey = new Map<number, Bank>();
  readonly #sharesUpperHalf: (key: number, other: number) => boolean;
  #uses = 0;

  /**
   * @param base linear-memory address of `BANKS_PER_CPU` banks
   * @param sharesUpperHalf whether two contexts translate negative addresses alike: a new one then inherits them from the other
   */
  constructor(memory: GuestMemory, base: number, sharesUpperHalf: (key: number, other: number) => boolean) {
    this.#memory = memory;
    this.#sharesUpperHalf = sharesUpperHalf;
    this.#banks = Array.from({ length: BANKS_PER_CPU }, (_, i) => ({
      base: base + i * BANK.SIZE,
      key: -1,
      lastUse: 0,
      largeLeaves: new Map<number, Set<number>>(),
      codePages: new Set<number>(),
      isEmpty: false,
      generation: 0,
    }));
    for (const bank of this.#banks) this.#clear(bank);
  }

  /** The bank of a context; takes over the one unused for longest when the context has none. */
  select(key: number): Bank {
    let bank = this.#byKey.get(key);
    if (bank === undefined) {
      bank = this.#banks.reduce((oldest, candidate) => (candidate.lastUse < oldest.lastUse ? candidate : oldest));
      this.#byKey.delete(bank.key);
      this.#clear(bank);
      bank.key = key;
      this.#inherit(bank);
      this.#byKey.set(key, bank);
    }
    bank.lastUse = ++this.#uses;
    return bank;
  }

  /** Bank at a linear-memory address. */
  at(base: number): Bank {
    return this.#banks[(base - this.#banks[0]!.base) / BANK.SIZE]!;
  }

  /** Fills the TLB entry of the page of an address. @param address linear-memory address of the page */
  fill(
    bank: Bank,
    low: number,
    high: number,
    address: number,
    readable: boolean,
    writable: boolean,
    leafSize: number,
  ): void {
    const entry = (bank.base + tlbOffset(low)) >> 2;
    const page = low & -4096;
    const { int32 } = this.#memory;
    bank.isEmpty = false;
    int32[entry] = readable ? page : -1;
    int32[entry + 1] = readable ? high : -1;
    int32[entry + 2] = writable ? page : -1;
    int32[entry + 3] = writable ? high : -1;
    int32[entry + 4] = address - page;
    if (leafSize > 4096) rememberLeaf(bank, page, high, leafSize);
  }

  /** Notes that code is fetched from the page of an address, and the size of the leaf that maps it. */
  noteFetch(bank: Bank, low: number, high: number, leafSize: number): void {
    bank.isEmpty = false;
    bank.codePages.add(leafNumber(low & -4096, high, 4096));
    if (leafSize > 4096) rememberLeaf(bank, low & -4096, high, leafSize);
  }

  /** Enters a region's entry for a PC into the jump cache; what was there moves to its alternate place. */
  enterJump(bank: Bank, low: number, high: number, functionIndex: number, entryNumber: number): void {
    const { int32 } = this.#memory;
    const entry = (bank.base + jumpOffset(low)) >> 2;
    bank.isEmpty = false;
    const isTaken = int32[entry + 2] !== 0;
    if (isTaken && (int32[entry] !== low || int32[entry + 1] !== high)) {
      int32.copyWithin(entry ^ (BANK.JUMP_ALTERNATE >> 2), entry, entry + 4);
    }
    int32[entry] = low;
    int32[entry + 1] = high;
    int32[entry + 2] = functionIndex;
    int32[entry + 3] = entryNumber;
  }

  flush(): void {
    for (const bank of this.#banks) if (bank.key >= 0) this.#clear(bank);
  }

  flushContexts(matches: (key: number) => boolean): void {
    for (const bank of this.#banks) if (bank.key >= 0 && matches(bank.key)) this.#clear(bank);
  }

  /** Drops what contexts know about addresses whose highest bit is 0. */
  flushLowerHalf(matches: (key: number) => boolean): void {
    for (const bank of this.#banks) if (bank.key >= 0 && !bank.isEmpty && matches(bank.key)) this.#clearLowerHalf(bank);
  }

  /** Drops the page of an address in all contexts, and all of a context when the page was part of a larger leaf. */
  flushPage(low: number, high: number): void {
    for (const bank of this.#banks) {
      if (bank.key < 0) continue;
      if (isInLargeLeaf(bank, low & -4096, high)) this.#clear(bank);
      else this.#clearPage(bank, low, high);
    }
  }

  /** Drops the write permission of every entry that maps the page at linear-memory address `address`. */
  trapWrites(address: number): void {
    const { int32 } = this.#memory;
    for (const bank of this.#banks) {
      if (bank.key < 0) continue;
      const first = bank.base >> 2;
      for (let entry = first; entry < first + TLB_ENTRIES * 8; entry += 8) {
        if (int32[entry + 3] === -1 && int32[entry + 2] === -1) continue;
        if (((int32[entry + 2]! + int32[entry + 4]!) | 0) === (address | 0)) {
          int32[entry + 2] = -1;
          int32[entry + 3] = -1;
        }
      }
    }
  }

  /** Drops the jump cache of every context: compiled regions were discarded. */
  clearJumpCaches(): void {
    for (const { base, key } of this.#banks) {
      if (key >= 0) this.#memory.bytes.fill(0, base + BANK.JUMP_CACHE, base + BANK.SIZE);
    }
  }

  #clearLowerHalf(bank: Bank): void {
    const { int32 } = this.#memory;
    const first = bank.base >> 2;
    for (let entry = first; entry < first + TLB_ENTRIES * 8; entry += 8) {
      if (int32[entry + 1]! >= 0 || int32[entry + 3]! >= 0) int32.fill(-1, entry, entry + 4);
    }
    for (const page of bank.codePages) {
      if (page < LOWER_HALF_PAGES) this.#clearPage(bank, (page * 4096) | 0, Math.floor(page / 2 ** 20));
    }
  }

  #clear(bank: Bank): void {
    if (bank.isEmpty) return;
    bank.isEmpty = true;
    this.#memory.bytes.fill(0xff, bank.base, bank.base + BANK.JUMP_CACHE);
    this.#memory.bytes.fill(0, bank.base + BANK.JUMP_CACHE, bank.base + BANK.SIZE);
    bank.largeLeaves.clear();
    bank.codePages.clear();
    bank.generation++;
  }

  /**
   * Takes over the entries of negative addresses from the context used last that translates them alike: a new process
   * finds its kernel's translations. Without, a boot's shell scripts filled 600,000 jump cache entries again.
   */
  #inherit(bank: Bank): void {
    const donors = this.#banks.filter(
      candidate => candidate !== bank && candidate.key >= 0 && this.#sharesUpperHalf(candidate.key, bank.key),
    );
    if (donors.length === 0) return;
    bank.isEmpty = false;
    const donor = donors.reduce((last, candidate) => (candidate.lastUse > last.lastUse ? candidate : last));
    this.#copyUpperHalf(donor.base, bank.base, TLB_ENTRIES, 8);
    this.#copyUpperHalf(donor.base + BANK.JUMP_CACHE, bank.base + BANK.JUMP_CACHE, JUMP_ENTRIES, 4);
    for (const [size, leaves] of donor.largeLeaves) bank.largeLeaves.set(size, new Set(leaves));
    for (const page of donor.codePages) bank.codePages.add(page);
  }

  /** Copies entries of `words` words whose address (words 0 and 1; in the TLB, words 2 and 3 as well) is negative. */
  #copyUpperHalf(from: number, to: number, entries: number, words: number): void {
    const { int32 } = this.#memory;
    const distance = (to - from) >> 2;
    const end = (from >> 2) + entries * words;
    for (let entry = from >> 2; entry < end; entry += words) {
      const high = int32[entry + 1]!;
      const isUpper = high < 0 && (high !== -1 || int32[entry] !== -1 || (words === 8 && int32[entry + 3]! < -1));
      if (isUpper) int32.copyWithin(entry + distance, entry, entry + words);
    }
  }

  #clearPage(bank: Bank, low: number, high: number): void {
    const { int32 } = this.#memory;
    const entry = bank.base + tlbOffset(low);
    int32.fill(-1, entry >> 2, (entry >> 2) + 4);
    if (!bank.codePages.delete(leafNumber(low & -4096, high, 4096))) return;
    bank.generation++;
    const first = (bank.base + BANK.JUMP_CACHE + groupOffset(low)) >> 2;
    for (let jump = first; jump < first + 4 * JUMP_SLOTS; jump += 4) {
      if (((int32[jump]! ^ low) & -4096) === 0 && int32[jump + 1] === high) int32.fill(0, jump, jump + 4);
    }
  }
}

function rememberLeaf(bank: Bank, page: number, high: number, leafSize: number): void {
  let leaves = bank.largeLeaves.get(leafSize);
  if (leaves === undefined) bank.largeLeaves.set(leafSize, (leaves = new Set()));
  leaves.add(leafNumber(page, high, leafSize));
}

function isInLargeLeaf(bank: Bank, page: number, high: number): boolean {
  for (const [size, leaves] of bank.largeLeaves) {
    if (leaves.has(leafNumber(page, high, size))) return true;
  }
  return false;
}

/** Exact: a page-aligned 64-bit address has at most 52 significant bits. */
function leafNumber(page: number, high: number, leafSize: number): number {
  return Math.floor(((high >>> 0) * 2 ** 32 + (page >>> 0)) / leafSize);
}
