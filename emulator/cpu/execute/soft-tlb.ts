/**
 * Translation banks: per translation context a soft TLB and a jump cache, in linear memory where compiled code probes them.
 *
 * A bank holds
 *
 *     TLB         1,024 entries of 32 bytes: tag for reads (i64), tag for writes (i64), addend (i32)
 *     jump cache  4,096 entries of 16 bytes: PC (i64), table index of a compiled region (i32), its entry (i32)
 *
 * A tag is the virtual address of the page, or all ones. Address + addend (modulo 2^32) is the linear-memory address.
 * A context (ASID, exception level, PAN …) that was used lately keeps its bank, so that switching back is no flush.
 */
import type { GuestMemory } from '../../memory/guest-memory.ts';

const TLB_ENTRIES = 1024;
const JUMP_ENTRIES = 4096;

/** Layout of a bank, for the code that probes it. */
export const BANK = {
  /** TLB entry of an address: `(low >>> TLB_SHIFT) & TLB_MASK` bytes from the bank. */
  TLB_SHIFT: 7,
  TLB_MASK: (TLB_ENTRIES - 1) << 5,
  readTag: 0,
  writeTag: 8,
  addend: 16,
  /** Jump cache of the bank, in bytes from its start. */
  JUMP_CACHE: TLB_ENTRIES * 32,
  /** Jump entries of one page are 64 neighbours, so that one page can be invalidated: 64 pages of 64 entries. */
  JUMP_PAGE_MASK: 63 << 10,
  JUMP_SLOT_MASK: 63 << 4,
  jumpPc: 0,
  jumpFunction: 8,
  jumpEntry: 12,
  SIZE: TLB_ENTRIES * 32 + JUMP_ENTRIES * 16,
} as const;

/** Banks that each CPU has. */
export const BANKS_PER_CPU = 16;

/** Offset of the jump cache entry of a PC within its bank. Compiled code computes the same. */
export function jumpOffset(low: number): number {
  const slot = ((low << 2) ^ (low >>> 4)) & BANK.JUMP_SLOT_MASK;
  return BANK.JUMP_CACHE + (((low >>> 2) & BANK.JUMP_PAGE_MASK) | slot);
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
  /** Changes with every flush; caches of instruction translations compare it. */
  generation: number;
}

/** The translation banks of one CPU. */
export class TranslationBanks {
  readonly #memory: GuestMemory;
  readonly #banks: readonly Bank[];
  readonly #byKey = new Map<number, Bank>();
  #uses = 0;

  /** @param base linear-memory address of `BANKS_PER_CPU` banks */
  constructor(memory: GuestMemory, base: number) {
    this.#memory = memory;
    this.#banks = Array.from({ length: BANKS_PER_CPU }, (_, i) => ({
      base: base + i * BANK.SIZE,
      key: -1,
      lastUse: 0,
      largeLeaves: new Map<number, Set<number>>(),
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
    const entry = (bank.base + ((low >>> BANK.TLB_SHIFT) & BANK.TLB_MASK)) >> 2;
    const page = low & -4096;
    const { int32 } = this.#memory;
    int32[entry] = readable ? page : -1;
    int32[entry + 1] = readable ? high : -1;
    int32[entry + 2] = writable ? page : -1;
    int32[entry + 3] = writable ? high : -1;
    int32[entry + 4] = address - page;
    this.rememberLeaf(bank, low, high, leafSize);
  }

  /** Notes that a translation of an address comes from a leaf of that size. */
  rememberLeaf(bank: Bank, low: number, high: number, leafSize: number): void {
    if (leafSize > 4096) rememberLeaf(bank, low & -4096, high, leafSize);
  }

  flush(): void {
    for (const bank of this.#banks) if (bank.key >= 0) this.#clear(bank);
  }

  flushContexts(matches: (key: number) => boolean): void {
    for (const bank of this.#banks) if (bank.key >= 0 && matches(bank.key)) this.#clear(bank);
  }

  /** Drops the page of an address in all contexts, and all of a context when the page was part of a larger leaf. */
  flushPage(low: number, high: number): void {
    for (const bank of this.#banks) {
      if (bank.key < 0) continue;
      if (isInLargeLeaf(bank, low & -4096, high)) this.#clear(bank);
      else this.#clearPage(bank, low);
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
      if (key >= 0) this.#memory.bytes.fill(0xff, base + BANK.JUMP_CACHE, base + BANK.SIZE);
    }
  }

  #clear(bank: Bank): void {
    this.#memory.bytes.fill(0xff, bank.base, bank.base + BANK.SIZE);
    bank.largeLeaves.clear();
    bank.generation++;
  }

  #clearPage(bank: Bank, low: number): void {
    const entry = bank.base + ((low >>> BANK.TLB_SHIFT) & BANK.TLB_MASK);
    const jumps = bank.base + BANK.JUMP_CACHE + ((low >>> 2) & BANK.JUMP_PAGE_MASK);
    this.#memory.int32.fill(-1, entry >> 2, (entry >> 2) + 4);
    this.#memory.int32.fill(-1, jumps >> 2, (jumps >> 2) + 256);
    bank.generation++;
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
