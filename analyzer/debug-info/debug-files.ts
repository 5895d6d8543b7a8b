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
  readonly addresses: SectionAddresses;
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
    this.#modules.set(name, { path, info, elf, addresses });
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

  /** Source line of a text address; `bias` is what its link-time addresses lack. */
  line(address: bigint): (SourceLine & { readonly bias: bigint }) | undefined {
    const info = this.at(address);
    const found = info?.lines.find(linkAddress(info, address));
    return found === undefined ? undefined : Object.assign(found, { bias: info!.bias });
  }

  /** The section of the file that an address lies in, and the file when it is a module's. */
  section(address: bigint): { name: string; file: string | undefined } | undefined {
    const place = this.#program.symbols.lookup(address);
    const module = place?.symbol.module === undefined ? undefined : this.#modules.get(place.symbol.module);
    if (module === undefined) return place?.symbol.module === undefined ? this.#kernelSection(address) : undefined;
    const index = module.elf.sections.findIndex((section, number) => {
      const start = module.addresses(number);
      return start !== 0n && address >= start && address < start + BigInt(section.sh_size);
    });
    return index === -1 ? undefined : { name: module.elf.sections[index]!.name, file: module.path };
  }

  #kernelSection(address: bigint): { name: string; file: undefined } | undefined {
    const link = BigInt.asUintN(64, address - this.#program.kaslrOffset);
    const SHF_ALLOC = 2;
    const found = this.#program.vmlinux?.sections.find(
      ({ sh_addr: start, sh_size: size, sh_flags: flags }) =>
        (flags & SHF_ALLOC) !== 0 && link >= start && link < start + BigInt(size),
    );
    return found === undefined ? undefined : { name: found.name, file: undefined };
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
