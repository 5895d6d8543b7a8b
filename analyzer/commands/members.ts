/** `-s struct.member,…`: structures or members shown for each entry of a walk. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { cString } from '../../capture/formats/bytes.ts';
import { readScalar } from '../types/object.ts';
import { printValue } from '../types/print-value.ts';
import { stripTypedefs } from '../types/types.ts';
import type { StructType } from '../types/types.ts';
import { refuseTogether } from './command.ts';
import type { Arguments } from './command.ts';
import { parseNumber } from './numbers.ts';
import type { Session } from './session.ts';
import { memberText, plainContents } from './struct.ts';

/** What to show of each entry. */
export interface Shown {
  readonly type: StructType;
  readonly members: readonly string[];
  /** `-S`: numbers and texts read directly, without commas. */
  readonly direct: boolean;
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
  return { type, members, direct: false };
}

/** All `-s` and `-S` of a command. */
export function shownOf(session: Session, args: Arguments): Shown[] {
  refuseTogether(args, ['-s', '-S'], '-S and -s options are mutually exclusive');
  const direct = args.values('-S').map(text => ({ ...parseShown(session, text), direct: true }));
  return [...args.values('-s').map(text => parseShown(session, text)), ...direct];
}

/** Text of what is to be shown at an address; a fault is one line. */
export function shownText(session: Session, shown: readonly Shown[], address: bigint, radix: 10 | 16): string {
  const context = session.printContext(radix);
  const { memory } = session.program;
  const one = ({ type, members, direct }: Shown): string => {
    if (members.length === 0)
      return `${type.kind} ${type.name} ${printValue(type, memory.readBytes(address, type.size), 0, { ...context, base: address })}\n`;
    return members
      .map(
        member =>
          (direct ? directText(session, type, member, address, radix) : undefined) ??
          memberText(memory, type, member, address, context, false),
      )
      .join('');
  };
  try {
    return shown.map(one).join('');
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return `  (${error.message})\n`;
  }
}

/** What is to be shown at an address as plain data, by structure; the reason where it cannot be read. */
export function shownPlain({ program: { memory } }: Session, shown: readonly Shown[], address: bigint): unknown {
  const one = ({ type, members }: Shown): unknown => {
    try {
      return plainContents({ reader: memory, type, members }, address);
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      return { fault: error.reason };
    }
  };
  return Object.fromEntries(shown.map(item => [item.type.name, one(item)]));
}

/** A number, a pointer or a text without its NULs; undefined for what needs more. */
function directText(
  { program: { memory, symbols } }: Session,
  type: StructType,
  member: string,
  address: bigint,
  radix: 10 | 16,
): string | undefined {
  const found = type.place(member)!;
  const bare = stripTypedefs(found.type);
  if (bare.kind === 'array') {
    const element = stripTypedefs(bare.element);
    if (element.kind !== 'int' || element.encoding !== 'char') return undefined;
    return `  ${member} = "${cString(memory.readBytes(address + BigInt(found.offset), bare.size))}"\n`;
  }
  if (found.bitSize !== undefined || !['int', 'enum', 'pointer'].includes(bare.kind)) return undefined;
  const value = readScalar(memory, address, found);
  const bits = BigInt.asUintN(8 * bare.size, value);
  const number = bare.kind === 'pointer' || radix === 16 ? `0x${bits.toString(16)}` : value;
  // an exact address of code or data is named
  const place = symbols.lookup(bits);
  return `  ${member} = ${number}${place?.offset === 0 ? ` <${place.symbol.name}>` : ''}\n`;
}

/** The offset that an option has, or a word that needs none. @throws UsageError in crash's words for that option */
export function optionOffset(session: Session, flag: string | undefined, text: string): bigint {
  try {
    return parseOffset(session, text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const what = flag === undefined ? 'invalid argument' : `invalid ${flag} ${flag === '-l' ? 'option' : 'argument'}`;
    throw new UsageError(`${what}: ${text}`, { cause: error });
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
