/** Operands that many instructions share: shifted and extended registers, bitmask immediates, sign extension of fields. */
import type { Value } from '../../ir/block.ts';
import type { IntType } from '../../ir/types.ts';
import type { Translation } from '../translation.ts';

/** A field as a two's complement number of `bits` bits. */
export function signed(field: number, bits: number): number {
  return (field << (32 - bits)) >> (32 - bits);
}

/**
 * Register `rm` shifted by a constant. Source: Arm ARM DDI 0487, pseudocode `ShiftReg`.
 * @param shift 0 LSL, 1 LSR, 2 ASR, 3 ROR
 */
export function shiftedRegister(t: Translation, sf: number, rm: number, shift: number, amount: number): Value<IntType> {
  const value = t.reg(sf, rm);
  switch (shift) {
    case 0:
      return t.ir.shl(value, amount);
    case 1:
      return t.ir.shrU(value, amount);
    case 2:
      return t.ir.shrS(value, amount);
    default:
      return t.ir.rotr(value, amount);
  }
}

/** A shift amount that a 32-bit instruction does not have. */
export function amountOutOfRange(sf: number, amount: number): boolean {
  return sf === 0 && amount >= 32;
}

/**
 * Register `rm` extended and shifted left. Source: Arm ARM DDI 0487, pseudocode `ExtendReg`.
 * @param option 0–3 UXTB, UXTH, UXTW, UXTX; 4–7 SXTB to SXTX
 */
export function extendedRegister(
  t: Translation,
  sf: number,
  rm: number,
  option: number,
  amount: number,
): Value<IntType> {
  const extended = sf ? extend64(t, rm, option) : extend32(t, rm, option);
  return t.ir.shl(extended, amount);
}

/** The same for 64 bits without the shift. */
export function extend64(t: Translation, rm: number, option: number): Value<'i64'> {
  switch (option) {
    case 0:
      return t.ir.and(t.x(rm), t.ir.i64(0xff));
    case 1:
      return t.ir.and(t.x(rm), t.ir.i64(0xffff));
    case 2:
      return t.ir.toI64(t.w(rm));
    case 4:
      return t.ir.signExtend(t.x(rm), 8);
    case 5:
      return t.ir.signExtend(t.x(rm), 16);
    case 6:
      return t.ir.toI64Signed(t.w(rm));
    default:
      return t.x(rm);
  }
}

function extend32(t: Translation, rm: number, option: number): Value<'i32'> {
  switch (option) {
    case 0:
      return t.ir.and(t.w(rm), t.ir.i32(0xff));
    case 1:
      return t.ir.and(t.w(rm), t.ir.i32(0xffff));
    case 4:
      return t.ir.signExtend(t.w(rm), 8);
    case 5:
      return t.ir.signExtend(t.w(rm), 16);
    default:
      return t.w(rm);
  }
}

const bitmasks = new Map<number, bigint | undefined>();

/**
 * The immediate of a logical instruction: a run of ones, rotated, repeated. Source: Arm ARM DDI 0487, pseudocode `DecodeBitMasks`.
 * @returns 64 bits, or `undefined` for a reserved combination
 */
export function bitmaskImmediate(N: number, imms: number, immr: number): bigint | undefined {
  const key = (N << 12) | (imms << 6) | immr;
  if (!bitmasks.has(key)) bitmasks.set(key, decodeBitmask(N, imms, immr));
  return bitmasks.get(key);
}

function decodeBitmask(N: number, imms: number, immr: number): bigint | undefined {
  const lengthBits = (N << 6) | (~imms & 0x3f);
  const length = 31 - Math.clz32(lengthBits);
  if (length < 1) return undefined;
  const size = 1 << length;
  const ones = (imms & (size - 1)) + 1;
  if (ones === size) return undefined;
  const rotation = immr & (size - 1);
  const run = (1n << BigInt(ones)) - 1n;
  const element = BigInt.asUintN(size, (run >> BigInt(rotation)) | (run << BigInt(size - rotation)));
  let mask = 0n;
  for (let at = 0; at < 64; at += size) mask |= element << BigInt(at);
  return mask;
}

/** `2 ** bits - 1`. */
export function lowOnes(bits: number): bigint {
  return (1n << BigInt(bits)) - 1n;
}
