import { deflateSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { MemorySourceBytes } from '../../../../capture/formats/byte-source.ts';
import {
  DISK_DUMP_HEADER,
  DUMP_DH,
  DiskDumpFile,
  KDUMP_SIGNATURE,
  KDUMP_SUB_HEADER,
  PAGE_DESC,
} from '../../../../capture/formats/diskdump.ts';
import { ElfCore } from '../../../../capture/formats/elf-core.ts';
import { ELF64_EHDR, ELF64_PHDR, ET, PT } from '../../../../capture/formats/elf.ts';
import { FaultError, FormatError } from '../../../../capture/formats/errors.ts';
import { FlattenedSource, MAKEDUMPFILE_HEADER } from '../../../../capture/formats/flattened.ts';

const BLOCK = 4096;

function pageOf(value: number): Uint8Array {
  return new Uint8Array(BLOCK).fill(value);
}

/** A kdump-compressed file of 32 pages, of which pages 3 (zlib), 5 (plain) and 9 (existing, filtered) matter. */
function diskDump(version: number, overrides: Partial<ReturnType<typeof DISK_DUMP_HEADER.parse>> = {}): Uint8Array {
  const compressed = deflateSync(pageOf(0x33));
  const file = new Uint8Array(5 * BLOCK + 2 * PAGE_DESC.size + compressed.length + BLOCK);
  const header = {
    signature: KDUMP_SIGNATURE,
    header_version: version,
    machine: 'aarch64',
    block_size: BLOCK,
    sub_hdr_size: 1,
    bitmap_blocks: 2,
    max_mapnr: 32,
    ...overrides,
  };
  file.set(DISK_DUMP_HEADER.build(header), 0);
  file.set(KDUMP_SUB_HEADER.build({ dump_level: 31, max_mapnr_64: 32 }), BLOCK);
  file.set([0b0010_1000, 0b0000_0010], 2 * BLOCK);
  file.set([0b0010_1000, 0], 3 * BLOCK);
  const data = 4 * BLOCK + 2 * PAGE_DESC.size;
  file.set(PAGE_DESC.build({ offset: data, size: compressed.length, flags: DUMP_DH.COMPRESSED_ZLIB }), 4 * BLOCK);
  file.set(PAGE_DESC.build({ offset: data + compressed.length, size: BLOCK, flags: 0 }), 4 * BLOCK + PAGE_DESC.size);
  file.set(compressed, data);
  file.set(pageOf(0x55), data + compressed.length);
  return file;
}

const open = (bytes: Uint8Array): DiskDumpFile => new DiskDumpFile(new MemorySourceBytes('dump', bytes));

describe('kdump-compressed', () => {
  test.each([1, 2, 3, 4, 5, 6])('finds pages by counting the bitmap, header version %i', version => {
    const dump = open(diskDump(version));
    expect(Buffer.compare(dump.readPage(3), pageOf(0x33))).toBe(0);
    expect(Buffer.compare(dump.readPage(5), pageOf(0x55))).toBe(0);
  });

  test('tells a page that was filtered out from one that the machine never had', () => {
    const dump = open(diskDump(6));
    expect(() => dump.readPage(9)).toThrow('filtered out of the dump');
    expect(() => dump.readPage(10)).toThrow('not in the dump');
    expect(() => dump.readPage(9)).toThrow(FaultError);
  });

  test('says that the file ends before a page', () => {
    const dump = open(diskDump(6).subarray(0, 5 * BLOCK));
    expect(() => dump.readPage(5)).toThrow('cut short');
  });

  test.each([
    ['header_version', { header_version: 7 }, 8],
    ['block_size', { block_size: 1000 }, 428],
    ['sub_hdr_size', { sub_hdr_size: 0 }, 432],
  ] as const)('refuses a bad %s at its offset', (member, overrides, offset) => {
    expect(() => open(diskDump(6, overrides))).toThrow(
      expect.objectContaining({ offset, message: expect.stringContaining(`bad ${member}`) as string }) as Error,
    );
  });

  test('refuses a bitmap that is too small for the pages it announces', () => {
    expect(() => open(diskDump(5, { max_mapnr: 1_000_000 }))).toThrow('the page bitmap is too small');
  });

  test('is a FormatError wherever the headers are cut', () => {
    const whole = diskDump(6);
    for (let length = 0; length < 3 * BLOCK; length += 97)
      expect(() => open(whole.subarray(0, length)), `${length} bytes`).toThrow(FormatError);
  });
});

function elfCore(segments: readonly { paddr: bigint; filesz: number; memsz: number }[]): Uint8Array {
  const start = ELF64_EHDR.size + segments.length * ELF64_PHDR.size;
  const total = segments.reduce((sum, { filesz }) => sum + Math.min(filesz, 1e6), start);
  const file = new Uint8Array(total);
  file.set(
    ELF64_EHDR.build({
      magic: '\x7fELF',
      ei_class: 2,
      ei_data: 1,
      e_type: ET.CORE,
      e_machine: 183,
      e_phoff: ELF64_EHDR.size,
      e_phentsize: ELF64_PHDR.size,
      e_phnum: segments.length,
    }),
    0,
  );
  let offset = start;
  for (const [index, { paddr, filesz, memsz }] of segments.entries()) {
    file.set(
      ELF64_PHDR.build({ p_type: PT.LOAD, p_offset: offset, p_paddr: paddr, p_filesz: filesz, p_memsz: memsz }),
      ELF64_EHDR.size + index * ELF64_PHDR.size,
    );
    file.fill(index + 1, offset, offset + filesz);
    offset += Math.min(filesz, 1e6);
  }
  return file;
}

const openCore = (bytes: Uint8Array): ElfCore => new ElfCore(new MemorySourceBytes('core', bytes));

describe('ELF core', () => {
  test('places segments by their physical addresses', () => {
    const core = openCore(
      elfCore([
        { paddr: 0x1000n, filesz: 4096, memsz: 4096 },
        { paddr: 0x4_0000n, filesz: 8192, memsz: 8192 },
      ]),
    );
    expect(core.readPage(1)[0]).toBe(1);
    expect(core.readPage(0x41)[4095]).toBe(2);
    expect(core.hasPage(2)).toBe(false);
  });

  test('says that memory beyond p_filesz was filtered out', () => {
    const core = openCore(elfCore([{ paddr: 0n, filesz: 4096, memsz: 8192 }]));
    expect(() => core.readPage(1)).toThrow('filtered out of the dump');
  });

  test('sets the 18 EB segment of a failed kexec aside and says why', () => {
    const core = openCore(
      elfCore([
        { paddr: 0x1000n, filesz: 4096, memsz: 4096 },
        { paddr: 0x2000n, filesz: 1.8e19, memsz: 1.8e19 },
      ]),
    );
    expect(core.readPage(1)[0]).toBe(1);
    expect(core.warnings[0]).toMatch(/did not find _text/);
  });

  test('refuses a file without a usable segment', () => {
    expect(() => openCore(elfCore([]))).toThrow('no usable memory segment');
  });
});

function record(offset: bigint, size: bigint, bytes: Uint8Array = new Uint8Array(0)): Uint8Array {
  const head = Buffer.alloc(16);
  head.writeBigInt64BE(offset, 0);
  head.writeBigInt64BE(size, 8);
  return Buffer.concat([head, bytes]);
}

const openFlat = (bytes: Uint8Array): FlattenedSource => new FlattenedSource(new MemorySourceBytes('flat', bytes));

describe('flattened', () => {
  const header = Buffer.concat([
    MAKEDUMPFILE_HEADER.build({ signature: 'makedumpfile', type: 1n, version: 1n }),
    new Uint8Array(4096 - MAKEDUMPFILE_HEADER.size),
  ]);

  test('puts records where they belong, later ones over earlier ones', () => {
    const source = openFlat(
      Buffer.concat([
        header,
        record(4n, 2n, Buffer.from('cd')),
        record(0n, 4n, Buffer.from('abXX')),
        record(2n, 2n, Buffer.from('--')),
        record(-1n, -1n),
      ]),
    );
    expect(Buffer.from(source.read(0, 6)).toString()).toBe('ab--cd');
    expect(source.complete).toBe(true);
  });

  test('tells a stream that was cut off', () => {
    const source = openFlat(Buffer.concat([header, record(0n, 10n, Buffer.from('abcd'))]));
    expect(source.complete).toBe(false);
    expect(source.size).toBe(4);
  });
});
