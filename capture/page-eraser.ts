/**
 * Erases ranges of physical memory while pages are copied.
 *
 * Source: makedumpfile.conf(5) "erase": `size` fills with the character X, `nullify` with zeros.
 */

/** Bytes to erase. */
export interface ErasedRange {
  /** Physical address. */
  readonly paddr: number;
  /** In bytes. */
  readonly size: number;
  /** Zeros instead of X. */
  readonly nullify: boolean;
}

const X = 0x58;

/** Erases what falls into the pages that it is shown. */
export class PageEraser {
  readonly ranges: readonly ErasedRange[];
  readonly #pageSize: number;
  /** Ranges by page frame. */
  readonly #byPage = new Map<number, ErasedRange[]>();

  constructor(ranges: readonly ErasedRange[], pageSize: number) {
    this.ranges = ranges;
    this.#pageSize = pageSize;
    for (const range of ranges) {
      const last = Math.floor((range.paddr + range.size - 1) / pageSize);
      for (let pfn = Math.floor(range.paddr / pageSize); pfn <= last; pfn++) {
        const known = this.#byPage.get(pfn);
        if (known === undefined) this.#byPage.set(pfn, [range]);
        else known.push(range);
      }
    }
  }

  /** Returns the page with its ranges erased, as a copy; undefined when nothing of it is erased. */
  erase(pfn: number, page: Uint8Array): Uint8Array | undefined {
    const ranges = this.#byPage.get(pfn);
    if (ranges === undefined) return undefined;
    const copy = new Uint8Array(page);
    const start = pfn * this.#pageSize;
    for (const { paddr, size, nullify } of ranges)
      copy.fill(nullify ? 0 : X, Math.max(0, paddr - start), Math.max(0, paddr + size - start));
    return copy;
  }
}
