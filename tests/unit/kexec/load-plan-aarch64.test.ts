import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  cells,
  cells64,
  fdtNode,
  findNode,
  findProperty,
  parseFdt,
  strings,
  writeFdt,
} from '../../../capture/formats/fdt.ts';
import { ARM64_IMAGE_HEADER } from '../../../kexec/images.ts';
import { planKexecFileLoad, planKexecLoad } from '../../../kexec/load-plan-aarch64.ts';
import { findPlanned, NO_LIMITS, type LoadRequest } from '../../../kexec/load-plan.ts';
import { planLines } from '../../../kexec/report.ts';
import type { RunningSystem } from '../../../kexec/running-system.ts';

const MIB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-kexec-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The machine of the tutorial: two banks of RAM, 512 MiB reserved in the first. */
const TUTORIAL: RunningSystem = {
  architecture: 'aarch64',
  systemRam: [
    { start: 0x8000_0000, end: 0x1_0000_0000 },
    { start: 0x8_8000_0000, end: 0x9_0000_0000 },
  ],
  usableRam: [
    { start: 0x8000_0000, end: 0x1_0000_0000 },
    { start: 0x8_8000_0000, end: 0x9_0000_0000 },
  ],
  crashRegions: [{ start: 0xdb60_0000, end: 0xfb60_0000 }],
  cpuNotes: [{ paddr: 0x8_fffe_0000, size: 424 }],
  vmcoreinfo: { paddr: 0x8_8100_0000, size: 0x1024 },
  kernelText: { paddr: 0x8020_0000, size: 0x28d_0000, vaddr: 0xffff_8000_8000_0000n },
  pageOffset: 0xffff_0000_0000_0000n,
  physOffset: 0x8000_0000,
  deviceTree: writeFdt({
    root: fdtNode(
      '',
      [
        ['#address-cells', cells(2)],
        ['#size-cells', cells(2)],
      ],
      [
        fdtNode('chosen', [
          ['bootargs', strings('root=/dev/vda2 crashkernel=512M')],
          ['kaslr-seed', cells64(0)],
          ['linux,initrd-start', cells64(0x8800_0000)],
          ['linux,initrd-end', cells64(0x8900_0000)],
        ]),
      ],
    ),
    reservations: [{ paddr: 0x8800_0000, size: 0x100_0000 }],
    bootCpu: 0,
  }),
};
const IMAGE_SIZE = 0x2a8_0000;

function image(fileSize: number): Uint8Array {
  const bytes = new Uint8Array(fileSize);
  bytes.set(ARM64_IMAGE_HEADER.build({ magic: 'ARM\x64', image_size: IMAGE_SIZE, flags: 0xan }));
  return bytes;
}

const REQUEST: LoadRequest = {
  kernel: image(43_721_216),
  initrd: undefined,
  commandLine: 'root=/dev/vda2 maxcpus=1 reset_devices',
  onPanic: true,
  noChecks: false,
  memory: NO_LIMITS,
  entry: undefined,
  dtb: undefined,
  kaslrSeed: undefined,
  rngSeed: undefined,
};

describe('kexec_file_load of the tutorial', () => {
  const lines: string[] = [];
  const plan = planKexecFileLoad(TUTORIAL, REQUEST, line => lines.push(line));

  test('places kernel, ELF core header and device tree where the kernel did', () => {
    expect(plan.segments.map(({ name, mem }) => [name, mem.toString(16)])).toEqual([
      ['kernel', 'db600000'],
      ['elfcorehdr', 'fb5f0000'],
      ['dtb', 'fb400000'],
    ]);
    expect(plan.entry).toBe(0xdb60_0000);
  });
  test('says what the kernel says', () => {
    expect(lines[0]).toBe('kexec_file: kernel: 0x0 kernel_size: 0x29b2200');
    expect(lines).toContain('kexec_file: Loaded elf core header at 0xfb5f0000 bufsz=0x1000 memsz=0x1000');
    expect(planLines(plan).slice(0, 2)).toEqual([
      'kexec_file: nr_segments = 3',
      'kexec_file: segment[0]: buf=kernel bufsz=0x29b2200 mem=0xdb600000 memsz=0x2a80000',
    ]);
  });
  test('tells the capture kernel its memory and nothing of the first initrd', () => {
    const tree = parseFdt(findPlanned(plan, 'dtb')!.bytes);
    const chosen = findNode(tree.root, '/chosen')!;
    expect(findProperty(chosen, 'linux,usable-memory-range')).toEqual(cells64(0xdb60_0000, 0x2000_0000));
    expect(findProperty(chosen, 'linux,elfcorehdr')).toEqual(cells64(0xfb5f_0000, 0x1000));
    expect(findProperty(chosen, 'linux,initrd-start')).toBeUndefined();
    expect(findProperty(chosen, 'kaslr-seed')).toBeUndefined();
    expect(findProperty(chosen, 'linux,booted-from-kexec')).toHaveLength(0);
    expect(tree.reservations).toEqual([{ paddr: 0xfb5f_0000, size: 0x1000 }]);
  });
});

const HAS_READELF = spawnSync('readelf', ['--version']).status === 0;

test.runIf(HAS_READELF)('readelf reads the ELF core header: notes, kernel, RAM less the region', () => {
  const file = join(folder, 'elfcorehdr');
  writeFileSync(file, findPlanned(planKexecFileLoad(TUTORIAL, REQUEST), 'elfcorehdr')!.bytes);
  const { stdout } = spawnSync('readelf', ['-hlW', file], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  expect(stdout).toContain('Type:                              CORE (Core file)');
  expect(stdout).toContain('Machine:                           AArch64');
  const headers = stdout
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(([type]) => type === 'NOTE' || type === 'LOAD');
  expect(headers.map(([type, , vaddr, paddr, , size]) => [type, vaddr, paddr, size])).toEqual([
    ['NOTE', '0x0000000000000000', '0x00000008fffe0000', '0x0001a8'],
    ['NOTE', '0x0000000000000000', '0x0000000881000000', '0x001024'],
    ['LOAD', '0xffff800080000000', '0x0000000080200000', '0x28d0000'],
    ['LOAD', '0xffff000000000000', '0x0000000080000000', '0x5b600000'],
    ['LOAD', '0xffff00007b600000', '0x00000000fb600000', '0x4a00000'],
    ['LOAD', '0xffff000800000000', '0x0000000880000000', '0x80000000'],
  ]);
});

describe('kexec_load', () => {
  const initrd = new Uint8Array(5 * MIB + 17).fill(7);

  test('puts initrd, tree and purgatory behind the kernel, the ELF core header at the top', () => {
    const plan = planKexecLoad(TUTORIAL, { ...REQUEST, initrd });
    expect(plan.segments.map(({ name, mem, memsz }) => [name, mem, memsz])).toEqual([
      ['kernel', 0xdb60_0000, IMAGE_SIZE],
      ['initrd', 0xde08_0000, 0x50_1000],
      ['dtb', 0xde58_1000, 0x1000],
      ['purgatory', 0xde58_2000, 0x1000],
      ['elfcorehdr', 0xfb5f_f000, 0x1000],
    ]);
    expect(plan.flags).toBe(0xb7_0001);
    expect(plan.entry).toBe(0xde58_2000);
  });
  test('enters where --entry says', () => {
    expect(planKexecLoad(TUTORIAL, { ...REQUEST, entry: 0xdb60_0000 }).entry).toBe(0xdb60_0000);
  });
  test('keeps within --mem-min and --mem-max', () => {
    const memory = { start: 0xe000_0001, end: 0xf000_0000 };
    const { segments } = planKexecLoad(TUTORIAL, { ...REQUEST, memory });
    expect(findPlanned({ segments }, 'kernel')!.mem).toBe(0xe020_0000);
    expect(segments.every(({ mem, memsz }) => mem >= memory.start && mem + memsz <= memory.end)).toBe(true);
  });
  test('without -p goes to the first hole', () => {
    const { segments, flags } = planKexecLoad(TUTORIAL, { ...REQUEST, onPanic: false });
    expect(segments[0]!.mem).toBe(0x8000_0000);
    expect(findPlanned({ segments }, 'elfcorehdr')).toBeUndefined();
    expect(flags).toBe(0xb7_0000);
  });
  test.each<[why: string, system: Partial<RunningSystem>, request: Partial<LoadRequest>, message: RegExp]>([
    ['nothing is reserved', { crashRegions: [] }, {}, /crashkernel is not reserved/],
    ['the region is too small', { crashRegions: [{ start: 0xdb60_0000, end: 0xdd00_0000 }] }, {}, /out of range/],
    ['the initrd does not fit', {}, { initrd: new Uint8Array(480 * MIB) }, /free area of memory .* for the initrd/],
    ['the command line is too long', {}, { commandLine: 'x'.repeat(2048) }, /command line too long/],
    ['the kernel is no Image', {}, { kernel: new Uint8Array(4096) }, /Bad arm64 image header/],
  ])('is refused when %s', (_, system, request, message) => {
    expect(() => planKexecLoad({ ...TUTORIAL, ...system }, { ...REQUEST, ...request })).toThrow(message);
  });
  test('refuses a kaslr-seed that the production kernel has not wiped', () => {
    const deviceTree = writeFdt({
      root: fdtNode('', [], [fdtNode('chosen', [['kaslr-seed', cells64(0x1234)]])]),
      reservations: [],
      bootCpu: 0,
    });
    expect(() => planKexecLoad({ ...TUTORIAL, deviceTree }, REQUEST)).toThrow(/not wiped/);
  });
});

test('two regions: segments go to the last, the capture kernel hears of the low one last', () => {
  const crashRegions = [
    { start: 0xf000_0000, end: 0xf800_0000 },
    { start: 0x8_c000_0000, end: 0x8_e000_0000 },
  ];
  const plan = planKexecLoad({ ...TUTORIAL, crashRegions }, REQUEST);
  expect(findPlanned(plan, 'kernel')!.mem).toBe(0x8_c000_0000);
  const chosen = findNode(parseFdt(findPlanned(plan, 'dtb')!.bytes).root, '/chosen')!;
  expect(findProperty(chosen, 'linux,usable-memory-range')).toEqual(
    cells64(0x8_c000_0000, 0x2000_0000, 0xf000_0000, 0x800_0000),
  );
});
