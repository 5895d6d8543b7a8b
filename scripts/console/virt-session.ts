/**
 * A `virt` machine that somebody sits at: paced to wall time while it is idle, paused and resumed, reset, and looked at by the monitor.
 */
import { readFileSync } from 'node:fs';

import { UnimplementedError } from '../../capture/formats/errors.ts';
import { parseFdt } from '../../capture/formats/fdt.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import type { BlockBackend } from '../../emulator/devices/block/backend.ts';
import { FileBackend } from '../../emulator/devices/block/file-backend.ts';
import { OverlayBackend } from '../../emulator/devices/block/overlay-backend.ts';
import { Aarch64DebugView } from '../../emulator/debug/gdb-aarch64.ts';
import { TRACE_CHANNELS } from '../../emulator/debug/trace.ts';
import type { PvpanicEvent } from '../../emulator/devices/pvpanic.ts';
import type { StopReason } from '../../emulator/machine/machine.ts';
import { VirtBoard, type VirtConfig } from '../../emulator/machine/virt-aarch64/board.ts';
import { LAYOUT } from '../../emulator/machine/virt-aarch64/layout.ts';
import type { BootPlan } from '../commands/boot.ts';
import type { DiskOption } from '../commands/boot-options.ts';
import { EPOCH_SECONDS } from '../lab/emulated-machine.ts';
import { virtMachineState } from '../lab/machine-state.ts';
import { parseMachineOption } from '../lab/machine-option.ts';
import { isChannel, TraceFile } from './trace-file.ts';
import { VirtDevices } from './virt-devices.ts';
import { GuestDumper } from './guest-dump.ts';
import type { InteractiveTarget } from './interactive.ts';
import type { MonitorRegion } from './monitor.ts';

const NS_PER_MS = 1e6;
/** Guest time between two looks at the wall clock. */
const SLICE_NS = 10 * NS_PER_MS;
/** A guest that has fallen behind the wall clock by more is not made to catch up. */
const GREATEST_LAG_MS = 100;
const DEFAULT_CPU = 'cortex-a57';

/** How a session ended. */
export type SessionEnd = { readonly kind: 'quit' } | { readonly kind: 'panicked' } | StopReason;

/** One machine on the terminal. */
export class VirtSession implements InteractiveTarget, Disposable {
  readonly #plan: BootPlan;
  readonly #output: (byte: number) => void;
  readonly #disks: readonly {
    readonly file: FileBackend;
    readonly backend: BlockBackend;
    readonly option: DiskOption;
  }[];
  readonly #devices: VirtDevices;
  readonly #trace: TraceFile | undefined;
  readonly #board: VirtBoard;
  /** For debuggers. */
  readonly debugView: Aarch64DebugView;
  readonly dumper = new GuestDumper(this);
  #paused: boolean;
  #end: SessionEnd | undefined;
  #wake: () => void = () => undefined;

  /** @throws UnimplementedError, UsageError, ImageError */
  constructor(plan: BootPlan, output: (byte: number) => void) {
    refuseUnknown(plan);
    this.#plan = plan;
    this.#output = output;
    this.#disks = plan.disks.map(option => {
      const file = new FileBackend(option.file, option.readOnly || option.snapshot);
      return { file, option, backend: option.snapshot && !option.readOnly ? new OverlayBackend(file) : file };
    });
    this.#trace = plan.trace.length > 0 ? new TraceFile(plan.trace.filter(isChannel), plan.traceFile) : undefined;
    this.#devices = new VirtDevices(plan, event => this.#heardPanic(event));
    this.#board = this.#powerOn();
    this.#paused = plan.startPaused;
    this.debugView = new Aarch64DebugView(this.#board.cpus, this.#board.machine.engine);
  }

  [Symbol.dispose](): void {
    this.#trace?.[Symbol.dispose]();
    this.#devices[Symbol.dispose]();
    for (const { file } of this.#disks) file[Symbol.dispose]();
  }

  /** The first error of a host file behind a disk. */
  get diskError(): Error | undefined {
    return this.#disks.map(({ file }) => file.error).find(error => error !== undefined);
  }

  /** Runs until the guest ends or the user does. */
  async run(): Promise<SessionEnd> {
    const pace = new Pace();
    for (;;) {
      if (this.#end !== undefined) return this.#end;
      if (this.#paused) await this.#sleep();
      else {
        const stop = await this.#board.machine.run(this.#board.machine.guestNs + SLICE_NS);
        const end = await this.#handle(stop, pace);
        if (end !== undefined) return end;
      }
    }
  }

  async #handle(stop: StopReason, pace: Pace): Promise<SessionEnd | undefined> {
    switch (stop.kind) {
      case 'timeout':
        await this.#sleep(pace.aheadMs(this.#board.machine.guestNs));
        return undefined;
      case 'interrupted':
        return undefined;
      case 'halted':
        // Nothing but a key can wake it.
        if (process.stdin.readableEnded) return stop;
        await this.#sleep();
        return undefined;
      case 'reset':
        if (!this.#plan.reboot) return stop;
        this.#board.reset();
        return undefined;
      default:
        return stop;
    }
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

  #powerOn(): VirtBoard {
    const plan = this.#plan;
    const properties = Object.entries(plan.machine?.properties ?? {}).map(([name, value]) => `${name}=${value}`);
    const config: VirtConfig = {
      cpu: plan.cpu ?? DEFAULT_CPU,
      cpuCount: plan.cpus,
      memoryBytes: plan.memorySize,
      ...parseMachineOption(['virt', ...properties].join(',')),
      drives: this.#disks.map(({ backend, option }) => ({
        backend,
        bus: option.bus,
        ...(option.serial !== undefined && { serial: option.serial }),
      })),
      consoleOutput: this.#output,
      devices: this.#devices.devices,
      ...(this.#trace && { trace: this.#trace.trace }),
      epochSeconds: EPOCH_SECONDS,
      seeds: true,
    };
    const board = new VirtBoard(config);
    board.loadLinux({
      kernel: plan.image.bytes,
      kernelMemorySize: plan.image.memorySize,
      commandLine: plan.append,
      ...(plan.dtb !== undefined && { deviceTree: parseFdt(readFileSync(plan.dtb), plan.dtb) }),
      ...(plan.initrd !== undefined && { initrd: readFileSync(plan.initrd) }),
    });
    return board;
  }

  /** Told when a CPU comes to a breakpoint. */
  set onBreakpoint(hit: (cpu: number) => void) {
    this.#board.machine.engine.code.breakpoints.hit = hit;
  }

  // For the keyboard and the monitor

  type(bytes: Uint8Array): void {
    const { consoles, uart } = this.#board;
    const toConsole = this.#plan.serial.kind !== 'terminal' && this.#devices.consoleOnTerminal;
    if (toConsole) consoles[0]!.receive(bytes);
    else uart.receive(bytes);
    this.#wake();
  }

  get paused(): boolean {
    return this.#paused;
  }

  get guestSeconds(): number {
    return this.#board.machine.guestNs / (1000 * NS_PER_MS);
  }

  get instructions(): number {
    return this.#board.machine.instructions;
  }

  get cpuCount(): number {
    return this.#board.cpus.length;
  }

  pause(): void {
    this.#paused = true;
    this.#board.machine.stop({ kind: 'interrupted', reason: 'monitor' });
    this.#wake();
  }

  resume(): void {
    this.#paused = false;
    this.#wake();
  }

  reset(): void {
    this.#board.machine.stop({ kind: 'reset' });
    this.resume();
  }

  quit(): void {
    this.#finish({ kind: 'quit' });
  }

  #finish(end: SessionEnd): void {
    this.#end = end;
    this.#board.machine.stop({ kind: 'interrupted', reason: end.kind });
    this.#wake();
  }

  /** As QEMU does unless told otherwise: a panic ends the machine, a loaded crash kernel is left to do its work. */
  #heardPanic(event: PvpanicEvent): void {
    if (event === 'panicked') this.#finish({ kind: 'panicked' });
  }

  powerDown(): void {
    this.#board.powerKey.press();
    this.#wake();
  }

  registers(cpu: number): string[] {
    const { registers, process: state, engine } = this.#board.cpus[cpu]!;
    const level = state.exceptionLevel;
    const lines = [
      `PC=${hex64(engine.pc)} EL${level} DAIF=${bits(state.daif >>> 6)} NZCV=${bits(state.conditionFlags >>> 28)}`,
    ];
    const names = Array.from({ length: 31 }, (_, n) => `X${String(n).padStart(2, '0')}=${hex64(registers.x(n))}`);
    names.push(`SP_EL${level}=${hex64(state.stackPointer(level))}`);
    for (let i = 0; i < names.length; i += 4) lines.push(names.slice(i, i + 4).join(' '));
    return lines;
  }

  register(cpu: number, name: string): bigint | undefined {
    const { registers, process: state, engine } = this.#board.cpus[cpu]!;
    if (name === 'pc') return engine.pc;
    if (name === 'sp') return state.stackPointer(state.exceptionLevel);
    const number = /^x(\d+)$/.exec(name)?.[1];
    return number !== undefined && Number(number) <= 30 ? registers.x(Number(number)) : undefined;
  }

  regions(): readonly MonitorRegion[] {
    const ram = { name: 'ram', base: LAYOUT.RAM.base, size: this.#plan.memorySize };
    const devices = this.#board.bus.regions.map(({ base, end, device }) => ({
      name: device.name,
      base,
      size: end - base,
    }));
    return [...devices, ram].sort((a, b) => a.base - b.base);
  }

  machineState(): MachineState {
    return virtMachineState(this.#board);
  }

  readPhysical(paddr: number, length: number): Uint8Array {
    return this.#board.memory.ramSlice(paddr, length);
  }

  translate(cpu: number, vaddr: bigint): number | undefined {
    return this.#board.cpus[cpu]!.translateForDebugger(vaddr);
  }
}

/** The low four bits, highest first. */
function bits(value: number): string {
  return (value & 0xf).toString(2).padStart(4, '0');
}

function hex64(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}

/** What QEMU's options can say and this board does not have. */
function refuseUnknown(plan: BootPlan): void {
  for (const item of plan.trace) {
    if (!isChannel(item))
      throw new UnimplementedError(`-d ${item}: there are ${Object.keys(TRACE_CHANNELS).join(', ')}`);
  }
  if (plan.image.format === 'vmlinux') throw new UnimplementedError('booting an arm64 vmlinux: give its Image');
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
