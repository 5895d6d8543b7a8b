/**
 * Traces: named channels of typed records about what a guest does, with the names of QEMU's `-d` items.
 *
 * A traced CPU is a layer between the engine and the architecture's side of a CPU, put in only when a channel is on:
 * without one nothing is asked and nothing is slower.
 */
import type { AccessKind, EngineCpu, GuestCpu } from '../cpu/execute/guest.ts';

/** Where a CPU is. */
export interface TracePlace {
  readonly pc: bigint;
  /** Exception level or privilege level: `EL1`, `CPL3`. */
  readonly level: string;
}

/** What happened. Addresses are guest-virtual, except `paddr`. */
export type TraceRecord =
  /** An exception or interrupt was taken. */
  | {
      readonly channel: 'int';
      readonly cpu: number;
      readonly what: 'exception' | 'interrupt';
      readonly from: TracePlace;
      readonly to: TracePlace;
      /** Why, by the names of the registers (or of the parts of the frame) that tell the handler. */
      readonly syndrome: Readonly<Record<string, bigint>> | undefined;
    }
  /** A translation that the soft TLB did not have. */
  | {
      readonly channel: 'mmu';
      readonly cpu: number;
      readonly access: AccessKind;
      readonly vaddr: bigint;
      /** Physical address of the page; undefined: it faulted. */
      readonly paddr: number | undefined;
    }
  /** An access to an address where nothing is. */
  | { readonly channel: 'guest_errors'; readonly cpu: number; readonly access: AccessKind; readonly vaddr: bigint };

export type TraceChannel = TraceRecord['channel'];

/** The channels, with what `-d help` says of them. */
export const TRACE_CHANNELS: Readonly<Record<TraceChannel, string>> = {
  int: 'exceptions and interrupts',
  mmu: 'page table walks',
  guest_errors: 'accesses to addresses where nothing is',
};

/** Which channels are on, and who takes their records. */
export interface Trace {
  readonly channels: ReadonlySet<TraceChannel>;
  readonly record: (record: TraceRecord) => void;
}

/** What traces ask of an architecture. */
export interface TraceView {
  readonly cpu: GuestCpu & { readonly engine: EngineCpu };
  level(): string;
  /** Why the exception or interrupt was taken that was taken last. */
  syndrome(what: 'exception' | 'interrupt'): Readonly<Record<string, bigint>> | undefined;
}

/** Puts the traces that are on between the engine and a CPU. */
export function tracedCpu(view: TraceView, { channels, record }: Trace): GuestCpu {
  const { cpu } = view;
  const { index } = cpu.engine;
  const place = (): TracePlace => ({ pc: cpu.engine.pc, level: view.level() });
  const taking = (what: 'exception' | 'interrupt', take: () => boolean): boolean => {
    const from = place();
    const taken = take();
    if (taken) record({ channel: 'int', cpu: index, what, from, to: place(), syndrome: view.syndrome(what) });
    return taken;
  };
  const layer: GuestCpu = {
    walk: (low, high, access, regime, result) => {
      const found = cpu.walk(low, high, access, regime, result);
      const paddr = found ? result.paddr : undefined;
      if (channels.has('mmu')) record({ channel: 'mmu', cpu: index, access, vaddr: addressOf(low, high), paddr });
      return found;
    },
    alignmentFault: (low, high, access) => cpu.alignmentFault(low, high, access),
    busFault: (low, high, access) => {
      if (channels.has('guest_errors')) {
        record({ channel: 'guest_errors', cpu: index, access, vaddr: addressOf(low, high) });
      }
      return cpu.busFault(low, high, access);
    },
    deliverException: () => {
      if (!channels.has('int')) cpu.deliverException();
      else taking('exception', () => (cpu.deliverException(), true));
    },
    takeInterrupt: () => (channels.has('int') ? taking('interrupt', () => cpu.takeInterrupt()) : cpu.takeInterrupt()),
    modeKey: () => cpu.modeKey(),
    ...(cpu.visiblePc && { visiblePc: (pc: bigint) => cpu.visiblePc!(pc) }),
    endWaitForEvent: () => cpu.endWaitForEvent?.(),
    get wakeUp() {
      return cpu.wakeUp;
    },
    get idle() {
      return cpu.idle;
    },
    get nextEventNs() {
      return cpu.nextEventNs;
    },
  };
  return layer;
}

/** One line of a trace file. */
export function formatTraceRecord(entry: TraceRecord): string {
  const cpu = `CPU${entry.cpu}`;
  switch (entry.channel) {
    case 'int': {
      const { what, from, to, syndrome } = entry;
      const why = Object.entries(syndrome ?? {}).map(([name, value]) => ` ${name} ${hex(value)}`);
      return `int: ${cpu} ${what} at ${from.level} ${hex(from.pc)} to ${to.level} ${hex(to.pc)}${why.join('')}`;
    }
    case 'mmu': {
      const { access, vaddr, paddr } = entry;
      return `mmu: ${cpu} ${access} ${hex(vaddr)} ${paddr === undefined ? 'faults' : `is in page ${hex(BigInt(paddr))}`}`;
    }
    default:
      return `guest_errors: ${cpu} ${entry.access} ${hex(entry.vaddr)}: nothing is there`;
  }
}

function addressOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
