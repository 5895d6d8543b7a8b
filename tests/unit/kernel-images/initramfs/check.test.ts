import { execFileSync } from 'node:child_process';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { ImageError } from '../../../../capture/formats/errors.ts';
import { checkInitrd } from '../../../../kernel-images/initramfs/check.ts';

// GNU cpio writes the archive: a few real files of this host.
const ARCHIVE = execFileSync('cpio', ['-o', '-H', 'newc', '--quiet'], { input: '/etc/passwd\n/bin/ls\n/etc/group\n' });
const XZ = execFileSync('xz', ['--check=crc32', '-c'], { input: ARCHIVE });

const WHOLE: readonly (readonly [string, Buffer])[] = [
  ['plain', ARCHIVE],
  ['gzip', gzipSync(ARCHIVE)],
  ['zstd', zstdCompressSync(ARCHIVE)],
  ['xz', XZ],
  ['two archives with zeros between', Buffer.concat([ARCHIVE, Buffer.alloc(1024), ARCHIVE])],
  ['a plain and a compressed archive', Buffer.concat([ARCHIVE, gzipSync(ARCHIVE)])],
];

describe('checkInitrd', () => {
  test.each(WHOLE)('accepts %s', async (_, bytes) => {
    await expect(checkInitrd(bytes, 'initrd')).resolves.toBeUndefined();
  });

  test.each(WHOLE)('finds %s cut short', async (_, bytes) => {
    const half = bytes.subarray(0, Math.floor(bytes.length * 0.9) - 600);
    await expect(checkInitrd(half, 'initrd')).rejects.toThrow(ImageError);
    await expect(checkInitrd(half, 'initrd')).rejects.toThrow(/initrd/);
  });

  test('refuses an empty file, and lets file system images pass', async () => {
    await expect(checkInitrd(Buffer.alloc(0), 'initrd')).rejects.toThrow(/empty/);
    await expect(checkInitrd(Buffer.from('-rom1fs-image'), 'initrd')).resolves.toBeUndefined();
  });
});
