/** Symbols of a vmlinux: its `.symtab`, moved by the KASLR offset. */
import { cString, readSize64, readU16, readU32, readU64 } from '../../capture/formats/bytes.ts';
import { EM, SHF, SHT } from '../../capture/formats/elf.ts';
import type { ElfFile } from '../../capture/formats/elf.ts';
import { FNV_PRIME, FNV_START, NameIndex, hashName } from './symbol-table.ts';
import type { KernelSymbol, SymbolTable } from './symbol-table.ts';

const SYMBOL_SIZE = 24;
const STT = { NOTYPE: 0, OBJECT: 1, FUNC: 2, SECTION: 3, FILE: 4 } as const;
const STB_WEAK = 2;
const SHN = { UNDEF: 0, ABS: 0xfff1, COMMON: 0xfff2 } as const;
/** Link addresses below belong to per-cpu variables and constants: KASLR does not move them. */
const LOWEST_RELOCATED = 0xff00_0000_0000_0000n;

/** A vmlinux's symbols in order of addresses. */
export class ElfSymbols implements SymbolTable {
  readonly count: number;
  readonly #symtab: Uint8Array;
  readonly #strtab: Uint8Array;
  /** Symbol-table index of the symbol at each rank. */
  readonly #order: Uint32Array;
  readonly #addresses: BigUint64Array;
  readonly #sectionLetters: readonly string[];
  readonly #sectionNames: readonly string[];
  #index: NameIndex | undefined;

  /** @param offset what KASLR added to link addresses */
  constructor(elf: ElfFile, offset: bigint) {
    const section = elf.sections.find(({ sh_type: type }) => type === SHT.SYMTAB);
    const strings = section === undefined ? undefined : elf.sections[section.sh_link];
    this.#symtab = section === undefined ? new Uint8Array(0) : elf.source.read(section.sh_offset, section.sh_size);
    this.#strtab = strings === undefined ? new Uint8Array(0) : elf.source.read(strings.sh_offset, strings.sh_size);
    this.#sectionLetters = elf.sections.map(sectionLetter);
    this.#sectionNames = elf.sections.map(section => nameOfSectionSymbol(section, elf.header.e_machine));
    const kept = keptSymbols(this.#symtab, this.#strtab, this.#sectionNames);
    const values = new BigUint64Array(kept.length);
    for (const [rank, index] of kept.entries()) {
      const value = readU64(this.#symtab, index * SYMBOL_SIZE + 8);
      values[rank] = value >= LOWEST_RELOCATED ? BigInt.asUintN(64, value + offset) : value;
    }
    const ranks = Uint32Array.from(kept.keys()).sort((a, b) =>
      values[a]! < values[b]! ? -1 : values[a]! > values[b]! ? 1 : a - b,
    );
    this.#order = ranks.map(rank => kept[rank]!);
    this.#addresses = new BigUint64Array(kept.length);
    for (const [rank, from] of ranks.entries()) this.#addresses[rank] = values[from]!;
    this.count = kept.length;
  }

  addressAt(index: number): bigint {
    return this.#addresses[index]!;
  }

  at(index: number): KernelSymbol {
    return {
      name: this.#name(index),
      address: this.#addresses[index]!,
      type: this.#letter(index),
      size: this.#size(index),
      nameOffset: readU32(this.#symtab, this.#order[index]! * SYMBOL_SIZE),
      module: undefined,
    };
  }

  indexOf(name: string): number {
    return this.indicesOf(name)[0] ?? -1;
  }

  indicesOf(name: string): number[] {
    this.#index ??= this.#hashAll();
    return [...this.#index.candidates(hashName(name))]
      .filter(index => this.#name(index) === name)
      .sort((a, b) => a - b);
  }

  #name(index: number): string {
    const at = this.#order[index]! * SYMBOL_SIZE;
    const offset = readU32(this.#symtab, at);
    return offset === 0 ? this.#sectionNames[readU16(this.#symtab, at + 6)]! : cString(this.#strtab, offset);
  }

  #size(index: number): number {
    return readSize64(this.#symtab, this.#order[index]! * SYMBOL_SIZE + 16);
  }

  #letter(index: number): string {
    const at = this.#order[index]! * SYMBOL_SIZE;
    const info = this.#symtab[at + 4]!;
    const section = readU16(this.#symtab, at + 6);
    if (info >> 4 === STB_WEAK) return (info & 0xf) === STT.OBJECT ? 'V' : 'W';
    const letter = section === SHN.ABS ? 'a' : (this.#sectionLetters[section] ?? '?');
    return info >> 4 === 0 ? letter : letter.toUpperCase();
  }

  #hashAll(): NameIndex {
    const table = new NameIndex(this.count);
    for (let index = 0; index < this.count; index++) {
      const start = readU32(this.#symtab, this.#order[index]! * SYMBOL_SIZE);
      if (start === 0) {
        table.add(hashName(this.#name(index)), index);
        continue;
      }
      let hash = FNV_START;
      for (let at = start; ; at++) {
        const char = this.#strtab[at] ?? 0;
        if (char === 0) break;
        hash = Math.imul(hash ^ char, FNV_PRIME);
      }
      table.add(hash, index);
    }
    return table;
  }
}

/** nm's letter for a symbol of a section, as a local symbol. */
function sectionLetter({ sh_flags: flags, sh_type: type }: { sh_flags: number; sh_type: number }): string {
  const SHF_WRITE = 1;
  if ((flags & SHF.ALLOC) === 0) return 'n';
  if ((flags & SHF.EXECINSTR) !== 0) return 't';
  if (type === SHT.NOBITS) return 'b';
  return (flags & SHF_WRITE) === 0 ? 'r' : 'd';
}

/** Name of a section's symbol; '' for those that crash leaves out: of sections not in memory, and on x86_64 of those before `_text`. */
function nameOfSectionSymbol({ name, sh_flags: flags }: { name: string; sh_flags: number }, machine: number): string {
  const isBeforeText = machine === EM.X86_64 && (name === '.text' || name === '.data..percpu');
  return (flags & SHF.ALLOC) === 0 || isBeforeText ? '' : name;
}

/** Indices of symbols with a name, a section and a meaning: those of sections in memory, too; no files, no mapping symbols (`$x`, `$d`). */
function keptSymbols(symtab: Uint8Array, strtab: Uint8Array, sectionNames: readonly string[]): Uint32Array {
  const total = Math.floor(symtab.length / SYMBOL_SIZE);
  const kept = new Uint32Array(total);
  let count = 0;
  for (let index = 1; index < total; index++) {
    const at = index * SYMBOL_SIZE;
    const type = symtab[at + 4]! & 0xf;
    if (type === STT.FILE) continue;
    const section = readU16(symtab, at + 6);
    if (section === SHN.UNDEF || section === SHN.COMMON) continue;
    if (type === STT.SECTION) {
      if ((sectionNames[section] ?? '') !== '') kept[count++] = index;
      continue;
    }
    const first = strtab[readU32(symtab, at)];
    if (first === undefined || first === 0 || first === DOLLAR) continue;
    kept[count++] = index;
  }
  return kept.slice(0, count);
}

const DOLLAR = 0x24;
