/**
 * Host calls: HVC and SMC with one immediate that no firmware takes (SMCCC, DEN 0028, wants 0). A host that watches a kernel plants
 * one in place of an instruction, and gets control when a CPU comes there: a breakpoint that costs nothing until it is hit.
 */

/** The immediate: "kd". */
export const HOST_CALL = 0x6b64;

/** Instruction words, by the conduit that reaches the host. Arm ARM DDI 0487 "HVC", "SMC". */
export const HOST_CALL_WORD = {
  hvc: (0xd400_0002 | (HOST_CALL << 5)) >>> 0,
  smc: (0xd400_0003 | (HOST_CALL << 5)) >>> 0,
} as const;
