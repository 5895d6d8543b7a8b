/** `x/NFU address`: memory; GDB manual "Examining Memory". */
import { FaultError, UsageError } from '../../../capture/formats/errors.ts';
import { disassemble } from '../../disassembler.ts';
import { addressText, escapeChar, floatBits, formatScalar } from '../../types/print-format.ts';
import type { FormatLetter } from '../../types/print-format.ts';
import { IntType, stripTypedefs } from '../../types/types.ts';
import { numberOf, pointerTo, scalar } from '../../types/value.ts';
import type { Value } from '../../types/value.ts';
import { evaluateExpression } from '../expressions.ts';
import type { Session } from '../session.ts';

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 };
/** Units on a line by their size. */
const PER_LINE: Readonly<Record<number, number>> = { 1: 8, 2: 8, 4: 4, 8: 2 };
const MAX_COUNT = 1_000_000;

interface Request {
  readonly count: number;
  readonly letter: string;
  readonly size: number;
}

/** Runs `x`. @throws UsageError, FaultError */
export function examine(session: Session, letters: string, text: string): string {
  const request = parseRequest(session, letters);
  const address = text === '' ? session.gdb.nextAddress : addressIn(session, evaluateExpression(session, text));
  if (address === undefined) throw new UsageError('Argument required (starting display address).');
  if (request.letter !== 's' && request.letter !== 'i')
    session.gdb.examine = { letter: request.letter, size: request.size };
  if (request.letter === 's') return strings(session, address, request.count);
  if (request.letter === 'i') return instructions(session, address, request.count);
  return units(session, address, request);
}

/** `4gx` in any order: a count, a format, a unit. */
function parseRequest(session: Session, letters: string): Request {
  const { examine: last } = session.gdb;
  const [, digits = '', rest = ''] = /^(\d*)(.*)$/.exec(letters)!;
  const unit = Array.from(rest).findLast(char => Object.hasOwn(SIZES, char));
  const letter = Array.from(rest).findLast(char => !Object.hasOwn(SIZES, char)) ?? last.letter;
  if (!/^[xduotzcafsi]$/.test(letter)) throw new UsageError(`Undefined output format "${letter}".`);
  const count = digits === '' ? 1 : Number(digits);
  if (count > MAX_COUNT) throw new UsageError(`a count of at most ${MAX_COUNT} is shown`);
  return { count, letter, size: unitSize(letter, unit, last.size) };
}

function unitSize(letter: string, unit: string | undefined, last: number): number {
  if (letter === 'a') return 8;
  if (unit !== undefined) return SIZES[unit]!;
  if (letter === 'c') return 1;
  return letter === 'f' && last < 4 ? 8 : last;
}

/** What `x` takes for an address: a function's or an array's own, else the value. */
function addressIn(session: Session, value: Value): bigint {
  const { kind } = stripTypedefs(value.type);
  if (kind === 'struct' || kind === 'union') throw new UsageError('Attempt to take contents of a non-pointer value.');
  return BigInt.asUintN(64, numberOf(session.program.memory, value));
}

function label(session: Session, address: bigint): string {
  return addressText(address, at => session.program.symbols.formatInside(at));
}

function units(session: Session, start: bigint, { count, letter, size }: Request): string {
  const { memory } = session.program;
  const perLine = PER_LINE[size]!;
  const out: string[] = [];
  let value = 0n;
  for (let index = 0; index < count; index++) {
    const address = BigInt.asUintN(64, start + BigInt(index * size));
    if (index % perLine === 0) out.push(`${index === 0 ? '' : '\n'}${label(session, address)}:`);
    value = memory.readUnsigned(address, size);
    out.push(`\t${unitText(session, letter, value, size)}`);
  }
  const type = new IntType(`int${8 * size}_t`, size, true);
  const last = start + BigInt((count - 1) * size);
  session.gdb.variables.set('$_', { type: pointerTo(type), bits: BigInt.asUintN(64, last) });
  session.gdb.variables.set('$__', scalar(type, value));
  session.gdb.nextAddress = BigInt.asUintN(64, start + BigInt(count * size));
  return `${out.join('')}\n`;
}

function unitText(session: Session, letter: string, value: bigint, size: number): string {
  const bits = 8 * size;
  if (letter === 'x') return `0x${value.toString(16).padStart(2 * size, '0')}`;
  if (letter === 't') return value.toString(2).padStart(bits, '0');
  if (letter === 'f') return size < 4 ? `${BigInt.asIntN(bits, value)}` : floatBits(value, size);
  const type = new IntType('long', size, true);
  return formatScalar(letter as FormatLetter, type, value, bits, at => session.program.symbols.formatInside(at));
}

function strings(session: Session, start: bigint, count: number): string {
  const { memory } = session.program;
  const limit = session.gdb.print.elements || 0x1_0000;
  const out: string[] = [];
  let address = start;
  for (let index = 0; index < count; index++) {
    const bytes = memory.readAvailable(address, limit + 1);
    if (bytes.length === 0) memory.readU8(address);
    const end = bytes.indexOf(0);
    const shown = bytes.subarray(0, end === -1 ? limit : Math.min(end, limit));
    const text = Array.from(shown, byte => escapeChar(byte, '"')).join('');
    out.push(`${label(session, address)}:\t"${text}"${end === -1 || end > limit ? '...' : ''}\n`);
    address = BigInt.asUintN(64, address + BigInt(shown.length + (end === -1 || end > limit ? 0 : 1)));
  }
  session.gdb.nextAddress = address;
  return out.join('');
}

function instructions(session: Session, start: bigint, count: number): string {
  const { architecture, memory, symbols } = session.program;
  const longest = architecture === 'aarch64' ? 4 : 15;
  const bytes = memory.readAvailable(start, count * longest);
  if (bytes.length === 0) throw new FaultError(start, 'not in the dump');
  const decoded = disassemble(architecture, bytes, start, at => symbols.format(at)).slice(0, count);
  const last = decoded.at(-1);
  if (last !== undefined) session.gdb.nextAddress = last.address + BigInt(last.size);
  return decoded.map(({ address, text }) => `   ${label(session, address)}:\t${text}\n`).join('');
}
