/** Our compressors and decompressors of pages against the libraries that makedumpfile and crash use: each reads what the other writes. */
import { join } from 'node:path';

import koffi from 'koffi';
import { describe, expect, test } from 'vitest';

import { decompress, type Compressor } from '../../../capture/formats/compression.ts';
import { compressedRoom, pageCompressor } from '../../../capture/page-compressor/page-compressor.ts';
import { openDump } from '../../../capture/sources/dump-file.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';
import { Random } from '../../support/random.ts';

/** One library. Functions return the number of bytes; -1 for an error. */
interface Judge {
  /** By their names, with the levels that makedumpfile or another writer uses. */
  readonly compress: Readonly<Record<string, (page: Uint8Array) => Uint8Array>>;
  readonly expand: (data: Uint8Array, size: number) => Uint8Array | undefined;
}

const ROOM = 2 * 65_536;
/** `LZO1X_999_MEM_COMPRESS` is the largest. */
const LZO_WORK = Buffer.alloc(14 * 16_384 * 8);

function loadJudge<T>(library: string, make: (library: ReturnType<typeof koffi.load>) => T): T | undefined {
  try {
    return make(koffi.load(library));
  } catch {
    // Not on this host: the tests are skipped.
    return undefined;
  }
}

const JUDGES: Readonly<Record<Exclude<Compressor, 'zlib' | 'zstd'>, Judge | undefined>> = {
  lzo: loadJudge('liblzo2.so.2', library => {
    const define = (name: string) =>
      library.func(`int ${name}(const uint8_t *in, size_t size, uint8_t *out, _Inout_ size_t *outSize, uint8_t *work)`);
    const expand = define('lzo1x_decompress_safe');
    const compress = (name: string) => {
      const run = define(name);
      return (page: Uint8Array) => {
        const [output, length] = [Buffer.alloc(ROOM), [ROOM]];
        expect(run(page, page.length, output, length, LZO_WORK)).toBe(0);
        return output.subarray(0, length[0]);
      };
    };
    return {
      compress: Object.fromEntries(
        ['lzo1x_1_compress', 'lzo1x_1_11_compress', 'lzo1x_1_15_compress', 'lzo1x_999_compress'].map(name => [
          name,
          compress(name),
        ]),
      ),
      expand: (data, size) => {
        const [output, length] = [Buffer.alloc(size), [size]];
        return expand(data, data.length, output, length, LZO_WORK) === 0 ? output.subarray(0, length[0]) : undefined;
      },
    };
  }),
  snappy: loadJudge('libsnappy.so.1', library => {
    const define = (name: string) =>
      library.func(`int ${name}(const uint8_t *in, size_t size, uint8_t *out, _Inout_ size_t *outSize)`);
    const [compress, expand] = [define('snappy_compress'), define('snappy_uncompress')];
    return {
      compress: {
        snappy_compress: page => {
          const [output, length] = [Buffer.alloc(ROOM), [ROOM]];
          expect(compress(page, page.length, output, length)).toBe(0);
          return output.subarray(0, length[0]);
        },
      },
      expand: (data, size) => {
        const [output, length] = [Buffer.alloc(size), [size]];
        return expand(data, data.length, output, length) === 0 ? output.subarray(0, length[0]) : undefined;
      },
    };
  }),
};

/** Pages that look like memory: runs, repeats near and far, noise. */
function syntheticPages(size: number): Uint8Array[] {
  const random = new Random(size);
  return Array.from({ length: 60 }, (_, kind) => {
    const page = Buffer.alloc(size);
    for (let at = 0; at < size;) at += addPiece(page, at, 1 + random.below(kind % 3 === 0 ? 20 : 700), random);
    return page;
  });
}

/** @returns how many bytes were added */
function addPiece(page: Buffer, at: number, wanted: number, random: Random): number {
  const length = Math.min(wanted, page.length - at);
  const kind = at === 0 ? 2 : random.below(3);
  if (kind === 0) page.fill(random.below(256), at, at + length);
  else if (kind === 2) for (let i = at; i < at + length; i++) page[i] = random.below(256);
  else {
    const from = random.below(at);
    return page.copy(page, at, from, Math.min(at, from + length));
  }
  return length;
}

const folder = findDumpFolder('x86_64-6.1');

function* realPages(): Generator<Uint8Array> {
  using dump = openDump([join(folder!, 'vmcore')]);
  for (let pfn = 0; pfn < dump.memory.maxPfn; pfn += 23) if (dump.memory.hasPage(pfn)) yield dump.memory.readPage(pfn);
}

function same(bytes: Uint8Array | undefined, page: Uint8Array): boolean {
  return bytes !== undefined && Buffer.compare(bytes, page) === 0;
}

describe.each(['lzo', 'snappy'] as const)('%s', name => {
  const judge = JUDGES[name];

  /** How many pages one of the two sides does not give back. */
  function failures(pages: Iterable<Uint8Array>, size: number): number {
    const compress = pageCompressor(name, size);
    const output = new Uint8Array(compressedRoom(size));
    const expanded = new Uint8Array(size);
    let failed = 0;
    for (const page of pages) {
      const ours = output.subarray(0, compress(page, output));
      if (!same(judge!.expand(ours, size), page)) failed++;
      for (const theirs of Object.values(judge!.compress)) {
        decompress(name, theirs(page), expanded);
        if (!same(expanded, page)) failed++;
      }
    }
    return failed;
  }

  test.skipIf(judge === undefined).each([4096, 16_384, 65_536])('pages of %i bytes are read by both', size => {
    expect(failures(syntheticPages(size), size)).toBe(0);
  });

  test.skipIf(judge === undefined || folder === undefined)("a kernel's pages are read by both", () => {
    expect(failures(realPages(), 4096)).toBe(0);
  });
});
