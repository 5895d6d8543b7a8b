/**
 * Debian's kernel packages: from suite, architecture and flavour to kernel, configuration and modules.
 *
 * The meta package (`linux-image-cloud-arm64`) depends on the versioned one (`linux-image-6.1.0-50-cloud-arm64`). Up to Debian 13
 * that one holds everything; later it depends in turn on `linux-binary-`, `linux-modules-` and `linux-base-` packages.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ImageError } from '../capture/formats/errors.ts';
import type { DebianArchitecture, PackageArchive, PackageRecord } from './debian/package-index.ts';
import { KernelConfig } from './kernel-config.ts';
import type { Architecture } from './kernel-image.ts';
import { parseBuiltIn, type ModuleTree } from './kernel-modules.ts';
import { unpackedFolder, unpackIntoCache, type Selection } from './unpacked-package.ts';

/** Debian's kernel flavours that run on virtual machines; `16k` (pages of 16 KiB) is arm64's, in newer suites. */
export const FLAVOURS = ['cloud', 'generic', 'rt', '16k'] as const;
export type Flavour = (typeof FLAVOURS)[number];

/** What the packages of a kernel hold for us. */
export interface UnpackedKernel {
  readonly package: PackageRecord;
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

/** Names of the packages that depend on the newest kernel of a flavour. */
const META_PACKAGES: Readonly<Record<Flavour, (architecture: DebianArchitecture) => string>> = {
  cloud: architecture => `linux-image-cloud-${architecture}`,
  generic: architecture => `linux-image-${architecture}`,
  rt: architecture => `linux-image-rt-${architecture}`,
  '16k': architecture => `linux-image-${architecture}-16k`,
};

/** The flavours that a suite has for its architecture. */
export function flavoursOf(archive: PackageArchive): Flavour[] {
  return FLAVOURS.filter(flavour => archive.find(META_PACKAGES[flavour](archive.options.architecture)) !== undefined);
}

/** Finds the versioned package of a flavour's newest kernel. @throws UsageError, ImageError */
export function resolveKernelPackage(archive: PackageArchive, flavour: Flavour): PackageRecord {
  const meta = archive.get(META_PACKAGES[flavour](archive.options.architecture));
  const versioned = meta.depends.flat().find(name => /^linux-image-\d/.test(name));
  if (versioned === undefined)
    throw new ImageError(`package ${meta.name} ${meta.version} names no kernel image package`);
  return archive.get(versioned);
}

/** The image package and the packages that its files were split into. */
export function listKernelParts(archive: PackageArchive, image: PackageRecord): PackageRecord[] {
  const parts = image.depends
    .map(alternatives => alternatives[0]!)
    .filter(name => /^linux-(binary|modules|base)-\d/.test(name));
  return [image, ...parts.map(name => archive.get(name))];
}

/** Whether a kernel is in the cache, ready for use without network. */
export function isKernelCached(archive: PackageArchive, image: PackageRecord): boolean {
  return listKernelParts(archive, image).every(part => existsSync(unpackedFolder(archive, part, KERNEL_FILES)));
}

/** Fetches a kernel's packages and unpacks what is needed of them, or takes it from the cache. @throws ImageError */
export async function fetchKernel(archive: PackageArchive, image: PackageRecord): Promise<UnpackedKernel> {
  const folders: string[] = [];
  for (const part of listKernelParts(archive, image)) folders.push(await unpackIntoCache(archive, part, KERNEL_FILES));
  return { package: image, ...readKernelFolders(folders, image.name) };
}

/** Modules beyond these are never loaded by the lab. */
const MODULE_PREFIXES = [
  'drivers/virtio/',
  'drivers/block/virtio',
  'drivers/ata/ahci',
  'drivers/ata/lib',
  'drivers/scsi/scsi_',
  'drivers/scsi/sd_mod',
  'block/t10-pi',
  'drivers/char/hw_random/',
  'drivers/char/virtio',
  // tells the machine where VMCOREINFO is, for dumps that the machine itself makes
  'drivers/firmware/qemu_fw_cfg',
  'drivers/misc/pvpanic',
  'drivers/net/virtio',
  'drivers/net/net_failover',
  'net/core/failover',
  'fs/ext4/',
  // dumps that go to an NFS server
  'fs/nfs',
  'fs/lockd/',
  'fs/fscache/',
  'fs/netfs/',
  'net/sunrpc/',
  'net/dns_resolver/',
  'fs/jbd2/',
  'fs/mbcache',
  'lib/crc',
  'lib/libcrc',
  'crypto/crc',
];

/** The name changes with the selection: what was unpacked before lacks files. */
const KERNEL_FILES: Selection = { name: 'kernel4', wanted: isKernelFile };

function isKernelFile(path: string): boolean {
  if (/^\/boot\/(vmlinuz|config)-/.test(path)) return true;
  const module = /^\/lib\/modules\/[^/]+\/(.*)$/.exec(path)?.[1];
  if (module === undefined) return false;
  return ['vmlinuz', 'config', 'modules.builtin'].includes(module) || isLabModule(module);
}

function isLabModule(module: string): boolean {
  return MODULE_PREFIXES.some(prefix => module.startsWith(`kernel/${prefix}`));
}

function readKernelFolders(folders: readonly string[], packageName: string): Omit<UnpackedKernel, 'package'> {
  const paths = folders.flatMap(listFiles);
  const [imagePath, release] = findImage(paths) ?? [];
  if (imagePath === undefined || release === undefined) throw new ImageError(`package ${packageName} holds no vmlinuz`);
  const moduleRoot = `/lib/modules/${release}/`;
  const modules = new Map(
    paths
      .filter(path => /\.ko(\.(xz|gz|zst))?$/.test(path))
      .map(path => [path.slice(path.lastIndexOf(moduleRoot) + moduleRoot.length), path]),
  );
  return {
    release,
    imagePath,
    config: new KernelConfig(readText(paths, `/boot/config-${release}`) || readText(paths, `${moduleRoot}config`)),
    modules: {
      release,
      paths: [...modules.keys()],
      builtIn: parseBuiltIn(readText(paths, `${moduleRoot}modules.builtin`)),
      read: path => readFileSync(modules.get(path)!),
    },
  };
}

/** Finds `/boot/vmlinuz-RELEASE`, or where newer packages have it, `/lib/modules/RELEASE/vmlinuz`. */
function findImage(paths: readonly string[]): [path: string, release: string] | undefined {
  for (const path of paths) {
    const match = /\/boot\/vmlinuz-([^/]+)$/.exec(path) ?? /\/lib\/modules\/([^/]+)\/vmlinuz$/.exec(path);
    if (match !== null) return [path, match[1]!];
  }
  return undefined;
}

function readText(paths: readonly string[], ending: string): string {
  const path = paths.find(name => name.endsWith(ending));
  return path === undefined ? '' : readFileSync(path, 'utf8');
}

function listFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort();
}
