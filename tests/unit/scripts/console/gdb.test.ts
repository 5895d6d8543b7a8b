/** gdb itself at a machine that `boot -S -gdb` has started: registers, steps, breakpoints, memory, the monitor. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, test } from 'vitest';

import { tinyImage, tinyVmlinux, writeKernel } from '../../../support/tiny-kernels.ts';

const PROGRAM = fileURLToPath(new URL('../../../../scripts/kdump-lab.ts', import.meta.url));
const hasGdb = spawnSync('gdb-multiarch', ['--version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'gdb-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise(resolve => server.close(resolve));
  return port;
}

/** Boots a kernel, lets gdb run commands, and ends with gdb's `kill`. @returns gdb's output, and boot's exit status */
async function debug(architecture: string, args: readonly string[], commands: readonly string[]) {
  const port = await freePort();
  const options = ['boot', '-m', '16', '-S', '-gdb', `tcp::${port}`, '-serial', 'none', ...args];
  const machine = spawn(process.execPath, [PROGRAM, ...options], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<number | null>(resolve => {
    machine.on('close', resolve);
  });
  const all = [
    'set confirm off',
    `set architecture ${architecture}`,
    'set tcp connect-timeout 30',
    `target remote :${port}`,
  ];
  const lines = [...all, ...commands, 'kill'].flatMap(command => ['-ex', command]);
  const gdb = spawn('gdb-multiarch', ['-nx', '-batch', ...lines], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  gdb.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
  gdb.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()));
  await new Promise(resolve => {
    gdb.on('close', resolve);
  });
  return { output, status: await ended };
}

describe.skipIf(!hasGdb)('gdb (needs gdb-multiarch)', () => {
  test('at an x86_64 machine', async () => {
    // loop: inc %rax; jmp loop
    const kernel = writeKernel(join(folder, 'vmlinux'), tinyVmlinux([0x48, 0xff, 0xc0, 0xeb, 0xfb]));
    const { output, status } = await debug(
      'i386:x86-64',
      ['-M', 'q35', '-cpu', 'qemu64', '-smp', '2', '-kernel', kernel],
      [
        'print/x $rip',
        'x/2i $rip',
        'set $rax = 40',
        'stepi',
        'stepi',
        'stepi',
        'print $rax',
        'break *0x100003',
        'continue',
        'continue',
        'print $rax',
        'print/x $cs',
        'print/x $cr0 & 1',
        'print $xmm3.v4_int32[1]',
        'set $xmm3.v4_int32[1] = 77',
        'print $xmm3.v4_int32[1]',
        'print $st0',
        'set {int}0x200000 = 0x1234',
        'x/wx 0x200000',
        'info threads',
        'monitor info status',
        'monitor x/1i $rip',
      ],
    );
    expect(output).toContain('$1 = 0x100000\n');
    expect(output).toMatch(/=> 0x100000:\s+inc\s+%rax\n\s+0x100003:\s+jmp\s+0x100000/);
    expect(output).toContain('$2 = 42\n');
    expect(output).toContain('$3 = 44\n');
    expect(output).toContain('$4 = 0x10\n$5 = 0x1\n$6 = 0\n$7 = 77\n$8 = 0\n');
    expect(output).toMatch(/0x200000:\s+0x00001234/);
    expect(output).toMatch(/CPU#0 CPL0 \[running\]/);
    expect(output).toMatch(/CPU#1 CPL0 \[off\]/);
    expect(output).toContain('VM status: paused\n');
    expect(output).toMatch(/0x00100003: {2}eb fb +jmp +0x100000/);
    expect(output).not.toContain('warning: while parsing');
    expect(status).toBe(0);
  });

  test('at an arm64 machine', async () => {
    // mov x0, #40; loop: add x0, x0, #1; b loop
    const kernel = writeKernel(join(folder, 'Image'), tinyImage([0xd280_0500, 0x9100_0400, 0x17ff_ffff]));
    const { output, status } = await debug(
      'aarch64',
      ['-M', 'virt', '-cpu', 'cortex-a57', '-kernel', kernel],
      ['stepi', 'stepi', 'stepi', 'print $x0', 'break *$pc', 'continue', 'continue', 'print $x0', 'monitor info cpus'],
    );
    expect(output).toContain('$1 = 41\n');
    expect(output).toContain('$2 = 43\n');
    expect(output).toMatch(/\* CPU #0: pc=0x[0-9a-f]{16} EL1 \[running\]/);
    expect(status).toBe(0);
  });
});
