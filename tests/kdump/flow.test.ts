/**
 * The whole two-kernel flow on the emulator, with Debian's kernels and tools: the kernel boots, kexec loads the capture
 * kernel, sysrq-c panics, the capture kernel saves /proc/vmcore, and the analyzer reads the dump.
 *
 * Packages are fetched from the mirror of the system's apt configuration at the first run and cached.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { keptCodeFolder } from '../../scripts/lab/kept-code.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import type { RunReport } from '../../scripts/lab/report.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function run(scenario: Partial<Scenario>): Promise<{ report: RunReport; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
  folders.push(folder);
  const prepared = await prepareRun({ ...DEFAULT_SCENARIO, fast: true, ...scenario });
  return { report: await runFlow(prepared, folder, config => new EmulatedMachine(config)), folder };
}

function crash(folder: string, commands: string): string {
  const script = join(import.meta.dirname, '../../scripts/commands/crash.ts');
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, join(folder, 'vmcore'), '-c', commands], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

/** Debian's amd64 kernel on q35. */
const X86_64: Partial<Scenario> = { architecture: 'x86_64', ...ARCHITECTURE_DEFAULTS.x86_64 };

const SYSRQ_STACK = /machine_kexec at .*__crash_kexec at .*panic at .*sysrq_handle_crash at .*write_sysrq_trigger at /s;

describe.each<[name: string, scenario: Partial<Scenario>]>([
  ['GICv3, virtio-mmio, 1 CPU', {}],
  ['GICv2, virtio-pci, 2 CPUs', { machine: 'virt,gic-version=2', diskBus: 'pci', cpus: 2 }],
  ['-cpu max, generic kernel', { cpu: 'max', flavour: 'generic' }],
  ['Debian 13, VA_BITS=52', { suite: 'trixie' }],
  [
    'Debian 13, pages of 16 KiB',
    { suite: 'trixie', flavour: '16k', cpu: 'cortex-a76', memorySize: 2 ** 30, cpus: 2, diskBus: 'pci' },
  ],
  ['q35, kexec_load, 1 CPU', X86_64],
  ['q35, kexec_file_load, 2 CPUs', { ...X86_64, kexecOptions: '-p -s', cpus: 2 }],
  ['microvm, nokaslr, 2 CPUs', { ...X86_64, machine: 'microvm', diskBus: 'mmio', append: 'nokaslr', cpus: 2 }],
  [
    'Debian 13, generic kernel, SATA disk, -cpu max with five levels, kexec_file_load, 4 CPUs',
    { ...X86_64, suite: 'trixie', flavour: 'generic', diskBus: 'ide', cpu: 'max', cpus: 4, kexecOptions: '-p -s' },
  ],
])('%s', (_, scenario) => {
  test('a panic ends in a dump that the analyzer reads', async () => {
    const { report, folder } = await run(scenario);
    expect(report.failure).toBeNull();
    expect(report.outcome).toBe('dumped');
    expect(report.stop).toEqual({ kind: 'power-off' });
    expect(report.phases.map(({ name }) => name)).toEqual([
      'power-on',
      'production-init',
      'kexec-load',
      'panic',
      'capture-kernel',
      'capture-init',
      'save',
      'saved',
      'stop',
    ]);
    const text = crash(folder, 'sys; bt; ps; log');
    expect(text).toContain(`RELEASE: ${report.kernel.release}`);
    expect(text).toContain('PANIC: "Kernel panic - not syncing: sysrq triggered crash"');
    expect(text).toMatch(SYSRQ_STACK);
    expect(text).toMatch(/^\s+2\s+0\s+\d\s+[0-9a-f]{16}\s+IN\s+0\.0\s+0\s+0\s+\[kthreadd\]$/m);
    expect(text).toContain('sysrq: Trigger a crash');
  });
});

test('two runs with two CPUs give the same console, instruction counts and dump, whether code was kept or is translated', async () => {
  rmSync(keptCodeFolder(), { recursive: true, force: true });
  const [first, second] = [await run({ cpus: 2 }), await run({ cpus: 2 })];
  expect(first.report.outcome).toBe('dumped');
  const comparable = ({ phases, ...rest }: RunReport): unknown => ({
    ...rest,
    phases: phases.map(({ name, guestSeconds, instructions }) => ({ name, guestSeconds, instructions })),
  });
  expect(comparable(second.report)).toEqual(comparable(first.report));
  const consoles = [first, second].map(({ folder }) => readFileSync(join(folder, 'console.log')));
  expect(consoles[1]!.equals(consoles[0]!)).toBe(true);
});
