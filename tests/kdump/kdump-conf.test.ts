/** The capture kernel obeys a kdump.conf: targets, hooks, actions. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { openDump } from '../../capture/sources/dump-file.ts';
import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import type { RunReport } from '../../scripts/lab/report.ts';
import { DEFAULT_SCENARIO } from '../../scripts/lab/scenario.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function run(conf: string): Promise<{ report: RunReport; console: string }> {
  const kdumpConf = join(folder, 'kdump.conf');
  writeFileSync(kdumpConf, conf);
  writeFileSync(join(folder, 'pre.sh'), '#!/bin/bash\necho "pre: $(uname -s)"\n');
  writeFileSync(join(folder, 'post.sh'), '#!/bin/sh\necho "post: $1"\n');
  writeFileSync(join(folder, 'no.sh'), '#!/bin/sh\nexit 3\n');
  const prepared = await prepareRun({ ...DEFAULT_SCENARIO, fast: true, kdumpConf });
  const report = await runFlow(prepared, folder, config => new EmulatedMachine(config));
  return { report, console: readFileSync(join(folder, 'console.log'), 'latin1').replaceAll('\r', '') };
}

test('saves to an ext4 file system by UUID, between hooks, and powers off', async () => {
  const { report, console } = await run(`ext4 UUID=03138356-5e61-4ab3-b58e-27507ac41937
path /crash
core_collector makedumpfile -c -d 31
kdump_pre pre.sh
kdump_post post.sh
extra_modules virtio_net
final_action poweroff`);
  expect(report).toMatchObject({ outcome: 'dumped', stop: { kind: 'power-off' } });
  expect(console).toMatch(
    /^pre: Linux$.*^kdump: saving to \/crash\/127\.0\.0\.1-2026-01-01-00:00:\d\d on .*^post: 0$/ms,
  );
  using dump = openDump([join(folder, 'vmcore')]);
  expect(dump.dumpLevel).toBe(31);
  expect(readFileSync(join(folder, 'vmcore-dmesg.txt'), 'latin1')).toContain('sysrq triggered crash');
  expect(report.crashMemory.reserved).toBe(128 * 2 ** 20);
  expect(report.crashMemory.leastAvailable).toBeLessThan(report.crashMemory.total!);
});

test('saves with cp and its options, which keep holes', async () => {
  const { report } = await run('ext4 /dev/vda\ncore_collector cp --sparse=always');
  expect(report).toMatchObject({ outcome: 'dumped', programs: { coreutils: expect.any(String) } });
  using dump = openDump([join(folder, 'vmcore')]);
  expect(dump.format).toBe('ELF');
});

test('saves to a raw disk, and reboots', async () => {
  const { report } = await run('raw /dev/vda\ncore_collector makedumpfile -F -l -d 31');
  expect(report).toMatchObject({ outcome: 'dumped', stop: { kind: 'reset' } });
  using dump = openDump([join(folder, 'vmcore')]);
  expect([dump.format, dump.flattened]).toEqual(['kdump-compressed', false]);
});

test('does what failure_action says', async () => {
  const { report } = await run('core_collector false\nfailure_action halt');
  expect(report).toMatchObject({ outcome: 'failed', failure: 'the dump could not be saved' });
});

test('saves nothing when kdump_pre fails', async () => {
  const { report } = await run('kdump_pre no.sh\nfinal_action poweroff');
  expect(report).toMatchObject({ outcome: 'failed', failure: 'kdump_pre /no.sh failed: nothing is saved' });
});
