/**
 * The analyzer on a machine that runs: `kdump-lab boot -gdb tcp::PORT` and `crash live:gdb:HOST:PORT`. QEMU's gdb stub is the other judge
 * of the same connection.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, openSync, closeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import type { Architecture } from '../../kernel-images/kernel-image.ts';
import { guestWithScript } from '../support/guest-boot.ts';

const PROGRAM = fileURLToPath(new URL('../../scripts/kdump-lab', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-live-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Says every second what the host name is. */
const SCRIPT = 'echo ready; while :; do sleep 1; echo "name $(cat /proc/sys/kernel/hostname)"; done';
const LONGEST_WAIT_MS = 120_000;

const MACHINES: Readonly<Record<Architecture, readonly string[]>> = {
  aarch64: ['-M', 'virt', '-cpu', 'cortex-a57', '-append', 'console=ttyAMA0'],
  x86_64: ['-M', 'q35', '-cpu', 'max', '-append', 'console=ttyS0'],
};
const EMULATORS: readonly (readonly [name: string, architecture: Architecture, command: readonly string[]])[] = [
  ['kdump-lab', 'aarch64', [PROGRAM, 'boot']],
  ['kdump-lab', 'x86_64', [PROGRAM, 'boot']],
  ['QEMU', 'aarch64', ['qemu-system-aarch64']],
  ['QEMU', 'x86_64', ['qemu-system-x86_64']],
];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise(resolve => {
    server.close(resolve);
  });
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A machine in a process of its own. */
class RunningMachine {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #log: string;

  constructor(architecture: Architecture, [program = '', ...words]: readonly string[], port: number) {
    this.port = port;
    this.#log = join(folder, `${port}.log`);
    const log = openSync(this.#log, 'w');
    const files = [
      '-kernel',
      join(folder, `${architecture}.kernel`),
      '-initrd',
      join(folder, `${architecture}.initrd`),
    ];
    const options = ['-smp', '2', '-m', '512', '-nographic', '-gdb', `tcp::${port}`];
    const args = [...words, ...MACHINES[architecture], ...options, ...files];
    this.#process = spawn(program, args, { stdio: ['ignore', log, log] });
    closeSync(log);
  }

  get console(): string {
    return readFileSync(this.#log, 'latin1');
  }

  /** Waits for a text on the console behind what it showed before. */
  async waitFor(pattern: RegExp, shown = 0): Promise<void> {
    const end = performance.now() + LONGEST_WAIT_MS;
    while (!pattern.test(this.console.slice(shown))) {
      if (performance.now() > end) throw new Error(`no ${pattern.source} in: ${this.console.slice(-500)}`);
      await new Promise(resolve => {
        setTimeout(resolve, 100);
      });
    }
  }

  async crash(commands: string): Promise<{ stdout: string; stderr: string }> {
    const args = ['crash', `live:gdb:localhost:${this.port}`, '-c', commands];
    return promisify(execFile)(PROGRAM, args, { encoding: 'latin1', timeout: LONGEST_WAIT_MS }).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
  }

  async end(): Promise<void> {
    this.#process.kill('SIGKILL');
    await new Promise(resolve => {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) resolve(undefined);
      else this.#process.once('exit', resolve);
    });
  }
}

describe.each(EMULATORS)('%s %s', (_name, architecture, command) => {
  const isThere = spawnSync(command[0]!, ['--version']).error === undefined;
  let machine: RunningMachine | undefined;

  beforeAll(async () => {
    const boot = await guestWithScript(SCRIPT, [], { architecture, flavour: 'cloud' });
    writeFileSync(join(folder, `${architecture}.initrd`), boot.initrd);
    spawnSync('cp', [boot.kernelFile, join(folder, `${architecture}.kernel`)]);
  });
  afterEach(async () => machine?.end());

  test.skipIf(!isThere)('is looked at and written to while it runs', { timeout: 4 * LONGEST_WAIT_MS }, async () => {
    machine = new RunningMachine(architecture, command, await freePort());
    await machine.waitFor(/^name \(none\)/m);
    const first = await machine.crash(
      'sys; ps 1; bt 1; bt -a; log | tail -n 1; rd jiffies; p jiffies; p &init_uts_ns.name.nodename; kmem -i; runq',
    );
    expect(first.stderr).toBe('');
    expect(first.stdout).toMatch(/^ +CPUS: 2$/m);
    expect(first.stdout).toMatch(/^ +1 +0 +\d +[\da-f]{16} +IN .* init$/m);
    expect(first.stdout).toMatch(/do_wait at /);
    // what the CPUs run, from their own registers
    expect(first.stdout).not.toContain('the stack ends here');
    const [, address = ''] = /\(char \(\*\)\[65\]\) 0x([\da-f]+)/.exec(first.stdout) ?? [];
    const [, before = ''] = /^jiffies = \$\d+ = (\d+)$/m.exec(first.stdout) ?? [];

    await machine.waitFor(/^name/m, machine.console.length);
    const written = await machine.crash(`wr -64 ${address} 0x6576696c2d6d61; p init_uts_ns.name.nodename; p jiffies`);
    expect(written.stderr).toBe('');
    expect(written.stdout).toContain('"am-live\\000');
    const [, after = ''] = /^jiffies = \$\d+ = (\d+)$/m.exec(written.stdout) ?? [];
    expect(BigInt(after)).toBeGreaterThan(BigInt(before));
    await machine.waitFor(/^name am-live/m);

    const refused = await machine.crash('wr -p 10000000000 1; sys -c');
    expect(refused.stderr).toMatch(
      /^wr: write error: physical address: 10000000000 {2}type: "write memory"\n {2}\(no RAM is there\)$/m,
    );
  });
});

test('says that nobody listens there', async () => {
  const port = await freePort();
  const { stderr } = await promisify(execFile)(PROGRAM, ['crash', `live:gdb::${port}`, '-c', 'sys'], {
    encoding: 'latin1',
  }).catch((error: { stderr: string }) => error);
  expect(stderr).toMatch(new RegExp(`^crash: live:gdb::${port}: .*ECONNREFUSED`));
});
