/** Registers of a local APIC and their fields. Source: Intel SDM vol. 3A "Advanced Programmable Interrupt Controller (APIC)". */

/** Register numbers: offset / 16, which is also the MSR number minus 0x800. */
export const REG = {
  ID: 0x02,
  VERSION: 0x03,
  TPR: 0x08,
  APR: 0x09,
  PPR: 0x0a,
  EOI: 0x0b,
  LDR: 0x0d,
  DFR: 0x0e,
  SVR: 0x0f,
  ISR: 0x10,
  TMR: 0x18,
  IRR: 0x20,
  ESR: 0x28,
  LVT_CMCI: 0x2f,
  ICR_LOW: 0x30,
  ICR_HIGH: 0x31,
  LVT_TIMER: 0x32,
  LVT_THERMAL: 0x33,
  LVT_PERFORMANCE: 0x34,
  LVT_LINT0: 0x35,
  LVT_LINT1: 0x36,
  LVT_ERROR: 0x37,
  TIMER_INITIAL: 0x38,
  TIMER_CURRENT: 0x39,
  TIMER_DIVIDE: 0x3e,
  SELF_IPI: 0x3f,
} as const;

/** Version 0x14 with six LVT entries: QEMU's. */
export const VERSION = 0x0005_0014;
export const SVR_ENABLE = 1 << 8;
export const LVT_MASKED = 1 << 16;
export const LVT_WRITABLE: Readonly<Record<number, number>> = {
  [REG.LVT_TIMER]: 0x7_00ff,
  [REG.LVT_THERMAL]: 0x1_07ff,
  [REG.LVT_PERFORMANCE]: 0x1_07ff,
  [REG.LVT_LINT0]: 0x1_a7ff,
  [REG.LVT_LINT1]: 0x1_a7ff,
  [REG.LVT_ERROR]: 0x1_00ff,
};
export const TIMER_MODE_SHIFT = 17;
export const TIMER_MODE = { ONE_SHOT: 0, PERIODIC: 1, TSC_DEADLINE: 2 } as const;
export const DFR_FLAT = 0xffff_ffff;

/** ESR: a vector below 16 was sent, or received; a register that does not exist was accessed in memory. */
export const ERROR = { SEND_ILLEGAL_VECTOR: 1 << 5, RECEIVE_ILLEGAL_VECTOR: 1 << 6, ILLEGAL_REGISTER: 1 << 7 } as const;

/** IA32_APIC_BASE. */
export const APIC_BASE = { BSP: 1 << 8, EXTENDED: 1 << 10, ENABLE: 1 << 11 } as const;
/** Bits that must be 0: those below BSP, bit 9, and above 40 bits of address. */
export const APIC_BASE_RESERVED = 0x2ffn | ~0xff_ffff_ffffn;
export const APIC_BASE_ADDRESS_MASK = 0xff_ffff_f000n;
export const APIC_BASE_ADDRESS = 0xfee0_0000;

/** ICR destination shorthands, bits 19:18. */
export const SHORTHAND = { NONE: 0, SELF: 1, ALL: 2, OTHERS: 3 } as const;

/** Registers that RDMSR and WRMSR reach in x2APIC mode. */
export const MSR_READABLE: ReadonlySet<number> = new Set([
  REG.ID,
  REG.VERSION,
  REG.TPR,
  REG.PPR,
  REG.LDR,
  REG.SVR,
  ...Array.from({ length: 24 }, (_, i) => REG.ISR + i),
  REG.ESR,
  ...Object.keys(LVT_WRITABLE).map(Number),
  REG.TIMER_INITIAL,
  REG.TIMER_CURRENT,
  REG.TIMER_DIVIDE,
]);
const WORD = 0xffff_ffffn;
/**
 * Bits that WRMSR may set: others are #GP. ICR has its destination in the upper half, and no delivery status.
 * Source: Intel SDM vol. 3A "x2APIC Register Address Space", "Interrupt Command Register (ICR) in x2APIC Mode".
 */
export const MSR_WRITABLE: ReadonlyMap<number, bigint> = new Map<number, bigint>([
  [REG.TPR, 0xffn],
  [REG.EOI, 0n],
  [REG.SVR, WORD],
  [REG.ESR, 0n],
  [REG.ICR_LOW, (WORD << 32n) | 0xc_dfffn],
  ...Object.keys(LVT_WRITABLE).map(register => [Number(register), WORD] as const),
  [REG.TIMER_INITIAL, WORD],
  [REG.TIMER_DIVIDE, WORD],
  [REG.SELF_IPI, 0xffn],
]);
