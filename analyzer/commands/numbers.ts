/** Numbers, symbols and small expressions as commands take them. */
import { UsageError } from '../../capture/formats/errors.ts';
import { BareError, SynopsisError } from './command.ts';
import type { Session } from './session.ts';

/** Kernel addresses lie above: no kernel has more than 57 bits of address. */
export const FIRST_KERNEL_ADDRESS = 0xff00_0000_0000_0000n;

/** A decimal or `0x` number, or `0n`-prefixed as the user's habit is. @throws UsageError */
export function parseNumber(word: string): bigint {
  if (/^(?:0x[\da-f]+|\d+)$/i.test(word)) return BigInt(word);
  if (/^[\da-f]+$/i.test(word)) return BigInt(`0x${word}`);
  throw new UsageError(`not a valid number: ${word}`);
}

/** A hexadecimal address with or without `0x`. @throws UsageError */
export function parseHex(word: string): bigint {
  if (!/^(?:0x)?[\da-f]+$/i.test(word)) throw new UsageError(`invalid input: "${word}"`);
  return BigInt.asUintN(64, BigInt(/^0x/i.test(word) ? word : `0x${word}`));
}

/** A decimal number or `0x` and hexadecimal digits. @throws UsageError as crash has it of a letter between digits */
export function decimal(word: string): bigint {
  if (/^(?:0x[\da-f]+|\d+)$/i.test(word)) return BigInt(word);
  throw notADigit(word);
}

/** What crash says of text where a decimal number is due: its first character that is no digit. */
export function notADigit(text: string): UsageError {
  const [char = ''] = /[^\d\s-]/.exec(text) ?? [];
  return new UsageError(char === '' ? `invalid number: ${text}` : `${text}: "${char}" is not a digit 0 - 9`);
}

/** What is said of a word that is no address. */
export type Refusal = (word: string) => UsageError;

/** `invalid input: "zzz"`: what most commands say that take no symbols in crash. */
export const invalidInput: Refusal = word => new UsageError(`invalid input: "${word}"`);

/** Where a command's synopsis has no place for a word. */
export const noAddress: Refusal = word => new SynopsisError(`invalid argument: ${word}`);

/**
 * An address: hexadecimal, a symbol, or a sum of these (`init_task+8`).
 * @param refusal the error for what is neither; without it the error names similar symbols
 * @throws UsageError when a part is neither
 */
export function parseAddress(session: Session, word: string, refusal?: Refusal): bigint {
  let total = 0n;
  for (const [, sign, part] of word.replace(/^\((.*)\)$/, '$1').matchAll(/([+-]?)([^+-]+)/g)) {
    // Behind a sign plain digits are decimal: `schedule+16` is what backtraces and listings print.
    const isOffset = sign !== '' && /^\d+$/.test(part!.trim());
    const value = isOffset
      ? BigInt(part!.trim())
      : addressTerm(session, part!.trim(), refusal ?? (name => notFound(session, word, name)));
    total = sign === '-' ? total - value : total + value;
  }
  return BigInt.asUintN(64, total);
}

const MAX_DIGITS = 16;

function addressTerm(session: Session, term: string, refusal: Refusal): bigint {
  const symbol = session.program.symbols.find(term);
  if (symbol !== undefined) return symbol;
  const [, digits] = /^(?:0x)?([\da-f]+)$/i.exec(term) ?? [];
  if (digits === undefined) throw refusal(term);
  if (digits.length > MAX_DIGITS)
    throw new UsageError(`input string too large: "${digits}" (${digits.length} vs ${MAX_DIGITS})`);
  return BigInt(`0x${digits}`);
}

/** Of a sum, it is the sum that is wrong. */
function notFound(session: Session, word: string, term: string): UsageError {
  if (term !== word) return new UsageError(`invalid expression: ${word}`);
  return new BareError(`symbol not found: ${term}\npossible alternatives:\n${alternatives(session, term)}`);
}

/** Symbols with a text in their name, one a line. */
function alternatives({ program: { symbols } }: Session, part: string): string {
  const found = symbols.matching(name => name.includes(part));
  if (found.length === 0) return '  (none found)';
  return found.map(({ name, address, type }) => `  ${address.toString(16)} (${type}) ${name}`).join('\n');
}
