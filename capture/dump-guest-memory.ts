/**
 * QEMU's `dump-guest-memory`: a dump of a machine's memory, taken from outside.
 *
 * Source: QEMU "QMP Reference Manual", `dump-guest-memory`; formats `elf`, `kdump-zlib`, `kdump-lzo`, `kdump-snappy`.
 */
import { filterSource, sourceOf, writeElfCore, writeKdump } from './create-dump.ts';
import type { Compressor } from './formats/compression.ts';
import { FormatError } from './formats/errors.ts';
import type { DumpSink } from './output/dump-sink.ts';
import { noExclusions } from './page-filter.ts';
import { machineDump } from './sources/machine-memory.ts';
import type { MachineState } from './sources/machine-memory.ts';

/** What to write. */
export interface GuestDumpOptions {
  /** `elf`, or kdump-compressed pages. */
  readonly format: 'elf' | Compressor;
  /** makedumpfile's dump level; QEMU knows only 0. */
  readonly level?: number;
  readonly onProgress?: (pages: number) => void;
}

/**
 * Writes a machine's memory and commits the sink.
 * @throws FormatError when a level is asked for and no kernel is found in memory
 * @throws NoSpaceError when the dump does not fit; the sink is dropped
 */
export async function dumpGuestMemory(machine: MachineState, sink: DumpSink, options: GuestDumpOptions): Promise<void> {
  const dump = machineDump(machine);
  const level = options.level ?? 0;
  if (level > 1 && dump.vmcoreinfo === undefined)
    throw new FormatError('no VMCOREINFO in the memory of the machine: pages cannot be told apart', {
      file: machine.name,
    });
  using source = sourceOf(dump);
  const filtered = level === 0 ? filterNothing(source) : filterSource(source, level);
  const common = { threads: 0, erase: [], ...(options.onProgress && { onProgress: options.onProgress }) };
  try {
    const result =
      options.format === 'elf'
        ? await writeElfCore(source, filtered, sink, common)
        : await writeKdump(source, filtered, sink, {
            ...common,
            compressor: options.format,
            eraseInfo: new Uint8Array(0),
          });
    if (result.noSpace !== undefined) throw result.noSpace;
    sink.commit();
  } finally {
    sink.abort();
  }
}

/** Level 0 of QEMU really writes everything, poisoned pages too. */
function filterNothing(source: ReturnType<typeof sourceOf>): ReturnType<typeof filterSource> {
  const dumped = source.pages.available.clone();
  return { level: 0, dumped, counts: noExclusions(), warnings: [] };
}
