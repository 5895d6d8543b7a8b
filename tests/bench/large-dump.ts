/**
 * A dump made large, with a kernel that knows of all its memory: what a filter has to do grows with the size, as in a large machine.
 *
 * The x86_64 dump that it is made of has sections of 128 MiB, each with 2 MiB of page structures. Every further section of the large
 * one is a copy of one of them, and shares its page structures: an entry in `mem_section` and one in the page tables of the vmemmap
 * lead there. Everything else is as it was: crash opens the result.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

import { needKernel, openSource } from '../../capture/create-dump.ts';
import type { SourceDump } from '../../capture/create-dump.ts';
import { directMapBase } from '../../capture/direct-map.ts';
import { writeU64 } from '../../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR, EM, PT } from '../../capture/formats/elf.ts';
import { buildNote } from '../../capture/formats/elf-notes.ts';
import { findPageArrays, type PageArray } from '../../capture/page-array.ts';
import { elfHeader } from './sparse-dump.ts';

const PAGE_SIZE = 4096;
const SECTION_BYTES = 2 ** 27;
const SECTION_PAGES = SECTION_BYTES / PAGE_SIZE;
/** What one table of PMD entries maps of the vmemmap: so much memory at most. */
const MOST_BYTES = 512 * SECTION_BYTES;

/**
 * Writes an ELF vmcore of `size` bytes of memory.
 * @param size a multiple of 128 MiB, at most 64 GiB
 * @param copies whether further memory has contents, or is a hole in the file
 */
export function writeLargeDump(dumpPath: string, path: string, size: number, copies: boolean): void {
  if (size % SECTION_BYTES !== 0 || size > MOST_BYTES) throw new Error(`a dump of ${size} bytes cannot be made`);
  using source = openSource([dumpPath]);
  const own = Math.ceil(source.pages.exists.maxPfn / SECTION_PAGES);
  const changes = enlarge(source, own, size / SECTION_BYTES);
  const notes = Buffer.concat([
    source.dump.noteBytes,
    buildNote({ name: 'VMCOREINFO', type: 0, descriptor: Buffer.from(needKernel(source).vmcoreinfo.text, 'latin1') }),
  ]);
  const ranges = [...source.pages.exists.ranges()];
  const last = ranges.at(-1)!;
  ranges[ranges.length - 1] = { start: last.start, end: size / PAGE_SIZE };
  const file = openSync(path, 'w');
  const dataAt = writeHeaders(file, source, notes, ranges);
  ftruncateSync(file, dataAt + size);
  for (let section = 0; section < (copies ? size / SECTION_BYTES : own); section++)
    writeSync(file, contents(source, section, own, changes), 0, SECTION_BYTES, dataAt + section * SECTION_BYTES);
  closeSync(file);
}

type Range = { readonly start: number; readonly end: number };

/** Page frame 0 stands at the offset that it returns, and all others behind it as in memory. */
function writeHeaders(file: number, source: SourceDump, notes: Uint8Array, ranges: readonly Range[]): number {
  const base = directMapBase(needKernel(source))!;
  const notesAt = ELF64_EHDR.size + (ranges.length + 1) * ELF64_PHDR.size;
  const dataAt = Math.ceil((notesAt + notes.length) / PAGE_SIZE) * PAGE_SIZE;
  writeSync(file, elfHeader(EM.X86_64, ranges.length + 1));
  const note = { p_type: PT.NOTE, p_offset: notesAt, p_filesz: notes.length, p_memsz: notes.length };
  writeSync(file, ELF64_PHDR.build(note));
  for (const { start, end } of ranges) {
    const [paddr, size] = [start * PAGE_SIZE, (end - start) * PAGE_SIZE];
    const address = { p_paddr: BigInt(paddr), p_vaddr: BigInt.asUintN(64, base + BigInt(paddr)) };
    writeSync(
      file,
      ELF64_PHDR.build({ p_type: PT.LOAD, p_offset: dataAt + paddr, ...address, p_filesz: size, p_memsz: size }),
    );
  }
  writeSync(file, notes);
  return dataAt;
}

/** Entries of the kernel's tables that lead to the new sections: physical address and value. */
function enlarge(source: SourceDump, own: number, sections: number): Map<number, bigint> {
  const { memory, vmcoreinfo } = needKernel(source);
  const changes = new Map<number, bigint>();
  const roots = vmcoreinfo.symbol('mem_section')!;
  const entrySize = vmcoreinfo.sizeOf('mem_section')!;
  const perRoot = Math.floor(PAGE_SIZE / entrySize);
  const firstRoot = memory.readU64(roots);
  const arrays = findPageArrays(memory, vmcoreinfo, source.pages.exists.maxPfn);
  for (let section = own; section < sections; section++) {
    const root = Math.floor(section / perRoot);
    if (root > 0) changes.set(memory.translate(roots + BigInt(8 * root))!, firstRoot);
    const entry = (index: number) => firstRoot + BigInt((index % perRoot) * entrySize);
    if (section < perRoot) changes.set(memory.translate(entry(section))!, memory.readU64(entry(section % own)));
    const { paddr, value } = structuresEntry(source, arrays, section % own);
    changes.set(paddr + 8 * (section - (section % own)), value);
  }
  return changes;
}

/** The entry of the page tables that maps a section's page structures. */
function structuresEntry(source: SourceDump, arrays: readonly PageArray[], section: number) {
  const { space } = needKernel(source).memory;
  const array = arrays.find(({ startPfn }) => startPfn === section * SECTION_PAGES)!;
  const walk = space.tables.walk(space.root, array.address);
  const { level, entryPaddr, entry } = walk.steps.at(-1)!;
  if (level !== 'PMD') throw new Error('the page structures are not mapped by 2 MiB: choose another dump');
  return { paddr: entryPaddr, value: entry };
}

/** A section's memory; what the dump lacks is zero. */
function contents(source: SourceDump, section: number, own: number, changes: ReadonlyMap<number, bigint>): Uint8Array {
  const bytes = new Uint8Array(SECTION_BYTES);
  const start = (section % own) * SECTION_PAGES;
  for (let page = 0; page < SECTION_PAGES; page++) {
    if (source.pages.available.has(start + page))
      bytes.set(source.dump.memory.readPage(start + page), page * PAGE_SIZE);
  }
  for (const [paddr, value] of changes) {
    const offset = paddr - section * SECTION_BYTES;
    if (offset >= 0 && offset < SECTION_BYTES) writeU64(bytes, offset, value);
  }
  return bytes;
}
