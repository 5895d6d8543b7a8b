/** Reads pages of a dump and prepares them for writing: erased, recognised as zero, compressed. */
import type { Compressor } from './formats/compression.ts';
import { FaultError, FormatError } from './formats/errors.ts';
import type { MemorySource } from './formats/memory-source.ts';
import type { PageEraser } from './page-eraser.ts';
import type { PfnRange } from './page-bitmap.ts';
import { compressedRoom, pageCompressor } from './page-compressor/page-compressor.ts';

/** What became of a page. */
export const PAGE_KIND = { COMPRESSED: 0, STORED: 1, ZERO: 2, UNREADABLE: 3 } as const;

/** A batch of pages, encoded, in order of page frames. */
export interface EncodedPages {
  /** PAGE_KIND of each page. */
  readonly kinds: Uint8Array;
  /** Bytes that each page occupies in `data`: none for zero and unreadable pages. */
  readonly sizes: Uint32Array;
  readonly data: Uint8Array;
  /** Why the first unreadable page is unreadable. */
  readonly problem: string | undefined;
}

/** How pages are encoded. */
export interface EncodingOptions {
  /** Undefined stores pages as they are. */
  readonly compressor: Compressor | undefined;
  /** Recognises pages of zeros, which then occupy nothing. */
  readonly findZeroPages: boolean;
  readonly eraser?: PageEraser | undefined;
}

/** Encodes batches of pages, one after the other. */
export class PageEncoder {
  readonly #memory: MemorySource;
  readonly #options: EncodingOptions;
  readonly #compress: ReturnType<typeof pageCompressor> | undefined;
  readonly #zeroPage: Buffer;
  readonly #output: Uint8Array;
  #data: Uint8Array;
  #used = 0;

  constructor(memory: MemorySource, options: EncodingOptions) {
    const { pageSize } = memory;
    this.#memory = memory;
    this.#options = options;
    this.#compress = options.compressor === undefined ? undefined : pageCompressor(options.compressor, pageSize);
    this.#zeroPage = Buffer.alloc(pageSize);
    this.#output = new Uint8Array(compressedRoom(pageSize));
    this.#data = new Uint8Array(0);
  }

  /** Encodes the pages of some runs. A page that cannot be read is marked, not thrown. */
  encode(ranges: readonly PfnRange[]): EncodedPages {
    const { pageSize } = this.#memory;
    const count = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    const kinds = new Uint8Array(count);
    const sizes = new Uint32Array(count);
    if (this.#data.length < count * pageSize) this.#data = new Uint8Array(count * pageSize);
    this.#used = 0;
    let index = 0;
    let problem: string | undefined;
    for (const { start, end } of ranges) {
      for (let pfn = start; pfn < end;) {
        const bytes = this.#read(pfn, end - pfn);
        if (typeof bytes === 'string') {
          problem ??= bytes;
          kinds[index++] = PAGE_KIND.UNREADABLE;
          pfn++;
          continue;
        }
        for (let offset = 0; offset < bytes.length; offset += pageSize, pfn++, index++) {
          const before = this.#used;
          kinds[index] = this.#add(pfn, bytes.subarray(offset, offset + pageSize));
          sizes[index] = this.#used - before;
        }
      }
    }
    // A copy of the right size: it goes to another thread, and the scratch stays.
    return { kinds, sizes, data: new Uint8Array(this.#data.subarray(0, this.#used)), problem };
  }

  /** The bytes of one page or of several, or why the first cannot be read. */
  #read(pfn: number, count: number): Uint8Array | string {
    try {
      return this.#memory.readPages === undefined ? this.#memory.readPage(pfn) : this.#memory.readPages(pfn, count);
    } catch (error) {
      if (error instanceof FaultError || error instanceof FormatError) return error.message;
      throw error;
    }
  }

  #add(pfn: number, original: Uint8Array): number {
    const { findZeroPages, eraser } = this.#options;
    const page = eraser?.erase(pfn, original) ?? original;
    if (findZeroPages && this.#zeroPage.equals(page)) return PAGE_KIND.ZERO;
    const size = this.#compress?.(page, this.#output) ?? page.length;
    if (size >= page.length) {
      this.#data.set(page, this.#used);
      this.#used += page.length;
      return PAGE_KIND.STORED;
    }
    this.#data.set(this.#output.subarray(0, size), this.#used);
    this.#used += size;
    return PAGE_KIND.COMPRESSED;
  }
}
