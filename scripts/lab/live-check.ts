/**
 * `kexec check`: looks at what a kernel has loaded for its crash, in a machine that stands still or in a dump, and says whether it will work.
 */
import type { Program } from '../../analyzer/program.ts';
import { FaultError, FormatError } from '../../capture/formats/errors.ts';
import type { PhysicalRange } from '../../capture/formats/memory-source.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import { checkLoadedImage, commandLineOf, type Finding } from '../../kexec/check.ts';
import { recogniseSegments, type LoadedImage } from '../../kexec/recognise.ts';
import { mapLines } from '../../kexec/report.ts';
import { describeLiveKernel, loadedImageOf, openLiveKernel } from './live-kernel.ts';

/** What was found out. Plain data but for addresses, which are numbers. */
export interface KexecCheck {
  readonly release: string;
  readonly regions: readonly PhysicalRange[];
  readonly image: ImageDescription | undefined;
  readonly findings: readonly Finding[];
}

/** An image in words. */
export interface ImageDescription {
  /** How it was loaded. */
  readonly syscall: 'kexec_load' | 'kexec_file_load';
  readonly entry: number;
  readonly segments: readonly {
    readonly name: string;
    readonly mem: number;
    readonly memsz: number;
    readonly bufsz: number;
  }[];
  readonly commandLine: string;
}

type Memory = Pick<MachineState, 'read' | 'ram'>;

/** Checks a machine. @returns undefined when no kernel that describes itself runs there */
export function checkMachine(state: MachineState): KexecCheck | undefined {
  const program = openLiveKernel(state);
  return program === undefined ? undefined : checkProgram(program, state);
}

/** Checks an opened kernel. One that cannot be asked gives a finding, too. */
export function checkProgram(program: Program, memory: Memory): KexecCheck {
  const release = program.vmcoreinfo.get('OSRELEASE') ?? '';
  try {
    return { release, ...checkDescribed(program, memory) };
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof FaultError)) throw error;
    const findings: Finding[] = [{ severity: 'error', text: `the kernel cannot be asked: ${error.message}` }];
    return { release, regions: [], image: undefined, findings };
  }
}

function checkDescribed(program: Program, memory: Memory): Omit<KexecCheck, 'release'> {
  const system = describeLiveKernel(program, memory);
  const image = loadedImageOf(program);
  return {
    regions: system.crashRegions,
    image: image === undefined ? undefined : describeImage(image, memory.read, program.architecture),
    findings: checkLoadedImage(image, system, memory.read),
  };
}

/** Names an image's segments by their contents. */
export function describeImage(
  image: LoadedImage,
  read: MachineState['read'],
  architecture: Program['architecture'],
): ImageDescription {
  const segments = recogniseSegments(image, read, architecture);
  return {
    syscall: image.fileMode ? 'kexec_file_load' : 'kexec_load',
    entry: image.start,
    segments: segments.map(({ what, mem, memsz, bufsz }) => ({ name: what, mem, memsz, bufsz })),
    commandLine: commandLineOf(segments),
  };
}

/** For people: the region, a map of it, and what is wrong. */
export function checkLines({ release, regions, image, findings }: KexecCheck): string[] {
  const region = regions.at(-1);
  return [
    `kernel ${release}`,
    ...regions.map(range => `crash kernel region ${rangeText(range)}`),
    ...(image === undefined ? [] : [`loaded by ${image.syscall}, command line: ${image.commandLine}`]),
    ...(image === undefined || region === undefined ? [] : mapLines(image, region)),
    ...findingLines(findings),
  ];
}

/** One line for each finding, or one that says that there is none. */
export function findingLines(findings: readonly Finding[]): string[] {
  if (findings.length === 0) return ['nothing wrong with the loaded image'];
  return findings.map(({ severity, text }) => `${severity}: ${text}`);
}

function rangeText({ start, end }: PhysicalRange): string {
  return `0x${start.toString(16)}-0x${(end - 1).toString(16)} (${(end - start) / 2 ** 20} MiB)`;
}
