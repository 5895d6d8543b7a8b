import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ImageError } from '../../../capture/formats/errors.ts';
import { readDynamicNeeds } from '../../../kernel-images/elf-file.ts';
import {
  moduleName,
  parseBuiltIn,
  readModinfo,
  resolveModules,
  type ModuleTree,
} from '../../../kernel-images/kernel-modules.ts';

/** A relocatable ELF file with one `.modinfo` section, laid out by hand after ELF gABI "Section Header". */
function moduleFile(modinfo: readonly string[]): Buffer {
  const info = Buffer.from(modinfo.map(entry => `${entry}\0`).join(''));
  const names = Buffer.from('\0.modinfo\0.shstrtab\0');
  const infoAt = 64;
  const namesAt = infoAt + info.length;
  const headersAt = Math.ceil((namesAt + names.length) / 8) * 8;
  const bytes = Buffer.alloc(headersAt + 3 * 64);
  bytes.write('\x7fELF\x02\x01\x01', 'latin1');
  bytes.writeBigUInt64LE(BigInt(headersAt), 40);
  bytes.writeUInt16LE(64, 58);
  bytes.writeUInt16LE(3, 60);
  bytes.writeUInt16LE(2, 62);
  info.copy(bytes, infoAt);
  names.copy(bytes, namesAt);
  const section = (index: number, name: number, offset: number, size: number) => {
    bytes.writeUInt32LE(name, headersAt + index * 64);
    bytes.writeBigUInt64LE(BigInt(offset), headersAt + index * 64 + 24);
    bytes.writeBigUInt64LE(BigInt(size), headersAt + index * 64 + 32);
  };
  section(1, 1, infoAt, info.length);
  section(2, 10, namesAt, names.length);
  return bytes;
}

function tree(modules: Readonly<Record<string, readonly string[]>>, builtIn: readonly string[] = []): ModuleTree {
  return {
    release: '6.1.0-test',
    paths: Object.keys(modules),
    builtIn: new Set(builtIn),
    read: path => moduleFile(modules[path]!),
  };
}

async function order(modules: ModuleTree, ...wanted: string[]): Promise<string[]> {
  return (await resolveModules(modules, wanted)).map(module => module.name);
}

describe('resolveModules', () => {
  const virtio = {
    'kernel/drivers/block/virtio_blk.ko': ['depends=virtio,virtio_ring', 'license=GPL'],
    'kernel/drivers/virtio/virtio_mmio.ko': ['depends=virtio,virtio_ring'],
    'kernel/drivers/virtio/virtio.ko': ['depends='],
    'kernel/drivers/virtio/virtio_ring.ko': ['depends=virtio'],
  };

  test('loads dependencies first, and each module once', async () => {
    expect(await order(tree(virtio), 'virtio_mmio', 'virtio_blk')).toEqual([
      'virtio',
      'virtio_ring',
      'virtio_mmio',
      'virtio_blk',
    ]);
  });

  test('leaves out what is built in', async () => {
    expect(await order(tree(virtio, ['virtio', 'virtio_ring', 'ext4']), 'virtio_mmio', 'ext4')).toEqual([
      'virtio_mmio',
    ]);
  });

  test('loads the checksum driver that ext4 asks for by softdep, if there is one', async () => {
    const ext4 = { 'kernel/fs/ext4/ext4.ko': ['depends=', 'softdep=pre: crypto-crc32c'] };
    expect(await order(tree({ ...ext4, 'kernel/crypto/crc32c_generic.ko': ['depends='] }), 'ext4')).toEqual([
      'crc32c_generic',
      'ext4',
    ]);
    expect(await order(tree(ext4), 'ext4')).toEqual(['ext4']);
  });

  test('names the kernel, the module and who needs it when one is missing', async () => {
    const { 'kernel/drivers/virtio/virtio_ring.ko': _, ...broken } = virtio;
    await expect(order(tree(broken), 'virtio_blk')).rejects.toThrow(ImageError);
    await expect(order(tree(broken), 'virtio_blk')).rejects.toThrow(/6\.1\.0-test.*virtio_ring.*virtio_blk/);
  });

  test('ends on modules that depend on each other', async () => {
    const ring = { 'a.ko': ['depends=b'], 'b.ko': ['depends=a'] };
    await expect(order(tree(ring), 'a')).rejects.toThrow(/depend on each other/);
  });
});

test.each([
  ['kernel/drivers/char/hw_random/virtio-rng.ko.xz', 'virtio_rng'],
  ['virtio_blk.ko', 'virtio_blk'],
  ['x/y.ko.zst', 'y'],
])('the name of %s is %s', (path, name) => {
  expect(moduleName(path)).toBe(name);
});

test('parseBuiltIn takes names from paths', () => {
  expect(parseBuiltIn('kernel/fs/ext4/ext4.ko\nkernel/lib/crc-t10dif.ko\n')).toEqual(new Set(['ext4', 'crc_t10dif']));
});

test('readModinfo finds nothing in what is no ELF file', () => {
  expect(readModinfo(Buffer.from('#!/bin/sh\n'), 'depends')).toEqual([]);
});

describe('readDynamicNeeds', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'elf-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(['/bin/ls', '/bin/bash', '/usr/bin/dpkg'])('agrees with readelf on %s', program => {
    const needs = readDynamicNeeds(readFileSync(program), program);
    const judge = execFileSync('readelf', ['-dlW', program], { encoding: 'utf8' });
    expect(needs.libraries).toEqual([...judge.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(match => match[1]));
    expect(needs.interpreter).toBe(/interpreter: (.*)\]/.exec(judge)?.[1]);
  });

  test('refuses scripts and damaged files', () => {
    expect(() => readDynamicNeeds(Buffer.from('#!/bin/sh\n'), 'script')).toThrow(/script.*not a 64-bit ELF/);
    const damaged = readFileSync('/bin/ls');
    damaged.writeBigUInt64LE(0xffff_ffff_ffffn, 32);
    writeFileSync(join(folder, 'x'), damaged);
    expect(() => readDynamicNeeds(damaged, 'x')).toThrow(/damaged/);
  });
});
