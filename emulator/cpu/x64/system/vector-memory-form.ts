/** What a masked move or gather asks its helper to do, packed into one argument. */

/** Bytes of an element, or of an index. */
export type ElementSize = 4 | 8;

export interface VectorMemoryForm {
  readonly kind: 'load' | 'store' | 'gather';
  readonly element: ElementSize;
  readonly index: ElementSize;
  /** Shift of the indices. */
  readonly scale: number;
  /** The register is a YMM register. */
  readonly wide: boolean;
  /** Numbers of vector registers. */
  readonly register: number;
  readonly mask: number;
  readonly indexRegister: number;
  /** Segment whose limit and type each element has to keep to, or `UNLIMITED`. */
  readonly segment: number;
}

export const UNLIMITED = 7;

const KINDS = ['load', 'store', 'gather'] as const;

export function packVectorMemory(form: VectorMemoryForm): number {
  return (
    KINDS.indexOf(form.kind) |
    (Number(form.element === 8) << 2) |
    (Number(form.index === 8) << 3) |
    (form.scale << 4) |
    (Number(form.wide) << 6) |
    (form.register << 8) |
    (form.mask << 12) |
    (form.indexRegister << 16) |
    (form.segment << 20)
  );
}

export function unpackVectorMemory(packed: number): VectorMemoryForm {
  return {
    kind: KINDS[packed & 3]!,
    element: packed & 4 ? 8 : 4,
    index: packed & 8 ? 8 : 4,
    scale: (packed >> 4) & 3,
    wide: (packed & 64) !== 0,
    register: (packed >> 8) & 15,
    mask: (packed >> 12) & 15,
    indexRegister: (packed >> 16) & 15,
    segment: (packed >> 20) & 7,
  };
}
