/** Loaded modules; `include/linux/module.h`, `kernel/module/main.c`. */
import { cString, readU16, readU32, readU64 } from '../../capture/formats/bytes.ts';
import { FaultError, FormatError } from '../../capture/formats/errors.ts';
import { Btf } from '../debug-info/btf.ts';
import { mapPresent, untilGap } from '../gaps.ts';
import type { Program } from '../program.ts';
import { ListedSymbols } from '../symbols/symbol-table.ts';
import type { KernelSymbol } from '../symbols/symbol-table.ts';
import type { ModuleSymbols } from '../symbols/symbol-set.ts';
import type { StructObject } from '../types/object.ts';
import { listForEachEntry } from './list.ts';

const MAX_MODULES = 10_000;
const MAX_MODULE_SYMBOLS = 200_000;
const ELF_SYMBOL_SIZE = 24;

/** One contiguous piece of a module's memory. */
export interface ModuleRange {
  readonly start: bigint;
  readonly end: bigint;
  /** Text can be executed from it. */
  readonly text: boolean;
}

/** The modules list, newest first as the kernel links them. */
export function listModules(program: Program): StructObject[] {
  const head = program.symbols.findInKernel('modules');
  if (head === undefined) return [];
  return [...untilGap(program, 'modules', listForEachEntry(program, head, 'module', 'list', MAX_MODULES))];
}

/** Memory of a module: `mem[]` since 6.4 (commit ac3b43283923 "module: replace module_layout with module_memory"), before it `core_layout`. */
export function moduleRanges(module: StructObject): ModuleRange[] {
  if (module.has('mem')) {
    return Array.from({ length: module.lengthOf('mem') }, (_, index) =>
      range(module, `mem[${index}].base`, `mem[${index}].size`, index === 0 || index === 4),
    ).filter(r => r.end > r.start);
  }
  const layout = module.has('core_layout') ? 'core_layout.' : '';
  const names = layout === '' ? ['module_core', 'core_size'] : [`${layout}base`, `${layout}size`];
  return [range(module, names[0]!, names[1]!, true)].filter(r => r.end > r.start);
}

function range(module: StructObject, base: string, size: string, text: boolean): ModuleRange {
  const start = module.pointer(base);
  return { start, end: start + BigInt(module.num(size)), text };
}

/** Symbol tables of all modules, read lazily. */
export function moduleSymbols(program: Program): ModuleSymbols[] {
  return mapPresent(program, 'modules', listModules(program), module => {
    let table: ListedSymbols | undefined;
    return {
      name: module.string('name'),
      ranges: moduleRanges(module),
      table: () => (table ??= new ListedSymbols(tolerant(() => readModuleSymbols(program, module)) ?? [])),
    };
  });
}

/** `struct mod_kallsyms`: the symbols that a module brought along. */
function readModuleSymbols(program: Program, module: StructObject): KernelSymbol[] {
  const kallsyms = module.follow('kallsyms');
  if (kallsyms === undefined) return [];
  const count = Math.min(MAX_MODULE_SYMBOLS, kallsyms.num('num_symtab'));
  const symtab = program.memory.readBytes(kallsyms.pointer('symtab'), count * ELF_SYMBOL_SIZE);
  const strtab = program.memory.readAvailable(kallsyms.pointer('strtab'), stringsLength(symtab, count));
  const typetab = kallsyms.has('typetab')
    ? program.memory.readAvailable(kallsyms.pointer('typetab'), count)
    : undefined;
  const name = module.string('name');
  const ranges = moduleRanges(module);
  const symbols: KernelSymbol[] = [];
  for (let index = 1; index < count; index++) {
    const at = index * ELF_SYMBOL_SIZE;
    const text = cString(strtab, Math.min(strtab.length, readU32(symtab, at)));
    const address = readU64(symtab, at + 8);
    const inside = ranges.some(({ start, end }) => address >= start && address < end);
    if (text === '' || text.startsWith('$') || readU16(symtab, at + 6) === 0 || !inside) continue;
    const letter =
      typetab === undefined ? String.fromCharCode(symtab[at + 5]!) : String.fromCharCode(typetab[index] ?? 0);
    const isGlobal = symtab[at + 4]! >> 4 !== 0;
    // Of module symbols only functions have a letter, as in crash.
    const type = letter.toLowerCase() !== 't' ? '?' : isGlobal ? 'T' : 't';
    symbols.push({ name: text, address, type, module: name });
  }
  return symbols;
}

/** Bytes of the string table that the symbols refer to, with room for the last name. */
function stringsLength(symtab: Uint8Array, count: number): number {
  const LONGEST_NAME = 512;
  let end = 0;
  for (let index = 0; index < count; index++) end = Math.max(end, readU32(symtab, index * ELF_SYMBOL_SIZE));
  return Math.min(end, MAX_MODULE_SYMBOLS * LONGEST_NAME) + LONGEST_NAME;
}

/** Split BTF of the modules that have it and whose BTF is in the dump. */
export function moduleBtf(program: Program): Btf[] {
  const { btf } = program;
  if (btf === undefined || !program.types.has('module', 'btf_data')) return [];
  const found: Btf[] = [];
  for (const module of listModules(program)) {
    const blob = tolerant(() => {
      const size = module.num('btf_data_size');
      return size === 0
        ? undefined
        : new Btf(program.memory.readBytes(module.pointer('btf_data'), size), btf, module.string('name'));
    });
    if (blob !== undefined) found.push(blob);
  }
  return found;
}

/** A module whose data the dump lacks, or whose tables are damaged, has no symbols and types; the others keep theirs. */
function tolerant<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FaultError || error instanceof FormatError) return undefined;
    throw error;
  }
}
