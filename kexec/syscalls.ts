/**
 * The two system calls: what they accept, and the error for what they do not.
 *
 * Sources: Linux v6.12 `include/uapi/linux/kexec.h`, `kernel/kexec.c` "kexec_load_check", "do_kexec_load", `kernel/kexec_core.c`
 * "sanity_check_segment_list", "kexec_load_permitted", "kimage_alloc_crash_control_pages", `kernel/kexec_file.c` "kexec_file_load"; kexec_load(2).
 * Checks are rows in the order in which the kernel makes them: the first that objects decides.
 * Not modelled: signatures, IMA, lockdown's own rules, faults while segments are copied.
 */
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { PAGE_SIZE } from './segments.ts';

/** Flags of `kexec_load`. */
export const KEXEC_FLAGS = {
  ON_CRASH: 1,
  PRESERVE_CONTEXT: 2,
  UPDATE_ELFCOREHDR: 4,
  CRASH_HOTPLUG_SUPPORT: 8,
} as const;

/** Architecture field of the flags: ELF machine numbers in the upper half. */
export const KEXEC_ARCH = { DEFAULT: 0, X86_64: 62 * 0x1_0000, AARCH64: 183 * 0x1_0000 } as const;
const KEXEC_ARCH_MASK = 0xffff_0000n;

/** Flags of `kexec_file_load`. */
export const KEXEC_FILE_FLAGS = {
  UNLOAD: 1,
  ON_CRASH: 2,
  NO_INITRAMFS: 4,
  DEBUG: 8,
  NO_CMA: 0x10,
  FORCE_DTB: 0x20,
} as const;

/** KEXEC_SEGMENT_MAX. */
export const MOST_SEGMENTS = 16;

/** Numbers of `errno` that these calls return. */
export const ERRNO = {
  EPERM: 1,
  ENOEXEC: 8,
  EBADF: 9,
  ENOMEM: 12,
  EFAULT: 14,
  EBUSY: 16,
  EINVAL: 22,
  EFBIG: 27,
  ENOSYS: 38,
  EOPNOTSUPP: 95,
  EADDRNOTAVAIL: 99,
} as const;
export type Errno = keyof typeof ERRNO;

/** What the kernel has at the time of the call. */
export interface KexecKernel {
  readonly architecture: 'aarch64' | 'x86_64';
  /** CONFIG_KEXEC and CONFIG_KEXEC_FILE. */
  readonly hasKexecLoad: boolean;
  readonly hasKexecFileLoad: boolean;
  /** Flags that this version of the kernel knows. */
  readonly knownFlags: number;
  readonly knownFileFlags: number;
  /** CAP_SYS_BOOT in the caller's user namespace. */
  readonly mayBoot: boolean;
  /** `kernel.kexec_load_disabled`. */
  readonly loadDisabled: boolean;
  /** What is left of `kernel.kexec_load_limit_panic` and `kernel.kexec_load_limit_reboot`; undefined: no limit. */
  readonly loadsLeft: { readonly panic: number | undefined; readonly reboot: number | undefined };
  /** Another kexec call, or a crash, holds the lock. */
  readonly busy: boolean;
  /** Crash kernel region of the kernel itself (the high one of two). */
  readonly crashRegion: PhysicalRange | undefined;
  /** Pages of memory that the page allocator manages. */
  readonly totalRamPages: number;
}

const allOf = (flags: Readonly<Record<string, number>>): number =>
  Object.values(flags).reduce((sum, bit) => sum + bit, 0);

/** A kernel that objects to nothing but where segments are: for those who see a call, and not the caller. */
export function willingKernel(
  architecture: KexecKernel['architecture'],
  crashRegion: PhysicalRange | undefined,
): KexecKernel {
  return {
    architecture,
    hasKexecLoad: true,
    hasKexecFileLoad: true,
    knownFlags: allOf(KEXEC_FLAGS),
    knownFileFlags: allOf(KEXEC_FILE_FLAGS),
    mayBoot: true,
    loadDisabled: false,
    loadsLeft: { panic: undefined, reboot: undefined },
    busy: false,
    crashRegion,
    totalRamPages: Number.MAX_SAFE_INTEGER,
  };
}

/** One `struct kexec_segment`; values as the program passed them. */
export interface SegmentArgument {
  readonly bufsz: bigint;
  readonly mem: bigint;
  readonly memsz: bigint;
}

/** Arguments of `kexec_load`. */
export interface KexecLoadArguments {
  readonly entry: bigint;
  readonly segments: readonly SegmentArgument[];
  /** `nr_segments`: may claim more than there are. */
  readonly nrSegments: number;
  readonly flags: bigint;
}

interface Check<Arguments> {
  readonly errno: Errno;
  readonly why: string;
  readonly objects: (call: Arguments, kernel: KexecKernel) => boolean;
}

const ULONG_MASK = 0xffff_ffff_ffff_ffffn;
const PAGE_MASK = BigInt(PAGE_SIZE - 1);
const ends = ({ mem, memsz }: SegmentArgument): bigint => (mem + memsz) & ULONG_MASK;
const pages = ({ memsz }: SegmentArgument): bigint => (memsz + PAGE_MASK) / BigInt(PAGE_SIZE);
const onCrash = ({ flags }: KexecLoadArguments): boolean => (flags & BigInt(KEXEC_FLAGS.ON_CRASH)) !== 0n;

function notPermitted(kernel: KexecKernel, crash: boolean): boolean {
  const left = crash ? kernel.loadsLeft.panic : kernel.loadsLeft.reboot;
  return !kernel.mayBoot || kernel.loadDisabled || left === 0;
}

function overlaps(segments: readonly SegmentArgument[]): boolean {
  return segments.some((segment, i) =>
    segments.slice(0, i).some(other => ends(segment) > other.mem && segment.mem < ends(other)),
  );
}

/** Of the kernel's own architecture, or the default. */
function isForeign(flags: bigint, { architecture }: KexecKernel): boolean {
  const own = architecture === 'aarch64' ? KEXEC_ARCH.AARCH64 : KEXEC_ARCH.X86_64;
  const asked = flags & KEXEC_ARCH_MASK;
  return asked !== BigInt(own) && asked !== BigInt(KEXEC_ARCH.DEFAULT);
}

/** Outside the region that is reserved; without one its bounds are both 0. */
function outside(region: PhysicalRange | undefined, start: bigint, last: bigint): boolean {
  const { start: first, end } = region ?? { start: 0, end: 1 };
  return start < BigInt(first) || last > BigInt(end - 1);
}

/** The checks of `kexec_load`, in the kernel's order. Loading no segments unloads. */
export const KEXEC_LOAD_CHECKS: readonly Check<KexecLoadArguments>[] = [
  { errno: 'ENOSYS', why: 'the kernel has no kexec_load (CONFIG_KEXEC)', objects: (_, kernel) => !kernel.hasKexecLoad },
  {
    errno: 'EPERM',
    why: 'no CAP_SYS_BOOT, kernel.kexec_load_disabled is set, or kernel.kexec_load_limit_* is used up',
    objects: (call, kernel) => notPermitted(kernel, onCrash(call)),
  },
  {
    errno: 'EINVAL',
    why: 'unknown flags',
    objects: ({ flags }, kernel) => (flags & ~KEXEC_ARCH_MASK & ~BigInt(kernel.knownFlags)) !== 0n,
  },
  { errno: 'EINVAL', why: 'more than 16 segments', objects: ({ nrSegments }) => nrSegments > MOST_SEGMENTS },
  { errno: 'EINVAL', why: 'another architecture', objects: ({ flags }, kernel) => isForeign(flags, kernel) },
  {
    errno: 'EFAULT',
    why: 'the array of segments cannot be read',
    objects: ({ segments, nrSegments }) => nrSegments > segments.length,
  },
  { errno: 'EBUSY', why: 'another call or a crash is under way', objects: (_, { busy }) => busy },
  {
    errno: 'EADDRNOTAVAIL',
    why: 'the entry point lies outside the crash kernel region',
    objects: (call, { crashRegion }) =>
      call.nrSegments > 0 && onCrash(call) && outside(crashRegion, call.entry, call.entry),
  },
  {
    errno: 'EADDRNOTAVAIL',
    why: 'a segment wraps around, or does not begin and end at a page',
    objects: ({ segments }) =>
      segments.some(segment => segment.mem > ends(segment) || ((segment.mem | ends(segment)) & PAGE_MASK) !== 0n),
  },
  {
    errno: 'EADDRNOTAVAIL',
    why: 'a segment ends at the top of the address space',
    objects: ({ segments }) => segments.some(segment => ends(segment) >= ULONG_MASK),
  },
  { errno: 'EINVAL', why: 'segments overlap', objects: ({ segments }) => overlaps(segments) },
  {
    errno: 'EINVAL',
    why: 'a buffer is larger than its segment',
    objects: ({ segments }) => segments.some(({ bufsz, memsz }) => bufsz > memsz),
  },
  {
    errno: 'EINVAL',
    why: 'the segments take more than half of memory',
    objects: ({ segments }, { totalRamPages }) =>
      segments.reduce((sum, segment) => sum + pages(segment), 0n) > BigInt(Math.floor(totalRamPages / 2)),
  },
  {
    errno: 'EADDRNOTAVAIL',
    why: 'a segment lies outside the crash kernel region',
    objects: (call, { crashRegion }) =>
      onCrash(call) && call.segments.some(segment => outside(crashRegion, segment.mem, ends(segment) - 1n)),
  },
  {
    errno: 'ENOMEM',
    why: 'the segments leave no page of the crash kernel region for the code that jumps',
    objects: (call, { crashRegion }) =>
      call.nrSegments > 0 && onCrash(call) && !hasFreePage(call.segments, crashRegion),
  },
];

/** `kimage_alloc_crash_control_pages`: whether it finds a page between or behind the segments. x86_64 may want more than one. */
function hasFreePage(segments: readonly SegmentArgument[], region: PhysicalRange | undefined): boolean {
  if (region === undefined) return false;
  let hole = BigInt(region.start);
  for (;;) {
    const at = hole;
    if (at + PAGE_MASK >= BigInt(region.end)) return false;
    const obstacle = segments.find(segment => at + PAGE_MASK >= segment.mem && at < ends(segment));
    if (obstacle === undefined) return true;
    hole = ends(obstacle);
  }
}

/** Arguments of `kexec_file_load`, as far as they are checked. */
export interface KexecFileLoadArguments {
  /** Undefined: not an open file. */
  readonly kernel: 'image' | 'unknown' | 'empty' | 'directory' | undefined;
  readonly initrd: 'file' | 'empty' | 'directory' | undefined;
  /** With its NUL; undefined: `cmdline_len` 0. */
  readonly commandLine: Uint8Array | undefined;
  readonly flags: bigint;
}

const fileFlag = ({ flags }: KexecFileLoadArguments, flag: keyof typeof KEXEC_FILE_FLAGS): boolean =>
  (flags & BigInt(KEXEC_FILE_FLAGS[flag])) !== 0n;
const loads = (call: KexecFileLoadArguments): boolean => !fileFlag(call, 'UNLOAD');
const wantsInitrd = (call: KexecFileLoadArguments): boolean => loads(call) && !fileFlag(call, 'NO_INITRAMFS');

/** The checks of `kexec_file_load`, in the kernel's order. */
export const KEXEC_FILE_LOAD_CHECKS: readonly Check<KexecFileLoadArguments>[] = [
  {
    errno: 'ENOSYS',
    why: 'the kernel has no kexec_file_load (CONFIG_KEXEC_FILE)',
    objects: (_, kernel) => !kernel.hasKexecFileLoad,
  },
  {
    errno: 'EPERM',
    why: 'no CAP_SYS_BOOT, kernel.kexec_load_disabled is set, or kernel.kexec_load_limit_* is used up',
    objects: (call, kernel) => notPermitted(kernel, fileFlag(call, 'ON_CRASH')),
  },
  {
    errno: 'EINVAL',
    why: 'unknown flags',
    objects: ({ flags }, kernel) => (flags & ~BigInt(kernel.knownFileFlags)) !== 0n,
  },
  { errno: 'EBUSY', why: 'another call or a crash is under way', objects: (_, { busy }) => busy },
  { errno: 'EBADF', why: 'the kernel is no open file', objects: call => loads(call) && call.kernel === undefined },
  {
    errno: 'EINVAL',
    why: 'the kernel is empty or no regular file',
    objects: call => loads(call) && (call.kernel === 'empty' || call.kernel === 'directory'),
  },
  {
    errno: 'ENOEXEC',
    why: 'no loader knows the kernel image',
    objects: (call, kernel) => loads(call) && call.kernel === 'unknown' && kernel.architecture === 'x86_64',
  },
  {
    errno: 'EINVAL',
    why: 'the kernel is no arm64 Image',
    objects: call => loads(call) && call.kernel === 'unknown',
  },
  {
    errno: 'EBADF',
    why: 'the initramfs is no open file',
    objects: call => wantsInitrd(call) && call.initrd === undefined,
  },
  {
    errno: 'EINVAL',
    why: 'the initramfs is empty or no regular file',
    objects: call => wantsInitrd(call) && call.initrd !== 'file',
  },
  {
    errno: 'EINVAL',
    why: 'the command line does not end with NUL',
    objects: call => loads(call) && call.commandLine !== undefined && call.commandLine.at(-1) !== 0,
  },
];

/** Why a call fails; undefined when it succeeds. */
export interface Refusal {
  readonly errno: Errno;
  readonly why: string;
}

/** What a kernel holds: an image for a crash, and one for a reboot. */
export interface HeldImages<Image> {
  readonly crash: Image | undefined;
  readonly reboot: Image | undefined;
}

/** What a call returns, and what is loaded then. */
export interface CallOutcome<Image> {
  readonly refusal: Refusal | undefined;
  readonly held: HeldImages<Image>;
}

/** Makes a `kexec_load`. @param image that its segments make */
export function applyKexecLoad<Image>(
  held: HeldImages<Image>,
  call: KexecLoadArguments,
  kernel: KexecKernel,
  image: Image,
): CallOutcome<Image> {
  const slot = onCrash(call) ? 'crash' : 'reboot';
  return applyCall(
    held,
    slot,
    call.nrSegments === 0 ? undefined : image,
    firstFailing(KEXEC_LOAD_CHECKS, call, kernel),
  );
}

/** Makes a `kexec_file_load`, up to the placement of segments. */
export function applyKexecFileLoad<Image>(
  held: HeldImages<Image>,
  call: KexecFileLoadArguments,
  kernel: KexecKernel,
  image: Image,
): CallOutcome<Image> {
  const slot = fileFlag(call, 'ON_CRASH') ? 'crash' : 'reboot';
  return applyCall(held, slot, loads(call) ? image : undefined, firstFailing(KEXEC_FILE_LOAD_CHECKS, call, kernel));
}

/**
 * An image for a reboot is replaced when the new one is complete. One for a crash goes before the new one is looked at, because both
 * lie in the same memory: a call that fails behind the lock leaves nothing.
 */
function applyCall<Image>(
  held: HeldImages<Image>,
  slot: keyof HeldImages<Image>,
  image: Image | undefined,
  failing: Failing | undefined,
): CallOutcome<Image> {
  if (failing === undefined) return { refusal: undefined, held: { ...held, [slot]: image } };
  const { refusal, isBehindLock } = failing;
  const isGone = isBehindLock && slot === 'crash' && image !== undefined;
  return { refusal, held: isGone ? { ...held, crash: undefined } : held };
}

interface Failing {
  readonly refusal: Refusal;
  /** The call got the lock: EBUSY is what it returns without. */
  readonly isBehindLock: boolean;
}

function firstFailing<A>(checks: readonly Check<A>[], call: A, kernel: KexecKernel): Failing | undefined {
  const at = checks.findIndex(({ objects }) => objects(call, kernel));
  if (at < 0) return undefined;
  const { errno, why } = checks[at]!;
  const lock = checks.findIndex(check => check.errno === 'EBUSY');
  return { refusal: { errno, why }, isBehindLock: at > lock };
}

/** Checks a `kexec_load`. */
export function checkKexecLoad(call: KexecLoadArguments, kernel: KexecKernel): Refusal | undefined {
  return firstFailing(KEXEC_LOAD_CHECKS, call, kernel)?.refusal;
}

/** Checks a `kexec_file_load` up to the placement of segments. */
export function checkKexecFileLoad(call: KexecFileLoadArguments, kernel: KexecKernel): Refusal | undefined {
  return firstFailing(KEXEC_FILE_LOAD_CHECKS, call, kernel)?.refusal;
}
