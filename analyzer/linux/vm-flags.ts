/** `vm_flags`; `include/linux/mm.h` (Linux v6.12). */

const VM_FLAGS: readonly (readonly [bit: bigint, name: string])[] = [
  [0x1n, 'READ'],
  [0x2n, 'WRITE'],
  [0x4n, 'EXEC'],
  [0x8n, 'SHARED'],
  [0x10n, 'MAYREAD'],
  [0x20n, 'MAYWRITE'],
  [0x40n, 'MAYEXEC'],
  [0x80n, 'MAYSHARE'],
  [0x100n, 'GROWSDOWN'],
  [0x200n, 'UFFD_MISSING'],
  [0x400n, 'PFNMAP'],
  [0x1000n, 'UFFD_WP'],
  [0x2000n, 'LOCKED'],
  [0x4000n, 'IO'],
  [0x8000n, 'SEQ_READ'],
  [0x1_0000n, 'RAND_READ'],
  [0x2_0000n, 'DONTCOPY'],
  [0x4_0000n, 'DONTEXPAND'],
  [0x8_0000n, 'LOCKONFAULT'],
  [0x10_0000n, 'ACCOUNT'],
  [0x20_0000n, 'NORESERVE'],
  [0x40_0000n, 'HUGETLB'],
  [0x80_0000n, 'SYNC'],
  [0x100_0000n, 'ARCH_1'],
  [0x200_0000n, 'WIPEONFORK'],
  [0x400_0000n, 'DONTDUMP'],
  [0x800_0000n, 'SOFTDIRTY'],
  [0x1000_0000n, 'MIXEDMAP'],
  [0x2000_0000n, 'HUGEPAGE'],
  [0x4000_0000n, 'NOHUGEPAGE'],
  [0x8000_0000n, 'MERGEABLE'],
];

/** Names of the bits that are set. */
export function vmFlagNames(flags: bigint): string[] {
  return VM_FLAGS.filter(([bit]) => (flags & bit) !== 0n).map(([, name]) => name);
}
