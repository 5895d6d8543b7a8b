import { describe, expect, test } from 'vitest';

import { Vmcoreinfo } from '../../../capture/formats/vmcoreinfo.ts';
import { wordsOf } from '../../../capture/formats/bytes.ts';
import { DUMP_LEVEL, PageClassifier } from '../../../capture/page-classifier.ts';
import { pageLayout } from '../../../capture/page-layout.ts';
import { PAGE_VMCOREINFO_6_1 } from '../../support/page-vmcoreinfo.ts';

const LRU = 1 << 4;
const SLAB = 1 << 9;
const SWAPCACHE = 1 << 10;
const PRIVATE = 1 << 13;
const SWAPBACKED = 1 << 19;
const HWPOISON = 1 << 22;
const HEAD = 1 << 16;
const BUDDY = -129;
const OFFLINE = -257;

const LAYOUT = pageLayout(new Vmcoreinfo(`${PAGE_VMCOREINFO_6_1}NUMBER(PG_hwpoison)=22\n`));

interface PageFields {
  readonly flags?: number;
  readonly mapping?: number;
  readonly mapcount?: number;
  readonly private?: number;
  readonly compoundHead?: number;
  readonly dtor?: number;
  readonly order?: number;
}

/** A block of `struct page`; the first is the one asked about. */
function classify(level: number, pages: readonly PageFields[], pfn = 0) {
  const bytes = new Uint8Array(8 * 64);
  const words = wordsOf(bytes);
  for (const [index, page] of pages.entries()) {
    words[index * 16] = page.flags ?? 0;
    words[index * 16 + 2] = page.compoundHead ?? 0;
    words[index * 16 + 6] = page.mapping ?? 0;
    words[index * 16 + 10] = page.private ?? 0;
    words[index * 16 + 12] = page.mapcount ?? -1;
    if (page.dtor !== undefined) bytes[index * 64 + 16] = page.dtor;
    if (page.order !== undefined) bytes[index * 64 + 17] = page.order;
  }
  const { exclusion, pages: count } = new PageClassifier(LAYOUT, level).classify({ bytes, words, count: 8 }, 0, pfn);
  return exclusion === undefined ? 'kept' : `${exclusion} ${count}`;
}

const { CACHE, CACHE_PRIVATE, USER, FREE } = DUMP_LEVEL;

describe('PageClassifier, as makedumpfile(8) -d says', () => {
  test.each<[what: string, level: number, pages: PageFields[], expected: string]>([
    ['page cache', CACHE, [{ flags: LRU }], 'cache 1'],
    ['page cache', CACHE_PRIVATE, [{ flags: LRU }], 'cache 1'],
    ['page cache', USER | FREE, [{ flags: LRU }], 'kept'],
    ['private page cache', CACHE, [{ flags: LRU | PRIVATE }], 'kept'],
    ['private page cache', CACHE_PRIVATE, [{ flags: LRU | PRIVATE }], 'cachePrivate 1'],
    ['swap cache', CACHE, [{ flags: SWAPCACHE | SWAPBACKED }], 'cache 1'],
    ['PG_swapcache without PG_swapbacked', CACHE, [{ flags: SWAPCACHE }], 'kept'],
    ['anonymous memory', CACHE | CACHE_PRIVATE, [{ flags: LRU, mapping: 1 }], 'kept'],
    ['anonymous memory', USER, [{ flags: LRU, mapping: 1 }], 'user 1'],
    ['a slab whose mapping looks anonymous', USER, [{ flags: SLAB, mapping: 1 }], 'kept'],
    ['a free block', FREE, [{ mapcount: BUDDY, private: 3 }], 'free 8'],
    ['a free block', CACHE | USER, [{ mapcount: BUDDY, private: 3 }], 'kept'],
    ['a free block of an impossible order', FREE, [{ mapcount: BUDDY, private: 11 }], 'kept'],
    ['a slab whose mapcount looks free', FREE, [{ flags: SLAB, mapcount: BUDDY }], 'kept'],
    ['a poisoned page', 0, [{ flags: HWPOISON }], 'hwpoison 1'],
    ['an offline page', 0, [{ mapcount: OFFLINE }], 'offline 1'],
    ['a kernel page', 31, [{}], 'kept'],
  ])('%s at level %i', (_, level, pages, expected) => {
    expect(classify(level, pages)).toBe(expected);
  });

  test('leaves out a whole compound page by its head', () => {
    expect(classify(CACHE, [{ flags: LRU | HEAD }, { order: 2, compoundHead: 1 }], 4)).toBe('cache 4');
  });

  test('leaves the tails of a compound page to their head', () => {
    expect(classify(31, [{ flags: LRU, compoundHead: 1 }])).toBe('kept');
  });

  test('takes the head alone when the order does not fit its place', () => {
    expect(classify(CACHE, [{ flags: LRU | HEAD }, { order: 2 }], 2)).toBe('cache 1');
  });

  test('knows huge pages by their destructor', () => {
    expect(classify(USER, [{ flags: HEAD }, { dtor: 2, order: 9 }])).toBe('user 512');
    expect(classify(USER, [{ flags: HEAD }, { dtor: 1, order: 9 }])).toBe('kept');
  });
});
