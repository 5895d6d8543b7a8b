/**
 * The kernel's own symbol table, read from the dump.
 *
 * Source: `scripts/kallsyms.c` and `kernel/kallsyms.c` (Linux v4.6 to v6.12). A name is a length (one byte, or two with
 * the high bit of the first set: commit 73bbb94466fd "kallsyms: support "big" kernel symbols", v6.1) and that many token
 * numbers; the first character of the expansion is the type letter. Addresses are 32-bit offsets from
 * `kallsyms_relative_base`; with KALLSYMS_ABSOLUTE_PERCPU non-negative offsets are absolute and negative ones count down
 * from base − 1; before v4.6, or without BASE_RELATIVE, they are 64-bit addresses.
 */
import { asWords32, cString, readU16, readU64 } from '../../capture/formats/bytes.ts';
import { FormatError } from '../../capture/formats/errors.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { FNV_PRIME, FNV_START, NameIndex, hashName } from './symbol-table.ts';
import type { KernelSymbol, SymbolTable } from './symbol-table.ts';

const TOKENS = 256;
const MAX_SYMBOLS = 4_000_000;
/** More than the longest token table seen (names of 512 characters squeezed into 256 tokens). */
const TOKEN_TABLE_LIMIT = 8192;
const NAMES_CHUNK = 0x2_0000;
const BIG_NAME = 0x80;

/** Where the tables stand. */
export interface KallsymsLocation {
  readonly names: bigint;
  readonly numSyms: bigint;
  readonly tokenTable: bigint;
  readonly tokenIndex: bigint;
  /** `kallsyms_offsets`, or `kallsyms_addresses` when there is no `relativeBase`. */
  readonly offsets: bigint;
  /** What the offsets count from: the value of `kallsyms_relative_base` at this address, or each entry's own place (v7.x). */
  readonly relativeBase: bigint | 'own place' | undefined;
}

/** Symbols of the kernel image. Names stay compressed; one is expanded when it is asked for. */
export class Kallsyms implements SymbolTable {
  readonly count: number;
  readonly location: KallsymsLocation;
  /** Bytes that `kallsyms_names` occupies. */
  readonly namesLength: number;
  readonly #names: Uint8Array;
  readonly #nameStarts: Uint32Array;
  readonly #tokens: readonly Uint8Array[];
  readonly #addresses: BigUint64Array;
  /** Position in the table of the symbol at a rank of address order. */
  readonly #order: Uint32Array | undefined;
  #index: NameIndex | undefined;

  /**
   * Reads the tables.
   * @throws FaultError when the dump lacks them
   * @throws FormatError when they are not what kallsyms looks like
   */
  constructor(reader: MemoryReader, location: KallsymsLocation) {
    this.location = location;
    this.count = reader.readU32(location.numSyms);
    if (this.count === 0 || this.count > MAX_SYMBOLS) {
      throw new FormatError('kallsyms_num_syms is impossible', {
        expected: `1 to ${MAX_SYMBOLS}`,
        found: `${this.count}`,
      });
    }
    this.#tokens = readTokens(reader, location);
    const names = readNames(reader, location.names, this.count);
    this.#names = names.bytes;
    this.#nameStarts = names.starts;
    this.namesLength = names.length;
    const addresses = readAddresses(reader, location, this.count);
    this.#order = orderOf(addresses);
    this.#addresses =
      this.#order === undefined ? addresses : addresses.map((_, rank) => addresses[this.#order![rank]!]!);
  }

  addressAt(index: number): bigint {
    return this.#addresses[index]!;
  }

  at(index: number): KernelSymbol {
    const text = this.#expand(index);
    return { name: text.slice(1), type: text[0]!, address: this.#addresses[index]!, module: undefined };
  }

  indexOf(name: string): number {
    let best = -1;
    this.#index ??= this.#hashAll();
    for (const index of this.#index.candidates(hashName(name))) {
      if ((best === -1 || index < best) && this.#expand(index).slice(1) === name) best = index;
    }
    return best;
  }

  indicesOf(name: string): number[] {
    this.#index ??= this.#hashAll();
    const found = [...this.#index.candidates(hashName(name))].filter(index => this.#expand(index).slice(1) === name);
    return found.sort((a, b) => a - b);
  }

  #expand(index: number): string {
    const position = this.#nameStarts[this.#order?.[index] ?? index]!;
    const { length, start } = nameLength(this.#names, position);
    let text = '';
    for (let i = 0; i < length; i++) {
      for (const char of this.#tokens[this.#names[start + i]!]!) text += String.fromCharCode(char);
    }
    return text;
  }

  /** Hashes all names in one pass over the compressed bytes, without making strings. */
  #hashAll(): NameIndex {
    const table = new NameIndex(this.count);
    for (let index = 0; index < this.count; index++) {
      const { length, start } = nameLength(this.#names, this.#nameStarts[this.#order?.[index] ?? index]!);
      let hash = FNV_START;
      let isType = true;
      for (let i = start; i < start + length; i++) {
        const token = this.#tokens[this.#names[i]!]!;
        for (let k = isType ? 1 : 0; k < token.length; k++) hash = Math.imul(hash ^ token[k]!, FNV_PRIME);
        if (token.length > 0) isType = false;
      }
      table.add(hash, index);
    }
    return table;
  }
}

function nameLength(names: Uint8Array, position: number): { length: number; start: number } {
  const first = names[position] ?? 0;
  if ((first & BIG_NAME) === 0) return { length: first, start: position + 1 };
  return { length: (first & 0x7f) | ((names[position + 1] ?? 0) << 7), start: position + 2 };
}

function readTokens(reader: MemoryReader, location: KallsymsLocation): Uint8Array[] {
  const table = reader.readAvailable(location.tokenTable, TOKEN_TABLE_LIMIT);
  const index = reader.readBytes(location.tokenIndex, 2 * TOKENS);
  return Array.from({ length: TOKENS }, (_, token) => {
    const start = readU16(index, 2 * token);
    if (start >= table.length) throw new FormatError('kallsyms_token_index points outside kallsyms_token_table');
    return Uint8Array.from(Buffer.from(cString(table, start), 'latin1'));
  });
}

/** Reads the names and notes where each begins; the end of the table is known only by walking it. */
function readNames(
  reader: MemoryReader,
  address: bigint,
  count: number,
): { bytes: Uint8Array; starts: Uint32Array; length: number } {
  const starts = new Uint32Array(count);
  let bytes = reader.readAvailable(address, NAMES_CHUNK);
  let position = 0;
  for (let index = 0; index < count; index++) {
    if (position + 2 + 2 * BIG_NAME * BIG_NAME > bytes.length) bytes = extend(reader, address, bytes);
    starts[index] = position;
    const { length, start } = nameLength(bytes, position);
    position = start + length;
    if (length === 0 || position > bytes.length)
      throw new FormatError(`kallsyms_names is damaged at symbol ${index} of ${count}`);
  }
  return { bytes: bytes.slice(0, position), starts, length: position };
}

/** Doubles what has been read of the names. */
function extend(reader: MemoryReader, address: bigint, bytes: Uint8Array): Uint8Array {
  const more = reader.readAvailable(address + BigInt(bytes.length), bytes.length);
  if (more.length === 0) return bytes;
  const joined = new Uint8Array(bytes.length + more.length);
  joined.set(bytes);
  joined.set(more, bytes.length);
  return joined;
}

function readAddresses(reader: MemoryReader, location: KallsymsLocation, count: number): BigUint64Array {
  const addresses = new BigUint64Array(count);
  if (location.relativeBase === undefined) {
    const bytes = reader.readBytes(location.offsets, 8 * count);
    for (let i = 0; i < count; i++) addresses[i] = readU64(bytes, 8 * i);
    return addresses;
  }
  const offsets = asWords32(reader.readBytes(location.offsets, 4 * count));
  if (location.relativeBase === 'own place') {
    for (let i = 0; i < count; i++) addresses[i] = location.offsets + BigInt(4 * i + (offsets[i]! | 0));
    return addresses;
  }
  const base = reader.readU64(location.relativeBase);
  const absolutePercpu = offsets.some(offset => offset >= SIGN_BIT);
  for (let i = 0; i < count; i++) {
    const offset = offsets[i]!;
    if (!absolutePercpu) addresses[i] = base + BigInt(offset);
    else addresses[i] = offset < SIGN_BIT ? BigInt(offset) : base - 1n - BigInt(offset | 0);
  }
  return addresses;
}

const SIGN_BIT = 0x8000_0000;

/** Ranks by address when the table is not in that order already. */
function orderOf(addresses: BigUint64Array): Uint32Array | undefined {
  let sorted = true;
  for (let i = 1; i < addresses.length && sorted; i++) sorted = addresses[i - 1]! <= addresses[i]!;
  if (sorted) return undefined;
  return Uint32Array.from(addresses.keys()).sort((a, b) => {
    const [left, right] = [addresses[a]!, addresses[b]!];
    return left < right ? -1 : left > right ? 1 : a - b;
  });
}
