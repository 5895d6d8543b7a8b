/** Translates a basic block of A64 code into IR. */
import type { Block } from '../ir/block.ts';
import { type BranchType, landingPad } from './branch-target.ts';
import type { Decoder } from './decode.ts';
import type { A64Features } from './features.ts';
import { decoderFor } from './instruction-set.ts';
import type { A64Mode } from './mode.ts';
import { checkBreakpoints, checkSigningLandingPad, softwareStep } from './system/helpers.ts';
import { EC, Translation } from './translation.ts';

/** Longest block, in instructions. */
const MAX_INSTRUCTIONS = 64;

/** ISS of a trapped vector or floating-point access from AArch64: CV set, COND 0b1110. Source: Arm ARM DDI 0487 "ESR_EL1". */
const ISS_SIMD_TRAPPED = (1 << 24) | (0b1110 << 20);

/**
 * Translates the block that starts at byte `start` of a page: with FEAT_BTI, its low bits are the PSTATE.BTYPE with which it is reached.
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
  const branchType = (features.has('FEAT_BTI') ? start & 3 : 0) as BranchType;
  const t = new Translation(start, mode, features, branchType);
  let offset = start - branchType;
  const limit = Math.min(code.byteLength, end, offset + 4 * (mode.stepping ? 1 : MAX_INSTRUCTIONS));
  if ((offset & 3) !== 0) return misalignedBlock(t, start);
  while (offset < limit && t.terminal === undefined) {
    t.ir.beginInstruction(offset);
    const word = code.getUint32(offset, true);
    checkBefore(t, decoder, word);
    if (t.terminal === undefined) translateInstruction(t, decoder, word);
    offset += 4;
  }
  return t.ir.finish(offset, t.terminal ?? { kind: 'jump', target: offset });
}

/** What may be raised before an instruction does anything. */
function checkBefore(t: Translation, decoder: Decoder, word: number): void {
  const { ir, mode, branchType } = t;
  if (mode.stepping) ir.call(softwareStep, ir.i32(branchType));
  if (mode.breakpoints) ir.call(checkBreakpoints, ir.i32(branchType));
  if (!mode.guarded || branchType === 0) return;
  const pad = landingPad(decoder.decode(word), word, branchType);
  if (pad === 'refused') t.raise(EC.BTI, branchType);
  else if (pad === 'SCTLR_ELx.BT decides') ir.call(checkSigningLandingPad, ir.i32(branchType));
}

/** The PC is no multiple of 4: the only instruction is the PC alignment fault. */
function misalignedBlock(t: Translation, start: number): Block {
  t.ir.beginInstruction(start);
  t.raise(EC.PC_ALIGNMENT, 0);
  return t.ir.finish(start + 1, t.terminal!);
}

function translateInstruction(t: Translation, decoder: Decoder, word: number): void {
  const decoded = decoder.decodeFields(word | 0);
  const instruction = decoded?.instruction;
  if (typeof instruction?.semantics !== 'function') {
    t.undefined();
  } else if (instruction.simd && t.mode.simdTrapped) {
    t.raise(EC.SIMD_TRAPPED, ISS_SIMD_TRAPPED);
  } else {
    instruction.semantics(t, decoded!.fields as never);
  }
}
