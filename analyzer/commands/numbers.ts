/** Numbers, symbols and small expressions as commands take them. */
import { UsageError } from '../../capture/formats/errors.ts';
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

/**
 * An address: hexadecimal, a symbol, or a sum of these (`init_task+8`).
 * @throws UsageError when a part is neither
 */
export function parseAddress(session: Session, word: string): bigint {
  let total = 0n;
  for (const [, sign, part] of word.replace(/^\((.*)\)$/, '$1').matchAll(/([+-]?)([^+-]+)/g)) {
    // Behind a sign plain digits are decimal: `schedule+16` is what backtraces and listings print.
    const isOffset = sign !== '' && /^\d+$/.test(part!.trim());
    const value = isOffset ? BigInt(part!.trim()) : addressTerm(session, part!.trim());
    total = sign === '-' ? total - value : total + value;
  }
  return BigInt.asUintN(64, total);
}

function addressTerm(session: Session, term: string): bigint {
  const symbol = session.program.symbols.find(term);
  if (symbol !== undefined) return symbol;
  if (/^(?:0x)?[\da-f]+$/i.test(term)) return BigInt(/^0x/i.test(term) ? term : `0x${term}`);
  throw new UsageError(`symbol not found: ${term}\npossible alternatives:\n${alternatives(session, term)}`);
}

/** Symbols with a text in their name, one a line. */
function alternatives({ program: { symbols } }: Session, part: string): string {
  const found = symbols.matching(name => name.includes(part));
  if (found.length === 0) return '  (none found)';
  return found.map(({ name, address, type }) => `  ${address.toString(16)} (${type}) ${name}`).join('\n');
}
