import { beforeEach, describe, expect, test } from 'vitest';
import { GPR } from '../../../../../emulator/cpu/x64/state.ts';
import { CR0, CR4 } from '../../../../../emulator/cpu/x64/system/control-bits.ts';
import { AT, X64TestMachine } from '../../../../support/x64-machine.ts';

const HLT = 0xf4;
/** mov rax, [DATA] and mov [DATA], rax */
const LOAD = [0x48, 0x8b, 0x04, 0x25, 0, 0, 2, 0];
const STORE = [0x48, 0x89, 0x04, 0x25, 0, 0, 2, 0];
const KEY = 5;
const ACCESS_DISABLE = 1 << (2 * KEY);
const WRITE_DISABLE = 2 << (2 * KEY);

let machine: X64TestMachine;

beforeEach(() => {
  machine = new X64TestMachine('max');
  machine.cpu.registers.cr4 |= CR4.PKE;
  machine.cpu.registers.cr0 |= CR0.WP;
  machine.mapPage(AT.DATA, BigInt(AT.DATA) | 7n | (BigInt(KEY) << 59n));
  machine.cpu.translationChanged();
});

/** Source: Intel SDM vol. 3A "Protection Keys", "Page-Fault Exceptions": bit 5 of the error code. */
describe('protection keys of user pages', () => {
  test.each([
    ['a user reads with the access disabled', true, ACCESS_DISABLE, LOAD, 0b10_0101n],
    ['a user writes with the access disabled', true, ACCESS_DISABLE, STORE, 0b10_0111n],
    ['a user writes with writes disabled', true, WRITE_DISABLE, STORE, 0b10_0111n],
    ['the supervisor reads with the access disabled', false, ACCESS_DISABLE, LOAD, 0b10_0001n],
    ['the supervisor writes with writes disabled', false, WRITE_DISABLE, STORE, 0b10_0011n],
  ])('%s: #PF', (_name, user, pkru, code, errorCode) => {
    if (user) machine.enterUser();
    machine.cpu.setPkru(pkru);
    expect(machine.run(...code)).toBe(14);
    expect(machine.frame(1)).toEqual([errorCode]);
    expect(machine.cpu.registers.cr2).toBe(BigInt(AT.DATA));
  });

  test('reads are allowed with writes disabled', () => {
    machine.cpu.setPkru(WRITE_DISABLE);
    expect(machine.run(...LOAD, HLT)).toBeUndefined();
  });

  test('the supervisor writes with writes disabled where CR0.WP is clear', () => {
    machine.cpu.registers.cr0 &= ~CR0.WP;
    machine.cpu.translationChanged();
    machine.cpu.setPkru(WRITE_DISABLE);
    expect(machine.run(...STORE, HLT)).toBeUndefined();
  });

  test('other keys, and CR4.PKE clear, forbid nothing', () => {
    machine.cpu.setPkru(ACCESS_DISABLE << 2);
    expect(machine.run(...LOAD, HLT)).toBeUndefined();
  });

  test('WRPKRU takes effect at the next access', () => {
    machine.cpu.state.setGpr(GPR.AX, BigInt(ACCESS_DISABLE));
    machine.cpu.state.setGpr(GPR.CX, 0n);
    machine.cpu.state.setGpr(GPR.DX, 0n);
    expect(machine.run(0x48, 0x8b, 0x1c, 0x25, 0, 0, 2, 0, 0x0f, 0x01, 0xef, ...LOAD)).toBe(14);
    expect(machine.frame(2)[1]).toBe(BigInt(AT.CODE + 11));
  });

  test('RDPKRU reads it', () => {
    machine.cpu.setPkru(0x5555_5554);
    machine.cpu.state.setGpr(GPR.CX, 0n);
    machine.run(0x0f, 0x01, 0xee, HLT);
    expect(machine.cpu.state.gpr(GPR.AX)).toBe(0x5555_5554n);
  });

  test.each([
    ['RDPKRU with ECX', [0x0f, 0x01, 0xee], GPR.CX],
    ['WRPKRU with ECX', [0x0f, 0x01, 0xef], GPR.CX],
    ['WRPKRU with EDX', [0x0f, 0x01, 0xef], GPR.DX],
  ])('%s is #GP', (_name, code, register) => {
    machine.cpu.state.setGpr(register, 1n);
    expect(machine.run(...code)).toBe(13);
  });

  test('RDPKRU is #UD with CR4.PKE clear', () => {
    machine.cpu.registers.cr4 &= ~CR4.PKE;
    expect(machine.run(0x0f, 0x01, 0xee)).toBe(6);
  });
});

describe('random numbers', () => {
  test('RDRAND gives the same numbers in every run, all different, with CF set', () => {
    // three times rdrand; setc bl
    const code = [0x48, 0x0f, 0xc7, 0xf0, 0x48, 0x0f, 0xc7, 0xf1, 0x48, 0x0f, 0xc7, 0xfa, 0x0f, 0x92, 0xc3, HLT];
    const runs = [1, 2].map(() => {
      const fresh = new X64TestMachine('max');
      fresh.run(...code);
      return [GPR.AX, GPR.CX, GPR.DX, GPR.BX].map(number => fresh.cpu.state.gpr(number));
    });
    expect(runs[0]).toEqual(runs[1]);
    expect(new Set(runs[0]!.slice(0, 3)).size).toBe(3);
    expect(runs[0]![3]).toBe(1n);
  });

  test('a model without it has #UD', () => {
    expect(new X64TestMachine('Nehalem').run(0x0f, 0xc7, 0xf0)).toBe(6);
  });
});
