/** Bodies of the helpers that Advanced SIMD, floating-point and cryptographic instructions call. */
import type { EngineCpu, HelperImplementation } from '../execute/guest.ts';
import { FPSR } from './fp-control.ts';
import { createFloatHelpers } from './fp-helpers.ts';
import { shiftLanes } from './semantics/simd-shift-helpers.ts';
import { A64_STATE } from './state.ts';

/** The helpers by name; they act on the CPU that `current` gives. */
export function createSimdHelpers(current: () => EngineCpu): Record<string, HelperImplementation> {
  return {
    ...createFloatHelpers(current),
    'a64.shiftLanes': (values: bigint, amounts: bigint, control: number) =>
      shiftLanes(values, amounts, control, false).value,
    'a64.shiftLanesSaturating': (values: bigint, amounts: bigint, control: number) => {
      const { value, saturated } = shiftLanes(values, amounts, control, true);
      if (saturated) setStatus(current(), FPSR.QC);
      return value;
    },
  };
}

/** Sets bits of FPSR. */
function setStatus({ view, base }: EngineCpu, bits: number): void {
  const address = base + A64_STATE.FPSR.offset;
  view.setInt32(address, view.getInt32(address, true) | bits, true);
}
