/** Source: Intel SDM vol. 3B "Debug Registers", "Debug Exceptions". */
import { beforeEach, describe, expect, test } from 'vitest';
import { GPR } from '../../../../../emulator/cpu/x64/state.ts';
import { CR4 } from '../../../../../emulator/cpu/x64/system/control-bits.ts';
import { AT, X64TestMachine } from '../../../../support/x64-machine.ts';

const HLT = 0xf4;
const NOP = 0x90;
/** mov eax, [DATA]; mov [DATA], eax */
const LOAD = [0x8b, 0x04, 0x25, 0, 0, 2, 0];
const STORE = [0x89, 0x04, 0x25, 0, 0, 2, 0];
/** The bits of DR6 that are 1 always, and others. */
const dr6 = (bits: number): number => (0xffff_0ff0 | bits) >>> 0;
const BS = 1 << 14;

/** DR7 with breakpoint 0 enabled. @param length LEN: 0 one byte, 1 two, 3 four, 2 eight */
const dr7 = (condition: number, length: number): number => 0x400 | 1 | (condition << 16) | (length << 18);

let machine: X64TestMachine;

function arm(address: number, condition: number, length: number): void {
  const { registers } = machine.cpu;
  registers.breakpoints[0] = BigInt(address);
  registers.dr7 = dr7(condition, length);
  machine.cpu.engine.flushTlb();
  machine.cpu.contextChanged();
}

beforeEach(() => {
  machine = new X64TestMachine();
});

describe('data breakpoints', () => {
  const cases: readonly (readonly [string, number, number, number, readonly number[], boolean])[] = [
    ['a write hits a write breakpoint', AT.DATA, 1, 3, STORE, true],
    ['a read does not', AT.DATA, 1, 3, LOAD, false],
    ['a read hits a read-write breakpoint', AT.DATA, 3, 3, LOAD, true],
    ['a write hits it, too', AT.DATA, 3, 3, STORE, true],
    ['an access that reaches into the range hits', AT.DATA + 3, 3, 0, LOAD, true],
    ['one that ends before it does not', AT.DATA + 4, 3, 3, LOAD, false],
    ['the address is taken down to a multiple of the length', AT.DATA + 5, 3, 3, LOAD, false],
    ['eight bytes', AT.DATA + 7, 3, 2, LOAD, true],
    ['another page', AT.DATA + 0x1000, 3, 3, LOAD, false],
  ];
  test.each(cases)('%s', (_name, address, condition, length, code, hits) => {
    arm(address, condition, length);
    expect(machine.run(...code, NOP, HLT)).toBe(hits ? 1 : undefined);
    if (!hits) return;
    // a trap: behind the instruction
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + code.length)]);
    expect(machine.cpu.registers.dr6 >>> 0).toBe(dr6(1));
  });

  test('the access has happened', () => {
    machine.cpu.state.setGpr(GPR.AX, 0x77n);
    arm(AT.DATA, 1, 3);
    machine.run(...STORE, HLT);
    expect(machine.read64(AT.DATA)).toBe(0x77n);
  });

  test('MOV to DR7 watches pages that were accessed before', () => {
    machine.cpu.registers.breakpoints[0] = BigInt(AT.DATA);
    machine.cpu.state.setGpr(GPR.CX, BigInt(dr7(3, 3)));
    // load; mov dr7, rcx; load
    expect(machine.run(...LOAD, 0x0f, 0x23, 0xf9, ...LOAD, HLT)).toBe(1);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 17)]);
  });

  test('REP MOVSB traps behind the element that hits', () => {
    const { state } = machine.cpu;
    state.setGpr(GPR.SI, BigInt(AT.CODE));
    state.setGpr(GPR.DI, BigInt(AT.DATA));
    state.setGpr(GPR.CX, 8n);
    arm(AT.DATA + 2, 1, 0);
    expect(machine.run(0xf3, 0xa4, HLT)).toBe(1);
    expect(state.gpr(GPR.CX)).toBe(5n);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE)]);
  });
});

describe('ports', () => {
  test('OUT hits a breakpoint on its port with CR4.DE', () => {
    machine.cpu.registers.cr4 |= CR4.DE;
    arm(0x80, 2, 0);
    expect(machine.run(0xe6, 0x80, NOP, HLT)).toBe(1);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 2)]);
  });

  test.each([
    ['OUTSB', [0xf3, 0x6e]],
    ['INSB', [0xf3, 0x6c]],
  ])('REP %s traps behind each element', (_name, code) => {
    const { state, registers } = machine.cpu;
    registers.cr4 |= CR4.DE;
    state.setGpr(GPR.SI, BigInt(AT.DATA));
    state.setGpr(GPR.DI, BigInt(AT.DATA));
    state.setGpr(GPR.CX, 3n);
    state.setGpr(GPR.DX, 0x80n);
    arm(0x80, 2, 0);
    expect(machine.run(...code, HLT)).toBe(1);
    expect(state.gpr(GPR.CX)).toBe(2n);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE)]);
  });
});

describe('instruction breakpoints', () => {
  test('are faults: before the instruction, with RF in the stored flags', () => {
    arm(AT.CODE + 1, 0, 0);
    expect(machine.run(NOP, NOP, HLT)).toBe(1);
    const [ip, , flags] = machine.frame(3);
    expect(ip).toBe(BigInt(AT.CODE + 1));
    expect(machine.cpu.registers.dr6 >>> 0).toBe(dr6(1));
    expect(flags! & 2n).toBe(2n);
  });

  test('RF lets the instruction run once', () => {
    machine.cpu.state.systemFlags |= 1 << 16;
    arm(AT.CODE, 0, 0);
    expect(machine.run(NOP, HLT)).toBeUndefined();
  });
});

describe('single steps', () => {
  test('set BS, and leave it set', () => {
    machine.cpu.state.systemFlags |= 1 << 8;
    machine.cpu.contextChanged();
    expect(machine.run(NOP, HLT)).toBe(1);
    expect(machine.cpu.registers.dr6 >>> 0).toBe(dr6(BS));
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 1)]);
  });

  test('with a data breakpoint: both bits in one exception', () => {
    machine.cpu.state.systemFlags |= 1 << 8;
    arm(AT.DATA, 3, 3);
    expect(machine.run(...LOAD, HLT)).toBe(1);
    expect(machine.cpu.registers.dr6 >>> 0).toBe(dr6(BS | 1));
  });
});

describe('access to debug registers', () => {
  test('with DR7.GD is #DB with BD', () => {
    machine.cpu.registers.dr7 = 0x2400;
    expect(machine.run(0x0f, 0x21, 0xc0)).toBe(1);
    expect(machine.cpu.registers.dr6 & (1 << 13)).not.toBe(0);
  });

  test('DR4 is DR6 without CR4.DE, and #UD with it', () => {
    expect(machine.run(0x0f, 0x21, 0xe0, HLT)).toBeUndefined();
    const strict = new X64TestMachine();
    strict.cpu.registers.cr4 |= CR4.DE;
    expect(strict.run(0x0f, 0x21, 0xe0)).toBe(6);
  });

  test('bits above 31 of DR7 are #GP(0)', () => {
    machine.cpu.state.setGpr(GPR.CX, 1n << 40n);
    expect(machine.run(0x0f, 0x23, 0xf9)).toBe(13);
  });
});

describe('behind a load of SS', () => {
  const LOAD_SS = [0x8e, 0xd0]; // mov ss, eax
  const TRAP_FLAG = 0x100;

  test('a single step waits for the next instruction', () => {
    machine.cpu.state.setGpr(GPR.AX, 0x18n);
    machine.cpu.state.systemFlags = TRAP_FLAG;
    machine.cpu.contextChanged();
    expect(machine.run(...LOAD_SS, NOP, NOP, HLT)).toBe(1);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 3)]);
  });

  test.each([
    ['Haswell', undefined],
    ['max', 1],
  ])('an instruction breakpoint counts for AMD only: %s', (model, vector) => {
    machine = new X64TestMachine(model);
    machine.cpu.state.setGpr(GPR.AX, 0x18n);
    arm(AT.CODE + 2, 0, 0);
    expect(machine.run(...LOAD_SS, NOP, HLT)).toBe(vector);
  });

  test('a breakpoint on its data is taken at the handler of an INT3 behind it', () => {
    machine.write64(AT.DATA, 0x18n);
    arm(AT.DATA, 3, 1);
    // mov ss, [DATA]; int3
    expect(machine.run(0x8e, 0x14, 0x25, 0, 0, 2, 0, 0xcc)).toBe(1);
    expect(machine.frame(1)).toEqual([BigInt(AT.HANDLERS + 16 * 3)]);
  });
});

test('SYSCALL traps by the flags that it leaves', () => {
  const { cpu } = machine;
  cpu.registers.efer |= 1;
  cpu.registers.star = 0x10n << 32n;
  cpu.registers.lstar = BigInt(AT.CODE + 0x100);
  cpu.registers.fmask = 0x100;
  cpu.state.systemFlags = 0x100;
  cpu.contextChanged();
  machine.write(AT.CODE + 0x100, NOP, HLT);
  expect(machine.run(0x0f, 0x05)).toBeUndefined();
});

test('RF of an IRET is gone by the time that a breakpoint is set', () => {
  const { cpu } = machine;
  const frame = [AT.CODE + 0x40, 0x10, 0x1_0002, AT.STACK, 0x18];
  frame.forEach((word, i) => machine.write64(AT.STACK - 40 + 8 * i, BigInt(word)));
  cpu.state.setGpr(GPR.SP, BigInt(AT.STACK - 40));
  cpu.state.setGpr(GPR.AX, BigInt(AT.CODE + 0x46));
  cpu.state.setGpr(GPR.BX, 0x401n);
  // mov dr0, rax; mov dr7, rbx; nop
  machine.write(AT.CODE + 0x40, 0x0f, 0x23, 0xc0, 0x0f, 0x23, 0xfb, NOP, HLT);
  expect(machine.run(0x48, 0xcf)).toBe(1);
  expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 0x46)]);
});
