/** `wr`: writes the memory of a machine that runs. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { writeU64 } from '../../capture/formats/bytes.ts';
import { userReader } from '../linux/user-memory.ts';
import { isLive } from '../live/live-memory.ts';
import type { LiveMemory } from '../live/live-memory.ts';
import { refuseTogether, SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { FIRST_KERNEL_ADDRESS, parseAddress, parseNumber } from './numbers.ts';
import type { Session } from './session.ts';

interface WrData {
  /** Where the value went, and how many bytes of it. */
  readonly paddr: number;
  readonly size: number;
  readonly value: bigint;
}

const SIZES = { '-8': 1, '-16': 2, '-32': 4, '-64': 8 } as const;

/** `wr`. */
export const wr: Command<WrData> = {
  name: 'wr',
  summary: 'write memory of a live machine',
  synopsis: '[-u|-k|-p] [-8|-16|-32|-64] [address|symbol] value',
  options: [
    { flag: '-u', help: 'the address is of the current task' },
    { flag: '-k', help: 'the address is of the kernel' },
    { flag: '-p', help: 'the address is physical' },
    { flag: '-8', help: 'a byte' },
    { flag: '-16', help: '16 bits' },
    { flag: '-32', help: '32 bits' },
    { flag: '-64', help: '64 bits: the default' },
  ],
  description: `Writes a value to the memory of a machine that was opened as live:FILE@ADDRESS or live:gdb:HOST:PORT. Dumps are never written to. The value is
decimal, or hexadecimal with 0x; the address hexadecimal or a symbol.`,
  examples: [{ line: 'wr -32 panic_on_oops 1', why: 'let the next oops panic the machine' }],
  run(session, args) {
    const { memory } = session.program.dump;
    if (!isLive(memory)) throw new UsageError('not allowed on dumpfiles');
    const [where, word] = args.positionals;
    if (where === undefined || word === undefined) throw new SynopsisError('an address and a value are needed');
    const size = sizeOf(args);
    const bytes = new Uint8Array(8);
    const value = BigInt.asUintN(8 * size, parseNumber(word));
    writeU64(bytes, 0, value);
    return {
      paddr: writeAt(session, memory, args, parseAddress(session, where), bytes.subarray(0, size)),
      size,
      value,
    };
  },
  text: () => '',
};

function sizeOf(args: Arguments): number {
  const flags = Object.keys(SIZES) as (keyof typeof SIZES)[];
  refuseTogether(args, flags, '-8, -16, -32 and -64 are mutually exclusive');
  const flag = flags.find(name => args.has(name)) ?? '-64';
  return SIZES[flag];
}

/** Writes, page by page where the address is virtual. Returns the first physical address. */
function writeAt(session: Session, memory: LiveMemory, args: Arguments, address: bigint, bytes: Uint8Array): number {
  const translate = translatorOf(session, args, address);
  const places = Array.from(bytes, (_, index) => translate(address + BigInt(index)));
  for (const [index, paddr] of places.entries()) memory.write(paddr, bytes.subarray(index, index + 1));
  return places[0]!;
}

/** @throws FaultError for an address that is not mapped */
function translatorOf(session: Session, args: Arguments, start: bigint): (address: bigint) => number {
  refuseTogether(args, ['-u', '-k', '-p'], '-u, -k and -p are mutually exclusive');
  if (args.has('-p')) return Number;
  const isUser = args.has('-u') || (!args.has('-k') && start < FIRST_KERNEL_ADDRESS);
  const { mm, pid } = session.current;
  if (isUser && mm === undefined) throw new UsageError(`task ${pid} has no user memory`);
  const reader = isUser ? userReader(session.program, mm!) : session.program.memory;
  return address => {
    const paddr = reader.translate(address);
    if (paddr === undefined) throw new FaultError(address, 'not mapped');
    return paddr;
  };
}
