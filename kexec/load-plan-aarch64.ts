/**
 * Loads an arm64 Image: what kexec-tools computes for `kexec_load`, and what the kernel does in `kexec_file_load`.
 *
 * Sources: kexec-tools 2.0.25 `kexec/arch/arm64/kexec-image-arm64.c` "image_arm64_load", `kexec/arch/arm64/kexec-arm64.c`
 * "arm64_locate_kernel_segment", "arm64_load_other_segments"; Linux v6.12 `arch/arm64/kernel/kexec_image.c` "image_load",
 * `arch/arm64/kernel/machine_kexec_file.c` "load_other_segments".
 * The kernel's rules are the same in v6.1, v6.12 and v7.2. No Debian arm64 kernel has CONFIG_KEXEC_FILE (6.1 to 7.3; cloud, rt and 16k, too).
 * Not modelled: ELF vmlinux and uImage for arm64, IMA measurements, kexec handover.
 */
import { alignUp } from '../capture/formats/bytes.ts';
import { UsageError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { fixTreeAsKernel, fixTreeAsKexecTools, type CaptureTree } from './device-tree-fixup.ts';
import { buildElfcorehdr, kernelHeaderSize, kexecToolsHeaderSize, type ElfcorehdrContents } from './elfcorehdr.ts';
import { describeLoads, describeToolsHeaders, hex, hex16 } from './debug-lines.ts';
import { readArm64Image, type Arm64Image } from './images.ts';
import { checkCommandLine, crashRegionOf, type LoadPlan, type LoadRequest, type Say } from './load-plan.ts';
import { buildPurgatory, PURGATORY_SIZE } from './purgatory.ts';
import { linearAddress, type RunningSystem } from './running-system.ts';
import {
  alignDown,
  locateHole,
  locateMemHole,
  PAGE_SIZE,
  SegmentList,
  segmentEnd,
  sortSegments,
  subtractRanges,
  type KexecSegment,
  type Placement,
  type SegmentName,
} from './segments.ts';
import { KEXEC_ARCH, KEXEC_FILE_FLAGS, KEXEC_FLAGS } from './syscalls.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** booting.rst: the image lies `text_offset` bytes behind a 2 MiB boundary. */
const MIN_KIMG_ALIGN = 2 * MIB;
/** booting.rst: kernel and initrd within 32 GiB, counted in whole GiB. */
const INITRD_WINDOW = 32 * GIB;
/** `kexec_file_load`: the largest page size, so that a capture kernel with other pages can map the header alone. */
const ELFCOREHDR_ALIGN = 64 * 1024;

/** What the ELF core header says of a system. */
export function elfcorehdrContents(system: RunningSystem): ElfcorehdrContents {
  return {
    architecture: system.architecture,
    cpuNotes: system.cpuNotes,
    vmcoreinfo: system.vmcoreinfo,
    kernelText: system.kernelText,
    ranges: subtractRanges(system.systemRam, system.crashRegions),
    linearAddress: paddr => linearAddress(system, paddr),
  };
}

/**
 * Plans `kexec -c`: kexec-tools places everything and makes the system call `kexec_load`.
 * @throws UsageError, ImageError, FormatError for what kexec-tools refuses
 */
export function planKexecLoad(system: RunningSystem, request: LoadRequest, say: Say = () => {}): LoadPlan {
  checkCommandLine(request.commandLine);
  const image = readArm64Image(request.kernel);
  say(`kernel: 0x0 kernel_size: 0x${hex(image.bytes.length)}`);
  sayMemory(system, say);
  say('elf_arm64_probe: Not an ELF executable.');
  const list = new SegmentList(system.usableRam, request.memory);
  const base = locateKernel(system, request, image, list);
  describeImage(image, base, system, say);
  const elfcorehdr = request.onPanic ? addElfcorehdr(system, list, say) : undefined;
  const kernel = list.addAt('kernel', image.bytes, base + image.textOffset, image.imageSize);
  const room = { min: kernel.mem + image.imageSize, max: roomEnd(system, request) };
  // kexec-tools looks at the tree first, but tells it of the initrd.
  const aboutInitrd: string[] = [];
  const sayLater: Say = line => aboutInitrd.push(line);
  const initrd = request.initrd === undefined ? undefined : addInitrd(list, kernel, request.initrd, room, sayLater);
  say('arm64_load_other_segments:741: purgatory sink: 0x0');
  if (request.dtb === undefined) say('read_1st_dtb: found /sys/firmware/fdt');
  const wanted = captureTree(system, request, elfcorehdr, initrd);
  const tree = fixTreeAsKexecTools(request.dtb ?? system.deviceTree, wanted, say);
  for (const line of aboutInitrd) say(line);
  const dtb = list.add('dtb', tree, { ...room, size: tree.length, alignment: 1, direction: 'up' });
  say(`dtb:    base ${hex(dtb.mem)}, size ${hex(tree.length)}h (${tree.length})`);
  const purgatory = addPurgatory(list, { kernel, dtb, noChecks: request.noChecks }, room);
  return {
    syscall: 'kexec_load',
    segments: sortSegments([...list.segments.filter(segment => segment.name !== 'purgatory'), purgatory.segment]),
    entry: request.entry ?? purgatory.entry,
    dtb: dtb.mem,
    flags: KEXEC_ARCH.AARCH64 + (request.onPanic ? KEXEC_FLAGS.ON_CRASH : 0),
  };
}

/** For a crash at the beginning of the region, else in the first hole. @throws UsageError */
function locateKernel(system: RunningSystem, request: LoadRequest, image: Arm64Image, list: SegmentList): number {
  const size = image.textOffset + image.imageSize;
  if (!request.onPanic) {
    const hole = { size, alignment: MIN_KIMG_ALIGN, min: request.memory.start, max: request.memory.end };
    const base = locateHole(system.usableRam, list.segments, { ...hole, direction: 'up' });
    if (base !== undefined) return base;
    throw new UsageError(`Could not find a free area of memory of 0x${hex(size)} bytes for the kernel`);
  }
  const region = crashRegionOf(system);
  const base = alignUp(Math.max(region.start, request.memory.start), MIN_KIMG_ALIGN);
  if (base + size <= Math.min(region.end, request.memory.end)) return base;
  throw new UsageError(
    `Crash kernel out of range: the kernel needs 0x${hex(size)} bytes from 0x${hex(base)}, the region ends at 0x${hex(region.end)}`,
  );
}

/** `get_memory_ranges`: /proc/iomem, as it is read. */
function sayMemory({ systemRam, usableRam, reserved = [], physOffset }: RunningSystem, say: Say): void {
  say(`set_phys_offset: phys_offset : ${hex16(physOffset)} (method : vmcoreinfo pt_note)`);
  let count = 0;
  for (const ram of systemRam) {
    const inside = reserved.filter(({ start, end }) => start < ram.end && ram.start < end);
    say(`get_memory_ranges:+[${count}] ${hex16(ram.start)} - ${hex16(ram.end - 1)}`);
    for (const { start, end } of inside) say(`get_memory_ranges:-      ${hex16(start)} - ${hex16(end - 1)}`);
    count += subtractRanges([ram], inside).length;
  }
  sayRanges(say, 'System RAM ranges;', usableRam);
}

function describeImage(image: Arm64Image, base: number, { physOffset }: RunningSystem, say: Say): void {
  say(`image_arm64_load: kernel_segment: ${hex16(base)}`);
  say(`image_arm64_load: text_offset:    ${hex16(image.textOffset)}`);
  say(`image_arm64_load: image_size:     ${hex16(image.imageSize)}`);
  say(`image_arm64_load: phys_offset:    ${hex16(physOffset)}`);
  say(`image_arm64_load: vp_offset:      ${hex16(0xffff_ffff_ffff_ffffn)}`);
  say(`image_arm64_load: PE format:      ${image.hasPeHeader ? 'yes' : 'no'}`);
}

function addElfcorehdr(system: RunningSystem, list: SegmentList, say: Say): PhysicalRange {
  const contents = elfcorehdrContents(system);
  const region = crashRegionOf(system);
  sayRanges(say, 'Reserved memory range', system.crashRegions);
  sayRanges(say, 'Coredump memory ranges', contents.ranges);
  sayPageOffset(system, say);
  describeToolsHeaders(contents, say);
  const bytes = buildElfcorehdr(contents, kexecToolsHeaderSize(contents));
  const placement = {
    size: bytes.length,
    alignment: 1,
    min: region.start,
    max: region.end,
    direction: 'down',
  } as const;
  const { mem } = list.add('elfcorehdr', bytes, placement);
  say(`load_crashdump_segments: elfcorehdr 0x${hex(mem)}-0x${hex(mem + bytes.length - 1)}`);
  return { start: mem, end: mem + bytes.length };
}

/** Of the kernel's own numbers kexec-tools works the beginning of the linear map out. */
function sayPageOffset({ pageOffset, kernelText }: RunningSystem, say: Say): void {
  const text = `kernel symbol _text vaddr = ${hex(kernelText?.vaddr ?? 0).padStart(16)}`;
  say(text);
  say(text);
  say(`va_bits : ${(BigInt.asUintN(64, -pageOffset).toString(2).length - 1).toString()}`);
  say(`page_offset : ${hex(pageOffset)}`);
  say(`load_crashdump_segments: page_offset:   ${hex16(pageOffset)}`);
}

function sayRanges(say: Say, title: string, ranges: readonly PhysicalRange[]): void {
  say(title);
  for (const { start, end } of ranges) say(`${hex16(start)}-${hex16(end - 1)} (0)`);
}

function roomEnd(system: RunningSystem, request: LoadRequest): number {
  return request.onPanic ? crashRegionOf(system).end : Number.MAX_SAFE_INTEGER;
}

/** Behind the kernel, and near enough to it. @throws UsageError */
function addInitrd(
  list: SegmentList,
  kernel: KexecSegment,
  bytes: Uint8Array,
  room: Pick<Placement, 'min' | 'max'>,
  say: Say,
): PhysicalRange {
  const { mem } = list.add('initrd', bytes, { ...room, size: bytes.length, alignment: 1, direction: 'up' });
  const end = mem + bytes.length;
  if (alignUp(end, GIB) - alignDown(kernel.mem, GIB) > INITRD_WINDOW)
    throw new UsageError('Error: image + initrd too big.');
  say(`initrd: base ${hex(mem)}, size ${hex(bytes.length)}h (${bytes.length})`);
  say(`dtb_set_initrd: start ${mem}, end ${end}, size ${bytes.length} (${Math.floor(bytes.length / 1024)} KiB)`);
  return { start: mem, end };
}

function captureTree(
  system: RunningSystem,
  request: LoadRequest,
  elfcorehdr: PhysicalRange | undefined,
  initrd: PhysicalRange | undefined,
): CaptureTree {
  const { commandLine, kaslrSeed, rngSeed } = request;
  return { commandLine, elfcorehdr, crashRegions: system.crashRegions, initrd, kaslrSeed, rngSeed };
}

/** Its contents follow from where the others and it itself are. */
function addPurgatory(
  list: SegmentList,
  target: { readonly kernel: KexecSegment; readonly dtb: KexecSegment; readonly noChecks: boolean },
  room: Pick<Placement, 'min' | 'max'>,
): { readonly segment: KexecSegment; readonly entry: number } {
  const verified = target.noChecks ? undefined : sortSegments(list.segments);
  const placement = { ...room, size: PURGATORY_SIZE, alignment: 1, direction: 'up' } as const;
  const segment = list.add('purgatory', new Uint8Array(PURGATORY_SIZE), placement);
  const job = { entry: target.kernel.mem, dtb: target.dtb.mem, verified };
  const { bytes, entry } = buildPurgatory(job, segment.mem);
  return { segment: { ...segment, bytes }, entry };
}

/**
 * Plans `kexec -s`: the kernel places everything by itself. There is no purgatory on arm64.
 * @param treePaddr where the production kernel found its device tree
 * @throws UsageError, ImageError, FormatError where the kernel returns an error
 */
export function planKexecFileLoad(
  system: RunningSystem,
  request: LoadRequest,
  say: Say = () => {},
  treePaddr?: number,
): LoadPlan {
  checkCommandLine(request.commandLine);
  const image = readArm64Image(request.kernel);
  say(`kexec_file: kernel: 0x0 kernel_size: 0x${hex(image.bytes.length)}`);
  const region = request.onPanic ? crashRegionOf(system) : firstRange(system);
  const size = alignUp(image.imageSize + image.textOffset, PAGE_SIZE);
  const placer = new KernelPlacer(region);
  for (let min = 0; ;) {
    const base = placer.locate('kernel', { size, alignment: MIN_KIMG_ALIGN, min, max: NO_MAX, direction: 'up' });
    const mem = base + image.textOffset;
    const kernel: KexecSegment = { name: 'kernel', bytes: image.bytes, mem, memsz: size - image.textOffset };
    const others = tryOtherSegments(system, request, placer.with(kernel), { base, size }, say, treePaddr);
    if (others === undefined) {
      // No room behind the kernel here: the kernel tries the next hole behind it.
      min = base + size;
      continue;
    }
    say(
      `kexec_file(Image): Loaded kernel at 0x${hex(mem)} bufsz=0x${hex(image.bytes.length)} memsz=0x${hex(kernel.memsz)}`,
    );
    const flags =
      (request.onPanic ? KEXEC_FILE_FLAGS.ON_CRASH : 0) +
      (request.initrd === undefined ? KEXEC_FILE_FLAGS.NO_INITRAMFS : 0);
    const segments = [kernel, ...others];
    const dtb = segments.find(segment => segment.name === 'dtb');
    return { syscall: 'kexec_file_load', segments, entry: mem, dtb: dtb?.mem, flags };
  }
}

const NO_MAX = Number.MAX_SAFE_INTEGER;

function firstRange({ usableRam }: RunningSystem): PhysicalRange {
  const range = usableRam[0];
  if (range === undefined) throw new UsageError('Could not get memory layout: no System RAM');
  return range;
}

/** `kexec_add_buffer` on one resource. */
class KernelPlacer {
  readonly segments: readonly KexecSegment[];
  readonly #resource: PhysicalRange;

  constructor(resource: PhysicalRange, segments: readonly KexecSegment[] = []) {
    this.#resource = resource;
    this.segments = segments;
  }

  with(segment: KexecSegment): KernelPlacer {
    return new KernelPlacer(this.#resource, [...this.segments, segment]);
  }

  find(placement: Placement): number | undefined {
    const size = alignUp(placement.size, PAGE_SIZE);
    return locateMemHole(this.#resource, this.segments, { ...placement, size });
  }

  /** @throws UsageError where the kernel returns EADDRNOTAVAIL */
  locate(name: SegmentName, placement: Placement): number {
    const mem = this.find(placement);
    if (mem !== undefined) return mem;
    const { start, end } = this.#resource;
    throw new UsageError(
      `kexec_file_load failed: Cannot assign requested address (no room for 0x${hex(placement.size)} bytes of ${name} in 0x${hex(start)}-0x${hex(end - 1)})`,
    );
  }
}

/** @returns undefined when one of them finds no place behind the kernel */
function tryOtherSegments(
  system: RunningSystem,
  request: LoadRequest,
  start: KernelPlacer,
  kernel: { readonly base: number; readonly size: number },
  say: Say,
  treePaddr: number | undefined,
): readonly KexecSegment[] | undefined {
  let placer = start;
  const min = kernel.base + kernel.size;
  const add = (name: SegmentName, bytes: Uint8Array, placement: Omit<Placement, 'size' | 'min'>) => {
    const mem = placer.find({ ...placement, size: bytes.length, min });
    if (mem === undefined) return undefined;
    const segment = { name, bytes, mem, memsz: alignUp(bytes.length, PAGE_SIZE) };
    placer = placer.with(segment);
    say(
      `kexec_file: Loaded ${LOADED_AS[name]} at 0x${hex(mem)} bufsz=0x${hex(bytes.length)} memsz=0x${hex(segment.memsz)}`,
    );
    return segment;
  };
  let elfcorehdr: PhysicalRange | undefined;
  if (request.onPanic) {
    const contents = elfcorehdrContents(system);
    const bytes = buildElfcorehdr(contents, kernelHeaderSize(contents));
    describeLoads(contents, say);
    const segment = add('elfcorehdr', bytes, { alignment: ELFCOREHDR_ALIGN, max: NO_MAX, direction: 'down' });
    if (segment === undefined) return undefined;
    elfcorehdr = { start: segment.mem, end: segment.mem + bytes.length };
  }
  let initrd: PhysicalRange | undefined;
  if (request.initrd !== undefined) {
    const max = alignDown(kernel.base, GIB) + INITRD_WINDOW;
    const segment = add('initrd', request.initrd, { alignment: 1, max, direction: 'up' });
    if (segment === undefined) return undefined;
    initrd = { start: segment.mem, end: segment.mem + request.initrd.length };
  }
  const tree = fixTreeAsKernel(system.deviceTree, captureTree(system, request, elfcorehdr, initrd), treePaddr);
  const dtb = add('dtb', tree, { alignment: MIN_KIMG_ALIGN, max: NO_MAX, direction: 'down' });
  return dtb === undefined ? undefined : placer.segments.slice(1);
}

const LOADED_AS: Readonly<Record<SegmentName, string>> = {
  kernel: 'kernel',
  initrd: 'initrd',
  dtb: 'dtb',
  purgatory: 'purgatory',
  elfcorehdr: 'elf core header',
  boot_params: 'boot_params',
  backup: 'backup region',
  setup_data: 'setup_data',
};

/** Whether a plan's segments all lie in the region for the capture kernel. */
export function fitsCrashRegion(system: RunningSystem, plan: LoadPlan): boolean {
  const region = crashRegionOf(system);
  return plan.segments.every(segment => segment.mem >= region.start && segmentEnd(segment) <= region.end);
}
