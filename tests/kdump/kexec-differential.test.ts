/**
 * Our load plans against the guest's: real kexec-tools, or the real kernel's kexec_file_load, load a capture kernel in a real production
 * kernel; for the same kernel, initrd, command line and memory map ours must give the same segments, byte by byte but for the
 * purgatory's code, which is our own, and random seeds, which are passed on. Of the purgatory of kexec-tools the symbols are compared.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readU64 } from '../../capture/formats/bytes.ts';
import { loadOfDebugLog, systemOfDebugLog } from '../../kexec/debug-log.ts';
import { planKexecLoad } from '../../kexec/load-plan-aarch64.ts';
import { planX86KexecLoad } from '../../kexec/load-plan-x86_64-tools.ts';
import { planX86KexecFileLoad } from '../../kexec/load-plan-x86_64.ts';
import { findPlanned, NO_LIMITS, type LoadPlan, type LoadRequest } from '../../kexec/load-plan.ts';
import { x86PurgatoryVerification } from '../../kexec/purgatory-x86_64.ts';
import { checkMachine } from '../../scripts/lab/live-check.ts';
import { firmwareOfLiveKernel } from '../../scripts/lab/live-kernel.ts';
import { prepareRun, type PreparedRun } from '../../scripts/lab/prepare.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';
import { machineStateOf } from '../../scripts/lab/watched-board.ts';
import { purgatoryOf } from '../support/kexec-purgatory.ts';
import { loadInGuest, type LoadedGuest } from '../support/loaded-guest.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-kexec-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const X86_64: Partial<Scenario> = { architecture: 'x86_64', ...ARCHITECTURE_DEFAULTS.x86_64 };
/** Purgatories of different lengths: kexec-tools' knows a console, and ours on arm64 does not keep its room. */
const OWN_CODE = 'purgatory';

function requestOf(prepared: PreparedRun, more: Partial<LoadRequest> = {}): LoadRequest {
  return {
    kernel: prepared.image.bytes,
    initrd: prepared.initramfs.capture,
    commandLine: prepared.captureCommandLine,
    onPanic: true,
    noChecks: true,
    memory: NO_LIMITS,
    entry: undefined,
    dtb: undefined,
    kaslrSeed: undefined,
    rngSeed: undefined,
    ...more,
  };
}

/** Addresses, sizes and contents of all segments. */
function expectSameSegments(plan: LoadPlan, { image, read }: LoadedGuest): void {
  expect(plan.segments.map(({ mem }) => mem)).toEqual(image.segments.map(({ mem }) => mem));
  for (const [i, { name, bytes, memsz }] of plan.segments.entries()) {
    const theirs = image.segments[i]!;
    if (name === OWN_CODE) continue;
    expect([name, bytes.length, memsz]).toEqual([name, theirs.bufsz, theirs.memsz]);
    const loaded = Buffer.from(read(theirs.mem, theirs.memsz));
    expect(loaded.equals(Buffer.concat([bytes, Buffer.alloc(memsz - bytes.length)])), name).toBe(true);
  }
}

/** What `kexec check` says of the guest. */
function findings({ board }: LoadedGuest): readonly string[] {
  return checkMachine(machineStateOf(board))!.findings.map(({ severity, text }) => `${severity}: ${text}`);
}

/** Changes a byte of a segment behind the guest's back. */
function damage({ image, read }: LoadedGuest, plan: LoadPlan, name: 'initrd' | 'elfcorehdr'): void {
  const segment = image.segments[plan.segments.findIndex(each => each.name === name)]!;
  read(segment.mem, segment.memsz)[1]! ^= 0xff;
}

describe.each<[name: string, scenario: Partial<Scenario>]>([
  ['arm64 -c: Debian 12, 8 CPUs', { cpus: 8 }],
  ['arm64 -c: Debian 13, 2 CPUs, 192 MiB reserved', { suite: 'trixie', cpus: 2, crashkernel: '192M' }],
])('%s', (_, scenario) => {
  test('our segments are those of the guest', async () => {
    const prepared = await prepareRun({ ...DEFAULT_SCENARIO, fast: true, kexecOptions: '-p -c -i -d', ...scenario });
    const guest = await loadInGuest(prepared, folder);
    const logged = loadOfDebugLog(guest.console);
    const lines: string[] = [];
    const system = systemOfDebugLog(guest.console, guest.system.deviceTree);
    const plan = planKexecLoad(system, requestOf(prepared), line => lines.push(line));
    expect(plan.flags).toBe(logged.flags);
    // What the host finds in memory is what the kernel told kexec.
    const { cpuNotes, vmcoreinfo, kernelText, crashRegions } = guest.system;
    expect({ cpuNotes, vmcoreinfo, kernelText, crashRegions }).toEqual({
      cpuNotes: system.cpuNotes,
      vmcoreinfo: system.vmcoreinfo,
      kernelText: system.kernelText,
      crashRegions: system.crashRegions,
    });
    expect(lines.filter(line => !OWN_LINES.test(line))).toEqual(debugLines(guest.console));
    expectSameSegments(plan, guest);
    expect(findings(guest)).toEqual([]);
    damage(guest, plan, 'elfcorehdr');
    expect(findings(guest)).toEqual(['error: no segment holds an ELF core header: /proc/vmcore will not exist']);
  });
});

test.each<[name: string, scenario: Partial<Scenario>]>([
  ['Debian 12', {}],
  ['Debian sid, 2 CPUs', { suite: 'sid', cpus: 2 }],
])('x86_64 -c, %s: our segments, and what the purgatory is told, are those of the guest', async (_, scenario) => {
  // With the purgatory's check, which --fast leaves out.
  const words = { append: 'cryptomgr.notests', captureAppend: 'cryptomgr.notests' };
  const prepared = await prepareRun({
    ...DEFAULT_SCENARIO,
    ...X86_64,
    ...words,
    kexecOptions: '-p -c -d',
    ...scenario,
  });
  const guest = await loadInGuest(prepared, folder);
  const lines: string[] = [];
  const rngSeed = seedOf(guest);
  const request = requestOf(prepared, { noChecks: false, rngSeed });
  const plan = planX86KexecLoad(guest.system, firmwareOfLiveKernel(guest.program), request, line => lines.push(line));
  expect(plan.flags).toBe(loadOfDebugLog(guest.console).flags);
  expectSameSegments(plan, guest);
  expectSamePurgatory(plan, guest, prepared);
  expect(lines.filter(line => !OWN_LINES.test(line))).toEqual(debugLines(guest.console));
  expect(findings(guest)).toEqual([]);
  damage(guest, plan, 'initrd');
  expect(findings(guest)).toEqual([
    'error: the purgatory would not jump: its SHA-256 is not that of the segments in memory',
  ]);
});

/** `struct setup_data` of a seed that kexec-tools took from the guest's kernel, when that had one. */
function seedOf({ image, read }: LoadedGuest): Uint8Array | undefined {
  const segment = image.segments.find(({ bufsz }) => bufsz === 48);
  return segment === undefined ? undefined : read(segment.mem + 16, 32);
}

/** The symbols that kexec-tools sets in its purgatory. */
function expectSamePurgatory(
  plan: LoadPlan & { bootParams: number },
  { read }: LoadedGuest,
  prepared: PreparedRun,
): void {
  const kexec = prepared.kexecProgram;
  const layout = purgatoryOf(kexec);
  const segment = findPlanned(plan, 'purgatory')!;
  expect([segment.bytes.length, segment.memsz]).toEqual([layout.bufsz, layout.memsz]);
  const bytes = read(segment.mem, segment.memsz);
  const symbol = (name: string, index = 0): number => Number(readU64(bytes, layout.symbols.get(name)! + index * 8));
  const backup = findPlanned(plan, 'backup')!;
  const registers = { rbx: 1, rsi: 4, rip: 16 };
  expect({
    rbx: symbol('entry64_regs', registers.rbx),
    rsi: symbol('entry64_regs', registers.rsi),
    rip: symbol('entry64_regs', registers.rip),
    backup_start: symbol('backup_start'),
    backup_src_start: symbol('backup_src_start'),
    backup_src_size: symbol('backup_src_size'),
  }).toEqual({
    rbx: 0,
    rsi: plan.bootParams,
    rip: findPlanned(plan, 'kernel')!.mem + 0x200,
    backup_start: backup.mem,
    backup_src_start: 0x1000,
    backup_src_size: backup.bytes.length,
  });
  const regions = Array.from({ length: 16 }, (_, i) => ({
    start: symbol('sha256_regions', 2 * i),
    len: symbol('sha256_regions', 2 * i + 1),
  }));
  const digest = layout.symbols.get('sha256_digest')!;
  expect(x86PurgatoryVerification(segment.bytes)).toEqual({
    regions: regions.filter(({ len }) => len > 0),
    digest: Buffer.from(bytes.subarray(digest, digest + 32)).toString('hex'),
  });
}

/** What cannot be the same: addresses in kexec's own memory, the relocation of its purgatory, and what the kernel says meanwhile. */
const OWN_LINES =
  /^(\[ *\d+\.\d+\]|sym:|R_X86_64_|machine_apply_elf_rel:|segment\[\d+\]\.buf |kernel: 0x|kexec_load: entry|nr_segments|segment\[)/;

/** From the size of the kernel to the system call, less what cannot be the same. */
function debugLines(console: string): string[] {
  const lines = console.split('\n');
  const start = lines.findIndex(line => line.startsWith('kernel: 0x'));
  const end = lines.findIndex(line => line.startsWith('kexec_load: entry'));
  return lines.slice(start, end).filter(line => !OWN_LINES.test(line));
}

test.each<[name: string, scenario: Partial<Scenario>]>([
  ['Debian 12, 2 CPUs', { cpus: 2 }],
  [
    'Debian 12, regions above and below 4 GiB',
    { memorySize: 3 * 2 ** 30, crashkernel: '192M,high', append: 'crashkernel=64M,low' },
  ],
  ['Debian 13', { suite: 'trixie' }],
  // Since v6.8 the kernel says with -d what it does.
  ['Debian sid', { suite: 'sid', kexecOptions: '-p -s -d' }],
])('x86_64 -s, %s: our segments are those of the guest', async (_, scenario) => {
  const prepared = await prepareRun({ ...DEFAULT_SCENARIO, ...X86_64, fast: true, kexecOptions: '-p -s', ...scenario });
  const guest = await loadInGuest(prepared, folder);
  expect(guest.image.fileMode).toBe(true);
  const lines: string[] = [];
  const firmware = firmwareOfLiveKernel(guest.program);
  const plan = planX86KexecFileLoad(guest.system, firmware, requestOf(prepared), line => lines.push(line));
  expectSameSegments(plan, guest);
  expect(findings(guest)).toEqual([]);
  if (prepared.scenario.kexecOptions.endsWith('-d')) expect(lines).toEqual(kernelLines(guest.console));
});

/** What the kernel says up to the list of segments. It does not show pointers. */
function kernelLines(console: string): string[] {
  const said = [...console.matchAll(/^\[ *[\d.]+\] ((?:kexec|crash_core).*)$/gm)].map(([, text]) => text!);
  const lines = said.map(line => line.replace('(____ptrval____)', '0x0'));
  return lines.slice(
    0,
    lines.findIndex(line => line.includes('nr_segments')),
  );
}
