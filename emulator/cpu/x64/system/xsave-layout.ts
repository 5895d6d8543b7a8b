/** Layout of the XSAVE area, standard form. Source: Intel SDM vol. 1 "Managing State Using the XSAVE Feature Set". */
import type { X64Features } from '../features.ts';
import { XCR0 } from './control-bits.ts';

/** Bytes of the legacy region and the header. */
export const LEGACY_SIZE = 512;
export const HEADER_SIZE = 64;
/** Offset of XSTATE_BV in the area. */
export const XSTATE_BV = LEGACY_SIZE;

export interface StateComponent {
  /** Number of the component: of its bit in XCR0. */
  readonly number: number;
  readonly size: number;
  readonly offset: number;
}

/** Components behind the header. PKRU is where QEMU has it: behind the places of MPX and AVX-512. */
export const YMM: StateComponent = { number: 2, size: 256, offset: LEGACY_SIZE + HEADER_SIZE };
export const PKRU: StateComponent = { number: 9, size: 8, offset: 0xa80 };

/** The area of a set of features. */
export function xsaveArea(features: X64Features) {
  const extended = [...(features.has('avx') ? [YMM] : []), ...(features.has('pku') ? [PKRU] : [])];
  return {
    /** Bits that XCR0 may have. */
    components: extended.reduce((bits, { number }) => bits | (1 << number), XCR0.X87 | XCR0.SSE),
    component: (number: number): StateComponent | undefined => extended.find(component => component.number === number),
    /** Bytes that the area needs with these components enabled. */
    sizeOf: (enabled: number): number =>
      extended
        .filter(({ number }) => enabled & (1 << number))
        .reduce((end, { offset, size }) => Math.max(end, offset + size), LEGACY_SIZE + HEADER_SIZE),
  };
}
