/**
 * Loads an x86 bzImage as the kernel does in `kexec_file_load`.
 *
 * Source: Linux v6.12 `arch/x86/kernel/kexec-bzimage64.c` "bzImage64_load", `arch/x86/kernel/crash.c` "crash_load_segments".
 * Not modelled: EFI, IMA's measurements, kexec handover.
 */
import { alignUp } from '../capture/formats/bytes.ts';
import { ELF64_EHDR } from '../capture/formats/elf.ts';
import { UsageError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import {
  BOOT_PARAMS_SIZE,
  buildBootParams,
  buildSeedData,
  captureMemoryMap,
  SETUP_DATA_HEADER,
  STARTUP_64,
} from './boot-params.ts';
import { describeLoads, hex, sayMemoryRanges } from './debug-lines.ts';
import { buildElfcorehdr, kernelHeaderSize, type ElfcorehdrContents } from './elfcorehdr.ts';
import { readBzImage, type BzImage } from './images.ts';
import { checkCommandLine, crashRegionOf, type LoadPlan, type LoadRequest, type Say } from './load-plan.ts';
import { buildX86Purgatory } from './purgatory-x86_64.ts';
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
const MIN_ADDRESS = { purgatory: 0x3000, boot_params: 0x3000, kernel: 0x10_0000, initrd: 0x100_0000 } as const;
/** Room for `elfcorehdr=0x…` on the command line. */
const MAX_ELFCOREHDR_STR_LEN = 30;
/** Sizes of what lies behind the command line: `struct setup_data`, that with EFI's addresses, a seed, that of IMA. */
const SETUP_DATA = { HEADER: SETUP_DATA_HEADER, EFI: 16 + 96, RNG_SEED: 32, IMA: 16 + 16 } as const;
/** What the kernel's own purgatory takes. */
const KERNEL_PURGATORY = { bufsz: 0x4000, memsz: 0x5000 } as const;

/** A plan with what x86 needs besides. */
export interface X86LoadPlan extends LoadPlan {
  /** Physical address of `struct boot_params`: RSI at the entry. */
  readonly bootParams: number;
}

/** @throws UsageError, ImageError where the kernel returns an error */
export function planX86KexecFileLoad(
  system: RunningSystem,
  firmware: X86Firmware,
  request: LoadRequest,
  say: Say = () => {},
): X86LoadPlan {
  checkCommandLine(request.commandLine);
  const image = readBzImage(request.kernel);
  say(`kexec_file: kernel: 0x0 kernel_size: 0x${hex(image.bytes.length)}`);
  const placer = new Placer(resourceOf(system, request), firmware.growingHeaderSize === undefined);
  const elfcorehdr = request.onPanic ? addElfcorehdr(placer, system, firmware, say) : undefined;
  const { bufsz, memsz } = KERNEL_PURGATORY;
  const purgatory = placer.add('purgatory', new Uint8Array(bufsz), {
    size: firmware.purgatorySize ?? memsz,
    alignment: PAGE_SIZE,
    min: MIN_ADDRESS.purgatory,
  });
  say(`kexec-bzImage64: Loaded purgatory at 0x${hex(purgatory.mem)}`);
  const { params, kernel } = addKernelSegments(placer, { system, firmware, request, image, elfcorehdr }, say);
  const built = buildX86Purgatory(
    {
      entry: kernel.mem + STARTUP_64,
      bootParams: params.mem,
      backup: undefined,
      // The kernel always checks, but for what it may change.
      verified: request.noChecks
        ? undefined
        : placer.segments.filter(
            segment => segment !== purgatory && (segment !== elfcorehdr || firmware.growingHeaderSize === undefined),
          ),
    },
    purgatory.mem,
    { bufsz, memsz: purgatory.memsz },
  );
  return {
    syscall: 'kexec_file_load',
    segments: placer.segments.map(segment => (segment === purgatory ? { ...segment, bytes: built.bytes } : segment)),
    entry: request.entry ?? built.entry,
    dtb: undefined,
    flags:
      (request.onPanic ? KEXEC_FILE_FLAGS.ON_CRASH : 0) +
      (request.initrd === undefined ? KEXEC_FILE_FLAGS.NO_INITRAMFS : 0),
    bootParams: params.mem,
  };
}

/** For a crash the region; else the first RAM above 1 MiB that is large enough is taken here to be the highest. */
function resourceOf(system: RunningSystem, { onPanic }: LoadRequest): PhysicalRange {
  if (onPanic) return crashRegionOf(system);
  const range = system.usableRam.at(-1);
  if (range === undefined) throw new UsageError('Could not get memory layout: no System RAM');
  return range;
}

function addElfcorehdr(
  placer: Placer,
  system: RunningSystem,
  { growingHeaderSize }: X86Firmware,
  say: Say,
): KexecSegment {
  const contents = coreContents(system);
  const header = buildElfcorehdr(contents, kernelHeaderSize(contents));
  describeLoads(contents, say);
  const size = headerRoom(header, growingHeaderSize);
  const segment = placer.add('elfcorehdr', header, { size, alignment: PAGE_SIZE, min: 0, direction: 'up' });
  const { mem, memsz } = segment;
  say(`kexec: Loaded ELF headers at 0x${hex(mem)} bufsz=0x${hex(header.length)} memsz=0x${hex(memsz)}`);
  return segment;
}

/** With CPU hotplug room for all program headers that there may be. */
function headerRoom(header: Uint8Array, growingHeaderSize: number | undefined): number {
  return growingHeaderSize === undefined ? header.length : ELF64_EHDR.size + growingHeaderSize;
}

interface KernelJob {
  readonly system: RunningSystem;
  readonly firmware: X86Firmware;
  readonly request: LoadRequest;
  readonly image: BzImage;
  readonly elfcorehdr: KexecSegment | undefined;
}

/** `bzImage64_load` behind the purgatory. */
function addKernelSegments(
  placer: Placer,
  { system, firmware, request, image, elfcorehdr }: KernelJob,
  say: Say,
): { readonly params: KexecSegment; readonly kernel: KexecSegment } {
  // The text goes in front of the words that were asked for.
  const header = elfcorehdr === undefined ? '' : `elfcorehdr=0x${hex(elfcorehdr.mem)} `;
  const commandLine = Buffer.from(`${header}${request.commandLine ?? ''}\0`, 'latin1');
  const room = BOOT_PARAMS_SIZE + commandLine.length - header.length + MAX_ELFCOREHDR_STR_LEN;
  const seedOffset = alignUp(room, 16) + SETUP_DATA.EFI;
  const size = seedOffset + SETUP_DATA.HEADER + SETUP_DATA.RNG_SEED + (firmware.hasIma === true ? SETUP_DATA.IMA : 0);
  const params = placer.add('boot_params', new Uint8Array(size), { size, alignment: 16, min: MIN_ADDRESS.boot_params });
  say(
    `kexec-bzImage64: Loaded boot_param, command line and misc at 0x${hex(params.mem)} bufsz=0x${hex(size)} memsz=0x${hex(params.memsz)}`,
  );
  const kernel = placer.add('kernel', image.kernel, {
    size: image.initSize,
    alignment: image.alignment,
    min: MIN_ADDRESS.kernel,
  });
  say(
    `kexec-bzImage64: Loaded 64bit kernel at 0x${hex(kernel.mem)} bufsz=0x${hex(image.kernel.length)} memsz=0x${hex(kernel.memsz)}`,
  );
  const initrd = request.initrd && addInitrd(placer, request.initrd, say);
  const memoryMap =
    elfcorehdr === undefined
      ? (firmware.firmwareMap ?? firmware.memoryMap)
      : captureMemoryMap(firmware.memoryMap, system.crashRegions, {
          start: elfcorehdr.mem,
          end: elfcorehdr.mem + headerRoom(elfcorehdr.bytes, firmware.growingHeaderSize),
        });
  const text = commandLine.subarray(0, -1).toString('latin1');
  say(`kexec-bzImage64: Final command line is: ${text}`);
  sayMemoryRanges(line => say(`kexec-bzImage64: ${line}`), 'E820 memmap:', memoryMap);
  const page = buildBootParams({
    image,
    commandLinePaddr: params.mem + BOOT_PARAMS_SIZE,
    initrd,
    memoryMap,
    acpiRsdp: firmware.acpiRsdp,
    screenInfo: firmware.screenInfo,
    running: firmware.bootParams,
    setupData: request.rngSeed === undefined ? undefined : params.mem + seedOffset,
  });
  params.bytes.set(page);
  params.bytes.set(commandLine, BOOT_PARAMS_SIZE);
  if (request.rngSeed !== undefined) params.bytes.set(buildSeedData(request.rngSeed), seedOffset);
  return { params, kernel };
}

/** The kernel keeps it all for itself, and does not dump it. */
const LOW_MEMORY: PhysicalRange = { start: 0, end: 2 ** 20 };

function coreContents(system: RunningSystem): ElfcorehdrContents {
  const { cpuNotes, vmcoreinfo, kernelText, systemRam, crashRegions } = system;
  const ranges = subtractRanges(systemRam, [LOW_MEMORY, ...crashRegions]);
  return {
    architecture: 'x86_64',
    cpuNotes,
    vmcoreinfo,
    kernelText,
    ranges,
    linearAddress: paddr => linearAddress(system, paddr),
  };
}

function addInitrd(placer: Placer, bytes: Uint8Array, say: Say): PhysicalRange {
  const { length } = bytes;
  const { mem } = placer.add('initrd', bytes, { size: length, alignment: PAGE_SIZE, min: MIN_ADDRESS.initrd });
  say(`kexec-bzImage64: Loaded initrd at 0x${hex(mem)} bufsz=0x${hex(length)} memsz=0x${hex(length)}`);
  return { start: mem, end: mem + length };
}

/** `kexec_add_buffer` in the crash kernel region. */
class Placer {
  readonly segments: KexecSegment[] = [];
  readonly #region: PhysicalRange;

  readonly #sparesLastPage: boolean;

  constructor(region: PhysicalRange, sparesLastPage: boolean) {
    this.#region = region;
    this.#sparesLastPage = sparesLastPage;
  }

  /** @throws UsageError where the kernel returns EADDRNOTAVAIL */
  add(
    name: SegmentName,
    bytes: Uint8Array,
    placement: Pick<Placement, 'size' | 'alignment' | 'min'> & Partial<Pick<Placement, 'direction'>>,
  ): KexecSegment {
    const memsz = alignUp(placement.size, PAGE_SIZE);
    const mem = locateMemHole(this.#region, this.segments, {
      direction: 'down',
      sparesLastPage: this.#sparesLastPage,
      ...placement,
      size: memsz,
      max: Number.MAX_SAFE_INTEGER,
    });
    if (mem === undefined)
      throw new UsageError(`kexec_file_load failed: Cannot assign requested address (no room for the ${name})`);
    const segment = { name, bytes, mem, memsz };
    this.segments.push(segment);
    return segment;
  }
}
