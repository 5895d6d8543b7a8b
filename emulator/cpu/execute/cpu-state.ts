/**
 * The head of every CPU state block: what the engine itself keeps there. A guest's registers follow it.
 *
 * A CPU state block is `CPU_STATE_SIZE` bytes of the one linear memory. Compiled code, evaluator and helpers share it.
 */

/** Byte offsets in a CPU state block. */
export const CPU_STATE = {
  /** i64: guest-virtual address of the next instruction; precise whenever a helper that touches state runs. */
  pc: 0,
  /** i32: instructions that may still retire before the run loop wants control; negative when overrun. */
  budget: 8,
  /** i32: `EXIT` bits; not 0 makes compiled code leave for the run loop. */
  exit: 12,
  /** i32: linear-memory address of the translation bank (TLB and jump cache) of the current regime. */
  bank: 16,
  /** i32: bank that unprivileged accesses (LDTR, STTR) use. */
  unprivilegedBank: 20,
  /** i64: guest-virtual page of the block under interpretation. */
  interpretedPage: 24,
  /** 16 bytes: value handed over between compiled code and a slow memory access. */
  scratch: 32,
  /** i64: instructions that will have retired on all CPUs when the budget is used up. */
  retiredAtEnd: 48,
  /** First byte for the guest's registers. */
  guest: 64,
} as const;

/** Bytes of a CPU state block. */
export const CPU_STATE_SIZE = 4096;

/** Bits of `CPU_STATE.exit`. */
export const EXIT = {
  /** The guest keeps an exception to be delivered at the state's PC. */
  exception: 1,
  /** A checkpoint (backward, indirect or page-crossing jump, or `resume`) was reached with the budget used up. */
  budget: 2,
} as const;
