/** Bits of FPCR and FPSR. Source: Arm ARM DDI 0487 "FPCR, Floating-point Control Register", "FPSR, Floating-point Status Register". */

export const FPCR = {
  /** Alternative half-precision format: no infinities and NaNs. */
  AHP: 1 << 26,
  /** Every NaN result is the default NaN. */
  DN: 1 << 25,
  /** Flushes denormals of single and double precision to zero. */
  FZ: 1 << 24,
  /** Rounding mode: 0 to nearest, 1 up, 2 down, 3 towards zero. */
  RMODE_SHIFT: 22,
  /** Flushes denormals of half precision to zero. */
  FZ16: 1 << 19,
} as const;

export const FPSR = {
  /** An integer saturated. */
  QC: 1 << 27,
  /** Input denormal. */
  IDC: 1 << 7,
  /** Inexact. */
  IXC: 1 << 4,
  /** Underflow. */
  UFC: 1 << 3,
  /** Overflow. */
  OFC: 1 << 2,
  /** Division by zero. */
  DZC: 1 << 1,
  /** Invalid operation. */
  IOC: 1 << 0,
} as const;
