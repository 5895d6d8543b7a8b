/** Stack memory, two words a line, plain or with the names of what the words point to. */
import { FaultError } from '../../capture/formats/errors.ts';
import { hex16 } from '../text/layout.ts';
import type { Session } from './session.ts';

/** @param symbolic 0: numbers; 1: symbols and names of slab caches; 2: the latter with addresses */
export function wordsText(session: Session, start: bigint, end: bigint, symbolic: 0 | 1 | 2): string {
  const MAX_BYTES = 0x1_0000n;
  const out: string[] = [];
  for (let at = start; at < end && at < start + MAX_BYTES; at += 16n) {
    const second = at + 8n < end ? `${word(session, at + 8n, symbolic)} ` : '';
    out.push(`    ${at.toString(16)}: ${word(session, at, symbolic)} ${second}\n`);
  }
  return out.join('');
}

function word(session: Session, address: bigint, symbolic: 0 | 1 | 2): string {
  try {
    const value = session.program.memory.readU64(address);
    return (symbolic === 0 ? undefined : nameOf(session, value, symbolic === 2)) ?? hex16(value);
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return '(unreadable)    ';
  }
}

/** A symbol with its offset, or the slab cache that a pointer points into, or undefined. */
export function nameOf(session: Session, value: bigint, withAddress: boolean): string | undefined {
  const symbol = session.program.symbols.format(value);
  if (symbol !== undefined) return symbol.padEnd(16);
  const cache = session.slabCacheOf(value);
  if (cache === undefined) return undefined;
  return withAddress ? `[${value.toString(16)}:${cache}]` : `[${cache}]`.padEnd(16);
}
