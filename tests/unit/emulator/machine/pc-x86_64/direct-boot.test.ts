import { describe, expect, test } from 'vitest';
import { ImageError } from '../../../../../capture/formats/errors.ts';
import type { LoadSegment } from '../../../../../emulator/machine/boot-state.ts';
import type { AcpiConfig } from '../../../../../emulator/machine/pc-x86_64/acpi-tables.ts';
import { ALL_PARTS } from '../../../../../emulator/machine/pc-x86_64/board-config.ts';
import { directBoot, GDT_LIMIT } from '../../../../../emulator/machine/pc-x86_64/direct-boot.ts';

const MIB = 2 ** 20;
const Q35: AcpiConfig = { board: 'q35', cpuCount: 1, memoryBytes: 512 * MIB, virtioDevices: 0 };
const SETUP_SECTORS = 4;

/** Members of the header that tests change. Offsets: Linux `Documentation/arch/x86/boot.rst` "The Real-Mode Kernel Header". */
interface HeaderChanges {
  readonly xloadflags?: number;
  readonly magic?: number;
}

/** A bzImage of protocol 2.15 with the numbers of Debian's 6.1 kernel. */
function bzImage({ xloadflags = 0x7f, magic = 0x5372_6448 }: HeaderChanges = {}): Uint8Array {
  const bytes = Buffer.alloc((SETUP_SECTORS + 1) * 512 + 4096, 0xcc);
  bytes.fill(0, 0, (SETUP_SECTORS + 1) * 512);
  bytes.writeUInt8(SETUP_SECTORS, 0x1f1);
  bytes.writeUInt16LE(0xaa55, 0x1fe);
  bytes.writeUInt16LE(0x6aeb, 0x200);
  bytes.writeUInt32LE(magic, 0x202);
  bytes.writeUInt16LE(0x020f, 0x206);
  bytes.writeUInt8(1, 0x211);
  bytes.writeUInt32LE(0x7fff_ffff, 0x22c);
  bytes.writeUInt32LE(0x20_0000, 0x230);
  bytes.writeUInt8(1, 0x234);
  bytes.writeUInt16LE(xloadflags, 0x236);
  bytes.writeUInt32LE(2047, 0x238);
  bytes.writeBigUInt64LE(0x100_0000n, 0x258);
  bytes.writeUInt32LE(54 * MIB, 0x260);
  // behind the header: no part of boot_params
  bytes.writeUInt32LE(0xdead_beef, 0x2d0);
  return bytes;
}

function boot(initrdBytes = 0, commandLine = 'console=ttyS0', hardware = Q35) {
  const initrd = initrdBytes > 0 ? { initrd: new Uint8Array(initrdBytes) } : {};
  const { segments, entry } = directBoot({ kernel: bzImage(), commandLine, ...initrd }, hardware);
  const find = (name: string): LoadSegment => segments.find(segment => segment.name === name)!;
  const buffer = (name: string): Buffer => Buffer.from(find(name).bytes);
  return { segments, entry, find, buffer };
}

test.each<[name: string, hardware: Partial<AcpiConfig>, mp: boolean]>([
  ['q35, as SeaBIOS does', {}, true],
  ['q35 without ACPI', { parts: { ...ALL_PARTS, acpi: false } }, true],
  ['microvm, which has ACPI tables alone', { board: 'microvm' }, false],
  ['microvm without ACPI', { board: 'microvm', parts: { ...ALL_PARTS, acpi: false } }, true],
])('MP tables: %s', (_, hardware, mp) => {
  const { segments } = boot(0, '', { ...Q35, ...hardware });
  expect(segments.some(({ name }) => name === 'mp-tables')).toBe(mp);
});

describe('boot_params', () => {
  test('have the members of zero-page.rst at their offsets', () => {
    const { buffer, find } = boot(1_000_000);
    const params = buffer('boot-params');
    expect(params.length).toBe(4096);
    expect(params.readBigUInt64LE(0x70)).toBe(BigInt(find('acpi-rsdp').paddr));
    expect(params.readUInt8(0x1ef)).toBe(0);
    expect(params.readUInt32LE(0x202)).toBe(0x5372_6448);
    expect(params.readUInt8(0x210)).not.toBe(0);
    expect(params.readUInt32LE(0x218)).toBe(find('initrd').paddr);
    expect(params.readUInt32LE(0x21c)).toBe(1_000_000);
    expect(params.readUInt32LE(0x228)).toBe(find('command-line').paddr);
    expect(params.readBigUInt64LE(0x258)).toBe(0x100_0000n);
  });

  test('have the memory map as entries of 20 bytes, and nothing of the file behind its header', () => {
    const params = boot().buffer('boot-params');
    const entries = Array.from({ length: params.readUInt8(0x1e8) }, (_, i) => {
      const at = 0x2d0 + 20 * i;
      return [params.readBigUInt64LE(at), params.readBigUInt64LE(at + 8), params.readUInt32LE(at + 16)];
    });
    expect(entries[0]).toEqual([0n, 0x9_fc00n, 1]);
    expect(entries[3]).toEqual([0x10_0000n, 0x1fed_f000n, 1]);
    expect(entries).toHaveLength(9);
    expect(params.subarray(0x2d0 + 20 * 9).every(byte => byte === 0)).toBe(true);
  });

  test('without an initrd say that there is none', () => {
    const { buffer, segments } = boot();
    expect(buffer('boot-params').readBigUInt64LE(0x218)).toBe(0n);
    expect(segments.some(({ name }) => name === 'initrd')).toBe(false);
  });
});

describe('what the kernel is entered with', () => {
  test('is the 64-bit entry, 0x200 behind the protected-mode kernel, and RSI at boot_params', () => {
    const { entry, find } = boot();
    expect(find('kernel').paddr).toBe(0x10_0000);
    expect(find('kernel').bytes[0]).toBe(0xcc);
    expect(find('kernel').bytes.length).toBe(4096);
    expect(entry).toEqual({
      architecture: 'x86_64',
      mode: 'long64',
      rip: 0x10_0200,
      rsi: find('boot-params').paddr,
      rbx: 0,
    });
  });

  test('is a GDT with __BOOT_CS 0x10 and __BOOT_DS 0x18', () => {
    const gdt = boot().buffer('gdt');
    expect(gdt.length - 1).toBe(GDT_LIMIT);
    // access bytes: code, execute and read; data, read and write. Flags: 64-bit, granularity.
    expect([gdt[0x15], gdt[0x16]! >> 4]).toEqual([0x9b, 0xa]);
    expect([gdt[0x1d], gdt[0x1e]! >> 4]).toEqual([0x93, 0xc]);
  });

  test.each([0, 0x10_0200, 0x4000_0000, 0xffff_ffff])('is a page table that maps address %i to itself', address => {
    const { buffer, find } = boot();
    const tables = buffer('page-tables');
    const { paddr } = find('page-tables');
    const entry = (table: number, index: number): number => Number(tables.readBigUInt64LE(table - paddr + 8 * index));
    const level4 = entry(paddr, 0);
    const level3 = entry(level4 & ~0xfff, Math.floor(address / 2 ** 30));
    const level2 = entry(level3 & ~0xfff, Math.floor(address / 2 ** 21) % 512);
    expect([level4, level3, level2].map(value => value % 8)).toEqual([3, 3, 3]);
    expect(level2 % 4096).toBe(0x83);
    expect(Math.floor(level2 / 2 ** 21)).toBe(Math.floor(address / 2 ** 21));
  });

  test('is a BIOS data area that tells of 639 KiB and the EBDA behind them', () => {
    const bda = boot().buffer('bios-data-area');
    expect(bda.readUInt16LE(0x0e) * 16).toBe(0x9_fc00);
    expect(bda.readUInt16LE(0x13)).toBe(639);
  });

  test('is a command line that ends with a zero byte', () => {
    expect(boot(0, 'quiet').buffer('command-line').toString('latin1')).toBe('quiet\0');
  });
});

describe('placement', () => {
  test('puts the initrd where QEMU 7.2 has it: "RAMDISK: [mem 0x1fedb000-0x1ffcffff]" with 1,000,000 bytes', () => {
    expect(boot(1_000_000).find('initrd').paddr).toBe(0x1fed_b000);
  });

  test('keeps all segments apart', () => {
    const sorted = boot(20 * MIB).segments.toSorted((a, b) => a.paddr - b.paddr);
    for (const [i, segment] of sorted.entries()) {
      expect(segment.paddr + segment.memorySize).toBeLessThanOrEqual(sorted[i + 1]?.paddr ?? 512 * MIB);
    }
  });

  test('keeps the initrd behind the memory in which the kernel unpacks itself', () => {
    const hardware = { ...Q35, memoryBytes: 128 * MIB };
    expect(() => boot(40 * MIB, '', hardware)).not.toThrow();
    expect(() => boot(80 * MIB, '', hardware)).toThrow(ImageError);
    expect(() => boot(80 * MIB, '', hardware)).toThrow('initrd of 80 MiB does not fit: there is room for 58 MiB');
  });
});

describe('refusals', () => {
  test.each([
    ['a file without the header', { magic: 0 }, 'not a bzImage'],
    ['a kernel without a 64-bit entry', { xloadflags: 0 }, 'no 64-bit entry point'],
  ])('%s', (_, changes, message) => {
    const kernel = bzImage(changes);
    expect(() => directBoot({ kernel, commandLine: '' }, Q35)).toThrow(message);
  });

  test('a command line that the kernel would cut', () => {
    expect(() => boot(0, 'x'.repeat(2048))).toThrow('the command line of 2048 characters is longer');
  });

  test('a file that ends in its header', () => {
    expect(() => directBoot({ kernel: bzImage().subarray(0, 0x240), commandLine: '' }, Q35)).toThrow(ImageError);
  });
});
