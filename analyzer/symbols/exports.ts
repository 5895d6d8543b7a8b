/**
 * Symbols that the kernel exports to modules, read from its `__ksymtab` sections.
 *
 * For kernels built without KALLSYMS_ALL, whose kallsyms have functions only: exported variables (`init_task`,
 * `jiffies`, `__per_cpu_offset`) are found here. Source: `include/linux/export-internal.h` and `kernel/module/main.c`
 * `struct kernel_symbol` (Linux v6.12) with HAVE_ARCH_PREL32_RELOCATIONS: three 32-bit offsets, each relative to itself
 * (value, name, namespace).
 * Not modelled: `__ksymtab` with absolute pointers (kernels before 4.19).
 */
import { asBuffer, asWords32, readI32 } from '../../capture/formats/bytes.ts';
import type { MemoryReader } from '../memory-reader.ts';
import type { KernelSymbol } from './symbol-table.ts';

const ENTRY_SIZE = 12;
/** A name that every kernel exports: it tells where the strings are. */
const LANDMARK = Buffer.from('\0init_task\0', 'latin1');
/** Entries in a row before they are believed. */
const CONVINCING = 8;
/** Exported names are shorter (MODULE_NAME_LEN and KSYM_NAME_LEN bound them). */
const LONGEST_NAME = 128;
/** `__ksymtab_strings` is smaller. */
const NAMES_SPREAD = 2 ** 20;

/**
 * Finds the exported symbols in a part of the kernel image.
 * @param start where to search from: the end of kallsyms, which stands before `__ksymtab` in the read-only data
 * @param length bytes to search at most
 */
export function findExports(reader: MemoryReader, start: bigint, length: number): KernelSymbol[] {
  const bytes = reader.readAvailable(start, length);
  const landmark = asBuffer(bytes).indexOf(LANDMARK);
  if (landmark === -1) return [];
  const symbols: KernelSymbol[] = [];
  const words = asWords32(bytes);
  for (let at = 0; at + ENTRY_SIZE * CONVINCING <= landmark;) {
    const run = mayBeEntry(words, at, landmark) ? entriesFrom(bytes, at) : 0;
    if (run < CONVINCING) {
      at += 4;
      continue;
    }
    for (let index = 0; index < run; index++) symbols.push(exportedSymbol(bytes, start, at + ENTRY_SIZE * index));
    at += ENTRY_SIZE * run;
  }
  return symbols;
}

/** Names stand behind their entries and within 1 MiB: most words fail this at once. */
function mayBeEntry(words: Uint32Array, at: number, landmark: number): boolean {
  const name = at + 4 + (words[(at >> 2) + 1]! | 0);
  return name > at && name > landmark - NAMES_SPREAD && name < landmark + NAMES_SPREAD;
}

/** Counts valid entries in a row. */
function entriesFrom(bytes: Uint8Array, at: number): number {
  let count = 0;
  while (nameOffset(bytes, at + ENTRY_SIZE * count) !== undefined) count++;
  return count;
}

/** Offset of an entry's name, when the entry can be one. The linker merges tails: a name may begin inside another. */
function nameOffset(bytes: Uint8Array, at: number): number | undefined {
  if (at + ENTRY_SIZE > bytes.length) return undefined;
  const name = at + 4 + readI32(bytes, at + 4);
  if (name <= at || name + LONGEST_NAME >= bytes.length || !isIdentifierStart(bytes[name]!)) return undefined;
  for (let length = 1; length < LONGEST_NAME; length++) {
    const char = bytes[name + length]!;
    if (char === 0) return name;
    if (!isIdentifierStart(char) && !(char >= 0x30 && char <= 0x39)) return undefined;
  }
  return undefined;
}

function isIdentifierStart(char: number): boolean {
  return (char >= 0x61 && char <= 0x7a) || (char >= 0x41 && char <= 0x5a) || char === 0x5f;
}

function exportedSymbol(bytes: Uint8Array, start: bigint, at: number): KernelSymbol {
  const name = nameOffset(bytes, at)!;
  const end = bytes.indexOf(0, name);
  return {
    name: asBuffer(bytes).toString('latin1', name, end === -1 ? bytes.length : end),
    address: BigInt.asUintN(64, start + BigInt(at) + BigInt(readI32(bytes, at))),
    type: 'D',
    module: undefined,
  };
}
