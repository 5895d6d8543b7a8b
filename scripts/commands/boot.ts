/** `kdump-lab boot`: one machine with QEMU's own options, its console on the terminal. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';

import { Command } from 'commander';

import { ImageError, UsageError } from '../../capture/formats/errors.ts';
import { type BoardChoice, CPU_MODEL_NAMES, cpuModel, X64_MODEL_NAMES, x64Model } from '../../emulator/index.ts';
import { checkInitrd } from '../../kernel-images/initramfs/check.ts';
import {
  readKernelImage,
  requireArchitecture,
  type Architecture,
  type KernelImage,
} from '../../kernel-images/kernel-image.ts';
import { parseBoard } from '../lab/machine-option.ts';
import { ARCHITECTURE_DEFAULTS } from '../lab/scenario.ts';
import { listAskedFor } from './boot/lists.ts';
import { DEVICE_TYPES, MACHINE_TYPES, parseBootOptions, type BootOptions } from './boot-options.ts';

/** A command line whose files were looked at, with all that it leaves open chosen. */
export interface BootPlan extends BootOptions {
  readonly architecture: Architecture;
  readonly board: BoardChoice;
  readonly cpu: string;
  readonly image: KernelImage;
  /** What was chosen, and what is not as the user may think, one line each. */
  readonly notes: readonly string[];
}

/** Runs a machine on the terminal. @returns exit status */
export type BootBackend = (plan: BootPlan, args: readonly string[]) => Promise<number>;

const BOOT_HELP = `
Options are QEMU's (one dash or two); properties are written with - or _:
  -M, -machine TYPE[,NAME=VALUE]   ${Object.keys(MACHINE_TYPES).join(', ')} (default: by the kernel)
                                   virt: gic-version=2|3, its=on|off, virtualization=on|off, dtb-randomness=on|off
                                   q35: acpi, hpet, pit, pic=on|off; microvm: acpi, pit, pic, rtc, isa-serial=on|off
  --arch aarch64|x86_64            what the kernel has to be for (default: by the machine, or by the kernel)
  -cpu MODEL                       ${CPU_MODEL_NAMES.join(', ')}; ${X64_MODEL_NAMES.join(', ')}
  -smp N                           CPUs, 1 to 8 (also cpus=N, cores=, sockets=, threads=)
  -m SIZE                          RAM in MiB, or with K, M, G; up to 3G (default: 128M)
  -kernel FILE                     arm64: Image, Image.gz, EFI zboot; x86_64: bzImage, vmlinux, Multiboot
  -initrd FILE, -append TEXT, -dtb FILE (virt)
  -drive file=FILE[,format=raw][,if=virtio|ide|none][,id=ID][,readonly=on][,snapshot=on]
  -blockdev driver=file,filename=FILE,node-name=ID[,read-only=on], -blockdev driver=raw,file=ID,node-name=ID
  -hda FILE, -hdb, -hdc, -hdd      the same as -drive file=FILE: SATA disks on q35, virtio disks on the others
  -device TYPE[,NAME=VALUE]        ${wrap(DEVICE_TYPES, 35)}
  -netdev user,id=ID[,net=ADDRESS/BITS][,host=…][,dns=…][,dhcpstart=…][,hostname=…][,restrict=on]
          [,hostfwd=tcp:[ADDRESS]:PORT-[GUEST]:PORT][,guestfwd=tcp:ADDRESS:PORT-tcp:HOST:PORT]   and -device virtio-net-pci,netdev=ID
  -nic user[,…][,mac=MAC]          both in one (also -net nic -net user); without them there is no network
  -object filter-dump,id=ID,netdev=ID,file=FILE[,maxlen=N]   writes what goes over a network to a pcap file
  -fw_cfg name=NAME,file=FILE|string=TEXT
  -rtc base=utc|localtime|DATE     date of the clock (default: 2026-01-01, so that runs do not differ)
  -nographic, -display none        always so
  -serial stdio|mon:stdio|file:PATH|chardev:ID|null|none, -monitor stdio|none, -mon chardev=ID
  -chardev stdio|null|file,id=ID[,path=PATH][,mux=on]   also for -device virtconsole,chardev=ID
  -monitor unix:PATH,server,nowait, -qmp unix:PATH,server=on,wait=off   the monitor, or QMP, on a socket (also tcp:HOST:PORT, and
                                   -chardev socket,id=ID,path=PATH,server=on,wait=off -mon chardev=ID,mode=control)
  -echr CODE                       the key that begins a command of the console (default: 1, Ctrl-a)
  -no-reboot, -no-shutdown, -action reboot=reset|shutdown,shutdown=poweroff|pause,panic=shutdown|exit-failure|pause|none
  -snapshot                        keep disks as they are
  -d ITEMS, -D FILE                traces, and the file they go to; -d help lists them (so do -M, -cpu, -device help)
  -s, -S, -gdb tcp::PORT           gdb server; wait before the first instruction
Taken, and without effect: -name, -uuid, -nodefaults, -no-user-config, -accel tcg, -object rng-*, -boot, -icount …
On the terminal: Ctrl-a x quits, Ctrl-a c is the monitor, Ctrl-a h lists the keys.

Exit status: 0 when the guest ended or the user did; 1 for wrong options, unusable files, or a guest that cannot go on;
what isa-debug-exit says; 130 when interrupted.

Examples:
  kdump-lab boot -M virt,gic-version=3 -cpu cortex-a57 -smp 2 -m 512 -nographic -kernel Image \\
    -hda rootfs.img -append "console=ttyAMA0 root=/dev/vda rw crashkernel=128M"
  kdump-lab boot -M q35 -cpu max -smp 2 -m 512 -nographic -no-reboot -kernel bzImage -initrd initrd \\
    -append "console=ttyS0"`;

/** Continues a list on further lines. */
function wrap(names: readonly string[], indent: number): string {
  const lines: string[][] = [[]];
  for (const name of names) {
    if ([...lines.at(-1)!, name].join(', ').length > 80) lines.push([]);
    lines.at(-1)!.push(name);
  }
  return lines.map(line => line.join(', ')).join(`,\n${' '.repeat(indent)}`);
}

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
    bootCommand().name('kdump-lab boot').outputHelp();
    return 0;
  }
  const backendAt = args.indexOf('--backend');
  const own = backendAt === -1 ? [...args] : args.toSpliced(backendAt, 2);
  const list = listAskedFor(own);
  if (list !== undefined) {
    for (const line of list) console.log(line);
    return 0;
  }
  const plan = await planBoot(parseBootOptions(own));
  const backend = BOOT_BACKENDS[backendAt === -1 ? DEFAULT_BOOT_BACKEND : (args[backendAt + 1] ?? '')];
  if (backend === undefined) throw new UsageError(`--backend: there are ${Object.keys(BOOT_BACKENDS).join(', ')}`);
  return backend(plan, own);
}

/** Looks at the files that the options name, and chooses what they leave open. @throws UsageError, ImageError */
export async function planBoot(options: BootOptions): Promise<BootPlan> {
  const kernel = readOptionFile('-kernel', options.kernel);
  const initrd = options.initrd === undefined ? undefined : readOptionFile('-initrd', options.initrd);
  if (options.dtb !== undefined) readOptionFile('-dtb', options.dtb);
  const image = await readKernelImage(kernel, options.kernel);
  const architecture = options.architecture ?? image.architecture;
  requireArchitecture(image, architecture, options.kernel);
  if (image.format === 'vmlinux' && architecture === 'aarch64')
    throw new ImageError('an arm64 vmlinux cannot be booted: give its Image', { file: options.kernel });
  if (initrd !== undefined) await checkInitrd(initrd, options.initrd!);
  for (const disk of options.disks) checkDisk(disk.file);
  const machine = machineText(options, architecture);
  const cpu = options.cpu ?? ARCHITECTURE_DEFAULTS[architecture].cpu;
  return {
    ...options,
    architecture,
    image,
    board: parseBoard(machine),
    cpu: knownCpu(cpu, architecture),
    notes: notesOf(options, { image, architecture, machine, cpu }),
  };
}

/** @throws UsageError when it is no readable file */
function readOptionFile(option: string, path: string): Uint8Array {
  if (!existsSync(path)) throw new UsageError(`${option} ${path}: no such file`);
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError(`${option} ${path}: cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`, {
      cause,
    });
  }
}

/** `virt,gic-version=3`, with the usual machine where no type was given. */
function machineText({ machine }: BootOptions, architecture: Architecture): string {
  const type =
    machine?.type === '' || machine === undefined ? ARCHITECTURE_DEFAULTS[architecture].machine : machine.type;
  const properties = Object.entries(machine?.properties ?? {}).map(([name, value]) => `${name}=${value}`);
  return [type, ...properties].join(',');
}

/** Models have properties, as `max,pauth-impdef=on`, `qemu64,+x2apic`. @throws UsageError */
function knownCpu(cpu: string, architecture: Architecture): string {
  if (cpu.split(',')[0] === 'host')
    throw new UsageError('-cpu host: this machine is always emulated; max has all that there is');
  if (architecture === 'aarch64') cpuModel(cpu);
  else x64Model(cpu);
  return cpu;
}

interface Chosen {
  readonly image: KernelImage;
  readonly architecture: Architecture;
  readonly machine: string;
  readonly cpu: string;
}

function notesOf(options: BootOptions, { image, architecture, machine, cpu }: Chosen): string[] {
  const notes: string[] = [];
  const chosen = [
    ...(options.machine === undefined ? [`-M ${machine}`] : []),
    ...(options.cpu === undefined ? [`-cpu ${cpu}`] : []),
  ];
  if (chosen.length > 0) notes.push(`${image.format} for ${architecture}: ${chosen.join(' ')}`);
  if (architecture === 'x86_64' && options.disks.some(({ wantsIde }) => wantsIde)) notes.push(ideNote(machine));
  return notes;
}

/** What became of `-hda` and `if=ide` on a PC. */
function ideNote(machine: string): string {
  return machine.startsWith('q35')
    ? 'SATA disks: /dev/sda, by the driver ahci (cloud kernels have none: use if=virtio)'
    : 'disks are virtio disks: /dev/vda, not /dev/sda';
}

const SECTOR_SIZE = 512;

function checkDisk(file: string): void {
  if (!existsSync(file)) throw new UsageError(`disk ${file}: no such file`);
  const status = statSync(file);
  if (!status.isFile()) throw new UsageError(`disk ${file}: not a file`);
  if (status.size === 0 || status.size % SECTOR_SIZE !== 0)
    throw new ImageError(`a disk of ${status.size} bytes: must be a multiple of ${SECTOR_SIZE}`, { file });
}

/** Hands the command line to QEMU itself, to compare. */
const qemuBackend: BootBackend = (plan, args) => {
  const run = spawnSync(`qemu-system-${plan.architecture}`, args, { stdio: 'inherit' });
  if (run.error !== undefined) throw new UsageError(`qemu-system-${plan.architecture} is not installed`);
  return Promise.resolve(run.status ?? 1);
};

/** Our own machine, with the terminal as its console. */
const ownBackend: BootBackend = async plan => {
  for (const note of plan.notes) console.error(`kdump-lab: ${note}`);
  const { bootOnTerminal } = await import('../console/boot-on-terminal.ts');
  return bootOnTerminal(plan);
};

/** Backends by the name that the hidden option `--backend` takes. */
export const BOOT_BACKENDS: Readonly<Record<string, BootBackend>> = { 'kdump-lab': ownBackend, qemu: qemuBackend };
const DEFAULT_BOOT_BACKEND = 'kdump-lab';
