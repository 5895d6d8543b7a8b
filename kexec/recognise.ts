/**
 * Tells by their contents what the segments of a loaded image are: the kernel keeps no names.
 *
 * Sources: as of the parts that build them (elfcorehdr.ts, device-tree-fixup.ts, boot-params.ts, images.ts).
 */
import { cString, readU32, readU64 } from '../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF_MAGIC, ET } from '../capture/formats/elf.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { readBootParams, type ReadBootParams } from './boot-params.ts';
import { ARM64_IMAGE_HEADER } from './images.ts';
import { segmentEnd, type SegmentName } from './segments.ts';

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

/** What a segment turned out to hold. */
export interface RecognisedSegment extends LoadedSegment {
  readonly what: SegmentName | 'unknown';
  readonly bytes: Uint8Array;
}

/** Reads memory of the machine. */
export type ReadMemory = (paddr: number, length: number) => Uint8Array;

const FDT_MAGIC = 0xd00d_feed;
const PAGE = 4096;

/** Tells what an image's segments are. */
export function recogniseSegments(
  image: LoadedImage,
  read: ReadMemory,
  architecture: 'aarch64' | 'x86_64' = 'aarch64',
): RecognisedSegment[] {
  const seen = image.segments.map(segment => {
    const bytes = read(segment.mem, segment.memsz);
    return { ...segment, bytes, what: byMark(bytes, architecture) };
  });
  const params = seen.find(({ what }) => what === 'boot_params');
  const named = seen.map(segment => ({ ...segment, what: byParameters(segment, image, params) }));
  // Of those left on arm64 the initrd is the only one: it may be a cpio archive, or compressed in any way.
  const rest = named.filter(({ what }) => what === 'unknown');
  const last = architecture === 'aarch64' && rest.length === 1 ? rest[0] : undefined;
  return named.map(segment => (segment === last ? { ...segment, what: 'initrd' } : segment));
}

/** By a magic number. */
function byMark(bytes: Uint8Array, architecture: 'aarch64' | 'x86_64'): RecognisedSegment['what'] {
  if (cString(bytes, 0, 4) === ELF_MAGIC && ELF64_EHDR.parse(bytes).e_type === ET.CORE) return 'elfcorehdr';
  if (architecture === 'x86_64') return readBootParams(bytes) === undefined ? 'unknown' : 'boot_params';
  if (readU32(bytes, 0, 'big') === FDT_MAGIC) return 'dtb';
  return ARM64_IMAGE_HEADER.parse(bytes).magic === 'ARM\x64' ? 'kernel' : 'unknown';
}

/** By where the image begins, and by what x86's boot parameters say of it. */
function byParameters(
  segment: RecognisedSegment,
  image: LoadedImage,
  params: RecognisedSegment | undefined,
): RecognisedSegment['what'] {
  if (segment.what !== 'unknown') return segment.what;
  const isEntered = image.start >= segment.mem && image.start < segmentEnd(segment);
  const told = params && readBootParams(params.bytes);
  if (told === undefined) return isEntered ? (image.fileMode ? 'kernel' : 'purgatory') : 'unknown';
  if (isEntered) return 'purgatory';
  return toldBy(segment, told);
}

function toldBy(segment: LoadedSegment, told: ReadBootParams): RecognisedSegment['what'] {
  if (isAt(segment, told.initrd)) return 'initrd';
  if (told.setupData === segment.mem) return 'setup_data';
  if (Math.ceil(told.initSize / PAGE) * PAGE === segment.memsz) return 'kernel';
  // kexec-tools keeps room for a copy of the memory below 640 KiB.
  return segment.memsz <= 0xa_0000 ? 'backup' : 'unknown';
}

function isAt({ mem }: LoadedSegment, range: PhysicalRange | undefined): boolean {
  return range !== undefined && range.start === mem;
}

/** The regions that a purgatory verifies: pairs of address and length that are segments, in the purgatory's order. */
export interface VerifiedRegions {
  readonly segments: readonly RecognisedSegment[];
  /** Ours count blocks of 64 bytes. */
  readonly isOurs: boolean;
}

const SHA256_BLOCK = 64;
const REGION_SIZE = 16;

/** Finds the list in a purgatory; undefined when it verifies nothing. */
export function findVerifiedRegions(
  purgatory: RecognisedSegment,
  segments: readonly RecognisedSegment[],
): VerifiedRegions | undefined {
  const { bytes } = purgatory;
  for (const unit of [1, SHA256_BLOCK]) {
    const at = findRegion(bytes, segments, unit);
    if (at !== undefined) return { segments: regionsFrom(bytes, at, segments, unit), isOurs: unit !== 1 };
  }
  return undefined;
}

/** Two in a row: an address with a small number behind it is there by chance, too. */
function findRegion(bytes: Uint8Array, segments: readonly RecognisedSegment[], unit: number): number | undefined {
  for (let at = 0; at + REGION_SIZE <= bytes.length; at += 8) {
    const [first, second] = [at, at + REGION_SIZE].map(place => regionAt(bytes, place, segments, unit));
    if (first !== undefined && second !== undefined && first !== second) return at;
  }
  return undefined;
}

function regionsFrom(
  bytes: Uint8Array,
  start: number,
  segments: readonly RecognisedSegment[],
  unit: number,
): RecognisedSegment[] {
  const found: RecognisedSegment[] = [];
  for (let at = start; at + REGION_SIZE <= bytes.length; at += REGION_SIZE) {
    const segment = regionAt(bytes, at, segments, unit);
    if (segment === undefined) break;
    found.push(segment);
  }
  return found;
}

function regionAt(
  bytes: Uint8Array,
  at: number,
  segments: readonly RecognisedSegment[],
  unit: number,
): RecognisedSegment | undefined {
  if (at + REGION_SIZE > bytes.length) return undefined;
  const [start, length] = [readU64(bytes, at), readU64(bytes, at + 8)];
  return segments.find(({ mem, memsz }) => start === BigInt(mem) && length === BigInt(memsz / unit));
}
