/**
 * Plans `kexec -c --args-linux` of an x86_64 vmlinux: it goes to the addresses that it was linked for, so a capture kernel needs a
 * `crashkernel=SIZE@ADDRESS` that has them.
 *
 * Source: kexec-tools 2.0.25 `kexec/arch/x86_64/kexec-elf-x86_64.c` "elf_x86_64_load", `kexec/kexec-elf-exec.c` "load_elf_segments".
 * Not modelled: `--args-elf` and `--args-none`, ET_DYN.
 */
import { ELF64_EHDR, ELF64_PHDR, ELF_MAGIC, EM, ET, PT, type Phdr } from '../capture/formats/elf.ts';
import { ImageError } from '../capture/formats/errors.ts';
import { buildToolsBootParams, DEFAULT_INITRD_ADDR_MAX, TOOLS_BOOT_PARAMS_SIZE } from './boot-params.ts';
import { sayMemoryRanges } from './debug-lines.ts';
import {
  addCrashSegments,
  addSeed,
  finishPurgatory,
  limitsOf,
  placesOf,
  typed,
  withoutInterruptTable,
} from './load-plan-x86_64-tools.ts';
import type { X86LoadPlan } from './load-plan-x86_64.ts';
import { checkCommandLine, type LoadRequest, type Say } from './load-plan.ts';
import { X86_PURGATORY } from './purgatory-x86_64.ts';
import type { E820Entry, RunningSystem, X86Firmware } from './running-system.ts';
import { SegmentList, sortSegments, type KexecSegment } from './segments.ts';
import { KEXEC_ARCH, KEXEC_FLAGS } from './syscalls.ts';

const MIB = 2 ** 20;
const NO_MAX = Number.MAX_SAFE_INTEGER;
const INITRD_BASE = 16 * MIB;
/** `struct x86_linux_faked_param_header`: parameters and a command line. */
const PARAMS_SIZE = TOOLS_BOOT_PARAMS_SIZE + 2048;

/** @throws UsageError, ImageError for what kexec-tools refuses */
export function planX86VmlinuxLoad(
  system: RunningSystem,
  firmware: X86Firmware,
  request: LoadRequest,
  say: Say = () => {},
): X86LoadPlan {
  checkCommandLine(request.commandLine);
  const { entry, loads } = readVmlinux(request.kernel);
  const ranges = (firmware.firmwareMap ?? firmware.memoryMap).map(withoutInterruptTable);
  sayMemoryRanges(say, 'MEMORY RANGES', ranges.map(typed));
  const list = new SegmentList(placesOf(ranges, system, request), limitsOf(system, request));
  for (const { p_paddr, p_memsz, bytes } of loads) list.addAt('kernel', bytes, Number(p_paddr), p_memsz);
  const purgatory = list.add('purgatory', new Uint8Array(X86_PURGATORY.bufsz), upwards(X86_PURGATORY.memsz));
  const params = list.add('boot_params', new Uint8Array(PARAMS_SIZE), upwards(PARAMS_SIZE));
  const crash = request.onPanic ? addCrashSegments(system, firmware, list, request, say) : undefined;
  const initrd = request.initrd && addInitrd(list, request.initrd);
  const { commandLine, memoryMap } = crash ?? { commandLine: request.commandLine ?? '', memoryMap: ranges };
  sayMemoryRanges(say, 'E820 memmap:', memoryMap);
  const setupData = request.rngSeed && addSeed(list, request.rngSeed);
  fillParams(params, { firmware, commandLine, memoryMap, initrd, setupData });
  const placed = { purgatory, entry, bootParams: params.mem };
  const finished = finishPurgatory(list, placed, crash?.backup, request);
  return {
    syscall: 'kexec_load',
    segments: sortSegments([...list.segments.filter(segment => segment !== purgatory), finished.segment]),
    entry: request.entry ?? finished.entry,
    dtb: undefined,
    flags: KEXEC_ARCH.X86_64 + (request.onPanic ? KEXEC_FLAGS.ON_CRASH : 0),
    bootParams: params.mem,
  };
}

interface Told {
  readonly firmware: X86Firmware;
  readonly commandLine: string;
  readonly memoryMap: readonly E820Entry[];
  readonly initrd: KexecSegment | undefined;
  readonly setupData: KexecSegment | undefined;
}

function fillParams(params: KexecSegment, { firmware, commandLine, memoryMap, initrd, setupData }: Told): void {
  const told = {
    image: undefined,
    commandLine,
    paddr: params.mem,
    commandLineOffset: TOOLS_BOOT_PARAMS_SIZE,
    initrd: initrd && { start: initrd.mem, end: initrd.mem + initrd.bytes.length },
    memoryMap,
    acpiRsdp: firmware.acpiRsdp,
    screenInfo: firmware.screenInfo,
    setupData: setupData?.mem,
  };
  params.bytes.set(buildToolsBootParams(told));
}

function upwards(size: number) {
  return { size, alignment: 16, min: 0, max: NO_MAX, direction: 'up' } as const;
}

function addInitrd(list: SegmentList, bytes: Uint8Array): KexecSegment {
  const placement = { size: bytes.length, alignment: 1, min: INITRD_BASE, max: DEFAULT_INITRD_ADDR_MAX + 1 } as const;
  return list.add('initrd', bytes, { ...placement, direction: 'down' });
}

interface Vmlinux {
  /** Physical address of `startup_64`. */
  readonly entry: number;
  readonly loads: readonly (Phdr & { readonly bytes: Uint8Array })[];
}

/** @throws ImageError when it is no x86_64 executable */
function readVmlinux(file: Uint8Array): Vmlinux {
  const isElf = file.length >= ELF64_EHDR.size && Buffer.from(file.subarray(0, 4)).toString('latin1') === ELF_MAGIC;
  if (!isElf) throw new ImageError('Not an ELF file');
  const { e_type, e_machine, e_entry, e_phoff, e_phnum, e_phentsize } = ELF64_EHDR.parse(file);
  if (e_type !== ET.EXEC || e_machine !== EM.X86_64) throw new ImageError('Not ELF type ET_EXEC of x86_64');
  const headers = Array.from({ length: e_phnum }, (_, i) => ELF64_PHDR.parse(file, e_phoff + i * e_phentsize));
  const loads = headers.filter(({ p_type }) => p_type === PT.LOAD);
  return {
    entry: Number(e_entry),
    loads: loads.map(phdr => ({ ...phdr, bytes: file.subarray(phdr.p_offset, phdr.p_offset + phdr.p_filesz) })),
  };
}
