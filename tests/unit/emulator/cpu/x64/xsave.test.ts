import { beforeEach, describe, expect, test } from 'vitest';
import { GPR, X64_STATE } from '../../../../../emulator/cpu/x64/state.ts';
import { CR4, XCR0 } from '../../../../../emulator/cpu/x64/system/control-bits.ts';
import { AT, X64TestMachine } from '../../../../support/x64-machine.ts';

const HLT = 0xf4;
/** Offsets in the XSAVE area. Source: Intel SDM vol. 1 "Managing State Using the XSAVE Feature Set". */
const AREA = { MXCSR: 24, XMM0: 160, XSTATE_BV: 512, YMM0_HIGH: 576 } as const;
/** Operand [rbx]. */
const XSAVE = [0x0f, 0xae, 0x23];
const XRSTOR = [0x0f, 0xae, 0x2b];
const XSAVEOPT = [0x0f, 0xae, 0x33];
/** vaddps ymm0, ymm0, ymm0 */
const VADDPS = [0xc5, 0xfc, 0x58, 0xc0];

let machine: X64TestMachine;

function setVector(number: number, low: bigint, high: bigint): void {
  const { state } = machine.cpu;
  const { view, base } = machine.cpu.engine;
  view.setBigUint64(base + X64_STATE.xmm[number]!.offset, low, true);
  view.setBigUint64(base + X64_STATE.ymmHigh[number]!.offset, high, true);
  state.setGpr(GPR.BX, BigInt(AT.DATA));
}

function vector(number: number): readonly [low: bigint, high: bigint] {
  const { view, base } = machine.cpu.engine;
  return [
    view.getBigUint64(base + X64_STATE.xmm[number]!.offset, true),
    view.getBigUint64(base + X64_STATE.ymmHigh[number]!.offset, true),
  ];
}

beforeEach(() => {
  machine = new X64TestMachine('max');
  const { registers } = machine.cpu;
  registers.cr4 |= CR4.OSFXSR | CR4.OSXSAVE;
  registers.xcr0 = XCR0.X87 | XCR0.SSE | XCR0.YMM;
  machine.cpu.contextChanged();
  machine.cpu.state.setGpr(GPR.BX, BigInt(AT.DATA));
  machine.cpu.state.setGpr(GPR.AX, 7n);
});

describe('CPUID leaf 0xD', () => {
  function leaf(subleaf: bigint): readonly bigint[] {
    const { state } = machine.cpu;
    state.setGpr(GPR.AX, 0xdn);
    state.setGpr(GPR.CX, subleaf);
    machine.run(0x0f, 0xa2, HLT);
    return [GPR.AX, GPR.BX, GPR.CX, GPR.DX].map(number => state.gpr(number));
  }

  test('gives the size of the enabled components, and of all', () => {
    expect(leaf(0n)).toEqual([0x207n, 832n, 2696n, 0n]);
  });

  test('has the upper halves of YMM behind the header', () => {
    expect(leaf(2n)).toEqual([256n, 576n, 0n, 0n]);
  });

  test('has PKRU where QEMU has it', () => {
    expect(leaf(9n)).toEqual([8n, 0xa80n, 0n, 0n]);
  });
});

describe('XSAVE and XRSTOR of the YMM state', () => {
  test.each([
    ['XSAVE', XSAVE],
    ['XSAVEOPT', XSAVEOPT],
  ])('%s writes both halves and says so in XSTATE_BV', (_name, code) => {
    setVector(0, 0x1111n, 0x2222n);
    machine.run(...code, HLT);
    expect(machine.read64(AT.DATA + AREA.XMM0)).toBe(0x1111n);
    expect(machine.read64(AT.DATA + AREA.YMM0_HIGH)).toBe(0x2222n);
    expect(machine.read64(AT.DATA + AREA.XSTATE_BV)).toBe(7n);
    expect(machine.read64(AT.DATA + AREA.MXCSR) & 0xffff_ffffn).toBe(0x1f80n);
  });

  test('only what EDX:EAX asks for is saved', () => {
    setVector(0, 0x1111n, 0x2222n);
    machine.cpu.state.setGpr(GPR.AX, 4n);
    machine.run(...XSAVE, HLT);
    expect(machine.read64(AT.DATA + AREA.XMM0)).toBe(0n);
    expect(machine.read64(AT.DATA + AREA.YMM0_HIGH)).toBe(0x2222n);
    expect(machine.read64(AT.DATA + AREA.XSTATE_BV)).toBe(4n);
  });

  test('components that are not in the area get their initial state', () => {
    setVector(0, 0x1111n, 0x2222n);
    machine.write64(AT.DATA + AREA.XSTATE_BV, 2n);
    machine.write64(AT.DATA + AREA.XMM0, 0x3333n);
    machine.write64(AT.DATA + AREA.MXCSR, 0x1f80n);
    machine.run(...XRSTOR, HLT);
    expect(vector(0)).toEqual([0x3333n, 0n]);
  });

  test('a component that XCR0 has not is #GP', () => {
    machine.write64(AT.DATA + AREA.XSTATE_BV, 8n);
    expect(machine.run(...XRSTOR, HLT)).toBe(13);
  });

  test('an area that is no multiple of 64 is #GP', () => {
    machine.cpu.state.setGpr(GPR.BX, BigInt(AT.DATA + 32));
    expect(machine.run(...XSAVE, HLT)).toBe(13);
  });

  test('without CR4.OSXSAVE it is #UD', () => {
    machine.cpu.registers.cr4 &= ~CR4.OSXSAVE;
    machine.cpu.contextChanged();
    expect(machine.run(...XSAVE, HLT)).toBe(6);
  });
});

describe('pointers to the last x87 instruction', () => {
  test('FXSAVE has opcode, instruction and operand of the last one that is no control instruction', () => {
    machine.cpu.state.setGpr(GPR.DX, BigInt(AT.DATA + 0x400));
    // fld1; fadd qword [rdx]; fnclex; fxsave64 [rbx]
    machine.run(0xd9, 0xe8, 0xdc, 0x02, 0xdb, 0xe2, 0x48, 0x0f, 0xae, 0x03, HLT);
    expect(machine.read64(AT.DATA) >> 48n).toBe(0x402n);
    expect(machine.read64(AT.DATA + 8)).toBe(BigInt(AT.CODE + 2));
    expect(machine.read64(AT.DATA + 16)).toBe(BigInt(AT.DATA + 0x400));
  });
});

describe('AVX', () => {
  test.each([
    ['is #UD without the YMM state in XCR0', XCR0.X87 | XCR0.SSE, 6],
    ['executes with it', XCR0.X87 | XCR0.SSE | XCR0.YMM, undefined],
  ])('%s', (_name, xcr0, vectorNumber) => {
    machine.cpu.registers.xcr0 = xcr0;
    machine.cpu.contextChanged();
    expect(machine.run(...VADDPS, HLT)).toBe(vectorNumber);
  });

  test('is #NM with CR0.TS', () => {
    machine.cpu.registers.cr0 |= 8;
    machine.cpu.contextChanged();
    expect(machine.run(...VADDPS, HLT)).toBe(7);
  });

  test('an instruction of SSE leaves the upper half, one of AVX clears it', () => {
    setVector(0, 1n, 2n);
    setVector(1, 3n, 4n);
    // paddq xmm0, xmm0; vpaddq xmm1, xmm1, xmm1
    machine.run(0x66, 0x0f, 0xd4, 0xc0, 0xc5, 0xf1, 0xd4, 0xc9, HLT);
    expect([vector(0), vector(1)]).toEqual([
      [2n, 2n],
      [6n, 0n],
    ]);
  });

  test('a store over an unwritable page writes nothing', () => {
    machine.mapPage(AT.DATA + 0x1000, BigInt(AT.DATA + 0x1000) | 5n);
    setVector(0, 0x1111n, 0x2222n);
    machine.cpu.registers.cr0 |= 1 << 16;
    machine.cpu.translationChanged();
    machine.cpu.state.setGpr(GPR.BX, BigInt(AT.DATA + 0x1000 - 16));
    // vmovdqu [rbx], ymm0
    expect(machine.run(0xc5, 0xfe, 0x7f, 0x03)).toBe(14);
    expect(machine.read64(AT.DATA + 0x1000 - 16)).toBe(0n);
  });

  test('vmovdqa demands 32 bytes of alignment', () => {
    machine.cpu.state.setGpr(GPR.BX, BigInt(AT.DATA + 16));
    expect(machine.run(0xc5, 0xfd, 0x6f, 0x03)).toBe(13);
  });

  test('a gather that faults keeps what it has, and clears the masks of that', () => {
    machine.mapPage(AT.DATA + 0x1000, 0n);
    machine.write64(AT.DATA, 0x7777n);
    setVector(0, 0n, 0n);
    setVector(2, 0x0000_1000_0000_0000n, 0n);
    setVector(1, 0xffff_ffff_ffff_ffffn, 0n);
    // vpgatherdd xmm0, [rbx + xmm2], xmm1
    expect(machine.run(0xc4, 0xe2, 0x71, 0x90, 0x04, 0x13)).toBe(14);
    expect(vector(0)[0]).toBe(0x7777n);
    expect(vector(1)[0]).toBe(0xffff_ffff_0000_0000n);
  });

  test('masked elements touch no memory', () => {
    machine.mapPage(AT.DATA, 0n);
    setVector(1, 0x7fff_ffff_7fff_ffffn, 0n);
    // vmaskmovps xmm0, xmm1, [rbx]
    expect(machine.run(0xc4, 0xe2, 0x71, 0x2c, 0x03, HLT)).toBeUndefined();
  });
});
