import { expect, test } from 'vitest';

import { MemorySourceBytes, ReadAhead } from '../../../../capture/formats/byte-source.ts';
import { FormatError } from '../../../../capture/formats/errors.ts';

const BYTES = Uint8Array.from({ length: 200_000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff);

/** A source that counts how often it is read. */
class CountedSource extends MemorySourceBytes {
  reads = 0;
  override read(offset: number, length: number): Uint8Array {
    this.reads++;
    return super.read(offset, length);
  }
}

test.each<[name: string, offsets: readonly number[], length: number, reads: number]>([
  ['one behind the other, by few reads', Array.from({ length: 2000 }, (_, index) => 100 * index), 100, 5],
  ['here and there, by one read each', [5000, 100, 190_000, 40_000], 24, 4],
  ['backwards from one that was read ahead', [0, 100, 50, 160], 100, 3],
  ['up to the end', [199_800, 199_900], 100, 2],
])('reads pieces %s', (_name, offsets, length, reads) => {
  const source = new CountedSource('x', BYTES);
  const reader = new ReadAhead(source);
  for (const offset of offsets)
    expect(Buffer.compare(reader.read(offset, length), BYTES.subarray(offset, offset + length))).toBe(0);
  expect(source.reads).toBe(reads);
});

test('says that a piece lies beyond the end, also behind another', () => {
  const reader = new ReadAhead(new MemorySourceBytes('x', BYTES));
  reader.read(199_900, 100);
  expect(() => reader.read(200_000, 1)).toThrow(FormatError);
  expect(() => reader.read(199_999, 2)).toThrow(FormatError);
});
