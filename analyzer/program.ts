/**
 * A crashed kernel, opened for reading: memory, symbols and types from the dump itself, more from a vmlinux if given.
 */
import { Aarch64AddressSpace, aarch64AddressSpace } from '../capture/addrxlat/aarch64.ts';
import type { KernelAddressSpace } from '../capture/addrxlat/page-walk.ts';
import { X86AddressSpace, x86AddressSpace } from '../capture/addrxlat/x86_64.ts';
import { FileSource } from '../capture/formats/byte-source.ts';
import { SHT, buildIdOf, findSection, parseElf, sectionBytes } from '../capture/formats/elf.ts';
import type { ElfFile } from '../capture/formats/elf.ts';
import { AARCH64_REGISTERS, NT, X86_64_REGISTERS, parsePrstatus } from '../capture/formats/elf-notes.ts';
import type { CpuRegisters } from '../capture/formats/elf-notes.ts';
import { FormatError } from '../capture/formats/errors.ts';
import type { FaultError } from '../capture/formats/errors.ts';
import type { Vmcoreinfo } from '../capture/formats/vmcoreinfo.ts';
import { openDump } from '../capture/sources/dump-file.ts';
import type { Architecture, Dump } from '../capture/sources/dump-file.ts';
import { Btf } from './debug-info/btf.ts';
import type { BtfVariable } from './debug-info/btf.ts';
import { DebugFiles } from './debug-info/debug-files.ts';
import { findKernelBtf } from './debug-info/find-btf.ts';
import { findDebugFile, hasDebugInfo } from './debug-info/find-debug-file.ts';
import { isLive, namesLiveMemory, openLive } from './live/live-memory.ts';
import { MemoryReader, physicalReader } from './memory-reader.ts';
import { incompleteText, withDirectMap } from './incomplete-dump.ts';
import { moduleBtf, moduleSymbols } from './linux/module.ts';
import { percpuOffsets } from './linux/percpu.ts';
import { ElfSymbols } from './symbols/elf-symbols.ts';
import { locateKallsyms } from './symbols/find-kallsyms.ts';
import { Kallsyms } from './symbols/kallsyms.ts';
import { recoverSymbols } from './symbols/recover.ts';
import { SymbolSet } from './symbols/symbol-set.ts';
import { readSystemMap } from './symbols/system-map.ts';
import type { SymbolTable } from './symbols/symbol-table.ts';
import { TypeCatalog } from './types/catalog.ts';
import { StructObject } from './types/object.ts';

/** What to open. */
export interface ProgramFiles {
  /** The files of the dump (several for a split one), `live:FILE@ADDRESS` for a running machine's RAM, or memory that is no file. */
  readonly dump: readonly string[] | Dump;
  readonly vmlinux?: string | undefined;
  readonly systemMap?: string | undefined;
  /** Leave out modules, with their symbols and types. */
  readonly withoutModules?: boolean;
}

function requiredVmcoreinfo({ vmcoreinfo, path }: Dump): Vmcoreinfo {
  if (vmcoreinfo === undefined) throw new FormatError('the dump has no VMCOREINFO', { file: path });
  return vmcoreinfo;
}

function dumpOf(given: ProgramFiles['dump']): Dump {
  if ('memory' in given) return given;
  return given.some(namesLiveMemory) ? openLive(given) : openDump(given);
}

/** The file that has the debug information of a stripped vmlinux, if it can be found. */
function separateDebugFile(vmlinux: ElfFile | undefined): ElfFile | undefined {
  return vmlinux === undefined || hasDebugInfo(vmlinux) ? undefined : findDebugFile(vmlinux);
}

/** An opened kernel. */
export class Program implements Disposable {
  readonly dump: Dump;
  readonly architecture: Architecture;
  readonly vmcoreinfo: Vmcoreinfo;
  readonly space: KernelAddressSpace;
  /** Kernel virtual memory. */
  readonly memory: MemoryReader;
  /** Physical memory, addresses as bigint. */
  readonly physical: MemoryReader;
  readonly symbols: SymbolSet;
  readonly types: TypeCatalog;
  /** Types and per-cpu variables of vmlinux from the dump; undefined when the kernel has no BTF. */
  readonly btf: Btf | undefined;
  /** The vmlinux given, if any. */
  readonly vmlinux: ElfFile | undefined;
  /** Debug information of the vmlinux and of modules. */
  readonly debug: DebugFiles;
  /** What KASLR added to link addresses. */
  readonly kaslrOffset: bigint;
  /** In the order in which they were met; the list grows while commands run. */
  readonly warnings: string[];
  /** The file beside a stripped vmlinux that has its debug information and symbols. */
  readonly #debugFile: ElfFile | undefined;
  #percpuOffsets: readonly bigint[] | undefined;
  #percpuVariables: ReadonlyMap<string, BtfVariable> | undefined;

  /** @throws UsageError, FormatError, FaultError when the dump cannot be used */
  constructor(files: ProgramFiles) {
    using opened = new DisposableStack();
    this.dump = opened.use(dumpOf(files.dump));
    this.warnings = [...this.dump.warnings];
    if (this.dump.incomplete) this.warn(incompleteText(this.dump.path));
    this.vmcoreinfo = requiredVmcoreinfo(this.dump);
    this.architecture = this.dump.architecture ?? 'x86_64';
    const openSpace = this.architecture === 'aarch64' ? aarch64AddressSpace : x86AddressSpace;
    this.space = openSpace(this.dump.memory, this.vmcoreinfo);
    const translate = this.dump.incomplete ? withDirectMap(this.dump.memory, this.space) : this.space;
    this.memory = new MemoryReader(this.dump.memory, vaddr => translate.translate(vaddr));
    this.physical = physicalReader(this.dump.memory);
    this.kaslrOffset = this.vmcoreinfo.kernelOffset ?? 0n;
    this.vmlinux = files.vmlinux === undefined ? undefined : this.#openVmlinux(files.vmlinux);
    opened.use(this.vmlinux?.source);
    this.#debugFile = separateDebugFile(this.vmlinux);
    opened.use(this.#debugFile?.source);
    this.debug = new DebugFiles(this, this.#debugFile ?? this.vmlinux);
    const { table, kallsyms } = this.#symbolTable(files.systemMap);
    const { withoutModules = false } = files;
    this.symbols = new SymbolSet(table, () => (withoutModules ? [] : moduleSymbols(this)));
    this.btf = this.#openBtf(kallsyms);
    this.types = new TypeCatalog(this.btf === undefined ? [] : [this.btf], () => [
      ...(withoutModules ? [] : moduleBtf(this)),
      ...this.debug.typeSources,
    ]);
    recoverSymbols(this, kallsyms);
    this.#setPageOffset();
    opened.move();
  }

  [Symbol.dispose](): void {
    this.dump[Symbol.dispose]();
    this.vmlinux?.source[Symbol.dispose]();
    this.#debugFile?.source[Symbol.dispose]();
    for (const { elf } of this.debug.modules.values()) elf.source[Symbol.dispose]();
  }

  /** The memory is that of a machine that runs: nothing of it can be kept. */
  get isLive(): boolean {
    return isLive(this.dump.memory);
  }

  /** Begins a command on a running machine: what was read before it does not count, and the machine stands still if that can be. */
  hold(): void {
    this.memory.forget();
    this.physical.forget();
    if (isLive(this.dump.memory)) this.dump.memory.hold?.();
  }

  /** Ends a command on a running machine. */
  release(): void {
    if (isLive(this.dump.memory)) this.dump.memory.release?.();
  }

  /** Notes, once, something that the user ought to know about what commands show. */
  warn(text: string): void {
    if (!this.warnings.includes(text)) this.warnings.push(text);
  }

  /** Notes, once for each `what`, that a part of it cannot be read. */
  warnOfGap(what: string, fault: FaultError, extent = ''): void {
    if (!this.warnings.some(text => text.startsWith(`${what}: `))) this.warn(`${what}: ${extent}${fault.message}`);
  }

  /** A structure at an address. @throws UnimplementedError when this kernel has no such structure */
  object(struct: string, address: bigint): StructObject {
    return new StructObject(this.memory, this.types.struct(struct), address);
  }

  /** The structure that a symbol names, or undefined without the symbol. */
  findGlobal(struct: string, symbol: string): StructObject | undefined {
    const address = this.symbols.find(symbol);
    return address === undefined ? undefined : this.object(struct, address);
  }

  /** Address of a per-cpu variable's copy on a CPU; undefined when the kernel has no such variable. */
  percpuAddress(symbol: string, cpu: number): bigint | undefined {
    const address = this.symbols.find(symbol);
    const offset = this.percpuOffsets[cpu];
    return address === undefined || offset === undefined ? undefined : BigInt.asUintN(64, address + offset);
  }

  /** `__per_cpu_offset[]` of every possible CPU. */
  get percpuOffsets(): readonly bigint[] {
    this.#percpuOffsets ??= percpuOffsets(this);
    return this.#percpuOffsets;
  }

  /** Per-cpu variables that BTF describes. */
  get percpuVariables(): ReadonlyMap<string, BtfVariable> {
    this.#percpuVariables ??= new Map((this.btf?.variables('.data..percpu') ?? []).map(v => [v.name, v]));
    return this.#percpuVariables;
  }

  /** Registers that each CPU saved when the kernel crashed, in order of the notes; those of now on a running machine. */
  get crashRegisters(): readonly CpuRegisters[] {
    const { memory } = this.dump;
    if (isLive(memory)) return memory.registers?.(this.architecture) ?? [];
    const names = this.architecture === 'aarch64' ? AARCH64_REGISTERS : X86_64_REGISTERS;
    return this.dump.notes
      .filter(({ name, type }) => name === 'CORE' && type === NT.PRSTATUS)
      .map(({ descriptor }) => parsePrstatus(descriptor, names))
      .filter(registers => registers !== undefined);
  }

  /**
   * Registers of the task that ran on a CPU. A kernel's notes have the pid (idle tasks are all 0); those of a dump that was taken from
   * outside have the number of the CPU plus 1 instead, as QEMU writes them.
   */
  registersOf(cpu: number, pid: number): CpuRegisters | undefined {
    const notes = this.crashRegisters;
    const byPosition = notes[cpu];
    if (byPosition?.pid === pid || notes.every((note, index) => note.pid === index + 1)) return byPosition;
    return notes.find(note => note.pid === pid);
  }

  /** arm64's mask of pointer-authentication bits, 0 without them. */
  get pacMask(): bigint {
    return this.vmcoreinfo.number('KERNELPACMASK') ?? 0n;
  }

  #openVmlinux(path: string): ElfFile {
    const elf = parseElf(new FileSource(path));
    const [ours, theirs] = [buildIdOf(elf), this.vmcoreinfo.buildId];
    if (ours !== undefined && theirs !== undefined && ours !== theirs) {
      throw new FormatError(`${path} and ${this.dump.path} do not match!`, {
        expected: `build id ${theirs}`,
        found: ours,
      });
    }
    return elf;
  }

  /** From the vmlinux or its debug file, else System.map, else the dump's kallsyms. */
  #symbolTable(systemMap: string | undefined): { table: SymbolTable; kallsyms: Kallsyms | undefined } {
    const named = [this.vmlinux, this.#debugFile].find(elf => elf?.sections.some(({ sh_type: t }) => t === SHT.SYMTAB));
    if (named !== undefined) return { table: new ElfSymbols(named, this.kaslrOffset), kallsyms: undefined };
    if (systemMap !== undefined) return { table: readSystemMap(systemMap, this.kaslrOffset), kallsyms: undefined };
    const kallsyms = new Kallsyms(this.memory, locateKallsyms(this.memory, this.vmcoreinfo, this.space));
    return { table: kallsyms, kallsyms };
  }

  #openBtf(kallsyms: Kallsyms | undefined): Btf | undefined {
    const bytes = findKernelBtf(this.memory, this.symbols, kallsyms) ?? this.#vmlinuxBtf();
    if (bytes !== undefined) return new Btf(bytes, undefined, `BTF of ${this.dump.path}`);
    if (this.vmlinux === undefined)
      this.warn('the dump has no types of the kernel (BTF): most commands need a vmlinux with debug information');
    return undefined;
  }

  #vmlinuxBtf(): Uint8Array | undefined {
    const section = this.vmlinux === undefined ? undefined : findSection(this.vmlinux, '.BTF');
    const bytes = section === undefined ? undefined : sectionBytes(this.vmlinux!, section);
    return bytes?.length === 0 ? undefined : bytes;
  }

  /** KASLR moves the direct map of x86_64; only the kernel's own variable tells where. */
  #setPageOffset(): void {
    if (!(this.space instanceof X86AddressSpace)) return;
    const variable = this.symbols.find('page_offset_base');
    if (variable !== undefined) this.space.pageOffset = this.memory.readU64(variable);
  }

  /** The arm64 address space, or undefined on another architecture. */
  get aarch64(): Aarch64AddressSpace | undefined {
    return this.space instanceof Aarch64AddressSpace ? this.space : undefined;
  }
}
