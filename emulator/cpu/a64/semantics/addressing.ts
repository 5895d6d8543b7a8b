/**
 * Addressing modes of loads and stores, for general and vector registers alike.
 *
 * A mode gives the address and, for pre- and post-index, what the base register becomes. The base is written last, so that a fault
 * leaves it as it was: the access, then `writeBack`, then (for loads) the destination is decided by each instruction.
 * Source: Arm ARM DDI 0487 "Load/Store addressing modes".
 */
import type { Value } from '../../ir/block.ts';
import type { AccessSize } from '../../ir/types.ts';
import type { Translation } from '../translation.ts';
import { extend64, signed } from './operands.ts';

export interface Address {
  readonly address: Value<'i64'>;
  /** New value of the base register, if it changes. */
  readonly base?: Value<'i64'>;
}

/** An addressing mode: (translation, fields, log2 of the access size) → address; `undefined` for a reserved combination. */
export type Addressing<F> = (t: Translation, fields: F, scale: number) => Address | undefined;

/** Access size from its log2, 0 to 3. */
export function accessSize(scale: number): Exclude<AccessSize, 16> {
  return (1 << scale) as Exclude<AccessSize, 16>;
}

function offset(t: Translation, rn: number, distance: number): Value<'i64'> {
  return t.ir.add(t.base(rn), t.ir.i64(distance));
}

export interface Imm12Fields {
  readonly imm12: number;
  readonly rn: number;
}
/** [Xn, #imm12 * size] */
export const unsignedOffset: Addressing<Imm12Fields> = (t, f, scale) => ({
  address: offset(t, f.rn, f.imm12 << scale),
});

export interface Imm9Fields {
  readonly imm9: number;
  readonly rn: number;
}
/** [Xn, #imm9] */
export const unscaledOffset: Addressing<Imm9Fields> = (t, f) => ({ address: offset(t, f.rn, signed(f.imm9, 9)) });
/** [Xn], #imm9 */
export const postIndex: Addressing<Imm9Fields> = (t, f) => ({
  address: t.base(f.rn),
  base: offset(t, f.rn, signed(f.imm9, 9)),
});
/** [Xn, #imm9]! */
export const preIndex: Addressing<Imm9Fields> = (t, f) => {
  const address = offset(t, f.rn, signed(f.imm9, 9));
  return { address, base: address };
};

export interface RegisterOffsetFields {
  readonly rm: number;
  readonly option: number;
  readonly S: number;
  readonly rn: number;
}
/** [Xn, Rm, extend #scale]; extends of less than 32 bits are reserved. */
export const registerOffset: Addressing<RegisterOffsetFields> = (t, f, scale) => {
  if ((f.option & 2) === 0) return undefined;
  return { address: t.ir.add(t.base(f.rn), t.ir.shl(extend64(t, f.rm, f.option), f.S ? scale : 0)) };
};

export interface Imm7Fields {
  readonly imm7: number;
  readonly rn: number;
}
/** [Xn, #imm7 * size] */
export const pairOffset: Addressing<Imm7Fields> = (t, f, scale) => ({
  address: offset(t, f.rn, signed(f.imm7, 7) * (1 << scale)),
});
/** [Xn], #imm7 * size */
export const pairPostIndex: Addressing<Imm7Fields> = (t, f, scale) => ({
  address: t.base(f.rn),
  base: offset(t, f.rn, signed(f.imm7, 7) * (1 << scale)),
});
/** [Xn, #imm7 * size]! */
export const pairPreIndex: Addressing<Imm7Fields> = (t, f, scale) => {
  const address = offset(t, f.rn, signed(f.imm7, 7) * (1 << scale));
  return { address, base: address };
};

/** Writes the base register of a pre- or post-indexed access. */
export function writeBack(t: Translation, rn: number, { base }: Address): void {
  if (base) t.setRegOrSp(rn, base);
}
