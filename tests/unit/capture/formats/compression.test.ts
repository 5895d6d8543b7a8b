import { deflateSync, zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { decompress, lzo1xDecompress, snappyDecompress } from '../../../../capture/formats/compression.ts';
import { FormatError } from '../../../../capture/formats/errors.ts';

/** What a decompressor makes of a stream, with room for a page. */
function expanded(run: (input: Uint8Array, output: Uint8Array) => number, input: Uint8Array): string {
  const output = Buffer.alloc(4096);
  return output.toString('latin1', 0, run(input, output));
}
const stream = (...parts: (string | number)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap(part => (typeof part === 'number' ? [part] : [...Buffer.from(part, 'latin1')])));

describe('lzo', () => {
  // Streams assembled by hand from Documentation/staging/lzo.rst; 0x11 0 0 is the end mark.
  test.each([
    ['a literal run of its first byte', stream(17 + 5, 'hello', 0x11, 0, 0), 'hello'],
    ['a short first run of one literal', stream(17 + 1, 'a', 0x20 | 3, 0, 0, 0x11, 0, 0), 'aaaaaa'],
    ['a long match of 2-byte distance', stream(17 + 4, 'abcd', 0x20 | 2, (4 - 1) << 2, 0, 0x11, 0, 0), 'abcdabcd'],
    ['a short match of op 64 and above', stream(17 + 4, 'abcd', 0x40 | ((4 - 1) << 2), 0, 0x11, 0, 0), 'abcdabc'],
    ['literals behind a match', stream(17 + 4, 'abcd', 0x40 | ((4 - 1) << 2) | 2, 0, 'xy', 0x11, 0, 0), 'abcdabcxy'],
    ['a run whose length goes on in bytes', stream(0, 2, 'x'.repeat(20), 0x11, 0, 0), 'x'.repeat(20)],
  ])('expands %s', (_name, input, expected) => {
    expect(expanded(lzo1xDecompress, input)).toBe(expected);
  });

  test('refuses a match from before the start', () => {
    expect(() => lzo1xDecompress(stream(17 + 1, 'a', 0x20 | 2, 0xff, 0, 0x11, 0, 0), new Uint8Array(64))).toThrow(
      FormatError,
    );
  });

  test('refuses to expand beyond the page', () => {
    expect(() => lzo1xDecompress(stream(17 + 1, 'a', 0x20, 0xff, 0, 0, 0x11, 0, 0), new Uint8Array(16))).toThrow(
      FormatError,
    );
  });

  test('refuses a stream without end', () => {
    expect(() => lzo1xDecompress(stream(17 + 5, 'hello'), new Uint8Array(64))).toThrow(FormatError);
  });
});

describe('snappy', () => {
  // From format_description.txt: literals (tag 00), copies with 1-, 2- and 4-byte offsets (01, 10, 11).
  test.each([
    ['a literal', stream(5, (5 - 1) << 2, 'hello'), 'hello'],
    ['a copy with a 1-byte offset that overlaps itself', stream(7, 0, 'x', 1 | ((6 - 4) << 2), 1), 'xxxxxxx'],
    ['a copy with a 2-byte offset', stream(8, (4 - 1) << 2, 'abcd', 2 | ((4 - 1) << 2), 4, 0), 'abcdabcd'],
    ['a literal with a length byte', stream(70, 60 << 2, 69, 'y'.repeat(70)), 'y'.repeat(70)],
  ])('expands %s', (_name, input, expected) => {
    expect(expanded(snappyDecompress, input)).toBe(expected);
  });

  test('refuses a copy from before the start', () => {
    expect(() => snappyDecompress(stream(5, 1 | (1 << 2), 9), new Uint8Array(64))).toThrow(FormatError);
  });
});

describe('decompress', () => {
  const page = Uint8Array.from({ length: 4096 }, (_, index) => (index * 7) & 0xff);

  test.each([
    ['zlib', deflateSync(page)],
    ['zstd', zstdCompressSync(page)],
  ] as const)('expands a page of %s', (compressor, input) => {
    const output = new Uint8Array(4096);
    decompress(compressor, input, output);
    expect(Buffer.compare(output, page)).toBe(0);
  });

  test.each(['zlib', 'zstd', 'lzo', 'snappy'] as const)('says that %s data is damaged', compressor => {
    expect(() => decompress(compressor, Uint8Array.of(0xff, 0xfe, 0xfd, 0xfc), new Uint8Array(4096))).toThrow(
      FormatError,
    );
  });

  test.each([
    ['zlib', deflateSync(page)],
    ['zstd', zstdCompressSync(page)],
  ] as const)('expands a page of %s behind a damaged one and one that is cut off', (compressor, input) => {
    const output = new Uint8Array(4096);
    expect(() => decompress(compressor, new Uint8Array(20).fill(7), output)).toThrow(FormatError);
    expect(() => decompress(compressor, input.subarray(0, input.length >> 1), output)).toThrow(FormatError);
    decompress(compressor, input, output);
    expect(Buffer.compare(output, page)).toBe(0);
  });

  test('says that a page is too short', () => {
    expect(() => decompress('zlib', deflateSync(page.subarray(0, 100)), new Uint8Array(4096))).toThrow(
      'expected 4096 bytes, found 100',
    );
  });
});
