/**
 * The machine of a flow as the monitor and QMP see it: paused and resumed between the steps of whoever runs it.
 *
 * A reset ends the flow, as with QEMU's `-no-reboot`. Snapshots are refused: console, disk and report would not go back.
 */
import { UnimplementedError } from '../../capture/formats/errors.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import type { BoardMachine, StopReason } from '../../emulator/index.ts';
import { machineState } from '../lab/machine-state.ts';
import type { QmpTarget } from './control/qmp.ts';
import { GuestDumper } from './guest-dump.ts';
import { MachineEvents } from './machine-events.ts';
import type { MonitorDisk } from './monitor/target.ts';

const NS_PER_SECOND = 1e9;
/** Why the machine stops for a pause; the flow does not see it. */
const PAUSE = 'paused from the monitor';

/** Controls one machine; its `run` stands in for the machine's own. */
export class RunControl implements QmpTarget {
  readonly machine: BoardMachine;
  readonly disks: readonly MonitorDisk[];
  readonly dumper = new GuestDumper(this);
  readonly events = new MachineEvents();
  readonly characterDevices = [{ name: 'serial0', place: 'console.log' }];
  readonly snapshot = undefined;
  paused = false;
  /** Settles when the run is to end. */
  readonly ended: Promise<void>;
  readonly #settle: () => void;
  #end: StopReason | undefined;
  #wake: () => void = () => undefined;

  constructor(machine: BoardMachine, disks: readonly MonitorDisk[]) {
    this.machine = machine;
    this.disks = disks;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#settle = resolve;
  }

  get state(): string {
    return this.paused ? 'paused' : 'running';
  }

  get guestSeconds(): number {
    return this.machine.guestNs / NS_PER_SECOND;
  }

  get guestNs(): number {
    return this.machine.guestNs;
  }

  /** `Machine.run`, which a pause does not end. */
  async run(untilNs: number): Promise<StopReason> {
    for (;;) {
      if (this.paused && this.#end === undefined) await new Promise<void>(resolve => (this.#wake = resolve));
      const stop = this.#end ?? (await this.machine.run(untilNs));
      if (stop.kind === 'interrupted' && stop.reason === PAUSE) continue;
      this.#announce(stop);
      return stop;
    }
  }

  /** Ends the run, also while the machine is paused. */
  interrupt(reason: string): void {
    this.#finish({ kind: 'interrupted', reason });
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.machine.stop({ kind: 'interrupted', reason: PAUSE });
    this.events.emit('STOP');
  }

  resume(): boolean {
    if (this.paused) this.events.emit('RESUME');
    this.paused = false;
    this.#wake();
    return true;
  }

  reset(): void {
    this.events.emit('RESET', { guest: false, reason: 'host-qmp-system-reset' });
    this.#finish({ kind: 'reset', cause: 'system_reset of the monitor' });
  }

  quit(): void {
    this.events.emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
    this.#finish({ kind: 'interrupted', reason: 'quit from the monitor' });
  }

  powerDown(): void {
    this.events.emit('POWERDOWN');
    this.machine.pressPowerButton();
  }

  /** @throws UnimplementedError */
  saveSnapshot(): never {
    throw new UnimplementedError('savevm: the machine of a run cannot go back; boot one');
  }

  loadSnapshot(): boolean {
    return false;
  }

  forgetSnapshot(): void {
    // There is never one.
  }

  /** What a dump is made of. */
  machineState(): MachineState {
    return machineState(this.machine);
  }

  #finish(end: StopReason): void {
    this.#end ??= end;
    this.machine.stop(end);
    this.#settle();
    this.#wake();
  }

  #announce({ kind }: StopReason): void {
    if (kind === 'power-off') this.events.emit('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
    if (kind === 'reset' && this.#end === undefined)
      this.events.emit('SHUTDOWN', { guest: true, reason: 'guest-reset' });
  }
}
