/**
 * Vector registers as instructions see them: results of 128, 64 or fewer bits, whose upper part becomes zero, single lanes, and
 * the cumulative saturation flag.
 *
 * Source: Arm ARM DDI 0487 "Registers in AArch64 Execution state", "FPSR, Floating-point Status Register".
 */
import { Value } from '../../ir/block.ts';
import type { BlockBuilder } from '../../ir/builder.ts';
import type { IntType } from '../../ir/types.ts';
import { A64_STATE } from '../state.ts';
import type { Translation } from '../translation.ts';
import type { Saturated } from './vector-lanes.ts';
import { type Vector, zeroVector } from './vector-permute.ts';

/** Bits that an operation works on: 64 or 128 by Q. */
export function vectorBits(q: number): number {
  return q ? 128 : 64;
}

/** Clears all but the low `bits` of a vector. */
export function lowBits(ir: BlockBuilder, value: Vector, bits: number): Vector {
  if (bits === 128) return value;
  if (bits === 64) return ir.lane('i64x2.replace_lane', 1, value, ir.i64(0));
  return ir.op('v128.and', value, ir.v128(new Uint8Array(16).fill(0xff, 0, bits / 8)));
}

/** Writes the low `bits` of a register; the others become zero. */
export function setV(t: Translation, rd: number, value: Vector, bits: number): void {
  t.setV(rd, lowBits(t.ir, value, bits));
}

/** Writes a result, and sets FPSR.QC when a lane of it was saturated. */
export function setResult(t: Translation, rd: number, result: Vector | Saturated, bits: number): void {
  if (result instanceof Value) return setV(t, rd, result, bits);
  noteSaturation(t, result.saturated, bits);
  setV(t, rd, result.value, bits);
}

const FPSR_QC_SHIFT = 27;

/** Sets FPSR.QC when any of the low `bits` is 1. */
export function noteSaturation(t: Translation, saturated: Vector, bits: number): void {
  const { ir } = t;
  const any = ir.op('v128.any_true', lowBits(ir, saturated, bits));
  ir.set(A64_STATE.FPSR, ir.or(ir.get(A64_STATE.FPSR), ir.shl(any, FPSR_QC_SHIFT)));
}

/** A lane of `8 << size` bits, zero-extended: an i64 when it has 64, else an i32. */
export function lane(ir: BlockBuilder, size: number, value: Vector, index: number): Value<IntType> {
  switch (size) {
    case 0:
      return ir.lane('i8x16.extract_lane_u', index, value);
    case 1:
      return ir.lane('i16x8.extract_lane_u', index, value);
    case 2:
      return ir.lane('i32x4.extract_lane', index, value);
    default:
      return ir.lane('i64x2.extract_lane', index, value);
  }
}

/** A lane of 8, 16 or 32 bits, sign-extended to an i32. */
export function laneSigned(ir: BlockBuilder, size: number, value: Vector, index: number): Value<'i32'> {
  if (size === 0) return ir.lane('i8x16.extract_lane_s', index, value);
  if (size === 1) return ir.lane('i16x8.extract_lane_s', index, value);
  return ir.lane('i32x4.extract_lane', index, value);
}

/** The vector with the low `8 << size` bits of `element` in a lane. */
export function withLane(
  ir: BlockBuilder,
  size: number,
  value: Vector,
  index: number,
  element: Value<IntType>,
): Vector {
  if (size === 3) return ir.lane('i64x2.replace_lane', index, value, ir.toI64(element));
  const low = ir.toI32(element);
  if (size === 0) return ir.lane('i8x16.replace_lane', index, value, low);
  if (size === 1) return ir.lane('i16x8.replace_lane', index, value, low);
  return ir.lane('i32x4.replace_lane', index, value, low);
}

/** The low `8 << size` bits of `element` in every lane. */
export function splat(ir: BlockBuilder, size: number, element: Value<IntType>): Vector {
  if (size === 3) return ir.op('i64x2.splat', ir.toI64(element));
  const low = ir.toI32(element);
  if (size === 0) return ir.op('i8x16.splat', low);
  return size === 1 ? ir.op('i16x8.splat', low) : ir.op('i32x4.splat', low);
}

/** The low `8 << size` bits of `element` in lane 0, zeros above. */
export function fromScalar(ir: BlockBuilder, size: number, element: Value<IntType>): Vector {
  return withLane(ir, size, zeroVector(ir), 0, element);
}
