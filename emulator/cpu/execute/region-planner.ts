/**
 * Chooses the blocks of a region: around a block that has become hot, the blocks of its page that it reaches directly
 * and that have run, and those that lead to it.
 */
import type { CodePage, TranslatedBlock } from './code-cache.ts';

/** Blocks and guest instructions that one region may have. */
const MAXIMUM_BLOCKS = 96;
const MAXIMUM_INSTRUCTIONS = 1500;

/** Blocks of the region in address order. A block that crosses into the next page is a region of its own: what follows it depends on the address space. */
export function planRegion(page: CodePage, seed: TranslatedBlock): readonly TranslatedBlock[] {
  if (seed.next !== undefined) return [seed];
  const byStart = candidates(page, seed.modeKey);
  const predecessors = predecessorsOf(byStart);
  const chosen = new Set<TranslatedBlock>([seed]);
  let instructions = seed.instructionCount;
  for (const member of chosen) {
    for (const neighbour of neighboursOf(member, byStart, predecessors)) {
      if (chosen.has(neighbour)) continue;
      instructions += neighbour.instructionCount;
      if (chosen.size >= MAXIMUM_BLOCKS || instructions > MAXIMUM_INSTRUCTIONS) return inOrder(chosen);
      chosen.add(neighbour);
    }
  }
  return inOrder(chosen);
}

/** Blocks of a mode that have run and lie within the page, by their first byte. */
function candidates(page: CodePage, modeKey: number): Map<number, TranslatedBlock> {
  const byStart = new Map<number, TranslatedBlock>();
  for (const block of page.blocks.values()) {
    if (block.modeKey === modeKey && block.next === undefined && block.executions > 0) byStart.set(block.start, block);
  }
  return byStart;
}

function neighboursOf(
  { start, targets }: TranslatedBlock,
  byStart: ReadonlyMap<number, TranslatedBlock>,
  predecessors: ReadonlyMap<number, readonly TranslatedBlock[]>,
): readonly TranslatedBlock[] {
  const successors = targets.flatMap(target => byStart.get(target) ?? []);
  return [...successors, ...(predecessors.get(start) ?? [])];
}

function inOrder(blocks: ReadonlySet<TranslatedBlock>): readonly TranslatedBlock[] {
  return [...blocks].sort((a, b) => a.start - b.start);
}

/** Blocks without a region of their own that go on directly at a block. */
function predecessorsOf(byStart: ReadonlyMap<number, TranslatedBlock>): Map<number, TranslatedBlock[]> {
  const predecessors = new Map<number, TranslatedBlock[]>();
  for (const candidate of byStart.values()) {
    if (candidate.functionIndex !== 0) continue;
    for (const target of candidate.targets) {
      const list = predecessors.get(target);
      if (list) list.push(candidate);
      else predecessors.set(target, [candidate]);
    }
  }
  return predecessors;
}
