/**
 * Host calls: VMCALL, which is undefined outside of VMX operation (Intel SDM vol. 3C "VMCALL"), and no CPU model here has VMX. A host
 * that watches a kernel plants one in place of an instruction, and gets control when a CPU comes there: a breakpoint that costs nothing
 * until it is hit.
 */

/** The instruction's bytes. */
export const HOST_CALL_BYTES = [0x0f, 0x01, 0xc1] as const;
