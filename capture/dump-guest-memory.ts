/**
 * QEMU's `dump-guest-memory`: a dump of a machine's memory, taken from outside.
 *
 * Source: QEMU "QMP Reference Manual", `dump-guest-memory`. Kdump-compressed dumps have dump level 1 there (a page of zeros is
 * stored once), and are flattened unless the format says `raw`.
 * Not modelled: `win-dmp`, which is for Windows guests.
 */
import { listKernelMappings } from './addrxlat/page-mappings.ts';
import { filterSource, sourceOf, writeElfCore, writeKdump } from './create-dump.ts';
import type { FilteredPages, SourceDump } from './create-dump.ts';
import type { Compressor } from './formats/compression.ts';
import { FormatError, UsageError } from './formats/errors.ts';
import type { PhysicalRange } from './formats/memory-source.ts';
import type { DumpSink } from './output/dump-sink.ts';
import { dumpPages } from './dump-pages.ts';
import type { PageBitmap } from './page-bitmap.ts';
import { noExclusions } from './page-filter.ts';
import { machineDump } from './sources/machine-memory.ts';
import type { MachineState } from './sources/machine-memory.ts';
import { plainLoad } from './writer-elf.ts';
import type { ElfLoad } from './writer-elf.ts';

/** What to write. */
export interface GuestDumpOptions {
  /** `elf`, or kdump-compressed pages. */
  readonly format: 'elf' | Compressor;
  /** makedumpfile's dump level; without it 0 for ELF and 1 for kdump-compressed dumps, as QEMU has it. */
  readonly level?: number;
  /** ELF only: program headers for what the kernel's page tables map, so that virtual addresses can be read without them. */
  readonly paging?: boolean;
  /** Only this part of memory. */
  readonly range?: PhysicalRange | undefined;
  /** Told how many pages were written, and how many there are. */
  readonly onProgress?: (pages: number, total: number) => void;
}

/**
 * Writes a machine's memory and commits the sink.
 * @returns what is worth knowing about the dump, one line each
 * @throws FormatError when a level is asked for and no kernel is found in memory
 * @throws UsageError when the range has no memory
 * @throws NoSpaceError when the dump does not fit; the sink is dropped
 */
export async function dumpGuestMemory(
  machine: MachineState,
  sink: DumpSink,
  options: GuestDumpOptions,
): Promise<readonly string[]> {
  const dump = machineDump(machine);
  const level = options.level ?? (options.format === 'elf' ? 0 : 1);
  if (level > 1 && dump.vmcoreinfo === undefined)
    throw new FormatError('no VMCOREINFO in the memory of the machine: pages cannot be told apart', {
      file: machine.name,
    });
  using source = withAllPages(sourceOf(dump), options.range);
  const filtered = level <= 1 ? filterNothing(source, level) : filterSource(source, level);
  try {
    await writeDump(source, filtered, sink, options);
    sink.commit();
  } finally {
    sink.abort();
  }
  return [...dump.warnings, ...filtered.warnings];
}

async function writeDump(
  source: SourceDump,
  filtered: FilteredPages,
  sink: DumpSink,
  { format, paging, onProgress }: GuestDumpOptions,
): Promise<void> {
  const total = filtered.dumped.count();
  const common = { threads: 0, erase: [], onProgress: (pages: number) => onProgress?.(pages, total) };
  const result =
    format === 'elf'
      ? await writeElfCore(source, filtered, sink, { ...common, aliases: paging === true ? mappedLoads(source) : [] })
      : await writeKdump(source, filtered, sink, { ...common, compressor: format, eraseInfo: new Uint8Array(0) });
  if (result.noSpace !== undefined) throw result.noSpace;
}

/** All RAM, also what the kernel does not use, or the part of it that was asked for. */
function withAllPages(source: SourceDump, range: PhysicalRange | undefined): SourceDump {
  const pages = dumpPages(source.dump);
  const { pageSize } = source.dump.memory;
  if (range !== undefined) {
    for (const bitmap of [pages.exists, pages.available]) keepOnly(bitmap, range, pageSize);
    if (pages.exists.count() === 0) throw new UsageError('dump: no memory of the machine is in the range');
  }
  return { ...source, pages, description: { ...source.description, maxPfn: pages.exists.maxPfn } };
}

/** Whole pages: those at the ends of the range are kept. */
function keepOnly(bitmap: PageBitmap, { start, end }: PhysicalRange, pageSize: number): void {
  bitmap.removeRange(0, Math.floor(start / pageSize));
  bitmap.removeRange(Math.ceil(end / pageSize), bitmap.maxPfn);
}

/** Levels 0 and 1 of QEMU really write everything, poisoned pages too. */
function filterNothing(source: SourceDump, level: number): FilteredPages {
  return { level, dumped: source.pages.available.clone(), counts: noExclusions(), warnings: [] };
}

/** What the kernel's tables map, beyond the direct map that the plain program headers show already. */
function mappedLoads({ kernel, dump }: SourceDump): ElfLoad[] {
  if (kernel === undefined) return [];
  return listKernelMappings(dump.memory, kernel.memory.space)
    .filter(({ vaddr, paddr }) => vaddr !== kernel.memory.space.directMap(paddr))
    .map(({ vaddr, paddr, size }) => plainLoad(paddr, paddr + size, vaddr));
}
