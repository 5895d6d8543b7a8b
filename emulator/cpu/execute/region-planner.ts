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
  const byStart = new Map<number, TranslatedBlock>();
  for (const candidate of page.blocks.values()) {
    if (candidate.modeKey === seed.modeKey && candidate.next === undefined) byStart.set(candidate.start, candidate);
  }
  const predecessors = predecessorsOf(byStart);
  const chosen = new Set<TranslatedBlock>([seed]);
  let instructions = seed.instructionCount;
  for (const member of chosen) {
    const targets = member.targets.map(target => byStart.get(target));
    const neighbours = [...targets, ...(predecessors.get(member.start) ?? [])];
    for (const neighbour of neighbours) {
      if (neighbour === undefined || chosen.has(neighbour) || neighbour.executions === 0) continue;
      instructions += neighbour.instructionCount;
      if (chosen.size >= MAXIMUM_BLOCKS || instructions > MAXIMUM_INSTRUCTIONS) return inOrder(chosen);
      chosen.add(neighbour);
    }
  }
  return inOrder(chosen);
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
