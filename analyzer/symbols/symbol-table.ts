/** What every source of symbols (kallsyms, ELF, System.map, modules) offers, and the search by address and by name. */

/** A symbol. */
export interface KernelSymbol {
  readonly name: string;
  readonly address: bigint;
  /** Letter as nm prints it: `T`, `t`, `D`, `b`, `A`… */
  readonly type: string;
  /** In bytes, where the source of symbols tells. */
  readonly size?: number;
  /** Offset of the name in the string table of an ELF file: by it gdb chooses between symbols of one address. */
  readonly nameOffset?: number;
  /** Name of the module that defines it; undefined for the kernel itself. */
  readonly module: string | undefined;
}

/** A set of symbols, indexed in order of addresses. */
export interface SymbolTable {
  readonly count: number;
  addressAt(index: number): bigint;
  at(index: number): KernelSymbol;
  /** Index of the first symbol of that name, or -1. */
  indexOf(name: string): number;
  /** Indices of all symbols of that name. */
  indicesOf(name: string): number[];
}

/** Index of the last symbol at or below an address, or -1. */
export function lastAtOrBelow(table: SymbolTable, address: bigint): number {
  let low = 0;
  let high = table.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (table.addressAt(middle) <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Hash of a name's bytes (FNV-1a, 32 bits). */
export function hashName(name: string): number {
  let hash = FNV_START;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), FNV_PRIME);
  return hash;
}

export const FNV_START = 0x811c9dc5 | 0;
export const FNV_PRIME = 0x01000193;

/** Open-addressing table from hashes to symbol indices; names are compared by the owner. */
export class NameIndex {
  readonly #slots: Int32Array;
  readonly #mask: number;

  constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(16, count * 2)));
    this.#slots = new Int32Array(size).fill(-1);
    this.#mask = size - 1;
  }

  add(hash: number, index: number): void {
    let slot = hash & this.#mask;
    while (this.#slots[slot] !== -1) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = index;
  }

  /** Candidates in order of insertion. */
  *candidates(hash: number): Generator<number> {
    for (let slot = hash & this.#mask; this.#slots[slot] !== -1; slot = (slot + 1) & this.#mask)
      yield this.#slots[slot]!;
  }
}

/** Symbols given as a list. */
export class ListedSymbols implements SymbolTable {
  readonly #symbols: readonly KernelSymbol[];
  #names: Map<string, number[]> | undefined;

  /** @param symbols in any order */
  constructor(symbols: readonly KernelSymbol[]) {
    this.#symbols = symbols.toSorted((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  }

  get count(): number {
    return this.#symbols.length;
  }

  addressAt(index: number): bigint {
    return this.#symbols[index]!.address;
  }

  at(index: number): KernelSymbol {
    return this.#symbols[index]!;
  }

  indexOf(name: string): number {
    return this.indicesOf(name)[0] ?? -1;
  }

  indicesOf(name: string): number[] {
    this.#names ??= this.#indexNames();
    return this.#names.get(name) ?? [];
  }

  #indexNames(): Map<string, number[]> {
    const names = new Map<string, number[]>();
    for (const [index, { name }] of this.#symbols.entries()) {
      const list = names.get(name);
      if (list === undefined) names.set(name, [index]);
      else list.push(index);
    }
    return names;
  }
}
