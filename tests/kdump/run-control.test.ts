/** A flow with control sockets: its machine is stopped, dumped and resumed from outside, and the flow does not notice. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, expect, test } from 'vitest';

import { openDump } from '../../capture/sources/dump-file.ts';
import { openKernel } from '../../capture/open-kernel.ts';
import { readLog } from '../../capture/dmesg.ts';

const PROGRAM = fileURLToPath(new URL('../../scripts/kdump-lab', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-control-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a flow is dumped while it runs, and saves its own dump afterwards', async () => {
  // One dash or two, as QEMU has it.
  const sockets = ['-qmp', 'unix:qmp,server=on,wait=off', '--monitor', 'unix:monitor,server,nowait'];
  const flow = spawn(PROGRAM, ['run', '--fast', '--out', 'out', ...sockets], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>(resolve => flow.on('close', resolve));
  await new Promise<void>(resolve => {
    let console = '';
    flow.stdout.on('data', (bytes: Buffer) => {
      console += bytes.toString('latin1');
      if (/^kdump-lab: phase=production-init/m.test(console)) resolve();
    });
  });
  const dump = spawnSync(PROGRAM, ['dump', '--socket', 'qmp', '--format', 'kdump-lzo', 'live'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(dump).toMatchObject({ status: 0, stderr: `kdump-lab: the machine is dumped to ${join(folder, 'live')}\n` });
  expect(await ended).toBe(0);
  expect(existsSync(join(folder, 'qmp')) || existsSync(join(folder, 'monitor'))).toBe(false);
  expect(JSON.parse(readFileSync(join(folder, 'out/report.json'), 'utf8'))).toMatchObject({ outcome: 'dumped' });
  using live = openDump([join(folder, 'live')]);
  const log = readLog(openKernel(live.memory, live.vmcoreinfo!, live.architecture));
  expect(log.length).toBeGreaterThan(100);
});
