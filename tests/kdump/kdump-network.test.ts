/** Dumps that go over the network, as a kdump.conf asks for: to Debian's sshd, and to an NFS server. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { openDump } from '../../capture/sources/dump-file.ts';
import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import type { RunReport } from '../../scripts/lab/report.ts';
import { DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';
import { hasNfsServer, hasSshd, startNfsServer, startSshServer } from '../support/dump-servers.ts';

/** The guest's name of the server. */
const SERVER = '10.0.2.100';
const FOLDER_NAME = /^10\.0\.2\.15-2026-01-01-00:00:\d\d$/;

let folder = '';
let dumps = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
  dumps = join(folder, 'dumps');
  mkdirSync(dumps);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the flow on a machine whose network leads to a server at this port. */
async function run(
  conf: string,
  { from, to }: { readonly from: number; readonly to: number },
  scenario: Partial<Scenario> = {},
): Promise<RunReport> {
  const kdumpConf = join(folder, 'kdump.conf');
  writeFileSync(kdumpConf, conf);
  const nic = `user,guestfwd=tcp:${SERVER}:${from}-tcp:127.0.0.1:${to}`;
  const prepared = await prepareRun({ ...DEFAULT_SCENARIO, ...scenario, fast: true, nic, kdumpConf });
  return await runFlow(prepared, join(folder, 'out'), config => new EmulatedMachine(config));
}

/** The folder that kdump made for the dump. */
function savedFolder(): string {
  const names = readdirSync(dumps);
  expect(names).toEqual([expect.stringMatching(FOLDER_NAME)]);
  return join(dumps, names[0]!);
}

describe.skipIf(!hasSshd)('ssh (needs openssh-server)', () => {
  test('takes a flattened dump and the log', async () => {
    await using server = await startSshServer(folder, SERVER);
    const conf = `ssh ${server.user}@${SERVER}\nsshkey kdump_id_rsa\npath ${dumps}\nfinal_action poweroff\n`;
    const report = await run(conf, { from: 22, to: server.port });
    const saved = savedFolder();
    expect(report).toMatchObject({
      outcome: 'dumped',
      vmcore: null,
      remote: { place: `ssh ${server.user}@${SERVER}:${join(saved, 'vmcore.flat')}` },
      programs: { 'openssh-client': expect.any(String) },
    });
    expect(readdirSync(saved)).toEqual(['vmcore-dmesg.txt', 'vmcore.flat']);
    expect(readFileSync(join(saved, 'vmcore-dmesg.txt'), 'latin1')).toContain('sysrq triggered crash');
    using dump = openDump([join(saved, 'vmcore.flat')]);
    expect([dump.flattened, dump.dumpLevel]).toEqual([true, 31]);
  });

  test('is not trusted with another key: the dump stays on the disk', async () => {
    await using server = await startSshServer(folder, 'somebody-else');
    writeFileSync(join(folder, 'known_hosts'), `${SERVER} ${readFileSync(join(folder, 'kdump_id_rsa.pub'), 'utf8')}`);
    const conf = `ssh ${server.user}@${SERVER}\nsshkey kdump_id_rsa\npath ${dumps}\nfailure_action dump_to_rootfs\n`;
    const report = await run(
      conf,
      { from: 22, to: server.port },
      { architecture: 'x86_64', machine: 'q35', cpu: 'qemu64', diskBus: 'pci' },
    );
    expect(report).toMatchObject({ outcome: 'dumped', remote: null });
    expect(readdirSync(dumps)).toEqual([]);
    using dump = openDump([join(folder, 'out', 'vmcore')]);
    expect(dump.dumpLevel).toBe(31);
  });
});

test.skipIf(!hasNfsServer)('an NFS server takes a dump and the log (needs nfs-ganesha-vfs)', async () => {
  await using server = await startNfsServer(folder, dumps);
  const conf = `nfs ${SERVER}:/export\npath /\ncore_collector makedumpfile -l -d 31\nfinal_action poweroff\n`;
  const report = await run(conf, { from: 2049, to: server.port });
  const saved = savedFolder();
  expect(report).toMatchObject({ outcome: 'dumped', programs: { 'nfs-common': expect.any(String) } });
  expect(report.remote?.place).toMatch(/^nfs 10\.0\.2\.100:\/export\/\/?10\.0\.2\.15-.*\/vmcore$/);
  expect(readdirSync(saved)).toEqual(['vmcore', 'vmcore-dmesg.txt']);
  using dump = openDump([join(saved, 'vmcore')]);
  expect(dump.dumpLevel).toBe(31);
});
