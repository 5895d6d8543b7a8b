/**
 * Plans `kexec -c` for x86_64: kexec-tools places everything and makes the system call `kexec_load`.
 *
 * Sources: kexec-tools 2.0.25 `kexec/arch/x86_64/kexec-bzImage64.c` "do_bzImage64_load", `kexec/arch/i386/crashdump-x86.c`
 * "load_crashdump_segments", `kexec/arch/i386/x86-linux-setup.c` "setup_linux_system_parameters".
 * Not modelled: EFI, EDD, frame buffers, `--real-mode` and `--entry-32bit`, ELF vmlinux, Xen, `--pass-memmap-cmdline`.
 */
import { alignUp } from '../capture/formats/bytes.ts';
import { UsageError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { buildSeedData, buildToolsBootParams, STARTUP_64, TOOLS_BOOT_PARAMS_SIZE } from './boot-params.ts';
import { buildElfcorehdr, KEXEC_TOOLS_ALIGN, toolsHeaderSizeOfX86, type ElfcorehdrContents } from './elfcorehdr.ts';
import { readBzImage, type BzImage } from './images.ts';
import { checkCommandLine, crashRegionOf, type LoadRequest, type Say } from './load-plan.ts';
import type { X86LoadPlan } from './load-plan-x86_64.ts';
import { describeToolsHeaders, hex, hex16, RANGE_TYPE, sayMemoryRanges, type TypedRange } from './debug-lines.ts';
import { buildX86Purgatory, X86_PURGATORY, type Backup } from './purgatory-x86_64.ts';
import { E820_TYPE, linearAddress, type E820Entry, type RunningSystem, type X86Firmware } from './running-system.ts';
import { alignDown, SegmentList, sortSegments, subtractRanges, type KexecSegment, type Placement } from './segments.ts';
import { KEXEC_ARCH, KEXEC_FLAGS } from './syscalls.ts';

const MIB = 2 ** 20;
const MIN_ADDRESS = { purgatory: 0x3000, boot_params: 0x3000, kernel: MIB, initrd: 16 * MIB, setup_data: MIB } as const;
/** Addresses end here for kexec-tools: ULONG_MAX. */
const NO_MAX = Number.MAX_SAFE_INTEGER;
/** "segments at least 16K": so that no old kernel's BSS reaches into it. */
const LEAST_ELFCOREHDR = 16 * 1024;
/** PURGATORY_CMDLINE_SIZE: room for what a purgatory may append. */
const PURGATORY_CMDLINE_SIZE = 64;
/** BACKUP_SRC_START, BACKUP_SRC_END: where there is no System RAM below. */
const DEFAULT_BACKUP: PhysicalRange = { start: 0, end: 0xa_0000 };
const LOW_MEMORY_END = 0xa_0000;
/** REALMODE_IVT_END: the interrupt table is no memory to load into. */
const REALMODE_IVT_END = 0x400;

/** @throws UsageError, ImageError for what kexec-tools refuses */
export function planX86KexecLoad(
  system: RunningSystem,
  firmware: X86Firmware,
  request: LoadRequest,
  say: Say = () => {},
): X86LoadPlan {
  checkCommandLine(request.commandLine);
  const image = readBzImage(request.kernel);
  if (!image.loadsAbove4G) throw new UsageError('Cannot determine the file type: not a relocatable bzImage64');
  say(`kernel: 0x0 kernel_size: 0x${hex(image.bytes.length)}`);
  const ranges = (firmware.firmwareMap ?? firmware.memoryMap).map(withoutInterruptTable);
  sayMemoryRanges(say, 'MEMORY RANGES', ranges.map(typed));
  const list = new SegmentList(placesOf(ranges, system, request), limitsOf(system, request));
  const crash = request.onPanic ? addCrashSegments(system, firmware, list, request, say) : undefined;
  const { commandLine, memoryMap } = crash ?? { commandLine: request.commandLine ?? '', memoryMap: ranges };
  const kernel = addKernelSegments(list, { image, commandLine, memoryMap, firmware, request }, say);
  const { segment, entry } = finishPurgatory(list, kernel, crash?.backup, request);
  return {
    syscall: 'kexec_load',
    segments: sortSegments([...list.segments.filter(({ name }) => name !== 'purgatory'), segment]),
    entry: request.entry ?? entry,
    dtb: undefined,
    flags: KEXEC_ARCH.X86_64 + (request.onPanic ? KEXEC_FLAGS.ON_CRASH : 0),
    bootParams: kernel.bootParams,
  };
}

interface KernelJob {
  readonly image: BzImage;
  readonly commandLine: string;
  readonly memoryMap: readonly E820Entry[];
  readonly firmware: X86Firmware;
  readonly request: LoadRequest;
}

export interface PlacedKernel {
  readonly purgatory: KexecSegment;
  /** Addresses of `startup_64` and `struct boot_params`. */
  readonly entry: number;
  readonly bootParams: number;
}

/** `do_bzImage64_load`: the purgatory, the parameters, the kernel, its initrd and a seed. */
function addKernelSegments(list: SegmentList, job: KernelJob, say: Say): PlacedKernel {
  const { image, commandLine, memoryMap, firmware, request } = job;
  const placer = placerOf(list);
  const { bufsz, memsz } = X86_PURGATORY;
  const purgatory = placer('purgatory', new Uint8Array(bufsz), memsz, MIN_ADDRESS.purgatory);
  say(`Loaded purgatory at addr 0x${hex(purgatory.mem)}`);
  const params = addBootParams(placer, image, commandLine, say);
  const kernel = addKernel(placer, image, say);
  const initrd = addInitrd(placer, request.initrd, say);
  sayMemoryRanges(say, 'E820 memmap:', memoryMap);
  const setupData = request.rngSeed && addSeed(list, request.rngSeed);
  say('/sys/firmware/edd does not exist.');
  const told = {
    image,
    commandLine,
    paddr: params.mem,
    commandLineOffset: commandLineOffset(image),
    initrd,
    memoryMap,
    acpiRsdp: firmware.acpiRsdp,
    screenInfo: firmware.screenInfo,
    setupData: setupData?.mem,
  };
  params.bytes.set(buildToolsBootParams(told));
  return { purgatory, entry: kernel.mem + STARTUP_64, bootParams: params.mem };
}

/** `update_purgatory`, now that everything has its place. */
export function finishPurgatory(
  list: SegmentList,
  { purgatory, entry, bootParams }: PlacedKernel,
  backup: Backup | undefined,
  { noChecks }: LoadRequest,
): { readonly segment: KexecSegment; readonly entry: number } {
  const others = list.segments.filter(segment => segment !== purgatory);
  const verified = noChecks ? undefined : sortSegments(others);
  const built = buildX86Purgatory({ entry, bootParams, backup, verified }, purgatory.mem);
  return { segment: { ...purgatory, bytes: built.bytes }, entry: built.entry };
}

/** Where segments may go: RAM; for a crash the reserved region is what limits it. */
export function placesOf(
  ranges: readonly E820Entry[],
  system: RunningSystem,
  { onPanic }: LoadRequest,
): PhysicalRange[] {
  if (onPanic) return [crashRegionOf(system)];
  return ranges.filter(({ type }) => type === E820_TYPE.RAM);
}

export function limitsOf(system: RunningSystem, { memory, onPanic }: LoadRequest): PhysicalRange {
  if (!onPanic) return memory;
  const region = crashRegionOf(system);
  return { start: Math.max(region.start, memory.start), end: Math.min(region.end, memory.end) };
}

export function withoutInterruptTable({ start, end, type }: E820Entry): E820Entry {
  return { start: type === E820_TYPE.RAM ? Math.max(start, REALMODE_IVT_END) : start, end, type };
}

export function typed({ start, end, type }: E820Entry): TypedRange {
  const types: Readonly<Record<number, number>> = {
    [E820_TYPE.RAM]: RANGE_TYPE.RAM,
    [E820_TYPE.ACPI]: RANGE_TYPE.ACPI,
    [E820_TYPE.NVS]: RANGE_TYPE.ACPI_NVS,
  };
  return { start, end, type: types[type] ?? RANGE_TYPE.RESERVED };
}

type Placer = (
  name: KexecSegment['name'],
  bytes: Uint8Array,
  memsz: number,
  min: number,
  align?: number,
) => KexecSegment;

/** From the top of memory. */
function placerOf(list: SegmentList): Placer {
  return (name, bytes, memsz, min, align = 1) => {
    const placement: Placement = { size: memsz, alignment: align, min, max: NO_MAX, direction: 'down' };
    return list.add(name, bytes, placement);
  };
}

interface CrashSegments {
  readonly backup: Backup;
  /** Both are the capture kernel's. */
  readonly memoryMap: readonly E820Entry[];
  readonly commandLine: string;
}

/** The copy of low memory, the ELF core header, and the memory map that follows from them. */
export function addCrashSegments(
  system: RunningSystem,
  firmware: X86Firmware,
  list: SegmentList,
  request: LoadRequest,
  say: Say,
): CrashSegments {
  const ranges = crashRanges(firmware.memoryMap, system.crashRegions);
  for (const { start, end, name } of firmware.iomem ?? []) say(`${hex16(start)}-${hex16(end - 1)} : ${name}`);
  const low = ranges.find(({ type, end }) => type === E820_TYPE.RAM && end - 1 <= LOW_MEMORY_END) ?? DEFAULT_BACKUP;
  say(`get_backup_area: ${hex16(low.start)}-${hex16(low.end - 1)} : System RAM`);
  sayMemoryRanges(say, 'CRASH MEMORY RANGES', ranges.map(typed));
  const { kernelText } = system;
  if (kernelText === undefined) throw new UsageError('Cannot determine kernel physical load addr');
  say(`kernel load physical addr start = 0x${hex16(kernelText.paddr)}`);
  const text = textAsTools(kernelText);
  say(`kernel symbol _stext vaddr = ${hex16(kernelText.vaddr)}`);
  say(`kernel vaddr = 0x${hex(text.vaddr)} size = 0x${hex(text.size)}`);
  let usable: E820Entry[] = [];
  const change = (what: string, next: E820Entry[]): void => {
    usable = next;
    sayMemoryRanges(say, `Memmap after ${what} segment`, usable.map(typed));
  };
  for (const { start, end } of [low, ...system.crashRegions]) change('adding', insert(usable, ram(start, end)));
  const placer = placerOf(list);
  const size = alignUp(low.end - low.start, KEXEC_TOOLS_ALIGN);
  const copy = placer('backup', new Uint8Array(size), size, 0, KEXEC_TOOLS_ALIGN);
  say(`Created backup segment at 0x${hex(copy.mem)}`);
  change('deleting', remove(usable, { start: copy.mem, end: copy.mem + size }));
  const contents = coreContents(system, text, ranges, low, copy.mem);
  describeToolsHeaders(contents, say);
  const header = buildElfcorehdr(contents, toolsHeaderSizeOfX86(contents, ranges.length));
  const memsz = Math.max(header.length, LEAST_ELFCOREHDR);
  const elfcorehdr = placer('elfcorehdr', header, memsz, 0, KEXEC_TOOLS_ALIGN);
  say(`Created elf header segment at 0x${hex(elfcorehdr.mem)}`);
  change('deleting', remove(usable, { start: elfcorehdr.mem, end: elfcorehdr.mem + memsz }));
  const commandLine = crashCommandLine(firmware, elfcorehdr.mem, request, say);
  for (const entry of ranges.filter(({ type }) => type !== E820_TYPE.RAM)) change('adding', insert(usable, entry));
  return {
    backup: { source: low.start, target: copy.mem, size: low.end - low.start },
    memoryMap: usable,
    commandLine,
  };
}

/** What lies in /proc/iomem under the names of the memory map, RAM less what is reserved for the capture kernel. */
function crashRanges(memoryMap: readonly E820Entry[], crashRegions: readonly PhysicalRange[]): E820Entry[] {
  return memoryMap.flatMap(entry =>
    subtractRanges([entry], crashRegions).map(range => ({ ...range, type: entry.type })),
  );
}

/** /proc/kcore's mapping of the kernel, rounded as kexec-tools does. */
function textAsTools({ paddr, size, vaddr }: NonNullable<RunningSystem['kernelText']>) {
  const start = BigInt.asUintN(64, vaddr & ~BigInt(MIB - 1));
  return { paddr, vaddr: start, size: alignUp(size + Number(vaddr - start), 4096) };
}

function coreContents(
  system: RunningSystem,
  kernelText: NonNullable<RunningSystem['kernelText']>,
  ranges: readonly E820Entry[],
  low: PhysicalRange,
  copy: number,
): ElfcorehdrContents {
  return {
    architecture: 'x86_64',
    cpuNotes: system.cpuNotes,
    vmcoreinfo: system.vmcoreinfo,
    kernelText,
    ranges: ranges.filter(({ type }) => type === E820_TYPE.RAM),
    linearAddress: paddr => linearAddress(system, paddr),
    moved: { ...low, to: copy },
  };
}

function ram(start: number, end: number): E820Entry {
  return { start: alignUp(start, KEXEC_TOOLS_ALIGN), end: alignDown(end, KEXEC_TOOLS_ALIGN), type: E820_TYPE.RAM };
}

/** `add_memmap`: in order of addresses; what overlaps is left out. */
function insert(entries: readonly E820Entry[], entry: E820Entry): E820Entry[] {
  if (entries.some(({ start, end }) => start < entry.end && entry.start < end)) return [...entries];
  return [...entries, entry].toSorted((a, b) => a.start - b.start);
}

/** `delete_memmap`. */
function remove(entries: readonly E820Entry[], range: PhysicalRange): E820Entry[] {
  return entries.flatMap(entry => subtractRanges([entry], [range]).map(left => ({ ...left, type: entry.type })));
}

/** Behind what was asked for ` acpi_rsdp=` where firmware told one and there is no EFI, and ` elfcorehdr=` in KiB. */
function crashCommandLine({ acpiRsdp }: X86Firmware, elfcorehdr: number, request: LoadRequest, say: Say): string {
  const rsdp = acpiRsdp === 0 ? '' : ` acpi_rsdp=0x${hex(acpiRsdp)}`;
  const words = `${rsdp} elfcorehdr=${elfcorehdr / KEXEC_TOOLS_ALIGN}K`;
  const commandLine = `${request.commandLine ?? ''}${words}`;
  if (commandLine.length > 2047) throw new UsageError('Command line overflow');
  say('Command line after adding elfcorehdr');
  say(commandLine);
  return commandLine;
}

/** The command line lies behind the setup sectors' size. */
function commandLineOffset(image: BzImage): number {
  return Math.max(image.setup.length, TOOLS_BOOT_PARAMS_SIZE);
}

function addBootParams(placer: Placer, image: BzImage, commandLine: string, say: Say): KexecSegment {
  const size = commandLineOffset(image) + Buffer.byteLength(commandLine, 'latin1') + 1 + PURGATORY_CMDLINE_SIZE;
  const segment = placer('boot_params', new Uint8Array(size), size, MIN_ADDRESS.boot_params);
  say(`Loaded real_mode_data and command line at 0x${hex(segment.mem)}`);
  return segment;
}

function addKernel(placer: Placer, image: BzImage, say: Say): KexecSegment {
  say(`kernel init_size 0x${hex(image.initSize)}`);
  const segment = placer('kernel', image.kernel, image.initSize, MIN_ADDRESS.kernel, image.alignment);
  say(`Loaded 64bit kernel at 0x${hex(segment.mem)}`);
  return segment;
}

function addInitrd(placer: Placer, bytes: Uint8Array | undefined, say: Say): PhysicalRange | undefined {
  if (bytes === undefined) return undefined;
  const { mem } = placer('initrd', bytes, bytes.length, MIN_ADDRESS.initrd);
  say(`Loaded initrd at 0x${hex(mem)} size 0x${hex(bytes.length)}`);
  return { start: mem, end: mem + bytes.length };
}

/** `struct setup_data` with a seed for the capture kernel's random numbers, in the lowest hole. */
export function addSeed(list: SegmentList, seed: Uint8Array): KexecSegment {
  const bytes = buildSeedData(seed);
  const placement = { size: bytes.length, alignment: 1, min: MIN_ADDRESS.setup_data, max: NO_MAX } as const;
  return list.add('setup_data', bytes, { ...placement, direction: 'up' });
}
