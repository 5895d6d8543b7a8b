/** Boots Debian kernels with a shell script as their init, for tests of the machine. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import {
  type BoardMachine,
  createMachine,
  type LinuxKernel,
  type MachineConfig,
  type StopReason,
} from '../../emulator/index.ts';
import { CONSOLES } from '../../kernel-images/command-line.ts';
import { PackageArchive } from '../../kernel-images/debian/package-index.ts';
import { packCpio } from '../../kernel-images/initramfs/cpio.ts';
import { addFile, addSymlink, createFileTree } from '../../kernel-images/initramfs/file-tree.ts';
import { fetchProgram } from '../../kernel-images/initramfs/programs.ts';
import { type Architecture, readKernelImage } from '../../kernel-images/kernel-image.ts';
import { resolveModules } from '../../kernel-images/kernel-modules.ts';
import {
  DEBIAN_ARCHITECTURES,
  fetchKernel,
  resolveKernelPackage,
  type Flavour,
} from '../../kernel-images/kernel-package.ts';

const NS_PER_SECOND = 1e9;
const APPLETS = [
  'sh',
  'mount',
  'umount',
  'mkdir',
  'cp',
  'ln',
  'sync',
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
  'setsid',
  'cttyhack',
  'stty',
  'switch_root',
  'ifconfig',
  'route',
  'ping',
  'udhcpc',
  'nc',
  'nslookup',
  'chmod',
  'printf',
  'sha256sum',
];

/** A machine with one CPU, 512 MiB, and the usual board of an architecture; tests change what they are about. */
export const PLAIN_MACHINES: Readonly<Record<Architecture, Omit<MachineConfig, 'serialOutput'>>> = {
  aarch64: {
    board: { type: 'virt', gicVersion: 3, its: true, virtualization: false, seeds: false },
    cpu: 'cortex-a57',
    cpuCount: 1,
    memoryBytes: 512 * 2 ** 20,
    drives: [],
    epochSeconds: 1_767_225_600,
  },
  x86_64: {
    board: { type: 'q35' },
    cpu: 'qemu64',
    cpuCount: 1,
    memoryBytes: 512 * 2 ** 20,
    drives: [],
    epochSeconds: 1_767_225_600,
  },
};

/** Which kernel. */
export interface GuestChoice {
  readonly architecture?: Architecture;
  readonly flavour?: Flavour;
  readonly suite?: string;
}

/** A kernel with what goes with it, and the files that it is made of. */
export interface GuestBoot extends LinuxKernel {
  readonly architecture: Architecture;
  readonly initrd: Uint8Array;
  /** Path of Debian's file. */
  readonly kernelFile: string;
}

/** A kernel with an initramfs that loads modules and runs a script, then powers off. Debian 12's arm64 kernel unless chosen. */
export async function guestWithScript(
  script: string,
  modules: readonly string[] = [],
  { architecture = 'aarch64', flavour = 'generic', suite = 'bookworm' }: GuestChoice = {},
): Promise<GuestBoot> {
  const archive = await PackageArchive.open({
    suite,
    architecture: DEBIAN_ARCHITECTURES[architecture],
    mirror: undefined,
  });
  const kernel = await fetchKernel(archive, resolveKernelPackage(archive, flavour));
  const image = await readKernelImage(readFileSync(kernel.imagePath), basename(kernel.imagePath));
  const busybox = await fetchProgram(archive, architecture, 'busybox-static', '/bin/busybox');
  const tree = createFileTree();
  for (const folder of ['/proc', '/sys', '/dev', '/mnt']) tree.mkdirSync(folder, { recursive: true, mode: 0o755 });
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
  return {
    architecture,
    kernel: image.bytes,
    kernelMemorySize: image.memorySize,
    kernelFile: kernel.imagePath,
    initrd: packCpio(tree),
    commandLine: `console=${CONSOLES[architecture]} cryptomgr.notests quiet loglevel=4`,
  };
}

/** How a guest's run went. */
export interface GuestRun {
  readonly machine: BoardMachine;
  readonly stop: StopReason;
  /** What it wrote to its serial port, without carriage returns. */
  readonly console: string;
}

/** Boots and runs until the machine stops. */
export async function runGuest(
  boot: GuestBoot,
  config: Partial<Omit<MachineConfig, 'serialOutput'>>,
  guestSeconds = 30,
): Promise<GuestRun> {
  const bytes: number[] = [];
  const serialOutput = (byte: number): void => void bytes.push(byte);
  const machine = createMachine({ ...PLAIN_MACHINES[boot.architecture], ...config, serialOutput });
  machine.boot(boot);
  const stop = await machine.run(guestSeconds * NS_PER_SECOND);
  return { machine, stop, console: Buffer.from(bytes).toString('latin1').replaceAll('\r', '') };
}
