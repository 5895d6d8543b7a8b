/** Bits of control registers, EFER and error codes. Source: Intel SDM vol. 3A "Control Registers", "Extended Feature Enable Register". */

export const CR0 = {
  PE: 1 << 0,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: -0x8000_0000,
} as const;

export const CR4 = {
  VME: 1 << 0,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
  LA57: 1 << 12,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  OSXSAVE: 1 << 18,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
  PKE: 1 << 22,
} as const;

export const EFER = { SCE: 1 << 0, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11, SVME: 1 << 12, FFXSR: 1 << 14 } as const;

/** XCR0: state components. */
export const XCR0 = { X87: 1, SSE: 2, YMM: 4, PKRU: 1 << 9 } as const;

/** Error code of #PF. */
export const PF_ERROR = { P: 1, W: 2, U: 4, RSVD: 8, ID: 16, PK: 32 } as const;

/** DR6 and DR7. */
export const DR6 = { BREAKPOINTS: 15, BD: 1 << 13, BS: 1 << 14, BT: 1 << 15, FIXED: 0xffff_0ff0 } as const;
export const DR7 = { ENABLES: 0xff, FIXED: 1 << 10, GD: 1 << 13 } as const;
