/** Physical memory in which a test places words and bytes; everything else is missing. */
import { writeU32, writeU64 } from '../../capture/formats/bytes.ts';
import { FaultError } from '../../capture/formats/errors.ts';
import type { MemorySource } from '../../capture/formats/memory-source.ts';

export class SparseMemory implements MemorySource {
  readonly pageSize: number;
  readonly maxPfn = 2 ** 36;
  readonly #pages = new Map<number, Uint8Array>();

  constructor(pageSize = 4096) {
    this.pageSize = pageSize;
  }

  hasPage(pfn: number): boolean {
    return this.#pages.has(pfn);
  }

  readPage(pfn: number): Uint8Array {
    const page = this.#pages.get(pfn);
    if (page === undefined) throw new FaultError(pfn * this.pageSize, 'not in the dump');
    return page;
  }

  writeBytes(paddr: number, bytes: Uint8Array): void {
    for (const [index, byte] of bytes.entries()) this.#page(paddr + index)[(paddr + index) % this.pageSize] = byte;
  }

  writeU64(paddr: number, value: bigint): void {
    writeU64(this.#page(paddr), paddr % this.pageSize, value);
  }

  writeU32(paddr: number, value: number): void {
    writeU32(this.#page(paddr), paddr % this.pageSize, value);
  }

  #page(paddr: number): Uint8Array {
    const pfn = Math.floor(paddr / this.pageSize);
    let page = this.#pages.get(pfn);
    if (page === undefined) this.#pages.set(pfn, (page = new Uint8Array(this.pageSize)));
    return page;
  }
}
