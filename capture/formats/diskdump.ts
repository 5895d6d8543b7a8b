/**
 * The kdump-compressed format ("diskdump"), header versions 1 to 6.
 *
 * Source: makedumpfile `IMPLEMENTATION` "The kdump-compressed format" and `diskdump_mod.h`. Blocks of `block_size` bytes:
 * main header | sub header | bitmap of existing pages | bitmap of dumped pages | descriptors | page data | notes and texts.
 * A dump may be split over files; each holds the pages of `[start_pfn, end_pfn)`.
 * Not modelled: 32-bit dumps.
 */
import { POPCOUNT8 } from './bits.ts';
import { cString, readSize64, readU32 } from './bytes.ts';
import { type ByteSource, ReadAhead } from './byte-source.ts';
import { decompress } from './compression.ts';
import type { Compressor } from './compression.ts';
import { parseNotes } from './elf-notes.ts';
import type { ElfNote } from './elf-notes.ts';
import { FaultError, FormatError } from './errors.ts';
import type { MemorySource, StoredPage } from './memory-source.ts';
import { ascii, i32, size64, struct, u32, u64 } from './struct.ts';
import type { StructValue } from './struct.ts';

/** Signature of the main header; `DISKDUMP` was the same layout of an older tool. */
export const KDUMP_SIGNATURE = 'KDUMP   ';

/** `status` of the main header; the compression flags are those of the page descriptors too. */
export const DUMP_DH = {
  COMPRESSED_ZLIB: 0x1,
  COMPRESSED_LZO: 0x2,
  COMPRESSED_SNAPPY: 0x4,
  COMPRESSED_INCOMPLETE: 0x8,
  EXCLUDED_VMEMMAP: 0x10,
  COMPRESSED_ZSTD: 0x20,
} as const;

/** Flag of each compressor, in headers and in page descriptors. */
export const COMPRESSOR_FLAG: Readonly<Record<Compressor, number>> = {
  zlib: DUMP_DH.COMPRESSED_ZLIB,
  lzo: DUMP_DH.COMPRESSED_LZO,
  snappy: DUMP_DH.COMPRESSED_SNAPPY,
  zstd: DUMP_DH.COMPRESSED_ZSTD,
};

export const DISK_DUMP_HEADER = struct('disk_dump_header', {
  signature: ascii(8),
  header_version: i32,
  sysname: ascii(65),
  nodename: ascii(65),
  release: ascii(65),
  version: ascii(65),
  machine: ascii(65),
  domainname: ascii(65),
  tv_sec: size64,
  tv_usec: size64,
  status: u32,
  block_size: i32,
  sub_hdr_size: i32,
  /** Blocks of both bitmaps. */
  bitmap_blocks: u32,
  /** 32 bits of it; the whole since header_version 6 in `max_mapnr_64`. */
  max_mapnr: u32,
  total_ram_blocks: u32,
  device_blocks: u32,
  written_blocks: u32,
  current_cpu: u32,
  nr_cpus: i32,
});

export const KDUMP_SUB_HEADER = struct('kdump_sub_header', {
  phys_base: u64,
  /** Since header_version 1. */
  dump_level: i32,
  /** Since header_version 2, like `start_pfn` and `end_pfn`. */
  split: i32,
  start_pfn: size64,
  end_pfn: size64,
  /** Since header_version 3. */
  offset_vmcoreinfo: size64,
  size_vmcoreinfo: size64,
  /** Since header_version 4. */
  offset_note: size64,
  size_note: size64,
  /** Since header_version 5. */
  offset_eraseinfo: size64,
  size_eraseinfo: size64,
  /** Since header_version 6. */
  start_pfn_64: size64,
  end_pfn_64: size64,
  max_mapnr_64: size64,
});

export const PAGE_DESC = struct('page_desc', { offset: size64, size: u32, flags: u32, page_flags: u64 });

export type DiskDumpHeader = StructValue<typeof DISK_DUMP_HEADER>;
export type KdumpSubHeader = StructValue<typeof KDUMP_SUB_HEADER>;

const NEWEST_HEADER_VERSION = 6;
const MAX_BLOCK_SIZE = 0x1_0000;
/** Pages between two stored ranks of the dumped-pages bitmap. */
const RANK_STRIDE = 4096;

/** Tells whether the bytes begin as a kdump-compressed file does. */
export function isDiskDump(bytes: Uint8Array): boolean {
  const signature = bytes.length >= 8 ? cString(bytes, 0, 8) : '';
  return signature === KDUMP_SIGNATURE || signature === 'DISKDUMP';
}

/** One file of a kdump-compressed dump. */
export class DiskDumpFile implements MemorySource {
  readonly header: DiskDumpHeader;
  readonly subHeader: KdumpSubHeader;
  readonly pageSize: number;
  readonly maxPfn: number;
  /** The pages that this file holds: all, or a part of a split dump. */
  readonly startPfn: number;
  readonly endPfn: number;
  readonly source: ByteSource;
  readonly #exists: Uint8Array;
  readonly #dumped: Uint8Array;
  readonly #ranks: Uint32Array;
  readonly #descriptors: number;
  readonly #descriptorReader: ReadAhead;
  readonly #pageReader: ReadAhead;

  /** @throws FormatError when headers or bitmaps contradict themselves or lie outside the file */
  constructor(source: ByteSource) {
    this.source = source;
    this.#descriptorReader = new ReadAhead(source);
    this.#pageReader = new ReadAhead(source);
    this.header = readHeader(source);
    const { block_size: blockSize, sub_hdr_size: subBlocks, bitmap_blocks: bitmapBlocks } = this.header;
    this.pageSize = blockSize;
    this.subHeader = readSubHeader(source, this.header);
    const version = this.header.header_version;
    this.maxPfn = version >= 6 ? this.subHeader.max_mapnr_64 : this.header.max_mapnr;
    const split = version >= 2 && this.subHeader.split !== 0;
    this.startPfn = split ? (version >= 6 ? this.subHeader.start_pfn_64 : this.subHeader.start_pfn) : 0;
    this.endPfn = split ? (version >= 6 ? this.subHeader.end_pfn_64 : this.subHeader.end_pfn) : this.maxPfn;
    const bitmaps = readBitmaps(source, (1 + subBlocks) * blockSize, bitmapBlocks * blockSize, this.maxPfn);
    this.#exists = bitmaps.exists;
    this.#dumped = bitmaps.dumped;
    this.#descriptors = (1 + subBlocks + bitmapBlocks) * blockSize;
    this.#ranks = rankBitmap(this.#dumped, this.startPfn);
  }

  /** VMCOREINFO's text, or undefined when the file has none. */
  vmcoreinfo(): Uint8Array | undefined {
    return this.#part(3, this.subHeader.offset_vmcoreinfo, this.subHeader.size_vmcoreinfo);
  }

  /** The notes of the ELF file from which the dump was made: the registers of each CPU. */
  notes(): ElfNote[] {
    return parseNotes(this.noteBytes());
  }

  /** The bytes of all notes; none when the file has no notes. */
  noteBytes(): Uint8Array {
    return this.#part(4, this.subHeader.offset_note, this.subHeader.size_note) ?? new Uint8Array(0);
  }

  /** makedumpfile's list of what it erased, as text; none when nothing was. */
  eraseInfo(): Uint8Array {
    return this.#part(5, this.subHeader.offset_eraseinfo, this.subHeader.size_eraseinfo) ?? new Uint8Array(0);
  }

  /** Bitmap of the pages that exist in the machine; one bit a page, pfn 0 in bit 0 of byte 0. */
  get existingPages(): Uint8Array {
    return this.#exists;
  }

  /** Bitmap of the pages that are dumped, in this file or in other parts of a split dump. */
  get dumpedPages(): Uint8Array {
    return this.#dumped;
  }

  /** Tells whether a page exists in the machine, dumped or not. */
  pageExists(pfn: number): boolean {
    return bitIsSet(this.#exists, pfn);
  }

  hasPage(pfn: number): boolean {
    return pfn >= this.startPfn && pfn < this.endPfn && bitIsSet(this.#dumped, pfn);
  }

  readPage(pfn: number): Uint8Array {
    return this.readPages(pfn, 1);
  }

  /** One page: the next may be stored in another form. */
  readPages(pfn: number, _count: number, scratch?: Uint8Array): Uint8Array {
    const { flags, data } = this.readStored(pfn);
    const page = scratch?.subarray(0, this.pageSize) ?? new Uint8Array(this.pageSize);
    this.#expand(data, flags, pfn, page);
    return page;
  }

  readStored(pfn: number): StoredPage {
    const paddr = pfn * this.pageSize;
    if (!this.hasPage(pfn)) {
      const filtered = pfn < this.maxPfn && this.pageExists(pfn);
      throw new FaultError(paddr, filtered ? 'filtered out of the dump' : 'not in the dump');
    }
    const position = this.#descriptors + this.#rank(pfn) * PAGE_DESC.size;
    if (position + PAGE_DESC.size > this.source.size)
      throw new FaultError(paddr, 'the dump is incomplete: no descriptor');
    const descriptor = this.#descriptorReader.read(position, PAGE_DESC.size);
    const offset = readSize64(descriptor, 0);
    const size = readU32(descriptor, 8);
    if (offset === 0 && this.incomplete)
      throw new FaultError(paddr, 'the dump is incomplete: the page was not written');
    if (size === 0 || size > this.pageSize) {
      throw new FormatError(`page 0x${pfn.toString(16)} has an impossible size`, {
        file: this.source.name,
        offset: position,
        expected: `1 to ${this.pageSize}`,
        found: `${size}`,
      });
    }
    if (offset + size > this.source.size)
      throw new FaultError(paddr, 'beyond the end of the file: the dump is cut short');
    return { flags: readU32(descriptor, 12), data: this.#pageReader.read(offset, size) };
  }

  /** Says that the tool could not write all pages, for want of disk space. */
  get incomplete(): boolean {
    return (this.header.status & DUMP_DH.COMPRESSED_INCOMPLETE) !== 0;
  }

  #expand(data: Uint8Array, flags: number, pfn: number, page: Uint8Array): void {
    const compressor = compressorOf(flags);
    if (compressor !== undefined) return decompress(compressor, data, page);
    if (data.length === this.pageSize) return page.set(data);
    throw new FormatError('uncompressed page of the wrong size', {
      file: this.source.name,
      offset: this.#descriptors + this.#rank(pfn) * PAGE_DESC.size,
      expected: `${this.pageSize}`,
      found: `${data.length}`,
    });
  }

  /** Number of dumped pages of this file before `pfn`. */
  #rank(pfn: number): number {
    const block = Math.floor(pfn / RANK_STRIDE);
    return this.#ranks[block]! + countBits(this.#dumped, Math.max(block * RANK_STRIDE, this.startPfn), pfn);
  }

  #part(sinceVersion: number, offset: number, size: number): Uint8Array | undefined {
    if (this.header.header_version < sinceVersion || offset === 0 || size === 0) return undefined;
    return offset + size > this.source.size ? undefined : this.source.read(offset, size);
  }
}

/** The compressor that a header's or a descriptor's flags name; undefined for plain pages. */
export function compressorOf(flags: number): Compressor | undefined {
  if ((flags & DUMP_DH.COMPRESSED_ZLIB) !== 0) return 'zlib';
  if ((flags & DUMP_DH.COMPRESSED_LZO) !== 0) return 'lzo';
  if ((flags & DUMP_DH.COMPRESSED_SNAPPY) !== 0) return 'snappy';
  return (flags & DUMP_DH.COMPRESSED_ZSTD) === 0 ? undefined : 'zstd';
}

function readHeader(source: ByteSource): DiskDumpHeader {
  const bytes = source.read(0, Math.min(source.size, DISK_DUMP_HEADER.size));
  const header = DISK_DUMP_HEADER.parse(bytes, 0, { file: source.name });
  if (!isDiskDump(bytes)) throw new FormatError('not a kdump-compressed file', { file: source.name, offset: 0 });
  const check = (condition: boolean, member: keyof typeof DISK_DUMP_HEADER.offsets, expected: string): void => {
    if (condition) return;
    const offset = DISK_DUMP_HEADER.offsets[member];
    throw new FormatError(`bad ${member}`, { file: source.name, offset, expected, found: String(header[member]) });
  };
  const { block_size: blockSize } = header;
  check(header.header_version >= 0 && header.header_version <= NEWEST_HEADER_VERSION, 'header_version', '0 to 6');
  const powerOfTwo = (blockSize & (blockSize - 1)) === 0;
  check(blockSize >= 4096 && blockSize <= MAX_BLOCK_SIZE && powerOfTwo, 'block_size', 'a power of two, 4096 to 65536');
  check(header.sub_hdr_size > 0 && header.sub_hdr_size <= 1024, 'sub_hdr_size', '1 to 1024 blocks');
  return header;
}

function readSubHeader(source: ByteSource, header: DiskDumpHeader): KdumpSubHeader {
  const length = Math.min(header.sub_hdr_size * header.block_size, KDUMP_SUB_HEADER.size);
  const bytes = source.read(header.block_size, length);
  return KDUMP_SUB_HEADER.parse(bytes, 0, { file: source.name, base: header.block_size });
}

function readBitmaps(
  source: ByteSource,
  offset: number,
  size: number,
  maxPfn: number,
): { exists: Uint8Array; dumped: Uint8Array } {
  const bytesNeeded = Math.ceil(maxPfn / 8);
  if (bytesNeeded > size) {
    throw new FormatError('the page bitmap is too small', {
      file: source.name,
      offset,
      expected: `${bytesNeeded} bytes for ${maxPfn} pages`,
      found: `${size}`,
    });
  }
  const half = size / 2;
  const both = bytesNeeded <= half;
  const dumped = source.read(both ? offset + half : offset, bytesNeeded);
  return { exists: both ? source.read(offset, bytesNeeded) : dumped, dumped };
}

/** Stores, for every stride, the number of set bits from `startPfn` up to it. */
function rankBitmap(bitmap: Uint8Array, startPfn: number): Uint32Array {
  const strides = Math.ceil((bitmap.length * 8) / RANK_STRIDE);
  const ranks = new Uint32Array(strides + 1);
  for (let index = 0; index < strides; index++) {
    const from = Math.max(index * RANK_STRIDE, startPfn);
    const to = (index + 1) * RANK_STRIDE;
    ranks[index + 1] = ranks[index]! + (from < to ? countBits(bitmap, from, to) : 0);
  }
  return ranks;
}

/** Counts the set bits of `[from, to)`; bits beyond the bitmap are zero. */
function countBits(bitmap: Uint8Array, from: number, to: number): number {
  let count = 0;
  let bit = from;
  const end = Math.min(to, bitmap.length * 8);
  for (; bit < end && (bit & 7) !== 0; bit++) count += (bitmap[bit >> 3]! >> (bit & 7)) & 1;
  for (; bit + 8 <= end; bit += 8) count += POPCOUNT8[bitmap[bit >> 3]!]!;
  for (; bit < end; bit++) count += (bitmap[bit >> 3]! >> (bit & 7)) & 1;
  return count;
}

function bitIsSet(bitmap: Uint8Array, bit: number): boolean {
  const byte = bitmap[Math.floor(bit / 8)];
  return byte !== undefined && ((byte >> (bit % 8)) & 1) === 1;
}
