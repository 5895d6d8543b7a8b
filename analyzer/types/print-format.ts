/** gdb's output formats: `/x`, `/d`, `/u`, `/o`, `/t`, `/z`, `/c`, `/a`, `/f`; GDB manual "Output Formats". */
import { UsageError } from '../../capture/formats/errors.ts';
import type { CType } from './types.ts';
import { stripTypedefs } from './types.ts';

/** A letter behind the slash; `s` leaves strings as they are and shows other values as without a format. */
export type FormatLetter = 'x' | 'd' | 'u' | 'o' | 't' | 'z' | 'c' | 'a' | 'f' | 's';

const LETTERS: ReadonlySet<string> = new Set('xdutozcafs');

/** Parses the letters of `/x` or `/4xb`: none means the default. @throws UsageError for a letter that is no format */
export function parseFormat(letters: string): FormatLetter | undefined {
  const count = /^\d+/.exec(letters)?.[0];
  if (count !== undefined && Number(count) !== 1)
    throw new UsageError('Item count other than 1 is meaningless in "print" command.');
  const letter = letters.replace(/^\d+/, '').replace('r', '').at(-1);
  if (letter === undefined) return undefined;
  if (letter === 'i') throw new UsageError('Format letter "i" is meaningless in "print" command.');
  if (!LETTERS.has(letter)) throw new UsageError(`Undefined output format "${letter}".`);
  return letter as FormatLetter;
}

/** Text of a scalar of `bits` bits in a format. @param symbolAt name of what an address points to */
export function formatScalar(
  format: FormatLetter,
  type: CType,
  raw: bigint,
  bits: number,
  symbolAt: (address: bigint) => string | undefined,
): string {
  switch (format) {
    case 'x':
      return `0x${raw.toString(16)}`;
    case 'z':
      return `0x${raw.toString(16).padStart(Math.ceil(bits / 4), '0')}`;
    case 'o':
      return raw === 0n ? '0' : `0${raw.toString(8)}`;
    case 't':
      return raw.toString(2);
    case 'd':
      return `${BigInt.asIntN(bits, raw)}`;
    case 'u':
      return `${raw}`;
    case 'c':
      return charText(type, raw, bits);
    case 'a':
      return addressText(raw, symbolAt);
    case 'f':
      return floatText(type, raw, bits);
    default:
      return decimalText(type, raw, bits);
  }
}

function decimalText(type: CType, raw: bigint, bits: number): string {
  const bare = stripTypedefs(type);
  const signed = (bare.kind === 'int' || bare.kind === 'enum') && bare.signed;
  return `${signed ? BigInt.asIntN(bits, raw) : raw}`;
}

/** The number, signed when its type is, and the character of its lowest byte. */
function charText(type: CType, raw: bigint, bits: number): string {
  return `${decimalText(type, raw, bits)} '${escapeChar(Number(raw & 0xffn), "'")}'`;
}

/** `0x… <symbol+offset>`. */
export function addressText(raw: bigint, symbolAt: (address: bigint) => string | undefined): string {
  const symbol = symbolAt(raw);
  return symbol === undefined ? `0x${raw.toString(16)}` : `0x${raw.toString(16)} <${symbol}>`;
}

/** An integer of the size of a floating type is taken for one. */
function floatText(type: CType, raw: bigint, bits: number): string {
  if (stripTypedefs(type).kind !== 'float') return decimalText(type, raw, bits);
  return floatBits(raw, bits / 8);
}

/** Text of IEEE 754 bits, as C's `%.17g` (`%.9g` for 4 bytes) writes it. */
export function floatBits(raw: bigint, size: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, raw));
  const value = size === 4 ? bytes.readFloatLE() : bytes.readDoubleLE();
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  const precision = size === 4 ? 9 : 17;
  const isTiny = value !== 0 && Math.abs(value) < 1e-4;
  const text = isTiny ? value.toExponential(precision - 1) : value.toPrecision(precision);
  const [mantissa = '', exponent] = text.split('e');
  const short = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  return exponent === undefined ? short : `${short}e${exponent.replace(/^([-+])(\d)$/, '$10$2')}`;
}

const ESCAPES: Readonly<{ [byte: number]: string }> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  27: '\\033',
  0x5c: '\\\\',
};

/** A character as gdb writes it between quotes. */
export function escapeChar(byte: number, quote: string): string {
  const named = ESCAPES[byte];
  if (named !== undefined) return named;
  const char = String.fromCharCode(byte);
  if (char === quote) return `\\${quote}`;
  return byte >= 0x20 && byte < 0x7f ? char : `\\${byte.toString(8).padStart(3, '0')}`;
}
