/** Reads pages of a dump and prepares them for writing: erased, recognised as zero, compressed. */
import type { Compressor } from './formats/compression.ts';
import { COMPRESSOR_FLAG } from './formats/diskdump.ts';
import { FaultError, FormatError } from './formats/errors.ts';
import type { MemorySource, StoredPage } from './formats/memory-source.ts';
import type { PageEraser } from './page-eraser.ts';
import type { PfnRange } from './page-bitmap.ts';
import type { BlockCompress } from './page-compressor/matching.ts';
import { compressedRoom, pageCompressor } from './page-compressor/page-compressor.ts';

/** What became of a page. */
export const PAGE_KIND = { DATA: 0, ZERO: 1, UNREADABLE: 2 } as const;

/** A batch of pages, encoded, in order of page frames. */
export interface EncodedPages {
  /** PAGE_KIND of each page. */
  readonly kinds: Uint8Array;
  /** Flags of each page's descriptor: DUMP_DH of its compressor, 0 for bytes as they are. */
  readonly flags: Uint8Array;
  /** Bytes that each page occupies in `data`: none for zero and unreadable pages. */
  readonly sizes: Uint32Array;
  readonly data: Uint8Array;
  /** Why the first unreadable page is unreadable. */
  readonly problem: string | undefined;
}

/** How pages are encoded. */
export interface EncodingOptions {
  /** Undefined writes plain pages. */
  readonly compressor: Compressor | undefined;
  /** Keeps the stored form of pages that the source holds plain or in the compressor's form, or (`all`) of every page. */
  readonly keepStored?: 'matching' | 'all' | undefined;
  /** Recognises pages of zeros, which then occupy nothing. */
  readonly findZeroPages: boolean;
  readonly eraser?: PageEraser | undefined;
}

/** Encodes batches of pages, one after the other. */
export class PageEncoder {
  readonly #memory: MemorySource;
  readonly #options: EncodingOptions;
  readonly #compress: BlockCompress | undefined;
  readonly #flag: number;
  readonly #zeroPage: Buffer;
  readonly #output: Uint8Array;
  #readBuffer = new Uint8Array(0);
  #zeroForm: StoredPage | undefined;

  constructor(memory: MemorySource, options: EncodingOptions) {
    const { pageSize } = memory;
    const { compressor } = options;
    this.#memory = memory;
    this.#options = options;
    this.#compress = compressor === undefined ? undefined : pageCompressor(compressor, pageSize);
    this.#flag = compressor === undefined ? 0 : COMPRESSOR_FLAG[compressor];
    this.#zeroPage = Buffer.alloc(pageSize);
    this.#output = new Uint8Array(compressedRoom(pageSize));
  }

  /**
   * Encodes the pages of some runs. A page that cannot be read is marked, not thrown.
   * @param room where the bytes of the batch go when it is large enough for its pages as they are; else into new memory, which costs
   *   as much as copying into it: the host's kernel fills it with zeros, page by page
   */
  encode(ranges: readonly PfnRange[], room?: ArrayBuffer): EncodedPages {
    const count = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    const size = count * this.#memory.pageSize;
    const data = new Uint8Array(room !== undefined && room.byteLength >= size ? room : new ArrayBuffer(size));
    const plain = this.#copyPlain(ranges, count, data.subarray(0, size));
    if (plain !== undefined) return plain;
    const batch = new Batch(count, data);
    for (const { start, end } of ranges) {
      for (let pfn = start; pfn < end;) pfn += this.#addSome(batch, pfn, end - pfn);
    }
    return batch.result();
  }

  /** Pages that need nothing done to them go from the file into the batch directly; undefined when it is not so. */
  #copyPlain(ranges: readonly PfnRange[], count: number, data: Uint8Array): EncodedPages | undefined {
    const { compressor, findZeroPages, eraser } = this.#options;
    const { pageSize } = this.#memory;
    const isPlain = compressor === undefined && !findZeroPages && eraser === undefined;
    if (!isPlain || this.#memory.readPages === undefined) return undefined;
    let offset = 0;
    try {
      for (const { start, end } of ranges) {
        for (let pfn = start; pfn < end;) {
          const bytes = this.#memory.readPages(pfn, end - pfn, data.subarray(offset));
          if (bytes.buffer !== data.buffer) data.set(bytes, offset);
          offset += bytes.length;
          pfn += bytes.length / pageSize;
        }
      }
    } catch (error) {
      // One by one, then, to tell which page it is.
      if (error instanceof FaultError || error instanceof FormatError) return undefined;
      throw error;
    }
    const sizes = new Uint32Array(count).fill(pageSize);
    return { kinds: new Uint8Array(count), flags: new Uint8Array(count), sizes, data, problem: undefined };
  }

  /** Adds one page or several; returns how many. */
  #addSome(batch: Batch, pfn: number, count: number): number {
    try {
      if (this.#options.keepStored !== undefined && this.#memory.readStored !== undefined)
        return this.#addStored(batch, pfn, this.#memory.readStored(pfn));
      const { pageSize } = this.#memory;
      const bytes = this.#read(pfn, count);
      for (let offset = 0; offset < bytes.length; offset += pageSize)
        this.#addPage(batch, pfn + offset / pageSize, bytes.subarray(offset, offset + pageSize));
      return bytes.length / pageSize;
    } catch (error) {
      if (!(error instanceof FaultError || error instanceof FormatError)) throw error;
      batch.addUnreadable(error.message);
      return 1;
    }
  }

  /** One page, or as many as lie side by side. */
  #read(pfn: number, count: number): Uint8Array {
    if (this.#memory.readPages === undefined) return this.#memory.readPage(pfn);
    const room = count * this.#memory.pageSize;
    if (this.#readBuffer.length < room) this.#readBuffer = new Uint8Array(room);
    return this.#memory.readPages(pfn, count, this.#readBuffer);
  }

  #addStored(batch: Batch, pfn: number, stored: StoredPage): number {
    const { flags, data } = stored;
    const { findZeroPages, keepStored } = this.#options;
    if (flags === 0 && data.length === this.#memory.pageSize && findZeroPages && this.#zeroPage.equals(data))
      batch.addZero();
    else if (keepStored === 'all' || flags === 0 || flags === this.#flag) batch.add(stored);
    else this.#addPage(batch, pfn, this.#memory.readPage(pfn));
    return 1;
  }

  #addPage(batch: Batch, pfn: number, original: Uint8Array): void {
    const page = this.#options.eraser?.erase(pfn, original) ?? original;
    if (!this.#zeroPage.equals(page)) batch.add(this.#compressed(page));
    else if (this.#options.findZeroPages) batch.addZero();
    else batch.add((this.#zeroForm ??= this.#compressedZeros()));
  }

  /** Half of a machine's memory may be zeros: they are compressed once. */
  #compressedZeros(): StoredPage {
    const { data, flags } = this.#compressed(this.#zeroPage);
    return { data: new Uint8Array(data), flags };
  }

  /** The compressed form, in a buffer that the next page uses too; the page itself when it does not shrink. */
  #compressed(page: Uint8Array): StoredPage {
    const size = this.#compress?.(page, this.#output) ?? page.length;
    return size < page.length ? { data: this.#output.subarray(0, size), flags: this.#flag } : { data: page, flags: 0 };
  }
}

/** The pages of a batch as they are added. */
class Batch {
  readonly #data: Uint8Array;
  readonly #kinds: Uint8Array;
  readonly #flags: Uint8Array;
  readonly #sizes: Uint32Array;
  #count = 0;
  #used = 0;
  #problem: string | undefined;

  /** @param data has room for the bytes of all pages */
  constructor(count: number, data: Uint8Array) {
    this.#data = data;
    this.#kinds = new Uint8Array(count);
    this.#flags = new Uint8Array(count);
    this.#sizes = new Uint32Array(count);
  }

  add({ data, flags }: StoredPage): void {
    this.#data.set(data, this.#used);
    this.#used += data.length;
    this.#flags[this.#count] = flags;
    this.#sizes[this.#count++] = data.length;
  }

  addZero(): void {
    this.#kinds[this.#count++] = PAGE_KIND.ZERO;
  }

  addUnreadable(problem: string): void {
    this.#problem ??= problem;
    this.#kinds[this.#count++] = PAGE_KIND.UNREADABLE;
  }

  result(): EncodedPages {
    const data = this.#data.subarray(0, this.#used);
    return { kinds: this.#kinds, flags: this.#flags, sizes: this.#sizes, data, problem: this.#problem };
  }
}
