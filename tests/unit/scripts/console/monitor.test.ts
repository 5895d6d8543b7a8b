import { mkdtempSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { openDump } from '../../../../capture/sources/dump-file.ts';
import { GuestDumper } from '../../../../scripts/console/guest-dump.ts';
import { machineState, pageContents } from '../../../support/synthetic-dump.ts';
import { runMonitorCommand, type MonitorAnswer, type MonitorTarget } from '../../../../scripts/console/monitor.ts';

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
    dumper: new GuestDumper({
      get paused() {
        return paused;
      },
      pause: () => target.pause(),
      resume: () => target.resume(),
      machineState,
    }),
  };
  return { target, calls };
}

function run(line: string): MonitorAnswer {
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
    ['info weather', ['info weather: there are status, registers, cpus, mtree, dump']],
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
  void runMonitorCommand(target, 'stop');
  expect(runMonitorCommand(target, 'info status')).toContain('VM status: paused');
});

describe('dump-guest-memory', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test.each([
    ['', 'ELF', false, 'none'],
    ['-p ', 'ELF', false, 'none'],
    ['-z ', 'kdump-compressed', true, 'zlib'],
    ['-l -R ', 'kdump-compressed', false, 'lzo'],
    ['-s ', 'kdump-compressed', true, 'snappy'],
  ])('writes what QEMU writes with "%s"', async (options, format, flattened) => {
    const { target, calls } = fakeTarget();
    const file = join(folder, 'memory');
    const answer = await runMonitorCommand(target, `dump-guest-memory ${options}${file}`);
    expect(answer).toEqual(['Warning: no VMCOREINFO in the memory of the machine']);
    expect(calls).toEqual(['pause', 'resume']);
    using dump = openDump([file]);
    expect([dump.format, dump.flattened]).toEqual([format, flattened]);
    expect(Buffer.compare(dump.memory.readPage(105), pageContents(105))).toBe(0);
    expect(runMonitorCommand(target, 'info dump')).toEqual(['Status: completed']);
  });

  test('leaves a machine that was stopped as it is', async () => {
    const { target, calls } = fakeTarget();
    void runMonitorCommand(target, 'stop');
    await runMonitorCommand(target, `dump-guest-memory ${join(folder, 'memory')}`);
    expect(calls.at(-1)).toBe('pause');
  });

  test('writes only the range that is asked for', async () => {
    const { target } = fakeTarget();
    const file = join(folder, 'memory');
    await runMonitorCommand(target, `dump-guest-memory ${file} 0x64000 0x2000`);
    using dump = openDump([file]);
    expect([99, 100, 101, 102].map(pfn => dump.memory.hasPage(pfn))).toEqual([false, true, true, false]);
  });

  test('does not let the machine go on before it is done', async () => {
    const { target } = fakeTarget();
    expect(await runMonitorCommand(target, `dump-guest-memory -d ${join(folder, 'memory')}`)).toEqual([]);
    expect(runMonitorCommand(target, 'info dump')).toContain('Status: active');
    expect(runMonitorCommand(target, 'cont')).toEqual(['Error: There is a dump in process, please wait.']);
    while (target.dumper.isActive) await new Promise(resolve => setImmediate(resolve));
    expect(runMonitorCommand(target, 'info dump')).toEqual(['Status: completed']);
  });

  test.each([
    ['-w FILE', 'Error: not implemented: win-dmp: a crash dump of a Windows guest'],
    ['-y FILE', 'Error: dump-guest-memory: -y is no option of it'],
    ['-z -l FILE', 'Error: dump-guest-memory: only one of -z, -l and -s can be given'],
    ['-z -p FILE', "Error: kdump-compressed format doesn't support paging or filter"],
    ['', 'Error: dump-guest-memory: [-p] [-d] [-z|-l|-s] [-R] FILE [BEGIN LENGTH]'],
    ['FILE 0x1000', 'Error: dump-guest-memory: 0x1000 : not a physical address and a length in bytes'],
    ['FILE 0x100000000 4096', 'Error: dump: no memory of the machine is in the range'],
  ])('refuses %s', async (args, message) => {
    const { target } = fakeTarget();
    const file = join(folder, 'memory');
    expect(await runMonitorCommand(target, `dump-guest-memory ${args.replace('FILE', file)}`)).toEqual([message]);
    expect(existsSync(file)).toBe(false);
  });
});
