/** `-s struct.member,…`: structures or members shown for each entry of a walk. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { printValue } from '../types/print-value.ts';
import type { StructType } from '../types/types.ts';
import type { Arguments } from './command.ts';
import { parseNumber } from './numbers.ts';
import type { Session } from './session.ts';
import { placeText } from './struct.ts';

/** What to show of each entry. */
export interface Shown {
  readonly type: StructType;
  readonly members: readonly string[];
}

/** Parses `task_struct.pid,comm`. @throws UsageError when a part does not exist */
export function parseShown(session: Session, text: string): Shown {
  const dot = text.indexOf('.');
  const name = dot === -1 ? text : text.slice(0, dot);
  const type = session.program.types.findStruct(name);
  if (type === undefined) throw new UsageError(`invalid data structure reference: ${name}`);
  const members = dot === -1 ? [] : text.slice(dot + 1).split(',');
  for (const member of members) {
    if (type.place(member) === undefined) throw new UsageError(`${type.kind} ${name} has no member named ${member}`);
  }
  return { type, members };
}

/** All `-s` and `-S` of a command. */
export function shownOf(session: Session, args: Arguments): Shown[] {
  return [...args.values('-s'), ...args.values('-S')].map(text => parseShown(session, text));
}

/** Text of what is to be shown at an address; a fault is one line. */
export function shownText(session: Session, shown: readonly Shown[], address: bigint, radix: 10 | 16): string {
  const context = session.printContext(radix);
  const { memory } = session.program;
  const one = ({ type, members }: Shown): string => {
    if (members.length === 0)
      return `${type.kind} ${type.name} ${printValue(type, memory.readBytes(address, type.size), 0, { ...context, base: address })}\n`;
    return members
      .map(member => `  ${member} = ${placeText(memory, type.place(member)!, address, context)},\n`)
      .join('');
  };
  try {
    return shown.map(one).join('');
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return `  (${error.message})\n`;
  }
}

/** An offset as a number or `struct.member`. @throws UsageError */
export function parseOffset(session: Session, text: string): bigint {
  const dot = text.indexOf('.');
  if (dot === -1) return parseNumber(text);
  const offset = session.program.types.offsetOf(text.slice(0, dot), text.slice(dot + 1));
  if (offset === undefined) throw new UsageError(`invalid structure member: ${text}`);
  return BigInt(offset);
}
