/**
 * What breaks with stock kernels and tools, seen before the flow starts, and the documented way round each.
 *
 * What can only be seen in the running guest (a missing `_text`, a collector that fails) is in `initramfs/init.sh`.
 */
import { plainCrashkernelSize } from './command-line.ts';
import { compareVersions } from './debian/version.ts';
import type { KernelConfig } from './kernel-config.ts';

/** The first makedumpfile that reads arm64 kernels built for 52-bit addresses with pages smaller than 64K. */
const MAKEDUMPFILE_WITH_VA52 = '1:1.7.9';

/** A way round, with the line that tells of it. */
export interface Workaround {
  /** Machine-readable name, as in the guest's `note=` lines. */
  readonly code: 'va52' | 'cma' | 'kaslr-seed';
  readonly text: string;
}

/** Kernels built for 52-bit addresses with 4K or 16K pages: makedumpfile gives up, so all of /proc/vmcore is saved. */
export function checkCollector(
  collector: string,
  config: KernelConfig,
  makedumpfileVersion: string,
): Workaround | undefined {
  const pages = ['4K', '16K'].find(size => config.isBuiltIn(`ARM64_${size}_PAGES`));
  const unreadable = config.number('ARM64_VA_BITS') === 52 && pages !== undefined;
  if (!unreadable || !collector.startsWith('makedumpfile')) return undefined;
  if (compareVersions(makedumpfileVersion, MAKEDUMPFILE_WITH_VA52) >= 0) return undefined;
  const version = makedumpfileVersion.replace(/^\d+:/, '');
  return {
    code: 'va52',
    text: `makedumpfile ${version} cannot read kernels with VA_BITS=52 and ${pages} pages: saving all of /proc/vmcore with dd`,
  };
}

/**
 * A CMA pool takes its default size out of the crash kernel region too.
 * @param need of the capture kernel with its CMA pool, in bytes
 */
export function checkCma(crashkernel: string, config: KernelConfig, need: number): Workaround | undefined {
  const pool = config.number('CMA_SIZE_MBYTES');
  const reserved = plainCrashkernelSize(crashkernel);
  if (pool === 0 || reserved === undefined || reserved >= need) return undefined;
  return {
    code: 'cma',
    text: `the kernel's CMA pool of ${pool} MiB would crowd crashkernel=${crashkernel}: cma=0 for the capture kernel`,
  };
}

/** kexec-tools wants a kaslr-seed that the kernel has wiped; with nokaslr it stays. */
export function checkKaslrSeed(append: string, architecture: string): Workaround | undefined {
  if (architecture !== 'aarch64' || !/(^|\s)nokaslr(\s|$)/.test(append)) return undefined;
  return {
    code: 'kaslr-seed',
    text: 'with nokaslr, kexec-tools refuses a device tree that has a kaslr-seed: booting without seeds',
  };
}
