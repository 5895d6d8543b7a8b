/**
 * Kernel command lines and the size of the crash kernel region.
 *
 * Sources: `Documentation/admin-guide/kernel-parameters.rst` (v6.12); `Documentation/admin-guide/kdump/kdump.rst` (v6.12)
 * "Notes on loading the dump-capture kernel" (`irqpoll`, `reset_devices`, `nr_cpus=1`).
 */
import { UsageError } from '../capture/formats/errors.ts';
import type { Architecture } from './kernel-image.ts';

const MIB = 1024 * 1024;

/** Console that the machines' first serial port is. */
export const CONSOLES: Readonly<Record<Architecture, string>> = { aarch64: 'ttyAMA0', x86_64: 'ttyS0' };

/** What decides the command lines. */
export interface CommandLineOptions {
  readonly architecture: Architecture;
  /** `128M`, or any other form of `crashkernel=`. */
  readonly crashkernel: string;
  /** More words for the production kernel. */
  readonly append: string;
  /** Leave out the self-tests of the crypto code in both kernels: most of arm64's boot instructions. */
  readonly withoutCryptoTests: boolean;
  /** More words for the capture kernel. */
  readonly captureAppend: string;
}

/** The production kernel's command line. */
export function productionCommandLine(options: CommandLineOptions): string {
  return joinWords([
    `console=${CONSOLES[options.architecture]}`,
    `crashkernel=${options.crashkernel}`,
    options.withoutCryptoTests ? 'cryptomgr.notests' : '',
    options.append,
  ]);
}

/** The capture kernel's command line; kexec adds `elfcorehdr=` or the device tree's equivalent. */
export function captureCommandLine(options: CommandLineOptions): string {
  return joinWords([
    `console=${CONSOLES[options.architecture]}`,
    'irqpoll nr_cpus=1 reset_devices',
    options.withoutCryptoTests ? 'cryptomgr.notests' : '',
    options.captureAppend,
  ]);
}

function joinWords(words: readonly string[]): string {
  return words.filter(word => word !== '').join(' ');
}

/** Memory that a capture kernel needs beside what is counted, in bytes: page tables, `struct page`s, makedumpfile's buffers. */
const WORKING_ROOM = 24 * MIB;

/**
 * How much memory a capture kernel needs, in bytes: its image, its initramfs twice (archive and unpacked files), a CMA pool if it
 * makes one, and room to work.
 */
export function captureKernelNeed(imageMemorySize: number, initramfsSize: number, cmaSize: number): number {
  return imageMemorySize + 2 * initramfsSize + cmaSize + WORKING_ROOM;
}

/** `crashkernel=` for a need in bytes: a multiple of 64 MiB, and at least the 128 MiB that the tutorials reserve. */
export function defaultCrashkernel(need: number): string {
  return `${Math.max(128, Math.ceil(need / (64 * MIB)) * 64)}M`;
}

/** The plain `SIZE` or `SIZE@OFFSET` of a `crashkernel=` in bytes; undefined for the forms with ranges and `,high`. */
export function plainCrashkernelSize(spec: string): number | undefined {
  const match = /^(\d+)([KMG]?)(@\w+)?$/i.exec(spec);
  return match === null ? undefined : parseSize(`${match[1]!}${match[2]!}`);
}

/** Reads `512M`, `2G`, `65536K` or plain bytes. @throws UsageError */
export function parseSize(text: string): number {
  const match = /^(\d+)([KMG]?)(i?B)?$/i.exec(text);
  if (match === null) throw new UsageError(`${text}: not a size (like 512M or 2G)`);
  const shift = { '': 1, K: 1024, M: MIB, G: 1024 * MIB }[match[2]!.toUpperCase()]!;
  return Number(match[1]) * shift;
}
