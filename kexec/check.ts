/**
 * Says what is wrong with a loaded capture kernel before the crash finds out.
 *
 * Looks at the image as it lies in memory: segments, ELF core header, device tree, kernel, the purgatory's hash.
 * Sources: as of the parts that build them (elfcorehdr.ts, device-tree-fixup.ts, purgatory.ts); kexec-tools 2.0.25
 * `kexec/kexec.c` "update_purgatory" for the hashed regions.
 */
import { createHash } from 'node:crypto';

import { asBuffer, cString, readU32, readU64 } from '../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR, ELF_MAGIC, EM, ET, PT, type Phdr } from '../capture/formats/elf.ts';
import { FormatError } from '../capture/formats/errors.ts';
import { findNode, findProperty, parseFdt, type FdtNode } from '../capture/formats/fdt.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { propertyNumber } from './flat-tree.ts';
import { ARM64_IMAGE_HEADER, readArm64Image } from './images.ts';
import type { RunningSystem } from './running-system.ts';
import { segmentEnd } from './segments.ts';
import { checkKexecLoad, type KexecKernel } from './syscalls.ts';

/** A segment of `struct kimage`. */
export interface LoadedSegment {
  readonly mem: number;
  readonly memsz: number;
  readonly bufsz: number;
}

/** `struct kimage`, as far as it matters. */
export interface LoadedImage {
  /** Physical address at which `machine_kexec` enters. */
  readonly start: number;
  readonly segments: readonly LoadedSegment[];
  /** kexec_file_load: no purgatory on arm64. */
  readonly fileMode: boolean;
}

/** Something wrong. Errors mean that there will be no dump. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly text: string;
}

/** What a segment turned out to hold. */
export interface RecognisedSegment extends LoadedSegment {
  readonly what: 'kernel' | 'elfcorehdr' | 'dtb' | 'purgatory' | 'initrd' | 'unknown';
  readonly bytes: Uint8Array;
}

type Read = (paddr: number, length: number) => Uint8Array;

const FDT_MAGIC = 0xd00d_feed;
/** Physical addresses are below this on any machine. */
const PHYSICAL_LIMIT = 2 ** 52;
/** Memory that a capture kernel needs beside what is loaded and unpacked: page structures, slabs, buffers. */
const WORKING_ROOM = 24 * 2 ** 20;
const MIB = 2 ** 20;
const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** Tells by their contents what an image's segments are. */
export function recogniseSegments(image: LoadedImage, read: Read): RecognisedSegment[] {
  const seen = image.segments.map(segment => {
    const bytes = read(segment.mem, segment.memsz);
    return { ...segment, bytes, what: recognise(bytes, segment, image) };
  });
  // The only one without a mark is the initrd: it may be a cpio archive, or compressed in any way.
  const rest = seen.filter(({ what }) => what === 'unknown');
  return seen.map(segment => (rest.length === 1 && segment === rest[0] ? { ...segment, what: 'initrd' } : segment));
}

function recognise(bytes: Uint8Array, segment: LoadedSegment, image: LoadedImage): RecognisedSegment['what'] {
  if (cString(bytes, 0, 4) === ELF_MAGIC && ELF64_EHDR.parse(bytes).e_type === ET.CORE) return 'elfcorehdr';
  if (readU32(bytes, 0, 'big') === FDT_MAGIC) return 'dtb';
  if (ARM64_IMAGE_HEADER.parse(bytes).magic === 'ARM\x64') return 'kernel';
  if (image.start >= segment.mem && image.start < segmentEnd(segment)) return image.fileMode ? 'kernel' : 'purgatory';
  return 'unknown';
}

/** Checks an image. @returns nothing when it will work, as far as can be seen */
export function checkLoadedImage(image: LoadedImage | undefined, system: RunningSystem, read: Read): Finding[] {
  if (image === undefined) return [error('no capture kernel is loaded')];
  const region = system.crashRegions.at(-1);
  if (region === undefined) return [error('no memory is reserved: crashkernel= is missing or was not granted')];
  const segments = recogniseSegments(image, read);
  const find = (what: RecognisedSegment['what']) => segments.find(segment => segment.what === what);
  return [
    ...checkPlaces(image, region),
    ...checkKernel(find('kernel')),
    ...checkElfcorehdr(find('elfcorehdr'), system),
    ...checkTree(find('dtb'), find('elfcorehdr'), system, segments),
    ...checkRoom(segments, region),
    ...checkPurgatory(find('purgatory'), segments),
  ];
}

function error(text: string): Finding {
  return { severity: 'error', text };
}

function warning(text: string): Finding {
  return { severity: 'warning', text };
}

function checkPlaces(image: LoadedImage, crashRegion: PhysicalRange): Finding[] {
  const kernel: KexecKernel = {
    architecture: 'aarch64',
    hasKexecLoad: true,
    hasKexecFileLoad: true,
    knownFlags: 1,
    knownFileFlags: 0,
    mayBoot: true,
    loadDisabled: false,
    loadsLeft: { panic: undefined, reboot: undefined },
    busy: false,
    crashRegion,
    totalRamPages: Number.MAX_SAFE_INTEGER,
  };
  const segments = image.segments.map(({ mem, memsz, bufsz }) => ({
    mem: BigInt(mem),
    memsz: BigInt(memsz),
    bufsz: BigInt(bufsz),
  }));
  const call = { entry: BigInt(image.start), segments, nrSegments: segments.length, flags: 1n };
  const refusal = checkKexecLoad(call, kernel);
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
  const findings = machine === EM.AARCH64 ? [] : [error(`the ELF core header is for machine ${machine}`)];
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

function checkCoverage(loads: readonly Phdr[], { systemRam, crashRegions }: RunningSystem): Finding[] {
  const covered = (at: number): boolean =>
    loads.some(({ p_paddr, p_memsz }) => at >= Number(p_paddr) && at < Number(p_paddr) + p_memsz) ||
    crashRegions.some(({ start, end }) => at >= start && at < end);
  const missing = systemRam.filter(({ start, end }) => !covered(start) || !covered(end - 1));
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
function checkRoom(segments: readonly RecognisedSegment[], region: PhysicalRange): Finding[] {
  const loaded = segments.reduce((sum, { memsz }) => sum + memsz, 0);
  const initrd = segments.find(({ what }) => what === 'initrd')?.memsz ?? 0;
  const dtb = segments.find(({ what }) => what === 'dtb');
  const need = loaded + initrd + cmaOf(dtb) + WORKING_ROOM;
  const size = region.end - region.start;
  if (need <= size) return [];
  return [warning(`the region has ${size / MIB} MiB, the capture kernel may need ${Math.ceil(need / MIB)} MiB`)];
}

/** `cma=` of the capture kernel's command line in bytes; what the kernel takes by itself is not known here. */
function cmaOf(dtb: RecognisedSegment | undefined): number {
  const chosen = dtb && readChosen(dtb.bytes);
  const bootargs = chosen && findProperty(chosen, 'bootargs');
  const match = bootargs === undefined ? null : /(?:^|\s)cma=(\d+)M/.exec(asBuffer(bootargs).toString('latin1'));
  return match === null ? 0 : Number(match[1]) * MIB;
}

/**
 * A purgatory that verifies has a list of regions and their digest; both are found by what they must be: in kexec-tools' purgatory
 * lengths in bytes and the digest as it is, in ours blocks and words.
 */
function checkPurgatory(purgatory: RecognisedSegment | undefined, segments: readonly RecognisedSegment[]): Finding[] {
  if (purgatory === undefined) return [];
  const others = segments.filter(({ what }) => what !== 'purgatory').toSorted((a, b) => a.mem - b.mem);
  const [first] = others;
  if (first === undefined) return [];
  const isOurs = hasRegion(purgatory.bytes, first.mem, first.memsz / SHA256_BLOCK);
  if (!isOurs && !hasRegion(purgatory.bytes, first.mem, first.memsz)) return [];
  const hash = createHash('sha256');
  for (const { bytes } of others) hash.update(bytes);
  const digest = hash.digest();
  if (asBuffer(purgatory.bytes).includes(isOurs ? digest.swap32() : digest)) return [];
  return [error('the purgatory would not jump: its SHA-256 is not that of the segments in memory')];
}

const SHA256_BLOCK = 64;

/** A pair of address and length. */
function hasRegion(bytes: Uint8Array, start: number, length: number): boolean {
  for (let at = 0; at + 16 <= bytes.length; at += 8) {
    if (readU64(bytes, at) === BigInt(start) && readU64(bytes, at + 8) === BigInt(length)) return true;
  }
  return false;
}
