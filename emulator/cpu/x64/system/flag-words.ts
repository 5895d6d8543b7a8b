/** The status flags in helpers: between EFLAGS and their unpacked form (state.ts). */
import type { EngineCpu } from '../../execute/guest.ts';
import { EFLAGS, X64_STATE } from '../state.ts';

type Place = Pick<EngineCpu, 'view' | 'base'>;

/** The status flags at their places in EFLAGS. */
export function packStatusFlags({ view, base }: Place): number {
  const resultLow = view.getInt32(base + X64_STATE.sr.offset, true);
  const signWord = view.getInt32(base + X64_STATE.sr.offset + 4, true);
  const zero = view.getInt32(base + X64_STATE.zr.offset, true) | view.getInt32(base + X64_STATE.zr.offset + 4, true);
  const adjust = view.getInt32(base + X64_STATE.af.offset, true) ^ resultLow;
  const overflowWord = view.getInt32(base + X64_STATE.of.offset + 4, true);
  return (
    view.getInt32(base + X64_STATE.cf.offset, true) |
    (hasEvenParity(resultLow & 0xff) ? EFLAGS.PF : 0) |
    (adjust & EFLAGS.AF) |
    (zero === 0 ? EFLAGS.ZF : 0) |
    (signWord < 0 ? EFLAGS.SF : 0) |
    (overflowWord < 0 ? EFLAGS.OF : 0)
  );
}

/** Sets the status flags from their places in EFLAGS. */
export function unpackStatusFlags({ view, base }: Place, eflags: number): void {
  const resultLow = eflags & EFLAGS.PF ? 0 : 1;
  view.setInt32(base + X64_STATE.sr.offset, resultLow, true);
  view.setInt32(base + X64_STATE.sr.offset + 4, eflags & EFLAGS.SF ? -0x8000_0000 : 0, true);
  view.setInt32(base + X64_STATE.zr.offset, eflags & EFLAGS.ZF ? 0 : 1, true);
  view.setInt32(base + X64_STATE.zr.offset + 4, 0, true);
  view.setInt32(base + X64_STATE.cf.offset, eflags & EFLAGS.CF, true);
  view.setInt32(base + X64_STATE.of.offset, 0, true);
  view.setInt32(base + X64_STATE.of.offset + 4, eflags & EFLAGS.OF ? -0x8000_0000 : 0, true);
  view.setInt32(base + X64_STATE.af.offset, (eflags & EFLAGS.AF) ^ resultLow, true);
}

function hasEvenParity(byte: number): boolean {
  const folded = byte ^ (byte >> 4);
  return ((0x6996 >> (folded & 15)) & 1) === 0;
}
