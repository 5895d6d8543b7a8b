/**
 * A machine: CPUs on an engine, RAM, a bus of devices and one clock, run deterministically on the host's thread.
 *
 * CPUs take turns of a fixed number of instructions. When all of them wait, time jumps to the next alarm; when there is
 * no alarm either, the guest can never go on and the machine stops. Only while something is on its way from the host (a network's
 * answer) does idle time take time.
 */
import type { Engine } from '../cpu/execute/engine.ts';
import type { GuestCpu } from '../cpu/execute/guest.ts';
import type { ExecutionCpu } from '../cpu/execute/execution-cpu.ts';
import type { Nanoseconds } from '../memory/device.ts';
import type { VirtualClock } from './clock.ts';
import type { HostEventQueue } from './host-events.ts';

/** Why a machine stopped running. */
export type StopReason =
  | { readonly kind: 'power-off' }
  /** `cause` when the guest did not ask for it: a triple fault. */
  | { readonly kind: 'reset'; readonly cause?: string }
  /** The guest ended the run with a status, by isa-debug-exit. */
  | { readonly kind: 'exit'; readonly status: number }
  /** All CPUs are off or wait for interrupts that no device will raise. */
  | { readonly kind: 'halted' }
  /** The limit of guest time was reached. */
  | { readonly kind: 'timeout' }
  /** `interrupt` was called. */
  | { readonly kind: 'interrupted'; readonly reason: string };

/** What a snapshot holds of the machine itself. */
export interface MachineState {
  readonly instructions: number;
  readonly skippedNs: Nanoseconds;
  /** Index of the CPU whose turn is next. */
  readonly nextCpu: number;
}

/** Instructions of a CPU's turn: long when it is alone, short enough for spinlocks when it is not. */
const ALONE_TURN = 1_000_000;
const SHARED_TURN = 20_000;
/** Host milliseconds after which the run loop lets the host's other work go on. */
const HOST_TURN_MS = 20;
const NS_PER_MS = 1e6;

/** Runs an engine's CPUs in turns. */
export class Machine {
  readonly engine: Engine;
  readonly clock: VirtualClock;
  readonly #hostEvents: HostEventQueue;
  #stop: StopReason | undefined;
  #next = 0;

  constructor(engine: Engine, clock: VirtualClock, hostEvents: HostEventQueue) {
    this.engine = engine;
    this.clock = clock;
    this.#hostEvents = hostEvents;
  }

  /** Guest time since power-on. */
  get guestNs(): Nanoseconds {
    return this.clock.now();
  }

  /** Instructions retired by all CPUs since power-on. */
  get instructions(): number {
    return this.engine.retired;
  }

  /** Stops the machine at the next checkpoint; devices call it (power off, reset), and so may the host at any time. */
  stop(reason: StopReason): void {
    this.#stop ??= reason;
    this.engine.requestAttention();
    this.#hostEvents.wake();
  }

  /** Runs until the machine stops or guest time reaches `untilNs`. */
  async run(untilNs: Nanoseconds = Number.POSITIVE_INFINITY): Promise<StopReason> {
    let hostTurn = performance.now();
    for (;;) {
      if (this.#waitsForHost) await this.#passIdleTime(untilNs);
      const stop = this.#turn(untilNs);
      if (stop !== undefined) return stop;
      if (performance.now() - hostTurn > HOST_TURN_MS) {
        await new Promise(resume => {
          setImmediate(resume);
        });
        hostTurn = performance.now();
      }
    }
  }

  save(): MachineState {
    return { instructions: this.engine.retired, skippedNs: this.clock.skippedNs, nextCpu: this.#next };
  }

  restore({ instructions, skippedNs, nextCpu }: MachineState): void {
    this.engine.setRetired(instructions);
    this.clock.skippedNs = skippedNs;
    this.#next = nextCpu;
    this.#stop = undefined;
  }

  /** One CPU's turn, or one jump over idle time. */
  #turn(untilNs: Nanoseconds): StopReason | undefined {
    this.#hostEvents.deliver();
    this.clock.fireDue();
    const stop = this.#stop;
    if (stop !== undefined) {
      this.#stop = undefined;
      return stop;
    }
    if (this.clock.now() >= untilNs) return { kind: 'timeout' };
    if (this.#isIdle) return this.#skipIdleTime(untilNs);
    const turn = this.engine.cpus.length === 1 ? ALONE_TURN : SHARED_TURN;
    this.engine.runSlice(this.#nextInTurn(), this.clock.planSlice(turn));
    return undefined;
  }

  get #isIdle(): boolean {
    return !this.engine.cpus.some(({ guest }) => isAwake(guest));
  }

  get #waitsForHost(): boolean {
    return this.#hostEvents.isExpecting && this.#isIdle && this.#stop === undefined;
  }

  /** Lets idle time go as the host's does, until something has come or a CPU has work. */
  async #passIdleTime(untilNs: Nanoseconds): Promise<void> {
    while (this.#waitsForHost) {
      const now = this.clock.now();
      const end = Math.min(this.#nextWakeUp().next, untilNs);
      if (end <= now) return;
      const passedMs = await this.#hostEvents.wait((end - now) / NS_PER_MS);
      this.clock.skipTo(Math.min(end, now + Math.ceil(passedMs * NS_PER_MS)));
      this.#hostEvents.deliver();
    }
  }

  /** The next alarm or event that ends a WFE, and who waits for events. */
  #nextWakeUp(): { readonly next: Nanoseconds; readonly events: readonly { guest: GuestCpu; at: Nanoseconds }[] } {
    const now = this.clock.now();
    const events = this.engine.cpus
      .filter(({ guest }) => guest.idle === 'waiting-for-event')
      .map(({ guest }) => ({ guest, at: guest.nextEventNs ?? now }));
    return { events, next: Math.min(this.clock.nextAlarm ?? Number.POSITIVE_INFINITY, ...events.map(({ at }) => at)) };
  }

  /** All CPUs wait: time jumps to the next alarm, or to the next event that ends a WFE. */
  #skipIdleTime(untilNs: Nanoseconds): StopReason | undefined {
    const { next, events } = this.#nextWakeUp();
    if (next === Number.POSITIVE_INFINITY) return { kind: 'halted' };
    this.clock.skipTo(Math.min(next, untilNs));
    for (const { guest, at } of events) if (at <= next) guest.endWaitForEvent?.();
    return undefined;
  }

  /** The next CPU in turn that can run: WFE ends a turn only, while another CPU is awake whose stores may end the wait. */
  #nextInTurn(): ExecutionCpu {
    const { cpus } = this.engine;
    let index = this.#next;
    while (!isAwake(cpus[index]!.guest) && cpus[index]!.guest.idle !== 'waiting-for-event') {
      index = (index + 1) % cpus.length;
    }
    this.#next = (index + 1) % cpus.length;
    return cpus[index]!;
  }
}

function isAwake({ idle, wakeUp }: GuestCpu): boolean {
  return idle === 'running' || (idle !== 'off' && wakeUp);
}
