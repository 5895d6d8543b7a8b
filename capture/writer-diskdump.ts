/**
 * Writes the kdump-compressed format, header version 6.
 *
 * Source: makedumpfile `IMPLEMENTATION` "The kdump-compressed format" and "The incomplete DUMPFILE".
 * A file that is being written says that it is incomplete until its last byte is in place.
 */
import type { DumpDescription } from './dump-description.ts';
import { wordsOf } from './formats/bytes.ts';
import type { Compressor } from './formats/compression.ts';
import {
  COMPRESSOR_FLAG,
  DISK_DUMP_HEADER,
  DUMP_DH,
  KDUMP_SIGNATURE,
  KDUMP_SUB_HEADER,
  PAGE_DESC,
} from './formats/diskdump.ts';
import { NoSpaceError } from './output/dump-sink.ts';
import type { DumpSink } from './output/dump-sink.ts';
import type { PageBitmap, PfnRange } from './page-bitmap.ts';
import { PAGE_KIND } from './page-encoder.ts';
import type { EncodedPages } from './page-encoder.ts';
import { batches, encodeInOrder } from './page-pool.ts';
import type { BatchEncoder } from './page-pool.ts';

const HEADER_VERSION = 6;
const MAX_U32 = 0xffff_ffff;

/** What a file is to contain. */
export interface DiskDumpPlan {
  readonly description: DumpDescription;
  readonly exists: PageBitmap;
  readonly dumped: PageBitmap;
  readonly level: number;
  /** For the header; pages say for themselves how they are compressed. */
  readonly compressor: Compressor | undefined;
  /** Page structures of left-out pages are left out. */
  readonly withoutVmemmap?: boolean | undefined;
  /** The pages of this file, when the dump is split over several. */
  readonly part: PfnRange | undefined;
  /** makedumpfile's list of what was erased. */
  readonly eraseInfo: Uint8Array;
  readonly encoder: BatchEncoder;
  /** Told how many pages were written. */
  readonly onProgress?: (pages: number) => void;
}

/** What was written. */
export interface DiskDumpResult {
  readonly pages: number;
  readonly zeroPages: number;
  /** Pages of the source that cannot be read: the dump says so of each. */
  readonly unreadablePages: number;
  readonly problem: string | undefined;
  /** The disk or the limit left no room for all pages. */
  readonly noSpace: NoSpaceError | undefined;
}

/** Offsets of the parts of a file. */
interface Layout {
  readonly subHeaderBlocks: number;
  readonly bitmapBlocks: number;
  readonly bitmaps: number;
  readonly descriptors: number;
  readonly data: number;
}

function layOut({ description, dumped }: DiskDumpPlan): Layout {
  const { pageSize, notes, maxPfn } = description;
  const subHeaderBlocks = Math.ceil((KDUMP_SUB_HEADER.size + notes.length) / pageSize);
  const bitmapBlocks = 2 * Math.ceil(Math.ceil(maxPfn / 8) / pageSize);
  const bitmaps = (1 + subHeaderBlocks) * pageSize;
  const descriptors = bitmaps + bitmapBlocks * pageSize;
  // Parts of a split dump leave room for the descriptors of all pages: reassembling tells the zero page by its offset.
  return { subHeaderBlocks, bitmapBlocks, bitmaps, descriptors, data: descriptors + PAGE_DESC.size * dumped.count() };
}

/**
 * Writes one file. The caller commits the sink, or aborts it.
 * @throws NoSpaceError when not even headers and bitmaps fit
 */
export async function writeDiskDump(sink: DumpSink, plan: DiskDumpPlan): Promise<DiskDumpResult> {
  const layout = layOut(plan);
  const { description } = plan;
  const status =
    (plan.compressor === undefined ? 0 : COMPRESSOR_FLAG[plan.compressor]) |
    (plan.withoutVmemmap === true ? DUMP_DH.EXCLUDED_VMEMMAP : 0);
  sink.write(0, mainHeader(plan, layout, sink.isStream ? status : status | DUMP_DH.COMPRESSED_INCOMPLETE));
  if (description.notes.length > 0) sink.write(description.pageSize + KDUMP_SUB_HEADER.size, description.notes);
  sink.write(description.pageSize, subHeader(plan, 0));
  sink.write(layout.bitmaps, padded(plan.exists.bytes, (layout.bitmapBlocks / 2) * description.pageSize));
  const second = layout.bitmaps + (layout.bitmapBlocks / 2) * description.pageSize;
  sink.write(second, padded(plan.dumped.bytes, (layout.bitmapBlocks / 2) * description.pageSize));
  const pages = new PageWriter(sink, plan, layout);
  const noSpace = await untilFull(() => pages.writeAll());
  if (noSpace === undefined && plan.eraseInfo.length > 0) {
    sink.write(pages.dataEnd, plan.eraseInfo);
    sink.write(description.pageSize, subHeader(plan, pages.dataEnd));
  }
  const isComplete = noSpace === undefined && pages.unreadablePages === 0;
  if (isComplete !== sink.isStream)
    sink.write(0, mainHeader(plan, layout, isComplete ? status : status | DUMP_DH.COMPRESSED_INCOMPLETE));
  return {
    pages: pages.pages,
    zeroPages: pages.zeroPages,
    unreadablePages: pages.unreadablePages,
    problem: pages.problem,
    noSpace,
  };
}

async function untilFull(run: () => Promise<void>): Promise<NoSpaceError | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof NoSpaceError) return error;
    throw error;
  }
}

function mainHeader({ description }: DiskDumpPlan, layout: Layout, status: number): Uint8Array {
  return DISK_DUMP_HEADER.build({
    ...description.utsname,
    signature: KDUMP_SIGNATURE,
    header_version: HEADER_VERSION,
    tv_sec: description.timestamp,
    status,
    block_size: description.pageSize,
    sub_hdr_size: layout.subHeaderBlocks,
    bitmap_blocks: layout.bitmapBlocks,
    max_mapnr: Math.min(description.maxPfn, MAX_U32),
    nr_cpus: description.cpus,
  });
}

function subHeader({ description, level, part, eraseInfo }: DiskDumpPlan, offsetEraseInfo: number): Uint8Array {
  const { notes, vmcoreinfo, pageSize } = description;
  const noteStart = pageSize + KDUMP_SUB_HEADER.size;
  const { start, end } = part ?? { start: 0, end: 0 };
  return KDUMP_SUB_HEADER.build({
    phys_base: description.physBase,
    dump_level: level,
    split: part === undefined ? 0 : 1,
    start_pfn: Math.min(start, MAX_U32),
    end_pfn: Math.min(end, MAX_U32),
    ...(vmcoreinfo && { offset_vmcoreinfo: noteStart + vmcoreinfo.offset, size_vmcoreinfo: vmcoreinfo.size }),
    offset_note: notes.length === 0 ? 0 : noteStart,
    size_note: notes.length,
    offset_eraseinfo: offsetEraseInfo,
    size_eraseinfo: offsetEraseInfo === 0 ? 0 : eraseInfo.length,
    start_pfn_64: start,
    end_pfn_64: end,
    max_mapnr_64: description.maxPfn,
  });
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const block = new Uint8Array(length);
  block.set(bytes.subarray(0, length));
  return block;
}

/** Writes descriptors and data side by side, batch by batch. */
class PageWriter {
  pages = 0;
  zeroPages = 0;
  unreadablePages = 0;
  problem: string | undefined;
  dataEnd: number;
  readonly #sink: DumpSink;
  readonly #plan: DiskDumpPlan;
  readonly #zeroPage: number;
  #descriptorEnd: number;

  constructor(sink: DumpSink, plan: DiskDumpPlan, layout: Layout) {
    this.#sink = sink;
    this.#plan = plan;
    this.#descriptorEnd = layout.descriptors;
    this.#zeroPage = layout.data;
    this.dataEnd = layout.data;
  }

  async writeAll(): Promise<void> {
    const { description, dumped, level, part } = this.#plan;
    if ((level & 1) !== 0) {
      this.#sink.write(this.dataEnd, new Uint8Array(description.pageSize));
      this.dataEnd += description.pageSize;
    }
    const runs = dumped.ranges(part?.start, part?.end);
    for await (const { pages } of encodeInOrder(batches(runs, description.pageSize), this.#plan.encoder)) {
      this.problem ??= pages.problem;
      this.#writeBatch(pages);
      this.#plan.onProgress?.(this.pages);
    }
  }

  /** Writes a whole batch; when it does not fit, the pages of it that do. */
  #writeBatch(batch: EncodedPages): void {
    try {
      this.#sink.write(this.dataEnd, batch.data);
    } catch (error) {
      if (!(error instanceof NoSpaceError)) throw error;
      this.#writeFitting(batch, error);
    }
    this.#writeDescriptors(batch, batch.kinds.length);
  }

  /** Describes the pages whose bytes are all in the file. */
  #writeFitting(batch: EncodedPages, cause: NoSpaceError): never {
    let end = 0;
    const first = batch.sizes.findIndex(size => (end += size) > cause.written);
    this.#writeDescriptors(batch, first === -1 ? batch.sizes.length : first);
    throw cause;
  }

  #writeDescriptors({ kinds, sizes, flags }: EncodedPages, count: number): void {
    const bytes = new Uint8Array(count * PAGE_DESC.size);
    const words = wordsOf(bytes);
    for (let index = 0; index < count; index++) {
      this.#fillDescriptor(words, index * (PAGE_DESC.size >> 2), kinds[index]!, sizes[index]!, flags[index]!);
      this.dataEnd += sizes[index]!;
    }
    this.#sink.write(this.#descriptorEnd, bytes);
    this.#descriptorEnd += bytes.length;
    this.pages += count;
  }

  /** PAGE_DESC as 32-bit words: its own writer would make a bigint for each of a million pages. */
  #fillDescriptor(words: Int32Array, at: number, kind: number, size: number, flags: number): void {
    if (kind === PAGE_KIND.UNREADABLE) {
      this.unreadablePages++;
      return;
    }
    const isZero = kind === PAGE_KIND.ZERO;
    if (isZero) this.zeroPages++;
    const offset = isZero ? this.#zeroPage : this.dataEnd;
    words[at] = offset;
    words[at + 1] = offset / 0x1_0000_0000;
    words[at + 2] = isZero ? this.#plan.description.pageSize : size;
    words[at + 3] = flags;
  }
}
