/**
 * The page filter on kernels from 6.1 to 7.2 whose memory has huge pages in use and in the pool, pages with hardware errors, page cache
 * and large processes. `KDUMP_LAB_MAKEDUMPFILE` names a makedumpfile of at least 1.7.8, with which dumps of x86_64 are compared bit by
 * bit; Debian 12's does not know the newer kernels.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, expect, test } from 'vitest';

import { filterSource, openSource, sourceOf } from '../../capture/create-dump.ts';
import type { SourceDump } from '../../capture/create-dump.ts';
import { dumpGuestMemory } from '../../capture/dump-guest-memory.ts';
import { FileSink } from '../../capture/output/dump-sink.ts';
import { machineDump } from '../../capture/sources/machine-memory.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import { machineState } from '../../scripts/lab/machine-state.ts';
import { guestWithScript, runGuest, type GuestChoice } from '../support/guest-boot.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-filter-'));
afterAll(() => rmSync(folder, { recursive: true }));

const POISONED = 0x600_0000;
const HUGE_IN_USE = 8;
const PAGES_OF_HUGE = 512;
const SCRIPT = `mkdir /h; echo 24 > /proc/sys/vm/nr_hugepages; mount -t hugetlbfs none /h
busybox fallocate -l ${HUGE_IN_USE * PAGES_OF_HUGE * 4096} /h/f
echo ${POISONED} > /sys/devices/system/memory/hard_offline_page
dd if=/dev/zero of=/big bs=1M count=20
busybox awk 'BEGIN { s = sprintf("%020000000d", 1); print "AWK"; system("sleep 1000") }' &
sleep 1
grep HugePages_ /proc/meminfo`;

const KERNELS: readonly (readonly [string, Required<GuestChoice>])[] = [
  ['6.1 x86_64', { architecture: 'x86_64', flavour: 'generic', suite: 'bookworm' }],
  ['6.12 x86_64', { architecture: 'x86_64', flavour: 'cloud', suite: 'trixie' }],
  ['7.2 x86_64', { architecture: 'x86_64', flavour: 'cloud', suite: 'sid' }],
  ['6.1 arm64', { architecture: 'aarch64', flavour: 'cloud', suite: 'bookworm' }],
  ['7.2 arm64', { architecture: 'aarch64', flavour: 'cloud', suite: 'sid' }],
];

/** A makedumpfile that knows all these kernels. */
function findReference(): string | undefined {
  const path = process.env['KDUMP_LAB_MAKEDUMPFILE'] ?? 'makedumpfile';
  const [, major, minor] =
    /version 1\.(\d+)\.(\d+)/.exec(spawnSync(path, ['-v'], { encoding: 'utf8' }).stdout ?? '') ?? [];
  return major !== undefined && (Number(major) > 7 || (Number(major) === 7 && Number(minor) >= 8)) ? path : undefined;
}

const reference = findReference();

test.each(KERNELS)('%s: leaves out huge pages and pages with errors', async (_, choice) => {
  const { machine, console } = await runGuest(await guestWithScript(SCRIPT, [], choice), {}, 60);
  const state = machineState(machine);
  using source = sourceOf(machineDump(state));
  expect(console).toContain('AWK\n');
  const huge = Number(/HugePages_Total: +(\d+)/.exec(console)?.[1]);
  expect(Number(/HugePages_Free: +(\d+)/.exec(console)?.[1])).toBe(huge - HUGE_IN_USE);
  const user = filterSource(source, 8);
  expect(user.warnings).toEqual([]);
  expect(user.counts.user).toBeGreaterThanOrEqual(huge * PAGES_OF_HUGE);
  const free = filterSource(source, 16);
  expect(free.counts.hwpoison).toBeGreaterThanOrEqual(choice.architecture === 'x86_64' ? 1 : 0);
  if (choice.architecture === 'x86_64') expect(free.dumped.has(POISONED / 4096)).toBe(false);
  if (reference !== undefined && choice.architecture === 'x86_64') await compareWithReference(source, state);
});

async function compareWithReference(source: SourceDump, state: MachineState): Promise<void> {
  const [core, filtered] = [join(folder, 'core'), join(folder, 'filtered')];
  const sink = new FileSink(core);
  await dumpGuestMemory(state, sink, { format: 'elf' });
  for (const level of [0, 2, 4, 8, 16, 31]) {
    const run = spawnSync(reference!, ['-f', '-l', '-d', String(level), '--message-level', '4', core, filtered]);
    expect([level, run.status]).toEqual([level, 0]);
    using theirs = openSource([filtered]);
    expect([level, Buffer.compare(theirs.pages.available.bytes, filterSource(source, level).dumped.bytes)]).toEqual([
      level,
      0,
    ]);
  }
}
