/**
 * Parts of a file's DWARF sections, read when needed: a debug vmlinux is 300 MB and more.
 *
 * Sources: gABI "Section Compression"; AMD64 ABI and ELF for the Arm 64-bit Architecture, "Relocation" (of modules).
 */
import { cString, readI32, readSize64, readU32, readU64, writeU32, writeU64 } from '../../../capture/formats/bytes.ts';
import { EM, ET, SHF, SHT, findSection, sectionBytes } from '../../../capture/formats/elf.ts';
import type { ElfFile, Shdr } from '../../../capture/formats/elf.ts';
import { FormatError } from '../../../capture/formats/errors.ts';

/** Address that each section of a relocatable file was loaded at, by section number. */
export type SectionAddresses = (section: number) => bigint;

/** One section. */
export class DwarfSection {
  readonly #elf: ElfFile;
  readonly #section: Shdr | undefined;
  readonly #addresses: SectionAddresses;
  #whole: Uint8Array | undefined;

  /** @param addresses where sections of a module lie; a linked file needs none */
  constructor(elf: ElfFile, name: string, addresses: SectionAddresses = () => 0n) {
    this.#elf = elf;
    this.#addresses = addresses;
    this.#section = findSection(elf, name) ?? findSection(elf, name.replace('.debug', '.zdebug'));
  }

  /** In bytes, expanded. */
  get size(): number {
    return this.#expanded?.length ?? this.#section?.sh_size ?? 0;
  }

  /** Tells whether the file has the section, without expanding it. */
  get exists(): boolean {
    return this.#section !== undefined && this.#section.sh_type !== SHT.NOBITS && this.#section.sh_size > 0;
  }

  /** At most `length` bytes at an offset; fewer at the end of the section. */
  read(offset: number, length: number): Uint8Array {
    const count = Math.max(0, Math.min(length, this.size - offset));
    if (this.#section === undefined || count === 0) return new Uint8Array(0);
    const whole = this.#expanded;
    if (whole !== undefined) return whole.subarray(offset, offset + count);
    return this.#elf.source.read(this.#section.sh_offset + offset, count);
  }

  /** The whole section, kept. */
  all(): Uint8Array {
    this.#whole ??= this.read(0, this.size);
    return this.#whole;
  }

  /** The text at an offset, up to its NUL. @throws FormatError when it lies outside */
  string(offset: number): string {
    const bytes = this.all();
    if (offset < bytes.length) return cString(bytes, offset);
    throw new FormatError('a name lies outside of its section', {
      offset,
      expected: `below ${bytes.length}`,
      found: `${offset}`,
    });
  }

  /** Contents of a section that cannot be read in parts: a compressed one, or one of a file that is not linked yet. */
  get #expanded(): Uint8Array | undefined {
    if (this.#whole !== undefined || this.#section === undefined) return this.#whole;
    if (this.#section.sh_type === SHT.NOBITS) return (this.#whole = new Uint8Array(0));
    const compressed = (this.#section.sh_flags & SHF.COMPRESSED) !== 0 || this.#section.name.startsWith('.z');
    const relocatable = this.#elf.header.e_type === ET.REL;
    if (!compressed && !relocatable) return undefined;
    this.#whole = sectionBytes(this.#elf, this.#section);
    if (relocatable) relocate(this.#elf, this.#section, this.#whole, this.#addresses);
    return this.#whole;
  }
}

const SHT_RELA = 4;
const RELA_SIZE = 24;
const SYMBOL_SIZE = 24;
/** Relocations that debug sections have: absolute ones of 8 and of 4 bytes. */
const ABSOLUTE_64: Readonly<{ [machine: number]: number }> = { [EM.X86_64]: 1, [EM.AARCH64]: 257 };
const ABSOLUTE_32: Readonly<{ [machine: number]: readonly number[] }> = {
  [EM.X86_64]: [10, 11],
  [EM.AARCH64]: [258],
};

/** Applies a section's `SHT_RELA` relocations in place. */
function relocate(elf: ElfFile, section: Shdr, bytes: Uint8Array, addresses: SectionAddresses): void {
  const number = elf.sections.indexOf(section);
  const table = elf.sections.find(({ sh_type: type, sh_info: info }) => type === SHT_RELA && info === number);
  if (table === undefined) return;
  const entries = sectionBytes(elf, table);
  const symbolSection = elf.sections[table.sh_link];
  const symbols = symbolSection === undefined ? new Uint8Array(0) : sectionBytes(elf, symbolSection);
  const machine = elf.header.e_machine;
  for (let at = 0; at + RELA_SIZE <= entries.length; at += RELA_SIZE) {
    const offset = readSize64(entries, at);
    const type = readU32(entries, at + 8);
    const symbol = readU32(entries, at + 12);
    const value = BigInt.asUintN(64, symbolValue(symbols, symbol, addresses) + readU64(entries, at + 16));
    if (type === ABSOLUTE_64[machine] && offset + 8 <= bytes.length) writeU64(bytes, offset, value);
    else if ((ABSOLUTE_32[machine] ?? []).includes(type) && offset + 4 <= bytes.length)
      writeU32(bytes, offset, Number(BigInt.asUintN(32, value)));
  }
}

function symbolValue(symbols: Uint8Array, index: number, addresses: SectionAddresses): bigint {
  const at = index * SYMBOL_SIZE;
  if (at + SYMBOL_SIZE > symbols.length) return 0n;
  const section = (readI32(symbols, at + 4) >>> 16) & 0xffff;
  return addresses(section) + readU64(symbols, at + 8);
}
