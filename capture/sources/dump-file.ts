/**
 * Opens a dump file of any format that we read and presents it in one way.
 *
 * Formats: ELF core, kdump-compressed (one file or the files of a split dump), either of them flattened, raw RAM
 * (`FILE@ADDRESS`). What a dump says about the machine comes with it: VMCOREINFO, notes, registers of each CPU.
 */
import { FileSource } from '../formats/byte-source.ts';
import type { ByteSource } from '../formats/byte-source.ts';
import { asBuffer } from '../formats/bytes.ts';
import { DiskDumpFile, isDiskDump } from '../formats/diskdump.ts';
import { ElfCore } from '../formats/elf-core.ts';
import { DUMP_ELF_INCOMPLETE, EM, isElf } from '../formats/elf.ts';
import type { ElfNote } from '../formats/elf-notes.ts';
import { FaultError, FormatError, UsageError } from '../formats/errors.ts';
import { findVmcoreinfo } from '../find-vmcoreinfo.ts';
import { RawMemory, namesRawMemory } from './raw-memory.ts';
import { FlattenedSource, isFlattened } from '../formats/flattened.ts';
import type { MemorySource, StoredPage } from '../formats/memory-source.ts';
import { Vmcoreinfo } from '../formats/vmcoreinfo.ts';

export type Architecture = 'aarch64' | 'x86_64';

/** An opened dump. */
export interface Dump extends Disposable {
  /** As given by the user. */
  readonly path: string;
  readonly format: 'ELF' | 'kdump-compressed' | 'raw RAM';
  readonly flattened: boolean;
  /** Undefined when the format does not tell (raw RAM). */
  readonly architecture: Architecture | undefined;
  readonly memory: MemorySource;
  readonly notes: readonly ElfNote[];
  /** The bytes from which `notes` were split, as they stand in the file. */
  readonly noteBytes: Uint8Array;
  /** The ELF file itself, when it is one. */
  readonly elfCore: ElfCore | undefined;
  /** From the dump's notes, or found in its memory when it has none. */
  readonly vmcoreinfo: Vmcoreinfo | undefined;
  /** makedumpfile's `-d` level, when the format records it. */
  readonly dumpLevel: number | undefined;
  /** Some pages could not be written or are cut off. */
  readonly incomplete: boolean;
  /** The dump's headers for `help -D`, when it is kdump-compressed. */
  readonly diskDumps: readonly DiskDumpFile[];
  readonly warnings: readonly string[];
}

const CACHED_BYTES = 48 * 2 ** 20;
const SNIFF_SIZE = 4096;

/**
 * Opens a dump. Several paths are the parts of a split dump.
 * @throws UsageError when a file cannot be opened
 * @throws FormatError when it is none of the known formats, or damaged in its headers
 */
export function openDump(paths: readonly string[]): Dump {
  const [first] = paths;
  if (first === undefined) throw new UsageError('no dump file given');
  if (namesRawMemory(first)) return rawDump(paths);
  using files = new DisposableStack();
  const dump = openFiles(
    first,
    paths,
    paths.map(path => openSource(files.use(new FileSource(path)))),
  );
  // The dump closes them from now on.
  files.move();
  return dump;
}

function openFiles(first: string, paths: readonly string[], sources: readonly OpenSource[]): Dump {
  const kinds = sources.map(({ source }) => source.read(0, Math.min(source.size, SNIFF_SIZE)));
  if (kinds.every(isDiskDump)) return diskDump(paths, sources);
  if (sources.length > 1) throw new UsageError('only kdump-compressed dumps can be split over several files');
  if (isElf(kinds[0]!)) return elfDump(first, sources[0]!);
  throw new FormatError('not a dump that can be read', {
    file: first,
    offset: 0,
    expected: 'an ELF core, a kdump-compressed or a flattened file',
    found: describeStart(kinds[0]!),
  });
}

/** Tells whether a file looks like a dump rather than a vmlinux or a System.map, by its first bytes. */
export function looksLikeDump(path: string): boolean {
  if (namesRawMemory(path)) return true;
  using source = new FileSource(path);
  const start = source.read(0, Math.min(source.size, SNIFF_SIZE));
  if (isDiskDump(start) || isFlattened(start)) return true;
  const ET_CORE = 4;
  return isElf(start) && start[16] === ET_CORE;
}

interface OpenSource {
  readonly source: ByteSource;
  readonly flattened: FlattenedSource | undefined;
}

function openSource(file: FileSource): OpenSource {
  if (file.size === 0) throw new FormatError('the file is empty', { file: file.name, offset: 0 });
  if (!isFlattened(file.read(0, Math.min(file.size, SNIFF_SIZE)))) return { source: file, flattened: undefined };
  const flattened = new FlattenedSource(file);
  return { source: flattened, flattened };
}

function describeStart(bytes: Uint8Array): string {
  const text = asBuffer(bytes.subarray(0, 8)).toString('latin1');
  return /^[\x20-\x7e]+$/.test(text) ? `"${text}"` : `bytes ${asBuffer(bytes.subarray(0, 8)).toString('hex')}`;
}

function elfDump(path: string, { source, flattened }: OpenSource): Dump {
  const core = openElfCore(source);
  const architecture = architectureOf(path, core.elf.header.e_machine);
  const memory = new CachedMemory(core);
  const vmcoreinfo = vmcoreinfoOf(memory, architecture, () => vmcoreinfoNote(core.notes));
  return {
    path,
    format: 'ELF',
    flattened: flattened !== undefined,
    architecture,
    memory,
    notes: core.notes,
    noteBytes: core.noteBytes,
    elfCore: core,
    get vmcoreinfo() {
      return vmcoreinfo();
    },
    dumpLevel: undefined,
    incomplete: flattened?.complete === false || (core.elf.header.e_flags & DUMP_ELF_INCOMPLETE) !== 0,
    diskDumps: [],
    warnings: core.warnings,
    [Symbol.dispose]: () => source[Symbol.dispose](),
  };
}

function architectureOf(path: string, machine: number): Architecture {
  if (machine === EM.AARCH64) return 'aarch64';
  return machine === EM.X86_64 ? 'x86_64' : unsupportedMachine(path, `e_machine ${machine}`);
}

/**
 * A dump's own VMCOREINFO; QEMU's dumps have none when the guest did not announce it, but the kernel has it in its memory.
 * @returns looks for it when it is asked for the first time
 */
function vmcoreinfoOf(
  memory: MemorySource,
  architecture: Architecture,
  own: () => Vmcoreinfo | undefined,
): () => Vmcoreinfo | undefined {
  let known: { readonly vmcoreinfo: Vmcoreinfo | undefined } | undefined;
  return () => (known ??= { vmcoreinfo: own() ?? findVmcoreinfo(uncached(memory), architecture) }).vmcoreinfo;
}

/** Opens an ELF core with the page size of its kernel, which only VMCOREINFO tells. */
function openElfCore(source: ByteSource): ElfCore {
  const core = new ElfCore(source);
  const pageSize = vmcoreinfoNote(core.notes)?.pageSize ?? core.pageSize;
  const isPossible = pageSize === 16_384 || pageSize === 65_536;
  return isPossible ? new ElfCore(source, pageSize) : core;
}

function unsupportedMachine(path: string, found: string): never {
  throw new FormatError('a dump of another architecture', { file: path, expected: 'aarch64 or x86_64', found });
}

/** Several files are the parts of one dump, or they do not belong together. */
function checkParts(paths: readonly string[], files: readonly DiskDumpFile[]): void {
  const [first] = files;
  for (const [index, { header, subHeader, maxPfn }] of files.entries()) {
    if (subHeader.split === 0) throw new UsageError(`${paths[index]!}: not a part of a split dump`);
    const same = maxPfn === first!.maxPfn && header.release === first!.header.release;
    if (!same) throw new UsageError(`${paths[0]!} and ${paths[index]!} are parts of different dumps`);
  }
}

function diskDump(paths: readonly string[], sources: readonly OpenSource[]): Dump {
  const [path = ''] = paths;
  const files = sources.map(({ source }) => new DiskDumpFile(source));
  const first = files[0]!;
  if (files.length > 1) checkParts(paths, files);
  const { machine } = first.header;
  if (machine !== 'aarch64' && machine !== 'x86_64') unsupportedMachine(path, `machine "${machine}"`);
  const notes = files.map(file => file.notes()).find(list => list.length > 0) ?? [];
  const text = files.map(file => file.vmcoreinfo()).find(bytes => bytes !== undefined);
  const memory = new CachedMemory(files.length === 1 ? first : new SplitMemory(files));
  const vmcoreinfo = vmcoreinfoOf(memory, machine, () =>
    text === undefined ? vmcoreinfoNote(notes) : Vmcoreinfo.fromBytes(text),
  );
  return {
    path,
    format: 'kdump-compressed',
    flattened: sources.some(({ flattened }) => flattened !== undefined),
    architecture: machine,
    memory,
    notes,
    noteBytes: files.map(file => file.noteBytes()).find(bytes => bytes.length > 0) ?? new Uint8Array(0),
    elfCore: undefined,
    get vmcoreinfo() {
      return vmcoreinfo();
    },
    dumpLevel: first.header.header_version >= 1 ? first.subHeader.dump_level : undefined,
    incomplete: files.some(file => file.incomplete) || sources.some(({ flattened }) => flattened?.complete === false),
    diskDumps: files,
    warnings: [],
    [Symbol.dispose]: () => {
      for (const { source } of sources) source[Symbol.dispose]();
    },
  };
}

function vmcoreinfoNote(notes: readonly ElfNote[]): Vmcoreinfo | undefined {
  const note = notes.find(({ name }) => name === 'VMCOREINFO');
  return note === undefined ? undefined : Vmcoreinfo.fromBytes(note.descriptor);
}

function rawDump(paths: readonly string[]): Dump {
  const raw = new RawMemory(paths);
  return ramDump(paths.join(','), raw, new CachedMemory(raw));
}

/**
 * RAM tells nothing of itself: the kernel in it does.
 * @param raw is searched for the kernel, and disposed of with the dump
 * @param memory how the dump's memory is read
 */
export function ramDump(path: string, raw: MemorySource & Disposable, memory: MemorySource = raw): Dump {
  let kernel: ReturnType<typeof findKernel> | undefined;
  const found = (): ReturnType<typeof findKernel> => (kernel ??= findKernel(raw));
  return {
    path,
    format: 'raw RAM',
    flattened: false,
    get architecture() {
      return found().architecture;
    },
    memory,
    notes: [],
    noteBytes: new Uint8Array(0),
    elfCore: undefined,
    get vmcoreinfo() {
      return found().vmcoreinfo;
    },
    dumpLevel: undefined,
    incomplete: false,
    diskDumps: [],
    warnings: [],
    [Symbol.dispose]: () => raw[Symbol.dispose](),
  };
}

/** The architecture of which a kernel's VMCOREINFO and page tables stand in memory. */
function findKernel(memory: MemorySource): {
  readonly architecture: Architecture | undefined;
  readonly vmcoreinfo: Vmcoreinfo | undefined;
} {
  for (const architecture of ['x86_64', 'aarch64'] as const) {
    const vmcoreinfo = findVmcoreinfo(memory, architecture);
    if (vmcoreinfo !== undefined) return { architecture, vmcoreinfo };
  }
  return { architecture: undefined, vmcoreinfo: undefined };
}

/** The files of a split dump as one memory. */
class SplitMemory implements MemorySource {
  readonly pageSize: number;
  readonly maxPfn: number;
  readonly #files: readonly DiskDumpFile[];

  constructor(files: readonly DiskDumpFile[]) {
    this.#files = files;
    this.pageSize = files[0]!.pageSize;
    this.maxPfn = Math.max(...files.map(file => file.maxPfn));
  }

  hasPage(pfn: number): boolean {
    return this.#files.some(file => file.hasPage(pfn));
  }

  readPage(pfn: number): Uint8Array {
    return this.#file(pfn).readPage(pfn);
  }

  readPages(pfn: number, count: number, scratch?: Uint8Array): Uint8Array {
    return this.#file(pfn).readPages(pfn, count, scratch);
  }

  readStored(pfn: number): StoredPage {
    return this.#file(pfn).readStored(pfn);
  }

  #file(pfn: number): DiskDumpFile {
    const file = this.#files.find(({ startPfn, endPfn }) => pfn >= startPfn && pfn < endPfn);
    if (file !== undefined) return file;
    throw new FaultError(pfn * this.pageSize, 'in a part of the split dump that was not given');
  }
}

/** The memory behind a cache: for readers that read each page once. */
export function uncached(memory: MemorySource): MemorySource {
  return memory instanceof CachedMemory ? memory.inner : memory;
}

/** Keeps the pages read last, up to a fixed number of bytes. */
export class CachedMemory implements MemorySource {
  readonly pageSize: number;
  readonly maxPfn: number;
  /** The memory behind the cache. */
  readonly inner: MemorySource;
  readonly #pages = new Map<number, Uint8Array>();
  readonly #capacity: number;

  constructor(inner: MemorySource, cachedBytes = CACHED_BYTES) {
    this.inner = inner;
    this.pageSize = inner.pageSize;
    this.maxPfn = inner.maxPfn;
    this.#capacity = Math.max(16, Math.floor(cachedBytes / inner.pageSize));
  }

  hasPage(pfn: number): boolean {
    return this.inner.hasPage(pfn);
  }

  readPage(pfn: number): Uint8Array {
    const cached = this.#pages.get(pfn);
    if (cached !== undefined) return cached;
    const page = this.inner.readPage(pfn);
    if (this.#pages.size >= this.#capacity) this.#evict();
    this.#pages.set(pfn, page);
    return page;
  }

  /** Drops the older half: cheaper than keeping exact order on every hit. */
  #evict(): void {
    let count = this.#capacity >> 1;
    for (const pfn of this.#pages.keys()) {
      if (count-- === 0) break;
      this.#pages.delete(pfn);
    }
  }
}
