/**
 * What translated x86_64 code depends on besides its bytes. Blocks are cached by physical address and this mode.
 */

/** Facts about the CPU's mode that translation may rely on. */
export interface X64Mode {
  /** Default operand and address size of the code segment: 16, 32, or 64 in 64-bit mode. */
  readonly codeSize: 16 | 32 | 64;
  /** Real-address or virtual-8086 mode, whose code size is 16: there is no VEX. */
  readonly real: boolean;
  /** CPL is 0. */
  readonly privileged: boolean;
  /** SS.B: the stack pointer is ESP. Meaningless in 64-bit mode. */
  readonly stack32: boolean;
  /** ES, CS, SS and DS have base 0. Meaningless in 64-bit mode. */
  readonly flat: boolean;
  /**
   * A segment among ES, CS, SS and DS has a limit or a type that an access may break: every access is checked. Never in 64-bit mode. Whether
   * floating-point and vector instructions execute is looked up at run time then.
   */
  readonly limited: boolean;
  /** EFLAGS.TF is set or a debug register may match: every block is one instruction and ends in a look for debug exceptions. */
  readonly stepping: boolean;
  /** x87, MMX and SSE instructions execute: CR0.EM and CR0.TS are clear, CR4.OSFXSR is set. */
  readonly fpuUsable: boolean;
  /** VEX-encoded instructions execute: CR4.OSXSAVE is set and XCR0 has the YMM state. */
  readonly avxUsable: boolean;
}

/** Packs a mode into a small number for cache keys; equal modes give equal numbers. Bit 4 is the engine's (`GUARDED_MODE`). */
export function modeKey(mode: X64Mode): number {
  return (
    (mode.real ? REAL_MODE : mode.codeSize >> 5) |
    (Number(mode.privileged) << 2) |
    (Number(mode.stack32) << 3) |
    (Number(mode.flat) << 5) |
    (Number(mode.stepping) << 6) |
    (mode.limited ? LIMITED : mode.fpuUsable ? FPU_USABLE | (mode.avxUsable ? AVX_USABLE : 0) : 0)
  );
}

/** In place of the code size. */
const REAL_MODE = 3;
const FPU_USABLE = 1 << 7;
/** Together with FPU_USABLE; alone it is LIMITED. */
const AVX_USABLE = 1 << 8;
const LIMITED = 1 << 8;
const UNITS = FPU_USABLE | AVX_USABLE;

/** The mode that `modeKey` packed. */
export function modeOfKey(key: number): X64Mode {
  return {
    codeSize: ([16, 32, 64, 16] as const)[key & 3]!,
    real: (key & 3) === REAL_MODE,
    privileged: (key & 4) !== 0,
    stack32: (key & 8) !== 0,
    flat: (key & 32) !== 0,
    stepping: (key & 64) !== 0,
    limited: (key & UNITS) === LIMITED,
    fpuUsable: (key & FPU_USABLE) !== 0,
    avxUsable: (key & UNITS) === UNITS,
  };
}

/** 64-bit mode at CPL 3 with everything on, as user programs see it. */
export const USER_MODE_64: X64Mode = {
  codeSize: 64,
  real: false,
  privileged: false,
  stack32: true,
  flat: true,
  limited: false,
  stepping: false,
  fpuUsable: true,
  avxUsable: true,
};
