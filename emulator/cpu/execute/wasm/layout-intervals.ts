/**
 * Arranges the blocks of a region for structured control flow: which runs of blocks become Wasm loops, and how they nest.
 *
 * Blocks stand in address order. A backward jump from block i to block h makes the interval [h, i] a loop; overlapping
 * intervals are widened until they nest. Forward jumps become branches out of nested labels; only jumps into the middle
 * of a loop need a dispatch at its head.
 */

/** A run of blocks `first … last` that is a loop (the root interval is none), with what stands in it. */
export interface Interval {
  readonly first: number;
  readonly last: number;
  readonly isLoop: boolean;
  /** Blocks (by number) and inner loops, in order. */
  readonly items: readonly (number | Interval)[];
  /** Blocks other than `first` that control enters from outside of the interval; not empty makes its head dispatch. */
  readonly sideEntries: readonly number[];
}

/** A jump between blocks of the region. */
export interface Edge {
  readonly from: number;
  readonly to: number;
}

/**
 * @param count number of blocks
 * @param entries blocks at which the region is entered from outside
 */
export function layoutIntervals(count: number, edges: readonly Edge[], entries: readonly number[]): Interval {
  const loops = nestedLoops(edges);
  const build = (first: number, last: number, isLoop: boolean, inner: readonly Loop[]): Interval => {
    const items: (number | Interval)[] = [];
    for (let block = first; block <= last; block++) {
      const loop = inner.find(candidate => candidate.first === block);
      if (loop) {
        items.push(build(loop.first, loop.last, true, inside(loops, loop)));
        block = loop.last;
      } else {
        items.push(block);
      }
    }
    return {
      first,
      last,
      isLoop,
      items,
      sideEntries: isLoop ? sideEntries(first, last, edges, entries) : [...entries],
    };
  };
  const outermost = loops.filter(loop => !loops.some(other => contains(other, loop)));
  return build(0, count - 1, false, outermost);
}

interface Loop {
  first: number;
  last: number;
}

/** Loops by header, widened until each pair is nested or apart. */
function nestedLoops(edges: readonly Edge[]): readonly Loop[] {
  const byHeader = new Map<number, Loop>();
  for (const { from, to } of edges) {
    if (to > from) continue;
    const loop = byHeader.get(to);
    if (loop) loop.last = Math.max(loop.last, from);
    else byHeader.set(to, { first: to, last: from });
  }
  const loops = [...byHeader.values()].sort((a, b) => a.first - b.first);
  for (let changed = true; changed;) {
    changed = false;
    for (const [i, outer] of loops.entries()) {
      for (const inner of loops.slice(i + 1)) {
        if (inner.first <= outer.last && inner.last > outer.last) {
          outer.last = inner.last;
          changed = true;
        }
      }
    }
  }
  return loops;
}

function contains(outer: Loop, inner: Loop): boolean {
  return outer !== inner && outer.first <= inner.first && outer.last >= inner.last;
}

/** The outermost loops within a loop. */
function inside(loops: readonly Loop[], outer: Loop): readonly Loop[] {
  const inner = loops.filter(loop => contains(outer, loop));
  return inner.filter(loop => !inner.some(other => contains(other, loop)));
}

function sideEntries(first: number, last: number, edges: readonly Edge[], entries: readonly number[]): number[] {
  const within = (block: number): boolean => block >= first && block <= last;
  const targets = new Set(entries.filter(within));
  for (const { from, to } of edges) if (within(to) && !within(from)) targets.add(to);
  targets.delete(first);
  return [...targets].sort((a, b) => a - b);
}
