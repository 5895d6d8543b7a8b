import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';

import { excludeZeroPages, filterSource, sourceOf, writeElfCore, writeKdump } from '../../../capture/create-dump.ts';
import type { SourceDump } from '../../../capture/create-dump.ts';
import { MemorySourceBytes } from '../../../capture/formats/byte-source.ts';
import type { Compressor } from '../../../capture/formats/compression.ts';
import { DiskDumpFile } from '../../../capture/formats/diskdump.ts';
import { ElfCore } from '../../../capture/formats/elf-core.ts';
import { FaultError, FormatError, UsageError } from '../../../capture/formats/errors.ts';
import { FlattenedSource } from '../../../capture/formats/flattened.ts';
import type { MemorySource } from '../../../capture/formats/memory-source.ts';
import { MemorySink, NoSpaceError } from '../../../capture/output/dump-sink.ts';
import type { DumpSink } from '../../../capture/output/dump-sink.ts';
import { PageBitmap } from '../../../capture/page-bitmap.ts';
import { splitRanges } from '../../../capture/split.ts';
import { elfSegments, plainLoad } from '../../../capture/writer-elf.ts';
import { FlattenedSink, rearrange } from '../../../capture/writer-flattened.ts';
import { PAGE_SIZE, pageContents, syntheticDump } from '../../support/synthetic-dump.ts';

const NOTHING = { threads: 0, erase: [], eraseInfo: new Uint8Array(0) };
let source: SourceDump;

beforeEach(() => {
  source = sourceOf(syntheticDump());
});

function expectAllPages(memory: MemorySource): void {
  for (let pfn = 0; pfn < 400; pfn++) {
    const exists = (pfn >= 16 && pfn < 80) || pfn >= 100;
    expect([pfn, memory.hasPage(pfn)]).toEqual([pfn, exists]);
    if (exists) expect(Buffer.compare(memory.readPage(pfn), pageContents(pfn))).toBe(0);
  }
}

async function kdumpBytes(compressor: Compressor | undefined, level = 0): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeKdump(source, filterSource(source, level), sink, { ...NOTHING, compressor });
  return sink.contents;
}

/** A sink that is full after so many bytes, as a disk is. */
class SmallSink extends MemorySink {
  readonly #limit: number;

  constructor(limit: number) {
    super();
    this.#limit = limit;
  }

  override write(offset: number, bytes: Uint8Array): void {
    const room = Math.max(0, this.#limit - offset);
    super.write(offset, bytes.subarray(0, room));
    if (bytes.length > room) throw new NoSpaceError('full', room);
  }
}

describe('kdump-compressed files', () => {
  test.each([undefined, 'zlib', 'lzo', 'snappy', 'zstd'] as const)('give all pages back: %s', async compressor => {
    const file = new DiskDumpFile(new MemorySourceBytes('dump', await kdumpBytes(compressor)));
    expectAllPages(file);
    expect(file.incomplete).toBe(false);
    expect(file.notes().map(({ name, type }) => [name, type])).toEqual([['CORE', 1]]);
  });

  test('store zero pages once at level 1', async () => {
    const [plain, filtered] = [await kdumpBytes(undefined, 0), await kdumpBytes(undefined, 1)];
    const zeroPages = 16 + 75;
    expect(plain.length - filtered.length).toBe((zeroPages - 1) * PAGE_SIZE);
    expectAllPages(new DiskDumpFile(new MemorySourceBytes('dump', filtered)));
  });

  test('need VMCOREINFO for every level above 1', () => {
    expect(() => filterSource(source, 2)).toThrow(UsageError);
  });

  test('say that they are incomplete, and of each page whether it is there, when the disk is full', async () => {
    const sink = new SmallSink(400_000);
    const result = await writeKdump(source, filterSource(source, 0), sink, { ...NOTHING, compressor: undefined });
    expect(result.noSpace).toBeInstanceOf(NoSpaceError);
    const file = new DiskDumpFile(new MemorySourceBytes('dump', sink.contents));
    expect(file.incomplete).toBe(true);
    expect(Buffer.compare(file.readPage(17), pageContents(17))).toBe(0);
    expect(() => file.readPage(399)).toThrow(FaultError);
    expect(result.pages).toBe(Math.floor((400_000 - 4 * PAGE_SIZE - 24 * 364) / PAGE_SIZE));
  });

  test('mark pages that the source could not read', async () => {
    const broken = { ...source.dump, memory: withHole(source.dump.memory, 50) };
    const sink = new MemorySink();
    const damaged = sourceOf(broken);
    const result = await writeKdump(damaged, filterSource(damaged, 0), sink, { ...NOTHING, compressor: 'lzo' });
    expect(result).toMatchObject({ unreadablePages: 1, problem: expect.stringContaining('damaged') as string });
    const file = new DiskDumpFile(new MemorySourceBytes('dump', sink.contents));
    expect(() => file.readPage(50)).toThrow('the page was not written');
    expect(Buffer.compare(file.readPage(51), pageContents(51))).toBe(0);
  });
});

/** Memory of which one page cannot be read. */
function withHole(memory: MemorySource, hole: number): MemorySource {
  return {
    pageSize: memory.pageSize,
    maxPfn: memory.maxPfn,
    hasPage: pfn => memory.hasPage(pfn),
    readPage: pfn => {
      if (pfn === hole) throw new FormatError('damaged');
      return memory.readPage(pfn);
    },
  };
}

describe('ELF cores', () => {
  test('give all pages back', async () => {
    const sink = new MemorySink();
    await writeElfCore(source, filterSource(source, 0), sink, NOTHING);
    const core = new ElfCore(new MemorySourceBytes('core', sink.contents));
    expectAllPages(core);
    expect(core.elf.header.e_flags).toBe(0);
    expect(core.ranges).toMatchObject([
      { start: 16 * PAGE_SIZE, end: 80 * PAGE_SIZE },
      { start: 100 * PAGE_SIZE, end: 400 * PAGE_SIZE },
    ]);
  });

  test('keep short gaps of zero pages', async () => {
    const filtered = filterSource(source, 1);
    expect(excludeZeroPages(source, filtered.dumped)).toBe(16 + 75);
    const sink = new MemorySink();
    await writeElfCore(source, filtered, sink, NOTHING);
    expectAllPages(new ElfCore(new MemorySourceBytes('core', sink.contents)));
  });

  test('are flagged incomplete when the disk is full, and hold what was written', async () => {
    const sink = new SmallSink(400_000);
    const result = await writeElfCore(source, filterSource(source, 0), sink, NOTHING);
    expect(result.noSpace).toBeInstanceOf(NoSpaceError);
    const core = new ElfCore(new MemorySourceBytes('core', sink.contents));
    expect(core.elf.header.e_flags).toBe(1);
    expect(Buffer.compare(core.readPage(101), pageContents(101))).toBe(0);
    expect(() => core.readPage(399)).toThrow(FaultError);
  });

  test.each([
    [255, 1],
    [256, 2],
  ])('cut a segment at a gap of %i pages into %i', (gap, count) => {
    const dumped = new PageBitmap(1000);
    dumped.addRange(0, 10);
    dumped.addRange(10 + gap, 500);
    expect(elfSegments([plainLoad(0, 1000 * PAGE_SIZE, 0n)], dumped, PAGE_SIZE)).toHaveLength(count);
  });

  test('end the bytes of a segment at its last dumped page', () => {
    const dumped = new PageBitmap(1000);
    dumped.addRange(300, 310);
    expect(elfSegments([plainLoad(0, 1000 * PAGE_SIZE, 0n)], dumped, PAGE_SIZE)).toMatchObject([
      { start: 0, end: 300 * PAGE_SIZE, dataEnd: 0 },
      { start: 300 * PAGE_SIZE, end: 1000 * PAGE_SIZE, dataEnd: 310 * PAGE_SIZE },
    ]);
  });
});

describe('the flattened format', () => {
  /** Writes through a flattened sink and returns the stream. */
  async function flatten(write: (sink: DumpSink) => Promise<unknown>): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    const sink = new FlattenedSink('stream', bytes => void pieces.push(new Uint8Array(bytes)));
    await write(sink);
    sink.commit();
    return Buffer.concat(pieces);
  }

  const readerOf = (stream: Uint8Array): ((length: number) => Uint8Array) => {
    let position = 0;
    return length => {
      const bytes = stream.subarray(position, position + length);
      position += bytes.length;
      return bytes;
    };
  };

  test('is the file that it stands for', async () => {
    const filtered = filterSource(source, 1);
    const stream = await flatten(sink => writeKdump(source, filtered, sink, { ...NOTHING, compressor: 'lzo' }));
    const flattened = new FlattenedSource(new MemorySourceBytes('stream', stream));
    expectAllPages(new DiskDumpFile(flattened));
    const sink = new MemorySink();
    rearrange(readerOf(stream), sink);
    expect(Buffer.compare(sink.contents, await kdumpBytes('lzo', 1))).toBe(0);
  });

  test('is refused when it ends anywhere before its end record', async () => {
    const stream = await flatten(async sink => {
      sink.write(0, new Uint8Array(100));
      sink.write(5000, new Uint8Array(3));
    });
    for (let length = 0; length < stream.length; length += 7)
      expect(() => rearrange(readerOf(stream.subarray(0, length)), new MemorySink())).toThrow(FormatError);
  });

  test.each([
    ['a negative offset', [-5n, 10n]],
    ['a size of zero', [0n, 0n]],
    ['a size beyond all files', [0n, 2n ** 62n]],
  ])('is refused with %s', async (_, [offset, size]) => {
    const stream = await flatten(async () => undefined);
    stream.writeBigInt64BE(offset!, 4096);
    stream.writeBigInt64BE(size!, 4104);
    expect(() => rearrange(readerOf(stream), new MemorySink())).toThrow(FormatError);
  });
});

describe('splitRanges', () => {
  test('covers all pages once, in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(999)),
        fc.integer({ min: 2, max: 6 }),
        fc.constantFrom(1, 4, 64),
        (pages, parts, block) => {
          const dumped = new PageBitmap(1000);
          for (const pfn of pages) dumped.add(pfn);
          const ranges = splitRanges(dumped, parts, PAGE_SIZE, block * PAGE_SIZE);
          expect(ranges).toHaveLength(parts);
          expect(ranges[0]!.start).toBe(0);
          expect(ranges.at(-1)!.end).toBe(1000);
          for (const [index, { start }] of ranges.entries()) if (index > 0) expect(start).toBe(ranges[index - 1]!.end);
        },
      ),
    );
  });

  test.each([0, 100, -4096])('refuses blocks of %i bytes', blockSize => {
    expect(() => splitRanges(new PageBitmap(10), 2, PAGE_SIZE, blockSize)).toThrow(UsageError);
  });
});
