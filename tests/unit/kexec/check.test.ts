/** A sound image passes; each kind of damage that was seen in the field is named. */
import { describe, expect, test } from 'vitest';
import { writeU64 } from '../../../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR } from '../../../capture/formats/elf.ts';
import { cells, fdtNode, strings, writeFdt } from '../../../capture/formats/fdt.ts';
import { checkLoadedImage } from '../../../kexec/check.ts';
import type { LoadedImage } from '../../../kexec/recognise.ts';
import { ARM64_IMAGE_HEADER } from '../../../kexec/images.ts';
import { planKexecLoad } from '../../../kexec/load-plan-aarch64.ts';
import { NO_LIMITS } from '../../../kexec/load-plan.ts';
import type { RunningSystem } from '../../../kexec/running-system.ts';
import type { KexecSegment, SegmentName } from '../../../kexec/segments.ts';

const MIB = 2 ** 20;
const SYSTEM: RunningSystem = {
  architecture: 'aarch64',
  systemRam: [{ start: 0x4000_0000, end: 0x6000_0000 }],
  usableRam: [{ start: 0x4000_0000, end: 0x6000_0000 }],
  crashRegions: [{ start: 0x5360_0000, end: 0x5b60_0000 }],
  cpuNotes: [{ paddr: 0x5fed_4000, size: 424 }],
  vmcoreinfo: { paddr: 0x422f_a000, size: 0x1024 },
  kernelText: { paddr: 0x4020_0000, size: 0x1ab_0000, vaddr: 0xffff_8000_0800_0000n },
  pageOffset: 0xffff_0000_0000_0000n,
  physOffset: 0x4000_0000,
  deviceTree: writeFdt({
    root: fdtNode(
      '',
      [
        ['#address-cells', cells(2)],
        ['#size-cells', cells(2)],
      ],
      [fdtNode('chosen', [['stdout-path', strings('/pl011@9000000')]])],
    ),
    reservations: [],
    bootCpu: 0,
  }),
};
const KERNEL = new Uint8Array(64 * 1024);
KERNEL.set(ARM64_IMAGE_HEADER.build({ magic: 'ARM\x64', image_size: 2 * MIB, flags: 0xan }));

/** Loads a sound image, lets `damage` change a segment's bytes, and checks what is there then. */
function check(
  damaged?: SegmentName,
  damage: (bytes: Uint8Array) => void = () => {},
  options: {
    readonly noChecks?: boolean;
    readonly system?: Partial<RunningSystem>;
    readonly initrdSize?: number;
    readonly words?: string;
  } = {},
): string[] {
  const plan = planKexecLoad(SYSTEM, {
    kernel: KERNEL,
    initrd: new Uint8Array(options.initrdSize ?? MIB).fill(0x30),
    commandLine: `console=ttyAMA0 nr_cpus=1 ${options.words ?? ''}`,
    onPanic: true,
    noChecks: options.noChecks ?? true,
    memory: NO_LIMITS,
    entry: undefined,
    dtb: undefined,
    kaslrSeed: undefined,
    rngSeed: undefined,
  });
  const memory = new Map(plan.segments.map(segment => [segment.mem, contents(segment)]));
  for (const { name, mem } of plan.segments) if (name === damaged) damage(memory.get(mem)!);
  const image: LoadedImage = {
    start: plan.entry,
    segments: plan.segments.map(({ mem, memsz, bytes }) => ({ mem, memsz, bufsz: bytes.length })),
    fileMode: false,
  };
  const findings = checkLoadedImage(image, { ...SYSTEM, ...options.system }, paddr => memory.get(paddr)!);
  return findings.map(({ severity, text }) => `${severity}: ${text}`);
}

function contents({ bytes, memsz }: KexecSegment): Uint8Array {
  const all = new Uint8Array(memsz);
  all.set(bytes);
  return all;
}

const FIRST_LOAD = ELF64_EHDR.size + 2 * ELF64_PHDR.size;

test('finds nothing wrong with a sound image', () => {
  expect(check()).toEqual([]);
  expect(check(undefined, undefined, { noChecks: false })).toEqual([]);
});

describe('names what is wrong', () => {
  test.each<[what: string, segment: SegmentName, damage: (bytes: Uint8Array) => void, expected: RegExp]>([
    [
      'the kernel PT_LOAD of kexec-tools without _text',
      'elfcorehdr',
      bytes => {
        writeU64(bytes, FIRST_LOAD + ELF64_PHDR.offsets.p_paddr, 0x8000_3820_0000n);
        writeU64(bytes, FIRST_LOAD + ELF64_PHDR.offsets.p_memsz, 0xffff_8000_0a00_0000n);
      },
      /error: the ELF core header has a PT_LOAD of 1\.8e\+19 bytes .* did not find _text/,
    ],
    [
      'memory that is not there',
      'elfcorehdr',
      bytes => writeU64(bytes, FIRST_LOAD + ELF64_PHDR.size + ELF64_PHDR.offsets.p_paddr, 0x8000_0000n),
      /error: PT_LOAD 0x80000000-.* is no System RAM/,
    ],
    [
      'notes of another boot',
      'elfcorehdr',
      bytes => writeU64(bytes, ELF64_EHDR.size + ELF64_PHDR.offsets.p_paddr, 0x5000_0000n),
      /warning: the registers of CPU 0 will not be in the dump/,
    ],
    ['no core header', 'elfcorehdr', bytes => bytes.fill(0), /error: no segment holds an ELF core header/],
    ['a damaged tree', 'dtb', bytes => bytes.fill(0xff, 40, 60), /error: the device tree is damaged/],
    [
      'a kernel of another architecture',
      'kernel',
      bytes => bytes.fill(0, 0, 64),
      /error: no segment holds an arm64 Image/,
    ],
  ])('%s', (_, segment, damage, expected) => {
    expect(check(segment, damage).join('\n')).toMatch(expected);
  });
  test('a hash that is not that of the segments any more', () => {
    const findings = check('initrd', bytes => (bytes[100] = 0), { noChecks: false });
    expect(findings).toEqual([
      'error: the purgatory would not jump: its SHA-256 is not that of the segments in memory',
    ]);
  });
  test('a region that moved since the load', () => {
    const system = { crashRegions: [{ start: 0x5000_0000, end: 0x5800_0000 }] };
    expect(check(undefined, undefined, { system }).join('\n')).toMatch(
      /linux,usable-memory-range begins at 0x53600000/,
    );
  });
  test('a region in which the initrd cannot be unpacked', () => {
    expect(check(undefined, undefined, { initrdSize: 70 * MIB }).join('\n')).toMatch(
      /error: the region has 128 MiB, too little for kernel, initrd/,
    );
  });
  test.each([
    ['cma=120M', /error: the region has 128 MiB, too little for kernel, initrd and CMA \(120 MiB\)/],
    ['cma=0 cma=120M', /too little/],
    ['cma=120M cma=0', /^$/],
    ['cma=100M', /warning: the region has 128 MiB, the capture kernel may need 129 MiB/],
  ])('a CMA pool of %s, of which the last counts', (words, expected) => {
    expect(check(undefined, undefined, { words }).join('\n')).toMatch(expected);
  });
  test("a CMA pool like the production kernel's, where nothing says otherwise", () => {
    const system = { cmaBytes: 120 * MIB };
    expect(check(undefined, undefined, { system }).join('\n')).toMatch(/too little/);
    expect(check(undefined, undefined, { system, words: 'cma=0' })).toEqual([]);
  });
  test('nothing loaded, nothing reserved', () => {
    const read = () => new Uint8Array(0);
    expect(checkLoadedImage(undefined, SYSTEM, read)).toEqual([
      { severity: 'error', text: 'no capture kernel is loaded' },
    ]);
    const image = { start: 0, segments: [], fileMode: false };
    expect(checkLoadedImage(image, { ...SYSTEM, crashRegions: [] }, read)[0]!.text).toMatch(/no memory is reserved/);
  });
});
