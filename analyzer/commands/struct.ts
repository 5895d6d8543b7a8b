/** `struct` and `union`: definitions, and contents at an address. */
import { UsageError } from '../../capture/formats/errors.ts';
import { definitionLines, definitionText, declare } from '../types/declare.ts';
import { printScalar, printValue, readBits } from '../types/print-value.ts';
import type { PrintContext } from '../types/print-value.ts';
import { sizeOf, stripTypedefs } from '../types/types.ts';
import type { MemberPlace, StructType } from '../types/types.ts';
import { userReader } from '../linux/user-memory.ts';
import type { MemoryReader } from '../memory-reader.ts';
import type { Arguments, Command } from './command.ts';
import { parseAddress, parseNumber } from './numbers.ts';
import { possibleCpus } from '../linux/cpumask.ts';
import { parseCpus } from './cpus.ts';
import type { Session } from './session.ts';

interface StructData {
  readonly blocks: readonly string[];
  readonly separator: string;
}

const OPTIONS: Command['options'] = [
  { flag: '-o', help: 'offsets of members; with an address, their addresses' },
  { flag: '-l', takes: 'offset', help: 'the address is of a member at this offset: a number or struct.member' },
  { flag: '-r', help: 'raw bytes' },
  { flag: '-u', help: 'the address is of the current task' },
  { flag: '-x', help: 'integers in hexadecimal' },
  { flag: '-d', help: 'integers in decimal' },
  { flag: '-c', takes: 'count', help: 'this many, one behind the other' },
  { flag: '-p', help: 'follow a pointer member and show what it points to' },
];

const DESCRIPTION = `Without an address: the definition. With one: the contents, of all members or of the ones named behind a dot.
An address is hexadecimal or a symbol; \`symbol:cpus\` is a per-cpu variable on these CPUs (\`:a\` on all).`;

/** `struct`. */
export const struct: Command<StructData> = command('struct', 'a structure: definition or contents');
/** `union`. */
export const union: Command<StructData> = command('union', 'a union: definition or contents');

/** `*`: short for both. */
export const star: Command<StructData> = command('*', 'short for struct and union');

function command(name: 'struct' | 'union' | '*', summary: string): Command<StructData> {
  return {
    name,
    summary,
    synopsis: 'name[.member[,member]] [-o][-l offset][-rudxp] [address | symbol][:cpus] [count | -c count]',
    options: OPTIONS,
    description: DESCRIPTION,
    examples: [
      { line: `${name} task_struct.pid,comm ffff325bc2216180`, why: 'two members of one task' },
      { line: `${name} page -o`, why: 'where each member stands' },
    ],
    run: (session, args) => runStruct(session, args),
    text: data => data.blocks.join(data.separator),
  };
}

/** What `struct`, `union` and `*` do. @throws UsageError when there is no such type */
export function runStruct(session: Session, args: Arguments): StructData {
  const [target, where, countWord] = args.positionals;
  if (target === undefined) throw new UsageError('no structure name given');
  const [name, ...rest] = target.split('.') as [string, ...string[]];
  const members = rest.length === 0 ? [] : rest.join('.').split(',');
  const type = session.program.types.findStruct(name);
  if (type === undefined) throw new UsageError(`invalid data structure reference: ${name}`);
  for (const member of members) {
    if (type.place(member) === undefined) throw new UsageError(`${type.kind} ${name} has no member named ${member}`);
  }
  if (where === undefined) return { blocks: [definition(type, members, args.has('-o'))], separator: '' };
  const count = Number(parseNumber(args.value('-c') ?? countWord ?? '1'));
  return contents(session, type, members, where, Math.min(count, 1_000_000), args);
}

function definition(type: StructType, members: readonly string[], offsets: boolean): string {
  if (members.length > 0) return memberDefinitions(type, members);
  const size = `SIZE: ${type.size}\n`;
  if (!offsets) return `${definitionText(type)}\n${size}`;
  return `${offsetText(type, undefined)}${size}`;
}

function memberDefinitions(type: StructType, members: readonly string[]): string {
  const lines = members.map(member => {
    const place = type.place(member)!;
    return `${`[${place.offset}]`.padStart(6)} ${declare(place.type, member.replace(/^.*\./, ''))};\n`;
  });
  return `struct ${type.name} {\n${lines.join('')}}\n`;
}

/** The definition with an offset, or with an address, before each member. */
function offsetText(type: StructType, base: bigint | undefined): string {
  const lines = definitionLines(type).map(line => {
    const place =
      base === undefined
        ? `[${line.offset}]`.padStart(6)
        : `[${(base + BigInt(line.offset ?? 0)).toString(16)}]`.padStart(20);
    const column =
      line.offset === undefined || line.text.startsWith('}') ? ' '.repeat(base === undefined ? 6 : 20) : place;
    return `${column} ${'    '.repeat(line.depth)}${line.text}\n`;
  });
  return `${type.kind} ${type.name} {\n${lines.join('')}}\n`;
}

function contents(
  session: Session,
  type: StructType,
  members: readonly string[],
  where: string,
  count: number,
  args: Arguments,
): StructData {
  const radix = args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix;
  const context = session.printContext(radix);
  const reader = args.has('-u') ? userOf(session) : session.program.memory;
  const blocks: string[] = [];
  for (const { address, cpu } of addressesOf(session, where)) {
    const start = address - memberOffset(session, args.value('-l'));
    for (let index = 0; index < count; index++) {
      const at = start + BigInt(index * type.size);
      const head = cpu === undefined ? '' : `[${cpu}]: ${at.toString(16)}\n`;
      blocks.push(
        head +
          (args.has('-o') && members.length === 0
            ? offsetText(type, at)
            : oneStruct(reader, type, members, at, context, args.has('-p'))),
      );
    }
  }
  return { blocks, separator: blocks.length > 1 && members.length === 0 ? '\n' : '' };
}

function userOf(session: Session): MemoryReader {
  const { mm } = session.current;
  if (mm === undefined) throw new UsageError(`task ${session.current.pid} has no user memory`);
  return userReader(session.program, mm);
}

/** One address, or a per-cpu variable's on several CPUs. */
function addressesOf(session: Session, where: string): { address: bigint; cpu: number | undefined }[] {
  const colon = where.indexOf(':');
  if (colon === -1) return [{ address: parseAddress(session, where), cpu: undefined }];
  const name = where.slice(0, colon);
  const list = where.slice(colon + 1);
  const cpus = list === '' || list === 'a' ? possibleCpus(session.program) : parseCpus(session, list);
  return cpus.map(cpu => {
    const offset = session.program.percpuOffsets[cpu] ?? 0n;
    return { address: BigInt.asUintN(64, parseAddress(session, name) + offset), cpu };
  });
}

function memberOffset(session: Session, text: string | undefined): bigint {
  if (text === undefined) return 0n;
  const dot = text.indexOf('.');
  if (dot === -1) return parseNumber(text);
  const offset = session.program.types.offsetOf(text.slice(0, dot), text.slice(dot + 1));
  if (offset === undefined) throw new UsageError(`invalid structure member: ${text}`);
  return BigInt(offset);
}

function oneStruct(
  reader: MemoryReader,
  type: StructType,
  members: readonly string[],
  address: bigint,
  context: PrintContext,
  follow: boolean,
): string {
  if (members.length > 0)
    return members.map(member => memberText(reader, type, member, address, context, follow)).join('');
  const bytes = reader.readBytes(address, type.size);
  return `${type.kind} ${type.name} ${printValue(type, bytes, 0, { ...context, base: address })}\n`;
}

function memberText(
  reader: MemoryReader,
  type: StructType,
  member: string,
  address: bigint,
  context: PrintContext,
  follow: boolean,
): string {
  const place = type.place(member)!;
  const text = placeText(reader, place, address, context);
  const target = stripTypedefs(place.type);
  const pointee = target.kind === 'pointer' ? stripTypedefs(target.target) : undefined;
  if (!follow || pointee === undefined || (pointee.kind !== 'struct' && pointee.kind !== 'union'))
    return `  ${member} = ${text},\n`;
  const pointer = reader.readU64(address + BigInt(place.offset));
  if (pointer === 0n) return `  ${member} = ${text},\n`;
  const bytes = reader.readBytes(pointer, pointee.size);
  return `  ${member} = ${text}\n  -> ${printValue(pointee, bytes, 0, context, 1)}\n`;
}

/** Text of a member's value, indented as a member of the outermost structure. */
export function placeText(reader: MemoryReader, place: MemberPlace, address: bigint, context: PrintContext): string {
  if (place.bitSize !== undefined) {
    const bytes = reader.readBytes(
      address + BigInt(place.offset),
      Math.ceil(((place.bitOffset & 7) + place.bitSize) / 8),
    );
    return printScalar(place.type, readBits(bytes, place.bitOffset & 7, place.bitSize), place.bitSize, context);
  }
  const bytes = reader.readBytes(address + BigInt(place.offset), sizeOf(place.type));
  return printValue(place.type, bytes, 0, { ...context, base: address + BigInt(place.offset) }, 1);
}
