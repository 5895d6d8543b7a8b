/**
 * What translated A64 code depends on besides its bytes. Blocks are cached by physical address and this mode.
 */

/** Facts about PSTATE and control registers that translation may rely on. */
export interface A64Mode {
  /** PSTATE.EL. */
  readonly exceptionLevel: 0 | 1 | 2;
  /** Advanced SIMD and floating-point instructions trap (CPACR_EL1.FPEN). */
  readonly simdTrapped: boolean;
  /** Software step is active (MDSCR_EL1.SS): every block is one instruction and ends in a step exception. */
  readonly stepping: boolean;
  /** Instruction fetch is from a guarded page with BTI checks on (stage 1 GP bit and SCTLR_EL1.BT). */
  readonly guarded: boolean;
}

/** Packs a mode into a small number for cache keys; equal modes give equal numbers. */
export function modeKey(mode: A64Mode): number {
  return (
    mode.exceptionLevel | (Number(mode.simdTrapped) << 2) | (Number(mode.stepping) << 3) | (Number(mode.guarded) << 4)
  );
}
