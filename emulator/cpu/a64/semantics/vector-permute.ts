/** Permutations of vectors: any choice of bytes or lanes out of any number of registers, as few shuffles as that takes. */
import type { Value } from '../../ir/block.ts';
import type { BlockBuilder } from '../../ir/builder.ts';

/** A vector register's value. */
export type Vector = Value<'v128'>;

/** In a list of picks: a byte or lane of zeros. */
export const ZERO = -1;

/** The vector of 16 zero bytes. */
export function zeroVector(ir: BlockBuilder): Vector {
  return ir.v128(new Uint8Array(16));
}

/**
 * Picks 16 bytes.
 * @param picks 16 numbers: byte `n % 16` of source `n / 16`, or `ZERO`
 */
export function pickBytes(ir: BlockBuilder, sources: readonly Vector[], picks: readonly number[]): Vector {
  const used = sources.map((source, i) => ({ source, first: i * 16 }));
  const wanted = used.filter(({ first }) => picks.some(pick => pick >= first && pick < first + 16));
  if (picks.includes(ZERO)) wanted.push({ source: zeroVector(ir), first: ZERO });
  const [start, ...others] = wanted;
  let result = start!.source;
  let places = placesOf(picks, start!.first);
  if (others.length === 0) {
    return isIdentity(places)
      ? result
      : ir.shuffle(
          result,
          result,
          Uint8Array.from(places, place => place!),
        );
  }
  for (const { source, first } of others) {
    const added = placesOf(picks, first);
    result = ir.shuffle(
      result,
      source,
      Uint8Array.from(places, (place, i) => (added[i] === undefined ? (place ?? i) : added[i] + 16)),
    );
    places = places.map((place, i) => (place === undefined && added[i] === undefined ? undefined : i));
  }
  return result;
}

/** Where in the source that begins at pick `first` each picked byte stands, or undefined when it stands in another one. */
function placesOf(picks: readonly number[], first: number): (number | undefined)[] {
  if (first === ZERO) return picks.map((pick, i) => (pick === ZERO ? i : undefined));
  return picks.map(pick => (pick >= first && pick < first + 16 ? pick - first : undefined));
}

function isIdentity(places: readonly (number | undefined)[]): boolean {
  return places.every((place, i) => place === i);
}

/**
 * Picks lanes of `1 << size` bytes.
 * @param picks `16 >> size` numbers: lane numbers counted through all sources, or `ZERO`
 */
export function pickLanes(
  ir: BlockBuilder,
  size: number,
  sources: readonly Vector[],
  picks: readonly number[],
): Vector {
  const bytesPerLane = 1 << size;
  const bytes = picks.flatMap(pick =>
    Array.from({ length: bytesPerLane }, (_, i) => (pick === ZERO ? ZERO : pick * bytesPerLane + i)),
  );
  return pickBytes(ir, sources, bytes);
}

/** The numbers from 0 to `count - 1`, each through `f`. */
export function times(count: number, f: (i: number) => number): number[] {
  return Array.from({ length: count }, (_, i) => f(i));
}

/** The low 64 bits of `low` below the low 64 bits of `high`. */
export function joinHalves(ir: BlockBuilder, low: Vector, high: Vector): Vector {
  return pickLanes(ir, 3, [low, high], [0, 2]);
}
