/** `dis`: machine code. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { disassemble } from '../disassembler.ts';
import type { DisassembledInstruction, SymbolAt, TargetKind } from '../disassembler.ts';
import { userReader } from '../linux/user-memory.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { stripClone } from '../symbols/symbol-set.ts';
import type { KernelSymbol } from '../symbols/symbol-table.ts';
import { readOr } from '../gaps.ts';
import { PartialError, refuseTogether, SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { FIRST_KERNEL_ADDRESS, parseAddress, parseNumber } from './numbers.ts';
import type { Session } from './session.ts';

const MAX_FUNCTION = 256 * 1024;
const MAX_COUNT = 100_000;

interface Line extends DisassembledInstruction {
  /** `name+offset` of the instruction. */
  readonly place: string | undefined;
  /** `file: line`, when it changes. */
  readonly source: string | undefined;
}

interface DisData {
  readonly lines: readonly Line[];
  readonly isUser: boolean;
  /** About an address that is none of the kernel. */
  readonly warning?: string;
  /** With `-s`. */
  readonly source?: string;
}

/** `dis`. */
export const dis: Command<DisData> = {
  name: 'dis',
  summary: 'machine code',
  synopsis: '[-rfludxs][-b [num]] [address | symbol | (expression)] [count]',
  options: [
    { flag: '-r', help: 'from the start of the function to the address' },
    { flag: '-f', help: 'from the address to the end of the function' },
    { flag: '-l', help: 'source lines, with a vmlinux' },
    { flag: '-s', help: 'file and line, with a vmlinux' },
    { flag: '-u', help: 'the address is of the current task' },
    { flag: '-x', help: 'offsets in hexadecimal' },
    { flag: '-d', help: 'offsets in decimal' },
    { flag: '-b', takes: 'num', help: 'accepted: this many bytes after a call are not skipped' },
  ],
  description: 'With a symbol: the whole function; with an address: one instruction; or `count` of them.',
  examples: [
    { line: 'dis -r ffffd93824e4fd88', why: 'what led to a return address' },
    { line: 'dis schedule 10', why: 'the beginning of a function' },
  ],
  run(session, args) {
    const [word, countWord] = args.positionals;
    if (word === undefined) throw new SynopsisError('no address given');
    const address = parseAddress(session, word);
    refuseTogether(args, ['-r', '-s'], '-r and -s are mutually exclusive');
    refuseTogether(args, ['-r', '-f'], '-r and -f are mutually exclusive');
    if (args.has('-s')) return { lines: [], isUser: false, ...sourceOf(session, address, word) };
    const isForeign = !args.has('-u') && session.program.symbols.lookup(address) === undefined;
    const isUser = args.has('-u') || isForeign;
    const reader = args.has('-u') || address < FIRST_KERNEL_ADDRESS ? currentUser(session) : session.program.memory;
    const range = rangeOf(session, args, address, word, countWord, isUser);
    const warning = isForeign ? `WARNING: ${address.toString(16)}: no associated kernel symbol found\n` : '';
    const fault = readOr(
      () => void reader.readU8(address),
      problem => problem,
    );
    const known = { isUser, warning };
    if (fault instanceof FaultError)
      throw new PartialError(
        { ...known, lines: [{ address, place: undefined, text: '', source: undefined }] },
        fault,
        '',
      );
    return { ...known, lines: decode(session, reader, range, args, isUser) };
  },
  text({ lines, isUser, source, warning = '' }) {
    if (source !== undefined) return source;
    const rows = lines
      .map(({ address, place, text, source: line }) => {
        const where = place === undefined ? '' : ` <${place}>`;
        return `${line === undefined ? '' : `${line}\n`}${isUser ? '   ' : ''}0x${address.toString(16)}${where}:\t${text}\n`;
      })
      .join('');
    return warning + rows;
  },
};

function currentUser(session: Session): MemoryReader {
  const { mm } = session.current;
  if (mm === undefined) throw new UsageError(`task ${session.current.pid} has no user memory`);
  return userReader(session.program, mm);
}

interface CodeRange {
  readonly start: bigint;
  readonly end: bigint;
  readonly count: number;
  /** Decoding begins earlier, showing does here: code cannot be entered in the middle of an instruction. */
  readonly from?: bigint;
  /** A module's function is shown with what fills up its end. */
  readonly isPadded?: boolean;
  /** The last instruction that is shown begins at or behind it. */
  readonly until?: bigint;
}

function rangeOf(
  session: Session,
  args: Arguments,
  address: bigint,
  word: string,
  countWord: string | undefined,
  isUser: boolean,
): CodeRange {
  const longest = BigInt(session.program.architecture === 'aarch64' ? 4 : 15);
  const symbol = isUser ? undefined : symbolAt(session, address, word);
  if (args.has('-r')) {
    if (symbol === undefined) return { start: address, end: address + longest, count: 1 };
    return { start: symbol.address, end: address + 2n * longest, count: MAX_COUNT, until: address };
  }
  if (countWord !== undefined) {
    const count = parseCount(countWord);
    return { start: address, end: address + BigInt(count) * longest, count };
  }
  const isWhole = args.has('-f') || session.program.symbols.find(word) !== undefined;
  const end = symbol === undefined || !isWhole ? undefined : functionEnd(session, symbol);
  if (symbol === undefined || end === undefined) return { start: address, end: address + longest, count: 1 };
  const isPadded = symbol.module !== undefined;
  if (args.has('-f'))
    return { start: symbol.address, from: address, end: limit(end, symbol.address), count: MAX_COUNT, isPadded };
  return { start: address, end: limit(end, address), count: MAX_COUNT, isPadded };
}

function parseCount(word: string): number {
  if (word.startsWith('-')) throw new SynopsisError(`invalid count: ${word}`);
  const count = Number(parseNumber(word));
  if (count < 1 || count > MAX_COUNT) throw new UsageError(`invalid count argument: ${word}`);
  return count;
}

/** The symbol that was named, else the one that the address lies in. */
function symbolAt(session: Session, address: bigint, word: string): KernelSymbol | undefined {
  const named = session.program.symbols.findAll(word).find(symbol => symbol.address === address);
  return named ?? session.program.symbols.lookup(address)?.symbol;
}

/** By the symbol's size, else where the next symbol begins. */
function functionEnd(session: Session, symbol: KernelSymbol): bigint | undefined {
  if (symbol.size !== undefined && symbol.size > 0) return symbol.address + BigInt(symbol.size);
  return session.program.symbols.endOf(symbol);
}

function limit(end: bigint, start: bigint): bigint {
  const most = start + BigInt(MAX_FUNCTION);
  return end < most ? end : most;
}

function decode(session: Session, reader: MemoryReader, range: CodeRange, args: Arguments, isUser: boolean): Line[] {
  const { symbols, architecture } = session.program;
  const bytes = reader.readAvailable(range.start, Number(range.end - range.start));
  if (bytes.length === 0) reader.readU8(range.start);
  const radix = args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix;
  const name = (address: bigint): string | undefined => (isUser ? undefined : codeName(session, address, radix));
  const target: SymbolAt = (address, kind) => (isUser ? undefined : targetName(session, address, kind, radix));
  const all = disassemble(architecture, bytes, range.start, target);
  let previous: string | undefined;
  return chosenOf(all, range).map(instruction => {
    const { address } = instruction;
    const source = args.has('-l') && !isUser ? session.sourceLine(address) : undefined;
    const shown = source === previous ? undefined : source;
    previous = source ?? previous;
    const isFtrace = !isUser && instruction.text === FTRACE_NOP && symbols.lookup(address)?.offset === 0;
    const text = isFtrace ? `${instruction.text} [FTRACE NOP]` : instruction.text;
    return { ...instruction, text, place: name(address), source: shown };
  });
}

/** What the compiler leaves room with for a call of ftrace. */
const FTRACE_NOP = 'nopl   0x0(%rax,%rax,1)';

/** `name+offset`. */
function codeName(session: Session, address: bigint, radix: 10 | 16): string | undefined {
  const place = session.program.symbols.lookup(address);
  return place === undefined ? undefined : withOffset(place.symbol.name, place.offset, radix);
}

/** What stands behind an operand that is an address: crash writes its own name over gdb's, but not in front of a comment. */
function targetName(session: Session, address: bigint, kind: TargetKind, radix: 10 | 16): string | undefined {
  const { symbols, architecture } = session.program;
  const place = symbols.lookup(address);
  if (place === undefined) return undefined;
  const { symbol, offset } = place;
  if (kind === 'condition') return withOffset(gdbNameOf(session, symbol), offset, radix);
  // gdb names no data behind a variable's end.
  const isNamed =
    architecture === 'x86_64' ||
    kind === 'branch' ||
    symbol.module !== undefined ||
    symbols.formatInside(address) !== undefined;
  return isNamed ? withOffset(symbol.name, offset, radix) : undefined;
}

function gdbNameOf({ program: { symbols } }: Session, { name, address, nameOffset }: KernelSymbol): string {
  return nameOffset === undefined ? name : stripClone(symbols.gdbName(address) ?? name);
}

function withOffset(name: string, offset: number, radix: 10 | 16): string {
  return offset === 0 ? name : `${name}+${radix === 16 ? `0x${offset.toString(16)}` : offset}`;
}

function chosenOf(all: readonly DisassembledInstruction[], range: CodeRange): readonly DisassembledInstruction[] {
  const { from, until, count } = range;
  if (until !== undefined) {
    const last = all.findIndex(({ address }) => address >= until);
    return all.slice(0, last + 1 || undefined);
  }
  const chosen = all.filter(({ address }) => from === undefined || address >= from).slice(0, count);
  return withoutPadding(chosen, count === MAX_COUNT && range.isPadded !== true);
}

const PADDING = /^(?:nop|xchg +%ax,%ax|(?:cs |data16 )*nop)/;

/** Functions are aligned with instructions that never run: not shown at the end of a whole one. */
function withoutPadding(all: readonly DisassembledInstruction[], isWhole: boolean): readonly DisassembledInstruction[] {
  if (!isWhole) return all;
  const last = all.findLastIndex(({ text }) => !PADDING.test(text));
  return all.slice(0, Math.max(1, last + 1));
}

/** @throws PartialError, behind a warning, for what is no code */
function sourceOf(session: Session, address: bigint, word: string): Pick<DisData, 'source' | 'warning'> {
  if (session.program.symbols.lookup(address) !== undefined) return { source: sourceText(session, address, word) };
  const warning = `WARNING: ${address.toString(16)}: no associated kernel symbol found\n`;
  const problem = new UsageError(`${address.toString(16)}: not a kernel text address`);
  throw new PartialError({ lines: [], isUser: false, warning }, problem, '');
}

function sourceText(session: Session, address: bigint, word: string): string {
  const line = session.sourceLine(address);
  if (line === undefined && session.program.debug.kernel === undefined)
    throw new UsageError(`${word}: no line numbers: they need a vmlinux with debug information`);
  if (line === undefined) return `FILE: (unknown)\nLINE: (unknown)\n\ndis: ${word}: source code is not available\n`;
  const [file = '', number = ''] = line.split(': ');
  return `FILE: ${file.replace(/^.*?\/build_[^/]+\//, '')}\nLINE: ${number}\n\n`;
}
