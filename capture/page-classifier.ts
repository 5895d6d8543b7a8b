/**
 * Tells what a page frame is used for, from its `struct page`.
 *
 * Source: makedumpfile(8) `-d`: the meaning of the dump levels; its treatment of compound pages, hwpoison and offline
 * pages is matched bit by bit in the conformance tests.
 */
import { readU64 } from './formats/bytes.ts';
import { assertNever } from './formats/errors.ts';
import type { PageLayout } from './page-layout.ts';

/** Bits of a dump level (`-d`): each excludes one kind of page. */
export const DUMP_LEVEL = { ZERO: 1, CACHE: 2, CACHE_PRIVATE: 4, USER: 8, FREE: 16 } as const;
export const MAX_DUMP_LEVEL = 31;

/** Why a page is left out. */
export type Exclusion = 'cache' | 'cachePrivate' | 'user' | 'free' | 'hwpoison' | 'offline';

/** `page.mapping` has this bit for anonymous memory; `include/linux/page-flags.h` PAGE_MAPPING_ANON. */
const MAPPING_ANON = 1;
const COMPOUND_TAIL = 1;
const MAX_ORDER = 63;

/** A block of consecutive `struct page`, read from the dump. */
export interface PageBlock {
  readonly bytes: Uint8Array;
  /** The same bytes as 32-bit integers. */
  readonly words: Int32Array;
  /** Number of structures. */
  readonly count: number;
}

/** What is to be left out, and for how many pages from the one asked about. */
export interface Verdict {
  exclusion: Exclusion | undefined;
  pages: number;
}

/** Classifies the pages of one kernel at one dump level. */
export class PageClassifier {
  readonly #layout: PageLayout;
  readonly #stride: number;
  readonly #excludesCache: boolean;
  readonly #excludesPrivate: boolean;
  readonly #excludesUser: boolean;
  readonly #excludesFree: boolean;
  /** Given back by each call: a million of objects would cost more than the classification. */
  readonly #verdict: Verdict = { exclusion: undefined, pages: 1 };
  /** Free blocks of an impossible order: damaged structures. */
  invalidOrders = 0;

  constructor(layout: PageLayout, level: number) {
    this.#layout = layout;
    this.#stride = layout.size >> 2;
    this.#excludesCache = (level & DUMP_LEVEL.CACHE) !== 0;
    this.#excludesPrivate = (level & DUMP_LEVEL.CACHE_PRIVATE) !== 0;
    this.#excludesUser = (level & DUMP_LEVEL.USER) !== 0;
    this.#excludesFree = (level & DUMP_LEVEL.FREE) !== 0;
  }

  /**
   * Classifies one page of a block.
   * @returns an object that the next call overwrites
   */
  classify(block: PageBlock, index: number, pfn: number): Verdict {
    const { words } = block;
    const layout = this.#layout;
    const at = index * this.#stride;
    const verdict = this.#verdict;
    verdict.exclusion = undefined;
    verdict.pages = 1;
    if (this.#isTail(words, at)) return verdict;
    const flags = words[at + (layout.flags >> 2)]!;
    const type = layout.mapcount === undefined ? undefined : words[at + (layout.mapcount >> 2)]!;
    const isSlab = (flags & layout.slabMask) !== 0 || (type !== undefined && type === layout.slabType);
    if (this.#excludesFree && this.#isFree(block, at, type, isSlab)) return verdict;
    const isAnonymous = !isSlab && (words[at + (layout.mapping >> 2)]! & MAPPING_ANON) !== 0;
    const isHead = (flags & layout.headMask) !== 0 && index < block.count - 1;
    const exclusion =
      this.#excludedUse(flags, isAnonymous) ?? this.#otherUse(block, index, isHead, flags, isAnonymous, type, isSlab);
    if (exclusion === undefined) return verdict;
    verdict.exclusion = exclusion;
    verdict.pages = isHead ? 2 ** compoundOrder(layout, block, index, pfn) : 1;
    return verdict;
  }

  /** Tails of a compound page go with their head. */
  #isTail(words: Int32Array, at: number): boolean {
    const { compoundHead } = this.#layout;
    return compoundHead !== undefined && (words[at + (compoundHead >> 2)]! & COMPOUND_TAIL) !== 0;
  }

  /** Fills in the verdict for pages that the buddy allocator, or memory acceptance, holds. */
  #isFree(block: PageBlock, at: number, type: number | undefined, isSlab: boolean): boolean {
    const layout = this.#layout;
    if (type === undefined) return false;
    if (layout.private !== undefined && type === layout.buddyType && !isSlab) {
      const low = block.words[at + (layout.private >> 2)]!;
      const isValid =
        block.words[at + (layout.private >> 2) + 1] === 0 && low >= 0 && low < (layout.freeAreas ?? MAX_ORDER);
      if (isValid) {
        this.#verdict.exclusion = 'free';
        this.#verdict.pages = 2 ** low;
      } else this.invalidOrders++;
      return true;
    }
    if (type !== layout.unacceptedType) return false;
    this.#verdict.exclusion = 'free';
    this.#verdict.pages = 2 ** ((layout.freeAreas ?? 1) - 1);
    return true;
  }

  /** Page cache, in the order in which makedumpfile asks. */
  #excludedUse(flags: number, isAnonymous: boolean): Exclusion | undefined {
    if (isAnonymous || !(this.#excludesCache || this.#excludesPrivate)) return undefined;
    const layout = this.#layout;
    const isSwapCache =
      (flags & layout.swapCacheMask) !== 0 && (layout.swapBackedMask === 0 || (flags & layout.swapBackedMask) !== 0);
    if ((flags & layout.lruMask) === 0 && !isSwapCache) return undefined;
    if ((flags & layout.privateMask) === 0) return 'cache';
    return this.#excludesPrivate ? 'cachePrivate' : undefined;
  }

  #otherUse(
    block: PageBlock,
    index: number,
    isHead: boolean,
    flags: number,
    isAnonymous: boolean,
    type: number | undefined,
    isSlab: boolean,
  ): Exclusion | undefined {
    const layout = this.#layout;
    if (this.#excludesUser && (isAnonymous || (isHead && isHugetlb(layout, block, index)))) return 'user';
    if ((flags & layout.hwpoisonMask) !== 0) return 'hwpoison';
    return !isSlab && type !== undefined && type === layout.offlineType ? 'offline' : undefined;
  }
}

/** Order of a compound page, 0 when what is stored cannot be one. */
function compoundOrder(layout: PageLayout, block: PageBlock, head: number, pfn: number): number {
  const order = storedOrder(layout, block, (head + 1) * layout.size);
  return order <= MAX_ORDER && pfn % 2 ** order === 0 ? order : 0;
}

function storedOrder({ compound, flags }: PageLayout, { bytes }: PageBlock, second: number): number {
  if (compound.kind === 'unknown') return 0;
  const offset = compound.kind === 'page type' || compound.kind === 'flag' ? flags : compound.order;
  return bytes[second + offset]!;
}

function isHugetlb(layout: PageLayout, { bytes, words }: PageBlock, head: number): boolean {
  const { compound } = layout;
  const second = (head + 1) * layout.size;
  switch (compound.kind) {
    case 'page type':
      return layout.mapcount !== undefined && words[(head * layout.size + layout.mapcount) >> 2] === compound.hugetlb;
    case 'flag':
      return (words[(second + layout.flags) >> 2]! & compound.hugetlbMask) !== 0;
    case 'destructor':
      return compound.destructor !== undefined && bytes[second + compound.destructor] === compound.hugetlb;
    case 'destructor address':
      return readU64(bytes, second + compound.destructor) === compound.hugetlb;
    case 'unknown':
      return false;
    default:
      return assertNever(compound);
  }
}
