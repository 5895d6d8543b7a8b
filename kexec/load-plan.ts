/** A load plan: the segments of a kexec image and where it is entered. What the loaders of both architectures share. */
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { UsageError } from '../capture/formats/errors.ts';
import type { RunningSystem } from './running-system.ts';
import type { KexecSegment, SegmentName } from './segments.ts';

/** What is to be loaded, and how. Options of kexec-tools by their names. */
export interface LoadRequest {
  /** Bytes of the kernel as they go into memory: compressed containers are unpacked. */
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array | undefined;
  readonly commandLine: string | undefined;
  /** `-p`: for a panic, into the crash kernel region. */
  readonly onPanic: boolean;
  /** `-i` */
  readonly noChecks: boolean;
  /** `--mem-min`, `--mem-max` as a half-open range. */
  readonly memory: PhysicalRange;
  /** `--entry` */
  readonly entry: number | undefined;
  /** `--dtb`: instead of the system's tree. */
  readonly dtb: Uint8Array | undefined;
  /** New `kaslr-seed` of the capture kernel, where it gets one. */
  readonly kaslrSeed: bigint | undefined;
  /** 128 bytes for `rng-seed`, which only kexec_file_load passes on. */
  readonly rngSeed: Uint8Array | undefined;
}

/** All of memory. */
export const NO_LIMITS: PhysicalRange = { start: 0, end: Number.MAX_SAFE_INTEGER };

/** What the loader says while it works, in the order of kexec-tools' and the kernel's `-d` lines. */
export type Say = (line: string) => void;

/** An image ready to be loaded. */
export interface LoadPlan {
  readonly syscall: 'kexec_load' | 'kexec_file_load';
  /** In the order in which the kernel gets or makes them. */
  readonly segments: readonly KexecSegment[];
  /** Physical address of the first instruction. */
  readonly entry: number;
  /** Physical address of the device tree, where there is one. */
  readonly dtb: number | undefined;
  /** Of the system call. */
  readonly flags: number;
}

/** The segment of a name, if the plan has it. */
export function findPlanned({ segments }: Pick<LoadPlan, 'segments'>, name: SegmentName): KexecSegment | undefined {
  return segments.find(segment => segment.name === name);
}

/** The region that takes the capture kernel. @throws UsageError when nothing is reserved */
export function crashRegionOf({ crashRegions }: RunningSystem): PhysicalRange {
  const region = crashRegions.at(-1);
  if (region !== undefined) return region;
  throw new UsageError(
    'Memory for crashkernel is not reserved: pass a "crashkernel=Y@X" parameter to the production kernel, then load the capture kernel',
  );
}

/** COMMAND_LINE_SIZE of arm64 and x86_64, its NUL included. */
const COMMAND_LINE_SIZE = 2048;

/** @throws UsageError in the words of kexec-tools */
export function checkCommandLine(commandLine: string | undefined): void {
  if (commandLine !== undefined && Buffer.byteLength(commandLine) > COMMAND_LINE_SIZE - 1)
    throw new UsageError('Kernel command line too long for kernel!');
}
