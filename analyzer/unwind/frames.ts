/** What unwinding a stack yields, for all architectures. */

/** A function on the stack. */
export interface Frame {
  readonly kind: 'frame';
  readonly level: number;
  /** arm64: the frame pointer; x86_64: where the return address stands. */
  readonly address: bigint;
  /** arm64: the call instruction; x86_64: the return address. */
  readonly pc: bigint;
  /** x86_64: an exception happened here, or the CPU was stopped here: the registers before name the place already. */
  readonly excepted?: boolean;
}

/** The stack goes on elsewhere: an IRQ, exception or overflow stack ends here. */
export interface StackSwitch {
  readonly kind: 'switch';
  /** `IRQ stack`, `NMI exception stack`. */
  readonly from: string;
}

/** Registers saved on entry to the kernel or by an exception in it, or those that a CPU had when it was stopped. */
export interface SavedRegisters {
  readonly kind: 'registers';
  /** Address of the `struct pt_regs`; the stack pointer where the dump's note has the registers. */
  readonly address: bigint;
  /** They are in the dump's note of the CPU, not on the stack. */
  readonly inNote?: boolean;
  /** arm64: the CPU was in user space with them; nothing of the kernel is on the stack. */
  readonly running?: boolean;
  readonly user: boolean;
  /** By the names of `struct pt_regs`; arm64's are `x0` to `x30`, `sp`, `pc`, `pstate`, `orig_x0`, `syscallno`. */
  readonly values: ReadonlyMap<string, bigint>;
}

/** Why the stack could not be followed to its end. */
export interface UnwindProblem {
  readonly kind: 'problem';
  readonly text: string;
}

export type StackItem = Frame | StackSwitch | SavedRegisters | UnwindProblem;

/** A range of stack memory. */
export interface StackRange {
  readonly name: string;
  readonly start: bigint;
  readonly end: bigint;
}

/** A finished walk. */
export interface Backtrace {
  readonly items: readonly StackItem[];
  /** Stack addresses at which the last frame ends: the registers saved at entry, or the top. */
  readonly end: bigint;
}

/** Where a walk begins when the user says so. */
export interface StartPoint {
  /** x86_64: where a return address stands; arm64: a frame record. */
  readonly sp: bigint;
  /** Address of code there; undefined to take it from the stack. */
  readonly ip: bigint | undefined;
}

/** What stands in place of the frames of a task that ran on a CPU of which the dump has no registers. */
export const NO_REGISTERS: UnwindProblem = {
  kind: 'problem',
  text: 'the task was running, and the registers of its CPU are not in the dump',
};

/** More frames than any sound stack has. */
export const MAX_FRAMES = 1000;

/** Tells whether an address lies in a range. */
export function inRange(range: StackRange, address: bigint): boolean {
  return address >= range.start && address < range.end;
}
