/**
 * The two initramfs: one archive is the capture kernel's, and the production kernel gets the same one with an archive behind it that
 * adds kexec, the kernel image and the capture initramfs itself.
 *
 * Nothing is compressed: unpacking costs the guest more instructions than reading the bytes.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { asBuffer } from '../../capture/formats/bytes.ts';
import type { PackageArchive } from '../debian/package-index.ts';
import type { Architecture } from '../kernel-image.ts';
import type { KernelModule } from '../kernel-modules.ts';
import { packCpio } from './cpio.ts';
import { addFile, addSymlink, createFileTree, type FileTree } from './file-tree.ts';
import { fetchProgram, type ProgramSet } from './programs.ts';
import { formatSettings, type GuestSettings } from './settings.ts';

/** The programs that go into an initramfs. */
export interface GuestPrograms {
  readonly busybox: ProgramSet;
  readonly kexec: ProgramSet;
  readonly makedumpfile: ProgramSet;
  /** Saves the dump in place of busybox's program of the name. */
  readonly collector: ProgramSet | undefined;
  /** What reaches a target behind the network. */
  readonly network: readonly ProgramSet[];
}

/** A program of a Debian package. */
export interface WantedProgram {
  readonly package: string;
  /** Without `/usr`: `/bin/ssh`. */
  readonly path: string;
}

/** A file beyond the usual ones. */
export interface ExtraFile {
  /** In the guest. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly mode: number;
}

/** What both archives are made of. */
export interface InitramfsParts {
  readonly programs: GuestPrograms;
  readonly modules: readonly KernelModule[];
  /** Modules that only the production kernel has. */
  readonly productionModules?: readonly KernelModule[];
  readonly settings: GuestSettings;
  /** Kernel image that kexec loads. */
  readonly captureKernel: Uint8Array;
  readonly extraFiles?: readonly ExtraFile[];
  /** Names under which busybox is called beyond the usual ones: `/sbin/lsblk`. */
  readonly extraApplets?: readonly string[];
}

/** Archives ready for the machine. */
export interface Initramfs {
  readonly production: Buffer;
  readonly capture: Buffer;
}

/** Collectors of which busybox has a small version without the options of the real ones. */
const COREUTILS: ReadonlySet<string> = new Set(['cat', 'cp', 'dd']);

/**
 * Fetches Debian's programs for the guest.
 * @param collector the command that saves the dump
 * @param network what else the capture kernel needs
 * @throws UsageError, ImageError
 */
export async function fetchGuestPrograms(
  archive: PackageArchive,
  architecture: Architecture,
  collector = '',
  network: readonly WantedProgram[] = [],
): Promise<GuestPrograms> {
  const [path, ...options] = collector.trim().split(/\s+/);
  const program = basename(path!);
  const needsCoreutils = COREUTILS.has(program) && options.length > 0;
  return {
    busybox: await fetchProgram(archive, architecture, 'busybox-static', '/bin/busybox'),
    kexec: await fetchProgram(archive, architecture, 'kexec-tools', '/sbin/kexec'),
    makedumpfile: await fetchProgram(archive, architecture, 'makedumpfile', '/bin/makedumpfile'),
    collector: needsCoreutils ? await fetchProgram(archive, architecture, 'coreutils', `/bin/${program}`) : undefined,
    network: await Promise.all(network.map(wanted => fetchProgram(archive, architecture, wanted.package, wanted.path))),
  };
}

/** The programs of the capture kernel; the production kernel has them, too. */
export function capturePrograms({ busybox, makedumpfile, collector, network }: GuestPrograms): readonly ProgramSet[] {
  return [busybox, makedumpfile, ...(collector === undefined ? [] : [collector]), ...network];
}

/** Builds both archives. The same parts give the same bytes. */
export function buildInitramfs(parts: InitramfsParts): Initramfs {
  const capture = packCpio(buildBaseTree(parts));
  return { capture, production: Buffer.concat([capture, packCpio(buildProductionTree(parts, capture))]) };
}

/** Commands of our init, and a few for whoever gets a shell. */
const APPLETS = [
  'sh',
  'mount',
  'umount',
  'insmod',
  'sleep',
  'cat',
  'cp',
  'mv',
  'mkfifo',
  'sync',
  'poweroff',
  'ls',
  'ps',
  'dmesg',
  'grep',
  // What a kdump.conf may need.
  'mkdir',
  'rm',
  'dd',
  'date',
  'findfs',
  'ifconfig',
  'route',
  'reboot',
  'halt',
  'env',
];
/** busybox's shell in place of bash: scripts that keep to POSIX run. */
const BASH = '#!/bin/sh\nexec /bin/sh "$@"\n';
const MOUNT_POINTS = ['/proc', '/sys', '/dev', '/mnt', '/tmp', '/root'];

function buildBaseTree(parts: InitramfsParts): FileTree {
  const tree = createFileTree();
  for (const folder of MOUNT_POINTS) tree.mkdirSync(folder, { recursive: true, mode: 0o755 });
  addFile(tree, '/init', readFileSync(new URL('init.sh', import.meta.url)), 0o755);
  addFile(tree, '/etc/kdump-lab.conf', formatSettings(parts.settings));
  for (const program of capturePrograms(parts.programs)) addProgram(tree, program);
  for (const applet of APPLETS) if (!tree.existsSync(`/bin/${applet}`)) addSymlink(tree, `/bin/${applet}`, 'busybox');
  addExtras(tree, parts);
  addModules(tree, parts.modules);
  return tree;
}

function addModules(tree: FileTree, modules: readonly KernelModule[]): void {
  for (const { name, bytes } of modules) addFile(tree, `/lib/modules/${name}.ko`, bytes);
}

function addExtras(tree: FileTree, { extraFiles = [], extraApplets = [] }: InitramfsParts): void {
  if (extraFiles.length > 0) {
    addFile(tree, '/bin/bash', BASH, 0o755);
    addSymlink(tree, '/usr/bin', '../bin');
  }
  for (const path of extraApplets) if (!tree.existsSync(path)) addSymlink(tree, path, '/bin/busybox');
  for (const { path, bytes, mode } of extraFiles) addFile(tree, path, bytes, mode);
}

/** Whether busybox has a program: its table of names lies in its data. */
export function isApplet({ busybox }: GuestPrograms, name: string): boolean {
  return busybox.files.some(({ bytes }) => asBuffer(bytes).includes(`\0${name}\0`, 'latin1'));
}

function buildProductionTree(parts: InitramfsParts, capture: Buffer): FileTree {
  const tree = createFileTree();
  const present = new Set(capturePrograms(parts.programs).flatMap(({ files }) => files.map(file => file.path)));
  addProgram(tree, parts.programs.kexec, present);
  addFile(tree, '/boot/kernel', parts.captureKernel);
  addFile(tree, '/boot/capture.cpio', capture);
  addModules(tree, parts.productionModules ?? []);
  return tree;
}

/** Programs share libraries. */
function addProgram(tree: FileTree, program: ProgramSet, present: ReadonlySet<string> = new Set()): void {
  for (const { path, bytes } of program.files)
    if (!present.has(path) && !tree.existsSync(path)) addFile(tree, path, bytes, 0o755);
}
