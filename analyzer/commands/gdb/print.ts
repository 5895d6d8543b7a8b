/** `print`, `output`, `printf`, `echo`, `set`: values; GDB manual "Examining Data". */
import { FaultError, UsageError } from '../../../capture/formats/errors.ts';
import { evaluateList } from '../../types/expression.ts';
import { parseFormat } from '../../types/print-format.ts';
import type { PrintContext, PrintSettings } from '../../types/print-value.ts';
import { unescape } from '../../types/tokens.ts';
import { stripTypedefs } from '../../types/types.ts';
import { floatOf, numberOf, valueText } from '../../types/value.ts';
import type { Value } from '../../types/value.ts';
import { evaluateExpression, scopeOf } from '../expressions.ts';
import type { Session } from '../session.ts';

/** How to print under the letters of a format. @throws UsageError for letters that are none */
export function contextFor(session: Session, letters: string, radix?: 10 | 16): PrintContext {
  const format = parseFormat(letters);
  return format === undefined ? session.printContext(radix) : { ...session.printContext(radix), format };
}

/** `print[/FMT] expression`: the value gets a number. */
export function print(session: Session, letters: string, text: string): string {
  const value = text === '' ? lastValue(session) : evaluateExpression(session, text);
  const shown = valueText(session.program.memory, value, contextFor(session, letters));
  return `$${session.remember(value)} = ${shown}\n`;
}

function lastValue(session: Session): Value {
  const value = session.history('$');
  if (value === undefined) throw new UsageError('The history is empty.');
  return value;
}

/** `output[/FMT] expression`: without number and line end. */
export function output(session: Session, letters: string, text: string): string {
  return valueText(session.program.memory, evaluateExpression(session, text), contextFor(session, letters));
}

/** `echo text`, with C's escapes; a backslash at the end keeps blanks. */
export function echo(text: string): string {
  return unescape(text.replace(/\\$/, ''));
}

const SPECIFIER = /%(?:%|([-+ #0]*)(\d*)(?:\.(\d+))?(?:hh|h|ll|l|z|t|j)?([diouxXcspaefgEG]))/g;

/** `printf "format", value, …`. @throws UsageError */
export function printf(session: Session, text: string): string {
  const match = /^\s*"((?:\\.|[^"\\])*)"\s*(?:,(.*))?$/s.exec(text);
  if (match === null) throw new UsageError('Bad format string');
  const values = evaluateList(match[2] ?? '', scopeOf(session));
  let used = 0;
  const out = unescape(match[1]!).replaceAll(
    SPECIFIER,
    (all, flags = '', width = '', precision?: string, kind?: string) => {
      if (kind === undefined) return '%';
      const value = values[used++];
      if (value === undefined) throw new UsageError('Bad format string, missing arguments');
      return pad(
        conversion(session, value, String(flags), precision, kind),
        String(flags),
        Number(width),
        all.endsWith('s'),
      );
    },
  );
  if (used !== values.length) throw new UsageError('Wrong number of arguments for specified format-string');
  return out;
}

function conversion(
  session: Session,
  value: Value,
  flags: string,
  precision: string | undefined,
  kind: string,
): string {
  const { memory } = session.program;
  if (kind === 's') return textOf(session, value).slice(0, precision === undefined ? undefined : Number(precision));
  if ('aefgEG'.includes(kind)) return floatText(floatOf(memory, value), kind, precision);
  const number = numberOf(memory, value);
  const size = Math.max(4, Math.min(8, stripTypedefs(value.type).size));
  const unsigned = BigInt.asUintN(8 * size, number);
  const written = UNSIGNED[kind]?.(unsigned, flags.includes('#') && unsigned !== 0n);
  if (written !== undefined) return written;
  const sign = number < 0n ? '' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  return `${sign}${number}`;
}

/** Conversions that show bits, by letter; ISO C11 7.21.6.1 "The fprintf function". */
const UNSIGNED: Readonly<Record<string, (value: bigint, alternate: boolean) => string>> = {
  c: value => String.fromCharCode(Number(value & 0xffn)),
  u: value => `${value}`,
  x: (value, alternate) => `${alternate ? '0x' : ''}${value.toString(16)}`,
  X: (value, alternate) => `${alternate ? '0X' : ''}${value.toString(16).toUpperCase()}`,
  o: (value, alternate) => `${alternate ? '0' : ''}${value.toString(8)}`,
  p: value => (value === 0n ? '(nil)' : `0x${value.toString(16)}`),
};

function floatText(value: number, kind: string, precision: string | undefined): string {
  const digits = precision === undefined ? 6 : Number(precision);
  if (kind.toLowerCase() === 'e') return value.toExponential(digits);
  return kind.toLowerCase() === 'g' ? String(Number(value.toPrecision(Math.max(1, digits)))) : value.toFixed(digits);
}

/** What `%s` shows: an array of characters, or the text behind a pointer. */
function textOf(session: Session, value: Value): string {
  const { memory } = session.program;
  const MAX_TEXT = 65_536;
  const bare = stripTypedefs(value.type);
  if (value.bytes !== undefined) return Buffer.from(value.bytes).toString('latin1').replace(/\0.*$/s, '');
  if (bare.kind === 'array') return memory.readString(value.address ?? 0n, Math.min(MAX_TEXT, bare.size || MAX_TEXT));
  return memory.readString(BigInt.asUintN(64, numberOf(memory, value)), MAX_TEXT);
}

function pad(text: string, flags: string, width: number, isText: boolean): string {
  if (flags.includes('-')) return text.padEnd(width);
  const zeros = flags.includes('0') && !isText;
  return zeros
    ? text.replace(
        /^([-+ ]?(?:0[xX])?)(.*)$/,
        (_, head: string, rest: string) => head + rest.padStart(width - head.length, '0'),
      )
    : text.padStart(width);
}

const SWITCHES: Readonly<Record<string, keyof PrintSettings>> = {
  pretty: 'pretty',
  address: 'address',
  symbol: 'symbol',
};
const LIMITS: Readonly<Record<string, keyof PrintSettings>> = { elements: 'elements', repeats: 'repeats' };
/** Settings that change nothing here. */
const ACCEPTED = new Set([
  'union',
  'array',
  'array-indexes',
  'null-stop',
  'sevenbit-strings',
  'static-members',
  'vtbl',
  'object',
  'demangle',
  'asm-demangle',
  'max-depth',
]);

/** `set print NAME VALUE`, `set $name = value`, `set var …`. @throws UsageError */
export function set(session: Session, text: string): string {
  const print = /^p(?:r|ri|rin|rint)?\s+(\S+)\s*(.*)$/.exec(text);
  if (print !== null) {
    setPrint(session, print[1]!, print[2]!.trim());
    return '';
  }
  const assignment = text.replace(/^var(?:iable)?\s+/, '');
  if (!/^\$\w+\s*=/.test(assignment)) {
    if (/^[\w$.>()*&[\] -]+=[^=]/.test(assignment))
      throw new UsageError('cannot write to a dump: only $variables can be set');
    throw new UsageError(`gdb's setting "${text}" is not known`);
  }
  evaluateExpression(session, assignment);
  return '';
}

function setPrint(session: Session, name: string, value: string): void {
  const state = session.gdb;
  const flag = SWITCHES[name];
  const limit = LIMITS[name];
  if (flag !== undefined) state.print = { ...state.print, [flag]: !/^(?:off|0|no|disable)$/.test(value) };
  else if (limit !== undefined) state.print = { ...state.print, [limit]: limitOf(value) };
  else if (!ACCEPTED.has(name)) throw new UsageError(`gdb's setting "print ${name}" is not known`);
}

function limitOf(value: string): number {
  if (value === '' || value === 'unlimited') return 0;
  if (!/^\d+$/.test(value)) throw new UsageError(`integer expected: ${value}`);
  return Number(value);
}

/** `show print NAME`, `show language`, `show convenience`. @throws UsageError */
export function show(session: Session, text: string): string {
  const [topic = '', name = ''] = text.split(/\s+/);
  const { print, variables } = session.gdb;
  if (topic === 'language') return 'The current source language is "auto; currently c".\n';
  if (topic.startsWith('conv'))
    return [...variables].map(([key, value]) => `${key} = ${safeText(session, value)}\n`).join('');
  const line = topic === 'print' && Object.hasOwn(SHOWN, name) ? SHOWN[name]!(print) : undefined;
  if (line === undefined) throw new UsageError(`gdb's setting "${text}" is not known`);
  return `${line}\n`;
}

const onOff = (on: boolean): string => (on ? 'on' : 'off');
const orUnlimited = (limit: number): string => (limit === 0 ? 'unlimited' : String(limit));

/** gdb's sentences about its print settings. */
const SHOWN: Readonly<Record<string, (print: PrintSettings) => string>> = {
  pretty: ({ pretty }) => `Pretty formatting of structures is ${onOff(pretty)}.`,
  address: ({ address }) => `Printing of addresses is ${onOff(address)}.`,
  symbol: ({ symbol }) => `Printing of symbol names when printing pointers is ${onOff(symbol)}.`,
  elements: ({ elements }) => `Limit on string chars or array elements to print is ${orUnlimited(elements)}.`,
  repeats: ({ repeats }) => `Threshold for repeated print elements is ${orUnlimited(repeats)}.`,
};

function safeText(session: Session, value: Value): string {
  try {
    return valueText(session.program.memory, value, session.printContext());
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return `<${error.message}>`;
  }
}
