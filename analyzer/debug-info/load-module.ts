/** Loads the object file of a module: checks that it is of the same build, takes its symbols and debug information. */
import { cString, readSize64, readU16, readU32, readU64 } from '../../capture/formats/bytes.ts';
import { FileSource } from '../../capture/formats/byte-source.ts';
import { SHF, SHT, buildIdOf, parseElf, sectionBytes } from '../../capture/formats/elf.ts';
import type { ElfFile, Shdr } from '../../capture/formats/elf.ts';
import { parseNotes } from '../../capture/formats/elf-notes.ts';
import { FaultError, FormatError, UsageError } from '../../capture/formats/errors.ts';
import { listModules } from '../linux/module.ts';
import type { Program } from '../program.ts';
import { ListedSymbols } from '../symbols/symbol-table.ts';
import type { KernelSymbol } from '../symbols/symbol-table.ts';
import { findDebugFile, hasDebugInfo } from './find-debug-file.ts';
import { sectionAddresses } from './module-sections.ts';
import type { SectionAddresses } from './dwarf/sections.ts';

const SYMBOL_SIZE = 24;
const STT = { SECTION: 3, FILE: 4 } as const;
const NT_GNU_BUILD_ID = 3;

/**
 * Makes a module's object known to a program.
 * @throws UsageError when the file is of another build @throws FormatError when it is no object file
 */
export function loadModule(program: Program, name: string, path: string): void {
  const given = parseElf(new FileSource(path));
  const separate = hasDebugInfo(given) ? undefined : findDebugFile(given);
  const elf = separate ?? given;
  if (separate !== undefined) given.source[Symbol.dispose]();
  const [ours, theirs] = [buildIdOf(elf), loadedBuildId(program, name)];
  if (ours !== undefined && theirs !== undefined && ours !== theirs) {
    elf.source[Symbol.dispose]();
    throw new FormatError(`${path} is not the object of the module ${name} in the dump`, {
      file: path,
      expected: `build id ${theirs}`,
      found: ours,
    });
  }
  const addresses = sectionAddresses(program, name, elf);
  const symbols = objectSymbols(elf, name, addresses);
  if (symbols.length === 0) throw new UsageError(`${path}: no symbols of the module ${name} are in the dump`);
  program.debug.removeModule(name);
  program.symbols.setModuleTable(name, new ListedSymbols(symbols));
  program.debug.addModule(name, path, elf, addresses);
}

/** Forgets a module's object: its symbols come from the dump again. */
export function unloadModule(program: Program, name: string): void {
  program.debug.removeModule(name);
  program.symbols.setModuleTable(name, undefined);
}

/** Build id that the kernel keeps of a module: since 5.14 (commit 9294523e3768 "module: add printk formats to add module build ID to stacktraces"), else its note. */
function loadedBuildId(program: Program, name: string): string | undefined {
  const module = listModules(program).find(entry => entry.string('name') === name);
  if (module === undefined) return undefined;
  try {
    if (module.has('build_id')) {
      const bytes = program.memory.readBytes(module.addressOf('build_id'), module.lengthOf('build_id'));
      return bytes.some(byte => byte !== 0) ? Buffer.from(bytes).toString('hex') : undefined;
    }
    const count = module.has('notes_attrs') ? (module.follow('notes_attrs')?.num('notes') ?? 0) : 0;
    for (let index = 0; index < Math.min(count, 64); index++) {
      const attribute = module.follow('notes_attrs')!.embedded(`attrs[${index}]`);
      const note = parseNotes(program.memory.readBytes(attribute.pointer('private'), attribute.num('size')));
      const found = note.find(entry => entry.name === 'GNU' && entry.type === NT_GNU_BUILD_ID);
      if (found !== undefined) return Buffer.from(found.descriptor).toString('hex');
    }
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
  }
  return undefined;
}

/** Symbols of a relocatable file at the addresses of the dump. Sections that are not in the dump have none. */
function objectSymbols(elf: ElfFile, module: string, addresses: SectionAddresses): KernelSymbol[] {
  const table = elf.sections.find(({ sh_type: type }) => type === SHT.SYMTAB);
  const strings = table === undefined ? undefined : elf.sections[table.sh_link];
  if (table === undefined || strings === undefined) return [];
  const [symbols, names] = [sectionBytes(elf, table), sectionBytes(elf, strings)];
  const found: KernelSymbol[] = [];
  for (let at = SYMBOL_SIZE; at + SYMBOL_SIZE <= symbols.length; at += SYMBOL_SIZE) {
    const info = symbols[at + 4]!;
    const number = readU16(symbols, at + 6);
    const section = elf.sections[number];
    const name = cString(names, readU32(symbols, at));
    const type = info & 0xf;
    if (section === undefined || name === '' || /^\$[xd]/.test(name) || type === STT.SECTION || type === STT.FILE)
      continue;
    const base = addresses(number);
    if (base === 0n) continue;
    const letter = sectionLetter(section);
    found.push({
      name,
      address: BigInt.asUintN(64, base + readU64(symbols, at + 8)),
      type: info >> 4 === 0 ? letter : letter.toUpperCase(),
      size: readSize64(symbols, at + 16),
      nameOffset: readU32(symbols, at),
      module,
    });
  }
  return found;
}

/** nm's letter for a local symbol of a section. */
function sectionLetter({ name, sh_flags: flags, sh_type: type }: Shdr): string {
  const SHF_WRITE = 1;
  if ((flags & SHF.EXECINSTR) !== 0) return 't';
  // In a file of debug information only, all sections are empty; their names still tell.
  if (name.startsWith('.bss') || (type === SHT.NOBITS && !/^\.(?:data|rodata|text|__|gnu)/.test(name))) return 'b';
  return (flags & SHF_WRITE) === 0 ? 'r' : 'd';
}
