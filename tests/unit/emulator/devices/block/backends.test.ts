import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ImageError } from '../../../../../capture/formats/errors.ts';
import { FileBackend } from '../../../../../emulator/devices/block/file-backend.ts';
import { createMemoryDisk, OverlayBackend } from '../../../../../emulator/devices/block/overlay-backend.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kdump-lab-block-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function image(size: number): string {
  const path = join(folder, 'disk.img');
  writeFileSync(path, '');
  truncateSync(path, size);
  return path;
}
function bytesAt(disk: { read(offset: number, target: Uint8Array): boolean }, offset: number, length: number): string {
  const target = new Uint8Array(length);
  expect(disk.read(offset, target)).toBe(true);
  return Buffer.from(target).toString('latin1');
}

describe('file backend', () => {
  test('writes through to the file', () => {
    const path = image(4096);
    using disk = new FileBackend(path, false);
    expect(disk.write(512, Buffer.from('hello'))).toBe(true);
    expect(disk.flush()).toBe(true);
    expect(readFileSync(path).subarray(512, 517).toString()).toBe('hello');
    disk.writeZeroes(513, 3);
    expect(bytesAt(disk, 512, 5)).toBe('h\0\0\0o');
  });

  test.each([
    { what: 'an empty file', size: 0 },
    { what: 'half a sector', size: 700 },
  ])('refuses $what', ({ size }) => {
    const path = image(size);
    expect(() => new FileBackend(path, true)).toThrow(/disk\.img: the disk image has \d+ bytes/);
  });

  test('names a file that is not there', () => {
    expect(() => new FileBackend(join(folder, 'none'), true)).toThrow(ImageError);
  });

  test('reports a failing host as a value, and keeps the first error', () => {
    using disk = new FileBackend(image(4096), true);
    expect(disk.write(0, Buffer.from('x'))).toBe(false);
    expect(disk.error?.message).toMatch(/cannot write the disk image/);
  });

  test('reports a file that became shorter', () => {
    const path = image(4096);
    using disk = new FileBackend(path, true);
    truncateSync(path, 512);
    expect(disk.read(1024, new Uint8Array(512))).toBe(false);
    expect(disk.error?.message).toMatch(/became shorter/);
  });
});

describe('overlay backend', () => {
  test('keeps writes to itself and leaves the base alone', () => {
    const path = image(1 << 20);
    writeFileSync(path, 'base', { flag: 'r+' });
    using file = new FileBackend(path, true);
    const disk = new OverlayBackend(file);
    disk.write(2, Buffer.from('XY'));
    expect(bytesAt(disk, 0, 6)).toBe('baXY\0\0');
    expect(readFileSync(path).subarray(0, 4).toString()).toBe('base');
  });

  test('writes over cluster borders', () => {
    const disk = createMemoryDisk(1 << 20);
    disk.write(65534, Buffer.from('abcd'));
    expect(bytesAt(disk, 65533, 6)).toBe('\0abcd\0');
    expect(disk.allocatedBytes).toBe(2 * 65536);
  });

  test('writes zeros over the base', () => {
    const path = image(1 << 20);
    writeFileSync(path, 'base', { flag: 'r+' });
    using file = new FileBackend(path, true);
    const disk = new OverlayBackend(file);
    disk.writeZeroes(0, 1 << 17);
    expect(bytesAt(disk, 0, 4)).toBe('\0\0\0\0');
  });

  test('frees whole clusters of zeros when nothing is below', () => {
    const disk = createMemoryDisk(1 << 20);
    disk.write(0, new Uint8Array(1 << 18).fill(1));
    disk.writeZeroes(0, 1 << 18);
    expect(disk.allocatedBytes).toBe(0);
  });

  test('goes back to a saved state any number of times', () => {
    const disk = createMemoryDisk(1 << 20);
    disk.write(0, Buffer.from('one'));
    const saved = disk.save();
    for (let i = 0; i < 2; i++) {
      disk.write(0, Buffer.from('two'));
      expect(bytesAt(disk, 0, 3)).toBe('two');
      disk.restore(saved);
      expect(bytesAt(disk, 0, 3)).toBe('one');
    }
  });

  test('handles a disk whose last cluster is cut', () => {
    const disk = createMemoryDisk(65536 + 512);
    expect(disk.write(65536, new Uint8Array(512).fill(9))).toBe(true);
    expect(bytesAt(disk, 65536, 1)).toBe('\x09');
  });
});
