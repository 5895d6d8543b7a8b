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
  /** EL0 may not do some of DC ZVA, other cache maintenance, and reading CTR_EL0 (SCTLR_EL1.DZE, UCI, UCT are not all set). */
  readonly cacheMaintenanceTrapped: boolean;
  /** PSTATE.SP: the current stack pointer is SP_ELx. SP_EL0 as a system register is UNDEFINED when this is false. */
  readonly handlerStack: boolean;
}

/** Packs a mode into a small number for cache keys; equal modes give equal numbers. */
export function modeKey(mode: A64Mode): number {
  return (
    mode.exceptionLevel |
    (Number(mode.simdTrapped) << 2) |
    (Number(mode.stepping) << 3) |
    (Number(mode.guarded) << 4) |
    (Number(mode.cacheMaintenanceTrapped) << 5) |
    (Number(mode.handlerStack) << 6)
  );
}

/** The mode that `modeKey` packed. */
export function modeOfKey(key: number): A64Mode {
  return {
    exceptionLevel: (key & 3) as 0 | 1 | 2,
    simdTrapped: (key & 4) !== 0,
    stepping: (key & 8) !== 0,
    guarded: (key & 16) !== 0,
    cacheMaintenanceTrapped: (key & 32) !== 0,
    handlerStack: (key & 64) !== 0,
  };
}
