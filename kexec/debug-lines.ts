/**
 * Lines that kexec-tools prints with `-d` on both architectures.
 *
 * Source: kexec-tools 2.0.25 `kexec/kexec.c` "dbgprint_mem_range", `kexec/crashdump-elf.c` "dbgprintf_phdr".
 */
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { coreProgramHeaders, type ElfcorehdrContents } from './elfcorehdr.ts';
import type { Say } from './load-plan.ts';

/** `%lx`. */
export const hex = (value: number | bigint): string => value.toString(16);
/** `%016lx`. */
export const hex16 = (value: number | bigint): string => hex(value).padStart(16, '0');

/** RANGE_* of kexec-tools. */
export const RANGE_TYPE = { RAM: 0, RESERVED: 1, ACPI: 2, ACPI_NVS: 3 } as const;

/** A range of memory with a number for its use. */
export interface TypedRange extends PhysicalRange {
  readonly type: number;
}

/** A title and a line for each range. */
export function sayMemoryRanges(say: Say, title: string, ranges: readonly TypedRange[]): void {
  say(title);
  for (const { start, end, type } of ranges) say(`${hex16(start)}-${hex16(end - 1)} (${type})`);
}

/** A line for each program header of an ELF core header. */
function describeHeaders(contents: ElfcorehdrContents, say: Say): void {
  const { cpuNotes, vmcoreinfo, kernelText } = contents;
  const vmcoreinfoAt = vmcoreinfo === undefined ? -1 : cpuNotes.length;
  const textAt = kernelText === undefined ? -1 : cpuNotes.length + (vmcoreinfo === undefined ? 0 : 1);
  for (const [i, phdr] of coreProgramHeaders(contents).entries()) {
    const prefix = i === vmcoreinfoAt ? 'vmcoreinfo header' : i === textAt ? 'Kernel text Elf header' : 'Elf header';
    const fields = (['p_type', 'p_offset', 'p_paddr', 'p_vaddr', 'p_filesz', 'p_memsz'] as const).map(field =>
      field === 'p_type' ? `p_type = ${phdr.p_type}` : `${field} = 0x${hex(phdr[field] ?? 0)}`,
    );
    say(`${prefix}: ${fields[0]}, ${fields.slice(1).join(' ')}`);
  }
}

/** As describeHeaders, and where each CPU's notes are. */
export function describeToolsHeaders(contents: ElfcorehdrContents, say: Say): void {
  let cpu = 0;
  describeHeaders(contents, line => {
    const note = contents.cpuNotes[cpu++];
    if (note !== undefined) say(`get_crash_notes_per_cpu: crash_notes addr = ${hex(note.paddr)}, size = ${note.size}`);
    say(line);
  });
}

/** What the kernel says of an ELF core header's PT_LOAD in kexec_file_load; v6.12 `kernel/crash_core.c`. */
export function describeLoads(contents: ElfcorehdrContents, say: Say): void {
  const headers = coreProgramHeaders(contents);
  const first = headers.length - contents.ranges.length;
  for (const [i, phdr] of headers.entries()) {
    if (i < first) continue;
    say(
      `crash_core: Crash PT_LOAD ELF header. phdr=0x0 vaddr=0x${hex(phdr.p_vaddr ?? 0n)}, paddr=0x${hex(phdr.p_paddr ?? 0n)}, ` +
        `sz=0x${hex(phdr.p_filesz ?? 0)} e_phnum=${i + 1} p_offset=0x${hex(phdr.p_offset ?? 0)}`,
    );
  }
}
