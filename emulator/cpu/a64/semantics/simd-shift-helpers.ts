/**
 * What the shifts by a register compute, on 64 bits of lanes.
 *
 * Source: Arm ARM DDI 0487 "SSHL", "SQRSHL" (pseudocode "Operation").
 */
import { SHIFT_CONTROL } from './simd-shift-register.ts';

interface ShiftedLanes {
  readonly value: bigint;
  /** A lane did not fit. */
  readonly saturated: boolean;
}

/**
 * Shifts each lane left by the signed low byte of the same lane of `amounts`, or right by its negation.
 * @param control lane size and kind, see `SHIFT_CONTROL`
 */
export function shiftLanes(values: bigint, amounts: bigint, control: number, saturating: boolean): ShiftedLanes {
  const bits = 8 << (control & SHIFT_CONTROL.size);
  const signed = (control & SHIFT_CONTROL.signed) !== 0;
  let value = 0n;
  let saturated = false;
  for (let at = 0n; at < 64n; at += BigInt(bits)) {
    const lane = signed ? BigInt.asIntN(bits, values >> at) : BigInt.asUintN(bits, values >> at);
    const amount = BigInt.asIntN(8, amounts >> at);
    const exact = shiftExactly(lane, amount, (control & SHIFT_CONTROL.rounding) !== 0);
    const result = saturating ? clamp(exact, bits, signed) : exact;
    if (result !== exact) saturated = true;
    value |= BigInt.asUintN(bits, result) << at;
  }
  return { value, saturated };
}

function shiftExactly(lane: bigint, amount: bigint, rounding: boolean): bigint {
  if (amount >= 0n) return lane << amount;
  return (rounding ? lane + (1n << (-amount - 1n)) : lane) >> -amount;
}

function clamp(value: bigint, bits: number, signed: boolean): bigint {
  const lowest = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const highest = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  if (value < lowest) return lowest;
  return value > highest ? highest : value;
}
