/** Conversions of numbers and addresses: `ascii`, `btop`, `eval`, `ptob`, `ptov`, `rustfilt`. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { hex16 } from '../text/layout.ts';
import { demangleRust } from '../text/rust-symbols.ts';
import { evaluate } from '../types/expression.ts';
import { UNSIGNED_LONG, numberOf } from '../types/value.ts';
import type { Value } from '../types/value.ts';
import { inTurn, SynopsisError } from './command.ts';
import type { Command } from './command.ts';
import { percpuCpus } from './cpus.ts';
import { parseHex, parseNumber } from './numbers.ts';
import type { Session } from './session.ts';
import { VIEW_OUTPUT } from './view.ts';
import type { View } from './view.ts';

/** `btop`. */
export const btop: Command<{ readonly pairs: readonly (readonly [bigint, bigint])[] }> = {
  name: 'btop',
  summary: 'address to page number',
  synopsis: 'address...',
  options: [],
  description: 'Shifts a hexadecimal physical address down to its page number.',
  examples: [{ line: 'btop 438e0000', why: 'the page frame number' }],
  run: (session, { positionals }) => {
    if (positionals.length === 0) throw new SynopsisError('no address given');
    return inTurn(
      positionals,
      word => [parseHex(word), parseHex(word) / BigInt(session.program.space.pageSize)] as const,
      pairs => ({ pairs }),
    );
  },
  text: data => data.pairs.map(([from, to]) => `${from.toString(16)}: ${to.toString(16)}\n`).join(''),
};

/** `ptob`. */
export const ptob: Command<{ readonly pairs: readonly (readonly [bigint, bigint])[] }> = {
  name: 'ptob',
  summary: 'page number to address',
  synopsis: 'page-number...',
  options: [],
  description: 'Shifts a page number up to its physical address; it is decimal without a hexadecimal digit or `0x`.',
  examples: [{ line: 'ptob 438e0', why: 'where the page begins' }],
  run: (session, { positionals }) => {
    if (positionals.length === 0) throw new SynopsisError('no page number given');
    const size = BigInt(session.program.space.pageSize);
    return inTurn(
      positionals,
      word => [parseNumber(word), BigInt.asUintN(64, parseNumber(word) * size)] as const,
      pairs => ({ pairs }),
    );
  },
  text: data => data.pairs.map(([from, to]) => `${from.toString(16)}: ${to.toString(16)}\n`).join(''),
};

interface PtovData {
  readonly pairs?: readonly { readonly physical: bigint; readonly virtual: bigint }[];
  readonly percpu?: readonly {
    readonly offset: bigint;
    readonly cpus: readonly { readonly cpu: number; readonly address: bigint }[];
  }[];
}

/** `ptov`. */
export const ptov: Command<PtovData> = {
  name: 'ptov',
  summary: 'physical address to virtual, or per-cpu offset to addresses',
  synopsis: '[address | offset:cpus]...',
  options: [],
  description:
    'Gives the direct-map address of a physical one. `offset:cpus` gives where a per-cpu offset lies on each CPU.',
  examples: [{ line: 'ptov 0x1000:a', why: 'a per-cpu offset on all CPUs' }],
  run(session, args) {
    if (args.positionals.length === 0) throw new SynopsisError('no address given');
    return inTurn(
      args.positionals,
      word => (word.includes(':') ? percpuOffset(session, word) : directlyMapped(session, parseHex(word))),
      places => ({
        pairs: places.filter(place => 'physical' in place),
        percpu: places.filter(place => 'offset' in place),
      }),
    );
  },
  text: data => {
    const percpu = (data.percpu ?? []).map(({ offset, cpus }) => {
      const rows = cpus.map(({ cpu, address }) => `${`[${cpu}]`.padStart(5)}  ${hex16(address)}\n`).join('');
      return `PER-CPU OFFSET: ${offset.toString(16)}\n  CPU    VIRTUAL\n${rows}`;
    });
    const pairs = (data.pairs ?? []).map(
      ({ physical, virtual }) => `VIRTUAL           PHYSICAL\n${hex16(virtual)}  ${physical.toString(16)}\n`,
    );
    return [...pairs, ...percpu].join('\n');
  },
};

function directlyMapped({ program: { space } }: Session, physical: bigint): NonNullable<PtovData['pairs']>[number] {
  return { physical, virtual: BigInt.asUintN(64, space.directMap(0) + physical) };
}

function percpuOffset(session: Session, word: string): NonNullable<PtovData['percpu']>[number] {
  const [offsetText = '', list = ''] = word.split(':');
  const offset = parseHex(offsetText);
  const cpus = percpuCpus(session, list);
  return {
    offset,
    cpus: cpus.map(cpu => ({ cpu, address: BigInt.asUintN(64, offset + (session.program.percpuOffsets[cpu] ?? 0n)) })),
  };
}

interface EvalData {
  readonly value: bigint;
  readonly bits: boolean;
  readonly long: boolean;
}

/** `eval`. */
export const evalCommand: Command<EvalData> = {
  name: 'eval',
  summary: 'arithmetic, with the result in several bases',
  synopsis: '[-b][-l] (expression) | value',
  options: [
    { flag: '-b', help: 'the numbers of the set bits' },
    { flag: '-l', help: 'as a 64-bit value' },
  ],
  description:
    'Computes + - * / % << >> & | ^ ~ and parentheses over numbers and symbols, and the power A # B; k, m and g multiply by 2^10, 2^20 and 2^30.',
  examples: [{ line: 'eval (1 << 39) - 1', why: 'in all bases' }],
  run(session, args) {
    const text = args.positionals.join(' ');
    if (text === '') throw new SynopsisError('no expression given');
    return { value: validNumber(session, text), bits: args.has('-b'), long: args.has('-l') };
  },
  text: ({ value, bits }) => {
    const negative = value >> 63n === 1n;
    const signed = negative ? `  (${BigInt.asIntN(64, value)})` : '';
    const set = bits ? setBitLines(value) : '';
    const size = sizeNote(value);
    return `hexadecimal: ${value.toString(16)}  ${size}\n    decimal: ${value}${signed}\n      octal: ${value.toString(8)}\n     binary: ${value.toString(2).padStart(64, '0')}\n${set}`;
  },
};

const UNITS: Readonly<Record<string, bigint>> = { k: 10n, m: 20n, g: 30n };

function validNumber(session: Session, text: string): bigint {
  try {
    const [base = '', exponent] = text.replace(/^\((.*#.*)\)$/, '$1').split('#');
    if (exponent === undefined) return evaluateNumber(session, text);
    return power(evaluateNumber(session, base), evaluateNumber(session, exponent));
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof FaultError)) throw error;
    throw new UsageError(`invalid expression: (${text})`, { cause: error });
  }
}

/** In 64 bits. */
function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let bit = 63n; bit >= 0n; bit--) {
    result = BigInt.asUintN(64, result * result);
    if (((exponent >> bit) & 1n) === 1n) result = BigInt.asUintN(64, result * base);
  }
  return result;
}

/** Numbers of the set bits, over lines of 66 characters. */
function setBitLines(value: bigint): string {
  const rows: string[] = [];
  for (const bit of setBits(value).split(' ')) {
    const row = rows.at(-1);
    if (row === undefined || row.length + bit.length >= BITS_WIDTH) rows.push(bit);
    else rows[rows.length - 1] = `${row} ${bit}`;
  }
  return rows.map((row, index) => `${index === 0 ? '   bits set: ' : ' '.repeat(13)}${row}\n`).join('');
}

const BITS_WIDTH = 66;

/** Value of an expression in which a symbol stands for its address. @throws UsageError */
export function evaluateNumber(session: Session, text: string): bigint {
  const { memory, types, symbols } = session.program;
  const words = text.replaceAll(/(?<!\w)(?:0x)?[\da-f]+[kmg]?(?!\w)/gi, word =>
    symbols.find(word) === undefined ? `${numberOfWord(word)}UL` : word,
  );
  const find = (name: string): Value | undefined => {
    const address = symbols.find(name);
    return address === undefined ? undefined : { type: UNSIGNED_LONG, bits: address };
  };
  return BigInt.asUintN(
    64,
    numberOf(
      memory,
      evaluate(words, {
        memory,
        types,
        find,
        history: name => session.history(name),
      }),
    ),
  );
}

/** Decimal digits, or hexadecimal ones with or without `0x`, and perhaps a unit. */
function numberOfWord(word: string): bigint {
  const [, digits = '', unit = ''] = /^(.*?)([kmg]?)$/i.exec(word)!;
  return parseNumber(digits) << (UNITS[unit.toLowerCase()] ?? 0n);
}

/** `(1KB)`, `(2GB)` behind round numbers. */
function sizeNote(value: bigint): string {
  const units: readonly [string, bigint][] = [
    ['GB', 30n],
    ['MB', 20n],
    ['KB', 10n],
  ];
  const unit = units.find(([, shift]) => value >= 1n << shift && (value & ((1n << shift) - 1n)) === 0n);
  return unit === undefined ? '' : `(${value >> unit[1]}${unit[0]})`;
}

function setBits(value: bigint): string {
  const set: number[] = [];
  for (let bit = 63; bit >= 0; bit--) if (((value >> BigInt(bit)) & 1n) === 1n) set.push(bit);
  return set.join(' ');
}

const CONTROL_NAMES =
  'NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(
    ' ',
  );

/** `ascii`. */
export const ascii: Command<View> = {
  name: 'ascii',
  summary: 'the ASCII table, or the text in a number',
  synopsis: '[value]...',
  options: [],
  description:
    'Without a value: the table. With hexadecimal values: their bytes as text, in the order they have in memory.',
  examples: [{ line: 'ascii 62696c2f7273752f', why: '/usr/lib' }],
  run(_session, args) {
    if (args.positionals.length === 0) return { data: { table: asciiTable() }, text: asciiTable() };
    const data = args.positionals.map(word => {
      const digits = word.replace(/^0x/i, '').length;
      if (digits > 16) throw new UsageError(`input string too large: "${word}" (${digits} vs 16)`);
      const value = parseHex(word);
      const bytes = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
      return { value, characters: bytes.map(byteName) };
    });
    return {
      data,
      text: data.map(({ value, characters }) => `${hex16(value)}: ${characters.join('')}\n`).join(''),
    };
  },
  ...VIEW_OUTPUT,
};

function byteName(byte: number): string {
  if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte);
  return byte === 0x7f ? '<DEL>' : byte < 0x20 ? `<${CONTROL_NAMES[byte]!}>` : `<${byte.toString(16)}>`;
}

function asciiTable(): string {
  const rows = Array.from({ length: 16 }, (_, low) => {
    const cells = Array.from({ length: 8 }, (_value, high) => cellText(high * 16 + low));
    return `  ${low.toString(16).toUpperCase()} | ${cells.join(' ')}`.trimEnd();
  });
  return ['', '      0    1   2   3   4   5   6   7', '    +-------------------------------', ...rows, '', ''].join(
    '\n',
  );
}

/** Three characters; two pairs stand exchanged, as crash shows them. */
function cellText(code: number): string {
  if (code < 0x20) return CONTROL_NAMES[code]!.padStart(3);
  if (code === 0x20 || code === 0x7f) return code === 0x20 ? ' SP' : 'DEL';
  const SUBSTITUTES: Readonly<Record<number, string>> = { 0x27: '`', 0x2d: '_', 0x5f: '-', 0x60: "'" };
  return ` ${SUBSTITUTES[code] ?? String.fromCharCode(code)} `;
}

/** `rustfilt`. */
export const rustfilt: Command<View> = {
  name: 'rustfilt',
  summary: 'readable names of Rust symbols',
  synopsis: 'symbol...',
  options: [],
  description: 'Decodes names of the legacy mangling (`_ZN…E`) and of the v0 mangling (`_R…`).',
  examples: [{ line: 'rustfilt _ZN4core3fmt5write17h0123456789abcdefE', why: 'core::fmt::write' }],
  run(_session, args) {
    if (args.positionals.length === 0) throw new SynopsisError('no symbol given');
    const data = args.positionals.map(symbol => ({ symbol, name: demangleRust(symbol) }));
    return {
      data,
      text: data.map(({ symbol, name }) => `${name ?? `Not a rust symbol: \n${symbol}`}\n`).join(''),
    };
  },
  ...VIEW_OUTPUT,
};
