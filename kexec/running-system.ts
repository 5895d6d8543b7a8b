/**
 * What a loader must know of the production system: its memory, where its notes are, where its kernel lies.
 *
 * kexec-tools reads it from /proc/iomem, /proc/kallsyms, /proc/kcore, /sys/kernel/vmcoreinfo, /sys/devices/system/cpu and
 * /sys/firmware/fdt; a host reads it from the machine's memory.
 * Source for the rules: kexec-tools 2.0.25 `kexec/arch/arm64/kexec-arm64.c` "get_memory_ranges",
 * `kexec/arch/arm64/crashdump-arm64.c` "iomem_range_callback".
 */
import { FormatError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import type { KernelText, NoteLocation } from './elfcorehdr.ts';
import { subtractRanges } from './segments.ts';

/** The production system. */
export interface RunningSystem {
  readonly architecture: 'aarch64' | 'x86_64';
  /** System RAM, ascending. */
  readonly systemRam: readonly PhysicalRange[];
  /** System RAM in which segments may go: less what is reserved, crash kernel regions included. */
  readonly usableRam: readonly PhysicalRange[];
  /** What /proc/iomem has in System RAM that segments must leave as it is, in its order; unknown where only the result is. */
  readonly reserved?: readonly PhysicalRange[] | undefined;
  /** "Crash kernel" in the order of /proc/iomem: low first. The last one is where the capture kernel goes. */
  readonly crashRegions: readonly PhysicalRange[];
  readonly cpuNotes: readonly NoteLocation[];
  readonly vmcoreinfo: NoteLocation | undefined;
  readonly kernelText: KernelText | undefined;
  /** Linear map: virtual address of the physical address `physOffset`. */
  readonly pageOffset: bigint;
  readonly physOffset: number;
  /** Bytes of its CMA areas, where they are known: a capture kernel of the same kind takes as much. */
  readonly cmaBytes?: number | undefined;
  /** /sys/firmware/fdt; empty on machines without one. */
  readonly deviceTree: Uint8Array;
}

/** Address in the linear map. */
export function linearAddress({ pageOffset, physOffset }: RunningSystem, paddr: number): bigint {
  return BigInt.asUintN(64, BigInt(paddr) - BigInt(physOffset) + pageOffset);
}

/** One line of /proc/iomem. */
export interface IomemEntry extends PhysicalRange {
  readonly name: string;
  /** 0 for resources that no other contains. */
  readonly depth: number;
}

/** Reads /proc/iomem. @throws FormatError when a line is none of its lines */
export function parseIomem(text: string, file = '/proc/iomem'): IomemEntry[] {
  const lines = text.split('\n').filter(line => line.trim() !== '');
  return lines.map(line => {
    const match = /^( *)([\da-f]+)-([\da-f]+) : (.*)$/i.exec(line);
    if (match === null) throw new FormatError('not a line of /proc/iomem', { file, found: line.trim() });
    const [, indent, start, end, name] = match;
    return {
      start: Number.parseInt(start!, 16),
      end: Number.parseInt(end!, 16) + 1,
      name: name!.trim(),
      depth: indent!.length / 2,
    };
  });
}

/** Memory of a system by its /proc/iomem. */
export interface IomemMemory {
  readonly systemRam: readonly PhysicalRange[];
  readonly usableRam: readonly PhysicalRange[];
  readonly reserved: readonly PhysicalRange[];
  readonly crashRegions: readonly PhysicalRange[];
  readonly kernelCode: PhysicalRange | undefined;
  readonly kernelData: PhysicalRange | undefined;
}

const KEPT = ['System RAM', 'Kernel code', 'Kernel data'];

/** Sorts the entries as kexec-tools does: what lies in System RAM under another name must stay as it is. */
export function memoryOf(entries: readonly IomemEntry[]): IomemMemory {
  const named = (prefix: string): PhysicalRange[] =>
    entries.filter(({ name }) => name.startsWith(prefix)).map(({ start, end }) => ({ start, end }));
  const systemRam = named('System RAM');
  const crashRegions = named('Crash kernel');
  const region = crashRegions.at(-1);
  // Of several crash kernel regions only the last takes segments.
  const isTaken = ({ name, depth, start }: IomemEntry): boolean =>
    name.startsWith('Crash kernel')
      ? start !== region?.start
      : depth > 0 && !KEPT.some(prefix => name.startsWith(prefix));
  const reserved = entries.filter(isTaken).map(({ start, end }) => ({ start, end }));
  return {
    systemRam,
    usableRam: subtractRanges(systemRam, reserved),
    reserved,
    crashRegions,
    kernelCode: named('Kernel code')[0],
    kernelData: named('Kernel data')[0],
  };
}

/** Types of e820 entries that matter here. */
export const E820_TYPE = { RAM: 1, RESERVED: 2, ACPI: 3, NVS: 4 } as const;

/** An entry of the firmware's memory map. */
export interface E820Entry extends PhysicalRange {
  readonly type: number;
}

/** What x86 has besides a RunningSystem. */
export interface X86Firmware {
  readonly memoryMap: readonly E820Entry[];
  /** /proc/iomem itself, which kexec-tools repeats with `-d`. */
  readonly iomem?: readonly IomemEntry[] | undefined;
  /** /sys/firmware/memmap, where it is known: the map before the kernel took its own out. */
  readonly firmwareMap?: readonly E820Entry[] | undefined;
  /** Root pointer of ACPI that the kernel was told; 0: it found it by itself. */
  readonly acpiRsdp: number;
  /** Its boot parameters, whole. */
  readonly bootParams?: Uint8Array | undefined;
  /** `struct screen_info` of its boot parameters. */
  readonly screenInfo?: Uint8Array | undefined;
  /** Bytes that the purgatory of its kexec_file_load takes, where it is known. */
  readonly purgatorySize?: number | undefined;
  /**
   * /sys/kernel/crash_elfcorehdr_size: its kexec_file_load keeps this much room for the program headers of an ELF core header that grows with CPUs (CONFIG_CRASH_HOTPLUG, since v6.5), and does
   * not verify it. Undefined: it does not. Such kernels use the last page of the region, others leave it free: the search down was
   * off by one before v6.14, and in Debian's v6.12 it is not any more.
   */
  readonly growingHeaderSize?: number | undefined;
  /** CONFIG_IMA_KEXEC: kexec_file_load keeps room for its measurements. */
  readonly hasIma?: boolean | undefined;
}

/** /proc/iomem's names of them, as kexec-tools and the kernel match them. */
const E820_NAMES: Readonly<Record<string, number>> = {
  'System RAM': E820_TYPE.RAM,
  Reserved: E820_TYPE.RESERVED,
  reserved: E820_TYPE.RESERVED,
  'ACPI Tables': E820_TYPE.ACPI,
  'ACPI Non-volatile Storage': E820_TYPE.NVS,
};

/** The firmware's memory map by /proc/iomem. */
export function firmwareMapOf(entries: readonly IomemEntry[]): E820Entry[] {
  return entries.flatMap(({ name, start, end }) => {
    const type = E820_NAMES[name];
    return type === undefined ? [] : [{ start, end, type }];
  });
}

/** The kernel's addresses in /proc/kallsyms that matter. */
export interface KernelAddresses {
  readonly _text: bigint;
  readonly _stext: bigint;
  readonly __init_begin: bigint;
}

/**
 * The kernel's image by /proc/iomem and /proc/kallsyms, as kexec-tools for arm64 works it out.
 * Since v5.11 "Kernel code" begins with `_stext`, before with `_text`.
 */
export function kernelTextOf(memory: IomemMemory, addresses: KernelAddresses): KernelText | undefined {
  const { kernelCode, kernelData } = memory;
  if (kernelCode === undefined || kernelData === undefined) return undefined;
  const codeSize = BigInt(kernelCode.end - kernelCode.start);
  const beginsWithStext = addresses.__init_begin - addresses._stext === codeSize;
  const paddr = beginsWithStext ? kernelCode.start - Number(addresses._stext - addresses._text) : kernelCode.start;
  return { paddr, size: kernelData.end - paddr, vaddr: addresses._text };
}

/** Symbols of /proc/kallsyms by name; the first of a name counts. */
export function parseKallsyms(text: string, names: readonly string[]): Map<string, bigint> {
  const found = new Map<string, bigint>();
  for (const match of text.matchAll(/^([\da-f]+) \S (\S+)/gim)) {
    const name = match[2]!;
    if (names.includes(name) && !found.has(name)) found.set(name, BigInt(`0x${match[1]!}`));
  }
  return found;
}
