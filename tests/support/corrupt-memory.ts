/** A dump's memory with seeded damage, for fuzzing its readers. */
import { FaultError } from '../../capture/formats/errors.ts';
import type { MemorySource } from '../../capture/formats/memory-source.ts';
import { Random } from './random.ts';

/** Kinds of damage; each page is hit or not by a hash of its number, so that reading order does not matter. */
export interface Damage {
  readonly seed: number;
  /** One page in this many is damaged. */
  readonly every: number;
}

/** Flips bits, plants pointers to themselves and to neighbours, fills with ones, or takes pages away. */
export class CorruptMemory implements MemorySource {
  readonly pageSize: number;
  readonly maxPfn: number;
  readonly #inner: MemorySource;
  readonly #damage: Damage;

  constructor(inner: MemorySource, damage: Damage) {
    this.#inner = inner;
    this.#damage = damage;
    this.pageSize = inner.pageSize;
    this.maxPfn = inner.maxPfn;
  }

  hasPage(pfn: number): boolean {
    return this.#inner.hasPage(pfn);
  }

  readPage(pfn: number): Uint8Array {
    const page = this.#inner.readPage(pfn);
    const random = new Random(this.#damage.seed * 1_000_003 + pfn * 7919);
    if (random.below(this.#damage.every) !== 0) return page;
    return this.#hurt(page.slice(), random, pfn);
  }

  #hurt(page: Uint8Array, random: Random, pfn: number): Uint8Array {
    const words = new BigUint64Array(page.buffer, page.byteOffset, page.length >> 3);
    const pick = (): number => random.below(words.length);
    switch (random.below(6)) {
      case 0:
        for (let count = 0; count < 8; count++) words[pick()]! ^= 1n << BigInt(random.below(64));
        return page;
      case 1:
        for (let count = 0; count < 16; count++) words[pick()] = words[pick()]!;
        return page;
      case 2:
        for (let count = 0; count < 16; count++) words[pick()] = 0xffff_ffff_ffff_ffffn;
        return page;
      case 3:
        for (let count = 0; count < 32; count++)
          words[pick()] = words.find(word => word > 0xffff_0000_0000_0000n) ?? 1n;
        return page;
      case 4:
        return page.fill(0);
      default:
        throw new FaultError(pfn * this.pageSize, 'taken away by the test');
    }
  }
}
