import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { FormatError } from '../../../../capture/formats/errors.ts';
import { readArMembers, unpackDeb } from '../../../../kernel-images/debian/deb-archive.ts';

const LONG_NAME = `usr/share/${'long-folder-name/'.repeat(8)}file`;

describe('a package that dpkg-deb built', () => {
  let folder = '';
  const debs: Record<string, Buffer> = {};

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'deb-'));
    const root = join(folder, 'root');
    mkdirSync(join(root, 'DEBIAN'), { recursive: true });
    mkdirSync(join(root, 'usr/lib'), { recursive: true });
    mkdirSync(join(root, LONG_NAME, '..'), { recursive: true });
    writeFileSync(
      join(root, 'DEBIAN/control'),
      'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n',
    );
    writeFileSync(join(root, 'usr/lib/libx.so.1.2'), Buffer.alloc(300_000, 'x'), { mode: 0o755 });
    symlinkSync('libx.so.1.2', join(root, 'usr/lib/libx.so.1'));
    writeFileSync(join(root, LONG_NAME), 'deep');
    for (const compression of ['xz', 'gzip', 'zstd', 'none']) {
      const path = join(folder, `${compression}.deb`);
      execFileSync('dpkg-deb', ['--root-owner-group', `-Z${compression}`, '--build', root, path], { stdio: 'ignore' });
      debs[compression] = readFileSync(path);
    }
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(['xz', 'gzip', 'zstd', 'none'])('unpacks the wanted files of a %s package', async compression => {
    const entries = await unpackDeb(
      debs[compression]!,
      'x.deb',
      path => path.startsWith('/usr/lib/') || path.endsWith('/file'),
    );
    const byPath = new Map(entries.map(entry => [entry.path, entry]));
    expect(byPath.get('/usr/lib/libx.so.1.2')).toMatchObject({ type: 'file', mode: 0o755 });
    expect(Buffer.from(byPath.get('/usr/lib/libx.so.1.2')!.bytes).equals(Buffer.alloc(300_000, 'x'))).toBe(true);
    expect(byPath.get('/usr/lib/libx.so.1')).toMatchObject({ type: 'symlink', target: 'libx.so.1.2' });
    expect(Buffer.from(byPath.get(`/${LONG_NAME}`)!.bytes).toString()).toBe('deep');
    expect(entries).toHaveLength(3);
  });

  test.each(['xz', 'gzip', 'zstd'])('reports a %s package that is cut short at any point', async compression => {
    const whole = debs[compression]!;
    for (const part of [0, 7, 8, 60, 67, 70, 300, whole.length >> 1, whole.length - 8]) {
      await expect(unpackDeb(whole.subarray(0, part), 'x.deb', () => true)).rejects.toThrow(FormatError);
    }
  });

  test('reports flipped bytes inside the compressed data', async () => {
    const damaged = Buffer.from(debs['xz']!);
    damaged.fill(0x55, damaged.length - 200, damaged.length - 100);
    await expect(unpackDeb(damaged, 'x.deb', () => true)).rejects.toThrow(/x\.deb/);
  });
});

describe('readArMembers', () => {
  test('refuses what is no ar archive', () => {
    expect(() => readArMembers(Buffer.from('PK\u0003\u0004 something else'), 'x.deb')).toThrow(/not a Debian package/);
  });
});
