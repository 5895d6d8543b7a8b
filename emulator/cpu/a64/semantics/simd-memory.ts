/** Loads and stores of vectors of 1 to 16 bytes. */
import type { Value } from '../../ir/block.ts';
import type { AccessSize } from '../../ir/types.ts';
import type { ScalarSize } from '../data-memory.ts';
import type { Translation } from '../translation.ts';
import type { Vector } from './vector-permute.ts';
import { fromScalar } from './vector-registers.ts';

/**
 * Loads `1 << scale` bytes (scale 0 to 4) from `base + offset`; zeros above them.
 * @param elementScale log2 of the bytes that alignment counts for
 */
export function loadVector(
  t: Translation,
  base: Value<'i64'>,
  offset: number,
  scale: number,
  elementScale = scale,
): Vector {
  const address = t.ir.add(base, t.ir.i64(offset));
  const element = (1 << elementScale) as AccessSize;
  if (scale === 4) return t.memory.loadV128(address, {}, element);
  return fromScalar(t.ir, 3, t.memory.load(address, (1 << scale) as ScalarSize, {}, element));
}

/** Stores the low `1 << scale` bytes of a vector at `base + offset`. */
export function storeVector(
  t: Translation,
  base: Value<'i64'>,
  offset: number,
  scale: number,
  value: Vector,
  elementScale = scale,
): void {
  const address = t.ir.add(base, t.ir.i64(offset));
  const element = (1 << elementScale) as AccessSize;
  if (scale === 4) return t.memory.storeV128(address, value, {}, element);
  const scalar = t.ir.lane('i64x2.extract_lane', 0, value);
  t.memory.store(address, scalar, (1 << scale) as ScalarSize, {}, element);
}
