/**
 * Sets of page frames, one bit a page, in the bit order of the kdump-compressed format: pfn 0 is bit 0 of byte 0.
 *
 * Two of them describe a dump: the pages that exist, and those of them that are dumped.
 */
import { POPCOUNT8 } from './formats/bits.ts';

/** A run of page frames, half open. */
export interface PfnRange {
  readonly start: number;
  readonly end: number;
}

/** A set of the page frames `[0, maxPfn)`. */
export class PageBitmap {
  readonly maxPfn: number;
  /** One bit a page; bits at and above `maxPfn` are zero. */
  readonly bytes: Uint8Array;

  /** @param bytes taken over, not copied; must hold `maxPfn` bits */
  constructor(maxPfn: number, bytes: Uint8Array = new Uint8Array(Math.ceil(maxPfn / 8))) {
    this.maxPfn = maxPfn;
    this.bytes = bytes;
    this.#clearTail();
  }

  /** An independent copy. */
  clone(): PageBitmap {
    return new PageBitmap(this.maxPfn, new Uint8Array(this.bytes));
  }

  /** The set without the pages from `maxPfn` on. */
  upTo(maxPfn: number): PageBitmap {
    return maxPfn >= this.maxPfn
      ? this
      : new PageBitmap(maxPfn, new Uint8Array(this.bytes.subarray(0, Math.ceil(maxPfn / 8))));
  }

  has(pfn: number): boolean {
    return pfn < this.maxPfn && ((this.bytes[pfn >> 3]! >> (pfn & 7)) & 1) === 1;
  }

  add(pfn: number): void {
    if (pfn < this.maxPfn) this.bytes[pfn >> 3]! |= 1 << (pfn & 7);
  }

  /** Removes a page and tells whether it was in the set. */
  remove(pfn: number): boolean {
    if (!this.has(pfn)) return false;
    this.bytes[pfn >> 3]! &= ~(1 << (pfn & 7));
    return true;
  }

  addRange(start: number, end: number): void {
    const limit = Math.min(end, this.maxPfn);
    let pfn = start;
    for (; pfn < limit && (pfn & 7) !== 0; pfn++) this.add(pfn);
    const wholeEnd = pfn + ((limit - pfn) & ~7);
    if (pfn < wholeEnd) this.bytes.fill(0xff, pfn >> 3, wholeEnd >> 3);
    for (pfn = Math.max(pfn, wholeEnd); pfn < limit; pfn++) this.add(pfn);
  }

  /** Removes a range and returns how many pages of it were in the set. */
  removeRange(start: number, end: number): number {
    const limit = Math.min(end, this.maxPfn);
    const before = this.count(start, limit);
    let pfn = start;
    for (; pfn < limit && (pfn & 7) !== 0; pfn++) this.remove(pfn);
    const wholeEnd = pfn + ((limit - pfn) & ~7);
    if (pfn < wholeEnd) this.bytes.fill(0, pfn >> 3, wholeEnd >> 3);
    for (pfn = Math.max(pfn, wholeEnd); pfn < limit; pfn++) this.remove(pfn);
    return before;
  }

  /** Number of pages of `[start, end)` in the set. */
  count(start = 0, end = this.maxPfn): number {
    const limit = Math.min(end, this.maxPfn);
    let count = 0;
    let pfn = start;
    for (; pfn < limit && (pfn & 7) !== 0; pfn++) count += (this.bytes[pfn >> 3]! >> (pfn & 7)) & 1;
    for (; pfn + 8 <= limit; pfn += 8) count += POPCOUNT8[this.bytes[pfn >> 3]!]!;
    for (; pfn < limit; pfn++) count += (this.bytes[pfn >> 3]! >> (pfn & 7)) & 1;
    return count;
  }

  /** First page at or after `pfn` that is in the set, or `maxPfn`. */
  next(pfn: number): number {
    return this.#scan(pfn, 0);
  }

  /** First page at or after `pfn` that is not in the set, or `maxPfn`. */
  nextMissing(pfn: number): number {
    return this.#scan(pfn, 0xff);
  }

  /** The runs of the set, in order. */
  *ranges(start = 0, end = this.maxPfn): Generator<PfnRange> {
    const limit = Math.min(end, this.maxPfn);
    for (let from = this.next(start); from < limit;) {
      const to = Math.min(this.nextMissing(from), limit);
      yield { start: from, end: to };
      from = this.next(to);
    }
  }

  /** Keeps only what another set of the same size has too. */
  intersect(other: PageBitmap): void {
    for (let index = 0; index < this.bytes.length; index++) this.bytes[index]! &= other.bytes[index] ?? 0;
  }

  /** Skips bytes equal to `boring`, then bits equal to its lowest one. */
  #scan(start: number, boring: number): number {
    const { bytes, maxPfn } = this;
    const skipped = boring & 1;
    let pfn = start;
    while (pfn < maxPfn) {
      const byte = bytes[pfn >> 3]!;
      if ((pfn & 7) === 0 && byte === boring) pfn += 8;
      else if (((byte >> (pfn & 7)) & 1) === skipped) pfn++;
      else return pfn;
    }
    return maxPfn;
  }

  #clearTail(): void {
    const used = this.maxPfn & 7;
    const last = Math.ceil(this.maxPfn / 8);
    if (used !== 0) this.bytes[last - 1]! &= (1 << used) - 1;
    this.bytes.fill(0, last);
  }
}
