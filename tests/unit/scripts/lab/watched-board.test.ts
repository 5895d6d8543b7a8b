/** Where a host call goes in a function: bytes are those of Debian's kernels. */
import { describe, expect, test } from 'vitest';
import { PcBoard } from '../../../../emulator/machine/pc-x86_64/board.ts';
import { VirtBoard } from '../../../../emulator/machine/virt-aarch64/board.ts';
import { KernelProbes } from '../../../../scripts/lab/kernel-probes.ts';
import { watchPc, watchVirt } from '../../../../scripts/lab/watched-board.ts';

const SHARED = { cpuCount: 1, memoryBytes: 16 * 2 ** 20, drives: [], consoleOutput: () => undefined, epochSeconds: 0 };

function virt() {
  return new VirtBoard({
    ...SHARED,
    cpu: 'cortex-a57',
    gicVersion: 3,
    its: false,
    virtualization: false,
    seeds: false,
  });
}

function bytes(hex: string): Uint8Array {
  return Buffer.concat([Buffer.from(hex, 'hex'), Buffer.alloc(16)]).subarray(0, 16);
}

describe('on x86_64', () => {
  const { probe } = watchPc(new PcBoard({ ...SHARED, board: 'q35', cpu: 'qemu64' }));

  test.each<[what: string, code: string, offset: number, skip: number]>([
    ["ftrace's no-operation", '0f1f440000 4154 55', 0, 5],
    ['a landing pad before it', 'f30f1efa 0f1f440000 55', 4, 5],
    ['a sealed landing pad before it', '0f1f4000 0f1f440000 55', 4, 5],
    ['a function that is not traced', '55 4889e5 4157', 0, 0],
    ['a landing pad alone', 'f30f1efa 55', 4, 0],
  ])('%s', (_, code, offset, skip) => {
    expect(probe.findSite(bytes(code.replaceAll(' ', '')))).toEqual({ offset, skip });
  });
});

describe('on arm64', () => {
  const { probe } = watchVirt(virt(), 1);

  test.each<[what: string, code: string, offset: number, skip: number]>([
    // mov x9, x30; nop
    ['the second of the two that ftrace patches', 'e9031eaa1f2003d5', 4, 4],
    // nop; stp x29, x30, [sp, #-32]!
    ['a no-operation', '1f2003d5fd7bbea9', 0, 4],
    ['a function that is not traced', 'fd7bbea9fd030091', 0, 0],
  ])('%s', (_, code, offset, skip) => {
    expect(probe.findSite(bytes(code))).toEqual({ offset, skip });
  });

  test('a probe with two handlers asks both, and what one takes nobody goes on with', async () => {
    const board = virt();
    const watched = watchVirt(board, 1);
    const probes = new KernelProbes(watched);
    const seen: string[] = [];
    const at = 0x4000_1000;
    // nop; b .
    board.memory.ramSlice(at, 8).set(Buffer.from('1f2003d500000014', 'hex'));
    probes.plantAtFunction(at, () => {
      seen.push('trace');
      return 'continue';
    });
    probes.plantAtFunction(at, cpu => {
      seen.push('host');
      cpu.powerOff();
      board.machine.stop({ kind: 'interrupted', reason: 'taken' });
      return 'stay';
    });
    board.cpus[0]!.start(BigInt(at), [0n, 0n, 0n, 0n], 1);
    expect(await board.machine.run(1e6)).toEqual({ kind: 'interrupted', reason: 'taken' });
    expect(seen).toEqual(['trace', 'host']);
    expect(watched.cpus[0]!.pc).toBe(BigInt(at));
    probes.removeAll();
    expect(Buffer.from(board.memory.ramSlice(at, 4)).toString('hex')).toBe('1f2003d5');
  });
});
