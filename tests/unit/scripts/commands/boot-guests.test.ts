/** `boot` with guests of a few instructions: how it ends, with which status, and what it says. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { A64, tinyImage, tinyVmlinux, writeKernel, X64 } from '../../../support/tiny-kernels.ts';

const PROGRAM = fileURLToPath(new URL('../../../../scripts/kdump-lab.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'boot-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs `boot` without a terminal. @param last replaces a last argument of its own */
function boot(...args: string[]) {
  return spawnSync(process.execPath, [PROGRAM, 'boot', '-m', '16', ...args], {
    encoding: 'utf8',
    cwd: folder,
    input: '',
    timeout: 60_000,
  });
}

const VIRT = ['-M', 'virt', '-cpu', 'cortex-a57'];
const Q35 = ['-M', 'q35', '-cpu', 'qemu64'];
const CHOSEN: Readonly<Record<string, readonly string[]>> = { aarch64: VIRT, x86_64: Q35 };

function image(name: string, ...instructions: number[]): string[] {
  return [...VIRT, '-kernel', writeKernel(join(folder, name), tinyImage(instructions))];
}

function vmlinux(name: string, ...code: number[]): string[] {
  return [...Q35, '-kernel', writeKernel(join(folder, name), tinyVmlinux(code))];
}

describe('ends', () => {
  test('with 0 when the guest powers off', () => {
    expect(boot(...image('off', ...A64.systemOff))).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  test('with 0 when the guest resets and shall not', () => {
    expect(boot(...image('reset', ...A64.systemReset), '-no-reboot')).toMatchObject({ status: 0, stderr: '' });
  });

  test('with what isa-debug-exit says, as QEMU has it', () => {
    const run = boot(...vmlinux('exit', ...X64.out(0x501, 3), ...X64.HALT), '-device', 'isa-debug-exit');
    expect(run).toMatchObject({ status: 7, stderr: '' });
  });

  // A PC's timers go on for ever.
  test('with 1 and a line when nothing can wake the guest', () => {
    const run = boot(...image('wait', A64.WFI, A64.BACK));
    expect(run).toMatchObject({ status: 1, stdout: '' });
    expect(run.stderr).toBe('kdump-lab: all CPUs wait for interrupts that no device will raise\n');
  });

  test('with a line at a triple fault', () => {
    const run = boot(...vmlinux('triple', ...X64.TRIPLE_FAULT), '-no-reboot');
    expect(run).toMatchObject({ status: 0, stderr: 'kdump-lab: the guest was reset: triple fault\n' });
  });

  const panic = [...X64.out(0x505, 1), ...X64.out(0x501, 0), ...X64.HALT];
  test.each([
    ['shutdown', 0, /says that it has panicked/],
    ['exit-failure', 1, /says that it has panicked/],
    ['none', 1, /^$/],
  ])('as -action panic=%s has it', (action, status, message) => {
    const devices = ['-device', 'pvpanic', '-device', 'isa-debug-exit'];
    const run = boot(...vmlinux('panic', ...panic), ...devices, '-action', `panic=${action}`);
    expect(run.stderr).toMatch(message);
    expect(run.status).toBe(status);
  });
});

test.each([
  [['-M', 'help'], /^q35 +PC with Q35/m],
  [['-machine', '?'], /^virt /m],
  [['-cpu', 'help'], /^cortex-a57 +aarch64$/m],
  [['-device', 'help'], /^virtio-blk-pci$/m],
  [['-d', 'help'], /^int +exceptions and interrupts$/m],
  [['-version'], /^kdump-lab \d+\.\d+\.\d+$/m],
] as const)('%j lists what there is', (args, line) => {
  const run = boot(...args);
  expect(run.stdout).toMatch(line);
  expect(run).toMatchObject({ status: 0, stderr: '' });
});

test('a trace says what the guest does', () => {
  const run = boot(...image('off', ...A64.systemOff), '-d', 'in_asm,exec,int', '-D', 'trace.log');
  expect(run).toMatchObject({ status: 0, stderr: '' });
  expect(readFileSync(join(folder, 'trace.log'), 'utf8')).toMatch(/hvc/);
});

test('says what it has chosen', () => {
  const run = boot('-kernel', writeKernel(join(folder, 'off'), tinyImage(A64.systemOff)));
  expect(run.stderr).toBe('kdump-lab: Image for aarch64: -M virt,gic-version=3 -cpu cortex-a57\n');
});

describe('the console', () => {
  test.each([
    ['aarch64', () => image('hello', A64.UART, ...A64.PUT_H, ...A64.systemOff)],
    ['x86_64', () => vmlinux('hello', ...X64.out(0x3f8, 0x68), ...X64.out(0x501, 0))],
  ] as const)('is on the terminal, or in a file: %s', (architecture, args) => {
    const exit = architecture === 'x86_64' ? ['-device', 'isa-debug-exit'] : [];
    expect(boot(...args(), ...exit).stdout).toBe('h');
    expect(boot(...args(), ...exit, '-serial', 'file:serial.log').stdout).toBe('');
    expect(readFileSync(join(folder, 'serial.log'), 'utf8')).toBe('h');
    expect(boot(...args(), ...exit, '-serial', 'none').stdout).toBe('');
  });

  test('that cannot be written is one line', () => {
    const run = boot(...image('hello', A64.UART, ...A64.PUT_H, ...A64.systemOff), '-serial', 'file:/dev/full');
    expect(run).toMatchObject({ status: 1, stdout: '' });
    expect(run.stderr).toMatch(/^kdump-lab: -serial file:\/dev\/full: cannot be written: ENOSPC.*\n$/);
  });
});

test.each([
  ['a trace that cannot be written', ['-d', 'int', '-D', '/nowhere/log'], /-D \/nowhere\/log: cannot be written/],
  ['a trace on a full disk', ['-d', 'exec', '-D', '/dev/full'], /-D \/dev\/full: cannot be written: ENOSPC/],
  ['a trace that is not there', ['-d', 'weather'], /-d weather: there are /],
  ['a serial port without a folder', ['-serial', 'file:/nowhere/x'], /-serial file:\/nowhere\/x: cannot be written/],
  ['a file for fw_cfg that is not there', ['-fw_cfg', 'opt/x,file=/nowhere'], /-fw_cfg opt\/x: cannot read \/nowhere/],
  ['a disk that is not there', ['-hda', '/nowhere'], /disk \/nowhere: no such file/],
  ['a folder as a disk', ['-hda', '.'], /disk \.: not a file/],
  ['too little memory', ['-m', '1'], /does not fit/],
])('%s is one line', (_, args, message) => {
  const run = boot(...image('off', ...A64.systemOff), ...args);
  expect(run.stderr).toMatch(message);
  expect(run.stderr.trim().split('\n')).toHaveLength(1);
  expect(run.status).toBe(1);
});

test('a port that is taken is one line', async () => {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const run = boot(...image('off', ...A64.systemOff), '-gdb', `tcp::${port}`);
  server.close();
  expect(run.stderr).toMatch(/^kdump-lab: the gdb server cannot have port \d+: .*\n$/);
  expect(run.status).toBe(1);
});

describe('bad files are one line', () => {
  beforeAll(() => {
    const arm = tinyImage([A64.SPIN]);
    writeFileSync(join(folder, 'Image'), arm);
    writeFileSync(join(folder, 'cut-Image'), arm.subarray(0, 20_000));
    writeFileSync(join(folder, 'Image.gz'), gzipSync(arm));
    writeFileSync(
      join(folder, 'cut-Image.gz'),
      gzipSync(Buffer.concat([arm, Buffer.alloc(1 << 16, 'x')])).subarray(0, 60),
    );
    writeFileSync(join(folder, 'vmlinux'), tinyVmlinux(X64.SPIN));
    writeFileSync(join(folder, 'cut-vmlinux'), tinyVmlinux(X64.SPIN).subarray(0, 5000));
    writeFileSync(join(folder, 'vmlinux-arm64'), tinyVmlinux([], 'aarch64'));
    writeFileSync(join(folder, 'empty'), '');
    writeFileSync(join(folder, 'noise'), Buffer.alloc(100_000, 0x5a));
    writeFileSync(join(folder, 'cut-initrd'), gzipSync(Buffer.alloc(100_000, 'initrd')).subarray(0, 100));
    writeFileSync(join(folder, 'odd.img'), '');
    truncateSync(join(folder, 'odd.img'), 1000);
    writeFileSync(join(folder, 'tree.dtb'), 'no tree');
  });

  test.each([
    ['aarch64', ['-kernel', 'missing'], /-kernel missing: no such file/],
    ['aarch64', ['-kernel', 'empty'], /empty: not a kernel image: only 0 bytes/],
    ['aarch64', ['-kernel', 'noise'], /noise: not a kernel image/],
    ['aarch64', ['-kernel', 'cut-Image'], /cut-Image: truncated kernel/],
    ['aarch64', ['-kernel', 'cut-Image.gz'], /cut-Image\.gz: /],
    ['aarch64', ['-kernel', 'vmlinux'], /the kernel is for x86_64, but the machine is aarch64/],
    ['aarch64', ['-kernel', 'vmlinux-arm64'], /an arm64 vmlinux cannot be booted: give its Image/],
    ['x86_64', ['-kernel', 'missing'], /-kernel missing: no such file/],
    ['x86_64', ['-kernel', 'noise'], /not a kernel image/],
    ['x86_64', ['-kernel', 'cut-vmlinux'], /truncated kernel/],
    ['x86_64', ['-kernel', 'Image'], /the kernel is for aarch64, but the machine is x86_64/],
    ['aarch64', ['-kernel', 'Image', '-initrd', 'missing'], /-initrd missing: no such file/],
    ['aarch64', ['-kernel', 'Image', '-initrd', 'cut-initrd'], /cut-initrd/],
    ['x86_64', ['-kernel', 'vmlinux', '-initrd', 'cut-initrd'], /cut-initrd/],
    ['aarch64', ['-kernel', 'Image', '-dtb', 'missing'], /-dtb missing: no such file/],
    ['aarch64', ['-kernel', 'Image', '-dtb', 'tree.dtb'], /tree\.dtb/],
    ['x86_64', ['-kernel', 'vmlinux', '-dtb', 'tree.dtb'], /PCs have no device tree|tree\.dtb/],
    ['aarch64', ['-kernel', 'Image', '-hda', 'odd.img'], /odd\.img: a disk of 1000 bytes: must be a multiple of 512/],
    ['x86_64', ['-kernel', 'vmlinux', '-hda', 'odd.img'], /must be a multiple of 512/],
    ['aarch64', ['-kernel', 'Image', '-device', 'pvpanic'], /pvpanic-isa: virt has no ISA bus|virt has no ISA bus/],
    ['x86_64', ['-kernel', 'vmlinux', '-device', 'virtio-rng-device'], /q35 has no virtio-mmio bus/],
    ['x86_64', ['-kernel', 'vmlinux', '-M', 'microvm', '-device', 'virtio-rng-pci'], /microvm has no PCI bus/],
    ['aarch64', ['-kernel', 'Image', '-cpu', 'z80'], /unknown CPU model z80: choose one of cortex-a53/],
    ['x86_64', ['-kernel', 'vmlinux', '-cpu', 'z80'], /no CPU model z80: there are qemu64/],
    ['x86_64', ['-kernel', 'vmlinux', '-cpu', 'host'], /-cpu host: this machine is always emulated/],
    ['aarch64', ['-kernel', 'Image', '-cpu', 'max,pmu=off'], /max with pmu=off|CPUs with|features cannot be switched/],
    ['aarch64', ['-kernel', 'Image', '-M', 'virt,secure=on'], /virt,secure=on: not possible here/],
    ['x86_64', ['-kernel', 'vmlinux', '-M', 'q35,usb=on'], /q35,usb=on: not possible here/],
    ['aarch64', ['-kernel', 'Image', '-frobnicate'], /-frobnicate: unknown option/],
    ['aarch64', ['-kernel', 'Image', '-device', 'warp-drive'], /warp-drive: unknown device/],
  ] as const)('%s %j', (architecture, args, message) => {
    const run = boot(...CHOSEN[architecture]!, ...args);
    expect(run.stderr).toMatch(message);
    expect(run.stderr.trim().split('\n')).toHaveLength(1);
    expect(run.stderr).toMatch(/^kdump-lab: /);
    expect(run).toMatchObject({ status: 1, stdout: '' });
  });
});

describe('an interrupt', () => {
  const guests: readonly (readonly [string, () => string[]])[] = [
    ['aarch64', () => image('spin', A64.SPIN)],
    ['x86_64', () => vmlinux('spin', ...X64.SPIN)],
  ];
  const moments = [0, 300, 1500];
  test.each(guests.flatMap(([name, args]) => moments.map(ms => [name, ms, args] as const)))(
    'ends a guest that hangs: %s, after %i ms',
    async (_, ms, args) => {
      const before = readdirSync(folder);
      const child = spawn(process.execPath, [PROGRAM, 'boot', '-m', '16', ...args(), '-serial', 'none'], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stderr = '';
      child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
      await new Promise(resolve => {
        setTimeout(resolve, ms);
      });
      child.kill('SIGINT');
      const [status, signal] = await new Promise<[number | null, string | null]>(resolve => {
        child.on('close', (code, name) => resolve([code, name]));
      });
      // Before Node has come to the program's first line the signal itself ends it.
      if (signal === null) expect([status, stderr]).toEqual([130, '\nkdump-lab: interrupted\n']);
      else expect(signal).toBe('SIGINT');
      expect(readdirSync(folder).filter(name => !before.includes(name) && !name.startsWith('spin'))).toEqual([]);
    },
  );
});
