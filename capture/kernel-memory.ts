/**
 * Virtual memory of a dumped kernel, as filters read it: long runs of one mapping at a time.
 *
 * The analyzer's reader serves scattered small reads; this one serves the page array and a handful of variables.
 */
import type { KernelAddressSpace } from './addrxlat/page-walk.ts';
import { cString, readI32, readU32, readU64 } from './formats/bytes.ts';
import { FaultError } from './formats/errors.ts';
import type { MemorySource } from './formats/memory-source.ts';

/** A run of virtual memory that is contiguous in physical memory. */
interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly paddr: number;
}

const NO_MAPPING: Mapping = { start: 0n, end: 0n, paddr: 0 };

/** Reads of kernel virtual memory. */
export class KernelMemory {
  readonly memory: MemorySource;
  readonly space: KernelAddressSpace;
  #mapping = NO_MAPPING;

  constructor(memory: MemorySource, space: KernelAddressSpace) {
    this.memory = memory;
    this.space = space;
  }

  /** Physical address of a kernel virtual one, or undefined when it is not mapped. @throws FaultError */
  translate(vaddr: bigint): number | undefined {
    return this.space.translate(BigInt.asUintN(64, vaddr));
  }

  /** Copies bytes. @throws FaultError at the first address that cannot be read */
  read(vaddr: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const piece = this.readRun(vaddr + BigInt(done), length - done);
      bytes.set(piece, done);
      done += piece.length;
    }
    return bytes;
  }

  /**
   * Returns the bytes from an address up to the end of its page or of `length`, whichever comes first, without a copy.
   * @throws FaultError when the address cannot be read
   */
  readRun(vaddr: bigint, length: number): Uint8Array {
    const paddr = this.#paddr(BigInt.asUintN(64, vaddr));
    const { pageSize } = this.memory;
    const pfn = Math.floor(paddr / pageSize);
    const offset = paddr - pfn * pageSize;
    return this.memory.readPage(pfn).subarray(offset, Math.min(pageSize, offset + length));
  }

  /** @throws FaultError */
  readU32(vaddr: bigint): number {
    return readU32(this.read(vaddr, 4), 0);
  }

  /** @throws FaultError */
  readI32(vaddr: bigint): number {
    return readI32(this.read(vaddr, 4), 0);
  }

  /** @throws FaultError */
  readU64(vaddr: bigint): bigint {
    return readU64(this.read(vaddr, 8), 0);
  }

  /** Reads a text of at most `limit` bytes that NUL ends. @throws FaultError */
  readString(vaddr: bigint, limit: number): string {
    return cString(this.read(vaddr, limit));
  }

  /** Walks the tables once for each mapping: a vmemmap block of 2 MiB holds 32,768 struct pages. */
  #paddr(vaddr: bigint): number {
    const known = this.#mapping;
    if (vaddr >= known.start && vaddr < known.end) return known.paddr + Number(vaddr - known.start);
    const { paddr, mappedSize } = this.space.tables.walk(this.space.root, vaddr);
    const found = paddr ?? this.space.translate(vaddr);
    if (found === undefined) throw new FaultError(vaddr, 'not mapped');
    const size = paddr === undefined ? 1 : mappedSize;
    const inside = vaddr & BigInt(size - 1);
    this.#mapping = { start: vaddr - inside, end: vaddr - inside + BigInt(size), paddr: found - Number(inside) };
    return found;
  }
}
