/**
 * Says what is wrong with a loaded capture kernel before the crash finds out.
 *
 * Looks at the image as it lies in memory: segments, ELF core header, device tree, kernel, the purgatory's hash.
 * Sources: as of the parts that build them (elfcorehdr.ts, device-tree-fixup.ts, purgatory.ts); kexec-tools 2.0.25
 * `kexec/kexec.c` "update_purgatory" for the hashed regions.
 */
import { createHash } from 'node:crypto';

import { asBuffer, cString } from '../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR, EM, PT, type Phdr } from '../capture/formats/elf.ts';
import { FormatError } from '../capture/formats/errors.ts';
import { findNode, findProperty, parseFdt, type FdtNode } from '../capture/formats/fdt.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { readBootParams, type ReadBootParams } from './boot-params.ts';
import { propertyNumber } from './flat-tree.ts';
import { readArm64Image } from './images.ts';
import {
  findVerifiedRegions,
  recogniseSegments,
  type LoadedImage,
  type ReadMemory,
  type RecognisedSegment,
} from './recognise.ts';
import { E820_TYPE, type RunningSystem } from './running-system.ts';
import { checkKexecLoad, willingKernel } from './syscalls.ts';

/** Something wrong. Errors mean that there will be no dump. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly text: string;
}

/** Physical addresses are below this on any machine. */
const PHYSICAL_LIMIT = 2 ** 52;
/** Memory that a capture kernel needs beside what is loaded and unpacked: page structures, slabs, buffers. */
const WORKING_ROOM = 24 * 2 ** 20;
/** With 13 MiB arm64's 7.2 panics for want of memory before its first program runs. */
const LEAST_ROOM = 16 * 2 ** 20;
const MIB = 2 ** 20;
const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** Checks an image. @returns nothing when it will work, as far as can be seen */
export function checkLoadedImage(image: LoadedImage | undefined, system: RunningSystem, read: ReadMemory): Finding[] {
  if (image === undefined) return [error('no capture kernel is loaded')];
  const region = system.crashRegions.at(-1);
  if (region === undefined) return [error('no memory is reserved: crashkernel= is missing or was not granted')];
  const segments = recogniseSegments(image, read, system.architecture);
  const find = (what: RecognisedSegment['what']) => segments.find(segment => segment.what === what);
  const byArchitecture =
    system.architecture === 'aarch64'
      ? [...checkKernel(find('kernel')), ...checkTree(find('dtb'), find('elfcorehdr'), system, segments)]
      : checkX86(segments, system.crashRegions);
  return [
    ...checkPlaces(image, region, system),
    ...byArchitecture,
    ...checkElfcorehdr(find('elfcorehdr'), system),
    ...checkRoom(segments, region, system),
    ...checkPurgatory(find('purgatory'), segments),
  ];
}

/** Boot parameters and what they point to. */
function checkX86(segments: readonly RecognisedSegment[], regions: readonly PhysicalRange[]): Finding[] {
  const params = segments.find(({ what }) => what === 'boot_params');
  const told = params && readBootParams(params.bytes);
  if (params === undefined || told === undefined)
    return [error('no segment holds boot_params of an x86 kernel: wrong architecture, or not a bzImage')];
  const findings: Finding[] = [];
  if (!segments.some(({ what }) => what === 'kernel'))
    findings.push(error(`no segment has the ${hex(told.initSize)} bytes that the kernel's header asks for`));
  if (told.initrd !== undefined && !segments.some(({ what }) => what === 'initrd'))
    findings.push(error(`ramdisk_image says ${hex(told.initrd.start)}, where nothing is loaded`));
  return [...findings, ...checkX86CommandLine(params, told, segments), ...checkX86Map(told, segments, regions)];
}

function checkX86CommandLine(
  params: RecognisedSegment,
  { commandLinePaddr }: ReadBootParams,
  segments: readonly RecognisedSegment[],
): Finding[] {
  const offset = commandLinePaddr - params.mem;
  if (offset < 0 || offset >= params.memsz)
    return [error(`the command line at ${hex(commandLinePaddr)} is not loaded`)];
  const text = cString(params.bytes, offset, params.memsz - offset);
  const told = /(?:^|\s)elfcorehdr=(0x[\da-f]+|\d+)(K?)/i.exec(text);
  const header = segments.find(({ what }) => what === 'elfcorehdr');
  if (told === null) return [error('the command line has no elfcorehdr=: /proc/vmcore will not exist')];
  const at = Number(told[1]) * (told[2] === '' ? 1 : 1024);
  if (header === undefined || header.mem === at) return [];
  return [error(`elfcorehdr= says ${hex(at)}, the header is at ${hex(header.mem)}`)];
}

/** RAM of the capture kernel's memory map must be in a crash kernel region, or below 1 MiB, and must not hold the ELF core header. */
function checkX86Map(
  { memoryMap }: ReadBootParams,
  segments: readonly RecognisedSegment[],
  regions: readonly PhysicalRange[],
): Finding[] {
  const ram = memoryMap.filter(({ type, start }) => type === E820_TYPE.RAM && start >= MIB);
  const outside = ram.filter(entry => !regions.some(({ start, end }) => start <= entry.start && entry.end <= end));
  const findings = outside.map(({ start, end }) =>
    error(
      `the memory map gives ${hex(start)}-${hex(end - 1)} to the capture kernel: outside of the crash kernel region`,
    ),
  );
  if (ram.length === 0) findings.push(error('the memory map has no RAM in the crash kernel region'));
  // What lies behind the headers' own size is room for more CPUs: kernels give the rest of its last page away.
  const header = segments.find(({ what }) => what === 'elfcorehdr');
  if (header !== undefined && ram.some(({ start, end }) => header.mem < end && start < header.mem + header.bufsz))
    findings.push(error('the memory map lets the capture kernel overwrite the ELF core header'));
  return findings;
}

function error(text: string): Finding {
  return { severity: 'error', text };
}

function warning(text: string): Finding {
  return { severity: 'warning', text };
}

function checkPlaces(image: LoadedImage, crashRegion: PhysicalRange, { architecture }: RunningSystem): Finding[] {
  const segments = image.segments.map(({ mem, memsz, bufsz }) => ({
    mem: BigInt(mem),
    memsz: BigInt(memsz),
    bufsz: BigInt(bufsz),
  }));
  const call = { entry: BigInt(image.start), segments, nrSegments: segments.length, flags: 1n };
  const refusal = checkKexecLoad(call, willingKernel(architecture, crashRegion));
  return refusal === undefined ? [] : [error(refusal.why)];
}

function checkKernel(kernel: RecognisedSegment | undefined): Finding[] {
  if (kernel === undefined) return [error('no segment holds an arm64 Image: wrong architecture, or not a kernel')];
  const { imageSize, bigEndian } = readArm64Image(kernel.bytes);
  const findings = bigEndian ? [error('the capture kernel is big endian')] : [];
  if (imageSize > kernel.memsz + 0xfff)
    findings.push(error(`the kernel takes ${hex(imageSize)} bytes, its segment has ${hex(kernel.memsz)}`));
  return findings;
}

/** Program headers of a core header. */
function programHeaders(bytes: Uint8Array): Phdr[] {
  const { e_phnum, e_phoff, e_phentsize } = ELF64_EHDR.parse(bytes);
  return Array.from({ length: e_phnum }, (_, i) => ELF64_PHDR.parse(bytes, e_phoff + i * e_phentsize));
}

function checkElfcorehdr(segment: RecognisedSegment | undefined, system: RunningSystem): Finding[] {
  if (segment === undefined) return [error('no segment holds an ELF core header: /proc/vmcore will not exist')];
  const machine = ELF64_EHDR.parse(segment.bytes).e_machine;
  const headers = readHeaders(segment.bytes);
  if (headers === undefined) return [error('the ELF core header is cut short')];
  const wanted = system.architecture === 'aarch64' ? EM.AARCH64 : EM.X86_64;
  const findings = machine === wanted ? [] : [error(`the ELF core header is for machine ${machine}`)];
  const loads = headers.filter(({ p_type }) => p_type === PT.LOAD);
  return [
    ...findings,
    ...loads.flatMap(phdr => checkLoad(phdr, system)),
    ...checkCoverage(loads, system),
    ...checkNotes(
      headers.filter(({ p_type }) => p_type === PT.NOTE),
      system,
    ),
  ];
}

function readHeaders(bytes: Uint8Array): Phdr[] | undefined {
  try {
    return programHeaders(bytes);
  } catch (failure) {
    if (failure instanceof FormatError) return undefined;
    throw failure;
  }
}

function checkLoad(phdr: Phdr, { systemRam, crashRegions, kernelText }: RunningSystem): Finding[] {
  const size = phdr.p_memsz;
  if (phdr.p_paddr >= BigInt(PHYSICAL_LIMIT) || size >= PHYSICAL_LIMIT)
    return [
      error(
        `the ELF core header has a PT_LOAD of ${size.toExponential(1)} bytes at ${hex(phdr.p_paddr)}: kexec did not find _text in /proc/kallsyms`,
      ),
    ];
  const start = Number(phdr.p_paddr);
  const end = start + size;
  const range = `PT_LOAD ${hex(start)}-${hex(end - 1)}`;
  if (!systemRam.some(ram => start >= ram.start && end <= ram.end)) return [error(`${range} is no System RAM`)];
  if (crashRegions.some(region => start < region.end && region.start < end))
    return [error(`${range} reaches into the crash kernel region`)];
  const isText = kernelText !== undefined && start === kernelText.paddr && size === kernelText.size;
  if (isText && phdr.p_vaddr !== kernelText.vaddr)
    return [warning(`the kernel's PT_LOAD says ${hex(phdr.p_vaddr)}, the kernel is at ${hex(kernelText.vaddr)}`)];
  return [];
}

function checkCoverage(loads: readonly Phdr[], { architecture, systemRam, crashRegions }: RunningSystem): Finding[] {
  const covered = (at: number): boolean =>
    loads.some(({ p_paddr, p_memsz }) => at >= Number(p_paddr) && at < Number(p_paddr) + p_memsz) ||
    crashRegions.some(({ start, end }) => at >= start && at < end);
  // x86 kernels keep the first MiB for themselves, and do not dump it.
  const dumped = architecture === 'x86_64' ? systemRam.filter(({ end }) => end > MIB) : systemRam;
  const missing = dumped.filter(({ start, end }) => !covered(start) || !covered(end - 1));
  return missing.map(({ start, end }) => warning(`System RAM ${hex(start)}-${hex(end - 1)} is not all in the dump`));
}

function checkNotes(notes: readonly Phdr[], { cpuNotes, vmcoreinfo }: RunningSystem): Finding[] {
  const has = (paddr: number): boolean => notes.some(({ p_paddr }) => p_paddr === BigInt(paddr));
  const findings = cpuNotes
    .map(({ paddr }, cpu) => ({ paddr, cpu }))
    .filter(({ paddr }) => !has(paddr))
    .map(({ cpu }) => warning(`the registers of CPU ${cpu} will not be in the dump`));
  if (vmcoreinfo !== undefined && !has(vmcoreinfo.paddr)) findings.push(error('VMCOREINFO will not be in the dump'));
  return findings;
}

function checkTree(
  dtb: RecognisedSegment | undefined,
  elfcorehdr: RecognisedSegment | undefined,
  system: RunningSystem,
  segments: readonly RecognisedSegment[],
): Finding[] {
  if (dtb === undefined) return [error('no segment holds a device tree')];
  const chosen = readChosen(dtb.bytes);
  if (chosen === undefined) return [error('the device tree is damaged, or has no /chosen')];
  const findings: Finding[] = [];
  const header = findProperty(chosen, 'linux,elfcorehdr');
  if (header === undefined) findings.push(error('/chosen has no linux,elfcorehdr: /proc/vmcore will not exist'));
  else if (elfcorehdr !== undefined && propertyNumber(header) !== elfcorehdr.mem)
    findings.push(
      error(`linux,elfcorehdr says ${hex(propertyNumber(header))}, the header is at ${hex(elfcorehdr.mem)}`),
    );
  const usable = findProperty(chosen, 'linux,usable-memory-range');
  const region = system.crashRegions.at(-1)!;
  if (usable === undefined)
    findings.push(
      error('/chosen has no linux,usable-memory-range: the capture kernel would overwrite what it shall save'),
    );
  else if (propertyNumber(usable) !== region.start)
    findings.push(
      error(`linux,usable-memory-range begins at ${hex(propertyNumber(usable))}, the region at ${hex(region.start)}`),
    );
  return [...findings, ...checkInitrd(chosen, segments)];
}

function checkInitrd(chosen: FdtNode, segments: readonly RecognisedSegment[]): Finding[] {
  const start = findProperty(chosen, 'linux,initrd-start');
  if (start === undefined) return [];
  const at = propertyNumber(start);
  const isLoaded = segments.some(({ mem, memsz }) => at >= mem && at < mem + memsz);
  return isLoaded ? [] : [error(`linux,initrd-start says ${hex(at)}, where nothing is loaded`)];
}

function readChosen(bytes: Uint8Array): FdtNode | undefined {
  try {
    return findNode(parseFdt(bytes).root, '/chosen');
  } catch (failure) {
    if (failure instanceof FormatError) return undefined;
    throw failure;
  }
}

/** The initrd is unpacked beside its archive; a CMA pool comes out of the same memory. */
function checkRoom(
  segments: readonly RecognisedSegment[],
  region: PhysicalRange,
  { cmaBytes = 0 }: RunningSystem,
): Finding[] {
  const loaded = segments.reduce((sum, { memsz }) => sum + memsz, 0);
  const initrd = segments.find(({ what }) => what === 'initrd')?.memsz ?? 0;
  // Without cma= the capture kernel takes as much as the production kernel does, if it is of the same kind.
  const cma = cmaOf(segments) ?? cmaBytes;
  const size = region.end - region.start;
  const parts = `kernel, initrd and CMA (${cma / MIB} MiB)`;
  const least = loaded + initrd + cma + LEAST_ROOM;
  if (least > size)
    return [error(`the region has ${size / MIB} MiB, too little for ${parts}: ${mebibytes(least)} MiB`)];
  const need = loaded + initrd + cma + WORKING_ROOM;
  return need <= size
    ? []
    : [warning(`the region has ${size / MIB} MiB, the capture kernel may need ${mebibytes(need)} MiB`)];
}

function mebibytes(size: number): number {
  return Math.ceil(size / MIB);
}

/** `cma=` of the capture kernel's command line in bytes; undefined when it does not say. */
function cmaOf(segments: readonly RecognisedSegment[]): number | undefined {
  // Of several the kernel takes the last.
  const match = [...commandLineOf(segments).matchAll(/(?:^|\s)cma=(\d+)([KMG]?)/gi)].at(-1);
  if (match === undefined) return undefined;
  return Number(match[1]) * 1024 ** (match[2] === '' ? 0 : 'KMG'.indexOf(match[2]!.toUpperCase()) + 1);
}

/** The capture kernel's command line; empty when it cannot be read. */
export function commandLineOf(segments: readonly RecognisedSegment[]): string {
  const dtb = segments.find(({ what }) => what === 'dtb');
  const chosen = dtb && readChosen(dtb.bytes);
  const bootargs = chosen && findProperty(chosen, 'bootargs');
  if (bootargs !== undefined) return asBuffer(bootargs).toString('latin1').replace(/\0.*$/s, '');
  const params = segments.find(({ what }) => what === 'boot_params');
  const told = params && readBootParams(params.bytes);
  if (params === undefined || told === undefined) return '';
  const offset = told.commandLinePaddr - params.mem;
  return offset < 0 || offset >= params.memsz ? '' : cString(params.bytes, offset, params.memsz - offset);
}

/** A purgatory that verifies has a list of regions and their digest: kexec-tools' and the kernel's as it is, ours in words. */
function checkPurgatory(purgatory: RecognisedSegment | undefined, segments: readonly RecognisedSegment[]): Finding[] {
  const regions = purgatory && findVerifiedRegions(purgatory, segments);
  if (purgatory === undefined || regions === undefined) return [];
  const hash = createHash('sha256');
  for (const { bytes } of regions.segments) hash.update(bytes);
  const digest = hash.digest();
  if (asBuffer(purgatory.bytes).includes(regions.isOurs ? digest.swap32() : digest)) return [];
  return [error('the purgatory would not jump: its SHA-256 is not that of the segments in memory')];
}
