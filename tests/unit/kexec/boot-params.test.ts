/** Offsets: Documentation/arch/x86/boot.rst and zero-page.rst (v6.12). */
import { describe, expect, test } from 'vitest';
import { readU32, readU64, writeU16, writeU32, writeU64 } from '../../../capture/formats/bytes.ts';
import { buildBootParams, captureMemoryMap } from '../../../kexec/boot-params.ts';
import { readBzImage } from '../../../kexec/images.ts';
import { planX86KexecFileLoad } from '../../../kexec/load-plan-x86_64.ts';
import { findPlanned, NO_LIMITS } from '../../../kexec/load-plan.ts';
import { segmentEnd, sortSegments } from '../../../kexec/segments.ts';

const MIB = 2 ** 20;
const INIT_SIZE = 54 * MIB;

/** A bzImage of protocol 2.15 with 4 setup sectors. */
function bzImage(): Uint8Array {
  const bytes = new Uint8Array(8 * MIB);
  bytes[0x1f1] = 4;
  writeU16(bytes, 0x1fe, 0xaa55);
  writeU16(bytes, 0x200, 0x6aeb);
  writeU32(bytes, 0x202, 0x5372_6448);
  writeU16(bytes, 0x206, 0x020f);
  bytes[0x211] = 1;
  writeU32(bytes, 0x230, 2 * MIB);
  bytes[0x234] = 1;
  writeU16(bytes, 0x236, 0x7f);
  writeU64(bytes, 0x258, 0x100_0000n);
  writeU32(bytes, 0x260, INIT_SIZE);
  return bytes;
}

const FIRMWARE = [
  { start: 0, end: 0x9_fc00, type: 1 },
  { start: 0x9_fc00, end: 0xa_0000, type: 2 },
  { start: 0x10_0000, end: 0x1ffd_f000, type: 1 },
  { start: 0x1ffd_f000, end: 0x2000_0000, type: 2 },
];
const REGION = { start: 0x1500_0000, end: 0x1d00_0000 };

describe('boot_params', () => {
  const params = buildBootParams({
    image: readBzImage(bzImage()),
    commandLinePaddr: 0x1_2345_6000,
    initrd: { start: 0x1800_0000, end: 0x1800_0123 },
    memoryMap: FIRMWARE,
    acpiRsdp: 0xf_5ad0,
  });

  test.each<[field: string, offset: number, expected: number]>([
    ['setup_sects', 0x1f1, 4],
    ['header', 0x202, 0x5372_6448],
    ['cmd_line_ptr', 0x228, 0x2345_6000],
    ['ext_cmd_line_ptr', 0x0c8, 1],
    ['ramdisk_image', 0x218, 0x1800_0000],
    ['ramdisk_size', 0x21c, 0x123],
    ['acpi_rsdp_addr', 0x070, 0xf_5ad0],
  ])('has %s', (field, offset, expected) => {
    expect(field === 'setup_sects' ? params[offset] : readU32(params, offset)).toBe(expected);
  });
  test('has the memory map', () => {
    expect(params[0x1e8]).toBe(4);
    expect(readU64(params, 0x2d0 + 2 * 20)).toBe(0x10_0000n);
    expect(readU64(params, 0x2d0 + 2 * 20 + 8)).toBe(0x1fed_f000n);
    expect(readU32(params, 0x2d0 + 3 * 20 + 16)).toBe(2);
  });
  test('takes nothing behind the setup header of the image', () => {
    expect(params.subarray(0x26c, 0x2d0).every(byte => byte === 0)).toBe(true);
  });
});

test('the capture kernel sees low memory, firmware, and its region less the ELF core header', () => {
  expect(captureMemoryMap(FIRMWARE, [REGION], { start: 0x1500_0000, end: 0x1500_1000 })).toEqual([
    { start: 0, end: 0x9_fc00, type: 1 },
    { start: 0x9_fc00, end: 0xa_0000, type: 2 },
    { start: 0x1ffd_f000, end: 0x2000_0000, type: 2 },
    { start: 0x1500_1000, end: 0x1d00_0000, type: 1 },
  ]);
});

test('a bzImage is placed from the top of the region, the ELF core header at its bottom', () => {
  const system = {
    architecture: 'x86_64' as const,
    systemRam: [
      { start: 0x1000, end: 0x9_fc00 },
      { start: 0x10_0000, end: 0x1ffd_f000 },
    ],
    usableRam: [REGION],
    crashRegions: [REGION],
    cpuNotes: [{ paddr: 0x1fc1_0000, size: 368 }],
    vmcoreinfo: undefined,
    kernelText: undefined,
    pageOffset: 0xffff_8880_0000_0000n,
    physOffset: 0,
    deviceTree: new Uint8Array(0),
  };
  const plan = planX86KexecFileLoad(
    system,
    { memoryMap: FIRMWARE, acpiRsdp: 0 },
    {
      kernel: bzImage(),
      initrd: new Uint8Array(5 * MIB),
      commandLine: 'console=ttyS0 nr_cpus=1',
      onPanic: true,
      noChecks: true,
      memory: NO_LIMITS,
      entry: undefined,
      dtb: undefined,
      kaslrSeed: undefined,
      rngSeed: undefined,
    },
  );
  expect(sortSegments(plan.segments).at(0)!.name).toBe('elfcorehdr');
  expect(findPlanned(plan, 'elfcorehdr')!.mem).toBe(REGION.start);
  const kernel = findPlanned(plan, 'kernel')!;
  expect([kernel.mem % (2 * MIB), kernel.memsz]).toEqual([0, INIT_SIZE]);
  // The kernel takes the last byte for the end when it searches down, and so loses a page.
  const purgatory = findPlanned(plan, 'purgatory')!;
  expect(segmentEnd(purgatory)).toBe(REGION.end - 0x1000);
  expect([plan.entry >= purgatory.mem, plan.entry < segmentEnd(purgatory)]).toEqual([true, true]);
  const params = findPlanned(plan, 'boot_params')!;
  expect(segmentEnd(params)).toBe(purgatory.mem);
  expect(Buffer.from(params.bytes.subarray(4096)).toString()).toMatch(
    /^elfcorehdr=0x15000000 console=ttyS0 nr_cpus=1\0/,
  );
});
