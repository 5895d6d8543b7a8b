/** Translates a basic block of A64 code into IR. */
import type { Block } from '../ir/block.ts';
import type { Decoder } from './decode.ts';
import { extractFields } from './encodings/pattern.ts';
import type { A64Features } from './features.ts';
import { decoderFor } from './instruction-set.ts';
import type { A64Mode } from './mode.ts';
import { softwareStep } from './system/helpers.ts';
import { EC, Translation } from './translation.ts';

/** Longest block, in instructions. */
const MAX_INSTRUCTIONS = 64;

/** ISS of a trapped vector or floating-point access from AArch64: CV set, COND 0b1110. Source: Arm ARM DDI 0487 "ESR_EL1". */
const ISS_SIMD_TRAPPED = (1 << 24) | (0b1110 << 20);

/**
 * Translates the block that starts at byte `start` of a page.
 *
 * It ends behind the first instruction that sets a terminal, after 64 instructions, at the end of the page, and behind every
 * instruction while stepping.
 * @param code the bytes of the page
 * @param end offset in the page at which the block ends at the latest
 */
export function translateBlock(
  code: DataView,
  start: number,
  mode: A64Mode,
  features: A64Features,
  end = code.byteLength,
): Block {
  const decoder = decoderFor(features);
  const t = new Translation(start, mode, features);
  const limit = Math.min(code.byteLength, end, start + 4 * (mode.stepping ? 1 : MAX_INSTRUCTIONS));
  if ((start & 3) !== 0) return misalignedBlock(t, start);
  let offset = start;
  while (offset < limit && t.terminal === undefined) {
    t.ir.beginInstruction(offset);
    if (mode.stepping) t.ir.call(softwareStep);
    translateInstruction(t, decoder, code.getUint32(offset, true));
    offset += 4;
  }
  return t.ir.finish(offset, t.terminal ?? { kind: 'jump', target: offset });
}

/** The PC is no multiple of 4: the only instruction is the PC alignment fault. */
function misalignedBlock(t: Translation, start: number): Block {
  t.ir.beginInstruction(start);
  t.raise(EC.PC_ALIGNMENT, 0);
  return t.ir.finish(start + 1, t.terminal!);
}

function translateInstruction(t: Translation, decoder: Decoder, word: number): void {
  const instruction = decoder.decode(word);
  if (typeof instruction?.semantics !== 'function') {
    t.undefined();
  } else if (instruction.simd && t.mode.simdTrapped) {
    t.raise(EC.SIMD_TRAPPED, ISS_SIMD_TRAPPED);
  } else {
    instruction.semantics(t, extractFields(instruction.pattern, word) as never);
  }
}
