import { describe, expect, test } from 'vitest';

import { UsageError } from '../../../capture/formats/errors.ts';
import {
  captureCommandLine,
  captureKernelNeed,
  defaultCrashkernel,
  parseSize,
  plainCrashkernelSize,
  productionCommandLine,
} from '../../../kernel-images/command-line.ts';
import { KernelConfig } from '../../../kernel-images/kernel-config.ts';
import { checkCma, checkCollector, checkKaslrSeed } from '../../../kernel-images/workarounds.ts';

const MIB = 2 ** 20;
const OPTIONS = {
  architecture: 'aarch64',
  crashkernel: '128M',
  append: '',
  withoutCryptoTests: false,
  captureAppend: '',
} as const;

describe('command lines', () => {
  test('are those of the tutorials by default', () => {
    expect(productionCommandLine(OPTIONS)).toBe('console=ttyAMA0 crashkernel=128M');
    expect(captureCommandLine(OPTIONS)).toBe('console=ttyAMA0 irqpoll nr_cpus=1 reset_devices');
  });

  test('leave out the crypto tests of both kernels, and end with what the user gives', () => {
    const options = {
      ...OPTIONS,
      architecture: 'x86_64',
      withoutCryptoTests: true,
      append: 'a=1',
      captureAppend: 'cma=0 b',
    } as const;
    expect(productionCommandLine(options)).toBe('console=ttyS0 crashkernel=128M cryptomgr.notests a=1');
    expect(captureCommandLine(options)).toBe('console=ttyS0 irqpoll nr_cpus=1 reset_devices cryptomgr.notests cma=0 b');
  });
});

describe('crashkernel', () => {
  // Sizes of Debian's kernels and what they were found to need.
  test.each([
    ['6.1 arm64: 128M works', 28.0, 64, '128M'],
    ['7.2 arm64: 128M deadlocks, 192M works', 39.6, 64, '192M'],
    ['amd64 6.1, no CMA pool', 54, 0, '128M'],
  ])('%s', (_, imageMib, cmaMib, expected) => {
    expect(defaultCrashkernel(captureKernelNeed(imageMib * MIB, 5.4 * MIB, cmaMib * MIB))).toBe(expected);
  });

  test.each([
    ['128M', 128 * MIB],
    ['128M@0x60000000', 128 * MIB],
    ['1G', 1024 * MIB],
    ['1G-:256M', undefined],
    ['256M,high', undefined],
  ])('the plain size of %s is %s', (spec, size) => {
    expect(plainCrashkernelSize(spec)).toBe(size);
  });
});

test.each([
  ['512M', 512 * MIB],
  ['2G', 2048 * MIB],
  ['2GiB', 2048 * MIB],
  ['65536k', 64 * MIB],
  ['4096', 4096],
])('parseSize reads %s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each(['', 'M', '-1M', '1.5G', '1T', '0x100'])('parseSize refuses %j', text => {
  expect(() => parseSize(text)).toThrow(UsageError);
});

describe('workarounds', () => {
  const config612 = new KernelConfig(
    'CONFIG_ARM64_VA_BITS=52\nCONFIG_ARM64_4K_PAGES=y\nCONFIG_CMA_SIZE_MBYTES=64\n# CONFIG_X is not set\n',
  );
  const config61 = new KernelConfig('CONFIG_ARM64_VA_BITS=48\nCONFIG_ARM64_4K_PAGES=y\nCONFIG_CMA_SIZE_MBYTES=64\n');

  const with16K = new KernelConfig('CONFIG_ARM64_VA_BITS=52\nCONFIG_ARM64_16K_PAGES=y\n');
  const with64K = new KernelConfig('CONFIG_ARM64_VA_BITS=52\nCONFIG_ARM64_64K_PAGES=y\n');

  test.each([
    ['makedumpfile -l -d 31', config612, '1:1.7.8-1', 'va52'],
    ['makedumpfile -l -d 31', with16K, '1:1.7.6-1', 'va52'],
    ['makedumpfile -l -d 31', with64K, '1:1.7.2-1', undefined],
    ['makedumpfile -l -d 31', config612, '1:1.7.9-1', undefined],
    ['makedumpfile -l -d 31', config61, '1:1.7.2-1', undefined],
    ['cp', config612, '1:1.7.8-1', undefined],
  ])('%s: %#', (collector, config, makedumpfileVersion, code) => {
    expect(checkCollector(collector, { release: '6.12.117', config, makedumpfileVersion })?.code).toBe(code);
  });

  // dump levels of makedumpfile(8): 8 leaves out user pages
  test.each([
    ['makedumpfile -l -d 31', '7.2.13+deb14-amd64', '1:1.7.8-1', 'makedumpfile -l -d 23'],
    ['makedumpfile -l -d 31', '7.1.0', '1:1.7.9-1', 'makedumpfile -l -d 23'],
    ['makedumpfile -zd31,8 --message-level 7', '7.1.0', '1:1.7.8-1', 'makedumpfile -zd23,0 --message-level 7'],
    ['makedumpfile -l -d 23', '7.2.13', '1:1.7.8-1', undefined],
    ['makedumpfile --dump-dmesg', '7.2.13', '1:1.7.8-1', undefined],
    ['makedumpfile -l -d 31', '7.0.9', '1:1.7.8-1', undefined],
    ['makedumpfile -l -d 31', '7.2.13', '1:1.8.0-1', undefined],
    ['makedumpfile -l -d 31', '', '1:1.7.8-1', undefined],
    ['cp', '7.2.13', '1:1.7.8-1', undefined],
  ])('%s of %s with makedumpfile %s', (collector, release, makedumpfileVersion, command) => {
    const config = new KernelConfig('');
    expect(checkCollector(collector, { release, config, makedumpfileVersion })?.command).toBe(command);
  });

  test('takes the CMA pool away when it does not fit', () => {
    const need = captureKernelNeed(39.6 * MIB, 5.4 * MIB, 64 * MIB);
    expect(checkCma('128M', config612, need)?.code).toBe('cma');
    expect(checkCma('192M', config612, need)).toBeUndefined();
    expect(checkCma('1G-:64M', config612, need)).toBeUndefined();
    expect(checkCma('64M', new KernelConfig(''), need)).toBeUndefined();
  });

  test.each([
    ['nokaslr', 'aarch64', 'kaslr-seed'],
    ['quiet nokaslr x', 'aarch64', 'kaslr-seed'],
    ['nokaslr', 'x86_64', undefined],
    ['notnokaslr', 'aarch64', undefined],
  ])('%j on %s', (append, architecture, code) => {
    expect(checkKaslrSeed(append, architecture)?.code).toBe(code);
  });
});

test('KernelConfig reads values, strings and what is off', () => {
  const config = new KernelConfig(
    'CONFIG_A=y\nCONFIG_B=m\nCONFIG_C="text with spaces"\nCONFIG_D=12\n# CONFIG_E is not set\n',
  );
  expect(config.isBuiltIn('A')).toBe(true);
  expect(config.isBuiltIn('B')).toBe(false);
  expect(config.get('C')).toBe('text with spaces');
  expect(config.number('D')).toBe(12);
  expect(config.get('E')).toBeUndefined();
  expect(config.number('E')).toBe(0);
});
