/**
 * Traces: named channels of typed records about what a guest does, with the names of QEMU's `-d` items.
 *
 * A traced CPU is a layer between the engine and the architecture's side of a CPU, put in only when a channel is on:
 * without one nothing is asked and nothing is slower.
 */
import type { AccessKind, EngineCpu, Guest, GuestCpu } from '../cpu/execute/guest.ts';
import { hex32, hex64 } from './register-dump.ts';

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
  | { readonly channel: 'guest_errors'; readonly cpu: number; readonly access: AccessKind; readonly vaddr: bigint }
  /** A block was translated. */
  | {
      readonly channel: 'in_asm';
      readonly architecture: Guest['name'];
      readonly cpu: number;
      readonly vaddr: bigint;
      readonly code: Uint8Array;
    }
  /** A block is about to be executed. */
  | {
      readonly channel: 'exec';
      readonly cpu: number;
      readonly pc: bigint;
      /** Key of what its translation depends on besides the bytes. */
      readonly mode: number;
    }
  /** The registers before a block. */
  | { readonly channel: 'cpu'; readonly cpu: number; readonly lines: readonly string[] }
  /** The guest wants something that is not there. */
  | { readonly channel: 'unimp'; readonly cpu: number; readonly pc: bigint; readonly what: string };

/** `nochain` has no records: every block is recorded anyway. */
export type TraceChannel = TraceRecord['channel'] | 'nochain';

/** The channels, with what `-d help` says of them. */
export const TRACE_CHANNELS: Readonly<Record<TraceChannel, string>> = {
  int: 'exceptions and interrupts',
  mmu: 'page table walks',
  guest_errors: 'accesses to addresses where nothing is',
  in_asm: 'guest code, for each block that is translated',
  exec: 'each block that is executed',
  cpu: 'registers before each block that is executed',
  unimp: 'what the guest wants and the machine does not have',
  nochain: 'nothing: exec and cpu see every block anyway',
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
  /** Lines of the general registers, laid out as QEMU's `-d cpu`. */
  dump(): readonly string[];
  /** Who is told what the guest wants and the CPU does not have. */
  onUnimplemented?(tell: (what: string) => void): void;
  /** Why the exception or interrupt was taken that was taken last. */
  syndrome(what: 'exception' | 'interrupt'): Readonly<Record<string, bigint>> | undefined;
}

/** Puts the traces that are on between the engine and a CPU. */
export function tracedCpu(view: TraceView, { channels, record }: Trace): GuestCpu {
  const { cpu } = view;
  const { index } = cpu.engine;
  if (channels.has('unimp')) {
    view.onUnimplemented?.(what => record({ channel: 'unimp', cpu: index, pc: cpu.engine.pc, what }));
  }
  const place = (): TracePlace => ({ pc: cpu.engine.pc, level: view.level() });
  const taking = (what: 'exception' | 'interrupt', take: () => boolean): boolean => {
    const from = place();
    const taken = take();
    // A debugger's stop leaves a block as an exception does, and none is taken
    const isTaken = taken && (what === 'interrupt' || from.pc !== cpu.engine.pc || from.level !== view.level());
    if (isTaken) record({ channel: 'int', cpu: index, what, from, to: place(), syndrome: view.syndrome(what) });
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

/** Turns code into instructions. */
export type Disassemble = (
  architecture: Guest['name'],
  code: Uint8Array,
  vaddr: bigint,
) => readonly { readonly address: bigint; readonly size: number; readonly text: string }[];

/** The lines of a record in a trace file. @param disassemble absent: code is shown as bytes */
export function formatTraceRecord(entry: TraceRecord, disassemble?: Disassemble): string {
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
    case 'in_asm':
      return formatCode(entry, disassemble);
    case 'exec':
      return `Trace ${entry.cpu}: [${hex64(entry.pc)}/${hex32(entry.mode)}]`;
    case 'cpu':
      return entry.lines.join('\n');
    case 'unimp':
      return `unimp: ${cpu} at ${hex(entry.pc)}: ${entry.what}`;
    case 'guest_errors':
    default:
      return `guest_errors: ${cpu} ${entry.access} ${hex(entry.vaddr)}: nothing is there`;
  }
}

/** A block as QEMU's `-d in_asm` shows it: the bytes of arm64 as words. */
function formatCode(
  { architecture, vaddr, code }: Extract<TraceRecord, { channel: 'in_asm' }>,
  disassemble: Disassemble | undefined,
): string {
  const lines = disassemble?.(architecture, code, vaddr) ?? [{ address: vaddr, size: code.length, text: '' }];
  const shown = lines.map(({ address, size, text }) => {
    const bytes = Buffer.from(code.subarray(Number(address - vaddr), Number(address - vaddr) + size));
    const isWord = architecture === 'aarch64' && size === 4;
    const encoding = isWord ? bytes.reverse().toString('hex') : bytes.toString('hex').replaceAll(/..(?=.)/g, '$& ');
    const [mnemonic = '', operands = ''] = text.replace(/\s*\/\/.*$/, '').split('\t');
    return `${hex(address)}:  ${encoding}  ${mnemonic.padEnd(8)} ${operands}`.trimEnd();
  });
  return ['----------------', 'IN:', ...shown, ''].join('\n');
}

function addressOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
