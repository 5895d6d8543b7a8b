/**
 * A running Linux kernel looked at from outside: opened through the machine's memory, as the analyzer opens a dump, and described as a
 * loader must know it.
 */
import { dataReferences } from '../../analyzer/symbols/code-references.ts';
import { Program } from '../../analyzer/program.ts';
import type { StructObject } from '../../analyzer/types/object.ts';
import { asBuffer, readU32 } from '../../capture/formats/bytes.ts';
import { FaultError, FormatError, UnimplementedError } from '../../capture/formats/errors.ts';
import { NT, parseNotes } from '../../capture/formats/elf-notes.ts';
import type { PhysicalRange } from '../../capture/formats/memory-source.ts';
import { machineDump, type MachineState } from '../../capture/sources/machine-memory.ts';
import type { LoadedImage } from '../../kexec/recognise.ts';
import type { KernelText, NoteLocation } from '../../kexec/elfcorehdr.ts';
import { BOOT_PARAMS_SIZE, E820_ENTRY_SIZE, MOST_E820_ENTRIES, SCREEN_INFO_SIZE } from '../../kexec/boot-params.ts';
import { noteBufferSize } from '../../kexec/crash-shutdown.ts';
import { subtractRanges } from '../../kexec/segments.ts';
import { MOST_SEGMENTS } from '../../kexec/syscalls.ts';
import {
  firmwareMapOf,
  memoryOf,
  type IomemEntry,
  type IomemMemory,
  type E820Entry,
  type RunningSystem,
  type X86Firmware,
} from '../../kexec/running-system.ts';

/** VMCOREINFO_NOTE_SIZE: a page, the header and the name, and the end of notes. */
const VMCOREINFO_NOTE_SIZE = 0x1024;
const NOTE_START = Buffer.from('VMCOREINFO\0\0', 'latin1');
const NOTE_HEADER_SIZE = 12;
/** sizeof(struct kexec_segment) of 64-bit kernels. */
const KEXEC_SEGMENT_SIZE = 32;
const PAGE = 4096;
/** sizeof(note_buf_t) rounded up to a power of two. */
const NOTES_ALIGNMENT = 512;
/** Bounds of a walk through /proc/iomem's tree. */
const MOST_RESOURCES = 10_000;

/**
 * Opens the kernel that a machine runs.
 * @returns undefined while there is none, or it has not described itself yet (VMCOREINFO: about the time of subsys_initcall)
 */
export function openLiveKernel(machine: MachineState): Program | undefined {
  try {
    const dump = machineDump(machine);
    return dump.vmcoreinfo === undefined ? undefined : new Program({ dump });
  } catch (error) {
    if (error instanceof FormatError || error instanceof FaultError || error instanceof UnimplementedError)
      return undefined;
    throw error;
  }
}

/** Describes the kernel for a loader. @param deviceTree that it was booted with; x86_64 has none */
export function describeLiveKernel(
  program: Program,
  machine: Pick<MachineState, 'read' | 'ram'>,
  deviceTree: Uint8Array = new Uint8Array(0),
): RunningSystem {
  const entries = iomemOf(program);
  const memory = memoryOf(entries);
  const { architecture } = program;
  return {
    architecture,
    ...memory,
    cpuNotes: crashNotesOf(program, { read: machine.read, ram: subtractRanges(machine.ram, memory.crashRegions) }),
    vmcoreinfo: findVmcoreinfoNote(program, machine),
    kernelText: kernelTextOf(program, memory),
    cmaBytes: cmaBytesOf(program),
    ...(architecture === 'aarch64' ? linearMapOfAarch64(program, memory) : linearMapOfX86(program)),
    deviceTree,
  };
}

/** `totalcma_pages`; undefined where kallsyms has functions only. */
function cmaBytesOf(program: Program): number | undefined {
  const address = program.symbols.find('totalcma_pages');
  return address === undefined ? undefined : Number(program.memory.readU64(address)) * PAGE;
}

/** What firmware told an x86 kernel, as it tells its user space: /proc/iomem has the map, /sys/kernel/boot_params the rest. */
export function firmwareOfLiveKernel(program: Program): X86Firmware {
  const params = program.symbols.find('boot_params');
  const iomem = iomemOf(program);
  return {
    iomem,
    memoryMap: firmwareMapOf(iomem),
    firmwareMap: firmwareTableOf(program),
    growingHeaderSize: growingHeaderSizeOf(program),
    acpiRsdp: params === undefined ? 0 : Number(program.memory.readU64(params + BigInt(ACPI_RSDP_ADDR))),
    bootParams: params === undefined ? undefined : program.memory.readBytes(params, BOOT_PARAMS_SIZE),
    screenInfo: params === undefined ? undefined : program.memory.readBytes(params, SCREEN_INFO_SIZE),
  };
}

/** /sys/kernel/crash_elfcorehdr_size: a constant that a function returns (`mov $size, %eax`). */
function growingHeaderSizeOf(program: Program): number | undefined {
  const start = program.symbols.find('arch_crash_get_elfcorehdr_size');
  if (start === undefined) return undefined;
  const code = program.memory.readBytes(start, 24);
  const at = code.indexOf(MOV_EAX);
  return at < 0 ? undefined : readU32(code, at + 1);
}

const MOV_EAX = 0xb8;

/** /sys/firmware/memmap comes from `e820_table_firmware`; undefined where the kernel does not let itself be asked. */
function firmwareTableOf(program: Program): E820Entry[] | undefined {
  const pointer = program.symbols.find('e820_table_firmware');
  if (pointer === undefined || !program.types.has('e820_table', 'nr_entries')) return undefined;
  const table = program.object('e820_table', program.memory.readU64(pointer));
  const first = table.addressOf('entries');
  return Array.from({ length: Math.min(table.num('nr_entries'), MOST_E820_ENTRIES) }, (_, i) => {
    const at = first + BigInt(i * E820_ENTRY_SIZE);
    const start = Number(program.memory.readU64(at));
    const size = Number(program.memory.readU64(at + 8n));
    return { start, end: start + size, type: program.memory.readU32(at + 16n) };
  });
}

/** `acpi_rsdp_addr` in `struct boot_params`. */
const ACPI_RSDP_ADDR = 0x70;

/**
 * The kernel's image. What lies before `_stext` is not mapped once the kernel runs, and where kallsyms has no `_text` it begins 64 KiB
 * before (SEGMENT_ALIGN).
 */
function kernelTextOf(
  program: Program,
  { kernelCode, kernelData }: Pick<IomemMemory, 'kernelCode' | 'kernelData'>,
): KernelText | undefined {
  const stext = program.symbols.find('_stext');
  const stextPaddr = stext === undefined ? undefined : program.space.translate(stext);
  const end = kernelData?.end ?? kernelCode?.end;
  if (stext === undefined || stextPaddr === undefined || end === undefined) return undefined;
  const vaddr = program.symbols.find('_text') ?? stext - 0x1_0000n;
  const paddr = stextPaddr - Number(stext - vaddr);
  const imageEnd = program.architecture === 'x86_64' ? program.symbols.find('_end') : undefined;
  return { paddr, size: imageEnd === undefined ? end - paddr : Number(imageEnd - vaddr), vaddr };
}

type LinearMap = Pick<RunningSystem, 'pageOffset' | 'physOffset'>;

/** By VA_BITS; since v5.4 the linear map begins at the lowest kernel address. */
function linearMapOfAarch64(program: Program, { systemRam }: Pick<IomemMemory, 'systemRam'>): LinearMap {
  const bits = program.vmcoreinfo.number('VA_BITS') ?? 48n;
  const physOffset = Number(program.vmcoreinfo.number('PHYS_OFFSET') ?? BigInt(systemRam[0]?.start ?? 0));
  return { pageOffset: BigInt.asUintN(64, -(1n << bits)), physOffset };
}

/** KASLR moves the linear map, too: `page_offset_base` says where it is. */
function linearMapOfX86(program: Program): LinearMap {
  const base = program.symbols.find('page_offset_base');
  const pageOffset = base === undefined ? DEFAULT_PAGE_OFFSET : program.memory.readU64(base);
  return { pageOffset, physOffset: 0 };
}

/** __PAGE_OFFSET_BASE_L4; Documentation/arch/x86/x86_64/mm.rst (v6.12). */
const DEFAULT_PAGE_OFFSET = 0xffff_8880_0000_0000n;

/** /proc/iomem. */
export function iomemOf(program: Program): IomemEntry[] {
  const root = program.findGlobal('resource', 'iomem_resource');
  if (root === undefined) throw new FormatError('the kernel has no iomem_resource');
  const entries: IomemEntry[] = [];
  const walk = (resource: StructObject, depth: number): void => {
    for (let at = resource.pointer('child'); at !== 0n && entries.length < MOST_RESOURCES;) {
      const child = program.object('resource', at);
      const name = program.memory.readString(child.pointer('name'), 64);
      entries.push({ start: Number(child.big('start')), end: Number(child.big('end')) + 1, name, depth });
      if (depth < 8) walk(child, depth + 1);
      at = child.pointer('sibling');
    }
  };
  walk(root, 0);
  return entries;
}

/**
 * Where each CPU's notes go. Empty before the kernel has allocated them.
 * @param machine with the RAM that the kernel uses
 */
function crashNotesOf(program: Program, machine: Pick<MachineState, 'read' | 'ram'>): NoteLocation[] {
  const size = noteBufferSize(program.architecture);
  const paddrsOf = (pointer: bigint): (number | undefined)[] =>
    program.percpuOffsets.map(offset => program.space.translate(BigInt.asUintN(64, pointer + offset)));
  const pointer = candidates(program, 'crash_notes', 'crash_save_cpu').find(
    // `__per_cpu_offset` is what the function reads, too.
    candidate =>
      candidate !== 0n &&
      !program.percpuOffsets.includes(candidate) &&
      paddrsOf(candidate).every(paddr => isNoteBuffer(paddr, size, machine)),
  );
  if (pointer === undefined) return [];
  return paddrsOf(pointer).flatMap(paddr => (paddr === undefined ? [] : [{ paddr, size }]));
}

/** Aligned so that no CPU's notes cross a page (`crash_notes_memory_init`), and with nothing in it, or the CPU's registers. */
function isNoteBuffer(
  paddr: number | undefined,
  size: number,
  { ram, read }: Pick<MachineState, 'read' | 'ram'>,
): boolean {
  if (paddr === undefined || paddr % NOTES_ALIGNMENT !== 0) return false;
  if (!ram.some(({ start, end }) => paddr >= start && paddr + size <= end)) return false;
  const bytes = read(paddr, size);
  return bytes.every(byte => byte === 0) || parseNotes(bytes)[0]?.type === NT.PRSTATUS;
}

/** Values of the pointer variable `name`, or of the variables that the function `user` refers to. */
function candidates(program: Program, name: string, user: string): bigint[] {
  const known = program.symbols.find(name);
  const start = program.symbols.find(user);
  const addresses = known !== undefined ? [known] : start === undefined ? [] : references(program, start);
  const readable = addresses.filter(address => address % 8n === 0n && program.space.translate(address) !== undefined);
  return readable.map(address => program.memory.readU64(address));
}

function references(program: Program, start: bigint): bigint[] {
  const code = 512n;
  return dataReferences(program.memory, start, start + code);
}

/** `kexec_crash_image`; 0n when nothing is loaded, undefined when the kernel does not let itself be asked. */
export function kexecCrashImage(program: Program): bigint | undefined {
  const known = program.symbols.find('kexec_crash_image');
  if (known !== undefined) return program.memory.readU64(known);
  return candidates(program, 'kexec_crash_image', 'kexec_crash_loaded').at(0);
}

/**
 * The capture kernel that the guest has loaded; undefined when there is none, or it cannot be found.
 * @param address of its `struct kimage`
 */
export function loadedImageOf(program: Program, address = kexecCrashImage(program)): LoadedImage | undefined {
  if (address === undefined || address === 0n || program.space.translate(address) === undefined) return undefined;
  const image = program.object('kimage', address);
  const count = Math.min(image.num('nr_segments'), MOST_SEGMENTS);
  const segments = Array.from({ length: count }, (_, i) => {
    const segment = program.object('kexec_segment', image.addressOf('segment') + BigInt(i * KEXEC_SEGMENT_SIZE));
    return { mem: segment.num('mem'), memsz: segment.num('memsz'), bufsz: segment.num('bufsz') };
  });
  return { start: image.num('start'), segments, fileMode: image.has('file_mode') && image.num('file_mode') !== 0 };
}

/** The note is the one copy that begins a page (`alloc_pages_exact`) and has the text of VMCOREINFO. */
function findVmcoreinfoNote(program: Program, machine: Pick<MachineState, 'read' | 'ram'>): NoteLocation | undefined {
  const wanted = Buffer.from(program.vmcoreinfo.text.slice(0, 64), 'latin1');
  const find = ({ start, end }: PhysicalRange): number | undefined => {
    const bytes = asBuffer(machine.read(start, end - start));
    const pattern = Buffer.concat([NOTE_START, wanted]);
    for (let at = bytes.indexOf(pattern); at !== -1; at = bytes.indexOf(pattern, at + 1)) {
      if ((start + at - NOTE_HEADER_SIZE) % PAGE === 0) return start + at - NOTE_HEADER_SIZE;
    }
    return undefined;
  };
  const paddr = machine.ram.map(find).find(found => found !== undefined);
  return paddr === undefined ? undefined : { paddr, size: VMCOREINFO_NOTE_SIZE };
}
