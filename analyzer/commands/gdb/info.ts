/** `info symbol`, `info address`, `info line`, `info registers`; GDB manual "Symbols", "Machine Code", "Registers". */
import { UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import type { SourceLine } from '../../debug-info/dwarf/source-lines.ts';
import { addressText } from '../../types/print-format.ts';
import { stripTypedefs } from '../../types/types.ts';
import { numberOf } from '../../types/value.ts';
import { gdbRegisters, registerName, stoppedRegisters } from '../../unwind/stopped-registers.ts';
import { evaluateExpression } from '../expressions.ts';
import type { Session } from '../session.ts';
import { infoScope } from './scope.ts';
import { infoFunctions, infoTypes, infoVariables } from './info-search.ts';
import { infoArguments, infoFrame, infoLocals } from './frame.ts';

type Topic = (session: Session, text: string) => string;

const TOPICS: Readonly<Record<string, Topic>> = {
  symbol: infoSymbol,
  address: infoAddress,
  line: infoLine,
  scope: infoScope,
  functions: infoFunctions,
  variables: infoVariables,
  types: infoTypes,
  registers: infoRegisters,
  frame: infoFrame,
  locals: infoLocals,
  args: infoArguments,
};

/** `info TOPIC …`; a topic may be shortened while it stays the only one. @throws UsageError, UnimplementedError */
export function info(session: Session, text: string): string {
  const [word = '', ...rest] = text.trim().split(/\s+/);
  if (word === '')
    throw new UsageError(
      'List of info subcommands: address, args, frame, functions, line, locals, registers, scope, symbol, types, variables',
    );
  const short = word === 'f' ? 'frame' : word === 's' ? 'symbol' : word;
  const names = Object.keys(TOPICS).filter(name => name.startsWith(short));
  const name = names.includes(short) ? short : names[0];
  if (name === undefined || (names.length > 1 && name !== short))
    throw new UnimplementedError(`gdb's command info ${word}`);
  return TOPICS[name]!(session, rest.join(' '));
}

function addressOfText(session: Session, text: string): bigint {
  const value = evaluateExpression(session, text);
  const { kind } = stripTypedefs(value.type);
  if (kind === 'struct' || kind === 'union') throw new UsageError('Attempt to convert a structure to an address.');
  return BigInt.asUintN(64, numberOf(session.program.memory, value));
}

/** `info symbol address`: `name + offset in section .text`. */
function infoSymbol(session: Session, text: string): string {
  const address = addressOfText(session, text);
  const { symbols, debug } = session.program;
  const place = symbols.lookup(address);
  if (place === undefined) return `No symbol matches ${text}.\n`;
  const { symbol, offset } = place;
  const section = debug.section(address);
  const where =
    section === undefined
      ? ''
      : ` in section ${section.name}${section.file === undefined ? '' : ` of ${section.file}`}`;
  return `${symbol.name}${offset === 0 ? '' : ` + ${offset}`}${where}\n`;
}

/** `info address symbol`: where a variable or function is kept. */
function infoAddress(session: Session, text: string): string {
  const [symbol] = session.program.symbols.findAll(text);
  if (symbol === undefined) throw new UsageError(`No symbol "${text}" in current context.`);
  const where = `0x${symbol.address.toString(16)}`;
  const kind = /[tTwW]/.test(symbol.type) ? 'a function at address' : 'static storage at address';
  return `Symbol "${text}" is ${kind} ${where}.\n`;
}

/** `info line symbol`, `info line *address`, `info line file.c:12`. */
function infoLine(session: Session, text: string): string {
  const { program } = session;
  const place = /^([^*:\s]+\.[chSs]):(\d+)$/.exec(text);
  const address = place === null ? addressOfText(session, text.replace(/^\*/, '')) : undefined;
  if (address === undefined) throw new UnimplementedError("gdb's info line for a line of a file");
  const line = program.debug.line(address);
  const named = addressText(address, at => program.symbols.format(at));
  if (line === undefined) return `No line number information available for address ${named}\n`;
  return lineText(session, line);
}

function lineText(session: Session, line: SourceLine & { readonly bias: bigint }): string {
  const { symbols } = session.program;
  const [start, end] = [line.start, line.end].map(at =>
    addressText(BigInt.asUintN(64, at + line.bias), address => symbols.format(address)),
  );
  const range =
    line.end === line.start
      ? `is at address ${start} but contains no code`
      : `starts at address ${start} and ends at ${end}`;
  return `Line ${line.line} of "${line.shortFile}" ${range}.\n`;
}

/** `info registers [name …]` of the current task where it was stopped. */
function infoRegisters(session: Session, text: string): string {
  const { architecture, symbols } = session.program;
  const registers = stoppedRegisters(session.tasks, session.current);
  const names = text === '' ? gdbRegisters(architecture) : text.split(/\s+/).map(name => name.replace(/^\$/, ''));
  const lines = names.map(name => {
    const value = registers.get(registerName(architecture, name));
    if (value === undefined) {
      if (text !== '' && !gdbRegisters(architecture).includes(name))
        throw new UsageError(`Invalid register \`${name}'`);
      return text === '' ? '' : `${name.padEnd(15)}<unavailable>\n`;
    }
    const hex = `0x${value.toString(16)}`;
    return `${name.padEnd(15)}${hex.padEnd(19)} ${naturalText(name, value, at => symbols.format(at))}\n`;
  });
  return lines.join('');
}

/** What gdb shows behind the number: pointers as such, others in decimal. */
function naturalText(name: string, value: bigint, symbolAt: (address: bigint) => string | undefined): string {
  const hex = `0x${value.toString(16)}`;
  if (name === 'rip' || name === 'pc') return addressText(value, symbolAt);
  if (/^(?:rsp|rbp|sp)$/.test(name)) return hex;
  if (name === 'eflags') return flagsText(value);
  if (name === 'cpsr') return `[ ${['EL=1'].filter(() => (value & 0xcn) === 4n).join(' ')} ]`.replace('[  ]', '[ ]');
  return `${BigInt.asIntN(64, value)}`;
}

/** Bits of RFLAGS; Intel SDM vol. 1 "EFLAGS Register". */
const FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [0, 'CF'],
  [2, 'PF'],
  [4, 'AF'],
  [6, 'ZF'],
  [7, 'SF'],
  [8, 'TF'],
  [9, 'IF'],
  [10, 'DF'],
  [11, 'OF'],
];

function flagsText(value: bigint): string {
  const names = FLAGS.filter(([bit]) => ((value >> BigInt(bit)) & 1n) === 1n).map(([, name]) => name);
  return `[ ${names.map(name => `${name} `).join('')}]`;
}
