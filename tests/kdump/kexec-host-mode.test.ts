/** Host mode: the guest loads nothing, the host takes over at the panic, in whatever state, and the dump is a dump. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Program } from '../../analyzer/program.ts';
import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import type { KexecEvent } from '../../scripts/lab/kexec-trace.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-host-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const X86_64: Partial<Scenario> = { architecture: 'x86_64', ...ARCHITECTURE_DEFAULTS.x86_64 };

function crash(commands: string): string {
  const script = join(import.meta.dirname, '../../scripts/commands/crash.ts');
  const { stdout } = spawnSync(process.execPath, [script, join(folder, 'vmcore'), '-c', commands], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  return stdout;
}

/** Rows of a CPU's trace, from its first. */
type Rows = readonly unknown[];

/** The rows of crash 9.0.2 for the CPU that panicked. */
const PANICKED: Rows = [
  '#0 panic',
  '#1 sysrq_handle_crash',
  '#2 __handle_sysrq.cold',
  '#3 write_sysrq_trigger',
  '#4 proc_reg_write',
  '#5 vfs_write',
  '#6 ksys_write',
  '#7 do_syscall_64',
  '#8 entry_SYSCALL_64_after_hwframe',
];
/** The host has stopped the other one wherever it was. */
const X86_64_ROWS: readonly Rows[] = [
  PANICKED,
  [expect.stringMatching(/^\[exception RIP: [\w.]+(\+\d+)?\]$/), expect.stringMatching(/^#0 /)],
];

/** The same; the kernel has stopped the other CPU itself (crash's next row is a stale word of the stack). */
const PVPANIC_ROWS: readonly Rows[] = [
  PANICKED,
  ['[exception RIP: stop_this_cpu+99]', '#0 __sysvec_reboot', '#1 sysvec_reboot', '#2 asm_sysvec_reboot'],
];

/** Levels and functions of traces, and where exceptions were. */
function rowsOf(traces: string): string[] {
  const rows = traces.matchAll(/^ *(?:(#\d+) \[\w+\] (\S+) at|(\[exception .*\]))/gm);
  return [...rows].map(([, level, name, exception]) => exception ?? `${level} ${name}`);
}

describe.each<[name: string, scenario: Partial<Scenario>, said: RegExp, cpus?: readonly Rows[]]>([
  ['arm64 Debian 12, sysrq', {}, /sysrq: Trigger a crash/],
  [
    'arm64 Debian 13, 2 CPUs, EL2',
    { suite: 'trixie', cpus: 2, machine: 'virt,gic-version=3,virtualization=on' },
    /sysrq/,
  ],
  ['arm64, the end of init, GICv2', { machine: 'virt,gic-version=2', panic: 'exec false' }, /Attempted to kill init/],
  ['arm64, before any user space', { panic: 'no-init' }, /Unable to mount root fs/],
  ['arm64, an overflowed stack, 8 CPUs', { panic: 'stack-overflow', cpus: 8 }, /Insufficient stack space/],
  ['arm64, in an interrupt', { panic: 'interrupt' }, /Internal error: BRK handler/],
  ['x86_64 Debian 12, 2 CPUs', { ...X86_64, cpus: 2 }, /sysrq: Trigger a crash/, X86_64_ROWS],
  ['x86_64 microvm', { ...X86_64, machine: 'microvm,pit=on', diskBus: 'mmio' }, /sysrq: Trigger a crash/],
  ['x86_64, before any user space, 2 CPUs', { ...X86_64, panic: 'no-init', cpus: 2 }, /Unable to mount root fs/],
  ['arm64, told by the handler of sysrq', { trigger: 'sysrq', cpus: 2 }, /sysrq: Trigger a crash/],
  ['x86_64, told by pvpanic, 2 CPUs', { ...X86_64, trigger: 'pvpanic', cpus: 2 }, /sysrq: Trigger/, PVPANIC_ROWS],
  [
    'x86_64 microvm Debian 13, the end of init, told by pvpanic',
    { ...X86_64, machine: 'microvm', diskBus: 'mmio', suite: 'trixie', trigger: 'pvpanic', panic: 'init-exit' },
    /Attempted to kill init/,
  ],
  [
    'x86_64 Debian 13, an overflowed stack, 2 CPUs',
    { ...X86_64, suite: 'trixie', panic: 'stack-overflow', cpus: 2 },
    /stack guard page was hit/,
  ],
  [
    'x86_64 Debian sid, interrupts off, 2 CPUs',
    { ...X86_64, suite: 'sid', panic: 'interrupts-off', cpus: 2 },
    /sysrq triggered crash/,
  ],
])('%s', (_, scenario, said, cpus = []) => {
  test('ends in a dump with all tasks, the log, and registers of the CPU that panicked', async () => {
    const prepared = await prepareRun({ ...DEFAULT_SCENARIO, fast: true, mode: 'host', ...scenario });
    const report = await runFlow(prepared, folder, config => new EmulatedMachine(config));
    expect(report.failure).toBeNull();
    expect(report.outcome).toBe('dumped');
    using program = new Program({ dump: [join(folder, 'vmcore')] });
    expect(program.vmcoreinfo.crashTime).toBeGreaterThanOrEqual(1_767_225_600);
    const notes = program.dump.notes.filter(({ name }) => name === 'CORE');
    expect(notes).toHaveLength(prepared.scenario.cpus);
    const text = crash('ps; log');
    expect(text).toMatch(said);
    for (const task of ['[swapper/0]', '[kthreadd]', '[kcompactd0]']) expect(text).toContain(task);
    // Which of the CPUs panics is a matter of instructions.
    const traces = crash('bt -a')
      .split(/^(?=PID: )/m)
      .map(rowsOf);
    for (const rows of cpus) expect(traces.map(trace => trace.slice(0, rows.length))).toContainEqual(rows);
  });
});

test.each<[name: string, scenario: Partial<Scenario>, call: RegExp]>([
  [
    'kexec_load',
    { cpus: 2 },
    /^kexec_load\(0x[\da-f]+, 5, \[(\{buf=0x[\da-f]+, bufsz=\d+, mem=0x[\da-f]+000, memsz=\d+\}(, )?){5}\], KEXEC_ARCH_AARCH64\|KEXEC_ON_CRASH\)$/,
  ],
  [
    'kexec_file_load',
    { ...X86_64, cpus: 2, kexecOptions: '-p -s' },
    /^kexec_file_load\(\d, \d, \d+, "console=ttyS0 .* reset_devices .*", KEXEC_FILE_ON_CRASH\)$/,
  ],
])(
  'a trace of %s shows the call, the image, each CPU, the jump and the first steps',
  async (syscall, scenario, call) => {
    const events: KexecEvent[] = [];
    const prepared = await prepareRun({ ...DEFAULT_SCENARIO, fast: true, traceKexec: true, ...scenario });
    await runFlow(prepared, folder, config => new EmulatedMachine(config), {
      onKexecEvent: event => events.push(event),
    });
    const names = events.map(({ name }) => name).filter(name => name !== 'image' && name !== 'map');
    expect(names).toEqual([
      'region',
      syscall,
      'loaded',
      'panic',
      'check',
      'cpu-stop',
      'cpu-stop',
      'jump',
      // The purgatory's, and the kernel's.
      'entry',
      'entry',
      'capture',
      'capture',
      'capture',
    ]);
    expect(events.find(({ name }) => name === 'check')!.text).toBe('nothing wrong with the loaded image');
    expect(events.find(({ name }) => name === syscall)!.text).toMatch(call);
    const loaded = events.filter(({ name }) => name === 'image').map(({ text }) => text.split(' ')[0]);
    expect(loaded).toEqual(expect.arrayContaining(['kernel', 'initrd', 'elfcorehdr', 'purgatory']));
    expect(readFileSync(join(folder, 'console.log'), 'latin1')).toContain('kdump-lab: phase=saved');
    const times = events.map(({ instructions }) => instructions);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  },
);
