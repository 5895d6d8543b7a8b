/** Boots Debian kernels with a shell script as their init, for tests of the machine. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { VirtBoard, type VirtConfig } from '../../emulator/machine/virt-aarch64/board.ts';
import type { LinuxBoot } from '../../emulator/machine/virt-aarch64/direct-boot.ts';
import type { StopReason } from '../../emulator/machine/machine.ts';
import { PackageArchive } from '../../kernel-images/debian/package-index.ts';
import { packCpio } from '../../kernel-images/initramfs/cpio.ts';
import { addFile, addSymlink, createFileTree } from '../../kernel-images/initramfs/file-tree.ts';
import { fetchProgram } from '../../kernel-images/initramfs/programs.ts';
import { readKernelImage } from '../../kernel-images/kernel-image.ts';
import { resolveModules } from '../../kernel-images/kernel-modules.ts';
import { fetchKernel, resolveKernelPackage, type Flavour } from '../../kernel-images/kernel-package.ts';

const NS_PER_SECOND = 1e9;
const APPLETS = [
  'sh',
  'mount',
  'insmod',
  'cat',
  'ls',
  'echo',
  'head',
  'od',
  'dd',
  'sleep',
  'poweroff',
  'reboot',
  'grep',
  'dmesg',
];

/** A board with one CPU, 512 MiB, a GICv3 and its ITS; tests change what they are about. */
export const PLAIN_BOARD: Omit<VirtConfig, 'consoleOutput'> = {
  cpu: 'cortex-a57',
  cpuCount: 1,
  memoryBytes: 512 * 2 ** 20,
  gicVersion: 3,
  its: true,
  virtualization: false,
  seeds: false,
  drives: [],
  epochSeconds: 1_767_225_600,
};

/** The arm64 kernel of a suite with an initramfs that loads modules and runs a script, then powers off. */
export async function guestWithScript(
  script: string,
  modules: readonly string[] = [],
  flavour: Flavour = 'generic',
): Promise<LinuxBoot> {
  const archive = await PackageArchive.open({ suite: 'bookworm', architecture: 'arm64', mirror: undefined });
  const kernel = await fetchKernel(archive, resolveKernelPackage(archive, flavour));
  const image = await readKernelImage(readFileSync(kernel.imagePath), basename(kernel.imagePath));
  const busybox = await fetchProgram(archive, 'aarch64', 'busybox-static', '/bin/busybox');
  const tree = createFileTree();
  for (const folder of ['/proc', '/sys', '/dev']) tree.mkdirSync(folder, { recursive: true, mode: 0o755 });
  for (const { path, bytes } of busybox.files) addFile(tree, path, bytes, 0o755);
  for (const applet of APPLETS) addSymlink(tree, `/bin/${applet}`, 'busybox');
  const closure = await resolveModules(kernel.modules, modules);
  for (const { name, bytes } of closure) addFile(tree, `/modules/${name}.ko`, bytes);
  const lines = [
    '#!/bin/sh',
    'mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys',
    ...closure.map(({ name }) => `insmod /modules/${name}.ko`),
    script,
    'poweroff -f',
  ];
  addFile(tree, '/init', `${lines.join('\n')}\n`, 0o755);
  const commandLine = 'console=ttyAMA0 cryptomgr.notests quiet loglevel=4';
  return { kernel: image.bytes, kernelMemorySize: image.memorySize, initrd: packCpio(tree), commandLine };
}

/** How a guest's run went. */
export interface GuestRun {
  readonly board: VirtBoard;
  readonly stop: StopReason;
  /** What it wrote to its UART, without carriage returns. */
  readonly console: string;
}

/** Boots and runs until the machine stops. */
export async function runGuest(
  boot: LinuxBoot,
  config: Partial<Omit<VirtConfig, 'consoleOutput'>>,
  guestSeconds = 30,
): Promise<GuestRun> {
  const bytes: number[] = [];
  const board = new VirtBoard({ ...PLAIN_BOARD, ...config, consoleOutput: byte => void bytes.push(byte) });
  board.loadLinux(boot);
  const stop = await board.machine.run(guestSeconds * NS_PER_SECOND);
  return { board, stop, console: Buffer.from(bytes).toString('latin1').replaceAll('\r', '') };
}
