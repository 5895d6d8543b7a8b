/** `kdump-lab boot`: one machine with QEMU's own options, its console on the terminal. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';

import { Command } from 'commander';

import { ImageError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { checkInitrd } from '../../kernel-images/initramfs/check.ts';
import {
  readKernelImage,
  requireArchitecture,
  type Architecture,
  type KernelImage,
} from '../../kernel-images/kernel-image.ts';
import { DEVICE_TYPES, MACHINE_TYPES, parseBootOptions, type BootOptions } from './boot-options.ts';

/** A command line whose files were looked at. */
export interface BootPlan extends BootOptions {
  readonly architecture: Architecture;
  readonly image: KernelImage;
}

/** Runs a machine on the terminal. @returns exit status */
export type BootBackend = (plan: BootPlan, args: readonly string[]) => Promise<number>;

const BOOT_HELP = `
Options are QEMU's (one dash or two):
  -M, -machine TYPE[,NAME=VALUE]   ${Object.keys(MACHINE_TYPES).join(', ')} (virt: gic-version=2|3; default: by the kernel)
  -cpu MODEL                       cortex-a53, cortex-a57, cortex-a72, cortex-a76, max; qemu64, max
  -smp N                           CPUs, 1 to 8
  -m SIZE                          RAM in MiB, or with K, M, G; up to 3G
  -kernel FILE                     arm64 Image, Image.gz, EFI zboot; x86 bzImage; vmlinux
  -initrd FILE, -append TEXT, -dtb FILE
  -drive file=FILE[,format=raw][,if=virtio|none][,id=ID][,readonly=on][,snapshot=on]
  -hda FILE, -hdb FILE             the same as -drive file=FILE
  -device TYPE[,NAME=VALUE]        ${DEVICE_TYPES.join(', ')}
  -nographic, -display none        always so
  -serial stdio|mon:stdio|file:PATH|none, -monitor none|stdio
  -chardev stdio|null|file,id=ID[,path=PATH]   for -device virtconsole,chardev=ID (behind a virtio-serial-*)
  -no-reboot                       end instead of resetting
  -snapshot                        keep disks as they are
  -d ITEMS, -D FILE                traces (int, mmu, guest_errors), and the file they go to
  -s, -S, -gdb tcp::PORT           gdb server
On the terminal: Ctrl-a x quits, Ctrl-a c is the monitor.

Example:
  kdump-lab boot -M virt,gic-version=3 -cpu cortex-a57 -smp 2 -m 512 -nographic -kernel Image \\
    -hda rootfs.img -append "console=ttyAMA0 root=/dev/vda rw crashkernel=128M"`;

/** The `boot` command for the list of commands and its help; `runBoot` reads its options. */
export function bootCommand(): Command {
  return new Command('boot')
    .description("boot a kernel with QEMU's options, console on the terminal")
    .usage('[QEMU options]')
    .addHelpText('after', BOOT_HELP);
}

/** Runs `boot`. @returns exit status @throws UsageError, ImageError */
export async function runBoot(args: readonly string[]): Promise<number> {
  if (args.some(arg => arg === '--help' || arg === '-help' || arg === '-h')) {
    bootCommand().outputHelp();
    return 0;
  }
  const backendAt = args.indexOf('--backend');
  const own = backendAt === -1 ? [...args] : args.toSpliced(backendAt, 2);
  const plan = await planBoot(parseBootOptions(own));
  const backend = BOOT_BACKENDS[backendAt === -1 ? DEFAULT_BOOT_BACKEND : (args[backendAt + 1] ?? '')];
  if (backend === undefined) throw new UsageError(`--backend: there are ${Object.keys(BOOT_BACKENDS).join(', ')}`);
  return backend(plan, own);
}

/** Looks at the files that the options name. @throws UsageError, ImageError */
async function planBoot(options: BootOptions): Promise<BootPlan> {
  for (const [option, file] of [
    ['-kernel', options.kernel],
    ['-initrd', options.initrd],
    ['-dtb', options.dtb],
  ] as const) {
    if (file !== undefined && !existsSync(file)) throw new UsageError(`${option} ${file}: no such file`);
  }
  const image = await readKernelImage(readFileSync(options.kernel), options.kernel);
  const architecture = options.architecture ?? image.architecture;
  requireArchitecture(image, architecture, options.kernel);
  if (options.initrd !== undefined) await checkInitrd(readFileSync(options.initrd), options.initrd);
  for (const disk of options.disks) checkDisk(disk.file);
  return { ...options, architecture, image };
}

const SECTOR_SIZE = 512;

function checkDisk(file: string): void {
  if (!existsSync(file)) throw new UsageError(`disk ${file}: no such file`);
  const { size } = statSync(file);
  if (size === 0 || size % SECTOR_SIZE !== 0)
    throw new ImageError(`a disk of ${size} bytes: must be a multiple of ${SECTOR_SIZE}`, { file });
}

/** Hands the command line to QEMU itself, to compare. */
const qemuBackend: BootBackend = (plan, args) => {
  const run = spawnSync(`qemu-system-${plan.architecture}`, args, { stdio: 'inherit' });
  if (run.error !== undefined) throw new UsageError(`qemu-system-${plan.architecture} is not installed`);
  return Promise.resolve(run.status ?? 1);
};

/** Our own machine, with the terminal as its console. */
const ownBackend: BootBackend = async plan => {
  if (plan.architecture !== 'aarch64') throw new UnimplementedError('booting x86_64 kernels on our own machine');
  const { bootOnTerminal } = await import('../console/boot-on-terminal.ts');
  return bootOnTerminal(plan);
};

/** Backends by the name that the hidden option `--backend` takes. */
export const BOOT_BACKENDS: Readonly<Record<string, BootBackend>> = { 'kdump-lab': ownBackend, qemu: qemuBackend };
const DEFAULT_BOOT_BACKEND = 'kdump-lab';
