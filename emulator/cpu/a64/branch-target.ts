/**
 * PSTATE.BTYPE between two blocks, and what its target must be (FEAT_BTI).
 *
 * Source: Arm ARM DDI 0487 "PSTATE.BTYPE", "Effect of entering a guarded page", pseudocode `BranchTargetCheck`,
 * `BTypeCompatible_BTI`, `BTypeCompatible_PACIXSP`.
 *
 * An indirect branch sets BTYPE and every other instruction clears it, so that it is not 0 only between such a branch and
 * the instruction at its target. CPUs with FEAT_BTI keep it in the two low bits of the PC that a branch leaves in the CPU
 * state. Code that is reached with a BTYPE is a block of its own, for which landing pads are checked while translating:
 * neither guarded nor other code ever tests BTYPE when it runs. A branch to an address that is not aligned leaves the
 * address in `A64_STATE.branchTarget` and goes to `MISALIGNED_PC`; BTYPE is 0 then.
 */
import { extractFields } from './encodings/pattern.ts';
import { HOST_CALL_WORD } from './system/host-call.ts';
import type { Instruction } from './instruction.ts';

/** PSTATE.BTYPE. */
export type BranchType = 0 | 1 | 2 | 3;

/** BTYPE by what branched. */
export const BTYPE = {
  NONE: 0,
  /** BR from a page that is not guarded, or through X16 or X17. */
  BR: 1,
  BLR: 2,
  /** BR through another register, from a guarded page. */
  BR_GUARDED: 3,
} as const;

/** What the PC is while the address in `A64_STATE.branchTarget` is to raise a PC alignment fault; nothing is ever mapped here. */
export const MISALIGNED_PC = 0x8000_0000_0000_0001n;

/** BTYPE after BR through X`rn`. @param guarded the branch is in a guarded page */
export function branchTypeOfBr(rn: number, guarded: boolean): BranchType {
  return guarded && rn !== 16 && rn !== 17 ? BTYPE.BR_GUARDED : BTYPE.BR;
}

/** What an instruction in a guarded page is to a branch with this BTYPE (not 0); `SCTLR_ELx.BT decides` for PACIASP and PACIBSP. */
export type LandingPad = 'allowed' | 'refused' | 'SCTLR_ELx.BT decides';

/** @param instruction row of the word; undefined: unallocated */
export function landingPad(instruction: Instruction | undefined, word: number, branchType: BranchType): LandingPad {
  switch (instruction?.name) {
    case 'BTI':
      return isBtiCompatible(extractFields(instruction.pattern, word)['target']!, branchType) ? 'allowed' : 'refused';
    case 'PACIASP':
    case 'PACIBSP':
      return branchType === BTYPE.BR_GUARDED ? 'SCTLR_ELx.BT decides' : 'allowed';
    case 'BRK':
    case 'HLT':
      return 'allowed';
    default:
      // The host's probes stand where a landing pad may have been
      return word >>> 0 === HOST_CALL_WORD.hvc || word >>> 0 === HOST_CALL_WORD.smc ? 'allowed' : 'refused';
  }
}

/** @param hint none, c, j, jc */
function isBtiCompatible(hint: number, branchType: BranchType): boolean {
  switch (hint) {
    case 0:
      return false;
    case 1:
      return branchType !== BTYPE.BR_GUARDED;
    case 2:
      return branchType !== BTYPE.BLR;
    default:
      return true;
  }
}
