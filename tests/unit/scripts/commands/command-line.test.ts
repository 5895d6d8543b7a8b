import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../../../scripts/kdump-lab', import.meta.url));

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** What Node compiles is kept between tests. */
function environment(): NodeJS.ProcessEnv {
  const NODE_COMPILE_CACHE = process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'kdump-lab-node');
  return { ...process.env, NODE_COMPILE_CACHE, KDUMP_LAB_CACHE: join(folder, 'cache') };
}

function kdumpLab(...args: string[]) {
  // An empty cache, and a mirror where nobody listens: nothing here may need the network.
  const env = environment();
  return spawnSync(PROGRAM, args, { encoding: 'utf8', cwd: folder, env });
}

/** One line on stderr, no stack trace, nothing on stdout. */
function expectOneLine(run: { stdout: string; stderr: string; status: number | null }, message: RegExp): void {
  expect(run.stderr).toMatch(message);
  expect(run.stderr.trim().split('\n')).toHaveLength(1);
  expect(run.stdout).toBe('');
  expect(run.status).toBe(1);
}

describe('kdump-lab', () => {
  test('runs from any folder, and through a link', () => {
    symlinkSync(PROGRAM, join(folder, 'lab'));
    const run = spawnSync(join(folder, 'lab'), ['--version'], { encoding: 'utf8', cwd: '/' });
    expect(run.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each(['demo', 'run', 'boot', 'crash', 'images'])('lists %s in its help', command => {
    expect(kdumpLab('--help').stdout).toContain(`  ${command}`);
  });

  test.each([['run'], ['boot'], ['images', 'list'], ['demo']])('%s has a help of its own', (...command) => {
    const run = kdumpLab(...command, '--help');
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/^Usage: /);
  });
});

describe('bad input of run', () => {
  const missing = ['--mirror', 'http://127.0.0.1:9/debian'];
  test.each([
    [['--smp', '9'], /--smp 9: must be 1 to 8/],
    [['--memory', '64M'], /128M to 3G/],
    [['--crashkernel', '1G'], /more than the machine's 512M/],
    [['--crashkernel', '12 8M'], /not a crashkernel= value/],
    [['--collector', ' '], /--collector/],
    [['--kernel', '/nothing'], /no such file/],
    [['--kernel', '/etc/passwd'], /not a kernel image/],
    [['--mirror', 'nonsense'], /not a URL/],
    [missing, /cannot download.*check the network/],
    [['--backend', 'bochs'], /--backend bochs/],
  ] as const)('%j is one line', (args, message) => {
    expectOneLine(kdumpLab('run', ...args), message);
    expect(readdirSync(folder)).not.toContain('kdump-lab-out');
  });

  test.each([
    [['run', '--frobnicate'], /unknown option '--frobnicate'/],
    [['run', '--arch', 'riscv64'], /aarch64, x86_64/],
    [['run', '--smp', 'two'], /not a whole number/],
    [['run', '--memory', 'lots'], /not a size/],
    [['explode'], /unknown command 'explode'/],
  ] as const)('%j is refused with a hint', (args, message) => {
    const run = kdumpLab(...args);
    expect(run.stderr).toMatch(message);
    expect(run.stderr).toContain('--help');
    expect(run.status).toBe(1);
  });

  test('a kernel for the other architecture is refused by name', () => {
    const elf = Buffer.alloc(4096);
    elf.write('\x7fELF\x02\x01\x01', 'latin1');
    elf.writeUInt16LE(62, 18);
    elf.write('Linux version 6.1.0-x \n', 2000);
    writeFileSync(join(folder, 'vmlinux'), elf);
    expectOneLine(kdumpLab('run', '--kernel', 'vmlinux'), /for x86_64, but the machine is aarch64/);
  });
});

describe('bad input of boot', () => {
  test.each([
    [['-kernel', '/nothing'], /-kernel \/nothing: no such file/],
    [['-kernel', '/etc/passwd', '-initrd', '/nothing'], /-initrd \/nothing: no such file/],
    [['-kernel', '/etc/passwd'], /not a kernel image/],
    [['-frobnicate'], /unknown option/],
    [['-m', '512'], /-kernel/],
  ] as const)('%j is one line', (args, message) => {
    expectOneLine(kdumpLab('boot', ...args), message);
  });

  test('a disk that is no whole number of sectors is refused', () => {
    const image = Buffer.alloc(65_536);
    image.write('ARM\x64', 56, 'latin1');
    image.writeBigUInt64LE(65_536n, 16);
    writeFileSync(join(folder, 'Image'), image);
    writeFileSync(join(folder, 'disk.img'), Buffer.alloc(1000));
    expectOneLine(
      kdumpLab('boot', '-kernel', 'Image', '-hda', 'disk.img'),
      /disk\.img: a disk of 1000 bytes: must be a multiple of 512/,
    );
  });
});

describe('the first start', () => {
  /** A checkout with nothing installed, and an npm that does what a script says. */
  function checkout(npm: string): { readonly program: string; readonly env: NodeJS.ProcessEnv } {
    mkdirSync(join(folder, 'scripts'));
    mkdirSync(join(folder, 'bin'));
    copyFileSync(PROGRAM, join(folder, 'scripts/kdump-lab'));
    writeFileSync(join(folder, 'scripts/kdump-lab.ts'), 'console.log("started");');
    writeFileSync(join(folder, 'bin/npm'), `#!/bin/sh\n${npm}\n`, { mode: 0o755 });
    return {
      program: join(folder, 'scripts/kdump-lab'),
      env: { HOME: folder, PATH: `${join(folder, 'bin')}:/usr/bin:/bin`, NODE: process.execPath },
    };
  }
  const half = 'mkdir -p node_modules/.bin; ln -sf "$NODE" node_modules/.bin/node';
  const whole = `${half}; echo {} > node_modules/.package-lock.json`;

  test('installs, and starts', () => {
    const { program, env } = checkout(whole);
    const first = spawnSync(program, { encoding: 'utf8', env });
    expect(first).toMatchObject({ status: 0, stdout: 'started\n', stderr: 'kdump-lab: installing packages (once)\n' });
    expect(spawnSync(program, { encoding: 'utf8', env })).toMatchObject({ status: 0, stdout: 'started\n', stderr: '' });
  });

  test('that cannot install says so', () => {
    const { program, env } = checkout('exit 7');
    const run = spawnSync(program, { encoding: 'utf8', env });
    expect(run).toMatchObject({ status: 1, stdout: '' });
    expect(run.stderr).toMatch(/the packages could not be installed: check the network, then try again\n$/);
  });

  test('that was interrupted installs again the next time', async () => {
    const { program, env } = checkout(
      `${half}; [ -e again ] && echo {} > node_modules/.package-lock.json && exit; sleep 60`,
    );
    const child = spawn(program, { cwd: folder, env, detached: true });
    let stderr = '';
    child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
    while (!existsSync(join(folder, 'node_modules/.bin/node'))) {
      await new Promise(resolve => {
        setTimeout(resolve, 20);
      });
    }
    // A terminal sends it to all of them.
    process.kill(-child.pid!, 'SIGINT');
    expect(await new Promise(resolve => child.on('close', resolve))).toBe(130);
    expect(stderr).toMatch(/kdump-lab: interrupted\n$/);
    writeFileSync(join(folder, 'again'), '');
    expect(spawnSync(program, { encoding: 'utf8', cwd: folder, env }).stdout).toBe('started\n');
  });
});

test('an interrupt while it waits for the network ends it with one line and status 130', async () => {
  // A server that accepts and says nothing.
  const { createServer } = await import('node:net');
  const server = createServer();
  const connected = new Promise(resolve => server.once('connection', resolve));
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const env = environment();
  const child = spawn(PROGRAM, ['run', '--mirror', `http://127.0.0.1:${port}/debian`], { cwd: folder, env });
  let stderr = '';
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  await connected;
  child.kill('SIGINT');
  const status = await new Promise(resolve => child.on('close', resolve));
  server.close();
  expect(status).toBe(130);
  expect(stderr.trim()).toBe('kdump-lab: interrupted');
  // What Node keeps of the program's compiled modules is no download.
  const left = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  expect(left.filter(name => !/^cache(?:\/node(?:\/|$)|$)/.test(name))).toEqual([]);
});
