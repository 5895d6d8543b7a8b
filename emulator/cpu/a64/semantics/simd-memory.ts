/** Loads and stores of vectors of 1 to 16 bytes. */
import type { Value } from '../../ir/block.ts';
import type { Translation } from '../translation.ts';
import type { Vector } from './vector-permute.ts';
import { fromScalar } from './vector-registers.ts';

type Bytes = 1 | 2 | 4 | 8;

/** Loads `1 << scale` bytes (scale 0 to 4) from `base + offset`; zeros above them. */
export function loadVector(t: Translation, base: Value<'i64'>, offset: number, scale: number): Vector {
  const address = t.ir.add(base, t.ir.i64(offset));
  if (scale === 4) return t.ir.loadV128(address);
  return fromScalar(t.ir, 3, t.ir.load(address, (1 << scale) as Bytes));
}

/** Stores the low `1 << scale` bytes of a vector at `base + offset`. */
export function storeVector(t: Translation, base: Value<'i64'>, offset: number, scale: number, value: Vector): void {
  const address = t.ir.add(base, t.ir.i64(offset));
  if (scale === 4) return t.ir.storeV128(address, value);
  t.ir.store(address, t.ir.lane('i64x2.extract_lane', 0, value), (1 << scale) as Bytes);
}
