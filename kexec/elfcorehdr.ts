/**
 * The ELF core header: how the production kernel's memory and notes look to the capture kernel's `/proc/vmcore`.
 *
 * Sources: kexec-tools 2.0.25 `kexec/crashdump-elf.c`; Linux v6.12 `kernel/crash_core.c` "crash_prepare_elf64_headers". Both write a
 * PT_NOTE for each CPU and one for VMCOREINFO, a PT_LOAD for the kernel image, and one for each range of System RAM less the crash
 * kernel region. They differ in the size that they round up to.
 */
import { alignUp } from '../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR, ELF_MAGIC, ELFCLASS64, ELFDATA2LSB, EM, ET, PT } from '../capture/formats/elf.ts';
import type { Phdr } from '../capture/formats/elf.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';

/** A note in physical memory. */
export interface NoteLocation {
  readonly paddr: number;
  readonly size: number;
}

/** Where the running kernel's image is. */
export interface KernelText {
  readonly paddr: number;
  /** From `_text` to `_end`. */
  readonly size: number;
  /** `_text`. */
  readonly vaddr: bigint;
}

/** What the header tells. */
export interface ElfcorehdrContents {
  readonly architecture: 'aarch64' | 'x86_64';
  /** `crash_notes` of each CPU. */
  readonly cpuNotes: readonly NoteLocation[];
  readonly vmcoreinfo: NoteLocation | undefined;
  readonly kernelText: KernelText | undefined;
  /** System RAM less the crash kernel region, ascending. */
  readonly ranges: readonly PhysicalRange[];
  /** Linear-map address of a physical one. */
  readonly linearAddress: (paddr: number) => bigint;
  /** A range whose contents a purgatory copies elsewhere: they are read from there. */
  readonly moved?: (PhysicalRange & { readonly to: number }) | undefined;
}

/** ELF_CORE_HEADER_ALIGN of kexec-tools: `memmap=` of old kernels counted in KiB. */
export const KEXEC_TOOLS_ALIGN = 1024;
/** ELF_CORE_HEADER_ALIGN of the kernel. */
export const KERNEL_ALIGN = 4096;
/** PF_R, PF_W and PF_X. */
const RWX = 7;

/** Program headers in the order in which both write them. */
export function coreProgramHeaders(contents: ElfcorehdrContents): Partial<Phdr>[] {
  const { cpuNotes, vmcoreinfo, kernelText, ranges, linearAddress, moved } = contents;
  const notes = vmcoreinfo === undefined ? cpuNotes : [...cpuNotes, vmcoreinfo];
  return [
    ...notes.map(({ paddr, size }) => header(PT.NOTE, paddr, size, 0n)),
    ...(kernelText === undefined ? [] : [header(PT.LOAD, kernelText.paddr, kernelText.size, kernelText.vaddr)]),
    ...ranges.map(({ start, end }) => {
      const phdr = header(PT.LOAD, start, end - start, linearAddress(start));
      return moved?.start === start && moved.end === end ? { ...phdr, p_offset: moved.to } : phdr;
    }),
  ];
}

/** `p_offset` is the physical address: the capture kernel reads through it and makes file offsets of its own. */
function header(p_type: number, paddr: number, size: number, p_vaddr: bigint): Partial<Phdr> {
  const p_flags = p_type === PT.LOAD ? RWX : 0;
  return { p_type, p_flags, p_offset: paddr, p_paddr: BigInt(paddr), p_vaddr, p_filesz: size, p_memsz: size };
}

/** Size that the kernel gives the header: it always has room for a kernel mapping. */
export function kernelHeaderSize(contents: ElfcorehdrContents): number {
  const count = contents.cpuNotes.length + 1 + contents.ranges.length + 1;
  return alignUp(ELF64_EHDR.size + count * ELF64_PHDR.size, KERNEL_ALIGN);
}

/** Size that kexec-tools gives the header. */
export function kexecToolsHeaderSize(contents: ElfcorehdrContents): number {
  return alignUp(ELF64_EHDR.size + coreProgramHeaders(contents).length * ELF64_PHDR.size, KEXEC_TOOLS_ALIGN);
}

/** On x86_64 kexec-tools counts every range of the memory map, RAM or not. @param ranges how many there are */
export function toolsHeaderSizeOfX86(contents: ElfcorehdrContents, ranges: number): number {
  const count = coreProgramHeaders(contents).length - contents.ranges.length + ranges;
  return alignUp(ELF64_EHDR.size + count * ELF64_PHDR.size, KEXEC_TOOLS_ALIGN);
}

/**
 * Builds the header.
 * @param size bytes, at least what the headers need; zeros follow them
 */
export function buildElfcorehdr(contents: ElfcorehdrContents, size: number): Uint8Array {
  const headers = coreProgramHeaders(contents);
  const bytes = new Uint8Array(size);
  bytes.set(
    ELF64_EHDR.build({
      magic: ELF_MAGIC,
      ei_class: ELFCLASS64,
      ei_data: ELFDATA2LSB,
      ei_version: 1,
      e_type: ET.CORE,
      e_machine: contents.architecture === 'aarch64' ? EM.AARCH64 : EM.X86_64,
      e_version: 1,
      e_phoff: ELF64_EHDR.size,
      e_ehsize: ELF64_EHDR.size,
      e_phentsize: ELF64_PHDR.size,
      e_phnum: headers.length,
    }),
  );
  for (const [i, phdr] of headers.entries()) bytes.set(ELF64_PHDR.build(phdr), ELF64_EHDR.size + i * ELF64_PHDR.size);
  return bytes;
}
