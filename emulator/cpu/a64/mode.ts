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
  /** Instruction fetch is from a guarded page (GP bit of stage 1, FEAT_BTI): branches must go to landing pads. */
  readonly guarded: boolean;
  /** At EL0: SCTLR_EL1 forbids some of DC ZVA (DZE), other cache maintenance (UCI) and reading CTR_EL0 (UCT). */
  readonly cacheMaintenanceTrapped: boolean;
  /** Above EL0: PSTATE.SP, the stack pointer is SP_ELx. SP_EL0 as a system register is UNDEFINED when this is false. */
  readonly handlerStack: boolean;
  /** A hardware breakpoint may match at this level: every instruction asks. */
  readonly breakpoints: boolean;
  /** SCTLR_ELx.A: every access is aligned to its elements. */
  readonly alignmentChecked: boolean;
  /** SCTLR_ELx.SA or SA0: loads and stores whose base is SP fault when it is no multiple of 16. */
  readonly stackChecked: boolean;
}

/**
 * Packs a mode into a number below 512 for cache keys; equal modes give equal numbers. Bit 5 is cacheMaintenanceTrapped
 * at EL0 and the absence of handlerStack above: each matters only there.
 */
export function modeKey(mode: A64Mode): number {
  const last = mode.exceptionLevel === 0 ? mode.cacheMaintenanceTrapped : !mode.handlerStack;
  return (
    mode.exceptionLevel |
    (Number(mode.simdTrapped) << 2) |
    (Number(mode.stepping) << 3) |
    (Number(mode.guarded) << 4) |
    (Number(last) << 5) |
    (Number(mode.breakpoints) << 6) |
    (Number(mode.alignmentChecked) << 7) |
    (Number(!mode.stackChecked) << 8)
  );
}

/** The mode that `modeKey` packed. */
export function modeOfKey(key: number): A64Mode {
  const exceptionLevel = (key & 3) as 0 | 1 | 2;
  const last = (key & 32) !== 0;
  return {
    exceptionLevel,
    simdTrapped: (key & 4) !== 0,
    stepping: (key & 8) !== 0,
    guarded: (key & 16) !== 0,
    cacheMaintenanceTrapped: exceptionLevel === 0 && last,
    handlerStack: exceptionLevel > 0 && !last,
    breakpoints: (key & 64) !== 0,
    alignmentChecked: (key & 128) !== 0,
    stackChecked: (key & 256) === 0,
  };
}
