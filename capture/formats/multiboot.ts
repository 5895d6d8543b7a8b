/** How a kernel asks to be booted by Multiboot. Source: "Multiboot Specification version 0.6.96", "OS image format". */
import { readU32 } from './bytes.ts';
import { isElf } from './elf.ts';

const MAGIC = 0x1bad_b002;
/** The header begins within this many bytes of the file. */
const SEARCHED = 8192;
const ELFCLASS32 = 1;

/** Flags of the header that ask a loader for more than memory. */
export const MULTIBOOT_FLAG = { VIDEO: 1 << 2, ADDRESSES: 1 << 16 } as const;

/** Flags of the Multiboot header of a 32-bit ELF file, if it has one. */
export function findMultibootFlags(kernel: Uint8Array): number | undefined {
  if (!isElf(kernel) || kernel[4] !== ELFCLASS32) return undefined;
  const last = Math.min(kernel.length, SEARCHED) - 12;
  for (let at = 0; at <= last; at += 4) {
    if (readU32(kernel, at) !== MAGIC) continue;
    const flags = readU32(kernel, at + 4);
    if (((MAGIC + flags + readU32(kernel, at + 8)) | 0) === 0) return flags;
  }
  return undefined;
}
