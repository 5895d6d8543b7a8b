/** Machines as others see them: the same face for every board. */
import { describe, expect, test } from 'vitest';

import { UsageError } from '../../../capture/formats/errors.ts';
import { type BoardChoice, createMachine, type EntryRegisters, type MachineConfig } from '../../../emulator/index.ts';
import { A64, X64 } from '../../support/tiny-kernels.ts';

interface Case {
  readonly board: BoardChoice;
  readonly cpu: string;
  readonly code: Uint8Array;
  readonly entry: EntryRegisters;
  readonly at: number;
  /** A counter that the program counts up, and where it loops. */
  readonly counter: string;
  readonly loop: bigint;
}

const words = (...list: number[]): Uint8Array => new Uint8Array(Uint32Array.from(list).buffer);
/** print h; mov x2, #0; loop: add x2, x2, #1; b loop */
const COUNT_A64 = words(A64.UART, ...A64.PUT_H, 0xd280_0002, 0x9100_0442, 0x17ff_ffff);
/** In 32-bit mode, which needs no page tables. print h; xor %ebx, %ebx; loop: inc %ebx; jmp loop */
const COUNT_X86 = Uint8Array.of(...X64.out(0x3f8, 0x68), 0x31, 0xdb, 0x43, 0xeb, 0xfd);

const ARM: Omit<Case, 'board'> = {
  cpu: 'cortex-a57',
  code: COUNT_A64,
  at: 0x4000_0000,
  entry: { architecture: 'aarch64', pc: 0x4000_0000, x: [0n, 0n, 0n, 0n], exceptionLevel: 1 },
  counter: 'x2',
  loop: 0x4000_0010n,
};
const PC: Omit<Case, 'board'> = {
  cpu: 'qemu64',
  code: COUNT_X86,
  at: 0x10_0000,
  entry: { architecture: 'x86_64', mode: 'protected32', rip: 0x10_0000, rsi: 0, rbx: 0 },
  counter: 'rbx',
  loop: 0x10_0009n,
};
const CASES: readonly (readonly [string, Case])[] = [
  ['virt, GICv3', { ...ARM, board: { type: 'virt', gicVersion: 3, its: true, virtualization: false, seeds: false } }],
  ['virt, GICv2', { ...ARM, board: { type: 'virt', gicVersion: 2, its: false, virtualization: false, seeds: false } }],
  ['q35', { ...PC, board: { type: 'q35' } }],
  ['microvm', { ...PC, board: { type: 'microvm' } }],
];

function start({ board, cpu, code, entry, at }: Case, more: Partial<MachineConfig> = {}) {
  const written: number[] = [];
  const machine = createMachine({
    board,
    cpu,
    cpuCount: 2,
    memoryBytes: 16 * 2 ** 20,
    drives: [],
    serialOutput: byte => void written.push(byte),
    epochSeconds: 0,
    ...more,
  });
  machine.load({ segments: [{ name: 'program', paddr: at, bytes: code, memorySize: code.length }], entry });
  return { machine, written };
}

const US = 1000;

describe.each(CASES)('%s', (_, one) => {
  test('runs until its time is over, and writes to its serial port', async () => {
    const { machine, written } = start(one);
    expect(await machine.run(100 * US)).toEqual({ kind: 'timeout' });
    expect([machine.guestNs >= 100 * US, machine.instructions > 0]).toEqual([true, true]);
    expect(Buffer.from(written).toString()).toBe('h');
    expect(machine.debug.register(0, one.counter)).toBeGreaterThan(1000n);
  });

  test('stops when it is told to', async () => {
    const { machine } = start(one);
    setTimeout(() => machine.stop({ kind: 'interrupted', reason: 'pause' }), 30);
    expect(await machine.run()).toEqual({ kind: 'interrupted', reason: 'pause' });
  });

  test('steps, and stops at breakpoints', async () => {
    const { machine } = start(one);
    const hits: number[] = [];
    machine.onBreakpoint = cpu => {
      hits.push(cpu);
      machine.stop({ kind: 'interrupted', reason: 'breakpoint' });
    };
    machine.debug.addBreakpoint(one.loop);
    await machine.run();
    expect([hits, machine.debug.register(0, 'pc')]).toEqual([[0], one.loop]);
    const before = machine.instructions;
    machine.step(0);
    machine.step(0);
    expect([machine.instructions - before, machine.debug.register(0, one.counter)]).toEqual([2, 1n]);
  });

  test('goes back to a snapshot, and does the same again', async () => {
    const { machine } = start(one);
    await machine.run(50 * US);
    const snapshot = machine.takeSnapshot();
    const moment = () => [machine.guestNs, machine.instructions, machine.debug.register(0, one.counter)];
    await machine.run(90 * US);
    machine.memory.write(one.at + 0x1000, Uint8Array.of(1, 2, 3));
    const first = moment();
    machine.restoreSnapshot(snapshot);
    expect(machine.memory.read(one.at + 0x1000, 3)).toEqual(new Uint8Array(3));
    await machine.run(90 * US);
    expect(moment()).toEqual(first);
  });

  test('boots again what was loaded after a reset', async () => {
    const { machine, written } = start(one);
    await machine.run(50 * US);
    machine.reset();
    await machine.run(machine.guestNs + 50 * US);
    expect(Buffer.from(written).toString()).toBe('hh');
  });

  test('tells what it is made of', () => {
    const { machine } = start(one);
    expect(machine.loaded.map(({ name }) => name)).toEqual(['program']);
    const ram = machine.regions.filter(({ name }) => name === 'ram').reduce((sum, { size }) => sum + size, 0);
    expect(ram).toBe(machine.memory.ranges.reduce((sum, { size }) => sum + size, 0));
    expect(machine.pci.length > 0).toBe(one.board.type !== 'microvm');
    expect(machine.debug.cpuCount).toBe(2);
  });

  test('finds a break and characters on its serial port', () => {
    const { machine } = start(one);
    machine.serial.receive(Buffer.from('a'));
    machine.serial.receiveBreak();
    const port = machine.regions.find(({ name }) => /^(pl011|ns16550)$/.test(name))!;
    const { fifo, wire } = port.state() as { readonly fifo: readonly number[]; readonly wire: readonly number[] };
    expect([...fifo, ...wire]).toHaveLength(2);
  });
});

test.each([
  ['virt', CASES[0]![1], { devices: [{ type: 'pvpanic-isa', report: () => undefined }] }, /virt has no ISA bus/],
  ['q35', CASES[2]![1], { devices: [{ type: 'rng', bus: 'mmio' }] }, /q35 has no virtio-mmio bus/],
  ['microvm', CASES[3]![1], { devices: [{ type: 'rng', bus: 'pci' }] }, /microvm has no PCI bus/],
  ['microvm', CASES[3]![1], { devices: [{ type: 'pvpanic', report: () => undefined }] }, /microvm has no PCI bus/],
] as const)('%s refuses what has no place on it', (_, one, config, message) => {
  expect(() => start(one, config)).toThrow(UsageError);
  expect(() => start(one, config)).toThrow(message);
});
