/** What each TLBI takes away: Arm ARM DDI 0487 "TLB maintenance instructions". */
import { describe, expect, test } from 'vitest';
import { contextAsid, contextKey, contextLevel } from '../../../../../emulator/cpu/a64/system/context-key.ts';
import { Mmu } from '../../../../../emulator/cpu/a64/system/mmu.ts';
import { flush, type TlbScope } from '../../../../../emulator/cpu/a64/system/tlb-maintenance.ts';
import { SYSTEM_INSTRUCTIONS } from '../../../../../emulator/cpu/a64/system/system-instructions.ts';
import { keyOf } from '../../../../../emulator/cpu/a64/system/register-key.ts';
import type { EngineCpu } from '../../../../../emulator/cpu/execute/guest.ts';

const MMU_ON = true;
/** Contexts in the TLB of the tests: EL0 and EL1 of ASIDs 5 and 6, and EL2. */
const CONTEXTS = {
  el0Asid5: contextKey(5, 0, false, MMU_ON),
  el1Asid5: contextKey(5, 1, true, MMU_ON),
  el0Asid6: contextKey(6, 0, false, MMU_ON),
  el1Asid6: contextKey(6, 1, false, MMU_ON),
  el2: contextKey(0, 2, false, MMU_ON),
} as const;

/** Records what an engine is asked to flush. */
function flushed(scope: TlbScope, operand: bigint, mmu = createMmu()): string[] {
  const log: string[] = [];
  const engine = {
    flushTlb: () => log.push('everything'),
    flushTlbPage: (low: number, high: number) => log.push(hex(high) + hex(low)),
    flushTlbContexts: (matches: (key: number) => boolean) => {
      log.push(...Object.entries(CONTEXTS).flatMap(([name, key]) => (matches(key) ? [name] : [])));
    },
  };
  flush(engine as unknown as EngineCpu, mmu, scope, operand);
  return log;
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

function createMmu(): Mmu {
  return new Mmu({ int32: new Int32Array(2), ramAddress: () => -1 }, new Set(), 44);
}

test('keys tell contexts apart, and ASIDs do not matter while the MMU is off', () => {
  expect(new Set(Object.values(CONTEXTS)).size).toBe(5);
  expect(contextKey(5, 1, false, false)).toBe(contextKey(6, 1, false, false));
  expect(contextAsid(CONTEXTS.el1Asid6)).toBe(6);
  expect(contextLevel(CONTEXTS.el2)).toBe(2);
});

test.each<readonly [string, TlbScope, bigint, readonly string[]]>([
  ['VMALLE1', 'EL1&0', 0n, ['el0Asid5', 'el1Asid5', 'el0Asid6', 'el1Asid6']],
  ['ALLE2', 'EL2', 0n, ['el2']],
  ['ASIDE1', 'ASID', 5n << 48n, ['el0Asid5', 'el1Asid5']],
  ['VAE1 in the lower half', 'address', (5n << 48n) | (0x0000_7fff_1234_5000n >> 12n), ['00007fff12345000']],
  ['VAE1 in the upper half', 'address', 0xffff_8000_0934_5000n >> 12n, ['ffff800009345000']],
  ['IPAS2E1', 'none', 1n, []],
])('%s', (_, scope, operand, expected) => {
  expect(flushed(scope, operand)).toEqual(expected);
});

describe('by range', () => {
  const TG_4K = 1n << 46n;
  const range = (base: bigint, num: bigint, scale: bigint): bigint =>
    TG_4K | (scale << 44n) | (num << 39n) | ((base >> 12n) & 0x1f_ffff_ffffn);

  test('covers (NUM + 1) * 2^(5 * SCALE + 1) granules from the base', () => {
    expect(flushed('range', range(0xffff_8000_0000_1000n, 1n, 0n))).toEqual([
      'ffff800000001000',
      'ffff800000002000',
      'ffff800000003000',
      'ffff800000004000',
    ]);
  });

  test('takes everything when it is long', () => {
    expect(flushed('range', range(0n, 1n, 1n))).toEqual(['everything']);
  });
});

test('an address flush takes everything once tagged addresses were translated', () => {
  const mmu = createMmu();
  mmu.sawTaggedAddress = true;
  expect(flushed('address', 1n, mmu)).toEqual(['everything']);
  expect(flushed('address', 1n, mmu)).toEqual(['0000000000001000']);
});

test.each([
  ['S1_0_C8_C7_1', 'TLBI VAE1', false],
  ['S1_0_C8_C3_1', 'TLBI VAE1IS', true],
  ['S1_0_C8_C1_1', 'TLBI VAE1OS', true],
  ['S1_0_C8_C6_1', 'TLBI RVAE1', false],
  ['S1_0_C8_C2_1', 'TLBI RVAE1IS', true],
  ['S1_0_C8_C5_1', 'TLBI RVAE1OS', true],
] as const)('%s is %s', (encoding, name, broadcast) => {
  expect(SYSTEM_INSTRUCTIONS.get(keyOf(encoding))).toMatchObject({ name, broadcast });
});
