/**
 * A lab machine on QEMU: the judge of our own machine and the yardstick of the benchmark.
 *
 * Source: `qemu-system-aarch64(1)`. QEMU tells neither guest time nor instruction counts, so limits are in wall seconds.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { UsageError } from '../../capture/formats/errors.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import type { ControlOption } from '../commands/boot/controls.ts';
import { splitNic } from '../commands/boot/networks.ts';
import type { LabMachine, LabMachineConfig, LabMachineListener, LabProgress, LabStop } from './lab-machine.ts';

/** Debian packages that hold the programs, for the message. */
const PACKAGES: Readonly<Record<Architecture, string>> = { aarch64: 'qemu-system-arm', x86_64: 'qemu-system-x86' };

/** Runs QEMU as a child process. */
export class QemuMachine implements LabMachine {
  readonly name: string;
  readonly #config: LabMachineConfig;
  readonly #program: string;
  #child: ChildProcess | undefined;
  #interrupted: string | undefined;

  constructor(config: LabMachineConfig) {
    if (config.capture !== undefined) throw new UsageError('--mode host needs our own machine: leave --backend out');
    if (config.traceKexec === true) throw new UsageError('--trace kexec needs our own machine: leave --backend out');
    if (config.provocation !== undefined)
      throw new UsageError(`--panic ${config.provocation} needs our own machine: leave --backend out`);
    this.#config = config;
    this.#program = `qemu-system-${config.architecture}`;
    const version = spawnSync(this.#program, ['--version'], { encoding: 'utf8' });
    if (version.error !== undefined) {
      throw new UsageError(`${this.#program} is not installed (Debian package ${PACKAGES[config.architecture]})`);
    }
    this.name = /QEMU emulator version \S+/.exec(version.stdout)?.[0].replace(' emulator version', '') ?? 'QEMU';
  }

  progress(): LabProgress {
    return { guestSeconds: undefined, instructions: undefined };
  }

  interrupt(reason: string): void {
    if (this.#child === undefined) return;
    this.#interrupted ??= reason;
    this.#child.kill('SIGKILL');
  }

  async run(listener: LabMachineListener, limits: { readonly guestSeconds: number }): Promise<LabStop> {
    const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-'));
    try {
      const initrd = join(folder, 'initrd');
      writeFileSync(initrd, this.#config.initrd);
      return await this.#spawn(qemuArguments(this.#config, initrd), listener, limits.guestSeconds);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #spawn(args: readonly string[], listener: LabMachineListener, seconds: number): Promise<LabStop> {
    return new Promise(resolve => {
      // Its own process group: Ctrl-C in the terminal goes to us, and we decide.
      const child = spawn(this.#program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
      this.#child = child;
      const killWithUs = () => child.kill('SIGKILL');
      process.once('exit', killWithUs);
      let complaint = '';
      let tail = '';
      let timedOut = false;
      const timer = setTimeout(() => {
        timedOut = true;
        child.kill('SIGKILL');
      }, seconds * 1000);
      child.stdout.on('data', (bytes: Buffer) => {
        tail = (tail + bytes.toString('latin1')).slice(-400);
        listener.onConsole(bytes);
      });
      child.stderr.on('data', (bytes: Buffer) => (complaint += bytes.toString('utf8')));
      child.on('close', code => {
        clearTimeout(timer);
        process.off('exit', killWithUs);
        this.#child = undefined;
        if (this.#interrupted !== undefined) resolve({ kind: 'interrupted', reason: this.#interrupted });
        else if (timedOut) resolve({ kind: 'timeout', guestSeconds: seconds });
        else if (code !== 0) resolve({ kind: 'failed', message: complaint.trim().split('\n').at(-1) ?? 'QEMU failed' });
        else resolve({ kind: tail.includes('reboot: Power down') ? 'power-off' : 'reset' });
      });
    });
  }
}

const DISK_DEVICES = { mmio: 'virtio-blk-device', pci: 'virtio-blk-pci', ide: 'ide-hd' } as const;

/** QEMU's command line for a configuration. */
export function qemuArguments(config: LabMachineConfig, initrd: string): string[] {
  const seedless = config.architecture === 'aarch64' && !config.seeds ? ',dtb-randomness=off' : '';
  const device = DISK_DEVICES[config.diskBus];
  const options: readonly (readonly [option: string, value?: string])[] = [
    ['-machine', `${config.machine}${seedless}`],
    ['-cpu', config.cpu],
    ['-smp', String(config.cpus)],
    ['-m', `${config.memorySize / 2 ** 20}M`],
    ['-kernel', config.kernel],
    ['-initrd', initrd],
    ['-append', config.commandLine],
    ['-drive', `file=${config.disk.replaceAll(',', ',,')},format=raw,if=none,id=disk0,cache=unsafe,werror=report`],
    ['-device', `${device},drive=disk0`],
    ['-display', 'none'],
    ['-serial', 'stdio'],
    ...(config.controls?.some(({ mode }) => mode === 'readline') === true ? [] : [['-monitor', 'none'] as const]),
    ...networkArguments(config),
    ['-no-reboot'],
    ...(config.controls ?? []).map(controlArguments),
  ];
  return options.flat() as string[];
}

/** The card is a virtio one on the bus of the disk. */
function networkArguments({ nic, diskBus }: LabMachineConfig): readonly (readonly [string, string])[] {
  if (nic === undefined) return [['-nic', 'none']];
  const { netdev, properties } = splitNic(nic, 0);
  const mac = properties['mac'] === undefined ? '' : `,mac=${properties['mac']}`;
  const id = /(?:^|,)id=([^,]*)/.exec(netdev)![1]!;
  const device = `virtio-net-${diskBus === 'mmio' ? 'device' : 'pci'}`;
  return [
    ['-netdev', netdev],
    ['-device', `${device},netdev=${id}${mac}`],
  ];
}

function controlArguments({ mode, address, wait }: ControlOption): readonly [string, string] {
  const where =
    address.kind === 'unix' ? `unix:${address.path.replaceAll(',', ',,')}` : `tcp:${address.host}:${address.port}`;
  return [mode === 'control' ? '-qmp' : '-monitor', `${where},server=on,wait=${wait ? 'on' : 'off'}`];
}
