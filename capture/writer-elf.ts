/**
 * Writes ELF cores as `/proc/vmcore` has them: one PT_NOTE, PT_LOADs by physical address.
 *
 * Sources: gABI "Program Header" and its extended numbering (`PN_XNUM`); makedumpfile `IMPLEMENTATION` "The ELF format"
 * and "The incomplete elf DUMPFILE". A gap of fewer than 256 excluded pages stays in its segment, so that the number of
 * segments remains bearable.
 */
import type { DumpDescription } from './dump-description.ts';
import {
  DUMP_ELF_INCOMPLETE,
  ELF64_EHDR,
  ELF64_PHDR,
  ELF64_SHDR,
  ELFCLASS64,
  ELFDATA2LSB,
  ELF_MAGIC,
  EM,
  ET,
  PT,
} from './formats/elf.ts';
import { NoSpaceError } from './output/dump-sink.ts';
import type { DumpSink } from './output/dump-sink.ts';
import { PageBitmap } from './page-bitmap.ts';
import type { PfnRange } from './page-bitmap.ts';
import type { EncodedPages } from './page-encoder.ts';
import { PAGE_KIND } from './page-encoder.ts';
import { batches, encodeInOrder } from './page-pool.ts';
import type { BatchEncoder } from './page-pool.ts';

/** Excluded pages in a row from which on they are really left out. */
export const PFN_EXCLUDED = 256;
const PN_XNUM = 0xffff;
const EV_CURRENT = 1;
const PF_RWX = 7;

/** A range of physical memory that becomes one or more PT_LOADs. */
export interface ElfLoad {
  /** Physical addresses in bytes, half open. */
  readonly start: number;
  readonly end: number;
  /** Virtual address of `start`. */
  readonly vaddr: bigint;
  readonly flags: number;
  readonly align: bigint;
}

/** Makes a load of memory of which only the place is known. */
export function plainLoad(start: number, end: number, vaddr: bigint): ElfLoad {
  return { start, end, vaddr, flags: PF_RWX, align: 0n };
}

/** What a file is to contain. */
export interface ElfPlan {
  readonly description: DumpDescription;
  readonly loads: readonly ElfLoad[];
  /** The same memory under further virtual addresses: program headers without bytes of their own. */
  readonly aliases?: readonly ElfLoad[];
  readonly dumped: PageBitmap;
  /** Pages whose bytes the source has: others in a short gap are written as zeros. */
  readonly available: PageBitmap;
  readonly encoder: BatchEncoder;
  /** Told how many pages were written. */
  readonly onProgress?: (pages: number) => void;
}

/** What was written. */
export interface ElfResult {
  /** Pages that the file leaves out: fewer than the filter excluded. */
  readonly excludedPages: number;
  readonly unreadablePages: number;
  readonly problem: string | undefined;
  readonly noSpace: NoSpaceError | undefined;
}

/** One PT_LOAD. */
interface Segment {
  readonly load: ElfLoad;
  readonly start: number;
  readonly end: number;
  /** Physical address at which the bytes in the file end. */
  readonly dataEnd: number;
}

/** Cuts loads where 256 and more pages in a row are not dumped. */
export function elfSegments(loads: readonly ElfLoad[], dumped: PageBitmap, pageSize: number): Segment[] {
  return loads.flatMap(load => {
    const segments: Segment[] = [];
    const firstPfn = Math.floor(load.start / pageSize);
    const endPfn = Math.ceil(load.end / pageSize);
    let start = load.start;
    let dataEnd = load.start;
    let lastPfn = firstPfn;
    for (const run of dumped.ranges(firstPfn, endPfn)) {
      if (run.start - lastPfn >= PFN_EXCLUDED) {
        segments.push({ load, start, end: run.start * pageSize, dataEnd });
        start = run.start * pageSize;
      }
      lastPfn = run.end;
      dataEnd = Math.min(run.end * pageSize, load.end);
    }
    segments.push({ load, start, end: load.end, dataEnd });
    return segments;
  });
}

/**
 * Writes one file. The caller commits the sink, or aborts it.
 * @throws NoSpaceError when not even the headers fit
 */
export async function writeElf(sink: DumpSink, plan: ElfPlan): Promise<ElfResult> {
  const { pageSize, notes } = plan.description;
  const segments = elfSegments(plan.loads, plan.dumped, pageSize);
  const aliases = (plan.aliases ?? []).flatMap(alias => aliasSegments(alias, segments));
  const layout = layOut(segments, aliases.length, notes.length);
  sink.write(0, fileHeader(plan, layout, sink.isStream ? 0 : DUMP_ELF_INCOMPLETE));
  sink.write(ELF64_EHDR.size, programHeaders(segments, aliases, layout, layout.dataEnd));
  if (layout.isExtended) sink.write(layout.sectionHeader, sectionHeader(layout.headers));
  sink.write(layout.notes, notes);
  const writer = new SegmentWriter(sink, plan, layout.data);
  const noSpace = await writer.writeAll(segments);
  if (noSpace !== undefined && !sink.isStream)
    sink.write(ELF64_EHDR.size, programHeaders(segments, aliases, layout, writer.position));
  if (noSpace === undefined && !sink.isStream) sink.write(0, fileHeader(plan, layout, 0));
  return {
    excludedPages: segments.reduce((sum, { end, dataEnd }) => sum + Math.floor((end - dataEnd) / pageSize), 0),
    unreadablePages: writer.unreadablePages,
    problem: writer.problem,
    noSpace,
  };
}

/** Offsets in the file. */
interface Layout {
  readonly headers: number;
  readonly isExtended: boolean;
  readonly sectionHeader: number;
  readonly notes: number;
  readonly noteSize: number;
  readonly data: number;
  readonly dataEnd: number;
}

function layOut(segments: readonly Segment[], aliases: number, noteSize: number): Layout {
  const headers = segments.length + aliases + 1;
  const isExtended = headers >= PN_XNUM;
  const sectionHeader = ELF64_EHDR.size + headers * ELF64_PHDR.size;
  const notes = sectionHeader + (isExtended ? ELF64_SHDR.size : 0);
  const data = notes + noteSize;
  const dataEnd = segments.reduce((end, segment) => end + segment.dataEnd - segment.start, data);
  return { headers, isExtended, sectionHeader, notes, noteSize, data, dataEnd };
}

function fileHeader({ description }: ElfPlan, layout: Layout, flags: number): Uint8Array {
  return ELF64_EHDR.build({
    magic: ELF_MAGIC,
    ei_class: ELFCLASS64,
    ei_data: ELFDATA2LSB,
    ei_version: EV_CURRENT,
    e_type: ET.CORE,
    e_machine: description.architecture === 'aarch64' ? EM.AARCH64 : EM.X86_64,
    e_version: EV_CURRENT,
    e_phoff: ELF64_EHDR.size,
    e_flags: flags,
    e_ehsize: ELF64_EHDR.size,
    e_phentsize: ELF64_PHDR.size,
    e_phnum: layout.isExtended ? PN_XNUM : layout.headers,
    ...(layout.isExtended && { e_shoff: layout.sectionHeader, e_shentsize: ELF64_SHDR.size, e_shnum: 1 }),
  });
}

/** With too many program headers for e_phnum, section 0 holds their number. */
function sectionHeader(headers: number): Uint8Array {
  return ELF64_SHDR.build({ sh_size: 1, sh_info: headers });
}

/** A part of a segment that a further program header shows. */
interface AliasSegment {
  readonly alias: ElfLoad;
  /** Index of the segment that has the bytes. */
  readonly segment: number;
  readonly start: number;
  readonly end: number;
}

/** Cuts an alias at the borders of segments. What no segment has is not shown. */
function aliasSegments(alias: ElfLoad, segments: readonly Segment[]): AliasSegment[] {
  return segments.flatMap(({ start, end }, segment) => {
    const part = { alias, segment, start: Math.max(start, alias.start), end: Math.min(end, alias.end) };
    return part.start < part.end ? [part] : [];
  });
}

/** Headers of the segments that begin before `written`, the end of what is in the file; the rest stays zero. */
function programHeaders(
  segments: readonly Segment[],
  aliases: readonly AliasSegment[],
  layout: Layout,
  written: number,
): Uint8Array {
  const bytes = new Uint8Array(layout.headers * ELF64_PHDR.size);
  const { notes, noteSize } = layout;
  bytes.set(ELF64_PHDR.build({ p_type: PT.NOTE, p_offset: notes, p_filesz: noteSize, p_memsz: noteSize, p_align: 4n }));
  const offsets: number[] = [];
  let offset = layout.data;
  for (const [index, { load, start, end, dataEnd }] of segments.entries()) {
    offsets.push(offset);
    const size = Math.min(dataEnd - start, Math.max(0, written - offset));
    if (written < layout.dataEnd && offset >= written) break;
    bytes.set(loadHeader(load, start, end, offset, size), (index + 1) * ELF64_PHDR.size);
    offset += dataEnd - start;
  }
  for (const [index, { alias, segment, start, end }] of aliases.entries()) {
    const base = offsets[segment];
    if (base === undefined) continue;
    const at = base + start - segments[segment]!.start;
    const size = Math.max(0, Math.min(end, segments[segment]!.dataEnd, start + written - at) - start);
    bytes.set(loadHeader(alias, start, end, at, size), (1 + segments.length + index) * ELF64_PHDR.size);
  }
  return bytes;
}

function loadHeader(load: ElfLoad, start: number, end: number, offset: number, size: number): Uint8Array {
  return ELF64_PHDR.build({
    p_type: PT.LOAD,
    p_flags: load.flags,
    p_offset: size === 0 ? 0 : offset,
    p_vaddr: BigInt.asUintN(64, load.vaddr + BigInt(start - load.start)),
    p_paddr: BigInt(start),
    p_filesz: size,
    p_memsz: end - start,
    p_align: load.align,
  });
}

/** Writes the bytes of all segments, one after the other. */
class SegmentWriter {
  unreadablePages = 0;
  problem: string | undefined;
  /** Offset in the file up to which everything is written. */
  position: number;
  #pages = 0;
  readonly #sink: DumpSink;
  readonly #plan: ElfPlan;

  constructor(sink: DumpSink, plan: ElfPlan, position: number) {
    this.#sink = sink;
    this.#plan = plan;
    this.position = position;
  }

  async writeAll(segments: readonly Segment[]): Promise<NoSpaceError | undefined> {
    try {
      for (const segment of segments) await this.#writeSegment(segment);
      return undefined;
    } catch (error) {
      if (error instanceof NoSpaceError) return error;
      throw error;
    }
  }

  async #writeSegment({ start, dataEnd }: Segment): Promise<void> {
    const { pageSize } = this.#plan.description;
    const run = { start: Math.floor(start / pageSize), end: Math.ceil(dataEnd / pageSize) };
    const base = this.position - start;
    for await (const { ranges, pages } of encodeInOrder(batches([run], pageSize), this.#plan.encoder)) {
      const bytes = this.#pageBytes(pages);
      // Segments may begin and end inside a page.
      const first = ranges[0]!.start * pageSize;
      const piece = bytes.subarray(Math.max(0, start - first), Math.min(bytes.length, dataEnd - first));
      const offset = base + Math.max(start, first);
      this.#writePiece(offset, piece);
      this.#pages += pages.kinds.length;
      this.#plan.onProgress?.(this.#pages);
    }
  }

  #writePiece(offset: number, piece: Uint8Array): void {
    try {
      this.#sink.write(offset, piece);
      this.position = offset + piece.length;
    } catch (error) {
      if (error instanceof NoSpaceError) this.position = offset + error.written;
      throw error;
    }
  }

  /** The bytes of all pages of a batch; zeros for those that the source does not have. */
  #pageBytes({ kinds, sizes, data, problem }: EncodedPages): Uint8Array {
    const { pageSize } = this.#plan.description;
    if (data.length === kinds.length * pageSize) return data;
    const bytes = new Uint8Array(kinds.length * pageSize);
    let from = 0;
    for (let index = 0; index < kinds.length; index++) {
      const size = sizes[index]!;
      bytes.set(data.subarray(from, from + size), index * pageSize);
      from += size;
      if (kinds[index] === PAGE_KIND.UNREADABLE) this.unreadablePages++;
    }
    this.problem ??= problem;
    return bytes;
  }
}

/** The runs of a bitmap as loads, for sources that have no program headers. */
export function loadsOf(exists: PageBitmap, pageSize: number, vaddrOf: (paddr: number) => bigint): ElfLoad[] {
  return [...exists.ranges()].map(({ start, end }: PfnRange) =>
    plainLoad(start * pageSize, end * pageSize, vaddrOf(start * pageSize)),
  );
}
