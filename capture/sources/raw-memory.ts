/** RAM copied byte for byte to files: `FILE@ADDRESS`, several separated by commas, as crash takes them. */
import { FileSource } from '../formats/byte-source.ts';
import type { ByteSource } from '../formats/byte-source.ts';
import { FaultError, UsageError } from '../formats/errors.ts';
import type { MemorySource } from '../formats/memory-source.ts';

const PAGE_SIZE = 4096;

/** RAM from a page frame on. */
export interface RamImage {
  readonly source: ByteSource;
  readonly firstPfn: number;
  readonly endPfn: number;
}

/** Tells whether a word names RAM images. */
export function namesRawMemory(word: string): boolean {
  return word.split(',').every(part => IMAGE.test(part));
}

const IMAGE = /^(.+)@(0x[\da-f]+|\d+)$/i;

/** The images together, as one memory. */
export class RawMemory implements MemorySource, Disposable {
  readonly pageSize = PAGE_SIZE;
  readonly maxPfn: number;
  /** In order of addresses. */
  readonly images: readonly RamImage[];

  /** @throws UsageError when a word is no image, an address is inside a page, or images overlap */
  constructor(words: readonly string[]) {
    this.images = words
      .flatMap(word => word.split(','))
      .map(openImage)
      .sort((a, b) => a.firstPfn - b.firstPfn);
    for (const [index, image] of this.images.entries()) {
      const before = this.images[index - 1];
      if (before !== undefined && before.endPfn > image.firstPfn)
        throw new UsageError(`${before.source.name} and ${image.source.name} overlap`);
    }
    this.maxPfn = Math.max(...this.images.map(({ endPfn }) => endPfn));
  }

  hasPage(pfn: number): boolean {
    return this.#imageOf(pfn) !== undefined;
  }

  readPage(pfn: number): Uint8Array {
    return this.readPages(pfn, 1);
  }

  readPages(pfn: number, count: number): Uint8Array {
    const image = this.#imageOf(pfn);
    if (image === undefined) throw new FaultError(pfn * PAGE_SIZE, 'not in the dump');
    const pages = Math.min(count, image.endPfn - pfn);
    return image.source.read((pfn - image.firstPfn) * PAGE_SIZE, pages * PAGE_SIZE);
  }

  #imageOf(pfn: number): RamImage | undefined {
    return this.images.find(({ firstPfn, endPfn }) => pfn >= firstPfn && pfn < endPfn);
  }

  [Symbol.dispose](): void {
    for (const { source } of this.images) source[Symbol.dispose]();
  }
}

/** A last part of a page is left out. */
function openImage(word: string): RamImage {
  const match = IMAGE.exec(word);
  if (match === null) throw new UsageError(`${word}: RAM images are given as FILE@ADDRESS`);
  const base = Number(match[2]!);
  if (base % PAGE_SIZE !== 0) throw new UsageError(`${word}: the address is inside a page`);
  const source = new FileSource(match[1]!);
  const firstPfn = base / PAGE_SIZE;
  return { source, firstPfn, endPfn: firstPfn + Math.floor(source.size / PAGE_SIZE) };
}
