/** Layout of the XSAVE area, standard form. Source: Intel SDM vol. 1 "Managing State Using the XSAVE Feature Set". */
import type { X64Features } from '../features.ts';
import { XCR0 } from './control-bits.ts';

/** Bytes of the legacy region and the header. */
export const LEGACY_SIZE = 512;
export const HEADER_SIZE = 64;
/** Offset of XSTATE_BV in the area. */
export const XSTATE_BV = LEGACY_SIZE;

export interface StateComponent {
  readonly size: number;
  readonly offset: number;
}

const YMM: StateComponent = { size: 256, offset: LEGACY_SIZE + HEADER_SIZE };

/** The area of a set of features. */
export function xsaveArea(features: X64Features) {
  const components = XCR0.X87 | XCR0.SSE | (features.has('avx') ? XCR0.YMM : 0);
  return {
    /** Bits that XCR0 may have. */
    components,
    component: (number: number): StateComponent | undefined => (number === 2 && features.has('avx') ? YMM : undefined),
    /** Bytes that the area needs with these components enabled. */
    sizeOf: (enabled: number): number => LEGACY_SIZE + HEADER_SIZE + (enabled & XCR0.YMM ? YMM.size : 0),
  };
}
