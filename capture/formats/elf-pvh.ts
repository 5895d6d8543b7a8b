/** The entry point that a kernel for PCs offers virtual machines. Source: Xen "x86/HVM direct boot ABI" (PVH). */
import { readSize64 } from './bytes.ts';
import { type ElfFile, PT } from './elf.ts';
import { parseNotes } from './elf-notes.ts';

/** Note of owner Xen that holds the 32-bit physical entry point. */
const XEN_ELFNOTE_PHYS32_ENTRY = 18;

/** Physical address at which the kernel is entered in 32-bit mode, if it says so. */
export function findPvhEntry({ segments, source }: ElfFile): number | undefined {
  const descriptor = segments
    .filter(({ p_type }) => p_type === PT.NOTE)
    .flatMap(({ p_offset, p_filesz }) => parseNotes(source.read(p_offset, p_filesz)))
    .find(({ name, type }) => name === 'Xen' && type === XEN_ELFNOTE_PHYS32_ENTRY)?.descriptor;
  return descriptor && readSize64(descriptor, 0);
}
