/** The files with debug information of a session: the vmlinux, and objects of modules that were loaded with `mod -s`. */
import type { ElfFile } from '../../capture/formats/elf.ts';
import type { Program } from '../program.ts';
import type { KernelSymbol } from '../symbols/symbol-table.ts';
import type { TypeSource } from '../types/catalog.ts';
import type { CType } from '../types/types.ts';
import { DebugInfo } from './dwarf/debug-info.ts';
import type { DwarfVariable } from './dwarf/debug-info.ts';
import type { SectionAddresses } from './dwarf/sections.ts';
import type { SourceLine } from './dwarf/source-lines.ts';

/** A module's object file. */
export interface ModuleObject {
  /** Path as it was given or found. */
  readonly path: string;
  readonly info: DebugInfo;
  readonly elf: ElfFile;
}

/** Debug information by address. */
export class DebugFiles {
  readonly #program: Program;
  /** Of the kernel itself; undefined without a vmlinux that has it. */
  readonly kernel: DebugInfo | undefined;
  readonly #modules = new Map<string, ModuleObject>();

  /** @param elf the vmlinux, or the file that its debug information was split off into */
  constructor(program: Program, elf: ElfFile | undefined) {
    this.#program = program;
    const info =
      elf === undefined
        ? undefined
        : new DebugInfo(elf, program.kaslrOffset, (name, kind) => program.types.find(name, kind));
    this.kernel = info?.exists === true ? info : undefined;
  }

  /** Modules whose object was loaded, by name. */
  get modules(): ReadonlyMap<string, ModuleObject> {
    return this.#modules;
  }

  /** Makes a module's object known. */
  addModule(name: string, path: string, elf: ElfFile, addresses: SectionAddresses): void {
    const info = new DebugInfo(elf, 0n, (type, kind) => this.#program.types.find(type, kind), addresses);
    this.#modules.set(name, { path, info, elf });
  }

  /** Forgets a module's object. */
  removeModule(name: string): void {
    this.#modules.get(name)?.elf.source[Symbol.dispose]();
    this.#modules.delete(name);
  }

  /** What describes a symbol's file. */
  ofSymbol({ module }: Pick<KernelSymbol, 'module'>): DebugInfo | undefined {
    return module === undefined ? this.kernel : this.#modules.get(module)?.info;
  }

  /** What describes the code at an address of the dump. */
  at(address: bigint): DebugInfo | undefined {
    const place = this.#program.symbols.lookup(address);
    return place === undefined ? undefined : this.ofSymbol(place.symbol);
  }

  /** The variable that a symbol names. */
  variable(symbol: KernelSymbol): DwarfVariable | undefined {
    const info = this.ofSymbol(symbol);
    return info?.variable(symbol.name, linkAddress(info, symbol.address));
  }

  /** Type of a variable. */
  variableType(symbol: KernelSymbol): CType | undefined {
    return this.variable(symbol)?.type;
  }

  /** Source line of a text address. */
  line(address: bigint): SourceLine | undefined {
    const info = this.at(address);
    return info?.lines.find(linkAddress(info, address));
  }

  /** Sources of types for what BTF does not have: a search in a kernel's DWARF is slow, and BTF has all its types. */
  get typeSources(): readonly TypeSource[] {
    const modules = [...this.#modules.values()].map(({ info }) => info);
    return this.kernel === undefined || this.#program.btf !== undefined ? modules : [this.kernel, ...modules];
  }
}

/** Per-cpu offsets and constants are below: KASLR does not move them. */
const LOWEST_RELOCATED = 0xff00_0000_0000_0000n;

/** The address that a file's own tables have for one of the dump. */
export function linkAddress(info: DebugInfo, address: bigint): bigint {
  return address < LOWEST_RELOCATED ? address : BigInt.asUintN(64, address - info.bias);
}
