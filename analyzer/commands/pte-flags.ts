/** Names of the flags of page-table entries, as crash lists them. */

/** `arch/arm64/include/asm/pgtable-{hwdef,prot}.h`: attributes of block and page descriptors, and Linux's software bits. */
const AARCH64: readonly (readonly [bit: bigint, name: string])[] = [
  [1n << 0n, 'VALID'],
  [1n << 6n, 'USER'],
  [1n << 7n, 'RDONLY'],
  [3n << 8n, 'SHARED'],
  [1n << 10n, 'AF'],
  [1n << 11n, 'NG'],
  [1n << 53n, 'PXN'],
  [1n << 54n, 'UXN'],
  [1n << 55n, 'DIRTY'],
  [1n << 56n, 'SPECIAL'],
  [1n << 57n, 'DEVMAP'],
];

/** `arch/x86/include/asm/pgtable_types.h`. */
const X86_64: readonly (readonly [bit: bigint, name: string])[] = [
  [0x1n, 'PRESENT'],
  [0x2n, 'RW'],
  [0x4n, 'USER'],
  [0x8n, 'PWT'],
  [0x10n, 'PCD'],
  [0x20n, 'ACCESSED'],
  [0x40n, 'DIRTY'],
  [0x80n, 'PSE'],
  [0x100n, 'GLOBAL'],
  [1n << 63n, 'NX'],
];

/** Names of the flags that are set in an entry. */
export function pteFlags(architecture: 'aarch64' | 'x86_64', entry: bigint): string[] {
  const table = architecture === 'aarch64' ? AARCH64 : X86_64;
  return table.filter(([bit]) => (entry & bit) === bit).map(([, name]) => name);
}
