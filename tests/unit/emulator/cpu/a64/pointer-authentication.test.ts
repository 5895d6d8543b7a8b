import { describe, expect, test } from 'vitest';
import { authenticatePointer, type PointerFormat, signPointer } from '../../../../../emulator/cpu/a64/pauth.ts';
import { qarma5 } from '../../../../../emulator/cpu/a64/qarma.ts';
import {
  EXCEPTION_REGISTERS,
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
const ENIB = 1n << 30n;
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
  test('ERETAA and ERETAB return to the address that ELR_EL1 has signed', () => {
    for (const [M, key] of [
      [0, 'IA'],
      [1, 'IB'],
    ] as const) {
      const { engine, memory, cpus } = createTestMachine({ model: 'max', compileThreshold });
      const cpu = cpus[0]!;
      const target = BigInt(RAM_BASE) + 0x100n;
      const sp = BigInt(RAM_BASE) + 0x800n;
      memory.ramSlice(RAM_BASE, 4096).set(new Uint8Array(Int32Array.from([a64('ERETAA/AB', { M })]).buffer));
      memory.ramSlice(RAM_BASE + 0x100, 4).set(new Uint8Array(Int32Array.of(STOP).buffer));
      for (const signed of [true, false]) {
        cpu.start(BigInt(RAM_BASE), [], 1);
        cpu.write(KEYS[`AP${key}KeyLo_EL1`], KEY.low);
        cpu.write(KEYS[`AP${key}KeyHi_EL1`], KEY.high);
        cpu.write(TRANSLATION_REGISTERS.TCR_EL1, TCR);
        cpu.write(TRANSLATION_REGISTERS.SCTLR_EL1, cpu.read(TRANSLATION_REGISTERS.SCTLR_EL1) | ENIA | ENIB);
        cpu.process.setStackPointer(1, sp);
        cpu.write(EXCEPTION_REGISTERS.SPSR_EL1, 0x3c5n);
        cpu.write(EXCEPTION_REGISTERS.ELR_EL1, signed ? signPointer(qarma5, target, sp, KEY, FORMAT) : target);
        engine.runSlice(engine.cpus[0]!, 1);
        expect(cpu.engine.pc === target).toBe(signed);
      }
    }
  });
  test('a disabled key leaves pointers alone', () => {
    expect(run([PACIA_X0_X1], 0n)).toBe(POINTER);
  });
});

test('with 52-bit addresses the code begins at bit 52', () => {
  const { engine, memory, cpus } = createTestMachine({ model: 'max' });
  const cpu = cpus[0]!;
  memory.ramSlice(RAM_BASE, 4096).set(new Uint8Array(Int32Array.from([PACIA_X0_X1, STOP]).buffer));
  // a kernel's linear map: bits 51 to 48 are 0
  cpu.start(BigInt(RAM_BASE), [0xfff0_0000_1234_5678n, MODIFIER], 1);
  cpu.write(KEYS.APIAKeyLo_EL1, KEY.low);
  cpu.write(KEYS.APIAKeyHi_EL1, KEY.high);
  // T1SZ 12, DS
  cpu.write(TRANSLATION_REGISTERS.TCR_EL1, (12n << 16n) | 16n | (1n << 59n));
  cpu.write(TRANSLATION_REGISTERS.SCTLR_EL1, cpu.read(TRANSLATION_REGISTERS.SCTLR_EL1) | ENIA);
  engine.runSlice(engine.cpus[0]!, 2);
  expect(cpu.registers.x(0) & 0xf_ffff_ffff_ffffn).toBe(0x0_0000_1234_5678n);
  expect(cpu.registers.x(0) >> 52n).not.toBe(0xfffn);
});

test('QARMA5 encrypts its published vector', () => {
  expect(qarma5(PLAINTEXT, MODIFIER, KEY)).toBe(0xc003_b939_99b3_3765n);
});
