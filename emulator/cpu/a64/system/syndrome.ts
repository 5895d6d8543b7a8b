/**
 * ESR_ELx: exception classes and fault status codes.
 *
 * Source: Arm ARM DDI 0487 "ESR_EL1, Exception Syndrome Register (EL1)".
 */

/** ESR_ELx.EC. */
export const EXCEPTION_CLASS = {
  UNKNOWN: 0x00,
  WFX: 0x01,
  SIMD_TRAPPED: 0x07,
  BTI: 0x0d,
  ILLEGAL_STATE: 0x0e,
  SVC64: 0x15,
  HVC64: 0x16,
  SMC64: 0x17,
  SYSTEM_REGISTER: 0x18,
  PAUTH_FAILURE: 0x1c,
  INSTRUCTION_ABORT_LOWER: 0x20,
  INSTRUCTION_ABORT_SAME: 0x21,
  PC_ALIGNMENT: 0x22,
  DATA_ABORT_LOWER: 0x24,
  DATA_ABORT_SAME: 0x25,
  SP_ALIGNMENT: 0x26,
  SERROR: 0x2f,
  BREAKPOINT_LOWER: 0x30,
  BREAKPOINT_SAME: 0x31,
  SOFTWARE_STEP_LOWER: 0x32,
  SOFTWARE_STEP_SAME: 0x33,
  WATCHPOINT_LOWER: 0x34,
  WATCHPOINT_SAME: 0x35,
  BRK64: 0x3c,
} as const;

/** ESR_ELx.IL: a 32-bit instruction; also set where the architecture asks for 1. */
const IL = 1 << 25;

/** Classes for which the next instruction is the preferred return address. */
export function returnsBehind(exceptionClass: number): boolean {
  return (
    exceptionClass === EXCEPTION_CLASS.SVC64 ||
    exceptionClass === EXCEPTION_CLASS.HVC64 ||
    exceptionClass === EXCEPTION_CLASS.SMC64
  );
}

/** ESR_ELx of a class and its ISS (25 bits). Every A64 instruction is 32 bits long. */
export function syndrome(exceptionClass: number, iss: number): bigint {
  return BigInt(((exceptionClass << 26) | IL | iss) >>> 0);
}

/** Fault status codes (DFSC, IFSC) that carry a level in their low bits: add the level, 0 to 3. */
export const FAULT = {
  ADDRESS_SIZE: 0b000000,
  TRANSLATION: 0b000100,
  ACCESS_FLAG: 0b001000,
  PERMISSION: 0b001100,
  EXTERNAL_ON_WALK: 0b010100,
  EXTERNAL: 0b010000,
  ALIGNMENT: 0b100001,
  DEBUG: 0b100010,
} as const;

/** Codes of level -1 (FEAT_LPA2). */
const FAULT_LEVEL_MINUS_1: Readonly<Record<number, number>> = {
  [FAULT.ADDRESS_SIZE]: 0b101001,
  [FAULT.TRANSLATION]: 0b101011,
  [FAULT.EXTERNAL_ON_WALK]: 0b010011,
};

/** The code of a fault at a level of the walk (-1 to 3). */
export function faultAtLevel(fault: number, level: number): number {
  return level < 0 ? FAULT_LEVEL_MINUS_1[fault]! : fault | level;
}

/** Bits of the ISS of a data abort. */
export const DATA_ABORT = { WnR: 1 << 6, S1PTW: 1 << 7, CM: 1 << 8, FnV: 1 << 10 } as const;

/** ISS of a trapped WFI (0) or WFE (1) from AArch64: CV set, COND 0b1110. */
export function wfxSyndrome(ti: 0 | 1): number {
  return (1 << 24) | (0b1110 << 20) | ti;
}

/**
 * ISS of a trapped MSR, MRS or system instruction.
 * @param key as `register-key.ts` packs it
 * @param Rt general register of the instruction
 */
export function registerSyndrome(key: number, Rt: number, isRead: boolean): number {
  const op0 = key >> 14;
  const op2 = key & 7;
  const op1 = (key >> 11) & 7;
  const CRn = (key >> 7) & 15;
  const CRm = (key >> 3) & 15;
  return (op0 << 20) | (op2 << 17) | (op1 << 14) | (CRn << 10) | (Rt << 5) | (CRm << 1) | Number(isRead);
}
