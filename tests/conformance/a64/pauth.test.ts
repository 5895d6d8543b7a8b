/** Pointer authentication codes: our QARMA5 and pointer formats do what Unicorn's "max" CPU does. */
import { describe, expect, test } from 'vitest';
import {
  authenticatePointer,
  genericCode,
  type PacKey,
  type PointerFormat,
  signPointer,
  stripPointer,
} from '../../../emulator/cpu/a64/pauth.ts';
import { qarma5 } from '../../../emulator/cpu/a64/qarma.ts';
import { keyOf } from '../../../emulator/cpu/a64/system/register-key.ts';
import { CASE_MEMORY, REGISTER } from '../../support/a64-cases.ts';
import { campaignSeed, campaignSize } from '../../support/a64-conformance.ts';
import { unicornDriver } from '../../support/a64-drivers.ts';
import { Random } from '../../support/random.ts';
import { loadUnicorn } from '../../support/unicorn.ts';

const api = loadUnicorn();

const KEY_LOW = ['S3_0_C2_C1_0', 'S3_0_C2_C1_2', 'S3_0_C2_C2_0', 'S3_0_C2_C2_2', 'S3_0_C2_C3_0'] as const;
const KEY_HIGH = ['S3_0_C2_C1_1', 'S3_0_C2_C1_3', 'S3_0_C2_C2_1', 'S3_0_C2_C2_3', 'S3_0_C2_C3_1'] as const;
const TCR_EL1 = keyOf('S3_0_C2_C0_2');
/** Registers that let EL1 use the instructions: APK, API and their like at each level. */
const PERMISSIONS = [
  [keyOf('S3_6_C1_C1_0'), 0x3_0401n], // SCR_EL3: API, APK, RW, NS
  [keyOf('S3_4_C1_C1_0'), 0x0300_8000_0000n], // HCR_EL2: API, APK, RW
] as const;

/** SCTLR_EL1: EnIA, EnIB, EnDA, EnDB, and bits that are RES1. Only an instruction makes Unicorn notice. */
const SCTLR = (1n << 31n) | (1n << 30n) | (1n << 27n) | (1n << 13n) | 0x30d0_0800n;
const MSR_SCTLR_X2 = 0xd518_1002;

// Instruction words: x0 pointer, x1 modifier
const PACIA = 0xdac1_0020; // pacia x0, x1
const PACDA = 0xdac1_0820;
const AUTIA = 0xdac1_1020;
const AUTIB = 0xdac1_1420;
const XPACI = 0xdac1_43e0;
const PACGA = 0x9ac1_3000; // pacga x0, x0, x1

interface Setting {
  readonly tsz: readonly [number, number];
  readonly tbi: readonly [boolean, boolean];
}

const format = ({ tsz, tbi }: Setting): PointerFormat => [
  { topByteIgnored: tbi[0], inputBits: 64 - tsz[0] },
  { topByteIgnored: tbi[1], inputBits: 64 - tsz[1] },
];
const tcr = ({ tsz, tbi }: Setting): bigint =>
  BigInt(tsz[0]) | (BigInt(tsz[1]) << 16n) | (BigInt(tbi[0]) << 37n) | (BigInt(tbi[1]) << 38n);

function randomSetting(random: Random): Setting {
  const size = (): number => 16 + random.below(24);
  return { tsz: [size(), size()], tbi: [random.below(2) === 1, random.below(2) === 1] };
}

/** A pointer that is canonical but for, at times, bits above the address. */
function randomPointer(random: Random, { tsz }: Setting): bigint {
  const isUpper = random.below(2);
  const address = random.word64() >> BigInt(tsz[isUpper]!);
  const pointer = isUpper
    ? address | ((0xffff_ffff_ffff_ffffn << BigInt(64 - tsz[1])) & 0xffff_ffff_ffff_ffffn)
    : address;
  return random.below(4) === 0 ? pointer ^ (1n << BigInt(random.below(64))) : pointer;
}

describe.skipIf(typeof api === 'string')('pointer authentication', () => {
  const unicorn = unicornDriver(api as never);

  for (const [key, value] of PERMISSIONS) unicorn.writeSystemRegister(key, value);

  function oracle(word: number, pointer: bigint, modifier: bigint, key: PacKey, setting: Setting): bigint {
    for (const name of KEY_LOW) unicorn.writeSystemRegister(keyOf(name), key.low);
    for (const name of KEY_HIGH) unicorn.writeSystemRegister(keyOf(name), key.high);
    unicorn.writeSystemRegister(TCR_EL1, tcr(setting));
    const registers = new BigUint64Array(REGISTER.count);
    registers[0] = pointer;
    registers[1] = modifier;
    registers[2] = SCTLR;
    const result = unicorn.run({ words: [MSR_SCTLR_X2, word], rows: [], registers }, CASE_MEMORY.code);
    expect(result.outcome).toBe('done');
    return result.registers[0]!;
  }

  test.each([
    ['PACGA', PACGA, (p, m, key) => genericCode(qarma5, p, m, key)],
    ['PACIA', PACIA, (p, m, key, f) => signPointer(qarma5, p, m, key, f)],
    ['PACDA', PACDA, (p, m, key, f) => signPointer(qarma5, p, m, key, f)],
    ['AUTIA', AUTIA, (p, m, key, f) => authenticatePointer(qarma5, p, m, key, 0, f)],
    ['AUTIB', AUTIB, (p, m, key, f) => authenticatePointer(qarma5, p, m, key, 1, f)],
    ['XPACI', XPACI, (p, _m, _key, f) => stripPointer(p, f)],
  ] satisfies [string, number, (pointer: bigint, modifier: bigint, key: PacKey, format: PointerFormat) => bigint][])(
    '%s',
    (_name, word, ours) => {
      const random = new Random(campaignSeed());
      for (let i = 0; i < campaignSize(200); i++) {
        const setting = randomSetting(random);
        const candidate = randomPointer(random, setting);
        // Of a pointer that is not canonical, QEMU until 8.0, and so Unicorn, inverts the bit above the one that the manual says
        const pointer = word === PACIA || word === PACDA ? stripPointer(candidate, format(setting)) : candidate;
        const modifier = random.word64();
        const key = { low: random.word64(), high: random.word64() };
        const theirs = oracle(word, pointer, modifier, key, setting);
        expect(
          ours(pointer, modifier, key, format(setting)).toString(16),
          JSON.stringify({ pointer: pointer.toString(16), setting }),
        ).toBe(theirs.toString(16));
      }
    },
  );

  test('a signed pointer authenticates to itself', () => {
    const random = new Random(campaignSeed());
    for (let i = 0; i < 100; i++) {
      const setting = randomSetting(random);
      const pointer = stripPointer(randomPointer(random, setting), format(setting));
      const [modifier, low, high] = [random.word64(), random.word64(), random.word64()];
      const signed = signPointer(qarma5, pointer, modifier, { low, high }, format(setting));
      expect(authenticatePointer(qarma5, signed, modifier, { low, high }, 0, format(setting))).toBe(pointer);
    }
  });
});

if (typeof api === 'string') test.skip(`pointer authentication: ${api}`, () => {});
