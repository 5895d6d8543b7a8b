/**
 * ELF files: header, program headers, sections, symbols.
 *
 * Source: System V ABI gABI "Object Files"; `elf(5)`. Numbering extensions (`PN_XNUM`, `SHN_XINDEX`) as the gABI says.
 * Not modelled: 32-bit and big-endian files.
 */
import { inflateSync, zstdDecompressSync } from 'node:zlib';

import { cString } from './bytes.ts';
import { parseNotes } from './elf-notes.ts';
import type { ByteSource } from './byte-source.ts';
import { FormatError, UnimplementedError } from './errors.ts';
import { ascii, raw, size64, struct, u16, u32, u64, u8 } from './struct.ts';
import type { StructValue } from './struct.ts';

export const ELF_MAGIC = '\x7fELF';
export const ELFCLASS64 = 2;
export const ELFDATA2LSB = 1;

/** e_type. */
export const ET = { REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;
/** e_machine. */
export const EM = { X86_64: 62, AARCH64: 183 } as const;
/** e_flags of makedumpfile's ELF dumps that lack pages for want of space. */
export const DUMP_ELF_INCOMPLETE = 1;
/** p_type. */
export const PT = { LOAD: 1, NOTE: 4 } as const;
/** sh_type. */
export const SHT = { PROGBITS: 1, SYMTAB: 2, STRTAB: 3, NOTE: 7, NOBITS: 8 } as const;
/** sh_flags. */
export const SHF = { ALLOC: 2, EXECINSTR: 4, COMPRESSED: 0x800 } as const;
/** ch_type. */
export const ELFCOMPRESS = { ZLIB: 1, ZSTD: 2 } as const;
const PN_XNUM = 0xffff;
const MAX_HEADERS = 1_000_000;

export const ELF64_EHDR = struct('Elf64_Ehdr', {
  magic: ascii(4),
  ei_class: u8,
  ei_data: u8,
  ei_version: u8,
  ei_osabi: u8,
  ei_pad: raw(8),
  e_type: u16,
  e_machine: u16,
  e_version: u32,
  e_entry: u64,
  e_phoff: size64,
  e_shoff: size64,
  e_flags: u32,
  e_ehsize: u16,
  e_phentsize: u16,
  e_phnum: u16,
  e_shentsize: u16,
  e_shnum: u16,
  e_shstrndx: u16,
});

export const ELF64_PHDR = struct('Elf64_Phdr', {
  p_type: u32,
  p_flags: u32,
  p_offset: size64,
  p_vaddr: u64,
  p_paddr: u64,
  p_filesz: size64,
  p_memsz: size64,
  p_align: u64,
});

export const ELF64_SHDR = struct('Elf64_Shdr', {
  sh_name: u32,
  sh_type: u32,
  sh_flags: size64,
  sh_addr: u64,
  sh_offset: size64,
  sh_size: size64,
  sh_link: u32,
  sh_info: u32,
  sh_addralign: size64,
  sh_entsize: size64,
});

export const ELF64_SYM = struct('Elf64_Sym', {
  st_name: u32,
  st_info: u8,
  st_other: u8,
  st_shndx: u16,
  st_value: u64,
  st_size: u64,
});

const ELF64_CHDR = struct('Elf64_Chdr', { ch_type: u32, ch_reserved: u32, ch_size: size64, ch_addralign: u64 });

export type Ehdr = StructValue<typeof ELF64_EHDR>;
export type Phdr = StructValue<typeof ELF64_PHDR>;
export type Shdr = StructValue<typeof ELF64_SHDR> & { readonly name: string };

/** A parsed ELF file. Sections and segments are read on demand. */
export interface ElfFile {
  readonly source: ByteSource;
  readonly header: Ehdr;
  readonly segments: readonly Phdr[];
  readonly sections: readonly Shdr[];
}

/** Tells whether the bytes begin as an ELF file does. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && cString(bytes, 0, 4) === ELF_MAGIC;
}

/**
 * Reads the headers of a 64-bit little-endian ELF file.
 * @throws FormatError when headers are missing or lie outside the file
 * @throws UnimplementedError for 32-bit and big-endian files
 */
export function parseElf(source: ByteSource): ElfFile {
  const place = { file: source.name, base: 0 };
  const header = ELF64_EHDR.parse(source.read(0, Math.min(source.size, ELF64_EHDR.size)), 0, place);
  if (header.magic !== ELF_MAGIC) throw new FormatError('not an ELF file', { file: source.name, offset: 0 });
  if (header.ei_class !== ELFCLASS64)
    throw new UnimplementedError(`32-bit ELF file ${source.name}`, 'gABI "ELF Header"');
  if (header.ei_data !== ELFDATA2LSB) throw new UnimplementedError(`big-endian ELF file ${source.name}`);
  const first = readSections(source, header, 0, header.e_shoff === 0 ? 0 : 1)[0];
  const segmentCount = header.e_phnum === PN_XNUM && first !== undefined ? first.sh_info : header.e_phnum;
  const sectionCount = header.e_shnum === 0 && first !== undefined ? first.sh_size : header.e_shnum;
  const segments = readSegments(source, header, segmentCount);
  const sections = readSections(source, header, 0, header.e_shoff === 0 ? 0 : sectionCount);
  const nameIndex = header.e_shstrndx === 0xffff && first !== undefined ? first.sh_link : header.e_shstrndx;
  return { source, header, segments, sections: nameSections(source, sections, nameIndex) };
}

function readSegments(source: ByteSource, header: Ehdr, count: number): Phdr[] {
  if (count === 0) return [];
  checkCount(source, count, header.e_phentsize, ELF64_PHDR.size, header.e_phoff);
  const bytes = source.read(header.e_phoff, count * header.e_phentsize);
  return Array.from({ length: count }, (_, index) => ELF64_PHDR.parse(bytes, index * header.e_phentsize));
}

function readSections(
  source: ByteSource,
  header: Ehdr,
  start: number,
  count: number,
): StructValue<typeof ELF64_SHDR>[] {
  if (count === 0) return [];
  checkCount(source, count, header.e_shentsize, ELF64_SHDR.size, header.e_shoff);
  const bytes = source.read(header.e_shoff, (start + count) * header.e_shentsize);
  return Array.from({ length: count }, (_, index) => ELF64_SHDR.parse(bytes, (start + index) * header.e_shentsize));
}

function checkCount(source: ByteSource, count: number, entrySize: number, expected: number, offset: number): void {
  if (entrySize < expected) {
    throw new FormatError('ELF header entries are too small', {
      file: source.name,
      offset,
      expected: `${expected} bytes`,
      found: `${entrySize}`,
    });
  }
  if (count > MAX_HEADERS) throw new FormatError(`${count} ELF headers`, { file: source.name, offset });
}

function nameSections(source: ByteSource, sections: StructValue<typeof ELF64_SHDR>[], nameIndex: number): Shdr[] {
  const table = sections[nameIndex];
  const names =
    table === undefined || table.sh_type === SHT.NOBITS ? undefined : source.read(table.sh_offset, table.sh_size);
  return sections.map(section => ({
    ...section,
    name: names === undefined || section.sh_name >= names.length ? '' : cString(names, section.sh_name),
  }));
}

/** Finds a section by name. */
export function findSection(elf: ElfFile, name: string): Shdr | undefined {
  return elf.sections.find(section => section.name === name);
}

/**
 * Returns a section's contents, expanded when it is compressed (`SHF_COMPRESSED`, or a `.zdebug` name).
 * @throws FormatError when it lies outside the file or is damaged
 */
export function sectionBytes(elf: ElfFile, section: Shdr): Uint8Array {
  if (section.sh_type === SHT.NOBITS) return new Uint8Array(0);
  const bytes = elf.source.read(section.sh_offset, section.sh_size);
  if (section.name.startsWith('.zdebug') && cString(bytes, 0, 4) === 'ZLIB') return inflateSync(bytes.subarray(12));
  if ((section.sh_flags & SHF.COMPRESSED) === 0) return bytes;
  const header = ELF64_CHDR.parse(bytes, 0, { file: elf.source.name, base: section.sh_offset });
  const data = bytes.subarray(ELF64_CHDR.size);
  if (header.ch_type === ELFCOMPRESS.ZLIB) return inflateSync(data, { maxOutputLength: header.ch_size });
  if (header.ch_type === ELFCOMPRESS.ZSTD) return zstdDecompressSync(data, { maxOutputLength: header.ch_size });
  throw new FormatError(`unknown section compression ${header.ch_type}`, {
    file: elf.source.name,
    offset: section.sh_offset,
  });
}

const NT_GNU_BUILD_ID = 3;

/** The GNU build id of a file in hexadecimal, from any of its note sections (vmlinux has one, `.notes`, for all). */
export function buildIdOf(elf: ElfFile): string | undefined {
  for (const section of elf.sections) {
    if (section.sh_type !== SHT.NOTE) continue;
    const notes = parseNotes(elf.source.read(section.sh_offset, section.sh_size));
    const found = notes.find(({ name, type }) => name === 'GNU' && type === NT_GNU_BUILD_ID);
    if (found !== undefined) return Buffer.from(found.descriptor).toString('hex');
  }
  return undefined;
}
