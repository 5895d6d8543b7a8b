/** Numbers for the kinds of memory access, to name one in compiled code. */
import type { MemoryAccess } from '../ir/block.ts';
import type { AccessSize } from '../ir/types.ts';

/** Packs an access into a number below 256. */
export function accessKey({ size, regime, alignment, forWrite }: MemoryAccess): number {
  return (
    (31 - Math.clz32(size)) |
    ((31 - Math.clz32(alignment)) << 3) |
    (regime === 'unprivileged' ? 64 : 0) |
    (forWrite ? 128 : 0)
  );
}

/** The access of each key. */
export const ACCESS_BY_KEY: readonly MemoryAccess[] = Array.from({ length: 256 }, (_, key) => ({
  size: (1 << (key & 7)) as AccessSize,
  alignment: (1 << ((key >> 3) & 7)) as MemoryAccess['alignment'],
  regime: (key & 64) !== 0 ? 'unprivileged' : 'current',
  forWrite: (key & 128) !== 0,
}));
