import { randomBytes } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { ImageError } from '../../../capture/formats/errors.ts';
import { readKernelImage, requireArchitecture } from '../../../kernel-images/kernel-image.ts';

const BANNER = 'Linux version 6.1.0-56-cloud-arm64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP\n';

/** Documentation/arch/arm64/booting.rst "Call the kernel image". */
function arm64Image(size = 65_536, flags = 0xan): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32LE(0x1400_0000, 4);
  bytes.writeBigUInt64LE(0n, 8);
  bytes.writeBigUInt64LE(65_536n, 16);
  bytes.writeBigUInt64LE(flags, 24);
  bytes.write('ARM\x64', 56, 'latin1');
  if (size > 1000 + BANNER.length) bytes.write(BANNER, 1000);
  return bytes;
}

/** Documentation/arch/x86/boot.rst "The Real-Mode Kernel Header". */
function bzImage(): Buffer {
  const bytes = Buffer.alloc(512 * 5 + 4096);
  bytes[0x1f1] = 4;
  bytes.writeUInt32LE(4096 / 16, 0x1f4);
  bytes.writeUInt16LE(0xaa55, 0x1fe);
  bytes.write('HdrS', 0x202);
  bytes.writeUInt16LE(0x020f, 0x206);
  bytes.writeUInt16LE(0x400, 0x20e);
  bytes.writeUInt16LE(1, 0x236);
  bytes.writeUInt32LE(54 * 2 ** 20, 0x260);
  bytes.write('6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1\0', 0x600);
  return bytes;
}

/** drivers/firmware/efi/libstub/zboot-header.S */
function zboot(type: string, payload: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write('MZ');
  header.write('zimg', 4);
  header.writeUInt32LE(512, 8);
  header.writeUInt32LE(payload.length, 12);
  header.write(`${type}\0`, 24);
  return Buffer.concat([header, payload]);
}

function vmlinux(machine: number): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.write('\x7fELF\x02\x01\x01', 'latin1');
  bytes.writeUInt16LE(machine, 18);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt32LE(1, 64);
  bytes.writeBigUInt64LE(4096n, 64 + 32);
  bytes.write(BANNER, 2000);
  return bytes;
}

const ARM64 = { architecture: 'aarch64', version: '6.1.0-56-cloud-arm64', memorySize: 65_536, pageSize: 4096 };
const KINDS: readonly (readonly [string, Buffer, object])[] = [
  ['a raw Image', arm64Image(), { ...ARM64, format: 'Image' }],
  ['Image.gz', gzipSync(arm64Image()), { ...ARM64, format: 'Image.gz' }],
  ['zboot with gzip', zboot('gzip', gzipSync(arm64Image())), { ...ARM64, format: 'zboot' }],
  ['zboot with zstd', zboot('zstd22', zstdCompressSync(arm64Image())), { ...ARM64, format: 'zboot' }],
  [
    'a bzImage',
    bzImage(),
    { format: 'bzImage', architecture: 'x86_64', version: '6.1.0-56-cloud-amd64', memorySize: 54 * 2 ** 20 },
  ],
  ['an x86 vmlinux', vmlinux(62), { format: 'vmlinux', architecture: 'x86_64', version: '6.1.0-56-cloud-arm64' }],
  ['an arm64 vmlinux', vmlinux(183), { format: 'vmlinux', architecture: 'aarch64' }],
];

describe('readKernelImage', () => {
  test.each(KINDS)('recognises %s', async (_, bytes, expected) => {
    expect(await readKernelImage(bytes, 'vmlinuz')).toMatchObject(expected);
  });

  test.each(KINDS)('says that %s is cut short', async (_, bytes) => {
    await expect(readKernelImage(bytes.subarray(0, bytes.length >> 2), 'vmlinuz')).rejects.toThrow(ImageError);
  });

  test('hands out the raw Image of compressed kernels', async () => {
    const image = await readKernelImage(gzipSync(arm64Image()), 'Image.gz');
    expect(Buffer.from(image.bytes).equals(arm64Image())).toBe(true);
  });

  const bad: readonly (readonly [string, Buffer, RegExp])[] = [
    ['an empty file', Buffer.alloc(0), /only 0 bytes/],
    ['text', Buffer.alloc(5000, 'hello '), /not a kernel image/],
    ['a big-endian Image', arm64Image(65_536, 0xbn), /big-endian/],
    ['gzip of something else', gzipSync(randomBytes(9999)), /no arm64 Image/],
    ['zboot with an unknown compressor', zboot('lzma', Buffer.alloc(99)), /lzma are not supported/],
    ['zboot with a damaged payload', zboot('gzip', Buffer.alloc(99)), /damaged gzip payload/],
    ['an ELF file for another machine', vmlinux(40), /machine 40/],
    ['a program', Buffer.concat([vmlinux(62).subarray(0, 1500), Buffer.alloc(2596)]), /no Linux kernel/],
  ];
  test.each(bad)('refuses %s', async (_, bytes, message) => {
    await expect(readKernelImage(bytes, 'vmlinuz')).rejects.toThrow(message);
    await expect(readKernelImage(bytes, 'vmlinuz')).rejects.toThrow(/^vmlinuz: /);
  });
});

test('requireArchitecture names both architectures and the way out', async () => {
  const image = await readKernelImage(bzImage(), 'bzImage');
  expect(() => requireArchitecture(image, 'aarch64', 'bzImage')).toThrow(/for x86_64.*aarch64.*--arch/);
});
