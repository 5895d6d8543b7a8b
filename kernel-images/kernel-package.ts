/**
 * Debian's kernel packages: from suite, architecture and flavour to kernel, configuration and modules.
 *
 * The meta package (`linux-image-cloud-arm64`) depends on the versioned one (`linux-image-6.1.0-50-cloud-arm64`).
 * Only the needed files are unpacked, and kept in the cache so that the next run does not decompress the package again.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

import { ImageError } from '../capture/formats/errors.ts';
import { cacheFolder, temporaryName } from './cache-folder.ts';
import { unpackDeb, type PackageEntry } from './debian/deb-archive.ts';
import type { DebianArchitecture, PackageArchive, PackageRecord } from './debian/package-index.ts';
import { KernelConfig } from './kernel-config.ts';
import type { Architecture } from './kernel-image.ts';
import { parseBuiltIn, type ModuleTree } from './kernel-modules.ts';

/** Debian's kernel flavours that run on virtual machines. */
export type Flavour = 'cloud' | 'generic';

/** What a kernel package holds for us. */
export interface UnpackedKernel {
  readonly package: { readonly name: string; readonly version: string; readonly sha256: string };
  /** Kernel release: `6.1.0-50-cloud-arm64`. */
  readonly release: string;
  /** Path of the kernel image in the cache. */
  readonly imagePath: string;
  readonly config: KernelConfig;
  readonly modules: ModuleTree;
}

export const DEBIAN_ARCHITECTURES: Readonly<Record<Architecture, DebianArchitecture>> = {
  aarch64: 'arm64',
  x86_64: 'amd64',
};

/** Finds the package that holds the kernel. @throws UsageError, ImageError */
export function resolveKernelPackage(archive: PackageArchive, flavour: Flavour): PackageRecord {
  const { architecture } = archive.options;
  const meta = archive.get(flavour === 'cloud' ? `linux-image-cloud-${architecture}` : `linux-image-${architecture}`);
  const versioned = meta.depends.flat().find(name => /^linux-image-\d/.test(name));
  if (versioned === undefined)
    throw new ImageError(`package ${meta.name} ${meta.version} names no kernel image package`);
  return archive.get(versioned);
}

/** Fetches a kernel package and unpacks what is needed of it, or takes it from the cache. @throws ImageError */
export async function fetchKernel(archive: PackageArchive, record: PackageRecord): Promise<UnpackedKernel> {
  const folder = join(
    archive.options.cache ?? cacheFolder(),
    'kernels',
    `${record.name}-${record.sha256.slice(0, 12)}`,
  );
  if (!existsSync(folder)) {
    const path = await archive.fetch(record);
    const entries = await unpackDeb(readFileSync(path), basename(path), isKernelFile);
    storeFolder(folder, entries);
  }
  return {
    package: { name: record.name, version: record.version, sha256: record.sha256 },
    ...readKernelFolder(folder),
  };
}

/** Modules beyond these are never loaded by the lab. */
const MODULE_PREFIXES = [
  'drivers/virtio/',
  'drivers/block/virtio',
  'drivers/char/hw_random/',
  'drivers/char/virtio',
  'drivers/net/virtio',
  'drivers/net/net_failover',
  'net/core/failover',
  'fs/ext4/',
  'fs/jbd2/',
  'fs/mbcache',
  'lib/crc',
  'lib/libcrc',
  'crypto/crc',
];

/** usr/lib/modules and lib/modules are the same on a merged-usr system. */
function isKernelFile(path: string): boolean {
  if (/^\/boot\/(vmlinuz|config)-/.test(path)) return true;
  const module = /^(?:\/usr)?\/lib\/modules\/[^/]+\/(.*)$/.exec(path)?.[1];
  if (module === undefined) return false;
  return module === 'modules.builtin' || MODULE_PREFIXES.some(prefix => module.startsWith(`kernel/${prefix}`));
}

function storeFolder(folder: string, entries: readonly PackageEntry[]): void {
  const temporary = temporaryName(folder);
  try {
    for (const entry of entries) {
      if (entry.type !== 'file') continue;
      const path = join(temporary, entry.path.replace(/^\/usr\/lib\//, '/lib/'));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, entry.bytes);
    }
    renameSync(temporary, folder);
  } catch (error) {
    // Another run was faster: its folder has the same contents.
    if (!existsSync(folder))
      throw new ImageError(`cannot unpack into the cache: ${String(error)}`, { file: folder, cause: error });
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function readKernelFolder(folder: string): Omit<UnpackedKernel, 'package'> {
  const image = existsSync(join(folder, 'boot'))
    ? readdirSync(join(folder, 'boot')).find(name => name.startsWith('vmlinuz-'))
    : undefined;
  if (image === undefined) throw new ImageError('the package holds no /boot/vmlinuz', { file: folder });
  const release = image.replace('vmlinuz-', '');
  const root = join(folder, 'lib/modules', release);
  const builtIn = readText(join(root, 'modules.builtin'));
  return {
    release,
    imagePath: join(folder, 'boot', image),
    config: new KernelConfig(readText(join(folder, 'boot', `config-${release}`))),
    modules: {
      release,
      paths: listFiles(root)
        .map(path => relative(root, path))
        .filter(path => /\.ko(\.(xz|gz|zst))?$/.test(path)),
      builtIn: parseBuiltIn(builtIn),
      read: path => readFileSync(join(root, path)),
    },
  };
}

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function listFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort();
}
