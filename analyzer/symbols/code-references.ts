/**
 * Finds variables by the instructions that refer to them, for kernels whose kallsyms has functions only.
 *
 * arm64: an ADRP gives the page and a following ADD, LDR or STR with the same register the rest; Arm ARM DDI 0487
 * "ADRP", "ADD (immediate)", "LDR (immediate)". The caller checks that what stands at an address looks right.
 */
import { readU32 } from '../../capture/formats/bytes.ts';
import type { MemoryReader } from '../memory-reader.ts';

const MAX_FUNCTION = 16_384;

/**
 * Lists the addresses that an arm64 function forms with ADRP, in order of its code.
 * @param end first address behind the function
 */
export function dataReferences(reader: MemoryReader, start: bigint, end: bigint): bigint[] {
  const length = Math.min(MAX_FUNCTION, Number(end - start)) & ~3;
  const code = reader.readAvailable(start, length);
  const pages = new Map<number, bigint>();
  const found: bigint[] = [];
  for (let at = 0; at + 4 <= code.length; at += 4) {
    const word = readU32(code, at);
    const base = (word >>> 5) & 31;
    const page = pages.get(base);
    const offset = page === undefined ? undefined : immediateOffset(word);
    if (page !== undefined && offset !== undefined) found.push(page + BigInt(offset));
    if ((word & 0x9f00_0000) >>> 0 === 0x9000_0000) pages.set(word & 31, adrpTarget(word, start + BigInt(at)));
    else if (offset !== undefined && (word & 0x7f80_0000) === 0x1100_0000) pages.delete(word & 31);
  }
  return found;
}

function adrpTarget(word: number, pc: bigint): bigint {
  const immediate = (BigInt((word >>> 5) & 0x7_ffff) << 2n) | BigInt((word >>> 29) & 3);
  return BigInt.asUintN(64, (pc & ~0xfffn) + (BigInt.asIntN(21, immediate) << 12n));
}

/** The unsigned offset of `ADD Xd, Xn, #imm`, or of a load or store with an unsigned immediate; undefined for others. */
function immediateOffset(word: number): number | undefined {
  const imm12 = (word >>> 10) & 0xfff;
  if ((word & 0xffc0_0000) >>> 0 === 0x9100_0000) return imm12;
  if ((word & 0x3f00_0000) === 0x3900_0000) return imm12 << (word >>> 30);
  return undefined;
}
