/** An oops of the guest, through the guest's own kexec: what the analyzer shows of it is what crash 9.0.2 shows. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, expect, test } from 'vitest';

import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO } from '../../scripts/lab/scenario.ts';

const PROGRAM = join(import.meta.dirname, '../../scripts/kdump-lab');
const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-oops-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** crash's rows: the function that faulted is in the line of the exception only. */
const ROWS = [
  '#0 machine_kexec',
  '#1 __crash_kexec',
  '#2 crash_kexec',
  '#3 oops_end',
  '#4 page_fault_oops',
  '#5 exc_page_fault',
  '#6 asm_exc_page_fault',
  '[exception RIP: sysrq_handle_crash+2]',
  '#7 __handle_sysrq.cold',
  '#8 write_sysrq_trigger',
  '#9 proc_reg_write',
  '#10 vfs_write',
  '#11 ksys_write',
  '#12 do_syscall_64',
  '#13 entry_SYSCALL_64_after_hwframe',
];

test('a read through a NULL pointer on x86_64', async () => {
  const x86 = { architecture: 'x86_64', ...ARCHITECTURE_DEFAULTS.x86_64 } as const;
  const prepared = await prepareRun({ ...DEFAULT_SCENARIO, fast: true, ...x86, panic: 'null-pointer' });
  const report = await runFlow(prepared, folder, config => new EmulatedMachine(config));
  expect(report.failure).toBeNull();
  const { stdout } = spawnSync(PROGRAM, ['crash', join(folder, 'vmcore'), '-c', 'sys; bt; report'], {
    encoding: 'utf8',
  });
  expect(stdout).toMatch(/^ {7}PANIC: "Oops: 0000 \[#1\] PREEMPT SMP NOPTI" \(check log for details\)$/m);
  const trace = stdout.slice(stdout.indexOf('PID: 1 '), stdout.indexOf('== System'));
  const rows = [...trace.matchAll(/^ *(?:(#\d+) \[\w+\] (\S+) at|(\[exception .*\]))/gm)];
  expect(rows.map(([, level, name, exception]) => exception ?? `${level} ${name}`)).toEqual(ROWS);
  expect(stdout).toMatch(/== Likely culprit ==\nsysrq_handle_crash\+0x2 /);
});
