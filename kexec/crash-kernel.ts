/**
 * The kernel's `crashkernel=` parameter: what a command line asks for on a machine of a given size.
 *
 * Sources: `Documentation/admin-guide/kernel-parameters.txt` "crashkernel=", `Documentation/admin-guide/kdump/kdump.rst`
 * "crashkernel syntax", `kernel/crash_reserve.c` (Linux v6.12; `,cma` since v6.17). As there, the last parameter of each
 * form counts, and `,high` and `,low` count only without a plain one.
 */
import { UsageError } from '../capture/formats/errors.ts';

/** What a command line asks the kernel to reserve. Sizes and addresses in bytes. */
export interface CrashKernelRequest {
  /** Of the region for the capture kernel; 0 when no range fits the machine. */
  readonly size: number;
  /** Physical address that was asked for. */
  readonly base: number | undefined;
  /** The region may lie above 4 GiB (x86_64) or outside the DMA zones (arm64). */
  readonly high: boolean;
  /** Reserved below 4 GiB beside a high region; undefined for the architecture's default. */
  readonly lowSize: number | undefined;
  /** Reserved as CMA: the production kernel uses it for movable pages meanwhile. */
  readonly cmaSize: number;
}

const PARAMETER = 'crashkernel=';
const SUFFIXES = [',high', ',low', ',cma'] as const;
type Suffix = (typeof SUFFIXES)[number];
/** The kernel rounds memory up before it compares ranges: firmware keeps some for itself. */
const RAM_ROUNDING = 128 * 2 ** 20;
/** Rounding of the region itself: CRASH_ALIGN of x86_64 and arm64 is 2 MiB or more. */
const CRASH_ALIGN = 2 * 2 ** 20;

/**
 * Reads the parameter.
 * @param systemRam bytes of memory of the machine
 * @returns undefined when the command line does not ask for a crash kernel
 * @throws UsageError saying what is wrong; the kernel prints a warning and reserves nothing
 */
export function parseCrashKernel(commandLine: string, systemRam: number): CrashKernelRequest | undefined {
  const values = parameters(commandLine);
  const cma = values.findLast(value => suffixOf(value) === ',cma');
  const cmaSize = cma === undefined ? 0 : parseSuffixed(cma);
  const plain = values.findLast(value => suffixOf(value) === undefined);
  if (plain !== undefined) {
    const { size, base } = parsePlain(plain, systemRam);
    return { size, base, high: false, lowSize: undefined, cmaSize };
  }
  const high = values.findLast(value => suffixOf(value) === ',high');
  if (high === undefined) return undefined;
  const low = values.findLast(value => suffixOf(value) === ',low');
  const lowSize = low === undefined ? undefined : parseSuffixed(low);
  return { size: parseSuffixed(high), base: undefined, high: true, lowSize, cmaSize };
}

/** Says in words what a request means. */
export function explainCrashKernel(request: CrashKernelRequest | undefined): string {
  if (request === undefined) return 'no memory is reserved for a crash kernel';
  const { size, base, high, lowSize, cmaSize } = request;
  if (size === 0) return 'no range fits the memory of this machine: nothing is reserved';
  const parts = [`${mebibytes(alignUp(size))} are reserved`];
  if (base !== undefined) parts.push(`at physical address 0x${base.toString(16)}, or not at all`);
  else if (high) parts.push('from the top of memory');
  else parts.push('below 4 GiB if possible, else above');
  if (high && lowSize !== 0) {
    const low = lowSize === undefined ? 'the default amount' : mebibytes(lowSize);
    parts.push(`and ${low} below 4 GiB for DMA if the region lies above`);
  }
  if (cmaSize > 0) parts.push(`and ${mebibytes(cmaSize)} of CMA that the capture kernel may use as well`);
  return parts.join(' ');
}

/** What a capture kernel needs memory for. Bytes. */
export interface CrashKernelUse {
  /** `image_size` (arm64) or `init_size` (x86_64): the kernel in memory, not the file. */
  readonly kernel: number;
  /** The initramfs as loaded, compressed. */
  readonly initramfs: number;
  /** The initramfs unpacked: it lies beside the compressed one for a moment. */
  readonly unpacked: number;
}

/** Memory for page structures, slabs, user space and makedumpfile's buffers; measured on the lab's capture kernels. */
const RUNTIME = 64 * 2 ** 20;
const ESTIMATE_STEP = 16 * 2 ** 20;

/** Estimates the size to ask for: a bound from what must fit, rounded up to 16 MiB. */
export function estimateCrashKernel({ kernel, initramfs, unpacked }: CrashKernelUse): number {
  return Math.ceil((kernel + initramfs + unpacked + RUNTIME) / ESTIMATE_STEP) * ESTIMATE_STEP;
}

/** Values of all `crashkernel=` parameters, in order. */
function parameters(commandLine: string): string[] {
  return commandLine
    .split(/\s+/)
    .filter(word => word.startsWith(PARAMETER))
    .map(word => word.slice(PARAMETER.length));
}

function suffixOf(value: string): Suffix | undefined {
  return SUFFIXES.find(suffix => value.endsWith(suffix));
}

/** `SIZE,high`, `SIZE,low`, `SIZE,cma`. */
function parseSuffixed(value: string): number {
  return parseMemory(value.slice(0, value.lastIndexOf(',')), value);
}

/** `SIZE[@BASE]`, or `START-[END]:SIZE[,…][@BASE]`. */
function parsePlain(value: string, systemRam: number): { size: number; base: number | undefined } {
  const [sizes = '', base, ...rest] = value.split('@');
  if (rest.length > 0) throw wrong(value, 'more than one offset');
  const address = base === undefined ? undefined : parseMemory(base, value);
  if (!sizes.includes(':')) return { size: parseMemory(sizes, value), base: address };
  const ram = Math.ceil(systemRam / RAM_ROUNDING) * RAM_ROUNDING;
  const ranges = sizes.split(',').map(range => parseRange(range, value));
  const fitting = ranges.find(({ start, end }) => ram >= start && ram < end);
  if (fitting !== undefined && fitting.size >= ram) throw wrong(value, 'the size is not less than the memory');
  return { size: fitting?.size ?? 0, base: address };
}

function parseRange(range: string, value: string): { start: number; end: number; size: number } {
  const match = /^([^-:]+)-([^:]*):(.+)$/.exec(range);
  if (match === null) throw wrong(value, `"${range}" is no range START-[END]:SIZE`);
  const start = parseMemory(match[1]!, value);
  const end = match[2] === '' ? Number.POSITIVE_INFINITY : parseMemory(match[2]!, value);
  if (end <= start) throw wrong(value, `the range "${range}" ends before it begins`);
  return { start, end, size: parseMemory(match[3]!, value) };
}

/** A number with the kernel's suffixes. */
function parseMemory(text: string, value: string): number {
  const match = /^(0x[\da-f]+|\d+)([KMGTPE])?$/i.exec(text);
  if (match === null) throw wrong(value, `"${text}" is no size`);
  const power = match[2] === undefined ? 0 : 'KMGTPE'.indexOf(match[2].toUpperCase()) + 1;
  return Number(match[1]) * 1024 ** power;
}

function wrong(value: string, reason: string): UsageError {
  return new UsageError(`${PARAMETER}${value}: ${reason}`);
}

function alignUp(size: number): number {
  return Math.ceil(size / CRASH_ALIGN) * CRASH_ALIGN;
}

function mebibytes(size: number): string {
  return `${size / 2 ** 20} MiB`;
}
