import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { PageBitmap } from '../../../capture/page-bitmap.ts';

/** A set of numbers that does the same, slowly. */
function model(bitmap: PageBitmap): Set<number> {
  return new Set(Array.from({ length: bitmap.maxPfn }, (_, pfn) => pfn).filter(pfn => bitmap.has(pfn)));
}

const range = fc.tuple(fc.nat(200), fc.nat(200)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));

describe('PageBitmap', () => {
  test('puts pfn 0 into bit 0 of byte 0', () => {
    const bitmap = new PageBitmap(16);
    bitmap.add(0);
    bitmap.add(9);
    expect([...bitmap.bytes]).toEqual([1, 2]);
  });

  test('has no runs beyond its last page', () => {
    const bitmap = new PageBitmap(16);
    bitmap.add(15);
    expect([...bitmap.ranges(100, 200)]).toEqual([]);
    expect([...bitmap.ranges(0, 200)]).toEqual([{ start: 15, end: 16 }]);
  });

  test('drops bits beyond the last page', () => {
    expect([...new PageBitmap(3, Uint8Array.of(0xff, 0xff)).bytes]).toEqual([7, 0]);
  });

  test('adds, removes and counts ranges as a set does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 150 }), fc.array(fc.tuple(fc.boolean(), range)), (maxPfn, steps) => {
        const bitmap = new PageBitmap(maxPfn);
        const expected = new Set<number>();
        for (const [adds, { start, end }] of steps) {
          const pages = Array.from({ length: end - start }, (_, index) => start + index).filter(pfn => pfn < maxPfn);
          if (adds) {
            bitmap.addRange(start, end);
            for (const pfn of pages) expected.add(pfn);
          } else {
            expect(bitmap.removeRange(start, end)).toBe(pages.filter(pfn => expected.delete(pfn)).length);
          }
        }
        expect(model(bitmap)).toEqual(expected);
        expect(bitmap.count()).toBe(expected.size);
      }),
    );
  });

  test('lists runs that together are the set', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(99)), pages => {
        const bitmap = new PageBitmap(100);
        for (const pfn of pages) bitmap.add(pfn);
        const listed = [...bitmap.ranges()].flatMap(({ start, end }) =>
          Array.from({ length: end - start }, (_, index) => start + index),
        );
        expect(listed).toEqual([...new Set(pages)].sort((a, b) => a - b));
      }),
    );
  });

  test('cuts runs at the ends of a part', () => {
    const bitmap = new PageBitmap(100);
    bitmap.addRange(10, 50);
    expect([...bitmap.ranges(20, 30)]).toEqual([{ start: 20, end: 30 }]);
  });
});
