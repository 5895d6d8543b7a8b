/**
 * The tables of errors of kexec_load and kexec_file_load against real kernels: a small program makes the calls in a Debian guest and
 * prints what each returns; then again with kernel.kexec_load_disabled set.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { writeU64 } from '../../capture/formats/bytes.ts';
import {
  checkKexecFileLoad,
  checkKexecLoad,
  ERRNO,
  KEXEC_ARCH,
  type KexecFileLoadArguments,
  type KexecKernel,
  type KexecLoadArguments,
  type Refusal,
} from '../../kexec/syscalls.ts';
import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO } from '../../scripts/lab/scenario.ts';
import {
  returnedErrors,
  SOME_BUFFER,
  systemCallProgram,
  writeProgramCommand,
  type Argument,
  type SystemCall,
} from '../support/system-calls.ts';

type Architecture = KexecKernel['architecture'];

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-errno-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NUMBERS = { aarch64: { load: 104, fileLoad: 294 }, x86_64: { load: 246, fileLoad: 320 } } as const;
/** `crashkernel=` with an address, so that the calls can be written down beforehand. */
const REGIONS = {
  aarch64: { start: 0x5000_0000, end: 0x5800_0000 },
  x86_64: { start: 0x1000_0000, end: 0x1800_0000 },
} as const;

/** What Debian 12's configurations say. */
function kernelOf(architecture: Architecture): KexecKernel {
  return {
    architecture,
    hasKexecLoad: true,
    hasKexecFileLoad: architecture === 'x86_64',
    // KEXEC_PRESERVE_CONTEXT needs CONFIG_KEXEC_JUMP, which is off; the other two came with v6.5 and v6.10.
    knownFlags: 1,
    // Up to KEXEC_FILE_NO_INITRAMFS; KEXEC_FILE_DEBUG came with v6.8.
    knownFileFlags: 7,
    mayBoot: true,
    loadDisabled: false,
    loadsLeft: { panic: undefined, reboot: undefined },
    busy: false,
    crashRegion: REGIONS[architecture],
    totalRamPages: 0x1_6000,
  };
}

interface Row {
  readonly what: string;
  readonly call: SystemCall;
  readonly expected: (kernel: KexecKernel) => Refusal | undefined;
}

function loadRow(architecture: Architecture, what: string, call: KexecLoadArguments): Row {
  const segments = call.segments.length === 0 && call.nrSegments > 0 ? 8n : segmentArray(call);
  return {
    what: `kexec_load: ${what}`,
    call: {
      number: NUMBERS[architecture].load,
      arguments: [call.entry, BigInt(call.nrSegments), segments, call.flags],
    },
    expected: kernel => checkKexecLoad(call, kernel),
  };
}

/** Of `struct kexec_segment`. */
function segmentArray({ segments }: KexecLoadArguments): Argument {
  const bytes = new Uint8Array(segments.length * 32);
  for (const [i, { bufsz, mem, memsz }] of segments.entries())
    for (const [n, value] of [SOME_BUFFER, bufsz, mem, memsz].entries()) writeU64(bytes, i * 32 + n * 8, value);
  return bytes;
}

function loadRows(architecture: Architecture): Row[] {
  const region = REGIONS[architecture];
  const start = BigInt(region.start);
  const end = BigInt(region.end);
  const own = BigInt(architecture === 'aarch64' ? KEXEC_ARCH.AARCH64 : KEXEC_ARCH.X86_64);
  const other = BigInt(architecture === 'aarch64' ? KEXEC_ARCH.X86_64 : KEXEC_ARCH.AARCH64);
  const flags = own | 1n;
  const one = { bufsz: 0n, mem: start, memsz: 0x1000n };
  const row = (what: string, call: Partial<KexecLoadArguments>): Row =>
    loadRow(architecture, what, { entry: start, nrSegments: call.segments?.length ?? 0, segments: [], flags, ...call });
  return [
    row('unknown flag', { flags: 0x100n }),
    row('KEXEC_PRESERVE_CONTEXT', { flags: own | 2n }),
    row('KEXEC_UPDATE_ELFCOREHDR', { flags: flags | 4n }),
    row('KEXEC_CRASH_HOTPLUG_SUPPORT', { flags: flags | 8n }),
    row('17 segments', { nrSegments: 17, segments: Array.from({ length: 17 }, () => one) }),
    row('another architecture', { flags: other | 1n }),
    row('the default architecture', { flags: 1n }),
    row('segments that cannot be read', { nrSegments: 1 }),
    row('unload', {}),
    row('unload for a reboot', { flags: own }),
    row('entry below the region', { entry: start - 1n, segments: [one] }),
    row('entry behind the region', { entry: end, segments: [one] }),
    row('unaligned start', { segments: [{ ...one, mem: start + 8n }] }),
    row('unaligned end', { segments: [{ ...one, memsz: 0x1800n }] }),
    row('wraps around', { segments: [{ ...one, mem: 0xffff_ffff_ffff_f000n, memsz: 0x2000n }] }),
    row('ends at the top', { segments: [{ ...one, mem: 0xffff_ffff_ffff_e000n, memsz: 0x1000n }] }),
    row('overlap', { segments: [one, one] }),
    row('overlap of a page', {
      segments: [
        { ...one, memsz: 0x2000n },
        { ...one, mem: start + 0x1000n },
      ],
    }),
    row('buffer too large', { segments: [{ ...one, bufsz: 0x1001n }] }),
    row('more than half of memory', { segments: [{ ...one, memsz: 0x1_8000_0000n }] }),
    row('below the region', { segments: [{ ...one, mem: start - 0x1000n }] }),
    row('behind the region', { segments: [{ ...one, mem: end }] }),
    row('no page left in the region', { segments: [{ ...one, memsz: end - start }] }),
    row('out of the region', { segments: [{ ...one, mem: end - 0x1000n, memsz: 0x2000n }] }),
  ];
}

/** Descriptors that the shell opens for the program. */
const FD = { kernel: 3, unknown: 4, empty: 5, directory: 6, none: 99 } as const;
const REDIRECTIONS = '3</boot/kernel 4</init 5</tmp/empty 6</';
const descriptorOf = {
  image: FD.kernel,
  unknown: FD.unknown,
  empty: FD.empty,
  directory: FD.directory,
  file: FD.unknown,
};

function fileLoadRows(architecture: Architecture): Row[] {
  const text = (line: string): Uint8Array => Buffer.from(line, 'latin1');
  const row = (what: string, changes: Partial<KexecFileLoadArguments>): Row => {
    const defaults = { kernel: 'image', initrd: 'file', commandLine: text('console=none\0'), flags: 2n } as const;
    const call: KexecFileLoadArguments = { ...defaults, ...changes };
    const { kernel, initrd, commandLine, flags } = call;
    const fds = [kernel, initrd].map(file => BigInt(file === undefined ? FD.none : descriptorOf[file]));
    const line: readonly Argument[] = commandLine === undefined ? [0n, 0n] : [BigInt(commandLine.length), commandLine];
    return {
      what: `kexec_file_load: ${what}`,
      call: { number: NUMBERS[architecture].fileLoad, arguments: [...fds, ...line, flags] },
      expected: state => checkKexecFileLoad(call, state),
    };
  };
  return [
    row('unknown flag', { flags: 0x102n }),
    row('KEXEC_FILE_DEBUG', { flags: 0xan }),
    row('no kernel', { kernel: undefined }),
    row('an empty kernel', { kernel: 'empty' }),
    row('a directory for a kernel', { kernel: 'directory' }),
    row('a kernel that is none', { kernel: 'unknown' }),
    row('no initrd', { initrd: undefined }),
    row('an empty initrd', { initrd: 'empty' }),
    row('a directory for an initrd', { initrd: 'directory' }),
    row('KEXEC_FILE_NO_INITRAMFS', { initrd: undefined, flags: 6n }),
    row('a command line without end', { commandLine: text('console=none') }),
    row('loads', {}),
    row('unload', { kernel: undefined, initrd: undefined, commandLine: undefined, flags: 3n }),
  ];
}

function expectedErrors(rows: readonly Row[], kernel: KexecKernel): (readonly [string, number])[] {
  return rows.map(({ what, expected }) => {
    const refusal = expected(kernel);
    return [what, refusal === undefined ? 0 : ERRNO[refusal.errno]];
  });
}

test.each<[Architecture]>([['aarch64'], ['x86_64']])(
  'a Debian 12 kernel for %s returns the errors of the tables',
  async architecture => {
    const rows = [...loadRows(architecture), ...fileLoadRows(architecture)];
    const program = systemCallProgram(
      architecture,
      rows.map(({ call }) => call),
    );
    const run = `/tmp/calls ${REDIRECTIONS}`;
    // The lab's own init has loaded a capture kernel.
    const failing = rows.find(({ what }) => what === 'kexec_load: overlap')!;
    const one = writeProgramCommand(systemCallProgram(architecture, [failing.call]), '/tmp/one');
    const held = 'echo held=$(cat /sys/kernel/kexec_crash_loaded)';
    const replace = `${one}; ${held}; /tmp/one > /dev/null; ${held}`;
    const disable = 'echo 1 > /proc/sys/kernel/kexec_load_disabled';
    const panic = `${replace}; : > /tmp/empty; ${writeProgramCommand(program, '/tmp/calls')}; ${run}; ${disable}; ${run}; poweroff -f`;
    const { start, end } = REGIONS[architecture];
    const crashkernel = `${(end - start) / 2 ** 20}M@0x${start.toString(16)}`;
    const defaults = { ...DEFAULT_SCENARIO, architecture, ...ARCHITECTURE_DEFAULTS[architecture] };
    const scenario = { ...defaults, fast: true, crashkernel, append: 'nokaslr', panic };
    await runFlow(await prepareRun(scenario), folder, config => new EmulatedMachine(config));
    const console = readFileSync(join(folder, 'console.log'), 'latin1');
    // As applyKexecLoad: an image for a crash goes before the new one is looked at.
    expect([...console.matchAll(/^held=(\d)/gm)].map(([, loaded]) => loaded)).toEqual(['1', '0']);
    const errors = returnedErrors(console);
    const kernel = kernelOf(architecture);
    const expected = [...expectedErrors(rows, kernel), ...expectedErrors(rows, { ...kernel, loadDisabled: true })];
    expect(expected.map(([what], i) => [what, errors[i]])).toEqual(expected);
  },
);
