/** A sound x86_64 image passes, of either loader; what is damaged is named. */
import { describe, expect, test } from 'vitest';
import { writeU16, writeU32, writeU64 } from '../../../capture/formats/bytes.ts';
import { checkLoadedImage } from '../../../kexec/check.ts';
import { planX86KexecLoad } from '../../../kexec/load-plan-x86_64-tools.ts';
import { planX86KexecFileLoad } from '../../../kexec/load-plan-x86_64.ts';
import { NO_LIMITS } from '../../../kexec/load-plan.ts';
import type { LoadedImage } from '../../../kexec/recognise.ts';
import { recogniseSegments } from '../../../kexec/recognise.ts';
import type { RunningSystem, X86Firmware } from '../../../kexec/running-system.ts';
import type { KexecSegment, SegmentName } from '../../../kexec/segments.ts';

const MIB = 2 ** 20;
const REGION = { start: 0x1600_0000, end: 0x1e00_0000 };
const SYSTEM: RunningSystem = {
  architecture: 'x86_64',
  systemRam: [
    { start: 0x1000, end: 0x9_fc00 },
    { start: 0x10_0000, end: 0x1ffd_f000 },
  ],
  usableRam: [{ start: 0x10_0000, end: 0x1ffd_f000 }],
  crashRegions: [REGION],
  cpuNotes: [{ paddr: 0x1e23_9400, size: 368 }],
  vmcoreinfo: { paddr: 0x132_e000, size: 0x1024 },
  kernelText: { paddr: 0x1240_0000, size: 0x283_0000, vaddr: 0xffff_ffff_b120_0000n },
  pageOffset: 0xffff_8880_0000_0000n,
  physOffset: 0,
  deviceTree: new Uint8Array(0),
};
const FIRMWARE: X86Firmware = {
  memoryMap: [
    { start: 0x1000, end: 0x9_fc00, type: 1 },
    { start: 0xf_0000, end: 0x10_0000, type: 2 },
    { start: 0x10_0000, end: 0x1ffd_f000, type: 1 },
  ],
  acpiRsdp: 0xf_59e0,
};

/** A bzImage of protocol 2.15. */
function bzImage(): Uint8Array {
  const bytes = new Uint8Array(MIB).fill(0x90);
  bytes.fill(0, 0, 0x400);
  bytes[0x1f1] = 4;
  writeU16(bytes, 0x1fe, 0xaa55);
  writeU16(bytes, 0x200, 0x6aeb);
  writeU32(bytes, 0x202, 0x5372_6448);
  writeU16(bytes, 0x206, 0x020f);
  bytes[0x211] = 1;
  writeU32(bytes, 0x230, 2 * MIB);
  bytes[0x234] = 1;
  writeU16(bytes, 0x236, 0x7f);
  writeU32(bytes, 0x260, 4 * MIB);
  return bytes;
}

interface Options {
  readonly damaged?: SegmentName;
  readonly damage?: (bytes: Uint8Array) => void;
  readonly file?: boolean;
  readonly noChecks?: boolean;
  readonly system?: Partial<RunningSystem>;
  /** The system at the time of loading. */
  readonly loadedOn?: RunningSystem;
}

function load({ damaged, damage, file = false, noChecks = true, loadedOn = SYSTEM }: Options) {
  const request = {
    kernel: bzImage(),
    initrd: new Uint8Array(MIB).fill(0x30),
    commandLine: 'console=ttyS0 nr_cpus=1',
    onPanic: true,
    noChecks,
    memory: NO_LIMITS,
    entry: undefined,
    dtb: undefined,
    kaslrSeed: undefined,
    rngSeed: file ? undefined : new Uint8Array(32).fill(7),
  };
  const plan = (file ? planX86KexecFileLoad : planX86KexecLoad)(loadedOn, FIRMWARE, request);
  const memory = new Map(plan.segments.map(segment => [segment.mem, contents(segment)]));
  for (const { name, mem } of plan.segments) if (name === damaged) damage?.(memory.get(mem)!);
  const image: LoadedImage = {
    start: plan.entry,
    segments: plan.segments.map(({ mem, memsz, bytes }) => ({ mem, memsz, bufsz: bytes.length })),
    fileMode: file,
  };
  return { plan, image, read: (paddr: number) => memory.get(paddr)! };
}

function check(options: Options = {}): string[] {
  const { image, read } = load(options);
  const findings = checkLoadedImage(image, { ...SYSTEM, ...options.system }, read);
  return findings.map(({ severity, text }) => `${severity}: ${text}`);
}

function contents({ bytes, memsz }: KexecSegment): Uint8Array {
  const all = new Uint8Array(memsz);
  all.set(bytes);
  return all;
}

test.each([false, true])('finds nothing wrong with a sound image (kexec_file_load: %s)', file => {
  expect(check({ file })).toEqual([]);
  expect(check({ file, noChecks: false })).toEqual([]);
});

test.each([false, true])('gives a low region to the capture kernel, too (kexec_file_load: %s)', file => {
  const low = { start: 0x800_0000, end: 0xc00_0000 };
  const system = { ...SYSTEM, crashRegions: [low, ...SYSTEM.crashRegions] };
  expect(check({ file, system, loadedOn: system })).toEqual([]);
});

test.each([false, true])('tells segments by their contents (kexec_file_load: %s)', file => {
  const { plan, image, read } = load({ file });
  expect(recogniseSegments(image, read, 'x86_64').map(({ what }) => what)).toEqual(
    plan.segments.map(({ name }) => name),
  );
});

describe('names what is wrong', () => {
  test.each<[what: string, options: Options, expected: RegExp]>([
    [
      'another kind of kernel',
      { damaged: 'boot_params', damage: bytes => bytes.fill(0) },
      /error: no segment holds boot_params/,
    ],
    [
      'a command line without elfcorehdr=',
      { damaged: 'boot_params', damage: bytes => bytes.set(Buffer.from('nothing\0'), 0x1000) },
      /error: the command line has no elfcorehdr=/,
    ],
    [
      'elfcorehdr= that points elsewhere',
      { damaged: 'boot_params', damage: bytes => bytes.set(Buffer.from('elfcorehdr=1K\0'), 0x1000) },
      /error: elfcorehdr= says 0x400, the header is at 0x1d/,
    ],
    [
      'a memory map that gives away what shall be saved',
      { damaged: 'boot_params', damage: bytes => writeU64(bytes, 0x2d0 + 2 * 20, 0x1000_0000n) },
      /error: the memory map gives 0x10000000-.* outside of the crash kernel region/,
    ],
    [
      'an initrd that is not there',
      { damaged: 'boot_params', damage: bytes => writeU32(bytes, 0x218, 0x1700_0000) },
      /error: ramdisk_image says 0x17000000, where nothing is loaded/,
    ],
    [
      'no core header',
      { damaged: 'elfcorehdr', damage: bytes => bytes.fill(0) },
      /error: no segment holds an ELF core header/,
    ],
    [
      'a hash that is not that of the segments any more',
      { damaged: 'initrd', damage: bytes => void (bytes[100] = 0), noChecks: false },
      /error: the purgatory would not jump/,
    ],
    [
      'a region that is too small',
      { system: { crashRegions: [{ start: REGION.start, end: REGION.end }], cmaBytes: 128 * MIB } },
      /error: the region has 128 MiB, too little for kernel, initrd and CMA \(128 MiB\)/,
    ],
  ])('%s', (_, options, expected) => {
    expect(check(options).join('\n')).toMatch(expected);
  });
});
