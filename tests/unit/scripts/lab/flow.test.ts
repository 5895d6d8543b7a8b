import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { UsageError } from '../../../../capture/formats/errors.ts';
import { runFlow } from '../../../../scripts/lab/flow.ts';
import type { LabMachine, LabMachineConfig, LabMachineListener, LabStop } from '../../../../scripts/lab/lab-machine.ts';
import type { PreparedRun } from '../../../../scripts/lab/prepare.ts';
import type { RunReport } from '../../../../scripts/lab/report.ts';
import { DEFAULT_SCENARIO } from '../../../../scripts/lab/scenario.ts';

const DUMP = Buffer.alloc(123_456, 'dump');
const BANNER = '[    0.000000] Linux version 6.1.0-test\r\n';
const WHOLE_RUN = [
  BANNER,
  'kdump-lab: phase=production-init uptime=1\r\nkdump-lab: phase=kexec-load uptime=1\r\n',
  'kdump-lab: note=kallsyms way round\r\nkdump-lab: phase=panic uptime=2\r\n',
  '[    2.0] Kernel panic - not syncing: sysrq triggered crash\r\n',
  BANNER,
  'kdump-lab: phase=capture-init uptime=1\r\nkdump-lab: phase=save uptime=1\r\n',
  'kdump-lab: collector=makedumpfile -l -d 31\r\nkdump-lab: phase=saved uptime=2\r\n',
];

let folder = '';
let out = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flow-'));
  out = join(folder, 'out');
});
afterEach(() => rmSync(folder, { recursive: true }));

function prepared(): PreparedRun {
  const image = {
    format: 'Image',
    architecture: 'aarch64',
    version: '6.1.0-test',
    bytes: Buffer.from('kernel'),
    memorySize: 1,
  } as const;
  return {
    scenario: { ...DEFAULT_SCENARIO, memorySize: 128 * 2 ** 20 },
    kernelPath: 'vmlinuz',
    image,
    release: image.version,
    package: undefined,
    initramfs: { production: Buffer.from('p'), capture: Buffer.from('c') },
    disk: { kind: 'ext4' },
    moduleSize: 0,
    productionCommandLine: 'crashkernel=128M',
    captureCommandLine: 'nr_cpus=1',
    seeds: true,
    kexecProgram: new Uint8Array(0),
    programs: {},
    notes: [{ code: 'cma', text: 'way round on the host' }],
  };
}

/** A machine that says what it is told to, counts a second for each piece, and writes the dump with debugfs. */
function scriptedMachine(pieces: readonly string[], end: LabStop, dump: Buffer | undefined) {
  return (config: LabMachineConfig): LabMachine => {
    let seconds = 0;
    let interrupted: string | undefined;
    return {
      name: 'scripted',
      progress: () => ({ guestSeconds: seconds, instructions: seconds * 1e9 }),
      interrupt: reason => (interrupted ??= reason),
      async run(listener: LabMachineListener) {
        for (const piece of pieces) {
          seconds++;
          listener.onConsole(Buffer.from(piece));
          await new Promise(resolve => setImmediate(resolve));
          if (interrupted !== undefined) return { kind: 'interrupted', reason: interrupted };
        }
        if (dump !== undefined) {
          writeFileSync(join(folder, 'dump'), dump);
          execFileSync('debugfs', ['-w', '-R', `write ${join(folder, 'dump')} vmcore`, config.disk], {
            stdio: 'ignore',
          });
        }
        return end;
      },
    };
  };
}

function refuseMachine(): LabMachine {
  throw new UsageError('no such CPU');
}

function ignore(_reason: string): void {
  // Nobody waits yet.
}

/** A machine that retires a billion instructions a millisecond until it is stopped. */
function spinningMachine(): LabMachine {
  let stop = ignore;
  const start = performance.now();
  return {
    name: 'spinning',
    progress: () => ({ guestSeconds: 1, instructions: (performance.now() - start) * 1e9 }),
    interrupt: reason => stop(reason),
    run: () => new Promise(resolve => (stop = reason => resolve({ kind: 'interrupted', reason }))),
  };
}

describe('runFlow', () => {
  test('leaves console.log, report.json and vmcore, and nothing else', async () => {
    const report = await runFlow(prepared(), out, scriptedMachine(WHOLE_RUN, { kind: 'power-off' }, DUMP));
    expect(readdirSync(out).sort()).toEqual(['console.log', 'report.json', 'vmcore']);
    expect(readFileSync(join(out, 'vmcore')).equals(DUMP)).toBe(true);
    expect(readFileSync(join(out, 'console.log'), 'utf8')).toBe(WHOLE_RUN.join(''));
    expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual(report);
  });

  test('reports phases with guest time and instructions, notes, collector and hashes', async () => {
    const report = await runFlow(prepared(), out, scriptedMachine(WHOLE_RUN, { kind: 'power-off' }, DUMP));
    expect(report.outcome).toBe('dumped');
    expect(report.failure).toBeNull();
    expect(report.phases.map(({ name, guestSeconds, instructions }) => [name, guestSeconds, instructions])).toEqual([
      ['power-on', 0, 0],
      ['production-init', 2, 2e9],
      ['kexec-load', 2, 2e9],
      ['panic', 3, 3e9],
      ['capture-kernel', 5, 5e9],
      ['capture-init', 6, 6e9],
      ['save', 6, 6e9],
      ['saved', 7, 7e9],
      ['stop', 7, 7e9],
    ]);
    expect(report.notes.map(note => note.code)).toEqual(['cma', 'kallsyms']);
    const sha256 = createHash('sha256').update(DUMP).digest('hex');
    expect(report.vmcore).toEqual({ size: DUMP.length, sha256, collector: 'makedumpfile -l -d 31' });
  });

  test('says where a dump is that went over the network', async () => {
    const place = 'ssh kdump@server:/var/crash/10.0.2.15-2026-01-01-00:00:00/vmcore.flat';
    const pieces = [...WHOLE_RUN, `kdump-lab: saved=${place}\r\n`];
    const report = await runFlow(prepared(), out, scriptedMachine(pieces, { kind: 'reset' }, undefined));
    expect(report).toMatchObject({ outcome: 'dumped', failure: null, vmcore: null, remote: { place } });
    expect(readdirSync(out).sort()).toEqual(['console.log', 'report.json']);
  });

  const failures: readonly (readonly [string, readonly string[], LabStop, RegExp])[] = [
    [
      'power-off without a dump',
      WHOLE_RUN.slice(0, 3),
      { kind: 'power-off' },
      /powered off after panic without saving/,
    ],
    ['reset', WHOLE_RUN.slice(0, 2), { kind: 'reset' }, /reset itself after kexec-load/],
    [
      'hang',
      WHOLE_RUN.slice(0, 1),
      { kind: 'timeout', guestSeconds: 600 },
      /not done after 600 guest seconds \(last seen: power-on\)/,
    ],
    ['triple fault', [], { kind: 'failed', message: 'triple fault at 0x1000' }, /triple fault/],
    [
      'failure of init',
      ['kdump-lab: fail=kexec no capture kernel is loaded\r\n'],
      { kind: 'power-off' },
      /no capture kernel is loaded/,
    ],
    [
      'early panic',
      ['[ 0.1] ---[ end Kernel panic - not syncing: VFS: no root ]---\r\n', 'x'],
      { kind: 'timeout', guestSeconds: 9 },
      /VFS: no root/,
    ],
  ];
  test.each(failures)('says in one line what was wrong: %s', async (_, pieces, stop, message) => {
    const report: RunReport = await runFlow(prepared(), out, scriptedMachine(pieces, stop, undefined));
    expect(report.outcome).toBe('failed');
    expect(report.failure).toMatch(message);
    expect(report.failure).not.toContain('\n');
    expect(readdirSync(out).sort()).toEqual(['console.log', 'report.json']);
  });

  test('gives up on a guest that spins without a word', async () => {
    const report = await runFlow(prepared(), out, spinningMachine);
    expect(report.outcome).toBe('failed');
    expect(report.failure).toMatch(/the guest hangs: .* 30 billion instructions/);
  });

  test('does not take a dump from a guest that was stopped half way', async () => {
    const controller = new AbortController();
    const listener = { onPhase: ({ name }: { name: string }) => (name === 'save' ? controller.abort() : undefined) };
    const report = await runFlow(
      prepared(),
      out,
      scriptedMachine(WHOLE_RUN, { kind: 'power-off' }, DUMP),
      listener,
      controller.signal,
    );
    expect(report.outcome).toBe('interrupted');
    expect(readdirSync(out).sort()).toEqual(['console.log', 'report.json']);
  });

  test('removes the files of an earlier run before it starts', async () => {
    await runFlow(prepared(), out, scriptedMachine(WHOLE_RUN, { kind: 'power-off' }, DUMP));
    await runFlow(prepared(), out, scriptedMachine([], { kind: 'reset' }, undefined));
    expect(existsSync(join(out, 'vmcore'))).toBe(false);
  });

  test('says when the output folder cannot be one', async () => {
    writeFileSync(out, 'a file');
    const run = runFlow(prepared(), out, scriptedMachine([], { kind: 'reset' }, undefined));
    await expect(run).rejects.toThrow(UsageError);
    await expect(run).rejects.toThrow(/cannot write to/);
  });

  test.skipIf(process.getuid?.() !== 0)('says that the host disk is full (needs root for a small tmpfs)', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder]);
    try {
      const flood = Array.from({ length: 20 }, () => 'x'.repeat(50_000));
      const run = runFlow(prepared(), out, scriptedMachine(flood, { kind: 'power-off' }, undefined));
      await expect(run).rejects.toThrow(/cannot write to .*: the disk is full/);
      expect(readdirSync(out)).toEqual([]);
    } finally {
      execFileSync('umount', [folder]);
    }
  });

  test('leaves no disk behind when the machine refuses its configuration', async () => {
    await expect(runFlow(prepared(), out, refuseMachine)).rejects.toThrow('no such CPU');
    expect(readdirSync(out)).toEqual([]);
  });
});
