/** Reads of a dump's memory by virtual or physical address, through a bounded translation cache. */
import { cString, readI32, readU16, readU32, readU64, readU8 } from '../capture/formats/bytes.ts';
import { FaultError } from '../capture/formats/errors.ts';
import type { MemorySource } from '../capture/formats/memory-source.ts';

/** Virtual pages whose bytes are kept at hand. */
const MAX_TRANSLATIONS = 8192;
const PAGE_SHIFT = 12n;
const PAGE_SIZE = 4096;
const OFFSET_MASK = 0xfffn;

/** Translates virtual addresses of one address space. */
export type Translate = (vaddr: bigint) => number | undefined;

/** Memory seen through one address space. Translations are cached in units of 4 KiB whatever the kernel's page size. */
export class MemoryReader {
  readonly #memory: MemorySource;
  readonly #translate: Translate;
  readonly #pages = new Map<number, Uint8Array>();

  constructor(memory: MemorySource, translate: Translate) {
    this.#memory = memory;
    this.#translate = translate;
  }

  /** The physical memory below. */
  get physical(): MemorySource {
    return this.#memory;
  }

  /** Forgets what was read: the memory of a running machine changes. */
  forget(): void {
    this.#pages.clear();
  }

  /** Physical address of a virtual one, or undefined when it is not mapped. @throws FaultError */
  translate(vaddr: bigint): number | undefined {
    return this.#translate(BigInt.asUintN(64, vaddr));
  }

  readU8(vaddr: bigint): number {
    return readU8(this.#page(vaddr), Number(vaddr & OFFSET_MASK));
  }

  readU16(vaddr: bigint): number {
    return this.#fits(vaddr, 2)
      ? readU16(this.#page(vaddr), Number(vaddr & OFFSET_MASK))
      : readU16(this.readBytes(vaddr, 2), 0);
  }

  readU32(vaddr: bigint): number {
    return this.#fits(vaddr, 4)
      ? readU32(this.#page(vaddr), Number(vaddr & OFFSET_MASK))
      : readU32(this.readBytes(vaddr, 4), 0);
  }

  readI32(vaddr: bigint): number {
    return this.#fits(vaddr, 4)
      ? readI32(this.#page(vaddr), Number(vaddr & OFFSET_MASK))
      : readI32(this.readBytes(vaddr, 4), 0);
  }

  readU64(vaddr: bigint): bigint {
    return this.#fits(vaddr, 8)
      ? readU64(this.#page(vaddr), Number(vaddr & OFFSET_MASK))
      : readU64(this.readBytes(vaddr, 8), 0);
  }

  /** Reads an unsigned integer of 1, 2, 4 or 8 bytes. @throws FaultError */
  readUnsigned(vaddr: bigint, size: number): bigint {
    if (size === 8) return this.readU64(vaddr);
    if (size === 4) return BigInt(this.readU32(vaddr));
    return BigInt(size === 2 ? this.readU16(vaddr) : this.readU8(vaddr));
  }

  /** Copies bytes. @throws FaultError at the first page that cannot be read */
  readBytes(vaddr: bigint, length: number): Uint8Array {
    const pieces: Uint8Array[] = [];
    for (let done = 0; done < length; done += pieces.at(-1)!.length) {
      const at = BigInt.asUintN(64, vaddr + BigInt(done));
      pieces.push(pieceOf(this.#page(at), at, length - done));
    }
    return joined(pieces);
  }

  /** Copies as many bytes as can be read before the first fault, at most `length`. */
  readAvailable(vaddr: bigint, length: number): Uint8Array {
    const pieces: Uint8Array[] = [];
    for (let done = 0; done < length; done += pieces.at(-1)!.length) {
      const at = BigInt.asUintN(64, vaddr + BigInt(done));
      const page = this.#pageIfReadable(at);
      if (page === undefined) break;
      pieces.push(pieceOf(page, at, length - done));
    }
    return joined(pieces);
  }

  /** Reads a NUL-terminated string of at most `limit` bytes; it also ends where memory cannot be read. @throws FaultError at the first byte */
  readString(vaddr: bigint, limit = 4096): string {
    const offset = Number(vaddr & OFFSET_MASK);
    const inPage = Math.min(limit, PAGE_SIZE - offset);
    const text = cString(this.#page(vaddr), offset, inPage);
    if (text.length < inPage || inPage >= limit) return text;
    return cString(this.readAvailable(vaddr, limit));
  }

  #fits(vaddr: bigint, size: number): boolean {
    return Number(vaddr & OFFSET_MASK) + size <= PAGE_SIZE;
  }

  #pageIfReadable(vaddr: bigint): Uint8Array | undefined {
    try {
      return this.#page(vaddr);
    } catch (error) {
      if (error instanceof FaultError) return undefined;
      throw error;
    }
  }

  /** The 4 KiB at a physical address; a fault tells the address that was asked for. */
  #pageAt(paddr: number, vaddr: bigint): Uint8Array {
    try {
      return readPhysicalPage(this.#memory, paddr);
    } catch (error) {
      if (error instanceof FaultError) throw new FaultError(BigInt.asUintN(64, vaddr), error.reason);
      throw error;
    }
  }

  /** The 4 KiB that hold an address. */
  #page(vaddr: bigint): Uint8Array {
    const vpn = Number(BigInt.asUintN(64, vaddr) >> PAGE_SHIFT);
    const known = this.#pages.get(vpn);
    if (known !== undefined) return known;
    const start = BigInt(vpn) << PAGE_SHIFT;
    const paddr = this.#translate(start);
    if (paddr === undefined) throw new FaultError(BigInt.asUintN(64, vaddr), 'not mapped');
    const page = this.#pageAt(paddr, vaddr);
    if (this.#pages.size >= MAX_TRANSLATIONS) this.#pages.clear();
    this.#pages.set(vpn, page);
    return page;
  }
}

/** What a page holds from an address on, at most `length` bytes. */
function pieceOf(page: Uint8Array, vaddr: bigint, length: number): Uint8Array {
  const offset = Number(vaddr & OFFSET_MASK);
  return page.subarray(offset, offset + length);
}

/** Copies pages together. Room is made only now that they are known to be there: a damaged length costs nothing. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return bytes;
}

/** The 4 KiB at a 4 KiB-aligned physical address, whatever the dump's page size. */
function readPhysicalPage(memory: MemorySource, paddr: number): Uint8Array {
  const pfn = Math.floor(paddr / memory.pageSize);
  const page = memory.readPage(pfn);
  const offset = paddr - pfn * memory.pageSize;
  return page.length === PAGE_SIZE ? page : page.subarray(offset, offset + PAGE_SIZE);
}

/** Physical memory through the same interface. */
export function physicalReader(memory: MemorySource): MemoryReader {
  return new MemoryReader(memory, vaddr => (vaddr < 1n << 52n ? Number(vaddr) : undefined));
}
