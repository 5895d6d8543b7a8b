/** The monitor on real machines without a kernel. What memory and numbers look like was recorded from QEMU 7.2's monitor. */
import { mkdtempSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { openDump } from '../../../../capture/sources/dump-file.ts';
import {
  type BoardChoice,
  createMachine,
  type ExtraDevice,
  parseMac,
  UserNetwork,
} from '../../../../emulator/index.ts';
import { GuestDumper } from '../../../../scripts/console/guest-dump.ts';
import {
  completeMonitorLine,
  runMonitorCommand,
  type MonitorAnswer,
  type MonitorTarget,
} from '../../../../scripts/console/monitor.ts';
import { machineState, pageContents } from '../../../support/synthetic-dump.ts';

const MIB = 2 ** 20;
const VIRT: BoardChoice = { type: 'virt', gicVersion: 3, its: false, virtualization: false, seeds: false };
/** 0 to 63, eight times 0xff, then characters. */
const BYTES = Buffer.concat([
  Uint8Array.from({ length: 64 }, (_, i) => i),
  Buffer.alloc(8, 0xff),
  Buffer.from("A'\\\n\r\x07z~", 'latin1'),
]);
const RAM = { virt: 0x4000_0000, q35: 0x0010_0000, microvm: 0x0010_0000 } as const;

/** A machine that stands, with bytes at the start of its RAM, and a record of what the monitor wants of the session. */
function fakeTarget(board: BoardChoice = VIRT, devices: readonly ExtraDevice[] = []) {
  const calls: string[] = [];
  let state = 'running';
  const machine = createMachine({
    board,
    cpu: board.type === 'virt' ? 'cortex-a57' : 'qemu64',
    cpuCount: 2,
    memoryBytes: 2 * MIB,
    drives: [],
    devices,
    serialOutput: () => undefined,
    epochSeconds: 0,
  });
  machine.memory.write(RAM[board.type], BYTES);
  let snapshot: MonitorTarget['snapshot'];
  const target: MonitorTarget = {
    machine,
    get state() {
      return state;
    },
    get paused() {
      return state !== 'running';
    },
    guestSeconds: 1.5,
    pause: () => void ((state = 'paused'), calls.push('pause')),
    resume: () => {
      if (state === 'shutdown') return false;
      state = 'running';
      calls.push('resume');
      return true;
    },
    reset: () => void calls.push('reset'),
    quit: () => void calls.push('quit'),
    powerDown: () => {
      state = 'shutdown';
      calls.push('powerDown');
    },
    dumper: new GuestDumper({
      get paused() {
        return target.paused;
      },
      pause: () => target.pause(),
      resume: () => void target.resume(),
      machineState,
    }),
    disks: [
      { option: { id: 'hd0', file: 'disk.img', readOnly: false, snapshot: false } },
      { option: { id: 'hd1', file: 'other.img', readOnly: true, snapshot: true } },
    ],
    characterDevices: [{ name: 'serial0', place: 'mux' }],
    get snapshot() {
      return snapshot;
    },
    saveSnapshot: name => void (snapshot = { name, taken: new Date('2026-01-02T03:04:05Z'), guestSeconds: 1.5 }),
    loadSnapshot: name => (calls.push(`load ${name}`), snapshot?.name === name),
    forgetSnapshot: () => (snapshot = undefined),
  };
  return { target, calls };
}

const { target: shared } = fakeTarget();

/** Runs lines one after the other on a machine that nothing changes. @returns the answer to the last one */
function run(...lines: string[]): MonitorAnswer {
  // Format and size last from one command to the next.
  const target = Object.create(shared) as MonitorTarget;
  return lines.map(line => runMonitorCommand(target, line)).at(-1)!;
}

describe('memory looks as in QEMU', () => {
  test.each([
    ['xp/2xw 0x40000000', ['0000000040000000: 0x03020100 0x07060504']],
    ['xp/1xg 0x40000008', ['0000000040000008: 0x0f0e0d0c0b0a0908']],
    [
      'xp/18xb 0x40000000',
      [
        '0000000040000000: 0x00 0x01 0x02 0x03 0x04 0x05 0x06 0x07',
        '0000000040000008: 0x08 0x09 0x0a 0x0b 0x0c 0x0d 0x0e 0x0f',
        '0000000040000010: 0x10 0x11',
      ],
    ],
    ['xp/2dh 0x40000010', ['0000000040000010:  4368  4882']],
    ['xp/3dw 0x40000040', ['0000000040000040: 4294967295 4294967295  173811521']],
    ['xp/3uw 0x40000038', ['0000000040000038:  993671480 1061043516 4294967295']],
    ['xp/4ob 0x4000003c', ['000000004000003c: 074 075 076 077']],
    ['xp/3ow 0x40000000', ['0000000040000000:  0300400400  0701402404 01302404410']],
    ['xp/1dg 0x40000040', ['0000000040000040:                   -1']],
    ['xp/1ug 0x40000040', ['0000000040000040: 18446744073709551615']],
    ['xp/8cb 0x40000048', [String.raw`0000000040000048: 'A' '\'' '\\' '\n' '\r' '\x07' 'z' '~'`]],
    ['x/2xh 0x40000002', ['0000000040000002: 0x0302 0x0504']],
    ['x/x $pc+0x40000000', ['0000000040000000: 0x03020100']],
  ])('%s', (line, expected) => {
    expect(run(line)).toEqual(expected);
  });

  test('a format stays until another one is given', () => {
    expect(run('xp/xb 0x40000003', 'xp 0x40000004')).toEqual(['0000000040000004: 0x04']);
  });
});

describe('numbers', () => {
  test.each([
    ['print/x 2+3*4', '0xe'],
    ['print/x 1|2+4', '0x7'],
    ['print/d 7&5*3', '7'],
    ['print/o 8', '010'],
    ['print/c 65', "'A'"],
    ['print/u -1', '18446744073709551615'],
    ['print/d -1', '-1'],
    ['print/d ~0', '-1'],
    ['print/d (1+2)*3', '9'],
    ['print/d 10 % 3', '1'],
    ['p/x $sp', '0x0'],
  ])('%s is %s', (line, expected) => {
    expect(run(line)).toEqual([expected]);
  });
});

describe('instructions', () => {
  test('of arm64', async () => {
    const { target } = fakeTarget();
    // add x0, x0, #1; b .-4
    target.machine.memory.write(0x4000_0100, Buffer.from(Uint32Array.of(0x9100_0400, 0x17ff_ffff).buffer));
    expect(await runMonitorCommand(target, 'xp/2i 0x40000100')).toEqual([
      '0x40000100:  91000400  add      x0, x0, #0x1',
      '0x40000104:  17ffffff  b        0x40000100',
    ]);
  });

  test('of x86_64', async () => {
    const { target } = fakeTarget({ type: 'q35' });
    // mov %rsp,%rbp; nop; hlt
    target.machine.memory.write(0x10_0000, Uint8Array.of(0x48, 0x89, 0xe5, 0x90, 0xf4));
    expect(await runMonitorCommand(target, 'xp/3i 0x100000')).toEqual([
      '0x00100000:  48 89 e5                 mov      %rsp,%rbp',
      '0x00100003:  90                       nop',
      '0x00100004:  f4                       hlt',
    ]);
  });
});

describe('info', () => {
  test('status', () => {
    expect(run('info status')).toEqual(['VM status: running', 'guest time 1.500000 s, 0 instructions']);
  });

  test('registers are those of the chosen CPU, or of all', () => {
    const first = run('info registers') as string[];
    expect(first.slice(0, 2)).toEqual(['CPU#0', ' PC=0000000000000000 X00=0000000000000000 X01=0000000000000000']);
    expect(first[11]).toBe('X29=0000000000000000 X30=0000000000000000  SP=0000000000000000');
    expect(first[12]).toMatch(/^PSTATE=[0-9a-f]{8} [-N][-Z][-C][-V] EL\d[th]$/);
    expect((run('cpu 1', 'info registers') as string[])[0]).toBe('CPU#1');
    expect((run('info registers -a') as string[]).filter(line => line.startsWith('CPU#'))).toEqual(['CPU#0', 'CPU#1']);
  });

  test('registers of x86_64 have their segments and tables', () => {
    const { target } = fakeTarget({ type: 'q35' });
    const lines = runMonitorCommand(target, 'info registers') as string[];
    for (const line of [
      'RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000623',
      'CS =f000 00000000ffff0000 0000ffff 00009b00 DPL=0',
      'GDT=     0000000000000000 0000ffff',
      'CR0=60000010 CR2=0000000000000000 CR3=0000000000000000 CR4=00000000',
      'DR6=00000000ffff0ff0 DR7=0000000000000400',
      'EFER=0000000000000000',
    ])
      expect(lines.map(found => found.replace(/RDX=.*/, 'RDX=0000000000000623'))).toContain(line);
  });

  test('mtree has RAM, devices, and on PCs the ports', () => {
    const virt = run('info mtree') as string[];
    expect(virt[0]).toBe('address-space: memory');
    expect(virt).toContain('    0000000009000000-0000000009000fff (prio 0, i/o): pl011');
    expect(virt).toContain('    0000000040000000-00000000401fffff (prio 0, ram): ram');
    const q35 = runMonitorCommand(fakeTarget({ type: 'q35' }).target, 'info mtree') as string[];
    expect(q35).toContain('address-space: I/O');
    expect(q35).toContain('    00000000000003f8-00000000000003ff (prio 0, i/o): ns16550');
  });

  test('network lists cards with what they are plugged into', () => {
    expect(run('info network')).toEqual([]);
    using network = new UserNetwork(undefined, 'n0');
    const { target } = fakeTarget(VIRT, [{ type: 'net', bus: 'pci', mac: parseMac('52:54:00:12:34:56'), network }]);
    expect(runMonitorCommand(target, 'info network')).toEqual([
      'virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56',
      ' \\ n0: index=0,type=user,net=10.0.2.0,restrict=off',
    ]);
  });

  test('pci lists functions as QEMU does', () => {
    expect((run('info pci') as string[]).slice(0, 4)).toEqual([
      '  Bus  0, device   0, function 0:',
      '    Host bridge: PCI device 1b36:0008',
      '      PCI subsystem 1af4:1100',
      '      id ""',
    ]);
    expect(runMonitorCommand(fakeTarget({ type: 'microvm' }).target, 'info pci')).toEqual(['there is no PCI bus']);
  });

  test('pic and lapic of a PC after reset', () => {
    const { target } = fakeTarget({ type: 'q35' });
    const pic = runMonitorCommand(target, 'info pic') as string[];
    expect(pic).toContain('  pin 0  0x0000000000010000 dest=0   vec=0    active-hi edge  masked fixed  physical');
    expect(pic).toContain('pic0: irr=00 imr=00 isr=00 hprio=0 irq_base=00 rr_sel=0 elcr=00');
    const lapic = runMonitorCommand(target, 'info lapic 1') as string[];
    expect(lapic[0]).toBe('dumping local APIC state for CPU 1');
    expect(lapic).toContain('SPIV     0x000000ff APIC disabled, focus=off, spurious vec 255');
    expect(runMonitorCommand(target, 'info lapic 9')).toEqual(['there is no local APIC 9']);
    expect(run('info lapic')).toEqual(['there are no local APICs']);
  });

  test('mem and tlb say that paging is off', () => {
    expect([run('info mem'), run('info tlb')]).toEqual([['PG disabled'], ['PG disabled']]);
  });

  test('block, chardev, qtree, cpus, version, snapshots, roms', () => {
    expect(run('info block')).toContain('hd0: disk.img (raw)');
    expect(run('info block')).toContain('hd1: other.img (raw, read-only)');
    expect(run('info chardev')).toEqual(['serial0: filename=mux']);
    expect(run('info qtree')).toContain('  dev: pl011, id ""');
    expect(run('info cpus')).toEqual([
      expect.stringMatching(/^\* CPU #0: pc=0x0{16} /),
      expect.stringMatching(/^ {2}CPU #1: pc=0x0{16} /),
    ]);
    expect(run('info version')).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
    expect(run('info snapshots')).toEqual(['There is no snapshot available.']);
    expect(run('info roms')).toEqual([]);
  });

  test('without a topic lists the topics', () => {
    expect(run('info')).toContain('info status      -- whether the machine runs, and how far it is');
  });
});

test('info mem lists ranges of the same rights', () => {
  const { target } = fakeTarget({ type: 'q35' });
  // A PML4, PDPT, page directory with one page of 2 MiB, and a page table with a page that user programs read.
  const entry = (value: bigint) => Buffer.from(BigUint64Array.of(value).buffer);
  const { memory } = target.machine;
  memory.write(0x1000, entry(0x2007n));
  memory.write(0x2000, entry(0x3007n));
  memory.write(0x3000, entry(0x0000_0083n));
  memory.write(0x3008, entry(0x4007n));
  memory.write(0x4000, entry(0x5005n));
  if (target.machine.architecture !== 'x86_64') return;
  target.machine.load({
    segments: [],
    entry: { architecture: 'x86_64', mode: 'long64', rip: 0x10_0000, rsi: 0, rbx: 0 },
  });
  const { board } = target.machine as unknown as { board: { cpus: readonly { registers: { cr3: number } }[] } };
  board.cpus[0]!.registers.cr3 = 0x1000;
  expect(runMonitorCommand(target, 'info mem')).toEqual([
    '0000000000000000-0000000000200000 0000000000200000 -rwx',
    '0000000000200000-0000000000201000 0000000000001000 ur-x',
  ]);
  expect(runMonitorCommand(target, 'info tlb')).toEqual([
    '0000000000000000: 0000000000000000 --P-----W',
    '0000000000200000: 0000000000005000 -------U-',
  ]);
  expect(runMonitorCommand(target, 'gva2gpa 0x200010')).toEqual(['gpa: 0x5010']);
  expect(runMonitorCommand(target, 'gva2gpa 0x400000')).toEqual(['Unmapped']);
});

describe('what is wrong is said as QEMU says it', () => {
  test.each([
    ['fly', ["unknown command: 'fly'"]],
    ['info weather', ["unknown command: 'info weather'"]],
    ['xp/3z 0', ["invalid char in format: 'z'", 'Try "help x" for more information']],
    ['x', ['unexpected end of expression', 'Try "help x" for more information']],
    ['x $nothing', ['unknown register', 'Try "help x" for more information']],
    ['print $nothing', ['unknown register', 'Try "help print" for more information']],
    ['print 1/0', ['division by zero', 'Try "help print" for more information']],
    ['cpu 7', ['invalid CPU index']],
    ['x/x 0x1000', ['0000000000001000: Cannot access memory']],
    [
      'xp/6xg 0x401ffff0',
      ['00000000401ffff0: 0x0000000000000000 0x0000000000000000', '0000000040200000: Cannot access memory'],
    ],
    ['sendkey a', ['sendkey: there is no keyboard: type into the console (C-a c)']],
    ['loadvm x', ["Error: Snapshot 'x' does not exist"]],
    ['', []],
  ])('%s', (line, expected) => {
    expect(run(line)).toEqual(expected);
  });

  test('a huge count ends where memory does', () => {
    expect(run('xp/99999999xb 0x401fffe0')).toHaveLength(5);
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

test('a machine that has shut down has to be reset', () => {
  const { target } = fakeTarget();
  void runMonitorCommand(target, 'system_powerdown');
  expect(runMonitorCommand(target, 'info status')).toContain('VM status: paused (shutdown)');
  expect(runMonitorCommand(target, 'cont')).toEqual(['Error: Resetting the Virtual Machine is required']);
});

test('savevm warns of disks that stay as they are, and loadvm goes back', () => {
  const { target, calls } = fakeTarget();
  expect(runMonitorCommand(target, 'savevm before')).toEqual([
    'Warning: hd0 will not go back with the machine: start with -snapshot for that',
  ]);
  expect(runMonitorCommand(target, 'info snapshots')).toContain('before               2026-01-02 03:04:05 1.500000 s');
  expect(runMonitorCommand(target, 'loadvm before')).toEqual([]);
  expect(calls).toEqual(['load before']);
  expect(runMonitorCommand(target, 'delvm before')).toEqual([]);
  expect(runMonitorCommand(target, 'info snapshots')).toEqual(['There is no snapshot available.']);
});

test('names are completed', () => {
  expect(completeMonitorLine('sys')).toEqual(['system_reset', 'system_powerdown']);
  expect(completeMonitorLine('info ro')).toEqual(['roms']);
  expect(completeMonitorLine('x/2i ')).toEqual([]);
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
