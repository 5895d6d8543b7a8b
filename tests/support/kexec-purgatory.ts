/**
 * The purgatory that a kexec program carries: a relocatable ELF object. Its symbols are where kexec-tools' loader puts them.
 *
 * Source: kexec-tools 2.0.25 `kexec/kexec-elf-rel.c` "elf_rel_load".
 */
import { readU16, readU32, readU64 } from '../../capture/formats/bytes.ts';

interface Section {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly alignment: number;
}

const SHT = { SYMTAB: 2, NOBITS: 8 } as const;
const SHF_ALLOC = 2;
const ET_REL = 1;
const ELF_MAGIC = Buffer.from('\x7fELF', 'latin1');

/** Offsets of the purgatory's symbols from the beginning of its segment, and its sizes. */
export interface PurgatoryLayout {
  readonly symbols: ReadonlyMap<string, number>;
  readonly bufsz: number;
  readonly memsz: number;
}

/** Finds the object in the program and lays it out. */
export function purgatoryOf(program: Uint8Array): PurgatoryLayout {
  const bytes = Buffer.from(program);
  let at = bytes.indexOf(ELF_MAGIC, 4);
  while (at >= 0 && readU16(bytes, at + 16) !== ET_REL) at = bytes.indexOf(ELF_MAGIC, at + 4);
  if (at < 0) throw new Error('the program has no purgatory');
  return layOut(bytes.subarray(at));
}

function layOut(object: Uint8Array): PurgatoryLayout {
  const sections = readSections(object);
  const { addresses, bufsz, memsz } = place(sections);
  const symbols = new Map<string, number>();
  const table = sections.find(({ type }) => type === SHT.SYMTAB)!;
  const strings = sections[table.link]!;
  for (let at = table.offset; at < table.offset + table.size; at += 24) {
    const base = addresses.get(readU16(object, at + 6));
    if (base === undefined) continue;
    const name = stringAt(object, strings.offset + readU32(object, at));
    symbols.set(name, base + Number(readU64(object, at + 8)));
  }
  return { symbols, bufsz, memsz };
}

function readSections(object: Uint8Array): Section[] {
  const start = Number(readU64(object, 40));
  return Array.from({ length: readU16(object, 60) }, (_, i) => {
    const at = start + i * 64;
    return {
      type: readU32(object, at + 4),
      flags: Number(readU64(object, at + 8)),
      offset: Number(readU64(object, at + 24)),
      size: Number(readU64(object, at + 32)),
      link: readU32(object, at + 40),
      alignment: Number(readU64(object, at + 48)),
    };
  });
}

/** Contents first, zeros behind them, each section at its alignment. */
function place(sections: readonly Section[]) {
  const addresses = new Map<number, number>();
  let at = 0;
  const put = (wanted: (section: Section) => boolean): void => {
    for (const [i, section] of sections.entries()) {
      if ((section.flags & SHF_ALLOC) === 0 || !wanted(section)) continue;
      at = Math.ceil(at / section.alignment) * section.alignment;
      addresses.set(i, at);
      at += section.size;
    }
  };
  put(({ type }) => type !== SHT.NOBITS);
  const bufsz = at;
  put(({ type }) => type === SHT.NOBITS);
  return { addresses, bufsz, memsz: Math.ceil(at / 4096) * 4096 };
}

function stringAt(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.subarray(at, bytes.indexOf(0, at))).toString('latin1');
}
