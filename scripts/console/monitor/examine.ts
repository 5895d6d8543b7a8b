/** `x`, `xp` and `print`: memory and numbers in all formats. Source: QEMU documentation, title "QEMU Monitor". */
import { disassemble, prepareDisassembler } from '../../../analyzer/disassembler.ts';
import { evaluate, ExpressionProblem } from './expression.ts';
import { hex, type MonitorAnswer, type MonitorState, type MonitorTarget } from './target.ts';

interface Format {
  readonly count: number;
  readonly letter: string;
  /** Bytes of an item. */
  readonly size: number;
}

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 };
const MOST_ITEMS = 65_536;
const LONGEST_INSTRUCTION = { aarch64: 4, x86_64: 15 } as const;

/** `/20xg`: a count, a format, a size, in any order of the letters. What is left out is as it was the last time. */
function parseFormat(text: string, state: MonitorState): Format {
  const [, count = '', letters = ''] = /^(\d*)(.*)$/.exec(text)!;
  for (const letter of letters) {
    if (/[xduoci]/.test(letter)) state.letter = letter;
    else if (letter in SIZES) state.size = SIZES[letter]!;
    else throw new ExpressionProblem(`invalid char in format: '${letter}'`);
  }
  const size = state.letter === 'c' || state.letter === 'i' ? 1 : state.size;
  return { count: count === '' ? 1 : Math.min(Number(count), MOST_ITEMS), letter: state.letter, size };
}

type ReadBytes = (address: bigint, length: number) => Uint8Array;

/** `x/FMT ADDRESS` */
export function examineVirtual(
  target: MonitorTarget,
  argument: string,
  format: string,
  state: MonitorState,
): MonitorAnswer {
  const { debug } = target.machine;
  return examine(target, { argument, format, state }, (address, length) =>
    debug.readMemory(state.cpu, address, length),
  );
}

/** `xp/FMT ADDRESS` */
export function examinePhysical(
  target: MonitorTarget,
  argument: string,
  format: string,
  state: MonitorState,
): MonitorAnswer {
  const { memory } = target.machine;
  return examine(target, { argument, format, state }, (address, length) => {
    return address > BigInt(Number.MAX_SAFE_INTEGER) ? new Uint8Array(0) : memory.read(Number(address), length);
  });
}

interface Request {
  readonly argument: string;
  readonly format: string;
  readonly state: MonitorState;
}

function examine(target: MonitorTarget, { argument, format: text, state }: Request, read: ReadBytes): MonitorAnswer {
  return explaining('x', () => {
    const format = parseFormat(text, state);
    const address = valueOf(target, argument, state);
    return format.letter === 'i' ? examineCode(target, format.count, address, read) : dump(format, address, read);
  });
}

function valueOf({ machine: { debug } }: MonitorTarget, text: string, state: MonitorState): bigint {
  return evaluate(text, name => debug.register(state.cpu, name));
}

/** What is wrong with an expression is the answer. */
function explaining(command: string, run: () => MonitorAnswer): MonitorAnswer {
  try {
    return run();
  } catch (error) {
    if (error instanceof ExpressionProblem) return [error.message, `Try "help ${command}" for more information`];
    throw error;
  }
}

/** As many lines as there is memory for. */
function dump(format: Format, address: bigint, read: ReadBytes): string[] {
  const { count, size } = format;
  const bytesPerLine = size === 1 ? 8 : 16;
  const lines: string[] = [];
  for (let done = 0; done < count * size; done += bytesPerLine) {
    const at = BigInt.asUintN(64, address + BigInt(done));
    const wanted = Math.min(bytesPerLine, count * size - done);
    const bytes = read(at, wanted);
    const items = bytes.length < wanted ? 'Cannot access memory' : itemsOf(Buffer.from(bytes), format).join(' ');
    lines.push(`${hex(at, 16)}: ${items}`);
    if (bytes.length < wanted) break;
  }
  return lines;
}

function itemsOf(bytes: Buffer, { letter, size }: Format): string[] {
  const items: string[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const value = size === 8 ? bytes.readBigUInt64LE(at) : BigInt(bytes.readUIntLE(at, size));
    items.push(formatItem(value, letter, size));
  }
  return items;
}

/** Numbers have the width of the longest one of their size. */
function formatItem(value: bigint, letter: string, size: number): string {
  const bits = size * 8;
  const decimals = Math.ceil((bits * 10) / 33);
  switch (letter) {
    case 'd':
      // As QEMU has it: what is smaller than 64 bits has no sign.
      return BigInt.asIntN(64, value).toString().padStart(decimals);
    case 'u':
      return value.toString().padStart(decimals);
    case 'o':
      return octal(value).padStart(Math.ceil(bits / 3));
    case 'c':
      return character(value);
    default:
      return `0x${hex(value, bits / 4)}`;
  }
}

function octal(value: bigint): string {
  return value === 0n ? '0' : `0${value.toString(8)}`;
}

const ESCAPES: Readonly<Record<string, string>> = { "'": "\\'", '\\': '\\\\', '\n': '\\n', '\r': '\\r' };

function character(value: bigint): string {
  const text = String.fromCharCode(Number(value & 0xffn));
  const isPrintable = value >= 0x20n && value < 0x7fn;
  return `'${ESCAPES[text] ?? (isPrintable ? text : `\\x${hex(value & 0xffn, 2)}`)}'`;
}

async function examineCode(
  { machine }: MonitorTarget,
  count: number,
  address: bigint,
  read: ReadBytes,
): Promise<string[]> {
  await prepareDisassembler();
  const { architecture } = machine;
  const bytes = read(address, count * LONGEST_INSTRUCTION[architecture]);
  const found = disassemble(architecture, bytes, address, () => undefined).slice(0, count);
  const lines = found.map(({ address: at, size, text }) => {
    const start = Number(at - address);
    const code = bytesOf(architecture, bytes.subarray(start, start + size));
    return `0x${hex(at, 8)}:  ${code}  ${text.replace(/^(\S+)\s+/, (_, mnemonic: string) => `${mnemonic.padEnd(8)} `)}`;
  });
  if (found.length < count) {
    const last = found.at(-1);
    const end = last === undefined ? address : last.address + BigInt(last.size);
    lines.push(`0x${hex(end, 8)}: unable to read memory`);
  }
  return lines;
}

const BYTES_COLUMN = 23;

/** arm64 instructions are words, x86 instructions bytes. */
function bytesOf(architecture: 'aarch64' | 'x86_64', code: Uint8Array): string {
  if (architecture === 'aarch64') return Buffer.from(code).reverse().toString('hex');
  return [...code]
    .map(byte => hex(byte, 2))
    .join(' ')
    .padEnd(BYTES_COLUMN);
}

/** `print/FMT EXPRESSION` */
export function print(target: MonitorTarget, argument: string, format: string, state: MonitorState): MonitorAnswer {
  return explaining('print', () => {
    const { letter } = parseFormat(format, state);
    const value = valueOf(target, argument, state);
    if (letter === 'x') return [`0x${value.toString(16)}`];
    return [formatItem(value, letter === 'i' ? 'd' : letter, 8).trim()];
  });
}
