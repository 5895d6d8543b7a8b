import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { FormatError, ImageError } from '../../../../capture/formats/errors.ts';
import { makeExt4 } from '../../../../kernel-images/ext4/make.ts';
import { Ext4Image } from '../../../../kernel-images/ext4/read.ts';

const MIB = 2 ** 20;
let folder = '';
let image = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ext4-'));
  image = join(folder, 'disk.img');
});

afterEach(() => rmSync(folder, { recursive: true }));

function debugfs(command: string): void {
  execFileSync('debugfs', ['-w', '-R', command, image], { stdio: 'ignore' });
}

describe('makeExt4', () => {
  // Sizes at both sides of a block group (128 MiB) and of a last group that is too small to be one.
  const sizes = [MIB, 64 * MIB, 128 * MIB, 128 * MIB + 4096, 128 * MIB + 64 * 4096, 129 * MIB, 640 * MIB, 3840 * MIB];

  test.each(sizes)('makes a file system of %i bytes that e2fsck finds clean', size => {
    makeExt4(image, size);
    const judge = spawnSync('e2fsck', ['-fn', image], { encoding: 'utf8' });
    expect(judge.stdout + judge.stderr).not.toMatch(/\?|error|wrong|differ/i);
    expect(judge.status).toBe(0);
  });

  test('makes a sparse file', () => {
    makeExt4(image, 1024 * MIB);
    expect(statSync(image).size).toBe(1024 * MIB);
    expect(statSync(image).blocks * 512).toBeLessThan(MIB);
  });

  test('makes the same bytes each time', () => {
    const hash = () => createHash('sha256').update(readFileSync(image)).digest('hex');
    makeExt4(image, 4 * MIB);
    const first = hash();
    makeExt4(image, 4 * MIB);
    expect(hash()).toBe(first);
  });
});

describe.each(['ours', 'mke2fs'])('reading a file system made by %s', maker => {
  const contents = randomBytes(5 * MIB + 123);

  beforeEach(() => {
    if (maker === 'ours') makeExt4(image, 64 * MIB);
    else {
      writeFileSync(image, '');
      truncateSync(image, 64 * MIB);
      execFileSync('mke2fs', ['-q', '-t', 'ext4', '-O', '64bit,metadata_csum', image], { stdio: 'ignore' });
    }
    writeFileSync(join(folder, 'file'), contents);
    debugfs(`write ${join(folder, 'file')} vmcore`);
    debugfs('mkdir sub');
    debugfs(`write ${join(folder, 'file')} sub/other`);
  });

  test('lists folders and copies files out', () => {
    using fs = new Ext4Image(image);
    expect(fs.list('/').sort()).toEqual(['lost+found', 'sub', 'vmcore']);
    expect(fs.list('/sub')).toEqual(['other']);
    fs.copyOut(fs.find('/sub/other')!, join(folder, 'out'));
    expect(readFileSync(join(folder, 'out')).equals(contents)).toBe(true);
  });

  test('reads any part of a file', () => {
    using fs = new Ext4Image(image);
    const file = fs.find('/vmcore')!;
    expect(file.size).toBe(contents.length);
    expect(Buffer.from(fs.read(file, 4000, 5000)).equals(contents.subarray(4000, 9000))).toBe(true);
    expect(fs.read(file, contents.length - 3, 100)).toHaveLength(3);
  });

  test('keeps holes', () => {
    const sparse = join(folder, 'sparse');
    const fd = openSync(sparse, 'w');
    writeSync(fd, contents, 0, 4096, 20 * MIB);
    closeSync(fd);
    debugfs(`write ${sparse} sparse`);
    using fs = new Ext4Image(image);
    const pieces: Uint8Array[] = [];
    fs.copyOut(fs.find('/sparse')!, join(folder, 'out'), bytes => pieces.push(Uint8Array.from(bytes)));
    expect(Buffer.concat(pieces).equals(readFileSync(sparse))).toBe(true);
    expect(readFileSync(join(folder, 'out')).equals(readFileSync(sparse))).toBe(true);
    expect(statSync(join(folder, 'out')).blocks * 512).toBeLessThan(MIB);
  });

  test('passes on what a full host disk says', () => {
    using fs = new Ext4Image(image);
    expect(() => fs.copyOut(fs.find('/vmcore')!, '/dev/full')).toThrow(/ENOSPC/);
  });

  test('does not find what is not there', () => {
    using fs = new Ext4Image(image);
    expect(fs.find('/nothing')).toBeUndefined();
    expect(fs.find('/vmcore/below-a-file')).toBeUndefined();
  });
});

test('reads a file whose extents need a tree', () => {
  makeExt4(image, 64 * MIB);
  const sparse = join(folder, 'sparse');
  const fd = openSync(sparse, 'w');
  // Every other block: no two extents can merge, and an inode has room for four.
  for (let block = 0; block < 800; block += 2) writeSync(fd, Buffer.alloc(4096, block % 251), 0, 4096, block * 4096);
  closeSync(fd);
  debugfs(`write ${sparse} holes`);
  using fs = new Ext4Image(image);
  const file = fs.find('/holes')!;
  expect(file.extents.length).toBeGreaterThan(4);
  expect(Buffer.from(fs.read(file)).equals(readFileSync(sparse))).toBe(true);
});

describe('damaged images', () => {
  test('refuses a disk without a file system', () => {
    writeFileSync(image, Buffer.alloc(MIB));
    expect(() => new Ext4Image(image)).toThrow(/no ext4 file system/);
  });

  test('refuses a disk that is cut short', () => {
    makeExt4(image, 64 * MIB);
    truncateSync(image, 1500);
    expect(() => new Ext4Image(image)).toThrow(FormatError);
    makeExt4(image, 64 * MIB);
    truncateSync(image, 8192);
    using fs = new Ext4Image(image);
    expect(() => fs.list('/')).toThrow(FormatError);
  });

  test('asks for recovery when the journal is not replayed', () => {
    makeExt4(image, 64 * MIB);
    const bytes = readFileSync(image);
    // s_feature_incompat is at 0x60 of the superblock; 4 is RECOVER.
    bytes[1024 + 0x60]! |= 4;
    writeFileSync(image, bytes);
    expect(() => new Ext4Image(image)).toThrow(ImageError);
  });

  test('ends with an error, not in a loop, on a directory entry of no length', () => {
    makeExt4(image, MIB);
    const bytes = readFileSync(image);
    const entry = bytes.indexOf(Buffer.from('lost+found')) - 8;
    bytes.writeUInt16LE(0, entry + 4);
    writeFileSync(image, bytes);
    using fs = new Ext4Image(image);
    expect(() => fs.list('/')).toThrow(FormatError);
  });
});
