/**
 * The commands of gdb's remote protocol on a stopped or running machine. CPUs are threads, numbered from 1; all stop together.
 *
 * Sources: "Debugging with GDB", appendix "GDB Remote Serial Protocol": sections "Packets", "Stop Reply Packets", "General Query Packets";
 * QEMU documentation "GDB usage", on examining physical memory.
 * Not modelled: reverse execution, non-stop mode, tracepoints, file I/O.
 */
import type { WatchedAccess, WatchedRange } from '../cpu/execute/watchpoints.ts';
import type { DebugView } from './debug-view.ts';
import { LARGEST_PACKET } from './gdb-packets.ts';

/** A machine as a debugger sees it. */
export interface GdbTarget {
  /** Its CPUs and memory. */
  readonly view: DebugView;
  pause(): void;
  /** Goes on; the stub is told by `stopped` when that ends. */
  resume(): void;
  /** Runs a command of the monitor. @returns lines */
  monitor(line: string): readonly string[] | Promise<readonly string[]>;
  kill(): void;
}

/** Signals of stop replies. */
export const GDB_SIGNAL = { INT: 2, TRAP: 5 } as const;

const OK = 'OK';
const UNSUPPORTED = '';
/** The numbers mean nothing to gdb. */
const ERROR = { ARGUMENT: 'E01', MEMORY: 'E14', REGISTER: 'E16' } as const;

/** Types of Z packets: software and hardware breakpoints are the same here, neither changes memory. */
const BREAKPOINT_TYPES: ReadonlySet<string> = new Set(['0', '1']);
const WATCHPOINT_TYPES: Readonly<Record<string, WatchedAccess>> = { 2: 'write', 3: 'read', 4: 'access' };
/** How a stop reply names a watchpoint. */
const STOP_REASON: Readonly<Record<WatchedAccess, string>> = { write: 'watch', read: 'rwatch', access: 'awatch' };

const SEARCH = 'Search:memory:';
/** Bytes looked through at a time. */
const SEARCHED = 2 ** 20;

type Handler = (argument: string, data: Buffer) => string | undefined;

/** One debugger's session. */
export class GdbStub {
  readonly #target: GdbTarget;
  readonly #view: DebugView;
  readonly #send: (text: string) => void;
  readonly #breakpoints = new Set<bigint>();
  readonly #watched: WatchedRange[] = [];
  readonly #commands: Readonly<Record<string, Handler>>;
  readonly #queries: Readonly<Record<string, (rest: readonly string[]) => string | undefined>>;
  /** CPU of `g`, `m` and the like. */
  #cpu = 0;
  /** Addresses of memory are physical: QEMU's `maintenance packet Qqemu.PhyMemMode:1`. */
  #isPhysical = false;
  /** Packets are not acknowledged any more: nothing gets lost on a TCP connection. */
  trustsTransport = false;
  #isStepping = false;
  /** What the instruction that is stepped over has come to. */
  #stepsTo: WatchedRange | undefined;
  /** gdb waits for a stop reply. */
  #waits = false;
  #lastStop = stopReply(GDB_SIGNAL.TRAP, 0);

  /** @param send sends a packet with this content */
  constructor(target: GdbTarget, send: (text: string) => void) {
    this.#target = target;
    this.#view = target.view;
    this.#send = send;
    this.#commands = {
      '?': () => this.#lastStop,
      g: () => this.#readGeneral(),
      G: argument => this.#writeGeneral(argument),
      p: argument => this.#readRegister(argument),
      P: argument => this.#writeRegister(argument),
      m: argument => this.#readMemory(argument),
      M: argument => this.#writeMemory(argument),
      X: (argument, data) => this.#writeBinary(argument, data),
      Z: argument => this.#place(argument, true),
      z: argument => this.#place(argument, false),
      H: argument => this.#selectThread(argument),
      T: argument => (this.#cpuOf(argument) === undefined ? ERROR.ARGUMENT : OK),
      c: () => this.#continue(),
      s: () => this.#step(this.#cpu),
      v: argument => this.#extended(argument),
      q: (argument, data) => this.#query(argument, data),
      Q: argument => this.#set(argument),
      D: () => this.#detach(),
      k: () => this.#kill(),
    };
    this.#queries = {
      Supported: () =>
        `PacketSize=${LARGEST_PACKET.toString(16)};qXfer:features:read+;vContSupported+;QStartNoAckMode+`,
      Xfer: rest => this.#transfer(rest),
      Attached: () => '1',
      C: () => `QC${(this.#cpu + 1).toString(16)}`,
      fThreadInfo: () => this.#threadIds(),
      sThreadInfo: () => 'l',
      ThreadExtraInfo: ([id = '']) => this.#threadInfo(id),
      'qemu.PhyMemMode': () => (this.#isPhysical ? '1' : '0'),
      Rcmd: ([command = '']) => this.#monitor(command),
    };
  }

  /** Takes a packet. */
  handle(data: Buffer): void {
    const text = data.toString('latin1');
    const reply = this.#commands[text[0] ?? '']?.(text.slice(1), data.subarray(1));
    // A resumed machine answers when it stops.
    if (reply !== undefined) this.#send(reply);
    else if (this.#commands[text[0] ?? ''] === undefined) this.#send(UNSUPPORTED);
  }

  /** gdb wants the machine to stop. */
  interrupt(): void {
    this.#target.pause();
    this.stopped(GDB_SIGNAL.INT, this.#cpu);
  }

  /** A CPU is about to access watched bytes: the instruction under way is left. */
  watched(cpu: number, range: WatchedRange): void {
    if (this.#isStepping) {
      this.#stepsTo = range;
      return;
    }
    this.#target.pause();
    setImmediate(() => this.#stopAt(cpu, range));
  }

  /** The machine has stopped. @param watched what the CPU has accessed, or is about to access */
  stopped(signal: number, cpu: number, watched?: WatchedRange): void {
    this.#cpu = cpu;
    this.#lastStop = stopReply(signal, cpu, watched);
    if (this.#waits) this.#send(this.#lastStop);
    this.#waits = false;
  }

  /** The machine is gone. */
  exited(status: number): void {
    if (this.#waits) this.#send(`W${hexByte(status)}`);
    this.#waits = false;
  }

  /** Takes away what the session has left in the machine. */
  close(): void {
    for (const address of this.#breakpoints) this.#view.removeBreakpoint(address);
    this.#breakpoints.clear();
    for (const range of this.#watched.splice(0)) this.#view.watchpoints.remove(range);
  }

  // Registers

  #readGeneral(): string {
    const registers = Array.from({ length: this.#view.generalRegisters }, (_, n) =>
      this.#view.readRegister(this.#cpu, n),
    );
    return registers.map(bytes => hex(bytes ?? new Uint8Array(0))).join('');
  }

  #writeGeneral(argument: string): string {
    const bytes = Buffer.from(argument, 'hex');
    let offset = 0;
    for (let n = 0; n < this.#view.generalRegisters && offset < bytes.length; n++) {
      const size = this.#view.readRegister(this.#cpu, n)?.length ?? 0;
      if (!this.#view.writeRegister(this.#cpu, n, bytes.subarray(offset, offset + size))) return ERROR.REGISTER;
      offset += size;
    }
    return OK;
  }

  #readRegister(argument: string): string {
    const bytes = this.#view.readRegister(this.#cpu, Number.parseInt(argument, 16));
    return bytes === undefined ? ERROR.REGISTER : hex(bytes);
  }

  #writeRegister(argument: string): string {
    const [register = '', value = ''] = argument.split('=');
    const worked = this.#view.writeRegister(this.#cpu, Number.parseInt(register, 16), Buffer.from(value, 'hex'));
    return worked ? OK : ERROR.REGISTER;
  }

  // Memory

  #readMemory(argument: string): string {
    const range = parseRange(argument);
    if (range === undefined) return ERROR.ARGUMENT;
    const length = Math.min(range.length, LARGEST_PACKET / 2);
    const bytes = this.#load(range.address, length);
    return bytes.length === 0 && length > 0 ? ERROR.MEMORY : hex(bytes);
  }

  #writeMemory(argument: string): string {
    const [place = '', value = ''] = argument.split(':');
    const range = parseRange(place);
    return range === undefined ? ERROR.ARGUMENT : this.#store(range.address, Buffer.from(value, 'hex'));
  }

  #writeBinary(argument: string, data: Buffer): string {
    const colon = argument.indexOf(':');
    const range = parseRange(argument.slice(0, colon));
    return colon < 0 || range === undefined ? ERROR.ARGUMENT : this.#store(range.address, data.subarray(colon + 1));
  }

  #load(address: bigint, length: number): Uint8Array {
    if (this.#isPhysical) return this.#view.readPhysical(address, length);
    return this.#view.readMemory(this.#cpu, address, length);
  }

  #store(address: bigint, bytes: Uint8Array): string {
    const isStored = this.#isPhysical
      ? this.#view.writePhysical(address, bytes)
      : this.#view.writeMemory(this.#cpu, address, bytes);
    return isStored ? OK : ERROR.MEMORY;
  }

  /** `qSearch:memory:address;length;pattern`, as gdb's `find` sends it: up to the first byte that cannot be read. */
  #search(argument: string, data: Buffer): string {
    const [start = '', size = '', first] = argument.split(';');
    const range = parseRange(`${start},${size}`);
    if (range === undefined || first === undefined) return ERROR.ARGUMENT;
    const pattern = data.subarray(data.length - (argument.length - start.length - size.length - 2));
    for (let done = 0; done < range.length; done += SEARCHED) {
      const at = range.address + BigInt(done);
      const bytes = Buffer.from(this.#load(at, Math.min(range.length - done, SEARCHED + pattern.length - 1)));
      const found = bytes.indexOf(pattern);
      if (found !== -1) return `1,${(at + BigInt(found)).toString(16)}`;
      if (bytes.length === 0) return done === 0 ? ERROR.MEMORY : '0';
    }
    return '0';
  }

  /** `type,address,kind`; the kind of a watchpoint is its length. */
  #place(argument: string, insert: boolean): string {
    const [type = '', ...place] = argument.split(',');
    const range = parseRange(place.join(','));
    const access = WATCHPOINT_TYPES[type];
    if (!BREAKPOINT_TYPES.has(type) && access === undefined) return UNSUPPORTED;
    if (range === undefined) return ERROR.ARGUMENT;
    if (access === undefined) return this.#breakpoint(range.address, insert);
    return this.#watchpoint({ address: range.address, size: range.length, access }, insert);
  }

  #watchpoint(range: WatchedRange, insert: boolean): string {
    if (insert) {
      this.#watched.push(range);
      this.#view.watchpoints.add(range);
      return OK;
    }
    const { address, size, access } = range;
    const index = this.#watched.findIndex(
      watched => watched.address === address && watched.size === size && watched.access === access,
    );
    if (index < 0) return ERROR.ARGUMENT;
    for (const watched of this.#watched.splice(index, 1)) this.#view.watchpoints.remove(watched);
    return OK;
  }

  #breakpoint(address: bigint, insert: boolean): string {
    if (insert) {
      this.#breakpoints.add(address);
      this.#view.addBreakpoint(address);
    } else {
      this.#breakpoints.delete(address);
      this.#view.removeBreakpoint(address);
    }
    return OK;
  }

  // Running

  #continue(): undefined {
    this.#waits = true;
    this.#target.resume();
  }

  #step(cpu: number): undefined {
    this.#waits = true;
    this.#stepsTo = undefined;
    this.#isStepping = true;
    this.#view.step(cpu);
    this.#isStepping = false;
    if (this.#stepsTo === undefined) this.stopped(GDB_SIGNAL.TRAP, cpu);
    else this.#stopAt(cpu, this.#stepsTo);
  }

  /** Stops at a watchpoint, before the instruction or behind it. */
  #stopAt(cpu: number, range: WatchedRange): void {
    const view = this.#view;
    if (view.stopsAfterAccess) view.watchpoints.ignoring(() => view.step(cpu));
    this.stopped(GDB_SIGNAL.TRAP, cpu, range);
  }

  #extended(argument: string): string | undefined {
    if (argument === 'Cont?') return 'vCont;c;C;s;S';
    if (argument.startsWith('Kill')) {
      this.#target.kill();
      return OK;
    }
    if (!argument.startsWith('Cont;')) return UNSUPPORTED;
    // Only the first action counts that is a step: the other CPUs stand still meanwhile.
    const actions = argument.split(';').slice(1);
    const step = actions.find(action => /^[sS]/.test(action));
    if (step === undefined) return this.#continue();
    return this.#step(this.#cpuOf(step.split(':')[1] ?? '') ?? this.#cpu);
  }

  #detach(): string {
    this.close();
    this.#target.resume();
    return OK;
  }

  #kill(): undefined {
    this.#target.kill();
  }

  // Threads

  #selectThread(argument: string): string {
    const cpu = this.#cpuOf(argument.slice(1));
    if (cpu === undefined) return ERROR.ARGUMENT;
    if (argument.startsWith('g')) this.#cpu = cpu;
    return OK;
  }

  /** CPU of a thread id; 0 and -1 (any, all) are the current one. */
  #cpuOf(id: string): number | undefined {
    if (id === '-1' || id === '0' || id === '') return this.#cpu;
    const thread = Number.parseInt(id, 16);
    return thread >= 1 && thread <= this.#view.cpuCount ? thread - 1 : undefined;
  }

  // Queries

  #query(argument: string, data: Buffer): string | undefined {
    if (argument.startsWith(SEARCH)) return this.#search(argument.slice(SEARCH.length), data);
    const [name = '', ...rest] = argument.split(/[:,]/);
    const answer = Object.hasOwn(this.#queries, name) ? this.#queries[name] : undefined;
    return answer === undefined ? UNSUPPORTED : answer(rest);
  }

  #set(argument: string): string {
    if (argument === 'StartNoAckMode') this.trustsTransport = true;
    else if (/^qemu\.PhyMemMode:[01]$/.test(argument)) this.#isPhysical = argument.endsWith('1');
    else return UNSUPPORTED;
    return OK;
  }

  /** features:read:target.xml:offset,length */
  #transfer([object, verb, annex, offset = '', length = '']: readonly string[]): string {
    if (object !== 'features' || verb !== 'read') return UNSUPPORTED;
    if (annex !== 'target.xml') return 'E00';
    const { description } = this.#view;
    const start = Number.parseInt(offset, 16);
    const end = start + Number.parseInt(length, 16);
    return `${end >= description.length ? 'l' : 'm'}${description.slice(start, end)}`;
  }

  #threadIds(): string {
    return `m${Array.from({ length: this.#view.cpuCount }, (_, cpu) => (cpu + 1).toString(16)).join(',')}`;
  }

  #threadInfo(id: string): string {
    const cpu = this.#cpuOf(id);
    return cpu === undefined ? ERROR.ARGUMENT : hex(Buffer.from(this.#view.describe(cpu)));
  }

  #monitor(command: string): undefined {
    const answer = this.#target.monitor(Buffer.from(command, 'hex').toString());
    if (answer instanceof Promise) void answer.then(lines => this.#show(lines));
    else this.#show(answer);
  }

  #show(lines: readonly string[]): void {
    for (const line of lines) this.#send(`O${hex(Buffer.from(`${line}\n`))}`);
    this.#send(OK);
  }
}

function stopReply(signal: number, cpu: number, watched?: WatchedRange): string {
  const why = watched && `${STOP_REASON[watched.access]}:${watched.address.toString(16)};`;
  return `T${hexByte(signal)}thread:${hexByte(cpu + 1)};${why ?? ''}`;
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function parseHex(text: string): bigint | undefined {
  return /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : undefined;
}

/** `address,length`, both hexadecimal. */
function parseRange(text: string): { readonly address: bigint; readonly length: number } | undefined {
  const [start = '', size = ''] = text.split(',');
  const address = parseHex(start);
  const length = Number.parseInt(size, 16);
  return address === undefined || Number.isNaN(length) ? undefined : { address, length };
}
