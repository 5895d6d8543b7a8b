/** Floating-point operations over the lanes of vectors. */
import type { Translation } from '../translation.ts';
import type { FpValue } from './fp-operations.ts';
import { times, type Vector, zeroVector } from './vector-permute.ts';
import { lane, splat, withLane } from './vector-registers.ts';

/** An operation on the lanes of one number of up to three vectors. */
export type LaneOperation = (t: Translation, size: number, ...lanes: FpValue[]) => FpValue;
export type OneOperand = (t: Translation, size: number, a: FpValue) => FpValue;
export type TwoOperands = (t: Translation, size: number, a: FpValue, b: FpValue) => FpValue;

/** Runs `op` on the lanes in the low `bits` of the vectors, from the lowest up; the lanes above are zero. */
export function mapLanes(
  t: Translation,
  size: number,
  bits: number,
  op: LaneOperation,
  vectors: readonly Vector[],
): Vector {
  const results = times(bits >> (size + 3), i => i).map(i =>
    op(t, size, ...vectors.map(vector => lane(t.ir, size, vector, i))),
  );
  return fromLanes(t, size, results);
}

/** The vector with these lanes from the lowest up, and zeros above. */
export function fromLanes(t: Translation, size: number, lanes: readonly FpValue[]): Vector {
  const isFull = lanes.length === 16 >> size;
  const start = isFull ? splat(t.ir, size, lanes[0]!) : withLane(t.ir, size, zeroVector(t.ir), 0, lanes[0]!);
  return lanes.slice(1).reduce((vector, value, i) => withLane(t.ir, size, vector, i + 1, value), start);
}
