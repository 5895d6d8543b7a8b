/** A lab machine on our own emulator. */
import { readFileSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';
import { FileBackend } from '../../emulator/devices/block/file-backend.ts';
import type { StopReason } from '../../emulator/machine/machine.ts';
import { VirtBoard } from '../../emulator/machine/virt-aarch64/board.ts';
import { readKernelImage, requireArchitecture } from '../../kernel-images/kernel-image.ts';
import type { LabMachine, LabMachineConfig, LabMachineListener, LabProgress, LabStop } from './lab-machine.ts';
import { ConsoleBuffer } from './console-buffer.ts';
import { parseMachineOption } from './machine-option.ts';

/** 2026-01-01: the date of every run, because a date from outside would make runs differ. */
export const EPOCH_SECONDS = 1_767_225_600;
const NS_PER_SECOND = 1e9;

/** Runs a machine in this process. */
export class EmulatedMachine implements LabMachine {
  readonly name = 'kdump-lab';
  readonly #config: LabMachineConfig;
  #board: VirtBoard | undefined;

  constructor(config: LabMachineConfig) {
    this.#config = config;
    if (config.architecture !== 'aarch64') throw new UsageError('the emulator boots aarch64 kernels only so far');
  }

  async run(listener: LabMachineListener, limits: { readonly guestSeconds: number }): Promise<LabStop> {
    const config = this.#config;
    const file = config.kernel;
    const kernel = await readKernelImage(readFileSync(file), file);
    requireArchitecture(kernel, config.architecture, file);
    const { gicVersion, its, virtualization } = parseMachineOption(config.machine);
    using disk = new FileBackend(config.disk, false);
    const console = new ConsoleBuffer(bytes => listener.onConsole(bytes));
    const board = new VirtBoard({
      cpu: config.cpu,
      cpuCount: config.cpus,
      memoryBytes: config.memorySize,
      gicVersion,
      its,
      virtualization,
      drives: [{ backend: disk, bus: config.diskBus }],
      consoleOutput: byte => console.write(byte),
      epochSeconds: EPOCH_SECONDS,
      seeds: config.seeds,
    });
    this.#board = board;
    board.loadLinux({
      kernel: kernel.bytes,
      kernelMemorySize: kernel.memorySize,
      initrd: config.initrd,
      commandLine: config.commandLine,
    });
    const stop = await board.machine.run(limits.guestSeconds * NS_PER_SECOND);
    console.flush();
    return labStop(stop, limits.guestSeconds);
  }

  interrupt(reason: string): void {
    this.#board?.machine.stop({ kind: 'interrupted', reason });
  }

  progress(): LabProgress {
    const machine = this.#board?.machine;
    return { guestSeconds: (machine?.guestNs ?? 0) / NS_PER_SECOND, instructions: machine?.instructions ?? 0 };
  }
}

function labStop(stop: StopReason, guestSeconds: number): LabStop {
  switch (stop.kind) {
    case 'timeout':
      return { kind: 'timeout', guestSeconds };
    case 'halted':
      return { kind: 'failed', message: 'all CPUs wait for interrupts that no device will raise' };
    default:
      return stop;
  }
}
