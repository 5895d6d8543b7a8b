import { describe, expect, test } from 'vitest';
import { GPR } from '../../../../../emulator/cpu/x64/state.ts';
import { AT, X64TestMachine } from '../../../../support/x64-machine.ts';

const NOP = 0x90;
const HLT = 0xf4;
const UD2 = [0x0f, 0x0b];

/** Source: Intel SDM vol. 3A "Handling Self- and Cross-Modifying Code": on one processor a store is seen by the instructions behind it. */
describe('code that changes itself', () => {
  test('a store into the next instruction of the block is executed', () => {
    const machine = new X64TestMachine();
    // mov byte [rip + 2], 7; add eax, 1 (its immediate becomes 7); hlt
    machine.run(0xc6, 0x05, 0x02, 0, 0, 0, 7, 0x83, 0xc0, 1, HLT);
    expect(machine.cpu.state.gpr(GPR.AX)).toBe(7n);
  });

  test('a push into the next instruction is executed, and moves the stack pointer once', () => {
    const machine = new X64TestMachine();
    machine.cpu.state.setGpr(GPR.AX, 0x9090_9090_9090_9090n);
    machine.cpu.state.setGpr(GPR.SP, BigInt(AT.CODE + 9));
    expect(machine.run(0x50, ...UD2, ...UD2, ...UD2, ...UD2, HLT)).toBeUndefined();
    expect(machine.cpu.state.gpr(GPR.SP)).toBe(BigInt(AT.CODE + 1));
    expect(Number(machine.cpu.engine.pc)).toBe(AT.CODE + 10);
  });

  test('a read-modify-write of the next instruction happens once', () => {
    const machine = new X64TestMachine();
    // add byte [rip + 2], 5; mov al, 2 (becomes 7); hlt
    machine.run(0x80, 0x05, 0x01, 0, 0, 0, 5, 0xb0, 2, HLT);
    expect(machine.cpu.state.gpr(GPR.AX)).toBe(7n);
  });

  test('a store over the end of the page changes the code of both pages', () => {
    const machine = new X64TestMachine();
    const start = 0x1000 - 11;
    machine.cpu.engine.pc = BigInt(AT.CODE + start);
    // mov dword [rip], NOPs; two UD2 over the end of the page; hlt
    machine.write(AT.CODE + start, 0xc7, 0x05, 0, 0, 0, 0, NOP, NOP, NOP, NOP, ...UD2, ...UD2, HLT);
    machine.run();
    expect(Number(machine.cpu.engine.pc)).toBe(AT.CODE + start + 15);
  });

  test('REP STOS over the instructions behind it', () => {
    const machine = new X64TestMachine();
    const { state } = machine.cpu;
    state.setGpr(GPR.AX, BigInt(NOP));
    state.setGpr(GPR.CX, 4n);
    state.setGpr(GPR.DI, BigInt(AT.CODE + 2));
    expect(machine.run(0xf3, 0xaa, ...UD2, ...UD2, HLT)).toBeUndefined();
    expect(Number(machine.cpu.engine.pc)).toBe(AT.CODE + 7);
    expect(state.gpr(GPR.CX)).toBe(0n);
  });

  test('compiled code notices a store into its own loop at once', () => {
    const machine = new X64TestMachine();
    const { state } = machine.cpu;
    state.setGpr(GPR.CX, 200n);
    state.setGpr(GPR.BX, BigInt(AT.DATA));
    state.setGpr(GPR.SI, BigInt(AT.CODE + 14));
    state.setGpr(GPR.AX, 0n);
    const loop = [
      [0x48, 0x89, 0xf7], // mov rdi, rsi (the immediate of add)
      [0x83, 0xf9, 50], // cmp ecx, 50
      [0x48, 0x0f, 0x45, 0xfb], // cmovne rdi, rbx (harmless)
      [0x88, 0x0f], // mov [rdi], cl
      [0x83, 0xc0, 1], // add eax, 1: 50 from there on
      [0xff, 0xc9, 0x75, 0xed], // dec ecx; jnz loop
    ];
    machine.run(...loop.flat(), HLT);
    expect(state.gpr(GPR.AX)).toBe(150n + 50n * 50n);
  });
});

describe('a debugger', () => {
  test('steps one instruction', () => {
    const machine = new X64TestMachine();
    machine.write(AT.CODE, NOP, 0x48, 0xff, 0xc0, NOP);
    const pcs = [1, 2, 3].map(() => {
      machine.engine.step(machine.engine.cpus[0]!);
      return Number(machine.cpu.engine.pc) - AT.CODE;
    });
    expect(pcs).toEqual([1, 4, 5]);
    expect(machine.engine.retired).toBe(3);
  });

  test('steps one element of a repeated string instruction', () => {
    const machine = new X64TestMachine();
    machine.write(AT.CODE, 0xf3, 0xaa, NOP);
    machine.cpu.state.setGpr(GPR.CX, 2n);
    machine.cpu.state.setGpr(GPR.DI, BigInt(AT.DATA));
    const steps = [1, 2, 3].map(() => {
      machine.engine.step(machine.engine.cpus[0]!);
      return [Number(machine.cpu.engine.pc) - AT.CODE, machine.cpu.state.gpr(GPR.CX)];
    });
    expect(steps).toEqual([
      [0, 1n],
      [2, 0n],
      [3, 0n],
    ]);
  });

  test('stops before the instruction with a breakpoint, in the middle of a hot block', () => {
    const machine = new X64TestMachine();
    const stops: number[] = [];
    const { breakpoints } = machine.engine.code;
    breakpoints.hit = () => void stops.push(Number(machine.cpu.engine.pc) - AT.CODE);
    breakpoints.add(BigInt(AT.CODE + 7));
    machine.write(AT.CODE, 0xb9, 0x03, 0, 0, 0, NOP, NOP, NOP, HLT);
    machine.engine.runSlice(machine.engine.cpus[0]!, 1000);
    expect(stops).toEqual([7]);
    expect(machine.cpu.state.gpr(GPR.CX)).toBe(3n);
  });
});
