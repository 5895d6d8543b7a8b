/**
 * Segments of a kexec image and where they go.
 *
 * Sources: kexec-tools 2.0.25 `kexec/kexec.c` "locate_hole", "add_segment_phys_virt", "sort_segments" for `kexec_load`;
 * Linux v6.12 `kernel/kexec_file.c` "locate_mem_hole_top_down", "locate_mem_hole_bottom_up" for `kexec_file_load`.
 * Modelled: pages of 4 KiB. Ranges are half open.
 */
import { alignUp } from '../capture/formats/bytes.ts';
import { UsageError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';

export const PAGE_SIZE = 4096;

/** What a segment holds. */
export type SegmentName =
  'kernel' | 'initrd' | 'dtb' | 'purgatory' | 'elfcorehdr' | 'boot_params' | 'backup' | 'setup_data';

/** One `struct kexec_segment`, with its contents. */
export interface KexecSegment {
  readonly name: SegmentName;
  /** The buffer; its length is `bufsz`. */
  readonly bytes: Uint8Array;
  /** Physical address, a multiple of the page size. */
  readonly mem: number;
  /** Bytes in memory, whole pages; what `bytes` does not fill is zero. */
  readonly memsz: number;
}

/** Where a buffer may go. */
export interface Placement {
  /** Bytes of memory. */
  readonly size: number;
  /** A power of two; at least a page is used. */
  readonly alignment: number;
  readonly min: number;
  /** First address that the buffer must not touch. */
  readonly max: number;
  /** `up`: the lowest hole; `down`: the highest. */
  readonly direction: 'up' | 'down';
  /** Leaves the last page free, as kernels do that take the last byte for the end when they search down. */
  readonly sparesLastPage?: boolean | undefined;
}

/** Rounds down to a multiple of a power of two, exactly for addresses beyond 32 bits. */
export function alignDown(value: number, alignment: number): number {
  return Math.floor(value / alignment) * alignment;
}

/** Last address of a segment, plus one. */
export function segmentEnd({ mem, memsz }: Pick<KexecSegment, 'mem' | 'memsz'>): number {
  return mem + memsz;
}

/** Segments by address, as kexec-tools passes them to the kernel. @throws UsageError when two overlap */
export function sortSegments(segments: readonly KexecSegment[]): KexecSegment[] {
  const sorted = segments.toSorted((a, b) => a.mem - b.mem);
  for (const [i, segment] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && segmentEnd(segment) > next.mem)
      throw new UsageError(`Overlapping memory segments at 0x${segmentEnd(segment).toString(16)}`);
  }
  return sorted;
}

/**
 * Finds a hole as kexec-tools does: among what the ranges have besides the segments.
 * @param ranges memory that may be used, ascending
 * @returns undefined when nothing is large enough
 */
export function locateHole(
  ranges: readonly PhysicalRange[],
  segments: readonly Pick<KexecSegment, 'mem' | 'memsz'>[],
  placement: Placement,
): number | undefined {
  const alignment = Math.max(placement.alignment, PAGE_SIZE);
  let found: number | undefined;
  for (const hole of freeRanges(ranges, segments)) {
    const start = alignUp(Math.max(hole.start, placement.min), alignment);
    const end = Math.min(hole.end, placement.max);
    if (end - start < placement.size) continue;
    if (placement.direction === 'up') return start;
    // As kexec-tools: of all the holes the last one wins.
    found = alignDown(end - placement.size, alignment);
  }
  return found;
}

/** What the segments leave of the ranges. */
export function freeRanges(
  ranges: readonly PhysicalRange[],
  segments: readonly Pick<KexecSegment, 'mem' | 'memsz'>[],
): PhysicalRange[] {
  const taken = segments.map(segment => ({ start: segment.mem, end: segmentEnd(segment) }));
  return subtractRanges(ranges, taken);
}

/** The parts of some ranges that lie in none of others, ascending. */
export function subtractRanges(ranges: readonly PhysicalRange[], holes: readonly PhysicalRange[]): PhysicalRange[] {
  let left = ranges.map(({ start, end }) => ({ start, end }));
  for (const hole of holes) {
    left = left.flatMap(range => [
      { start: range.start, end: Math.min(range.end, hole.start) },
      { start: Math.max(range.start, hole.end), end: range.end },
    ]);
    left = left.filter(({ start, end }) => start < end);
  }
  return left.toSorted((a, b) => a.start - b.start);
}

/**
 * Finds a place in one memory resource as the kernel does: step by step from one end.
 * @returns undefined when nothing fits
 */
export function locateMemHole(
  resource: PhysicalRange,
  segments: readonly Pick<KexecSegment, 'mem' | 'memsz'>[],
  placement: Placement,
): number | undefined {
  const alignment = Math.max(placement.alignment, PAGE_SIZE);
  const min = Math.max(resource.start, placement.min);
  const max = Math.min(resource.end, placement.max);
  const down = placement.direction === 'down';
  const last = placement.sparesLastPage === true ? max - 1 : max;
  let at = down ? alignDown(last - placement.size, alignment) : alignUp(min, alignment);
  while (at >= min && at + placement.size <= max) {
    const obstacle = segments.find(segment => at < segmentEnd(segment) && segment.mem < at + placement.size);
    if (obstacle === undefined) return at;
    // The kernel steps by pages; straight to the obstacle's other side comes to the same.
    at = down ? alignDown(obstacle.mem - placement.size, alignment) : alignUp(segmentEnd(obstacle), alignment);
  }
  return undefined;
}

/** Collects segments as kexec-tools adds them: whole pages, inside memory that may be used. */
export class SegmentList {
  readonly #ranges: readonly PhysicalRange[];
  readonly #limits: PhysicalRange;
  readonly #segments: KexecSegment[] = [];

  /** @param limits `--mem-min` and `--mem-max` */
  constructor(ranges: readonly PhysicalRange[], limits: PhysicalRange) {
    this.#ranges = ranges;
    this.#limits = limits;
  }

  get segments(): readonly KexecSegment[] {
    return this.#segments;
  }

  /** Adds a segment at a fixed place. @throws UsageError when it is not in usable memory */
  addAt(name: SegmentName, bytes: Uint8Array, mem: number, size: number): KexecSegment {
    const memsz = alignUp(size, PAGE_SIZE);
    if (mem % PAGE_SIZE !== 0) throw new UsageError(`Base address: 0x${mem.toString(16)} is not page aligned`);
    const segment = { name, bytes: bytes.length > memsz ? bytes.subarray(0, memsz) : bytes, mem, memsz };
    if (!this.#isUsable(mem, mem + memsz)) {
      const end = (mem + memsz - 1).toString(16);
      throw new UsageError(`Invalid memory segment 0x${mem.toString(16)} - 0x${end} (${name})`);
    }
    this.#segments.push(segment);
    return segment;
  }

  /** Adds a segment where there is room. @throws UsageError when there is none */
  add(name: SegmentName, bytes: Uint8Array, placement: Placement): KexecSegment {
    const size = alignUp(placement.size, PAGE_SIZE);
    const min = Math.max(placement.min, this.#limits.start);
    const max = Math.min(placement.max, this.#limits.end);
    const mem = locateHole(this.#ranges, this.#segments, { ...placement, size, min, max });
    if (mem === undefined)
      throw new UsageError(`Could not find a free area of memory of 0x${size.toString(16)} bytes for the ${name}`);
    return this.addAt(name, bytes, mem, size);
  }

  #isUsable(start: number, end: number): boolean {
    if (start < this.#limits.start || end > this.#limits.end) return false;
    return mergeAdjacent(this.#ranges).some(range => range.start <= start && end <= range.end);
  }
}

/** Joins ranges of which one ends where the next begins. */
export function mergeAdjacent(ranges: readonly PhysicalRange[]): PhysicalRange[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}
