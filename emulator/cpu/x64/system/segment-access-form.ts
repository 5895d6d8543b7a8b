/** An access through a segment register, packed into the argument of its helper. */

export interface SegmentAccess {
  readonly segment: number;
  /** Bytes. */
  readonly size: number;
  readonly write: boolean;
}

export function packSegmentAccess({ segment, size, write }: SegmentAccess): number {
  return segment | (Number(write) << 3) | (size << 4);
}

export function unpackSegmentAccess(packed: number): SegmentAccess {
  return { segment: packed & 7, size: packed >> 4, write: (packed & 8) !== 0 };
}
