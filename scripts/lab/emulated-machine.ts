/** A lab machine on our own emulator. */
import { readFileSync } from 'node:fs';

import { FaultError, FormatError, UsageError } from '../../capture/formats/errors.ts';
import {
  type BoardMachine,
  chooseLoadAddresses,
  createMachine,
  FileBackend,
  type StopReason,
} from '../../emulator/index.ts';
import { type KernelImage, readKernelImage, requireArchitecture } from '../../kernel-images/kernel-image.ts';
import { readArm64Image } from '../../kexec/images.ts';
import { ControlServer } from '../console/control/control-server.ts';
import { RunControl } from '../console/run-control.ts';
import type { LabMachine, LabMachineConfig, LabMachineListener, LabProgress, LabStop } from './lab-machine.ts';
import { ConsoleBuffer } from './console-buffer.ts';
import { Aarch64Starter, type CaptureImage, type CaptureStarter, X86Starter } from './capture-starter.ts';
import { CrashListener, HostKexec, type KernelWatcher, LOOK_AGAIN, runWatched } from './host-kexec.ts';
import { KernelProbes } from './kernel-probes.ts';
import { NetworkCard } from './network-card.ts';
import { KeptCode } from './kept-code.ts';
import { KexecTrace } from './kexec-trace.ts';
import { Provoker } from './provocations.ts';
import { parseBoard } from './machine-option.ts';
import { triggerDevices } from './triggers.ts';
import { watchPc, watchVirt, type WatchedBoard } from './watched-board.ts';

/** 2026-01-01: the date of every run, because a date from outside would make runs differ. */
export const EPOCH_SECONDS = 1_767_225_600;
const NS_PER_SECOND = 1e9;

/** Runs a machine in this process. */
export class EmulatedMachine implements LabMachine {
  readonly name = 'kdump-lab';
  readonly #config: LabMachineConfig;
  #machine: BoardMachine | undefined;
  #control: RunControl | undefined;
  #card: NetworkCard | undefined;

  constructor(config: LabMachineConfig) {
    this.#config = config;
  }

  async run(listener: LabMachineListener, limits: { readonly guestSeconds: number }): Promise<LabStop> {
    const config = this.#config;
    const file = config.kernel;
    const kernel = await readKernelImage(readFileSync(file), file);
    requireArchitecture(kernel, config.architecture, file);
    using disk = new FileBackend(config.disk, false);
    using card = await NetworkCard.open(config);
    this.#card = card;
    const crash = new CrashListener(() => this.#machine?.stop({ kind: 'interrupted', reason: LOOK_AGAIN }));
    const console = new ConsoleBuffer(bytes => {
      listener.onConsole(bytes);
      if (watchers.some(({ isArmed }) => !isArmed)) crash.hear(bytes);
    });
    const { machine, watchers } = create(config, kernel, { disk, card }, listener, byte => console.write(byte));
    this.#machine = machine;
    const code = new KeptCode(machine, kernel.bytes);
    const disks = [{ option: { id: 'disk0', file: config.disk, readOnly: false, snapshot: false } }];
    this.#control = new RunControl(machine, disks);
    using _server = await ControlServer.open(this.#control, config.controls ?? [], this.#control.ended);
    const stop = await runToStop(this.#control, watchers, limits.guestSeconds);
    console.flush();
    code.save();
    if (disk.error !== undefined) return { kind: 'failed', message: disk.error.message };
    return stop;
  }

  interrupt(reason: string): void {
    this.#control?.interrupt(reason);
  }

  progress(): LabProgress {
    const machine = this.#machine;
    return {
      guestSeconds: (machine?.guestNs ?? 0) / NS_PER_SECOND,
      instructions: machine?.instructions ?? 0,
      frames: this.#card?.frames,
    };
  }
}

/** A capture kernel that the host cannot load ends the run: the guest decided how much memory there is, and what can be read of it. */
async function runToStop(
  machine: Pick<BoardMachine, 'guestNs' | 'run'>,
  watchers: readonly KernelWatcher[],
  guestSeconds: number,
): Promise<LabStop> {
  try {
    return labStop(await runWatched(machine, watchers, guestSeconds * NS_PER_SECOND), guestSeconds);
  } catch (error) {
    if (error instanceof UsageError || error instanceof FormatError || error instanceof FaultError)
      return { kind: 'failed', message: error.message };
    throw error;
  }
}

/** A machine ready to run, and who watches its kernel. */
interface CreatedMachine {
  readonly machine: BoardMachine;
  readonly watchers: readonly KernelWatcher[];
}

function create(
  config: LabMachineConfig,
  kernel: KernelImage,
  { disk, card }: { readonly disk: FileBackend; readonly card: NetworkCard },
  listener: LabMachineListener,
  serialOutput: (byte: number) => void,
): CreatedMachine {
  const board = parseBoard(config.machine);
  if ((board.type === 'virt') !== (config.architecture === 'aarch64'))
    throw new UsageError(`--machine ${board.type}: not a machine of ${config.architecture}`);
  const watchers: KernelWatcher[] = [];
  const panicked = (): void => {
    for (const watcher of watchers) watcher.guestHasPanicked?.();
  };
  const machine = createMachine({
    board: board.type === 'virt' ? { ...board, seeds: config.seeds } : board,
    cpu: config.cpu,
    cpuCount: config.cpus,
    memoryBytes: config.memorySize,
    drives: [{ backend: disk, bus: config.diskBus }],
    devices: [...triggerDevices(config.trigger ?? 'symbol', config.architecture, panicked), ...card.devices],
    serialOutput,
    epochSeconds: EPOCH_SECONDS,
  });
  machine.boot({
    kernel: kernel.bytes,
    kernelMemorySize: kernel.memorySize,
    initrd: config.initrd,
    commandLine: config.commandLine,
  });
  watchers.push(...watch(machine, config, kernel, listener));
  return { machine, watchers };
}

function watch(
  machine: BoardMachine,
  config: LabMachineConfig,
  kernel: KernelImage,
  listener: LabMachineListener,
): readonly KernelWatcher[] {
  const { board } = machine.config;
  if (machine.architecture === 'x86_64') {
    return createWatchers(
      config,
      watchPc(machine.board),
      listener,
      ({ dma }, image) => new X86Starter(machine.board, dma, image, board.type === 'q35'),
    );
  }
  const exceptionLevel = board.type === 'virt' && board.virtualization ? 2 : 1;
  return createWatchers(config, watchVirt(machine.board, exceptionLevel), listener, ({ dma }, image) => {
    const { textOffset } = readArm64Image(kernel.bytes, config.kernel);
    const { dtb } = chooseLoadAddresses(config.memorySize, textOffset, config.initrd.length);
    return new Aarch64Starter(machine.board, dma, image, dtb, exceptionLevel);
  });
}

/** Host mode and traces look at the kernel through probes. */
function createWatchers(
  { capture, trigger = 'symbol', traceKexec, provocation }: LabMachineConfig,
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
    watchers.push(new HostKexec(probes, starter, trigger, EPOCH_SECONDS, takeover => trace?.hostTookOver(takeover)));
  }
  return watchers;
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
