/** All symbols of a dump: the kernel's, those recovered by other means, and the modules'. */
import { UnimplementedError } from '../../capture/formats/errors.ts';
import { ListedSymbols, lastAtOrBelow } from './symbol-table.ts';
import type { KernelSymbol, SymbolTable } from './symbol-table.ts';

/** A symbol and how far behind it an address is. */
export interface SymbolPlace {
  readonly symbol: KernelSymbol;
  readonly offset: number;
}

/** A module's address ranges and symbols. */
export interface ModuleSymbols {
  readonly name: string;
  readonly ranges: readonly { readonly start: bigint; readonly end: bigint }[];
  /** Read on first use. */
  readonly table: () => SymbolTable;
}

/** Addresses below are offsets of per-cpu variables, not addresses of code or data. */
const LOWEST_KERNEL_ADDRESS = 0xff00_0000_0000_0000n;

/** What the compiler appends to parts and clones that differ only inside, in the order in which crash looks for them. */
const CLONE_SUFFIXES = ['.isra.', '.part.', '.llvm.'];

/** A name up to the suffix of a clone: crash's `strip_symbol_end`. */
export function stripClone(name: string): string {
  const suffix = CLONE_SUFFIXES.find(part => name.includes(part));
  return suffix === undefined ? name : name.slice(0, name.indexOf(suffix));
}

/** Search over all tables. */
export class SymbolSet {
  /** Of the kernel image, from kallsyms, an ELF file or System.map. */
  readonly kernel: SymbolTable;
  #extra: ListedSymbols = new ListedSymbols([]);
  #loadModules: () => readonly ModuleSymbols[];
  #modules: readonly ModuleSymbols[] | undefined;
  /** Finds a variable that no table has; see `recover.ts`. */
  recover: ((name: string) => bigint | undefined) | undefined;
  readonly #tried = new Set<string>();
  /** Symbols of object files by the module's name. */
  readonly #objects = new Map<string, SymbolTable>();
  readonly #places = new Map<bigint, SymbolPlace | null>();
  readonly #known = new Map<string, bigint | null>();

  constructor(kernel: SymbolTable, loadModules: () => readonly ModuleSymbols[] = () => []) {
    this.kernel = kernel;
    this.#loadModules = loadModules;
  }

  /** Adds symbols of the kernel image that its table lacks. */
  addExtra(symbols: readonly KernelSymbol[]): void {
    const all = Array.from({ length: this.#extra.count }, (_, index) => this.#extra.at(index));
    this.#extra = new ListedSymbols([...all, ...symbols]);
    this.#known.clear();
    this.#places.clear();
  }

  /** Symbols of the kernel that came from elsewhere than its table. */
  get extra(): SymbolTable {
    return this.#extra;
  }

  /** Loaded modules; empty while they are being read. */
  get modules(): readonly ModuleSymbols[] {
    if (this.#modules === undefined) {
      this.#modules = [];
      this.#modules = this.#loadModules();
    }
    return this.#modules;
  }

  /** Replaces a module's symbols by those of its object file, or takes the dump's again. */
  setModuleTable(name: string, table: SymbolTable | undefined): void {
    const own = this.modules.find(module => module.name === name);
    if (own === undefined) return;
    if (table === undefined) this.#objects.delete(name);
    else this.#objects.set(name, table);
    this.#known.clear();
    this.#places.clear();
  }

  /** Symbols of a module: of its object when that was loaded, else of the dump. */
  tableOf(module: ModuleSymbols): SymbolTable {
    return this.#objects.get(module.name) ?? module.table();
  }

  /** Address of a kernel symbol, or of a module's when the kernel has none of that name. */
  find(name: string): bigint | undefined {
    const known = this.#known.get(name);
    if (known !== undefined) return known ?? undefined;
    const address = this.#findInKernel(name) ?? this.findAll(name)[0]?.address ?? this.#findClone(name);
    this.#known.set(name, address ?? null);
    return address;
  }

  /** Address of a symbol of the kernel image only: usable before modules are known. */
  findInKernel(name: string): bigint | undefined {
    return this.#findInKernel(name);
  }

  /** Address of a symbol. @throws UnimplementedError when the kernel does not have it */
  need(name: string): bigint {
    const address = this.find(name);
    if (address === undefined) throw new UnimplementedError(`the kernel has no symbol ${name}`);
    return address;
  }

  /** All symbols of a name. */
  findAll(name: string): KernelSymbol[] {
    this.#findInKernel(name);
    const tables = [this.kernel, this.#extra, ...this.modules.map(module => this.tableOf(module))];
    return tables.flatMap(table => table.indicesOf(name).map(index => table.at(index)));
  }

  /** All symbols whose name is accepted, table by table, by address and then by name. */
  matching(accept: (name: string) => boolean): KernelSymbol[] {
    const tables = [this.kernel, this.#extra, ...this.modules.map(module => this.tableOf(module))];
    return tables.flatMap(table =>
      Array.from({ length: table.count }, (_, index) => table.at(index))
        .filter(({ name }) => accept(name))
        .sort(byPlace),
    );
  }

  /** The symbol that an address belongs to, or undefined outside the kernel image and modules. */
  lookup(address: bigint): SymbolPlace | undefined {
    const known = this.#places.get(address);
    if (known !== undefined) return known ?? undefined;
    const place = this.#lookup(address);
    this.#places.set(address, place ?? null);
    return place;
  }

  /** Text of an address as `name+offset`, or undefined outside. */
  format(address: bigint): string | undefined {
    const place = this.lookup(address);
    if (place === undefined) return undefined;
    return place.offset === 0 ? place.symbol.name : `${place.symbol.name}+${place.offset}`;
  }

  /**
   * What gdb puts behind a pointer: where symbols have sizes only inside them; of data none without a size; of several at
   * one address the one whose name stands last in the string table.
   */
  formatInside(address: bigint): string | undefined {
    const place = this.lookup(address);
    if (place?.symbol.nameOffset === undefined) return place === undefined ? undefined : this.format(address);
    const symbol = gdbSymbol(this.#tableOf(address)!, address);
    const isCode = place.symbol.module !== undefined || address < this.#textEnd;
    if (symbol === undefined || (symbol.size === 0 && !isCode)) return undefined;
    const offset = address - symbol.address;
    return offset === 0n ? symbol.name : `${symbol.name}+${offset}`;
  }

  /** The name that gdb gives to an address where symbols begin. */
  gdbName(address: bigint): string | undefined {
    const table = this.#tableOf(address);
    const found = table === undefined ? undefined : gdbSymbol(table, address);
    return found?.address === address ? found.name : undefined;
  }

  /** The first address behind a symbol: that of the next symbol with a higher address. */
  endOf(symbol: KernelSymbol): bigint | undefined {
    const table = this.#tableOf(symbol.address);
    if (table === undefined) return undefined;
    const next = lastAtOrBelow(table, symbol.address) + 1;
    return next < table.count ? table.addressAt(next) : undefined;
  }

  #findInKernel(name: string): bigint | undefined {
    const index = this.kernel.indexOf(name);
    if (index !== -1) return this.kernel.addressAt(index);
    const extra = this.#extra.indexOf(name);
    return extra === -1 ? this.#recovered(name) : this.#extra.addressAt(extra);
  }

  /** The first clone or part of a function of which nothing else is left: it goes by the function's name. */
  #findClone(name: string): bigint | undefined {
    const clones = CLONE_SUFFIXES.flatMap(suffix => [`${name}${suffix}0`, `${name}${suffix}1`]);
    const index = clones.map(clone => this.kernel.indexOf(clone)).find(found => found !== -1);
    return index === undefined ? undefined : this.kernel.addressAt(index);
  }

  /** Looks for a variable in other ways, once; what is found is kept. */
  #recovered(name: string): bigint | undefined {
    if (this.recover === undefined || this.#tried.has(name)) return undefined;
    this.#tried.add(name);
    const address = this.recover(name);
    if (address !== undefined) this.addExtra([{ name, address, type: 'd', module: undefined }]);
    return address;
  }

  #lookup(address: bigint): SymbolPlace | undefined {
    if (address < LOWEST_KERNEL_ADDRESS) return undefined;
    const table = this.#tableOf(address);
    if (table === undefined) return undefined;
    const isData = table === this.kernel && address >= this.#textEnd && !this.#isInitText(address);
    if (isData && this.#extra.count > 0) return this.#exactExtra(address);
    const index = preferred(table, lastAtOrBelow(table, address), address);
    if (index < 0 || table.addressAt(index) < LOWEST_KERNEL_ADDRESS) return undefined;
    const found = table.at(index);
    const symbol = { ...found, name: stripClone(found.name) };
    return { symbol, offset: Number(address - symbol.address) };
  }

  /** Without a full table nothing is known of data but where the symbols recovered begin. */
  #exactExtra(address: bigint): SymbolPlace | undefined {
    const index = lastAtOrBelow(this.#extra, address);
    if (index < 0 || this.#extra.addressAt(index) !== address) return undefined;
    return { symbol: this.#extra.at(index), offset: 0 };
  }

  get #textEnd(): bigint {
    return this.#findInKernel('_etext') ?? this.kernelEnd;
  }

  /** Code that only runs while the kernel starts: its first tasks came from there. */
  #isInitText(address: bigint): boolean {
    const [start, end] = [this.#findInKernel('_sinittext'), this.#findInKernel('_einittext')];
    return start !== undefined && end !== undefined && address >= start && address < end;
  }

  #tableOf(address: bigint): SymbolTable | undefined {
    if (address >= this.kernelStart && address < this.kernelEnd) return this.kernel;
    const module = this.modules.find(({ ranges }) =>
      ranges.some(({ start, end }) => address >= start && address < end),
    );
    return module === undefined ? undefined : this.tableOf(module);
  }

  /** First address of the kernel image. */
  get kernelStart(): bigint {
    this.#start ??= this.#findInKernel('_text') ?? this.#findInKernel('_stext') ?? firstKernelAddress(this.kernel);
    return this.#start;
  }

  /** First address behind the kernel image; of its functions when nothing tells more. */
  get kernelEnd(): bigint {
    this.#end ??= this.#findInKernel('_end') ?? this.kernel.addressAt(this.kernel.count - 1) + 4096n;
    return this.#end;
  }

  #start: bigint | undefined;
  #end: bigint | undefined;
}

/** By address, then by name. */
export function byPlace(a: KernelSymbol, b: KernelSymbol): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Where these stand first the next symbol is what people call the code. */
const LABEL_BEFORE_NAME = /^\.text\.|^(?:compat_)?SyS_|_text_start$/;

/**
 * Among symbols at one address, as crash's `value_search`: at the address itself the first, behind it the last; the kernel's
 * by name, a module's in the order of its table.
 */
function preferred(table: SymbolTable, index: number, address: bigint): number {
  let first = index;
  while (first > 0 && table.addressAt(first - 1) === table.addressAt(index)) first--;
  if (first === index) return index;
  if (table.at(index).module !== undefined) return table.addressAt(index) === address ? first : index;
  const byName = Array.from({ length: index - first + 1 }, (_, at) => first + at)
    .map(at => ({ at, name: table.at(at).name }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (table.addressAt(index) !== address) return byName.at(-1)!.at;
  return LABEL_BEFORE_NAME.test(byName[0]!.name) ? byName[1]!.at : byName[0]!.at;
}

const MAX_UNSIZED = 1000;

/** gdb's choice, `lookup_minimal_symbol_by_pc_section`: past symbols without a size to one with, which must hold the address. */
function gdbSymbol(table: SymbolTable, address: bigint): KernelSymbol | undefined {
  let unsized: KernelSymbol | undefined;
  let at = lastAtOrBelow(table, address);
  for (let count = 0; at >= 0 && count < MAX_UNSIZED; count++) {
    const group: KernelSymbol[] = [];
    const start = table.addressAt(at);
    for (; at >= 0 && table.addressAt(at) === start; at--) if (!isSection(table.at(at))) group.push(table.at(at));
    group.sort((a, b) => (b.nameOffset ?? 0) - (a.nameOffset ?? 0));
    const sized = group.find(({ size }) => (size ?? 0) > 0);
    unsized ??= group.find(({ size }) => (size ?? 0) === 0);
    if (sized !== undefined) {
      if (address < sized.address + BigInt(sized.size ?? 0)) return sized;
      break;
    }
  }
  return unsized !== undefined && /[tTW]/.test(unsized.type) ? unsized : undefined;
}

/** gdb does not take the symbols of sections in. */
function isSection({ nameOffset }: KernelSymbol): boolean {
  return nameOffset === 0;
}

function firstKernelAddress(table: SymbolTable): bigint {
  const index = lastAtOrBelow(table, LOWEST_KERNEL_ADDRESS) + 1;
  return index < table.count ? table.addressAt(index) : LOWEST_KERNEL_ADDRESS;
}
