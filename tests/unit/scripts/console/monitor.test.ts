import { describe, expect, test } from 'vitest';

import { runMonitorCommand, type MonitorTarget } from '../../../../scripts/console/monitor.ts';

const RAM = Uint8Array.from({ length: 64 }, (_, i) => i);
const RAM_BASE = 0x4000_0000;

/** A machine with 64 bytes of RAM, mapped at two virtual addresses. */
function fakeTarget() {
  const calls: string[] = [];
  let paused = false;
  const target: MonitorTarget = {
    get paused() {
      return paused;
    },
    guestSeconds: 1.5,
    instructions: 1_500_000_000,
    cpuCount: 2,
    pause: () => void ((paused = true), calls.push('pause')),
    resume: () => void ((paused = false), calls.push('resume')),
    reset: () => void calls.push('reset'),
    quit: () => void calls.push('quit'),
    powerDown: () => void calls.push('powerDown'),
    registers: cpu => [`PC=${cpu}`],
    register: (_, name) => ({ pc: 0xffff_8000_0000_0004n, x0: 5n })[name],
    regions: () => [{ base: 0x900_0000, size: 0x1000, name: 'UART' }],
    readPhysical: (paddr, length) =>
      RAM.subarray(Math.min(64, Math.max(0, paddr - RAM_BASE)), Math.max(0, paddr - RAM_BASE + length)),
    translate: (_, vaddr) => (vaddr >> 32n === 0xffff_8000n ? RAM_BASE + Number(vaddr & 0xffff_ffffn) : undefined),
  };
  return { target, calls };
}

function run(line: string): string[] {
  return runMonitorCommand(fakeTarget().target, line);
}

describe('looking', () => {
  test.each([
    ['info status', ['VM status: running', 'guest time 1.500000 s, 1500000000 instructions']],
    ['info registers', ['CPU#0', 'PC=0', 'CPU#1', 'PC=1']],
    ['info mtree', ['  0000000009000000-0000000009000fff : UART']],
    ['xp/2xw 0x40000000', ['0000000040000000: 0x03020100 0x07060504']],
    ['xp/1xg 0x40000008', ['0000000040000008: 0x0f0e0d0c0b0a0908']],
    [
      'xp/18xb 0x40000000',
      [
        '0000000040000000: 0x00 0x01 0x02 0x03 0x04 0x05 0x06 0x07 0x08 0x09 0x0a 0x0b 0x0c 0x0d 0x0e 0x0f',
        '0000000040000010: 0x10 0x11',
      ],
    ],
    ['x/xw $pc', ['ffff800000000004: 0x07060504']],
    ['x/dh 0xffff800000000000+0x10', ['ffff800000000010: 4368']],
    ['x/2c 0xffff800000000021', ["ffff800000000021: '!' '\"'"]],
    ['x/c 0xffff800000000001', ["ffff800000000001: '\\x01'"]],
    ['xp 0x40000000', ['0000000040000000: 0x03020100']],
    ['', []],
  ])('%s', (line, expected) => {
    expect(run(line)).toEqual(expected);
  });
});

describe('what is wrong is said', () => {
  test.each([
    ['fly', ['unknown command: fly (try help)']],
    ['info weather', ['info weather: there are status, registers, cpus, mtree']],
    ['x/3z 0', ['/3z: not a format (count, then x d u o or c, then b h w or g)']],
    ['x/x', [': not an address (0x…, a number, $register, each with +offset)']],
    ['x/x $nothing', ['$nothing: not an address (0x…, a number, $register, each with +offset)']],
    ['x/x 0x1000', ['cannot access memory at 0x0000000000001000']],
    [
      'xp/4xg 0x40000030',
      ['0000000040000030: 0x3736353433323130 0x3f3e3d3c3b3a3938', 'cannot access memory at 0x0000000040000040'],
    ],
  ])('%s', (line, expected) => {
    expect(run(line)).toEqual(expected);
  });

  test('a huge count ends where memory does', () => {
    expect(run('xp/99999999xb 0x40000000')).toHaveLength(5);
  });
});

test.each([
  ['stop', 'pause'],
  ['cont', 'resume'],
  ['c', 'resume'],
  ['system_reset', 'reset'],
  ['system_powerdown', 'powerDown'],
  ['quit', 'quit'],
  ['q', 'quit'],
])('%s acts', (line, call) => {
  const { target, calls } = fakeTarget();
  expect(runMonitorCommand(target, line)).toEqual([]);
  expect(calls).toEqual([call]);
});

test('stop shows in info status', () => {
  const { target } = fakeTarget();
  runMonitorCommand(target, 'stop');
  expect(runMonitorCommand(target, 'info status')[0]).toBe('VM status: paused');
});
