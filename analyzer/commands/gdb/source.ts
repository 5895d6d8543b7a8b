/** `list` and `disassemble`; GDB manual "Printing Source Lines", "Source and Machine Code". */
import { existsSync, readFileSync } from 'node:fs';

import { UsageError } from '../../../capture/formats/errors.ts';
import { disassemble as decode } from '../../disassembler.ts';
import { numberOf } from '../../types/value.ts';
import { evaluateExpression } from '../expressions.ts';
import type { Session } from '../session.ts';

const LINES = 10;
const MAX_CODE = 1 << 20;

/** `list function`, `list *address`: ten lines around it, if the source is there. @throws UsageError */
export function list(session: Session, text: string): string {
  const next = session.gdb.nextLine;
  if (text === '' && next === undefined)
    throw new UsageError('No symbol table is loaded: list needs a function or *address');
  const place = text === '' ? { file: next!.file, start: next!.line } : placeOf(session, text);
  session.gdb.nextLine = { file: place.file, line: place.start + LINES };
  if (!existsSync(place.file)) return `warning: ${place.start}\t${place.file}: No such file or directory\n`;
  const lines = readFileSync(place.file, 'utf8')
    .split('\n')
    .slice(place.start - 1, place.start - 1 + LINES);
  return lines.map((line, index) => `${place.start + index}\t${line}\n`).join('');
}

function placeOf(session: Session, text: string): { file: string; start: number } {
  const address = addressOf(session, text.replace(/^\*/, ''));
  const line = session.program.debug.line(address);
  if (line === undefined)
    throw new UsageError(`No line number information for ${text}: it needs a vmlinux with debug information`);
  return { file: existsSync(line.file) ? line.file : line.shortFile, start: Math.max(1, line.line - LINES / 2) };
}

function addressOf(session: Session, text: string): bigint {
  return BigInt.asUintN(64, numberOf(session.program.memory, evaluateExpression(session, text)));
}

/** `disassemble function`, `disassemble start,end`, `disassemble start,+length`. @throws UsageError, FaultError */
export function disassemble(session: Session, text: string): string {
  const [first = '', second] = text
    .replace(/^\/\w+\s*/, '')
    .split(',')
    .map(part => part.trim());
  const start = addressOf(session, first);
  const { symbols } = session.program;
  if (second === undefined) {
    const place = symbols.lookup(start);
    const end = place === undefined ? undefined : symbolEnd(session, place.symbol.address);
    if (place === undefined || end === undefined) throw new UsageError('No function contains specified address.');
    const body = listing(session, place.symbol.address, end, at => `<+${at - place.symbol.address}>`);
    return `Dump of assembler code for function ${place.symbol.name}:\n${body}End of assembler dump.\n`;
  }
  const end = second.startsWith('+') ? start + addressOf(session, second.slice(1)) : addressOf(session, second);
  const body = listing(session, start, end, at => `<${symbols.format(at) ?? ''}>`);
  return `Dump of assembler code from 0x${start.toString(16)} to 0x${end.toString(16)}:\n${body}End of assembler dump.\n`;
}

function symbolEnd(session: Session, address: bigint): bigint | undefined {
  const { symbols } = session.program;
  const place = symbols.lookup(address);
  if (place === undefined) return undefined;
  const { size } = place.symbol;
  return size !== undefined && size > 0 ? address + BigInt(size) : symbols.endOf(place.symbol);
}

function listing(session: Session, start: bigint, end: bigint, label: (address: bigint) => string): string {
  const { architecture, memory, symbols } = session.program;
  const LONGEST = 15;
  const length = Math.min(MAX_CODE, Number(end - start));
  if (length <= 0) throw new UsageError('the range is empty');
  const bytes = memory.readAvailable(start, length + LONGEST);
  if (bytes.length === 0) memory.readU8(start);
  return decode(architecture, bytes, start, at => symbols.format(at))
    .filter(({ address }) => address < end)
    .map(({ address, text }) => `   0x${address.toString(16)} ${label(address)}:\t${text}\n`)
    .join('');
}
