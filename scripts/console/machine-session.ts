/**
 * A machine that somebody sits at: paced to wall time while it is idle, paused and resumed, reset, and looked at by the monitor.
 */
import { readFileSync } from 'node:fs';

import { UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { parseFdt } from '../../capture/formats/fdt.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import {
  type BoardMachine,
  type BlockBackend,
  createMachine,
  FileBackend,
  type MachineSnapshot,
  OverlayBackend,
  type PvpanicEvent,
  type StopReason,
  TRACE_CHANNELS,
  type VirtioBus,
} from '../../emulator/index.ts';
import type { BootPlan } from '../commands/boot.ts';
import type { CharacterBackend, DiskOption } from '../commands/boot-options.ts';
import { EPOCH_SECONDS } from '../lab/emulated-machine.ts';
import { KeptCode } from '../lab/kept-code.ts';
import { machineState } from '../lab/machine-state.ts';
import { GuestDumper } from './guest-dump.ts';
import type { InteractiveTarget } from './interactive.ts';
import { MachineEvents } from './machine-events.ts';
import { MachineDevices, readFirmwareFiles } from './machine-devices.ts';
import { SessionNetworks } from './session-networks.ts';
import { isChannel, TraceFile } from './trace-file.ts';

const NS_PER_MS = 1e6;
/** Guest time between two looks at the wall clock. */
const SLICE_NS = 10 * NS_PER_MS;
/** A guest that has fallen behind the wall clock by more is not made to catch up. */
const GREATEST_LAG_MS = 100;

/** How often a machine that waits for nothing is asked whether something has come. */
const HALTED_LOOK_MS = 20;

/** How a session ended. */
export type SessionEnd = { readonly kind: 'quit' } | { readonly kind: 'panicked' } | StopReason;

/** What a paused machine waits for, in QEMU's words. */
export type RunState = 'running' | 'paused' | 'prelaunch' | 'shutdown' | 'guest-panicked';

/** A disk of the session. */
export interface SessionDisk {
  readonly option: DiskOption;
  readonly file: FileBackend;
  readonly backend: BlockBackend;
}

/** A snapshot by its name. */
export interface NamedSnapshot {
  readonly name: string;
  readonly taken: Date;
  readonly guestSeconds: number;
  readonly snapshot: MachineSnapshot;
}

/** QMP's words for what is done about a panic. */
const PANIC_ACTIONS = { shutdown: 'poweroff', 'exit-failure': 'poweroff', pause: 'pause', none: 'run' } as const;

/** One machine on the terminal. */
export class MachineSession implements InteractiveTarget, Disposable {
  readonly plan: BootPlan;
  readonly machine: BoardMachine;
  readonly disks: readonly SessionDisk[];
  readonly devices: MachineDevices;
  readonly networks: SessionNetworks;
  readonly dumper = new GuestDumper(this);
  readonly events = new MachineEvents();
  readonly #trace: TraceFile | undefined;
  readonly #code: KeptCode;
  /** A machine has one snapshot at a time. */
  #snapshot: NamedSnapshot | undefined;
  #state: RunState;
  #end: SessionEnd | undefined;
  /** The next reset is the user's, not the guest's. */
  #resetByHost = false;
  #wake: () => void = () => undefined;

  /**
   * @param output takes each character that the guest sends to its serial port
   * @throws UnimplementedError, UsageError, ImageError
   */
  constructor(plan: BootPlan, output: (byte: number) => void) {
    refuseUnknownTraces(plan.trace);
    this.plan = plan;
    const usualBus = plan.board.type === 'microvm' ? 'mmio' : 'pci';
    this.disks = plan.disks.map(openDisk);
    this.#trace = plan.trace.length > 0 ? new TraceFile(plan.trace.filter(isChannel), plan.traceFile) : undefined;
    this.devices = new MachineDevices(plan, usualBus, event => this.#heardPanic(event));
    this.networks = new SessionNetworks(plan, usualBus, () => this.#epochSeconds + this.guestSeconds);
    this.machine = this.#powerOn(usualBus, output);
    this.#code = new KeptCode(this.machine, plan.image.bytes);
    this.#state = plan.startPaused ? 'prelaunch' : 'running';
  }

  [Symbol.dispose](): void {
    this.#code.save();
    this.#trace?.[Symbol.dispose]();
    this.devices[Symbol.dispose]();
    this.networks[Symbol.dispose]();
    for (const { file } of this.disks) file[Symbol.dispose]();
  }

  /** The first error of a host file behind a disk. */
  get diskError(): Error | undefined {
    return this.disks.map(({ file }) => file.error).find(error => error !== undefined);
  }

  /** Runs until the guest ends or the user does. */
  async run(): Promise<SessionEnd> {
    await this.#trace?.ready;
    await this.networks.listen();
    const pace = new Pace();
    for (;;) {
      if (this.#end !== undefined) return this.#end;
      if (this.paused) await this.#sleep();
      else {
        const stop = await this.machine.run(this.machine.guestNs + SLICE_NS);
        const end = await this.#handle(stop, pace);
        if (end !== undefined) return end;
      }
    }
  }

  async #handle(stop: StopReason, pace: Pace): Promise<SessionEnd | undefined> {
    switch (stop.kind) {
      case 'timeout':
        await this.#sleep(pace.aheadMs(this.machine.guestNs));
        return undefined;
      case 'interrupted':
        return undefined;
      case 'halted':
        // Nothing but a key can wake it, or somebody who comes by a port of the host.
        if (this.networks.areThere) {
          await this.#sleep(HALTED_LOOK_MS);
          return undefined;
        }
        if (process.stdin.readableEnded) return stop;
        process.stdin.once('end', () => this.#wake());
        await this.#sleep();
        return undefined;
      case 'reset':
        this.#announceReset();
        if (this.plan.actions.reboot === 'shutdown') return this.#shutDown(stop);
        this.machine.reset();
        return undefined;
      case 'power-off':
        return this.#shutDown(stop);
      default:
        return stop;
    }
  }

  /** With `-no-shutdown` the machine stands, to be looked at. */
  #shutDown(stop: StopReason): SessionEnd | undefined {
    this.events.emit('SHUTDOWN', { guest: true, reason: stop.kind === 'reset' ? 'guest-reset' : 'guest-shutdown' });
    if (this.plan.actions.shutdown === 'poweroff') return stop;
    this.#state = 'shutdown';
    return undefined;
  }

  /** Waits until something wakes the session, at most so long. */
  #sleep(ms = Number.POSITIVE_INFINITY): Promise<void> {
    if (ms <= 0) return Promise.resolve();
    return new Promise(resolve => {
      // A far timer keeps the program alive while it waits for a key.
      const timer = setTimeout(resolve, Math.min(ms, 2 ** 30));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #powerOn(usualBus: VirtioBus, serialOutput: (byte: number) => void): BoardMachine {
    const { plan } = this;
    const machine = createMachine({
      board: plan.board,
      cpu: plan.cpu,
      cpuCount: plan.cpus,
      memoryBytes: plan.memorySize,
      drives: this.disks.map(({ backend, option: { bus = usualBus, serial, wantsIde } }) => ({
        backend,
        bus: wantsIde && plan.board.type === 'q35' ? 'ide' : bus,
        ...(serial !== undefined && { serial }),
      })),
      devices: [...this.devices.devices, ...this.networks.cards],
      serialOutput,
      epochSeconds: this.#epochSeconds,
      firmwareFiles: readFirmwareFiles(plan.firmwareFiles),
      ...(this.#trace && { trace: this.#trace.trace }),
    });
    machine.boot({
      kernel: plan.image.bytes,
      kernelMemorySize: plan.image.memorySize,
      commandLine: plan.append,
      ...(plan.dtb !== undefined && { deviceTree: parseFdt(readFileSync(plan.dtb), plan.dtb) }),
      ...(plan.initrd !== undefined && { initrd: readFileSync(plan.initrd) }),
    });
    return machine;
  }

  get #epochSeconds(): number {
    return this.plan.epochSeconds ?? EPOCH_SECONDS;
  }

  // For the keyboard and the monitor

  type(bytes: Uint8Array): void {
    const { machine, plan, devices } = this;
    const toConsole = plan.serial.kind !== 'terminal' && devices.consoleOnTerminal;
    if (toConsole) machine.consoles[0]!.receive(bytes);
    else if (plan.serial.kind === 'terminal') machine.serial.receive(bytes);
    this.#wake();
  }

  /** The serial port only: consoles have no break. */
  sendBreak(): void {
    if (this.plan.serial.kind === 'terminal') this.machine.serial.receiveBreak();
    this.#wake();
  }

  get state(): RunState {
    return this.#state;
  }

  get paused(): boolean {
    return this.#state !== 'running';
  }

  get guestSeconds(): number {
    return this.machine.guestNs / (1000 * NS_PER_MS);
  }

  pause(): void {
    const ran = !this.paused;
    this.#stand('paused');
    if (ran) this.events.emit('STOP');
  }

  /** A machine that has shut down has to be reset first, as in QEMU. @returns whether it runs now */
  resume(): boolean {
    if (this.#state === 'shutdown') return false;
    if (this.paused) this.events.emit('RESUME');
    this.#state = 'running';
    this.#wake();
    return true;
  }

  reset(): void {
    this.#resetByHost = true;
    if (this.#state === 'shutdown' || this.#state === 'guest-panicked') {
      this.machine.reset();
      this.#announceReset();
      this.#state = 'running';
      this.#wake();
    } else {
      this.machine.stop({ kind: 'reset' });
      this.#state = 'running';
      this.#wake();
    }
  }

  #announceReset(): void {
    const guest = !this.#resetByHost;
    this.#resetByHost = false;
    this.events.emit('RESET', { guest, reason: guest ? 'guest-reset' : 'host-qmp-system-reset' });
  }

  quit(): void {
    this.events.emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
    this.#finish({ kind: 'quit' });
  }

  powerDown(): void {
    this.events.emit('POWERDOWN');
    this.machine.pressPowerButton();
    this.#wake();
  }

  get snapshot(): NamedSnapshot | undefined {
    return this.#snapshot;
  }

  /** Takes a snapshot in place of the one before. */
  saveSnapshot(name: string): void {
    const { guestSeconds } = this;
    this.#snapshot = { name, taken: new Date(), guestSeconds, snapshot: this.machine.takeSnapshot() };
  }

  /** @returns false when there is none of this name */
  loadSnapshot(name: string): boolean {
    if (this.#snapshot?.name !== name) return false;
    this.machine.restoreSnapshot(this.#snapshot.snapshot);
    this.machine.stop({ kind: 'interrupted', reason: 'loadvm' });
    if (this.#state === 'shutdown' || this.#state === 'guest-panicked') this.#state = 'paused';
    this.#wake();
    return true;
  }

  forgetSnapshot(): void {
    this.#snapshot = undefined;
  }

  /** For `info chardev`. */
  get characterDevices(): readonly { readonly name: string; readonly place: string }[] {
    const { serial, monitor, gdbPort } = this.plan;
    return [
      { name: 'serial0', place: describeBackend(serial) },
      ...this.devices.backends.map((backend, n) => ({ name: `console${n}`, place: describeBackend(backend) })),
      ...(monitor === 'none' ? [] : [{ name: 'compat_monitor0', place: monitor === 'terminal' ? 'stdio' : 'mux' }]),
      ...(gdbPort === undefined ? [] : [{ name: 'gdb', place: `tcp:127.0.0.1:${gdbPort}` }]),
    ];
  }

  /** What a dump is made of. */
  machineState(): MachineState {
    return machineState(this.machine);
  }

  #stand(state: RunState): void {
    this.#state = state;
    this.machine.stop({ kind: 'interrupted', reason: state });
    this.#wake();
  }

  #finish(end: SessionEnd): void {
    this.#end = end;
    this.machine.stop({ kind: 'interrupted', reason: end.kind });
    this.#wake();
  }

  /** As QEMU does unless told otherwise: a panic ends the machine, a loaded crash kernel is left to do its work. */
  #heardPanic(event: PvpanicEvent): void {
    const { panic } = this.plan.actions;
    if (event === 'panicked') this.events.emit('GUEST_PANICKED', { action: PANIC_ACTIONS[panic] });
    else this.events.emit('GUEST_CRASHLOADED', { action: 'run' });
    if (event !== 'panicked' || panic === 'none') return;
    if (panic === 'pause') this.#stand('guest-panicked');
    else this.#finish({ kind: 'panicked' });
  }
}

function describeBackend(backend: CharacterBackend): string {
  if (backend.kind === 'file') return `file:${backend.path}`;
  return backend.kind === 'none' ? 'null' : backend.mux ? 'mux' : 'stdio';
}

function openDisk(option: DiskOption): SessionDisk {
  const file = new FileBackend(option.file, option.readOnly || option.snapshot);
  return { file, option, backend: option.snapshot && !option.readOnly ? new OverlayBackend(file) : file };
}

/** @throws UnimplementedError, UsageError */
function refuseUnknownTraces(items: readonly string[]): void {
  const known = Object.keys(TRACE_CHANNELS).join(', ');
  for (const item of items) {
    if (item === '') throw new UsageError(`-d: which traces? There are ${known}`);
    if (!isChannel(item)) throw new UnimplementedError(`-d ${item}: there are ${known}`);
  }
}

/** Keeps an idle guest from running ahead of the wall clock. */
class Pace {
  #wallStart = performance.now();
  #guestStartNs = 0;

  /** How far guest time is ahead of wall time. */
  aheadMs(guestNs: number): number {
    const ahead = (guestNs - this.#guestStartNs) / NS_PER_MS - (performance.now() - this.#wallStart);
    if (ahead >= -GREATEST_LAG_MS) return ahead;
    this.#wallStart = performance.now();
    this.#guestStartNs = guestNs;
    return 0;
  }
}
