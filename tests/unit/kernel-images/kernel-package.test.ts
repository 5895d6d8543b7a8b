import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { ImageError, UsageError } from '../../../capture/formats/errors.ts';
import { PackageArchive } from '../../../kernel-images/debian/package-index.ts';
import { fetchProgram } from '../../../kernel-images/initramfs/programs.ts';
import { fetchKernel, flavoursOf, resolveKernelPackage } from '../../../kernel-images/kernel-package.ts';
import { SmallMirror, type TestPackage } from '../../support/small-mirror.ts';

const RELEASE_61 = '6.1.0-1-cloud-arm64';
const RELEASE_72 = '7.2.1+deb14-cloud-arm64';
const CONFIG = 'CONFIG_ARM64_VA_BITS=48\n';

/** Up to Debian 13: everything in one package. */
const ONE_PACKAGE: readonly TestPackage[] = [
  {
    control: {
      Package: 'linux-image-cloud-arm64',
      Version: '6.1.1-1',
      Depends: `linux-image-${RELEASE_61} (= 6.1.1-1)`,
    },
    files: {},
  },
  {
    control: { Package: `linux-image-${RELEASE_61}`, Version: '6.1.1-1', Depends: 'kmod, linux-base (>= 4.3~)' },
    files: {
      [`boot/vmlinuz-${RELEASE_61}`]: 'kernel 6.1',
      [`boot/config-${RELEASE_61}`]: CONFIG,
      [`lib/modules/${RELEASE_61}/modules.builtin`]: 'kernel/fs/ext4/ext4.ko\n',
      [`lib/modules/${RELEASE_61}/kernel/drivers/virtio/virtio.ko`]: 'module',
      [`lib/modules/${RELEASE_61}/kernel/sound/soundcore.ko`]: 'not for us',
    },
  },
];

/** Later: split into three, and below /usr. */
const SPLIT_PACKAGES: readonly TestPackage[] = [
  {
    control: {
      Package: 'linux-image-cloud-arm64',
      Version: '7.2.1-1',
      Depends: `linux-image-${RELEASE_72} (= 7.2.1-1)`,
    },
    files: {},
  },
  {
    control: {
      Package: `linux-image-${RELEASE_72}`,
      Version: '7.2.1-1',
      Depends: `dracut | initramfs-tools, linux-base-${RELEASE_72}, linux-binary-${RELEASE_72}, linux-modules-${RELEASE_72}`,
    },
    files: {},
  },
  {
    control: { Package: `linux-base-${RELEASE_72}`, Version: '7.2.1-1' },
    files: {
      [`usr/lib/modules/${RELEASE_72}/config`]: CONFIG,
      [`usr/lib/modules/${RELEASE_72}/modules.builtin`]: 'kernel/drivers/virtio/virtio.ko\n',
    },
  },
  {
    control: { Package: `linux-binary-${RELEASE_72}`, Version: '7.2.1-1' },
    files: { [`usr/lib/modules/${RELEASE_72}/vmlinuz`]: 'kernel 7.2' },
  },
  {
    control: { Package: `linux-modules-${RELEASE_72}`, Version: '7.2.1-1' },
    files: { [`usr/lib/modules/${RELEASE_72}/kernel/drivers/block/virtio_blk.ko.xz`]: 'module' },
  },
];

let folder = '';
let mirror: SmallMirror;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mirror-'));
  mirror = new SmallMirror(folder);
  await mirror.listen();
});

afterEach(() => {
  mirror[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

function publish(packages: readonly TestPackage[]): void {
  mirror.publish(packages);
}

function open(refresh = false): Promise<PackageArchive> {
  return PackageArchive.open({
    suite: 'test',
    architecture: 'arm64',
    mirror: mirror.url,
    refresh,
    cache: join(folder, 'cache'),
    checkSignature: () => 'verified',
  });
}

test('flavours are those of which the suite has a kernel', async () => {
  publish(ONE_PACKAGE);
  expect(flavoursOf(await open())).toEqual(['cloud']);
  const control = { ...ONE_PACKAGE[0]!.control, Package: 'linux-image-arm64-16k' };
  publish([...ONE_PACKAGE, { control, files: {} }]);
  const archive = await open(true);
  expect(flavoursOf(archive)).toEqual(['cloud', '16k']);
  expect(resolveKernelPackage(archive, '16k')).toEqual(resolveKernelPackage(archive, 'cloud'));
});

describe('a kernel in one package', () => {
  test('is found through the meta package, and only what is needed is unpacked', async () => {
    publish(ONE_PACKAGE);
    const archive = await open();
    const kernel = await fetchKernel(archive, resolveKernelPackage(archive, 'cloud'));
    expect(kernel.release).toBe(RELEASE_61);
    expect(readFileSync(kernel.imagePath, 'utf8')).toBe('kernel 6.1');
    expect(kernel.config.number('ARM64_VA_BITS')).toBe(48);
    expect(kernel.modules.paths).toEqual(['kernel/drivers/virtio/virtio.ko']);
    expect(Buffer.from(kernel.modules.read('kernel/drivers/virtio/virtio.ko')).toString()).toBe('module');
    expect([...kernel.modules.builtIn]).toEqual(['ext4']);
  });

  test('needs no network the second time', async () => {
    publish(ONE_PACKAGE);
    const first = await open();
    await fetchKernel(first, resolveKernelPackage(first, 'cloud'));
    mirror[Symbol.dispose]();
    const second = await open();
    const kernel = await fetchKernel(second, resolveKernelPackage(second, 'cloud'));
    expect(kernel.release).toBe(RELEASE_61);
  });
});

test('a kernel in split packages is put together', async () => {
  publish(SPLIT_PACKAGES);
  const archive = await open();
  const kernel = await fetchKernel(archive, resolveKernelPackage(archive, 'cloud'));
  expect(kernel.release).toBe(RELEASE_72);
  expect(readFileSync(kernel.imagePath, 'utf8')).toBe('kernel 7.2');
  expect(kernel.config.size).toBe(1);
  expect(kernel.modules.paths).toEqual(['kernel/drivers/block/virtio_blk.ko.xz']);
  expect([...kernel.modules.builtIn]).toEqual(['virtio']);
});

describe('the index', () => {
  test('stays as it is until it is refreshed', async () => {
    publish(ONE_PACKAGE);
    await open();
    publish(SPLIT_PACKAGES);
    expect((await open()).get('linux-image-cloud-arm64').version).toBe('6.1.1-1');
    expect((await open(true)).get('linux-image-cloud-arm64').version).toBe('7.2.1-1');
  });

  test('is refused when it is not the one that the Release file names', async () => {
    publish(ONE_PACKAGE);
    writeFileSync(join(folder, 'www/dists/test/main/binary-arm64/Packages.xz'), 'something else');
    await expect(open()).rejects.toThrow(/wrong SHA256/);
    await expect(open()).rejects.toThrow(ImageError);
  });

  test('says what the mirror does not have: suite, architecture, package, file', async () => {
    await expect(open()).rejects.toThrow(/no suite test/);
    publish(ONE_PACKAGE);
    const other = PackageArchive.open({
      suite: 'test',
      architecture: 'amd64',
      mirror: mirror.url,
      cache: join(folder, 'cache'),
      checkSignature: () => 'verified',
    });
    await expect(other).rejects.toThrow(/no packages for amd64/);
    const archive = await open();
    expect(() => resolveKernelPackage(archive, 'generic')).toThrow(UsageError);
    expect(() => resolveKernelPackage(archive, 'generic')).toThrow(/no package linux-image-arm64 in test for arm64/);
    rmSync(join(folder, 'www/pool'), { recursive: true });
    await expect(fetchKernel(archive, resolveKernelPackage(archive, 'cloud'))).rejects.toThrow(/refresh the index/);
  });

  test('leaves no temporary files', async () => {
    publish(ONE_PACKAGE);
    const archive = await open();
    await fetchKernel(archive, resolveKernelPackage(archive, 'cloud'));
    const names = readdirSync(join(folder, 'cache'), { recursive: true }).map(String);
    expect(names.filter(name => /tmp|partial|\.xz$/.test(name))).toEqual([]);
  });
});

describe('fetchProgram', () => {
  const ls = readFileSync('/bin/ls');
  const library = readFileSync('/lib/x86_64-linux-gnu/libc.so.6');

  test('finds no library that no dependency has, and says who needs it', async () => {
    publish([
      { control: { Package: 'tool', Version: '1', Depends: 'libc6' }, files: { 'usr/bin/tool': ls } },
      {
        control: { Package: 'libc6', Version: '2' },
        files: { 'usr/lib/x86_64-linux-gnu/libc.so.6': library, 'usr/lib64/ld-linux-x86-64.so.2': library },
      },
    ]);
    await expect(fetchProgram(await open(), 'x86_64', 'tool', '/bin/tool')).rejects.toThrow(
      /libselinux\.so\.1 \(needed by \/bin\/tool\)/,
    );
  });

  test('says when the package has no such program', async () => {
    publish([{ control: { Package: 'tool', Version: '1' }, files: {} }]);
    await expect(fetchProgram(await open(), 'aarch64', 'tool', '/sbin/tool')).rejects.toThrow(
      /tool 1 has no \/sbin\/tool/,
    );
  });
});
