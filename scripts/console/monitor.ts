/**
 * The monitor: looks at a machine and controls it, with the names of QEMU's monitor commands.
 *
 * Source: QEMU documentation, title "QEMU Monitor".
 */
import { describeProgress, isDumpProblem, parseDumpArguments, type GuestDumper } from './guest-dump.ts';

/** A region of the machine's address space. */
export interface MonitorRegion {
  readonly base: number;
  /** In bytes. */
  readonly size: number;
  readonly name: string;
}

/** What the monitor needs of a machine. */
export interface MonitorTarget {
  readonly paused: boolean;
  readonly guestSeconds: number;
  readonly instructions: number;
  pause(): void;
  resume(): void;
  reset(): void;
  quit(): void;
  /** Presses the power key. */
  powerDown(): void;
  readonly cpuCount: number;
  /** Lines of a register dump. */
  registers(cpu: number): string[];
  /** A register by the name that the architecture gives it, in lower case: `pc`, `x0`. */
  register(cpu: number, name: string): bigint | undefined;
  regions(): readonly MonitorRegion[];
  /** Bytes of RAM; fewer where RAM ends. */
  readPhysical(paddr: number, length: number): Uint8Array;
  /** Physical address behind a virtual one, if it is mapped. */
  translate(cpu: number, vaddr: bigint): number | undefined;
  readonly dumper: GuestDumper;
}

/** Lines to show; later, when the command takes its time. */
export type MonitorAnswer = string[] | Promise<string[]>;

export const PROMPT = '(kdump-lab) ';

interface MonitorCommand {
  readonly synopsis: string;
  readonly help: string;
  run(target: MonitorTarget, args: readonly string[], format: string): MonitorAnswer;
}

const COMMANDS: Readonly<Record<string, MonitorCommand>> = {
  help: { synopsis: 'help', help: 'list the commands', run: listCommands },
  info: {
    synopsis: 'info status|registers|cpus|mtree|dump',
    help: 'show something of the machine',
    run: (target, args) => info(target, args[0] ?? ''),
  },
  x: {
    synopsis: 'x/FMT ADDRESS',
    help: 'memory at a virtual address (FMT: count, x|d|u|o|c, b|h|w|g)',
    run: examineVirtual,
  },
  xp: { synopsis: 'xp/FMT ADDRESS', help: 'memory at a physical address', run: examinePhysical },
  stop: { synopsis: 'stop', help: 'pause the machine', run: act(target => target.pause()) },
  cont: { synopsis: 'cont', help: 'go on', run: resume },
  system_reset: { synopsis: 'system_reset', help: 'reset the machine', run: act(target => target.reset()) },
  system_powerdown: {
    synopsis: 'system_powerdown',
    help: 'press the power key',
    run: act(target => target.powerDown()),
  },
  'dump-guest-memory': {
    synopsis: 'dump-guest-memory [-p] [-d] [-z|-l|-s] [-R] FILE [BEGIN LENGTH]',
    help: 'write the memory to a file: ELF, or kdump-compressed with zlib, lzo, snappy (-R: not flattened; -d: do not wait; -p: map)',
    run: dumpMemory,
  },
  quit: { synopsis: 'quit', help: 'end the machine', run: act(target => target.quit()) },
};

const ALIASES: Readonly<Record<string, string>> = { c: 'cont', q: 'quit', s: 'stop', '?': 'help' };

function act(action: (target: MonitorTarget) => void): MonitorCommand['run'] {
  return target => {
    action(target);
    return [];
  };
}

function listCommands(): string[] {
  return Object.values(COMMANDS).map(({ synopsis, help }) => `${synopsis.padEnd(36)}${help}`);
}

/** Runs one line. What the user gets wrong is an answer, not an error. @returns lines to show */
export function runMonitorCommand(target: MonitorTarget, line: string): MonitorAnswer {
  const [word = '', ...args] = line.trim().split(/\s+/);
  if (word === '') return [];
  const [name = '', format = ''] = word.split('/', 2);
  const command = COMMANDS[ALIASES[name] ?? name];
  return command === undefined ? [`unknown command: ${name} (try help)`] : command.run(target, args, format);
}

function resume(target: MonitorTarget): string[] {
  if (target.dumper.isActive) return ['Error: There is a dump in process, please wait.'];
  target.resume();
  return [];
}

/** The machine stands until the dump is written; with -d the monitor does not wait for it. */
async function dumpMemory(target: MonitorTarget, args: readonly string[]): Promise<string[]> {
  try {
    const request = parseDumpArguments(args);
    const dump = target.dumper.dump(request);
    // What goes wrong later is in `info dump`.
    if (request.detach) return await Promise.race([dump.then(asWarnings), Promise.resolve([])]);
    return asWarnings(await dump);
  } catch (error) {
    if (isDumpProblem(error)) return [`Error: ${error.message}`];
    throw error;
  }
}

function asWarnings(warnings: readonly string[]): string[] {
  return warnings.map(warning => `Warning: ${warning}`);
}

function info(target: MonitorTarget, topic: string): string[] {
  switch (topic) {
    case 'status':
      return [
        `VM status: ${target.paused ? 'paused' : 'running'}`,
        `guest time ${target.guestSeconds.toFixed(6)} s, ${target.instructions} instructions`,
      ];
    case 'registers':
      return Array.from({ length: target.cpuCount }, (_, cpu) => [`CPU#${cpu}`, ...target.registers(cpu)]).flat();
    case 'cpus':
      return Array.from(
        { length: target.cpuCount },
        (_, cpu) => `* CPU #${cpu}: pc=${hex(target.register(cpu, 'pc') ?? 0n, 16)}`,
      );
    case 'mtree':
      return target
        .regions()
        .map(({ base, size, name }) => `  ${hex(BigInt(base), 16)}-${hex(BigInt(base + size - 1), 16)} : ${name}`);
    case 'dump':
      return describeProgress(target.dumper.progress);
    default:
      return [`info ${topic}: there are status, registers, cpus, mtree, dump`];
  }
}

/** `hex(10n, 4)` is `000a`. */
function hex(value: bigint, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

interface Format {
  readonly count: number;
  readonly letter: string;
  /** Bytes of an item. */
  readonly size: number;
}

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 };
const MOST_ITEMS = 4096;

function parseFormat(text: string): Format | undefined {
  const match = /^(\d*)([xduoc]?)([bhwg]?)$/.exec(text);
  if (match === null) return undefined;
  const letter = match[2] || 'x';
  return {
    count: Math.min(Number(match[1] || 1), MOST_ITEMS),
    letter,
    size: SIZES[match[3]!] ?? (letter === 'c' ? 1 : 4),
  };
}

function parseAddress(target: MonitorTarget, text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  const match = /^(\$\w+|0x[0-9a-f]+|\d+)(?:\+(0x[0-9a-f]+|\d+))?$/i.exec(text);
  if (match === null) return undefined;
  const [, base = '', offset = '0'] = match;
  const start = base.startsWith('$') ? target.register(0, base.slice(1).toLowerCase()) : BigInt(base);
  return start === undefined ? undefined : BigInt.asUintN(64, start + BigInt(offset));
}

type ReadByte = (address: bigint) => number | undefined;

function examineVirtual(target: MonitorTarget, args: readonly string[], format: string): string[] {
  return examine(target, args, format, address => {
    const paddr = target.translate(0, address);
    return paddr === undefined ? undefined : target.readPhysical(paddr, 1)[0];
  });
}

function examinePhysical(target: MonitorTarget, args: readonly string[], format: string): string[] {
  return examine(target, args, format, address => target.readPhysical(Number(address), 1)[0]);
}

const BYTES_PER_LINE = 16;

function examine(target: MonitorTarget, args: readonly string[], formatText: string, readByte: ReadByte): string[] {
  const format = parseFormat(formatText);
  if (format === undefined) return [`/${formatText}: not a format (count, then x d u o or c, then b h w or g)`];
  const address = parseAddress(target, args[0]);
  if (address === undefined) return [`${args[0] ?? ''}: not an address (0x…, a number, $register, each with +offset)`];
  const lines: string[] = [];
  const perLine = BYTES_PER_LINE / format.size;
  for (let first = 0; first < format.count; first += perLine) {
    const start = BigInt.asUintN(64, address + BigInt(first * format.size));
    const items = readItems(start, Math.min(perLine, format.count - first), format.size, readByte);
    if (items.length > 0) lines.push(`${hex(start, 16)}: ${items.map(item => formatItem(item, format)).join(' ')}`);
    if (items.length < Math.min(perLine, format.count - first)) {
      return [...lines, `cannot access memory at 0x${hex(start + BigInt(items.length * format.size), 16)}`];
    }
  }
  return lines;
}

function readItems(start: bigint, count: number, size: number, readByte: ReadByte): bigint[] {
  const items: bigint[] = [];
  for (let i = 0; i < count; i++) {
    let item = 0n;
    for (let byte = size - 1; byte >= 0; byte--) {
      const value = readByte(BigInt.asUintN(64, start + BigInt(i * size + byte)));
      if (value === undefined) return items;
      item = (item << 8n) | BigInt(value);
    }
    items.push(item);
  }
  return items;
}

function formatItem(item: bigint, { letter, size }: Format): string {
  switch (letter) {
    case 'd':
      return BigInt.asIntN(size * 8, item).toString();
    case 'u':
      return item.toString();
    case 'o':
      return `0${item.toString(8)}`;
    case 'c':
      return item >= 0x20n && item < 0x7fn ? `'${String.fromCharCode(Number(item))}'` : `'\\x${hex(item, 2)}'`;
    default:
      return `0x${hex(item, size * 2)}`;
  }
}
