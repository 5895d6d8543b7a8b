/**
 * ELF vmcores: `/proc/vmcore`, makedumpfile `-E`, QEMU's `dump-guest-memory`.
 *
 * Source: `Documentation/admin-guide/kdump/kdump.rst` (Linux v6.12); gABI "Program Header". Memory is what the PT_LOAD
 * segments say by `p_paddr`; bytes between `p_filesz` and `p_memsz` were filtered out.
 */
import type { ByteSource } from './byte-source.ts';
import { ET, PT, parseElf } from './elf.ts';
import type { ElfFile, Phdr } from './elf.ts';
import { parseNotes } from './elf-notes.ts';
import type { ElfNote } from './elf-notes.ts';
import { FaultError, FormatError } from './errors.ts';
import type { MemorySource, PhysicalRange } from './memory-source.ts';

/** Highest physical address plus one that any 64-bit Linux can have. */
const PHYSICAL_LIMIT = 2 ** 52;

interface Segment extends PhysicalRange {
  readonly fileOffset: number;
  /** Physical address at which the bytes in the file end. */
  readonly fileEnd: number;
}

/** An ELF core of physical memory. */
export class ElfCore implements MemorySource {
  readonly elf: ElfFile;
  readonly notes: readonly ElfNote[];
  /** The bytes of all note segments, one after the other. */
  readonly noteBytes: Uint8Array;
  /** What is wrong with the file without making it useless; one line each. */
  readonly warnings: readonly string[];
  readonly pageSize: number;
  readonly maxPfn: number;
  readonly #segments: readonly Segment[];
  readonly #source: ByteSource;
  /** The segment found last: reads come in runs, and filtered cores have thousands of segments. */
  #last: Segment | undefined;

  /** @throws FormatError when the file is not an ELF core or has no memory segment */
  constructor(source: ByteSource, pageSize = 4096) {
    this.elf = parseElf(source);
    if (this.elf.header.e_type !== ET.CORE) {
      throw new FormatError('not a core file', {
        file: source.name,
        offset: 16,
        expected: `e_type ${ET.CORE}`,
        found: `${this.elf.header.e_type}`,
      });
    }
    this.#source = source;
    this.pageSize = pageSize;
    const noteSegments = this.elf.segments.filter(segment => segment.p_type === PT.NOTE);
    this.notes = noteSegments.flatMap(segment => readNotes(source, segment));
    this.noteBytes = Buffer.concat(noteSegments.map(segment => source.read(segment.p_offset, segment.p_filesz)));
    const warnings: string[] = [];
    this.#segments = memorySegments(this.elf, warnings);
    this.warnings = warnings;
    this.maxPfn = Math.ceil(this.#segments.reduce((end, segment) => Math.max(end, segment.end), 0) / pageSize);
  }

  hasPage(pfn: number): boolean {
    const segment = this.#find(pfn * this.pageSize);
    return segment !== undefined && pfn * this.pageSize < segment.fileEnd;
  }

  readPage(pfn: number): Uint8Array {
    const paddr = pfn * this.pageSize;
    const segment = this.#find(paddr);
    if (segment === undefined) throw new FaultError(paddr, 'not in the dump');
    if (paddr >= segment.fileEnd) throw new FaultError(paddr, 'filtered out of the dump');
    const length = Math.min(this.pageSize, segment.fileEnd - paddr);
    const offset = segment.fileOffset + paddr - segment.start;
    if (offset + length > this.#source.size)
      throw new FaultError(paddr, 'beyond the end of the file: the dump is cut short');
    const bytes = this.#source.read(offset, length);
    if (length === this.pageSize) return bytes;
    const page = new Uint8Array(this.pageSize);
    page.set(bytes);
    return page;
  }

  readPages(pfn: number, count: number, scratch?: Uint8Array): Uint8Array {
    const paddr = pfn * this.pageSize;
    const segment = this.#find(paddr);
    if (segment === undefined) return this.readPage(pfn);
    const offset = segment.fileOffset + paddr - segment.start;
    const available = Math.min(segment.fileEnd - paddr, this.#source.size - offset);
    const pages = Math.min(count, Math.floor(available / this.pageSize));
    if (pages < 1) return this.readPage(pfn);
    if (scratch === undefined || this.#source.readInto === undefined)
      return this.#source.read(offset, pages * this.pageSize);
    const bytes = scratch.subarray(0, pages * this.pageSize);
    this.#source.readInto(offset, bytes);
    return bytes;
  }

  /** The memory that the segments describe, in order of their headers. */
  get ranges(): readonly PhysicalRange[] {
    return this.#segments;
  }

  /** The same, each with the physical address at which its bytes in the file end. */
  get dataRanges(): readonly (PhysicalRange & { readonly dataEnd: number })[] {
    return this.#segments.map(({ start, end, fileEnd }) => ({ start, end, dataEnd: fileEnd }));
  }

  #find(paddr: number): Segment | undefined {
    if (contains(this.#last, paddr)) return this.#last;
    const found = this.#segments.find(segment => contains(segment, paddr));
    this.#last = found ?? this.#last;
    return found;
  }
}

function contains(segment: Segment | undefined, paddr: number): boolean {
  return segment !== undefined && paddr >= segment.start && paddr < segment.end;
}

function readNotes(source: ByteSource, segment: Phdr): ElfNote[] {
  return parseNotes(source.read(segment.p_offset, segment.p_filesz), segment.p_align === 8n ? 8 : 4);
}

function memorySegments(elf: ElfFile, warnings: string[]): Segment[] {
  const segments: Segment[] = [];
  for (const header of elf.segments) {
    if (header.p_type !== PT.LOAD || header.p_memsz === 0) continue;
    const problem = segmentProblem(header);
    if (problem === undefined) segments.push(toSegment(header));
    else
      warnings.push(`${elf.source.name}: ignoring the segment at vaddr 0x${header.p_vaddr.toString(16)}: ${problem}`);
  }
  if (segments.length === 0) {
    throw new FormatError('no usable memory segment', {
      file: elf.source.name,
      expected: 'PT_LOAD segments with physical addresses',
      found: warnings[0] ?? 'none',
    });
  }
  return segments;
}

function segmentProblem(header: Phdr): string | undefined {
  if (header.p_paddr === 0xffff_ffff_ffff_ffffn) return 'it has no physical address';
  if (
    header.p_memsz >= PHYSICAL_LIMIT ||
    header.p_filesz >= PHYSICAL_LIMIT ||
    header.p_paddr >= BigInt(PHYSICAL_LIMIT)
  ) {
    return `it claims ${header.p_memsz.toExponential(1)} bytes (kexec-tools did not find _text when it loaded the capture kernel)`;
  }
  return undefined;
}

function toSegment(header: Phdr): Segment {
  const start = Number(header.p_paddr);
  const fileSize = Math.min(header.p_filesz, header.p_memsz);
  return { start, end: start + header.p_memsz, fileOffset: header.p_offset, fileEnd: start + fileSize };
}
