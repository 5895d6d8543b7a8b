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
/**
 * The first makedumpfile that tells tail pages of kernels whose `struct page` has `compound_info` in place of `compound_head`
 * (Linux commit d50569612c29, v7.1; makedumpfile commit f50c015f150f): before, it takes some of them for pages of users.
 */
const MAKEDUMPFILE_WITH_COMPOUND_INFO = '1:1.8.0';
const FIRST_KERNEL_WITH_COMPOUND_INFO = '7.1';
/** The dump level of user pages. */
const USER_PAGES = 8;

/** A way round, with the line that tells of it. */
export interface Workaround {
  /** Machine-readable name, as in the guest's `note=` lines. */
  readonly code: 'va52' | 'compound-info' | 'cma' | 'kaslr-seed';
  readonly text: string;
}

/** A way round a collector: another one. */
export interface OtherCollector extends Workaround {
  readonly command: string;
}

/** What a collector is to save: the kernel, and the makedumpfile that Debian has for it. */
export interface Collected {
  /** Kernel release; empty when it is not known. */
  readonly release: string;
  readonly config: KernelConfig;
  /** Of the package; empty when it is not known. */
  readonly makedumpfileVersion: string;
}

/** The collector to take instead of one that would save nothing, or too little. */
export function checkCollector(collector: string, collected: Collected): OtherCollector | undefined {
  if (!collector.startsWith('makedumpfile')) return undefined;
  return checkVa52(collected) ?? checkCompoundInfo(collector, collected);
}

/** Kernels built for 52-bit addresses with 4K or 16K pages: makedumpfile gives up, so all of /proc/vmcore is saved. */
function checkVa52({ config, makedumpfileVersion }: Collected): OtherCollector | undefined {
  const pages = ['4K', '16K'].find(size => config.isBuiltIn(`ARM64_${size}_PAGES`));
  const unreadable = config.number('ARM64_VA_BITS') === 52 && pages !== undefined;
  if (!unreadable || compareVersions(makedumpfileVersion, MAKEDUMPFILE_WITH_VA52) >= 0) return undefined;
  return {
    code: 'va52',
    command: 'dd',
    text: `makedumpfile ${withoutEpoch(makedumpfileVersion)} cannot read kernels with VA_BITS=52 and ${pages} pages: saving all of /proc/vmcore with dd`,
  };
}

/** Pages of the kernel would be missing, those of `task_struct` among them: user pages are saved, too. */
function checkCompoundInfo(collector: string, { release, makedumpfileVersion }: Collected): OtherCollector | undefined {
  const hasOld = compareVersions(makedumpfileVersion, MAKEDUMPFILE_WITH_COMPOUND_INFO) < 0;
  if (!hasOld || release === '' || compareVersions(release, FIRST_KERNEL_WITH_COMPOUND_INFO) < 0) return undefined;
  const command = withUserPages(collector);
  if (command === collector) return undefined;
  const version = withoutEpoch(makedumpfileVersion);
  return {
    code: 'compound-info',
    command,
    text: `makedumpfile ${version} leaves out pages of this kernel's own as user pages: saving those, too, with ${command}`,
  };
}

/** Dump levels (`-d 31`, `-ld 31`, `-d 31,17`) without user pages. */
function withUserPages(collector: string): string {
  return collector.replace(
    /(\s-[A-Za-z]*d\s*)(\d+(?:,\d+)*)(?=\s|$)/,
    (_, option: string, levels: string) => option + levels.replaceAll(/\d+/g, level => String(+level & ~USER_PAGES)),
  );
}

function withoutEpoch(version: string): string {
  return version.replace(/^\d+:/, '');
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
