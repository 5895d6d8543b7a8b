import { describe, expect, test } from 'vitest';

import { UsageError } from '../../../capture/formats/errors.ts';
import { estimateCrashKernel, explainCrashKernel, parseCrashKernel } from '../../../kexec/crash-kernel.ts';

const M = 2 ** 20;
const G = 2 ** 30;

describe('parseCrashKernel, as kdump.rst "crashkernel syntax" says', () => {
  test.each([
    ['crashkernel=128M', G, { size: 128 * M, base: undefined, high: false, cmaSize: 0 }],
    ['quiet crashkernel=64M@16M rw', G, { size: 64 * M, base: 16 * M }],
    ['crashkernel=0x8000000', G, { size: 128 * M }],
    ['crashkernel=512M-2G:64M,2G-:128M', 600 * M, { size: 64 * M }],
    ['crashkernel=512M-2G:64M,2G-:128M', 2 * G, { size: 128 * M }],
    ['crashkernel=512M-2G:64M,2G-:128M', 300 * M, { size: 0 }],
    ['crashkernel=512M-2G:64M,2G-:128M@16M', 4 * G, { size: 128 * M, base: 16 * M }],
    ['crashkernel=1G,high', 8 * G, { size: G, high: true, lowSize: undefined }],
    ['crashkernel=1G,high crashkernel=128M,low', 8 * G, { size: G, high: true, lowSize: 128 * M }],
    ['crashkernel=1G,high crashkernel=0,low', 8 * G, { lowSize: 0 }],
    ['crashkernel=256M crashkernel=64M,cma', 8 * G, { size: 256 * M, cmaSize: 64 * M }],
    ['crashkernel=64M crashkernel=128M', G, { size: 128 * M }],
    ['crashkernel=128M crashkernel=1G,high', 8 * G, { size: 128 * M, high: false }],
  ])('%s with %i bytes of memory', (commandLine, ram, expected) => {
    expect(parseCrashKernel(commandLine, ram)).toMatchObject(expected);
  });

  test('rounds memory up to 128 MiB before it compares ranges', () => {
    expect(parseCrashKernel('crashkernel=1G-:64M', G - M)?.size).toBe(64 * M);
  });

  test.each(['quiet', 'crashkernel=128M,low', 'xcrashkernel=128M', ''])('finds nothing in %j', commandLine => {
    expect(parseCrashKernel(commandLine, G)).toBeUndefined();
  });

  test.each([
    ['crashkernel=', '"" is no size'],
    ['crashkernel=128X', '"128X" is no size'],
    ['crashkernel=auto', '"auto" is no size'],
    ['crashkernel=2G-1G:64M', 'ends before it begins'],
    ['crashkernel=1G:64M', 'is no range'],
    ['crashkernel=0-:2G', 'not less than the memory'],
    ['crashkernel=64M@1M@2M', 'more than one offset'],
    ['crashkernel=64M,medium', '"64M,medium" is no size'],
  ])('refuses %s', (commandLine, message) => {
    expect(() => parseCrashKernel(commandLine, G)).toThrow(UsageError);
    expect(() => parseCrashKernel(commandLine, G)).toThrow(message);
  });
});

const explain = (commandLine: string): string => explainCrashKernel(parseCrashKernel(commandLine, 8 * G));

test('explains a request in words', () => {
  expect(explain('crashkernel=128M')).toBe('128 MiB are reserved below 4 GiB if possible, else above');
  expect(explain('crashkernel=64M@16M')).toContain('at physical address 0x1000000');
  expect(explain('crashkernel=1G,high')).toContain('the default amount below 4 GiB');
  expect(explain('quiet')).toBe('no memory is reserved for a crash kernel');
  expect(explain('crashkernel=16G-:1G')).toContain('no range fits');
});

test('estimates enough for the kernel that 128 MiB were too little for', () => {
  // Debian's 7.2 for arm64: Image of 39.6 MB; 128M ends in "System is deadlocked on memory", 192M works.
  const estimate = estimateCrashKernel({ kernel: 39.6e6, initramfs: 20e6, unpacked: 45e6 });
  expect(estimate).toBeGreaterThan(128 * M);
  expect(estimate).toBeLessThanOrEqual(192 * M);
});
