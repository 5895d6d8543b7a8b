import { describe, expect, test } from 'vitest';

import { MemoryReader } from '../../../analyzer/memory-reader.ts';
import { FaultError } from '../../../capture/formats/errors.ts';
import type { MemorySource } from '../../../capture/formats/memory-source.ts';

/** Pages 0 and 1, filled with their numbers; nothing behind them. */
const TWO_PAGES: MemorySource = {
  pageSize: 4096,
  maxPfn: 2,
  hasPage: pfn => pfn < 2,
  readPage(pfn) {
    if (pfn >= 2) throw new FaultError(pfn * 4096, 'not in the dump');
    return new Uint8Array(4096).fill(pfn);
  },
};
const BASE = 0xffff_8000_0000_0000n;
const reader = new MemoryReader(TWO_PAGES, vaddr => Number(vaddr - BASE));

describe('reading memory', () => {
  test('joins what stands on two pages', () => {
    expect([...reader.readBytes(BASE + 4094n, 4)]).toEqual([0, 0, 1, 1]);
  });

  test('faults at the first page that is missing', () => {
    expect(() => reader.readBytes(BASE + 8190n, 4)).toThrow(FaultError);
  });

  test('gives what there is of a damaged length, without room for all of it', () => {
    const start = performance.now();
    expect(reader.readAvailable(BASE + 100n, 2 ** 40)).toHaveLength(8192 - 100);
    expect(() => reader.readBytes(BASE + 100n, 2 ** 40)).toThrow(FaultError);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('gives nothing where the first byte is missing', () => {
    expect(reader.readAvailable(BASE + 8192n, 10)).toHaveLength(0);
  });
});
