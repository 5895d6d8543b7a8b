import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { ControlServer } from '../../../../../scripts/console/control/control-server.ts';
import type { QmpTarget } from '../../../../../scripts/console/control/qmp.ts';
import { MachineEvents } from '../../../../../scripts/console/machine-events.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const calls: string[] = [];
const TARGET = {
  events: new MachineEvents(),
  state: 'running',
  paused: false,
  dumper: { isActive: false, progress: { status: 'none' } },
  pause: () => void calls.push('pause'),
} as unknown as QmpTarget;

const unix = (name: string, mode: 'control' | 'readline', wait = false) =>
  ({ mode, address: { kind: 'unix', path: join(folder, name) }, wait }) as const;

/** Sends something and returns what comes until a pattern is in it. */
function talk(path: string, text: string, until: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = createConnection({ path }, () => socket.write(text));
    socket.on('error', reject);
    socket.on('data', bytes => {
      received += bytes.toString();
      if (!until.test(received)) return;
      socket.destroy();
      resolve(received);
    });
  });
}

test('speaks QMP to several clients and the monitor to people', async () => {
  using _server = await ControlServer.open(TARGET, [unix('qmp', 'control'), unix('monitor', 'readline')]);
  const ask = '{"execute":"qmp_capabilities"}{"execute":"query-status","id":1}';
  const [first, second] = await Promise.all([1, 2].map(() => talk(join(folder, 'qmp'), ask, /"id":1/)));
  expect(first).toContain('"return":{"running":true,"singlestep":false,"status":"running"},"id":1}\r\n');
  expect(second).toBe(first);
  const shown = await talk(join(folder, 'monitor'), 'stop\n', /stop\r\n\(kdump-lab\) $/);
  expect(shown).toMatch(/^kdump-lab monitor/);
  expect(calls).toEqual(['pause']);
});

test('waits for a client when asked to, and takes its socket away at the end', async () => {
  const path = join(folder, 'qmp');
  const opening = ControlServer.open(TARGET, [unix('qmp', 'control', true)]);
  while (!existsSync(path)) await new Promise(resolve => setTimeout(resolve, 5));
  await talk(path, '', /QMP/);
  (await opening)[Symbol.dispose]();
  expect(existsSync(path)).toBe(false);
});

test('leaves a file alone that is no socket', async () => {
  writeFileSync(join(folder, 'qmp'), 'mine');
  await expect(ControlServer.open(TARGET, [unix('qmp', 'control')])).rejects.toThrow('EADDRINUSE');
});
