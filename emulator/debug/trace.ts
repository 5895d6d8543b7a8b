/**
 * Traces: named channels of typed records about what a guest does, with the names of QEMU's `-d` items.
 *
 * A traced CPU is a layer between the engine and the architecture's side of a CPU, put in only when a channel is on:
 * without one nothing is asked and nothing is slower.
 */
import type { A64Cpu } from '../cpu/a64/index.ts';
import type { AccessKind, GuestCpu } from '../cpu/execute/guest.ts';

/** What happened. Addresses are guest-virtual, except `paddr`. */
export type TraceRecord =
  /** An exception or interrupt was taken. */
  | {
      readonly channel: 'int';
      readonly cpu: number;
      readonly what: 'exception' | 'interrupt';
      readonly from: { readonly pc: bigint; readonly level: number };
      readonly to: { readonly pc: bigint; readonly level: number };
      /** ESR_ELx and FAR_ELx of the level that took a synchronous exception. */
      readonly syndrome: { readonly esr: bigint; readonly far: bigint } | undefined;
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

/** Puts the traces that are on between the engine and a CPU. */
export function tracedCpu(cpu: A64Cpu, { channels, record }: Trace): GuestCpu {
  const { index } = cpu.engine;
  const taking = (what: 'exception' | 'interrupt', take: () => boolean): boolean => {
    const from = place(cpu);
    const taken = take();
    if (taken) record({ channel: 'int', cpu: index, what, from, to: place(cpu), syndrome: syndromeOf(cpu, what) });
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
    get wakeUp() {
      return cpu.wakeUp;
    },
    get idle() {
      return cpu.idle;
    },
    get nextEventNs() {
      return (cpu as GuestCpu).nextEventNs;
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
      const why = syndrome === undefined ? '' : ` ESR ${hex(syndrome.esr)} FAR ${hex(syndrome.far)}`;
      return `int: ${cpu} ${what} at EL${from.level} ${hex(from.pc)} to EL${to.level} ${hex(to.pc)}${why}`;
    }
    case 'mmu': {
      const { access, vaddr, paddr } = entry;
      return `mmu: ${cpu} ${access} ${hex(vaddr)} ${paddr === undefined ? 'faults' : `is in page ${hex(BigInt(paddr))}`}`;
    }
    default:
      return `guest_errors: ${cpu} ${entry.access} ${hex(entry.vaddr)}: nothing is there`;
  }
}

function place(cpu: A64Cpu): { pc: bigint; level: number } {
  return { pc: cpu.engine.pc, level: cpu.exceptionLevel };
}

/** Interrupts have no syndrome. */
function syndromeOf(cpu: A64Cpu, what: 'exception' | 'interrupt'): { esr: bigint; far: bigint } | undefined {
  if (what === 'interrupt') return undefined;
  const level = cpu.exceptionLevel;
  const registers = new Map(cpu.systemRegisters());
  return { esr: registers.get(`ESR_EL${level}`) ?? 0n, far: registers.get(`FAR_EL${level}`) ?? 0n };
}

function addressOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
