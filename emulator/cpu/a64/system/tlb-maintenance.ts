/**
 * TLBI: what each form takes out of the soft TLB.
 *
 * Source: Arm ARM DDI 0487 "A64 System instructions for TLB maintenance". Every form may invalidate more than it names;
 * the ones by address and ASID drop the address in all contexts.
 */
import type { EngineCpu } from '../../execute/guest.ts';
import { contextAsid, contextLevel } from './context-key.ts';
import type { Mmu } from './mmu.ts';

/** What a TLBI removes. */
export type TlbScope =
  | 'EL1&0'
  | 'EL2'
  | 'ASID'
  | 'address'
  | 'range'
  /** Stage 2 only: nothing here. */
  | 'none';

/** Reads ASID or address out of the operand, and flushes. */
export function flush(engine: EngineCpu, mmu: Mmu, scope: TlbScope, operand: bigint): void {
  switch (scope) {
    case 'EL1&0':
      return engine.flushTlbContexts(key => contextLevel(key) < 2);
    case 'EL2':
      return engine.flushTlbContexts(key => contextLevel(key) === 2);
    case 'ASID': {
      const asid = Number(operand >> 48n);
      return engine.flushTlbContexts(key => contextLevel(key) < 2 && contextAsid(key) === asid);
    }
    case 'address':
      return flushAddress(engine, mmu, operand);
    case 'range':
      return flushRange(engine, mmu, operand);
    case 'none':
      return;
  }
}

/** Operand bits 43 to 0 are VA[55:12]. Tagged addresses of the page may be in the TLB too: then everything goes. */
function flushAddress(engine: EngineCpu, mmu: Mmu, operand: bigint): void {
  if (mmu.sawTaggedAddress) return flushEverything(engine, mmu);
  const low = Number(operand & 0xf_ffffn) << 12;
  const high = (Number((operand >> 20n) & 0xff_ffffn) << 8) >> 8;
  engine.flushTlbPage(low, high);
}

/** Ranges of more pages than this are not worth flushing one by one. */
const MAX_PAGES = 64;
/** log2 of the granule by the operand's TG field. */
const RANGE_GRANULE = [12, 12, 14, 16] as const;

/**
 * Operand: ASID 63:48, TG 47:46, SCALE 45:44, NUM 43:39, TTL 38:37, BaseADDR 36:0 in granules
 * (in 64 KiB with 52-bit addresses, which TCR_EL1.DS says: such ranges drop everything).
 */
function flushRange(engine: EngineCpu, mmu: Mmu, operand: bigint): void {
  const granule = RANGE_GRANULE[Number((operand >> 46n) & 3n)]!;
  const scale = Number((operand >> 44n) & 3n);
  const granules = (Number((operand >> 39n) & 0x1fn) + 1) * 2 ** (5 * scale + 1);
  const pages = granules * 2 ** (granule - 12);
  if (pages > MAX_PAGES || mmu.sawTaggedAddress || mmu.usesWideDescriptors) return flushEverything(engine, mmu);
  const base = BigInt.asIntN(37, operand) << BigInt(granule);
  for (let page = 0; page < pages; page++) {
    const address = base + BigInt(page) * 4096n;
    engine.flushTlbPage(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n)));
  }
}

function flushEverything(engine: EngineCpu, mmu: Mmu): void {
  mmu.sawTaggedAddress = false;
  engine.flushTlb();
}
