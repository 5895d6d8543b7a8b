import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../capture/formats/errors.ts';
import {
  locateHole,
  locateMemHole,
  mergeAdjacent,
  SegmentList,
  sortSegments,
  subtractRanges,
  type Placement,
} from '../../../kexec/segments.ts';

const MIB = 2 ** 20;
const REGION = { start: 0xdb60_0000, end: 0xfb60_0000 };

describe('locateHole, by the rules of kexec-tools', () => {
  test.each<
    [
      what: string,
      placement: Placement,
      taken: readonly (readonly [mem: number, memsz: number])[],
      expected: number | undefined,
    ]
  >([
    [
      'the lowest hole from below',
      { size: 0x1000, alignment: 1, min: 0, max: 2 ** 40, direction: 'up' },
      [[0xdb60_0000, 0x2000]],
      0xdb60_2000,
    ],
    [
      'the highest place from above',
      { size: 0x1000, alignment: 1, min: 0, max: 2 ** 40, direction: 'down' },
      [],
      0xfb5f_f000,
    ],
    [
      'a multiple of the alignment',
      { size: 0x1000, alignment: 2 * MIB, min: 0xdb60_1000, max: 2 ** 40, direction: 'up' },
      [],
      0xdb80_0000,
    ],
    ['what exactly fits', { size: 512 * MIB, alignment: 1, min: 0, max: 2 ** 40, direction: 'up' }, [], 0xdb60_0000],
    [
      'nothing a page too small',
      { size: 512 * MIB, alignment: 1, min: 0, max: 2 ** 40, direction: 'up' },
      [[0xfb5f_f000, 0x1000]],
      undefined,
    ],
    [
      'nothing above the maximum',
      { size: 0x2000, alignment: 1, min: 0, max: 0xdb60_1000, direction: 'up' },
      [],
      undefined,
    ],
  ])('finds %s', (_, placement, taken, expected) => {
    const segments = taken.map(([mem, memsz]) => ({ mem, memsz }));
    expect(locateHole([REGION], segments, placement)).toBe(expected);
  });
});

describe('locateMemHole, by the rules of the kernel', () => {
  test.each<
    [
      what: string,
      placement: Placement,
      taken: readonly (readonly [mem: number, memsz: number])[],
      expected: number | undefined,
    ]
  >([
    [
      'a place aligned down from the end',
      { size: 0x1000, alignment: 0x1_0000, min: 0, max: 2 ** 40, direction: 'down' },
      [],
      0xfb5f_0000,
    ],
    [
      'the next one below a segment in the way',
      { size: 0x1000, alignment: 0x1_0000, min: 0, max: 2 ** 40, direction: 'down' },
      [[0xfb5f_0000, 0x1000]],
      0xfb5e_0000,
    ],
    [
      'a place behind a segment',
      { size: 0x1000, alignment: 1, min: 0, max: 2 ** 40, direction: 'up' },
      [[0xdb60_0000, 0x3000]],
      0xdb60_3000,
    ],
    [
      'nothing below the minimum',
      { size: 0x1000, alignment: 0x1_0000, min: 0xfb5f_1000, max: 2 ** 40, direction: 'down' },
      [],
      undefined,
    ],
  ])('finds %s', (_, placement, taken, expected) => {
    const segments = taken.map(([mem, memsz]) => ({ mem, memsz }));
    expect(locateMemHole(REGION, segments, placement)).toBe(expected);
  });
});

describe('SegmentList', () => {
  const limits = { start: 0, end: Number.MAX_SAFE_INTEGER };

  test('rounds sizes up to whole pages', () => {
    const list = new SegmentList([REGION], limits);
    expect(list.addAt('kernel', new Uint8Array(3), REGION.start, 0x1001).memsz).toBe(0x2000);
  });
  test('refuses a base that is not page aligned', () => {
    const list = new SegmentList([REGION], limits);
    expect(() => list.addAt('kernel', new Uint8Array(1), REGION.start + 1, 1)).toThrow(UsageError);
  });
  test('refuses memory outside the usable ranges', () => {
    const list = new SegmentList([REGION], limits);
    expect(() => list.addAt('kernel', new Uint8Array(1), REGION.end, 1)).toThrow(/Invalid memory segment/);
  });
  test('refuses memory outside --mem-min and --mem-max', () => {
    const list = new SegmentList([REGION], { start: 0, end: 0xdb60_1000 });
    expect(() => list.addAt('kernel', new Uint8Array(1), REGION.start, 0x2000)).toThrow(/Invalid memory segment/);
  });
  test('takes two ranges that touch for one', () => {
    const halves = [
      { start: 0, end: 0x1000 },
      { start: 0x1000, end: 0x2000 },
    ];
    expect(new SegmentList(halves, limits).addAt('kernel', new Uint8Array(1), 0, 0x2000).memsz).toBe(0x2000);
  });
});

const segment = (mem: number) => ({ name: 'kernel' as const, bytes: new Uint8Array(0), mem, memsz: 0x2000 });

test('segments are sorted, and overlapping ones refused', () => {
  expect(sortSegments([segment(0x4000), segment(0)]).map(({ mem }) => mem)).toEqual([0, 0x4000]);
  expect(() => sortSegments([segment(0x1000), segment(0)])).toThrow(/Overlapping/);
});

test('ranges are cut and joined', () => {
  const ram = [{ start: 0, end: 10 }];
  expect(subtractRanges(ram, [{ start: 3, end: 5 }])).toEqual([
    { start: 0, end: 3 },
    { start: 5, end: 10 },
  ]);
  expect(subtractRanges(ram, [{ start: 0, end: 10 }])).toEqual([]);
  expect(
    mergeAdjacent([
      { start: 5, end: 9 },
      { start: 0, end: 5 },
    ]),
  ).toEqual([{ start: 0, end: 9 }]);
});
