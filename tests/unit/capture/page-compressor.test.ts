import { inflateSync, zstdDecompressSync } from 'node:zlib';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { decompress } from '../../../capture/formats/compression.ts';
import type { Compressor } from '../../../capture/formats/compression.ts';
import { compressedRoom, pageCompressor } from '../../../capture/page-compressor/page-compressor.ts';
import { lzo1xCompressor } from '../../../capture/page-compressor/lzo1x.ts';

const COMPRESSORS: readonly Compressor[] = ['zlib', 'lzo', 'snappy', 'zstd'];

/** Pages with runs, repeats near and far, and noise. */
const page = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 60 })), { minLength: 1 })
  .map(parts => {
    const bytes = Buffer.alloc(4096);
    let at = 0;
    for (const [piece, count] of parts) for (let n = 0; n < count; n++) at += Buffer.from(piece).copy(bytes, at);
    return bytes;
  });

describe.each(COMPRESSORS)('%s', compressor => {
  function expanded(input: Uint8Array, size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    decompress(compressor, input, bytes);
    return bytes;
  }

  test.each([4096, 16_384, 65_536])('gives pages of %i bytes back', size => {
    const compress = pageCompressor(compressor, size);
    const output = new Uint8Array(compressedRoom(size));
    const filled = (make: (index: number) => number): Uint8Array =>
      Uint8Array.from({ length: size }, (_, index) => make(index));
    const pages = [
      new Uint8Array(size),
      filled(index => index & 0xff),
      filled(index => (index * index) >> 7),
      filled(index => (index < size / 2 ? index % 251 : (index - size / 2) % 251)),
      filled(index => (Math.imul(index + 1, 2_654_435_761) >>> 13) & 0xff),
    ];
    for (const bytes of pages) {
      const length = compress(bytes, output);
      expect(Buffer.compare(expanded(output.subarray(0, length), size), bytes)).toBe(0);
    }
  });

  test('gives any page back, whatever was compressed before', () => {
    const compress = pageCompressor(compressor, 4096);
    const output = new Uint8Array(compressedRoom(4096));
    fc.assert(
      fc.property(page, bytes => {
        const length = compress(bytes, output);
        expect(Buffer.compare(expanded(output.subarray(0, length), 4096), bytes)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test('shrinks a page of text to less than half', () => {
    const text = Buffer.from('[    0.000000] BIOS-provided physical RAM map: usable\n'.repeat(80)).subarray(0, 4096);
    expect(pageCompressor(compressor, 4096)(text, new Uint8Array(compressedRoom(4096)))).toBeLessThan(2048);
  });
});

test('writes zlib and Zstandard streams that end with the page', () => {
  const text = Buffer.alloc(4096, 'kdump');
  const output = new Uint8Array(compressedRoom(4096));
  const zlib = pageCompressor('zlib', 4096)(text, output);
  expect(inflateSync(output.subarray(0, zlib)).equals(text)).toBe(true);
  const zstd = pageCompressor('zstd', 4096)(text, output);
  expect(zstdDecompressSync(output.subarray(0, zstd)).equals(text)).toBe(true);
});

test('ends LZO data with the mark that lzo.rst gives', () => {
  const output = new Uint8Array(compressedRoom(4096));
  const length = lzo1xCompressor()(new Uint8Array(4096), output);
  expect([...output.subarray(length - 3, length)]).toEqual([0x11, 0, 0]);
});
