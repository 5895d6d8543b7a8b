/**
 * Everything that page tables map, as runs of virtual addresses: what a debugger without page tables needs in the program
 * headers of a core (QEMU's `dump-guest-memory -p`).
 */
import { FaultError } from '../formats/errors.ts';
import type { MemorySource } from '../formats/memory-source.ts';
import { readEntry } from './page-walk.ts';
import type { KernelAddressSpace, TableLevel } from './page-walk.ts';

/** A run that is contiguous in virtual and in physical memory. */
export interface Mapping {
  readonly vaddr: bigint;
  readonly paddr: number;
  /** In bytes. */
  readonly size: number;
}

/** Bound on the entries that are looked at: tables of a corrupt dump may point at themselves. */
const MAX_ENTRIES = 1 << 22;

/** Lists what a kernel's tables map, by virtual address. Tables that cannot be read map nothing. */
export function listKernelMappings(
  memory: MemorySource,
  { architecture, tables, root }: KernelAddressSpace,
): Mapping[] {
  const { tableLevels } = tables;
  const { shift, indexBits } = tableLevels[0]!;
  // arm64's table of the kernel (TTBR1_EL1) has the upper half of addresses only.
  const base = architecture === 'aarch64' ? BigInt.asUintN(64, -1n << BigInt(shift + indexBits)) : 0n;
  const found: Mapping[] = [];
  let entries = 0;
  const visit = (table: number, depth: number, start: bigint): void => {
    const level = tableLevels[depth]!;
    for (let index = 0; index < 2 ** level.indexBits && entries < MAX_ENTRIES; index++, entries++) {
      const entry = entryAt(memory, table + 8 * index);
      if (entry === undefined) return;
      const kind = tables.kindOf(entry, level);
      if (kind === 'none') continue;
      const target = tables.targetOf(entry, level, kind);
      const vaddr = start + (BigInt(index) << BigInt(level.shift));
      if (kind === 'table') visit(target, depth + 1, vaddr);
      else append(found, { vaddr: canonical(vaddr, tableLevels[0]!), paddr: target, size: 2 ** level.shift });
    }
  };
  visit(root, 0, base);
  return found;
}

function entryAt(memory: MemorySource, paddr: number): bigint | undefined {
  try {
    return readEntry(memory, paddr);
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}

/** x86_64's one table has both halves: the highest bit that it resolves goes on into the bits above. */
function canonical(vaddr: bigint, { shift, indexBits }: TableLevel): bigint {
  return vaddr >> 63n === 1n ? vaddr : BigInt.asUintN(64, BigInt.asIntN(shift + indexBits, vaddr));
}

function append(found: Mapping[], next: Mapping): void {
  const last = found.at(-1);
  const follows = last !== undefined && last.vaddr + BigInt(last.size) === next.vaddr;
  if (follows && last.paddr + last.size === next.paddr)
    found[found.length - 1] = { ...last, size: last.size + next.size };
  else found.push(next);
}
