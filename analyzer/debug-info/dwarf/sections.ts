/** Parts of a vmlinux's DWARF sections, read when needed: a debug vmlinux is 300 MB and more. */
import { SHF, findSection, sectionBytes } from '../../../capture/formats/elf.ts';
import type { ElfFile, Shdr } from '../../../capture/formats/elf.ts';

/** One section. */
export class DwarfSection {
  readonly size: number;
  readonly #elf: ElfFile;
  readonly #section: Shdr | undefined;
  #whole: Uint8Array | undefined;

  constructor(elf: ElfFile, name: string) {
    this.#elf = elf;
    this.#section = findSection(elf, name) ?? findSection(elf, name.replace('.debug', '.zdebug'));
    const compressed =
      this.#section !== undefined &&
      ((this.#section.sh_flags & SHF.COMPRESSED) !== 0 || this.#section.name.startsWith('.z'));
    if (compressed) this.#whole = sectionBytes(elf, this.#section);
    this.size = this.#whole?.length ?? this.#section?.sh_size ?? 0;
  }

  /** At most `length` bytes at an offset; fewer at the end of the section. */
  read(offset: number, length: number): Uint8Array {
    const count = Math.max(0, Math.min(length, this.size - offset));
    if (this.#section === undefined || count === 0) return new Uint8Array(0);
    if (this.#whole !== undefined) return this.#whole.subarray(offset, offset + count);
    return this.#elf.source.read(this.#section.sh_offset + offset, count);
  }

  /** The whole section, kept. */
  all(): Uint8Array {
    this.#whole ??= this.read(0, this.size);
    return this.#whole;
  }
}
