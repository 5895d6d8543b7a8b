/**
 * Memory as the system itself accesses it: descriptor tables, task-state segments, stacks of handlers. Always with supervisor
 * privilege, past the engine's TLB, with a small one of its own. A fault is kept in `fault`.
 */
import type { AccessKind, EngineCpu, WalkResult } from '../../execute/guest.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import type { Paging, Privilege } from './paging.ts';

const SYSTEM: Privilege = { user: false, smapBlocked: false };
const USER: Privilege = { user: true, smapBlocked: false };
const PAGE = 4096;
/** Translations that are kept; a power of two. An interrupt and its return make about 18 accesses to four pages. */
const ENTRIES = 32;
/** Bits of an entry's kind. */
const WRITE = 1;
const AS_USER = 2;

/** A translation: of the page of a linear address, for reads or writes, for the system or the user. */
interface Entry {
  low: number;
  high: number;
  kind: number;
  /** Physical address of the page, or -1 while the entry is empty. */
  paddr: number;
}

/** Reads and writes linear memory. */
export class LinearMemory {
  /** Why the last access that failed did. */
  fault: Fault = protectionFault();
  readonly #engine: EngineCpu;
  readonly #paging: Paging;
  readonly #entries: readonly Entry[] = Array.from({ length: ENTRIES }, () => ({
    low: 0,
    high: 0,
    kind: 0,
    paddr: -1,
  }));
  readonly #result: WalkResult = {
    paddr: 0,
    readable: false,
    writable: false,
    executable: false,
    leafSize: PAGE,
    guarded: false,
  };

  constructor(engine: EngineCpu, paging: Paging) {
    this.#engine = engine;
    this.#paging = paging;
  }

  /** Forgets translations: to be called with every flush of the TLB, and whenever others apply. */
  forget(): void {
    for (const entry of this.#entries) entry.paddr = -1;
  }

  /** Reads up to 8 bytes, little-endian. @returns undefined when it faulted. Addresses that are no RAM read as all ones. */
  read(address: bigint, size: number, user = false): bigint | undefined {
    const first = bytesInPage(address, size);
    const at = this.#translate(address, 'read', user);
    if (at === FAULTED) return undefined;
    const head = this.#piece(at, first);
    if (first === size) return head;
    const behind = this.#translate(address + BigInt(first), 'read', user);
    if (behind === FAULTED) return undefined;
    return head | (this.#piece(behind, size - first) << BigInt(8 * first));
  }

  /** Writes up to 8 bytes. @returns false when it faulted; then nothing has been written */
  write(address: bigint, value: bigint, size: number, user = false): boolean {
    const first = bytesInPage(address, size);
    const at = this.#translate(address, 'write', user);
    if (at === FAULTED) return false;
    if (first < size) {
      const behind = this.#translate(address + BigInt(first), 'write', user);
      if (behind === FAULTED) return false;
      this.#writePiece(behind, value >> BigInt(8 * first), size - first);
    }
    this.#writePiece(at, value, first);
    return true;
  }

  #piece(at: number, size: number): bigint {
    if (at < 0) return (1n << BigInt(8 * size)) - 1n;
    const { view } = this.#engine;
    if (size === 8) return view.getBigUint64(at, true);
    if (size === 4) return BigInt(view.getUint32(at, true));
    let value = 0n;
    for (let i = 0; i < size; i++) value |= BigInt(view.getUint8(at + i)) << BigInt(8 * i);
    return value;
  }

  #writePiece(at: number, value: bigint, size: number): void {
    if (at < 0) return;
    const { view } = this.#engine;
    if (size === 8) view.setBigUint64(at, value, true);
    else if (size === 4) view.setUint32(at, Number(value & 0xffff_ffffn), true);
    else for (let i = 0; i < size; i++) view.setUint8(at + i, Number((value >> BigInt(8 * i)) & 0xffn));
    this.#engine.written(at, size);
  }

  /** Linear-memory address of the byte, or FAULTED, or NOT_RAM. */
  #translate(address: bigint, kind: AccessKind, user: boolean): number {
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    const paddr = this.#pageOf(low, high, kind, user);
    if (paddr < 0) {
      this.fault = walkFault(this.#paging.errorCode, address);
      return FAULTED;
    }
    const page = this.#engine.ramAddress(paddr);
    return page < 0 ? NOT_RAM : page + (low & (PAGE - 1));
  }

  /** Physical address of the page, or -1 when the walk failed. */
  #pageOf(low: number, high: number, kind: AccessKind, user: boolean): number {
    const wanted = (kind === 'write' ? WRITE : 0) | (user ? AS_USER : 0);
    const entry = this.#entries[((low >>> 12) ^ (wanted << 3)) & (ENTRIES - 1)]!;
    const page = low & -PAGE;
    if (entry.paddr >= 0 && entry.low === page && entry.high === high && entry.kind === wanted) return entry.paddr;
    if (!this.#paging.walk(low, high, kind, user ? USER : SYSTEM, this.#result)) return -1;
    entry.low = page;
    entry.high = high;
    entry.kind = wanted;
    entry.paddr = this.#result.paddr;
    return entry.paddr;
  }
}

const FAULTED = -1;
const NOT_RAM = -1_000_000;

/** The exception of a failed walk: #PF, or #GP(0) for an address that is not canonical. */
export function walkFault(errorCode: number, address: bigint): Fault {
  if (errorCode < 0) return protectionFault();
  return { ...fault(VECTOR.PF, errorCode), address: BigInt.asUintN(64, address) };
}

/** How many of so many bytes are in the page of the first one. */
function bytesInPage(address: bigint, size: number): number {
  return Math.min(size, PAGE - Number(address & 0xfffn));
}
