/** `run` with guests that go wrong: one clear line, status 1, no half file under a final name. Real kernels of both architectures. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, expect, test } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../scripts/kdump-lab.ts', import.meta.url));

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kdump-lab-bad-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Starts a fast run whose output folder is `out`. */
function start(...args: string[]) {
  const child = spawn(process.execPath, [PROGRAM, 'run', '--fast', '--no-console', '--out', 'out', ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (bytes: Buffer) => (output.stdout += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (output.stderr += bytes.toString()));
  const ended = new Promise<{ status: number | null; stdout: string; lastLine: string }>(resolve => {
    child.on('close', status =>
      resolve({ status, stdout: output.stdout, lastLine: output.stderr.trim().split('\n').at(-1)! }),
    );
  });
  return { child, output, ended };
}

const LEFT_BEHIND = ['console.log', 'report.json'];

test.each([
  ['aarch64', ['--timeout', '0.2'], /the guest was not done after 0\.2 guest seconds \(last seen: power-on\)/],
  ['x86_64', ['--timeout', '0.2'], /the guest was not done after 0\.2 guest seconds \(last seen: power-on\)/],
  ['aarch64', ['--append', 'rdinit=/nothing'], /the kernel panicked \(VFS: .*\) and no capture kernel was started/],
  ['x86_64', ['--append', 'rdinit=/nothing'], /the kernel panicked \(VFS: .*\) and no capture kernel was started/],
  ['aarch64', ['--kexec', '-p -c --no-such-option'], /no capture kernel is loaded: kexec exited with 1/],
  ['x86_64', ['--kexec', '-p -c --no-such-option'], /no capture kernel is loaded: kexec exited with 1/],
  ['aarch64', ['--crashkernel', '16M'], /no capture kernel is loaded: .*give a bigger --crashkernel/],
  ['x86_64', ['--crashkernel', '16M'], /no capture kernel is loaded: .*give a bigger --crashkernel/],
] as const)('%s %j', async (architecture, args, message) => {
  const { status, stdout, lastLine } = await start('--arch', architecture, ...args).ended;
  expect(lastLine).toMatch(message);
  expect(lastLine).toMatch(/^kdump-lab: .* \(console in out\/console\.log\)$/);
  expect([status, stdout, readdirSync(join(folder, 'out')).sort()]).toEqual([1, '', LEFT_BEHIND]);
  const report = JSON.parse(readFileSync(join(folder, 'out/report.json'), 'utf8')) as Record<string, unknown>;
  expect(report).toMatchObject({ outcome: 'failed', vmcore: null });
});

/** Moments by what has been said before. */
test.each([
  ['while it prepares', /kernel 6\.1/],
  ['while the kernel boots', /power-on/],
  ['while kexec loads', /production-init/],
])('an interrupt %s ends it with status 130', async (_, said) => {
  const { child, output, ended } = start();
  while (!said.test(output.stderr)) {
    await new Promise(resolve => {
      setTimeout(resolve, 20);
    });
  }
  child.kill('SIGINT');
  const { status, stdout, lastLine } = await ended;
  expect([status, stdout]).toEqual([130, '']);
  expect(lastLine).toMatch(/^kdump-lab: interrupted/);
  const left = readdirSync(folder).includes('out') ? readdirSync(join(folder, 'out')).sort() : [];
  expect([[], LEFT_BEHIND]).toContainEqual(left);
});
