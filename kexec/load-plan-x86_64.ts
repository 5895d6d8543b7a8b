/**
 * Loads an x86 bzImage as the kernel does in `kexec_file_load`, without its purgatory: the capture kernel is entered directly at its
 * 64-bit entry point.
 *
 * Source: Linux v6.12 `arch/x86/kernel/kexec-bzimage64.c` "bzImage64_load", `arch/x86/kernel/crash.c` "crash_load_segments".
 * Not modelled: the purgatory and its digest, EFI, setup_data, kexec-tools' own placement (`-c`).
 */
import { alignUp } from '../capture/formats/bytes.ts';
import { UsageError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { BOOT_PARAMS_SIZE, buildBootParams, captureMemoryMap } from './boot-params.ts';
import { buildElfcorehdr, kernelHeaderSize, type ElfcorehdrContents } from './elfcorehdr.ts';
import { readBzImage } from './images.ts';
import { checkCommandLine, crashRegionOf, type LoadPlan, type LoadRequest } from './load-plan.ts';
import { linearAddress, type RunningSystem, type X86Firmware } from './running-system.ts';
import {
  locateMemHole,
  PAGE_SIZE,
  subtractRanges,
  type KexecSegment,
  type Placement,
  type SegmentName,
} from './segments.ts';
import { KEXEC_FILE_FLAGS } from './syscalls.ts';

/** Lowest addresses by what goes there. */
const MIN_ADDRESS = { boot_params: 0x3000, kernel: 0x10_0000, initrd: 0x100_0000 } as const;
/** `startup_64` lies this far behind `startup_32`; boot.rst "64-bit Boot Protocol". */
const STARTUP_64 = 0x200;
const BOOT_PARAMS_ALIGN = 16;

/** A plan with what x86 needs besides. */
export interface X86LoadPlan extends LoadPlan {
  /** Physical address of `struct boot_params`: RSI at the entry. */
  readonly bootParams: number;
}

/** Plans a capture kernel. @throws UsageError, ImageError where the kernel returns an error */
export function planBzImageLoad(system: RunningSystem, firmware: X86Firmware, request: LoadRequest): X86LoadPlan {
  checkCommandLine(request.commandLine);
  const image = readBzImage(request.kernel);
  const placer = new Placer(crashRegionOf(system));
  const contents = coreContents(system);
  const header = buildElfcorehdr(contents, kernelHeaderSize(contents));
  const elfcorehdr = placer.add('elfcorehdr', header, { size: header.length, alignment: PAGE_SIZE, min: 0 }, 'up');
  // The text goes in front of the words that were asked for.
  const commandLine = Buffer.from(
    `elfcorehdr=0x${elfcorehdr.mem.toString(16)} ${request.commandLine ?? ''}\0`,
    'latin1',
  );
  const size = BOOT_PARAMS_SIZE + alignUp(commandLine.length, BOOT_PARAMS_ALIGN);
  const place = { size, alignment: BOOT_PARAMS_ALIGN, min: MIN_ADDRESS.boot_params };
  const params = placer.add('boot_params', new Uint8Array(size), place, 'down');
  const kernel = placer.add(
    'kernel',
    image.kernel,
    { size: image.initSize, alignment: image.alignment, min: MIN_ADDRESS.kernel },
    'down',
  );
  const initrd = request.initrd && addInitrd(placer, request.initrd);
  const page = buildBootParams({
    image,
    commandLinePaddr: params.mem + BOOT_PARAMS_SIZE,
    initrd,
    memoryMap: captureMemoryMap(firmware.memoryMap, system.crashRegions, rangeOf(elfcorehdr)),
    acpiRsdp: firmware.acpiRsdp,
  });
  params.bytes.set(page);
  params.bytes.set(commandLine, BOOT_PARAMS_SIZE);
  return {
    syscall: 'kexec_file_load',
    segments: placer.segments,
    entry: request.entry ?? kernel.mem + STARTUP_64,
    dtb: undefined,
    flags: KEXEC_FILE_FLAGS.ON_CRASH + (request.initrd === undefined ? KEXEC_FILE_FLAGS.NO_INITRAMFS : 0),
    bootParams: params.mem,
  };
}

function coreContents(system: RunningSystem): ElfcorehdrContents {
  const { cpuNotes, vmcoreinfo, kernelText, systemRam, crashRegions } = system;
  const ranges = subtractRanges(systemRam, crashRegions);
  return {
    architecture: 'x86_64',
    cpuNotes,
    vmcoreinfo,
    kernelText,
    ranges,
    linearAddress: paddr => linearAddress(system, paddr),
  };
}

function addInitrd(placer: Placer, bytes: Uint8Array): PhysicalRange {
  const { mem } = placer.add(
    'initrd',
    bytes,
    { size: bytes.length, alignment: PAGE_SIZE, min: MIN_ADDRESS.initrd },
    'down',
  );
  return { start: mem, end: mem + bytes.length };
}

function rangeOf({ mem, memsz }: KexecSegment): PhysicalRange {
  return { start: mem, end: mem + memsz };
}

/** `kexec_add_buffer` in the crash kernel region. */
class Placer {
  readonly segments: KexecSegment[] = [];
  readonly #region: PhysicalRange;

  constructor(region: PhysicalRange) {
    this.#region = region;
  }

  /** @throws UsageError where the kernel returns EADDRNOTAVAIL */
  add(
    name: SegmentName,
    bytes: Uint8Array,
    placement: Pick<Placement, 'size' | 'alignment' | 'min'>,
    direction: Placement['direction'],
  ): KexecSegment {
    const memsz = alignUp(placement.size, PAGE_SIZE);
    const mem = locateMemHole(this.#region, this.segments, {
      ...placement,
      size: memsz,
      max: Number.MAX_SAFE_INTEGER,
      direction,
    });
    if (mem === undefined)
      throw new UsageError(`kexec_file_load failed: Cannot assign requested address (no room for the ${name})`);
    const segment = { name, bytes, mem, memsz };
    this.segments.push(segment);
    return segment;
  }
}
