/** The status flags in helpers: between EFLAGS and their unpacked form (state.ts). */
import type { EngineCpu } from '../../execute/guest.ts';
import { EFLAGS, X64_STATE } from '../state.ts';

type Place = Pick<EngineCpu, 'view' | 'base'>;

/** The status flags at their places in EFLAGS. */
export function packStatusFlags({ view, base }: Place): number {
  const low = view.getInt32(base + X64_STATE.flagResult.offset, true);
  const high = view.getInt32(base + X64_STATE.flagResult.offset + 4, true);
  const carry = view.getInt32(base + X64_STATE.flagCarry.offset, true);
  const adjust = view.getInt32(base + X64_STATE.flagChain.offset, true);
  const carryIntoSign = view.getInt32(base + X64_STATE.flagChain.offset + 4, true) >>> 31;
  const isZero = ((low | high) === 0) !== ((carry & 2) !== 0);
  return (
    (carry & EFLAGS.CF) |
    (hasEvenParity(low & 0xff) ? EFLAGS.PF : 0) |
    (adjust & EFLAGS.AF) |
    (isZero ? EFLAGS.ZF : 0) |
    (high < 0 ? EFLAGS.SF : 0) |
    ((carryIntoSign ^ (carry & 1)) !== 0 ? EFLAGS.OF : 0)
  );
}

const SIGN = -0x8000_0000;

/** Sets the status flags from their places in EFLAGS. */
export function unpackStatusFlags({ view, base }: Place, eflags: number): void {
  const low = eflags & EFLAGS.PF ? 0 : 1;
  const high = eflags & EFLAGS.SF ? SIGN : 0;
  const isInverted = ((low | high) === 0) !== ((eflags & EFLAGS.ZF) !== 0);
  const carriesIntoSign = ((eflags & EFLAGS.OF) !== 0) !== ((eflags & EFLAGS.CF) !== 0);
  view.setInt32(base + X64_STATE.flagResult.offset, low, true);
  view.setInt32(base + X64_STATE.flagResult.offset + 4, high, true);
  view.setInt32(base + X64_STATE.flagCarry.offset, (eflags & EFLAGS.CF) | (isInverted ? 2 : 0), true);
  view.setInt32(base + X64_STATE.flagChain.offset, eflags & EFLAGS.AF, true);
  view.setInt32(base + X64_STATE.flagChain.offset + 4, carriesIntoSign ? SIGN : 0, true);
}

function hasEvenParity(byte: number): boolean {
  const folded = byte ^ (byte >> 4);
  return ((0x6996 >> (folded & 15)) & 1) === 0;
}
