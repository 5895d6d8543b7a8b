/** Where the sections of a loaded module lie; `include/linux/module.h`, `kernel/module/sysfs.c`. */
import { cString, readU16, readU32, readU64 } from '../../capture/formats/bytes.ts';
import { SHT, sectionBytes } from '../../capture/formats/elf.ts';
import type { ElfFile } from '../../capture/formats/elf.ts';
import { FaultError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { listModules } from '../linux/module.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import type { SectionAddresses } from './dwarf/sections.ts';

const MAX_SECTIONS = 10_000;
const SYMBOL_SIZE = 24;

/** Addresses of an object's sections in the dump: from sysfs's list of them, else by comparing symbols. */
export function sectionAddresses(program: Program, name: string, elf: ElfFile): SectionAddresses {
  const bases = basesBySymbol(program, name, elf);
  const module = listModules(program).find(entry => entry.string('name') === name);
  const listed = module === undefined ? new Map<string, bigint>() : listedSections(module);
  for (const [index, section] of elf.sections.entries()) {
    const address = listed.get(section.name);
    if (address !== undefined) bases.set(index, address);
  }
  return section => bases.get(section) ?? 0n;
}

/** `module.sect_attrs`: names and addresses, when the kernel has sysfs and the pages are in the dump. */
function listedSections(module: StructObject): Map<string, bigint> {
  const found = new Map<string, bigint>();
  try {
    const attributes = module.has('sect_attrs') ? module.follow('sect_attrs') : undefined;
    if (attributes === undefined || !attributes.has('nsections') || !attributes.has('attrs[0].address')) return found;
    const count = Math.min(MAX_SECTIONS, attributes.num('nsections'));
    for (let index = 0; index < count; index++) {
      const entry = attributes.embedded(`attrs[${index}]`);
      const label = entry.has('battr.attr.name') ? 'battr.attr.name' : 'mattr.attr.name';
      found.set(entry.stringAt(entry.has(label) ? label : 'name', 256), entry.pointer('address'));
    }
  } catch (error) {
    if (!(error instanceof FaultError || error instanceof UsageError || error instanceof UnimplementedError))
      throw error;
  }
  return found;
}

/** A section begins where one of its symbols is in the dump, less the symbol's offset. */
function basesBySymbol(program: Program, name: string, elf: ElfFile): Map<number, bigint> {
  const bases = new Map<number, bigint>();
  const table = elf.sections.find(({ sh_type: type }) => type === SHT.SYMTAB);
  const strings = table === undefined ? undefined : elf.sections[table.sh_link];
  const loaded = program.symbols.modules.find(module => module.name === name)?.table();
  if (table === undefined || strings === undefined || loaded === undefined) return bases;
  const [symbols, names] = [sectionBytes(elf, table), sectionBytes(elf, strings)];
  for (let at = SYMBOL_SIZE; at + SYMBOL_SIZE <= symbols.length; at += SYMBOL_SIZE) {
    const section = readU16(symbols, at + 6);
    if (bases.has(section)) continue;
    const indices = loaded.indicesOf(cString(names, readU32(symbols, at)));
    if (indices.length === 1) bases.set(section, loaded.addressAt(indices[0]!) - readU64(symbols, at + 8));
  }
  return bases;
}
