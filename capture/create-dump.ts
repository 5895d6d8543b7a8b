/**
 * Makes a dump from a dump: opens, filters, writes; what `makedumpfile` does, as an API.
 *
 * The steps are separate so that a caller can filter once and write several files, or again at another level.
 */
import { directMapBase } from './direct-map.ts';
import { describeDump } from './dump-description.ts';
import type { DumpDescription } from './dump-description.ts';
import { dumpPages } from './dump-pages.ts';
import type { DumpPages } from './dump-pages.ts';
import type { Compressor } from './formats/compression.ts';
import { COMPRESSOR_FLAG } from './formats/diskdump.ts';
import { PT } from './formats/elf.ts';
import { FaultError, FormatError, UsageError } from './formats/errors.ts';
import type { MemorySource } from './formats/memory-source.ts';
import type { Vmcoreinfo } from './formats/vmcoreinfo.ts';
import { openKernel } from './open-kernel.ts';
import type { DumpedKernel } from './open-kernel.ts';
import type { DumpSink } from './output/dump-sink.ts';
import { findPageArrays } from './page-array.ts';
import type { PageBitmap, PfnRange } from './page-bitmap.ts';
import { DUMP_LEVEL } from './page-classifier.ts';
import { PageEncoder } from './page-encoder.ts';
import { PageEraser } from './page-eraser.ts';
import type { ErasedRange } from './page-eraser.ts';
import { filterPages, noExclusions } from './page-filter.ts';
import type { ExclusionCounts } from './page-filter.ts';
import { batchPages, encodeHere, PagePool } from './page-pool.ts';
import type { BatchEncoder } from './page-pool.ts';
import { CachedMemory, openDump, uncached } from './sources/dump-file.ts';
import type { Architecture, Dump } from './sources/dump-file.ts';
import { writeDiskDump } from './writer-diskdump.ts';
import type { DiskDumpResult } from './writer-diskdump.ts';
import { loadsOf, writeElf } from './writer-elf.ts';
import type { ElfLoad, ElfPlan, ElfResult } from './writer-elf.ts';

/** A dump that is to be copied. */
export interface SourceDump extends Disposable {
  readonly dump: Dump;
  /** Where worker threads find it; none for a dump that is not in files. */
  readonly paths: readonly string[];
  /** Undefined when nothing tells about the kernel: only level 0 and 1 are possible then. */
  readonly kernel: DumpedKernel | undefined;
  /** Why there is no kernel although there is VMCOREINFO: it is damaged. */
  readonly kernelProblem: FormatError | undefined;
  readonly pages: DumpPages;
  readonly description: DumpDescription;
}

/**
 * Opens a dump and its kernel.
 * @param extra VMCOREINFO from elsewhere; the dump's own lines win
 */
export function openSource(paths: readonly string[], extra?: (own: Vmcoreinfo | undefined) => Vmcoreinfo): SourceDump {
  const dump = openDump(paths);
  const vmcoreinfo = extra === undefined ? dump.vmcoreinfo : extra(dump.vmcoreinfo);
  return sourceOf(dump, paths, vmcoreinfo);
}

/** Bytes of page tables and the like that are kept: page structures are read once. */
const TABLE_CACHE = 4 * 2 ** 20;

/** The same for a dump that is open already, such as a machine's memory. */
export function sourceOf(dump: Dump, paths: readonly string[] = [], vmcoreinfo = dump.vmcoreinfo): SourceDump {
  const memory = new CachedMemory(uncached(dump.memory), TABLE_CACHE);
  const { kernel, kernelProblem } = tryOpenKernel(memory, vmcoreinfo, dump.architecture);
  const maxPfn = kernel === undefined ? dump.memory.maxPfn : usedPages(kernel, dump.memory.maxPfn);
  const { exists, available } = dumpPages(dump);
  return {
    dump,
    paths,
    kernel,
    kernelProblem,
    pages: { exists: exists.upTo(maxPfn), available: available.upTo(maxPfn) },
    description: { ...describeDump(dump, kernel), maxPfn },
    [Symbol.dispose]: () => dump[Symbol.dispose](),
  };
}

/** Without a kernel everything can be copied: a dump with a damaged VMCOREINFO is better than none. */
function tryOpenKernel(
  memory: MemorySource,
  vmcoreinfo: Vmcoreinfo | undefined,
  architecture: Architecture | undefined,
): Pick<SourceDump, 'kernel' | 'kernelProblem'> {
  if (vmcoreinfo === undefined) return { kernel: undefined, kernelProblem: undefined };
  try {
    return { kernel: openKernel(memory, vmcoreinfo, architecture), kernelProblem: undefined };
  } catch (error) {
    if (error instanceof FormatError) return { kernel: undefined, kernelProblem: error };
    throw error;
  }
}

/**
 * The kernel of a source.
 * @throws UsageError, FormatError saying why there is none
 */
export function needKernel({ kernel, kernelProblem, dump }: SourceDump): DumpedKernel {
  if (kernel !== undefined) return kernel;
  throw kernelProblem ?? new UsageError(`${dump.path} doesn't contain vmcoreinfo.`);
}

/** A source may describe more than the kernel's memory: device memory in QEMU's dumps, memory beyond `mem=`. */
function usedPages({ memory, vmcoreinfo }: DumpedKernel, maxPfn: number): number {
  try {
    const end = findPageArrays(memory, vmcoreinfo, maxPfn).at(-1)?.endPfn ?? maxPfn;
    return Math.min(end, maxPfn);
  } catch (error) {
    // Without the tables nothing can be filtered, but everything copied.
    if (error instanceof FormatError || error instanceof FaultError) return maxPfn;
    throw error;
  }
}

/** The pages that a dump level leaves. */
export interface FilteredPages {
  /** The level, with what the source had left out already. */
  readonly level: number;
  readonly dumped: PageBitmap;
  readonly counts: ExclusionCounts;
  readonly warnings: readonly string[];
  /** Page structures of left-out pages are left out, too. */
  readonly withoutVmemmap?: boolean;
}

/**
 * Filters a dump at a level.
 * @throws UsageError when the level needs VMCOREINFO and there is none
 */
export function filterSource(
  source: SourceDump,
  level: number,
  onProgress?: (done: number, total: number) => void,
): FilteredPages {
  const effective = level | (source.dump.dumpLevel ?? 0);
  const dumped = source.pages.available.clone();
  if (source.kernel === undefined) {
    if ((effective & ~DUMP_LEVEL.ZERO) !== 0) needKernel(source);
    return { level: effective, dumped, counts: noExclusions(), warnings: [] };
  }
  const { memory, vmcoreinfo } = source.kernel;
  const { exists } = source.pages;
  const filter = { memory, vmcoreinfo, exists, dumped, level: effective, ...(onProgress && { onProgress }) };
  return { level: effective, dumped, ...filterPages(filter) };
}

/** How to write. */
export interface WriteOptions {
  readonly compressor: Compressor | undefined;
  /** Copies pages in the form in which the source has them, whatever it is. */
  readonly asStored?: boolean;
  /** Worker threads; 0 compresses on this one. */
  readonly threads: number;
  readonly erase: readonly ErasedRange[];
  /** makedumpfile's record of what was erased. */
  readonly eraseInfo: Uint8Array;
  readonly onProgress?: (pages: number) => void;
}

/** Writes a kdump-compressed file, or one part of a split dump. */
export async function writeKdump(
  source: SourceDump,
  filtered: FilteredPages,
  sink: DumpSink,
  options: WriteOptions & { readonly part?: PfnRange | undefined },
): Promise<DiskDumpResult> {
  const { level, dumped } = filtered;
  const { compressor, erase } = options;
  await using encoder = openEncoder(source, options.threads, {
    compressor,
    erase,
    findZeroPages: (level & DUMP_LEVEL.ZERO) !== 0,
    keepStored: options.asStored === true ? 'all' : keepStored(source, level, options),
  });
  return await writeDiskDump(sink, {
    description: source.description,
    exists: source.pages.exists,
    dumped,
    level,
    compressor,
    withoutVmemmap: filtered.withoutVmemmap,
    part: options.part,
    eraseInfo: options.eraseInfo,
    encoder,
    ...(options.onProgress && { onProgress: options.onProgress }),
  });
}

/** Pages that have the wanted form already need not be compressed again, unless zero pages may hide among them. */
function keepStored(source: SourceDump, level: number, { compressor, erase }: WriteOptions): 'matching' | undefined {
  const [file] = source.dump.diskDumps;
  const status = compressor === undefined ? 0 : COMPRESSOR_FLAG[compressor];
  if (file === undefined || erase.length > 0 || status === 0 || (file.header.status & status) === 0) return undefined;
  return (level & ~(source.dump.dumpLevel ?? 0) & DUMP_LEVEL.ZERO) === 0 ? 'matching' : undefined;
}

/** Writes an ELF core. Zero pages must be out of the bitmap already: `excludeZeroPages`. */
export async function writeElfCore(
  source: SourceDump,
  filtered: FilteredPages,
  sink: DumpSink,
  options: Omit<WriteOptions, 'compressor' | 'eraseInfo'> & Pick<ElfPlan, 'aliases'>,
): Promise<ElfResult> {
  const setup = { compressor: undefined, erase: options.erase, findZeroPages: false };
  await using encoder = openEncoder(source, options.threads, setup);
  return await writeElf(sink, {
    description: source.description,
    loads: elfLoads(source),
    ...(options.aliases && { aliases: options.aliases }),
    dumped: filtered.dumped,
    available: source.pages.available,
    encoder,
    ...(options.onProgress && { onProgress: options.onProgress }),
  });
}

/** Removes pages of zeros from a bitmap and returns how many there were. Pages that cannot be read stay. */
export function excludeZeroPages(source: SourceDump, dumped: PageBitmap): number {
  const memory = uncached(source.dump.memory);
  const zeroPage = Buffer.alloc(memory.pageSize);
  const encoder = new PageEncoder(memory, { compressor: undefined, findZeroPages: false });
  const pages = batchPages(memory.pageSize);
  const room = new ArrayBuffer(pages * memory.pageSize);
  let removed = 0;
  for (const { start, end } of dumped.clone().ranges()) {
    for (let pfn = start; pfn < end;) {
      const bytes = readSome(encoder, pfn, Math.min(end - pfn, pages), room);
      if (bytes === undefined) pfn++;
      for (let offset = 0; offset < (bytes?.length ?? 0); offset += memory.pageSize, pfn++) {
        if (zeroPage.equals(bytes!.subarray(offset, offset + memory.pageSize)) && dumped.remove(pfn)) removed++;
      }
    }
  }
  return removed;
}

/** Leaves the errors of damaged pages to the writer, which counts them. */
function readSome(encoder: PageEncoder, pfn: number, count: number, room: ArrayBuffer): Uint8Array | undefined {
  const encoded = encoder.encode([{ start: pfn, end: pfn + count }], room);
  return encoded.problem === undefined ? encoded.data : undefined;
}

/** The program headers of an ELF source; for others the runs of their pages at direct-map addresses. */
function elfLoads({ dump, kernel, pages }: SourceDump): ElfLoad[] {
  const { elfCore } = dump;
  if (elfCore === undefined) {
    const base = kernel === undefined ? undefined : directMapBase(kernel);
    return loadsOf(pages.exists, dump.memory.pageSize, paddr =>
      base === undefined ? 0n : BigInt.asUintN(64, base + BigInt(paddr)),
    );
  }
  const known = new Set(elfCore.ranges.map(({ start }) => start));
  return elfCore.elf.segments
    .filter(
      ({ p_type: type, p_memsz: size, p_paddr: paddr }) => type === PT.LOAD && size > 0 && known.has(Number(paddr)),
    )
    .map(({ p_paddr: paddr, p_memsz: size, p_vaddr: vaddr, p_flags: flags, p_align: align }) => ({
      start: Number(paddr),
      end: Number(paddr) + size,
      vaddr,
      flags,
      align,
    }));
}

interface EncoderSetup {
  readonly compressor: Compressor | undefined;
  readonly findZeroPages: boolean;
  readonly erase: readonly ErasedRange[];
  readonly keepStored?: 'matching' | 'all' | undefined;
}

function openEncoder(source: SourceDump, threads: number, setup: EncoderSetup): BatchEncoder {
  if (threads > 0 && source.paths.length > 0) return new PagePool(threads, { paths: source.paths, ...setup });
  const memory = uncached(source.dump.memory);
  const eraser = setup.erase.length === 0 ? undefined : new PageEraser(setup.erase, memory.pageSize);
  return encodeHere(new PageEncoder(memory, { ...setup, eraser }));
}
