import { describe, expect, test } from 'vitest';
import { authenticatePointer, type PointerFormat, signPointer } from '../../../../../emulator/cpu/a64/pauth.ts';
import { qarma5 } from '../../../../../emulator/cpu/a64/qarma.ts';
import {
  POINTER_AUTHENTICATION_REGISTERS as KEYS,
  TRANSLATION_REGISTERS,
} from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { a64 } from '../../../../support/a64-assemble.ts';
import { createTestMachine, RAM_BASE } from '../a64-system/machine.ts';

/** T0SZ and T1SZ 16, no top byte ignored. */
const TCR = 16n | (16n << 16n);
const FORMAT: PointerFormat = [
  { topByteIgnored: false, inputBits: 48 },
  { topByteIgnored: false, inputBits: 48 },
];
const ENIA = 1n << 31n;
const KEY = { high: 0x84be_85ce_9804_e94bn, low: 0xec28_02d4_e0a4_88e9n };
const POINTER = 0xffff_8000_1234_5678n;
const MODIFIER = 0x477d_469d_ec0b_8762n;

/** With key and modifier above, the test vector of Roberto Avanzi, "The QARMA Block Cipher Family": 64 bits, 5 rounds, S-box sigma 2. */
const PLAINTEXT = 0xfb62_3599_da6e_8127n;

const PACIA_X0_X1 = a64('PACIA/IB/DA/DB', { key: 0, rn: 1, rd: 0 });
const AUTIA_X0_X1 = a64('AUTIA/IB/DA/DB', { key: 0, rn: 1, rd: 0 });
const STOP = a64('B');

describe.each([
  ['interpreted', Number.POSITIVE_INFINITY],
  ['compiled', 1],
])('%s', (_, compileThreshold) => {
  /** Runs words with a pointer in X0 and the modifier in X1 at EL1. @returns X0 */
  function run(words: readonly number[], enabled: bigint, key = KEY): bigint {
    const { engine, memory, cpus } = createTestMachine({ model: 'max', compileThreshold });
    const cpu = cpus[0]!;
    memory.ramSlice(RAM_BASE, 4096).set(new Uint8Array(Int32Array.from([...words, STOP]).buffer));
    cpu.start(BigInt(RAM_BASE), [POINTER, MODIFIER], 1);
    cpu.write(KEYS.APIAKeyLo_EL1, key.low);
    cpu.write(KEYS.APIAKeyHi_EL1, key.high);
    cpu.write(TRANSLATION_REGISTERS.TCR_EL1, TCR);
    cpu.write(TRANSLATION_REGISTERS.SCTLR_EL1, cpu.read(TRANSLATION_REGISTERS.SCTLR_EL1) | enabled);
    engine.runSlice(engine.cpus[0]!, 10);
    return cpu.registers.x(0);
  }

  test('PACIA signs with the key and format of the system registers', () => {
    expect(run([PACIA_X0_X1], ENIA)).toBe(signPointer(qarma5, POINTER, MODIFIER, KEY, FORMAT));
  });
  test('AUTIA gives back what PACIA signed', () => {
    expect(run([PACIA_X0_X1, AUTIA_X0_X1], ENIA)).toBe(POINTER);
  });
  test('AUTIA makes an unsigned pointer invalid', () => {
    const invalid = authenticatePointer(qarma5, POINTER, MODIFIER, KEY, 0, FORMAT);
    expect(run([AUTIA_X0_X1], ENIA)).toBe(invalid);
    expect(invalid).not.toBe(POINTER);
  });
  test('a disabled key leaves pointers alone', () => {
    expect(run([PACIA_X0_X1], 0n)).toBe(POINTER);
  });
});

test('QARMA5 encrypts its published vector', () => {
  expect(qarma5(PLAINTEXT, MODIFIER, KEY)).toBe(0xc003_b939_99b3_3765n);
});
