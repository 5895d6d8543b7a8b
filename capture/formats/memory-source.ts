/** What a dump is to its readers: physical memory, page by page. */

/** Physical memory with holes. */
export interface MemorySource {
  /** Bytes of a page of the source: a power of two, 4096 or more. */
  readonly pageSize: number;
  /** One more than the highest page frame number that the source knows, in units of `pageSize`. */
  readonly maxPfn: number;
  /**
   * Returns the bytes of one page. The array is shared with a cache: callers do not write to it.
   * @throws FaultError when the page is not in the dump or was filtered out
   * @throws FormatError when the dump is damaged at that page
   */
  readPage(pfn: number): Uint8Array;
  /**
   * Returns the bytes of up to `count` consecutive pages, at least one, in a single read. Present where pages lie
   * side by side in a file or in memory.
   * @param scratch room for `count` pages that may be used for the result: it spares an allocation
   * @throws FaultError when the first page cannot be read
   */
  readPages?(pfn: number, count: number, scratch?: Uint8Array): Uint8Array;
  /**
   * Returns a page as the file stores it, perhaps compressed. Present where pages are stored one by one.
   * Callers do not write to it.
   * @throws FaultError when the page is not in the dump
   */
  readStored?(pfn: number): StoredPage;
  /** Physical addresses at which bytes stand, in order. Present where that is faster than to read all of memory. */
  find?(pattern: Uint8Array): Iterable<number>;
  /** Tells whether `readPage` has the page's bytes, without reading them. */
  hasPage(pfn: number): boolean;
}

/** A page in the form in which a kdump-compressed file holds it. */
export interface StoredPage {
  /** `flags` of its descriptor: the compressor, or 0. */
  readonly flags: number;
  readonly data: Uint8Array;
}

/** A range of physical memory, half open. */
export interface PhysicalRange {
  readonly start: number;
  readonly end: number;
}
