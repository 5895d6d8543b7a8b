/** Flags of `struct page`; `include/linux/page-flags.h`. The numbers are those of the dump's own `enum pageflags`. */
import type { Program } from '../program.ts';

const cache = new WeakMap<Program, readonly (readonly [bit: number, name: string])[]>();

/** Bits and names of the flags of this kernel, lowest first. */
export function pageFlags(program: Program): readonly (readonly [bit: number, name: string])[] {
  const known = cache.get(program);
  if (known !== undefined) return known;
  const names = new Map<number, string>();
  const end = program.types.enumerator('pageflags', '__NR_PAGEFLAGS') ?? 64;
  for (const { name, value } of program.types.findEnum('pageflags')?.enumerators ?? []) {
    const bit = Number(value);
    if (bit < end && !names.has(bit) && name.startsWith('PG_')) names.set(bit, name.slice(3));
  }
  const list = [...names].sort(([a], [b]) => a - b);
  cache.set(program, list);
  return list;
}

/** The flags as `enum pageflags` lists them: several names may share a bit. */
export function pageFlagEntries(program: Program): { readonly name: string; readonly bit: number }[] {
  const end = program.types.enumerator('pageflags', '__NR_PAGEFLAGS') ?? 64;
  return (program.types.findEnum('pageflags')?.enumerators ?? [])
    .map(({ name, value }) => ({ name, bit: Number(value) }))
    .filter(({ name, bit }) => name.startsWith('PG_') && bit < end);
}

/** Names of the flags that are set. */
export function pageFlagNames(program: Program, flags: bigint): string[] {
  return pageFlags(program)
    .filter(([bit]) => ((flags >> BigInt(bit)) & 1n) === 1n)
    .map(([, name]) => name);
}

/** Number of a flag, or undefined when this kernel lacks it. */
export function pageFlagBit(program: Program, name: string): number | undefined {
  return pageFlags(program).find(([, known]) => known === name)?.[0];
}
