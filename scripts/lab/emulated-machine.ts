/** A lab machine on our own emulator. */
import { readFileSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';
import { FileBackend } from '../../emulator/devices/block/file-backend.ts';
import type { Machine, StopReason } from '../../emulator/machine/machine.ts';
import { PcBoard } from '../../emulator/machine/pc-x86_64/board.ts';
import { VirtBoard } from '../../emulator/machine/virt-aarch64/board.ts';
import { chooseLoadAddresses } from '../../emulator/machine/virt-aarch64/layout.ts';
import { type KernelImage, readKernelImage, requireArchitecture } from '../../kernel-images/kernel-image.ts';
import { readArm64Image } from '../../kexec/images.ts';
import type { LabMachine, LabMachineConfig, LabMachineListener, LabProgress, LabStop } from './lab-machine.ts';
import { ConsoleBuffer } from './console-buffer.ts';
import { Aarch64Starter, type CaptureImage, type CaptureStarter, X86Starter } from './capture-starter.ts';
import { HostKexec, type KernelWatcher, runWatched } from './host-kexec.ts';
import { KernelProbes } from './kernel-probes.ts';
import { KexecTrace } from './kexec-trace.ts';
import { Provoker } from './provocations.ts';
import { parseMachineOption, parsePcMachineOption } from './machine-option.ts';
import { watchPc, watchVirt, type WatchedBoard } from './watched-board.ts';

/** 2026-01-01: the date of every run, because a date from outside would make runs differ. */
export const EPOCH_SECONDS = 1_767_225_600;
const NS_PER_SECOND = 1e9;

/** Runs a machine in this process. */
export class EmulatedMachine implements LabMachine {
  readonly name = 'kdump-lab';
  readonly #config: LabMachineConfig;
  #machine: Machine | undefined;

  constructor(config: LabMachineConfig) {
    this.#config = config;
  }

  async run(listener: LabMachineListener, limits: { readonly guestSeconds: number }): Promise<LabStop> {
    const config = this.#config;
    const file = config.kernel;
    const kernel = await readKernelImage(readFileSync(file), file);
    requireArchitecture(kernel, config.architecture, file);
    using disk = new FileBackend(config.disk, false);
    const console = new ConsoleBuffer(bytes => listener.onConsole(bytes));
    const create = config.architecture === 'aarch64' ? createVirt : createPc;
    const { machine, watchers } = create(config, kernel, disk, listener, byte => console.write(byte));
    this.#machine = machine;
    const stop = await runToStop(machine, watchers, limits.guestSeconds);
    console.flush();
    if (disk.error !== undefined) return { kind: 'failed', message: disk.error.message };
    return stop;
  }

  interrupt(reason: string): void {
    this.#machine?.stop({ kind: 'interrupted', reason });
  }

  progress(): LabProgress {
    const machine = this.#machine;
    return { guestSeconds: (machine?.guestNs ?? 0) / NS_PER_SECOND, instructions: machine?.instructions ?? 0 };
  }
}

type ConsoleOutput = (byte: number) => void;

/** A capture kernel that the host cannot load ends the run: the guest decided how much memory there is for it. */
async function runToStop(machine: Machine, watchers: readonly KernelWatcher[], guestSeconds: number): Promise<LabStop> {
  try {
    return labStop(await runWatched(machine, watchers, guestSeconds * NS_PER_SECOND), guestSeconds);
  } catch (error) {
    if (error instanceof UsageError) return { kind: 'failed', message: error.message };
    throw error;
  }
}

/** A machine ready to run, and who watches its kernel. */
interface CreatedMachine {
  readonly machine: Machine;
  readonly watchers: readonly KernelWatcher[];
}

function createVirt(
  config: LabMachineConfig,
  kernel: KernelImage,
  disk: FileBackend,
  listener: LabMachineListener,
  output: ConsoleOutput,
): CreatedMachine {
  const { gicVersion, its, virtualization } = parseMachineOption(config.machine);
  const { diskBus: bus } = config;
  if (bus === 'ide') throw new UsageError('virt has no IDE or SATA: use virtio');
  const board = new VirtBoard({
    cpu: config.cpu,
    cpuCount: config.cpus,
    memoryBytes: config.memorySize,
    gicVersion,
    its,
    virtualization,
    drives: [{ backend: disk, bus }],
    consoleOutput: output,
    epochSeconds: EPOCH_SECONDS,
    seeds: config.seeds,
  });
  board.loadLinux({
    kernel: kernel.bytes,
    kernelMemorySize: kernel.memorySize,
    initrd: config.initrd,
    commandLine: config.commandLine,
  });
  const exceptionLevel = virtualization ? 2 : 1;
  const watchers = createWatchers(config, watchVirt(board, exceptionLevel), listener, ({ dma }, image) => {
    const { textOffset } = readArm64Image(kernel.bytes, config.kernel);
    const { dtb } = chooseLoadAddresses(config.memorySize, textOffset, config.initrd.length);
    return new Aarch64Starter(board, dma, image, dtb, exceptionLevel);
  });
  return { machine: board.machine, watchers };
}

/** Host mode and traces look at the kernel through probes. */
function createWatchers(
  { capture, traceKexec, provocation }: LabMachineConfig,
  board: WatchedBoard,
  listener: LabMachineListener,
  createStarter: (probes: KernelProbes, image: CaptureImage) => CaptureStarter,
): KernelWatcher[] {
  const probes = new KernelProbes(board);
  const watchers: KernelWatcher[] = [];
  const trace = traceKexec === true ? new KexecTrace(probes, event => listener.onKexecEvent?.(event)) : undefined;
  if (provocation !== undefined) watchers.push(new Provoker(probes, provocation));
  if (trace !== undefined) watchers.push(trace);
  if (capture !== undefined) {
    const starter = createStarter(probes, capture);
    watchers.push(new HostKexec(probes, starter, EPOCH_SECONDS, takeover => trace?.hostTookOver(takeover)));
  }
  return watchers;
}

function createPc(
  config: LabMachineConfig,
  kernel: KernelImage,
  disk: FileBackend,
  listener: LabMachineListener,
  output: ConsoleOutput,
): CreatedMachine {
  const machine = parsePcMachineOption(config.machine);
  const board = new PcBoard({
    ...machine,
    cpu: config.cpu,
    cpuCount: config.cpus,
    memoryBytes: config.memorySize,
    drives: [{ backend: disk, bus: config.diskBus }],
    consoleOutput: output,
    epochSeconds: EPOCH_SECONDS,
  });
  board.loadLinux({ kernel: kernel.bytes, initrd: config.initrd, commandLine: config.commandLine });
  const watchers = createWatchers(
    config,
    watchPc(board),
    listener,
    ({ dma }, image) => new X86Starter(board, dma, image),
  );
  return { machine: board.machine, watchers };
}

function labStop(stop: StopReason, guestSeconds: number): LabStop {
  switch (stop.kind) {
    case 'timeout':
      return { kind: 'timeout', guestSeconds };
    case 'halted':
      return { kind: 'failed', message: 'all CPUs wait for interrupts that no device will raise' };
    case 'exit':
      return { kind: 'failed', message: `the guest ended the run with status ${stop.status}` };
    default:
      return stop;
  }
}
