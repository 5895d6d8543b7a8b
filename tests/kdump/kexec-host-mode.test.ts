/** Host mode: the guest loads nothing, the host takes over at the panic, and the dump is a dump. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Program } from '../../analyzer/program.ts';
import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import { DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-host-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each<[name: string, scenario: Partial<Scenario>]>([
  ['Debian 12, sysrq', {}],
  ['Debian 13, 2 CPUs, EL2', { suite: 'trixie', cpus: 2, machine: 'virt,gic-version=3,virtualization=on' }],
  ['Debian 12, the end of init, GICv2', { machine: 'virt,gic-version=2', panic: 'exec false' }],
])('%s', (_, scenario) => {
  test('ends in a dump with registers of the CPU that panicked', async () => {
    const prepared = await prepareRun({ ...DEFAULT_SCENARIO, fast: true, mode: 'host', ...scenario });
    const report = await runFlow(prepared, folder, config => new EmulatedMachine(config));
    expect(report.failure).toBeNull();
    expect(report.outcome).toBe('dumped');
    using program = new Program({ dump: [join(folder, 'vmcore')] });
    expect(program.vmcoreinfo.crashTime).toBeGreaterThanOrEqual(1_767_225_600);
    const notes = program.dump.notes.filter(({ name }) => name === 'CORE');
    expect(notes.length).toBeGreaterThan(0);
  });
});
