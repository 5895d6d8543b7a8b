/** DWARF's numbers of registers; AAPCS64 "DWARF for the Arm 64-bit Architecture", System V AMD64 ABI "DWARF Register Number Mapping". */

/** Names by number, as in `struct pt_regs`. */
export const DWARF_REGISTERS: Readonly<Record<'aarch64' | 'x86_64', readonly string[]>> = {
  aarch64: [...Array.from({ length: 31 }, (_, index) => `x${index}`), 'sp'],
  x86_64: 'ax dx cx bx si di bp sp r8 r9 r10 r11 r12 r13 r14 r15 ip'.split(' '),
};

/** Number of the stack pointer. */
export const STACK_POINTER: Readonly<Record<'aarch64' | 'x86_64', number>> = { aarch64: 31, x86_64: 7 };

/** Number of the return address: a register on arm64, a column of its own on x86_64. */
export const RETURN_ADDRESS: Readonly<Record<'aarch64' | 'x86_64', number>> = { aarch64: 30, x86_64: 16 };
