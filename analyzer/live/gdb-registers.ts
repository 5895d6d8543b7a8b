/**
 * The answer to gdb's packet `g`: registers side by side, in the order of the target description.
 *
 * Source: "Debugging with GDB", appendix "Target Descriptions", sections "AArch64 Features", "i386 Features".
 */
import { readU32, readU64 } from '../../capture/formats/bytes.ts';
import type { Architecture } from '../../capture/sources/dump-file.ts';

interface Layout {
  /** Registers of eight bytes, then those of four. */
  readonly wide: readonly string[];
  readonly narrow: readonly string[];
}

const LAYOUTS: Readonly<Record<Architecture, Layout>> = {
  aarch64: { wide: [...Array.from({ length: 31 }, (_, index) => `x${index}`), 'sp', 'pc'], narrow: ['pstate'] },
  x86_64: {
    wide: 'ax bx cx dx si di bp sp r8 r9 r10 r11 r12 r13 r14 r15 ip'.split(' '),
    narrow: 'flags cs ss ds es fs gs'.split(' '),
  },
};

/** Registers by the names of `struct pt_regs`; undefined for an answer that is too short. */
export function parseRegisters(answer: string, architecture: Architecture): ReadonlyMap<string, bigint> | undefined {
  const { wide, narrow } = LAYOUTS[architecture];
  const bytes = Buffer.from(answer, 'hex');
  const narrowOffset = 8 * wide.length;
  if (bytes.length < narrowOffset + 4 * narrow.length) return undefined;
  return new Map([
    ...wide.map((name, index) => [name, readU64(bytes, 8 * index)] as const),
    ...narrow.map((name, index) => [name, BigInt(readU32(bytes, narrowOffset + 4 * index))] as const),
  ]);
}
