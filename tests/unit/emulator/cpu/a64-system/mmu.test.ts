/**
 * Table walks over hand-made tables. Fault status codes are those of Arm ARM DDI 0487 "ESR_EL1", field DFSC.
 */
import { describe, expect, test } from 'vitest';
import type { A64FeatureName } from '../../../../../emulator/cpu/a64/features.ts';
import { Mmu } from '../../../../../emulator/cpu/a64/system/mmu.ts';
import type { AccessKind, WalkResult } from '../../../../../emulator/cpu/execute/guest.ts';

/** Descriptor bits, from the format diagrams. */
const D = {
  TABLE: 3n,
  PAGE: 3n,
  BLOCK: 1n,
  EL0: 1n << 6n,
  RO: 1n << 7n,
  AF: 1n << 10n,
  DBM: 1n << 51n,
  PXN: 1n << 53n,
  UXN: 1n << 54n,
  GP: 1n << 50n,
} as const;

const DFSC = {
  ADDRESS_SIZE: [0b000000, 0b000001, 0b000010, 0b000011],
  TRANSLATION: [0b000100, 0b000101, 0b000110, 0b000111],
  ACCESS_FLAG: [0, 0b001001, 0b001010, 0b001011],
  PERMISSION: [0, 0b001101, 0b001110, 0b001111],
  EXTERNAL_WALK: [0b010100, 0b010101, 0b010110, 0b010111],
  TRANSLATION_MINUS_1: 0b101011,
} as const;

/** TCR_EL1 fields. */
const TCR = {
  T0SZ: (n: number): bigint => BigInt(n),
  T1SZ: (n: number): bigint => BigInt(n) << 16n,
  EPD0: 1n << 7n,
  EPD1: 1n << 23n,
  TG0: { '4K': 0n, '64K': 1n << 14n, '16K': 2n << 14n },
  TG1: { '16K': 1n << 30n, '4K': 2n << 30n, '64K': 3n << 30n },
  IPS: (n: number): bigint => BigInt(n) << 32n,
  TBI0: 1n << 37n,
  TBI1: 1n << 38n,
  HA: 1n << 39n,
  HD: 1n << 40n,
  HPD0: 1n << 41n,
  E0PD1: 1n << 56n,
  DS: 1n << 59n,
} as const;

const SCTLR_M = 1n;
const SCTLR_WXN = 1n << 19n;

/** Physical memory that exists: 16 MiB from 0x4000_0000, and nothing else. */
class Tables {
  readonly #words = new BigUint64Array((16 << 20) / 8);
  readonly int32 = new Int32Array(this.#words.buffer);
  ramAddress(paddr: number): number {
    return paddr >= 0x4000_0000 && paddr < 0x4100_0000 ? paddr - 0x4000_0000 : -1;
  }
  set(paddr: number, descriptor: bigint): void {
    this.#words[(paddr - 0x4000_0000) / 8] = descriptor;
  }
  get(paddr: number): bigint {
    return this.#words[(paddr - 0x4000_0000) / 8]!;
  }
}

const L0 = 0x4000_0000;
const L1 = 0x4001_0000;
const L2 = 0x4002_0000;
const L3 = 0x4003_0000;

interface Setup {
  readonly tcr: bigint;
  readonly features?: readonly A64FeatureName[];
  readonly physicalBits?: number;
  readonly sctlr?: bigint;
  readonly ttbr0?: bigint;
  readonly ttbr1?: bigint;
}

function createMmu(tables: Tables, setup: Setup): Mmu {
  const mmu = new Mmu(tables, new Set(setup.features), setup.physicalBits ?? 44);
  mmu.configureEl1({
    SCTLR: setup.sctlr ?? SCTLR_M,
    TCR: setup.tcr,
    TTBR0: setup.ttbr0 ?? BigInt(L0),
    TTBR1: setup.ttbr1 ?? BigInt(L0),
  });
  return mmu;
}

interface Access {
  readonly kind?: AccessKind;
  readonly level?: 0 | 1 | 2;
  readonly pan?: boolean;
}

function walk(mmu: Mmu, address: bigint, { kind = 'read', level = 1, pan = false }: Access = {}): WalkResult | number {
  const result: WalkResult = {
    paddr: 0,
    readable: false,
    writable: false,
    executable: false,
    leafSize: 0,
    guarded: false,
  };
  const low = Number(BigInt.asIntN(32, address));
  const high = Number(BigInt.asIntN(32, address >> 32n));
  return mmu.walk(low, high, kind, level, pan, result) ? result : mmu.faultStatus;
}

const FOUR_K_48 = TCR.T0SZ(16) | TCR.T1SZ(16) | TCR.TG1['4K'] | TCR.IPS(4);

describe('granules and address sizes', () => {
  /** Each row: tables from the top, with the index that the address has in each, and the leaf. */
  const rows: readonly (readonly [
    name: string,
    setup: Setup,
    address: bigint,
    tables: readonly (readonly [base: number, index: number, descriptor: bigint])[],
    paddr: number,
    leafSize: number,
  ])[] = [
    [
      '4K, 48 bits, page',
      { tcr: FOUR_K_48 },
      (257n << 39n) | (257n << 21n) | (260n << 12n) | 0x567n,
      [
        [L0, 257, BigInt(L1) | D.TABLE],
        [L1, 0, BigInt(L2) | D.TABLE],
        [L2, 257, BigInt(L3) | D.TABLE],
        [L3, 260, 0x4567_8000n | D.PAGE | D.AF],
      ],
      0x4567_8000,
      0x1000,
    ],
    [
      '4K, 48 bits, 2 MiB block',
      { tcr: FOUR_K_48 },
      0x0000_0000_8039_9abcn,
      [
        [L0, 0, BigInt(L1) | D.TABLE],
        [L1, 2, BigInt(L2) | D.TABLE],
        [L2, 1, 0xf_4020_0000n | D.BLOCK | D.AF],
      ],
      0xf_4039_9000,
      0x20_0000,
    ],
    [
      '4K, 39 bits, 1 GiB block at the first level',
      { tcr: TCR.T0SZ(25) | TCR.IPS(4) },
      0x0000_0040_7fff_ffffn,
      [[L0, 257, 0x1_8000_0000n | D.BLOCK | D.AF]],
      0x1_bfff_f000,
      0x4000_0000,
    ],
    [
      '4K, 36 bits: the first table has 64 entries',
      { tcr: TCR.T0SZ(28) | TCR.IPS(4) },
      0x0000_000f_c000_0000n,
      [[L0, 63, 0x1_8000_0000n | D.BLOCK | D.AF]],
      0x1_8000_0000,
      0x4000_0000,
    ],
    [
      '16K, 47 bits, page',
      { tcr: TCR.T0SZ(17) | TCR.TG0['16K'] | TCR.IPS(4) },
      0x0000_7fff_ffff_c123n,
      [
        [L0, 2047, BigInt(L1) | D.TABLE],
        [L1, 2047, BigInt(L2) | D.TABLE],
        [L2, 2047, 0x4567_4000n | D.PAGE | D.AF],
      ],
      0x4567_4000,
      0x4000,
    ],
    [
      '16K, 48 bits: the first table has 2 entries; 32 MiB block',
      { tcr: TCR.T0SZ(16) | TCR.TG0['16K'] | TCR.IPS(4) },
      0x0000_8000_0212_3456n,
      [
        [L0, 1, BigInt(L1) | D.TABLE],
        [L1, 0, BigInt(L2) | D.TABLE],
        [L2, 1, 0x4200_0000n | D.BLOCK | D.AF],
      ],
      0x4212_3000,
      0x200_0000,
    ],
    [
      '64K, 48 bits, page',
      { tcr: TCR.T0SZ(16) | TCR.TG0['64K'] | TCR.IPS(4) },
      0x0000_ffff_ffff_3abcn,
      [
        [L0, 63, BigInt(L1) | D.TABLE],
        [L1, 8191, BigInt(L2) | D.TABLE],
        [L2, 8191, 0x4567_0000n | D.PAGE | D.AF],
      ],
      0x4567_3000,
      0x1_0000,
    ],
    [
      '64K, 42 bits, 512 MiB block',
      { tcr: TCR.T0SZ(22) | TCR.TG0['64K'] | TCR.IPS(4) },
      0x0000_0000_3fff_ffffn,
      [[L0, 1, 0xe000_0000n | D.BLOCK | D.AF]],
      0xffff_f000,
      0x2000_0000,
    ],
    [
      '64K with LVA: 52-bit virtual and physical addresses',
      {
        tcr: TCR.T0SZ(12) | TCR.TG0['64K'] | TCR.IPS(6),
        features: ['FEAT_LVA'],
        physicalBits: 52,
      },
      0x000f_ffff_ffff_0000n,
      [
        [L0, 1023, BigInt(L1) | D.TABLE],
        [L1, 8191, BigInt(L2) | D.TABLE],
        [L2, 8191, 0x0000_4567_0000n | (0xan << 12n) | D.PAGE | D.AF],
      ],
      0xa_0000_4567_0000,
      0x1_0000,
    ],
    [
      '4K with LPA2: level -1, bits 51:50 in bits 9:8',
      { tcr: TCR.T0SZ(12) | TCR.IPS(6) | TCR.DS, features: ['FEAT_LPA2'], physicalBits: 52 },
      0x0008_0000_0000_0000n,
      [
        [L0, 8, BigInt(L1) | D.TABLE],
        [L1, 0, BigInt(L2) | D.TABLE],
        [L2, 0, BigInt(L3) | D.TABLE],
        [L3, 0, 0x4004_0000n | D.TABLE],
        [0x4004_0000, 0, 0x0003_0000_1234_5000n | (1n << 8n) | D.PAGE | D.AF],
      ],
      0x7_0000_1234_5000,
      0x1000,
    ],
    [
      '16K with LPA2: block at level 1',
      { tcr: TCR.T0SZ(16) | TCR.TG0['16K'] | TCR.IPS(6) | TCR.DS, features: ['FEAT_LPA2'], physicalBits: 52 },
      0x0000_0010_0000_0000n,
      [
        [L0, 0, BigInt(L1) | D.TABLE],
        [L1, 1, 0x0000_0020_0000_0000n | D.BLOCK | D.AF],
      ],
      0x20_0000_0000,
      0x10_0000_0000,
    ],
    [
      'TTST: a 20-bit space starts at level 3',
      { tcr: TCR.T0SZ(44) | TCR.IPS(4), features: ['FEAT_TTST'] },
      0xf_e123n,
      [[L0, 0xfe, 0x4567_8000n | D.PAGE | D.AF]],
      0x4567_8000,
      0x1000,
    ],
  ];

  test.each(rows)('%s', (_, setup, address, levels, paddr, leafSize) => {
    const tables = new Tables();
    for (const [base, index, descriptor] of levels) tables.set(base + index * 8, descriptor);
    expect(walk(createMmu(tables, setup), address)).toMatchObject({ paddr, leafSize });
  });
});

describe('faults', () => {
  const page = (descriptor: bigint): ((tables: Tables) => void) => {
    return tables => {
      tables.set(L0, BigInt(L1) | D.TABLE);
      tables.set(L1, BigInt(L2) | D.TABLE);
      tables.set(L2, BigInt(L3) | D.TABLE);
      tables.set(L3, descriptor);
    };
  };
  const at = (base: number, descriptor: bigint): ((tables: Tables) => void) => {
    return tables => {
      page(0n)(tables);
      tables.set(base, descriptor);
    };
  };

  test.each<readonly [string, Setup, bigint, (tables: Tables) => void, Access, number]>([
    ['invalid at level 0', { tcr: FOUR_K_48 }, 0n, at(L0, 0n), {}, DFSC.TRANSLATION[0]],
    ['a block at level 0', { tcr: FOUR_K_48 }, 0n, at(L0, D.BLOCK | D.AF), {}, DFSC.TRANSLATION[0]],
    ['invalid at level 1', { tcr: FOUR_K_48 }, 0n, at(L1, 2n), {}, DFSC.TRANSLATION[1]],
    ['invalid at level 2', { tcr: FOUR_K_48 }, 0n, at(L2, 0n), {}, DFSC.TRANSLATION[2]],
    ['invalid at level 3', { tcr: FOUR_K_48 }, 0n, page(0n), {}, DFSC.TRANSLATION[3]],
    ['the reserved kind at level 3', { tcr: FOUR_K_48 }, 0n, page(D.BLOCK | D.AF), {}, DFSC.TRANSLATION[3]],
    [
      '16K has no blocks at level 1',
      { tcr: TCR.T0SZ(17) | TCR.TG0['16K'] | TCR.IPS(4) },
      0n,
      at(L0, D.BLOCK | D.AF),
      {},
      DFSC.TRANSLATION[1],
    ],
    [
      '64K has no blocks at level 1',
      { tcr: TCR.T0SZ(16) | TCR.TG0['64K'] | TCR.IPS(4) },
      0n,
      at(L0, D.BLOCK | D.AF),
      {},
      DFSC.TRANSLATION[1],
    ],
    ['no access flag in a page', { tcr: FOUR_K_48 }, 0n, page(D.PAGE), {}, DFSC.ACCESS_FLAG[3]],
    ['no access flag in a 1 GiB block', { tcr: FOUR_K_48 }, 0n, at(L1, D.BLOCK), {}, DFSC.ACCESS_FLAG[1]],
    [
      'read-only before access flag',
      { tcr: FOUR_K_48 },
      0n,
      page(D.PAGE | D.RO),
      { kind: 'write' },
      DFSC.ACCESS_FLAG[3],
    ],
    [
      'a write to a read-only page',
      { tcr: FOUR_K_48 },
      0n,
      page(D.PAGE | D.AF | D.RO),
      { kind: 'write' },
      DFSC.PERMISSION[3],
    ],
    [
      'a write to a read-only 2 MiB block',
      { tcr: FOUR_K_48 },
      0n,
      at(L2, D.BLOCK | D.AF | D.RO),
      { kind: 'write' },
      DFSC.PERMISSION[2],
    ],
    [
      'a page beyond IPS',
      { tcr: FOUR_K_48 & ~TCR.IPS(7) },
      0n,
      page(0x1_0000_0000n | D.PAGE | D.AF),
      {},
      DFSC.ADDRESS_SIZE[3],
    ],
    [
      'a table beyond the physical address size',
      { tcr: FOUR_K_48 | TCR.IPS(5) },
      0n,
      at(L1, (1n << 45n) | D.TABLE),
      {},
      DFSC.ADDRESS_SIZE[1],
    ],
    ['TTBR beyond IPS', { tcr: FOUR_K_48, ttbr0: 1n << 44n }, 0n, page(0n), {}, DFSC.ADDRESS_SIZE[0]],
    ['a table that is no memory', { tcr: FOUR_K_48 }, 0n, at(L1, 0x1000n | D.TABLE), {}, DFSC.EXTERNAL_WALK[2]],
    ['EPD0', { tcr: FOUR_K_48 | TCR.EPD0 }, 0n, page(D.PAGE | D.AF), {}, DFSC.TRANSLATION[0]],
    ['EPD1', { tcr: FOUR_K_48 | TCR.EPD1 }, 0xffff_0000_0000_0000n, page(D.PAGE | D.AF), {}, DFSC.TRANSLATION[0]],
    ['between the halves', { tcr: FOUR_K_48 }, 0x0001_0000_0000_0000n, page(D.PAGE | D.AF), {}, DFSC.TRANSLATION[0]],
    ['below the upper half', { tcr: FOUR_K_48 }, 0xfffe_ffff_ffff_f000n, page(D.PAGE | D.AF), {}, DFSC.TRANSLATION[0]],
    ['a tag without TBI', { tcr: FOUR_K_48 }, 0x1200_0000_0000_0000n, page(D.PAGE | D.AF), {}, DFSC.TRANSLATION[0]],
    ['T0SZ below the smallest', { tcr: TCR.T0SZ(15) | TCR.IPS(4) }, 0n, page(D.PAGE | D.AF), {}, DFSC.TRANSLATION[0]],
    ['T0SZ above the largest', { tcr: TCR.T0SZ(40) | TCR.IPS(4) }, 0n, page(D.PAGE | D.AF), {}, DFSC.TRANSLATION[0]],
    [
      'E0PD from EL0',
      { tcr: FOUR_K_48 | TCR.E0PD1, features: ['FEAT_E0PD'] },
      0xffff_0000_0000_0000n,
      page(D.PAGE | D.AF | D.EL0),
      { level: 0 },
      DFSC.TRANSLATION[0],
    ],
    [
      'invalid at level -1',
      { tcr: TCR.T0SZ(12) | TCR.IPS(6) | TCR.DS, features: ['FEAT_LPA2'], physicalBits: 52 },
      0n,
      () => {},
      {},
      DFSC.TRANSLATION_MINUS_1,
    ],
  ])('%s', (_, setup, address, fill, access, status) => {
    const tables = new Tables();
    fill(tables);
    expect(walk(createMmu(tables, setup), address, access)).toBe(status);
  });

  test('has an address size fault at level 0 beyond the physical address size while the MMU is off', () => {
    const mmu = createMmu(new Tables(), { tcr: 0n, sctlr: 0n });
    expect(walk(mmu, 0x1000_0000_0000n)).toBe(DFSC.ADDRESS_SIZE[0]);
    expect(walk(mmu, 0x0fff_ffff_f123n)).toMatchObject({ paddr: 0x0fff_ffff_f000, writable: true, executable: true });
  });
});

describe('permissions of a page', () => {
  /** AP[2:1] as a number; R, W, X at EL1 and at EL0. Arm ARM DDI 0487 "Data access permissions", "Instruction execution permissions". */
  test.each([
    ['AP 00', 0n, 'rwx', '--x'],
    ['AP 01: writable at EL0 is never executable at EL1', D.EL0, 'rw-', 'rwx'],
    ['AP 10', D.RO, 'r-x', '--x'],
    ['AP 11', D.RO | D.EL0, 'r-x', 'r-x'],
    ['PXN', D.RO | D.EL0 | D.PXN, 'r--', 'r-x'],
    ['UXN', D.RO | D.EL0 | D.UXN, 'r-x', 'r--'],
    ['PXN and UXN', D.PXN | D.UXN, 'rw-', '---'],
  ])('%s', (_, bits, el1, el0) => {
    expect(permissions(0n, bits, 1)).toBe(el1);
    expect(permissions(0n, bits, 0)).toBe(el0);
  });

  test.each([
    ['APTable 10: no write', 2n << 61n, 0n, 'r-x', '--x'],
    ['APTable 01: no EL0', 1n << 61n, D.EL0, 'rwx', '--x'],
    ['PXNTable', 1n << 59n, D.RO | D.EL0, 'r--', 'r-x'],
    ['UXNTable', 1n << 60n, D.RO | D.EL0, 'r-x', 'r--'],
  ])('limited by its table: %s', (_, table, bits, el1, el0) => {
    expect(permissions(table, bits, 1)).toBe(el1);
    expect(permissions(table, bits, 0)).toBe(el0);
  });

  test('are not limited by tables with HPD0', () => {
    expect(permissions(2n << 61n, 0n, 1, { tcr: FOUR_K_48 | TCR.HPD0, features: ['FEAT_HPDS'] })).toBe('rwx');
  });

  test('exclude execution of writable pages with WXN', () => {
    const setup = { tcr: FOUR_K_48, sctlr: SCTLR_M | SCTLR_WXN };
    expect(permissions(0n, 0n, 1, setup)).toBe('rw-');
    expect(permissions(0n, D.EL0, 0, setup)).toBe('rw-');
    expect(permissions(0n, D.RO, 1, setup)).toBe('r-x');
  });

  test('exclude data accesses from EL1 to EL0 pages with PAN', () => {
    expect(permissions(0n, D.EL0 | D.RO, 1, { tcr: FOUR_K_48 }, true)).toBe('--x');
    expect(permissions(0n, D.RO, 1, { tcr: FOUR_K_48 }, true)).toBe('r-x');
  });

  function permissions(
    table: bigint,
    bits: bigint,
    level: 0 | 1,
    setup: Setup = { tcr: FOUR_K_48 },
    pan = false,
  ): string {
    const tables = new Tables();
    tables.set(L0, BigInt(L1) | D.TABLE | table);
    tables.set(L1, BigInt(L2) | D.TABLE);
    tables.set(L2, BigInt(L3) | D.TABLE);
    tables.set(L3, D.PAGE | D.AF | bits);
    const mmu = createMmu(tables, setup);
    const letter = { read: 'r', write: 'w', execute: 'x' } as const;
    return (['read', 'write', 'execute'] as const)
      .map(kind => (walk(mmu, 0n, { kind, level, pan }) === DFSC.PERMISSION[3] ? '-' : letter[kind]))
      .join('');
  }
});

describe('hardware updates', () => {
  const features = ['FEAT_HAFDBS'] as const;
  function mapped(bits: bigint, tcr: bigint): readonly [Tables, Mmu] {
    const tables = new Tables();
    tables.set(L0, BigInt(L1) | D.TABLE);
    tables.set(L1, BigInt(L2) | D.TABLE);
    tables.set(L2, BigInt(L3) | D.TABLE);
    tables.set(L3, D.PAGE | bits);
    return [tables, createMmu(tables, { tcr: FOUR_K_48 | tcr, features })];
  }

  test('set the access flag with HA', () => {
    const [tables, mmu] = mapped(0n, TCR.HA);
    expect(walk(mmu, 0n)).toMatchObject({ readable: true });
    expect(tables.get(L3)).toBe(D.PAGE | D.AF);
  });

  test('leave the access flag alone without HA', () => {
    const [tables, mmu] = mapped(0n, 0n);
    expect(walk(mmu, 0n)).toBe(DFSC.ACCESS_FLAG[3]);
    expect(tables.get(L3)).toBe(D.PAGE);
  });

  test('make a clean page dirty when it is written, and not writable before', () => {
    const [tables, mmu] = mapped(D.AF | D.RO | D.DBM, TCR.HA | TCR.HD);
    expect(walk(mmu, 0n)).toMatchObject({ readable: true, writable: false });
    expect(tables.get(L3)).toBe(D.PAGE | D.AF | D.RO | D.DBM);
    expect(walk(mmu, 0n, { kind: 'write' })).toMatchObject({ writable: true });
    expect(tables.get(L3)).toBe(D.PAGE | D.AF | D.DBM);
  });

  test('leave a read-only page without DBM read-only', () => {
    const [tables, mmu] = mapped(D.AF | D.RO, TCR.HA | TCR.HD);
    expect(walk(mmu, 0n, { kind: 'write' })).toBe(DFSC.PERMISSION[3]);
    expect(tables.get(L3)).toBe(D.PAGE | D.AF | D.RO);
  });

  test('leave a clean page clean when PAN forbids the write', () => {
    const [tables, mmu] = mapped(D.AF | D.RO | D.DBM | D.EL0, TCR.HA | TCR.HD);
    expect(walk(mmu, 0n, { kind: 'write', pan: true })).toBe(DFSC.PERMISSION[3]);
    expect(tables.get(L3)).toBe(D.PAGE | D.AF | D.RO | D.DBM | D.EL0);
  });
});

test('ignores the top byte of an address with TBI, and remembers that it did', () => {
  const tables = new Tables();
  tables.set(L0, BigInt(L1) | D.TABLE);
  tables.set(L1, 0x4000_0000n | D.BLOCK | D.AF);
  const mmu = createMmu(tables, { tcr: FOUR_K_48 | TCR.TBI0 });
  expect(walk(mmu, 0x0000_0000_0000_5000n)).toMatchObject({ paddr: 0x4000_5000 });
  expect(mmu.sawTaggedAddress).toBe(false);
  expect(walk(mmu, 0x1200_0000_0000_5000n)).toMatchObject({ paddr: 0x4000_5000 });
  expect(mmu.sawTaggedAddress).toBe(true);
});

test('takes the upper half from TTBR1 and the ASID from where A1 says', () => {
  const tables = new Tables();
  tables.set(L1 + 511 * 8, 0x8000_0000n | D.BLOCK | D.AF);
  const tcr = TCR.T0SZ(25) | TCR.T1SZ(25) | TCR.TG1['4K'] | TCR.IPS(4) | (1n << 22n) | (1n << 36n);
  const mmu = createMmu(tables, { tcr, ttbr0: (7n << 48n) | BigInt(L0), ttbr1: (0xabcdn << 48n) | BigInt(L1) });
  expect(walk(mmu, 0xffff_ffff_c000_1000n)).toMatchObject({ paddr: 0x8000_1000 });
  expect(mmu.asid).toBe(0xabcd);
});

test('says that a page is guarded whatever SCTLR_EL1.BT is, with FEAT_BTI only', () => {
  const tables = new Tables();
  tables.set(L0, BigInt(L1) | D.TABLE);
  tables.set(L1, 0x4000_0000n | D.BLOCK | D.AF | D.GP | D.EL0);
  const setup = { tcr: FOUR_K_48, features: ['FEAT_BTI'] as const };
  expect(walk(createMmu(tables, { tcr: FOUR_K_48 }), 0n)).toMatchObject({ guarded: false });
  const mmu = createMmu(tables, { ...setup, sctlr: SCTLR_M | (1n << 36n) });
  expect(walk(mmu, 0n, { level: 1 })).toMatchObject({ guarded: true });
  expect(walk(mmu, 0n, { level: 0 })).toMatchObject({ guarded: true });
});

test('translates EL2 by TTBR0_EL2: one half, one execute-never bit, no EL0', () => {
  const tables = new Tables();
  tables.set(L0, BigInt(L1) | D.TABLE);
  tables.set(L1, 0x4000_0000n | D.BLOCK | D.AF | D.UXN);
  const mmu = new Mmu(tables, new Set(), 44);
  mmu.configureEl2({ SCTLR: SCTLR_M, TCR: TCR.T0SZ(16) | (4n << 16n), TTBR0: BigInt(L0) });
  expect(walk(mmu, 0x1000n, { level: 2 })).toMatchObject({ paddr: 0x4000_1000, writable: true, executable: false });
  expect(walk(mmu, 0xffff_0000_0000_0000n, { level: 2 })).toBe(DFSC.TRANSLATION[0]);
});
