import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from 'vitest';

import { FaultError, UsageError } from '../../../../capture/formats/errors.ts';
import { RawMemory, namesRawMemory } from '../../../../capture/sources/raw-memory.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-raw-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A file whose pages are filled with their own numbers. */
function ram(name: string, pages: number, more = 0): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    Buffer.concat([...Array.from({ length: pages }, (_, page) => Buffer.alloc(4096, page)), Buffer.alloc(more)]),
  );
  return path;
}

describe('raw RAM', () => {
  const low = ram('low', 4);
  const high = ram('high', 2, 100);

  test('stands where its address says, in several files', () => {
    using memory = new RawMemory([`${high}@0x10000,${low}@0x4000`]);
    expect(memory.maxPfn).toBe(0x12);
    expect(memory.readPage(5)[0]).toBe(1);
    expect(memory.readPage(0x11)[0]).toBe(1);
    expect(memory.hasPage(3)).toBe(false);
    expect(() => memory.readPage(8)).toThrow(FaultError);
  });

  test('reads several pages at once up to the end of a file', () => {
    using memory = new RawMemory([`${low}@0x4000`]);
    expect(memory.readPages(6, 10)).toHaveLength(2 * 4096);
  });

  test('leaves out a last part of a page', () => {
    using memory = new RawMemory([`${high}@0`]);
    expect(memory.maxPfn).toBe(2);
  });

  test.each([
    [[`${low}@0x4000`, `${high}@0x5000`], /overlap/],
    [[`${low}@0x4001`], /inside a page/],
    [['nothing'], /FILE@ADDRESS/],
  ])('%j is an error', (words, message) => {
    expect(() => new RawMemory(words)).toThrow(UsageError);
    expect(() => new RawMemory(words)).toThrow(message);
  });

  test('is named by an address behind each file', () => {
    expect(namesRawMemory('ram@0x40000000')).toBe(true);
    expect(namesRawMemory('a@0,b@4096')).toBe(true);
    expect(namesRawMemory('vmcore')).toBe(false);
  });
});
