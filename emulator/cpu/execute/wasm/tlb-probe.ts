/** The inline TLB probe of compiled and interpreted code, see `soft-tlb.ts` for the table. */
import type { CodeWriter } from '../../../wasm/code-writer.ts';
import { BANK } from '../soft-tlb.ts';

/** Instructions that access guest memory, by size in bytes. */
export const LOADS = {
  1: 'i64.load8_u',
  2: 'i64.load16_u',
  4: 'i64.load32_u',
  8: 'i64.load',
  16: 'v128.load',
} as const;
export const STORES = {
  1: 'i64.store8',
  2: 'i64.store16',
  4: 'i64.store32',
  8: 'i64.store',
  16: 'v128.store',
} as const;
const PAGE_MASK = -4096n;

/** Pushes the linear-memory address of the TLB entry for a guest-virtual address. @param address local of type i64 */
export function emitTlbEntry(code: CodeWriter, address: number, pushBank: () => void): void {
  code.get(address);
  code.op('i32.wrap_i64');
  code.i32(BANK.TLB_SHIFT);
  code.op('i32.shr_u');
  code.get(address);
  code.op('i32.wrap_i64');
  code.i32(BANK.TLB_HASH_SHIFT);
  code.op('i32.shr_u');
  code.op('i32.xor');
  code.i32(BANK.TLB_MASK);
  code.op('i32.and');
  pushBank();
  code.op('i32.add');
}

/** Pushes what the tag has to equal: no tag equals that of an access that crosses the page or lacks alignment. */
export function emitExpectedTag(code: CodeWriter, address: number, size: number, alignment: number): void {
  code.get(address);
  if (alignment < size) {
    code.i64(BigInt(size - alignment));
    code.op('i64.add');
  }
  code.i64(PAGE_MASK | BigInt(alignment - 1));
  code.op('i64.and');
}

/** Pushes the linear-memory address of a guest-virtual address that the TLB entry in a local has. */
export function emitTranslated(code: CodeWriter, address: number, tlbEntry: number): void {
  code.get(address);
  code.op('i32.wrap_i64');
  code.get(tlbEntry);
  code.memory('i32.load', BANK.addend);
  code.op('i32.add');
}
