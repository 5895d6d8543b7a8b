/** `struct` and `union`: definitions, and contents at an address. */
import { UsageError } from '../../capture/formats/errors.ts';
import { readOr } from '../gaps.ts';
import { declare, typeName } from '../types/declare.ts';
import { plainType, plainValue } from '../types/plain.ts';
import { printScalar, printValue, readBits } from '../types/print-value.ts';
import type { PrintContext } from '../types/print-value.ts';
import { sizeOf, stripTypedefs } from '../types/types.ts';
import type { CType, MemberPlace, StructType } from '../types/types.ts';
import { userReader } from '../linux/user-memory.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { PartialError, SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { FIRST_KERNEL_ADDRESS, parseAddress, parseHex, parseNumber } from './numbers.ts';
import { percpuCpus } from './cpus.ts';
import { isPercpu } from './expressions.ts';
import { optionOffset } from './members.ts';
import { definition, memberDefinitions, offsetText, sizeText } from './definition-text.ts';
import { fileReader } from './rd.ts';
import type { Session } from './session.ts';

interface StructData {
  /** For `--json`: the definition, or each structure with its address. */
  readonly plain: () => unknown;
  readonly blocks: readonly string[];
  readonly separator: string;
}

const OPTIONS: Command['options'] = [
  { flag: '-o', help: 'offsets of members; with an address, their addresses' },
  { flag: '-l', takes: 'offset', help: 'the address is of a member at this offset: a number or struct.member' },
  { flag: '-r', help: 'raw bytes' },
  { flag: '-u', help: 'the address is of the current task' },
  { flag: '-f', help: 'the address is an offset in the dump file' },
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
    synopsis: 'name[.member[,member]] [-o][-l offset][-rfuxdp] [address | symbol][:cpus] [count | -c count]',
    options: OPTIONS,
    description: DESCRIPTION,
    examples: [
      { line: `${name} task_struct.pid,comm ffff325bc2216180`, why: 'two members of one task' },
      { line: `${name} page -o`, why: 'where each member stands' },
    ],
    run: (session, args) => runStruct(session, args, name === '*' ? undefined : name),
    text: data => data.blocks.join(data.separator),
    json: data => data.plain(),
  };
}

/** What `struct`, `union` and `*` do. @throws UsageError when there is no such type */
export function runStruct(session: Session, args: Arguments, kind?: 'struct' | 'union'): StructData {
  const [, where, countWord] = args.positionals;
  const { name, members } = parseTarget(args);
  const type = findStruct(session, name, kind);
  if (kind !== undefined && type.kind !== kind) throw mismatch(name, kind);
  const radix = radixOf(session, args);
  const unknown = members.findIndex(member => type.place(member) === undefined);
  if (unknown !== -1) {
    const error = new UsageError(`invalid data structure reference: ${name}.${members[unknown]!}`);
    if (unknown === 0 || where === undefined) throw error;
    const known = `${name}.${members.slice(0, unknown).join(',')}`;
    const rest = args.withPositionals([known, ...args.positionals.slice(1)]);
    throw new PartialError(runStruct(session, rest, kind), error, '');
  }
  if (where === undefined)
    return {
      blocks: [named(session, name, definition(type, members, args.has('-o'), radix))],
      separator: '',
      plain: () => ({ definition: plainType(type) }),
    };
  if (args.has('-o') && members.length > 1) throw new UsageError('-o option not valid with multiple member format');
  const count = countOf(session, args.value('-c'), countWord);
  return contents(session, type, members, where, radix, Math.min(count, 1_000_000), args);
}

/** The name and the members of the first word; the others are what they may be. */
function parseTarget(args: Arguments): { readonly name: string; readonly members: readonly string[] } {
  const [target, where, , more] = args.positionals;
  if (target === undefined) throw new SynopsisError('no structure name given');
  if (more !== undefined) throw new UsageError('too many arguments!');
  if (/[.,]$/.test(target)) throw new UsageError(`invalid format: ${target}`);
  if (where !== undefined) refuseUserAddress(where, args);
  const [name = '', ...rest] = target.split('.');
  return { name, members: rest.length === 0 ? [] : rest.join('.').split(',') };
}

function radixOf({ settings }: Session, args: Arguments): 10 | 16 {
  return args.has('-x') ? 16 : args.has('-d') ? 10 : settings.radix;
}

/** Behind `-c` it may be below zero: that many, the last one at the address. */
function countOf(session: Session, signed: string | undefined, word: string | undefined): number {
  if (signed === undefined && word?.startsWith('-') === true) throw new SynopsisError(`invalid count: ${word}`);
  // a word that is no number could be an address as well
  if (signed === undefined && word !== undefined && !/^(?:0x)?[\da-f]+$/i.test(word)) parseAddress(session, word);
  if (signed === undefined) return Number(parseNumber(word ?? '1'));
  return signed.startsWith('-') ? -Number(parseNumber(signed.slice(1))) : Number(parseNumber(signed));
}

function mismatch(name: string, kind: 'struct' | 'union' = 'struct'): UsageError {
  return new UsageError(`data type mismatch: ${name} is not a ${kind}`);
}

/** Addresses of the kernel only, unless an option says where else. */
function refuseUserAddress(where: string, args: Arguments): void {
  const isNumber = /^(?:0x)?[\da-f]{1,16}$/i.test(where);
  if (!isNumber || args.has('-u') || args.has('-f') || parseHex(where) >= FIRST_KERNEL_ADDRESS) return;
  throw new UsageError(`invalid kernel virtual address: ${where.replace(/^0x/i, '')}`);
}

const BASE_TYPE = /^(?:unsigned|signed|int|long|short|char|_Bool|void|double|float)$/;

function findStruct(session: Session, name: string, kind?: 'struct' | 'union'): StructType {
  const { types } = session.program;
  const type = types.findStruct(name);
  if (type !== undefined) return type;
  const isOther = types.find(name, 'enum') !== undefined || types.find(name, 'typedef') !== undefined;
  if (isOther || BASE_TYPE.test(name)) throw mismatch(name, kind);
  throw new UsageError(`invalid data structure reference: ${name}`);
}

/** A typedef's name stands where C has it. */
function named(session: Session, name: string, text: string): string {
  const { types } = session.program;
  const isTag = types.find(name, 'struct') !== undefined || types.find(name, 'union') !== undefined;
  if (isTag || types.find(name, 'typedef') === undefined) return text;
  // a structure without a tag has no blank in its place
  return `typedef ${text.replace(/^(\w+) {2}\{/, '$1 {').replace(/^\}$/m, `} ${name};`)}`;
}

function contents(
  session: Session,
  type: StructType,
  members: readonly string[],
  where: string,
  radix: 10 | 16,
  count: number,
  args: Arguments,
): StructData {
  const reader = readerOf(session, args);
  const shown: Shown = { reader, type, members, args, context: { ...session.printContext(radix), memory: reader } };
  const places = addressesOf(session, where).map(({ address, cpu }) => {
    const first = address - memberOffset(session, args.value('-l')) + BigInt(Math.min(0, count + 1) * type.size);
    return { cpu, addresses: Array.from({ length: Math.abs(count) }, (_, index) => first + BigInt(index * type.size)) };
  });
  return {
    blocks: places.map(({ cpu, addresses }) => {
      const head = cpu === undefined ? '' : `[${cpu}]: ${addresses[0]!.toString(16)}\n`;
      return head + blocksText(shown, addresses);
    }),
    separator: '',
    plain: () => ({
      structures: places.flatMap(({ cpu, addresses }) =>
        addresses.map(address => ({ address, cpu, type: typeName(type), contents: plainContents(shown, address) })),
      ),
    }),
  };
}

/** The structures up to the first that cannot be read. @throws FaultError when that is the first of all */
function blocksText(shown: Shown, addresses: readonly bigint[]): string {
  const blocks: string[] = [];
  for (const address of addresses) {
    const fault = readOr(
      () => void blocks.push(blockText(shown, address)),
      found => found,
    );
    if (fault === undefined) continue;
    if (blocks.length === 0) throw fault;
    blocks.push(`struct: ${fault.message}\n`);
    break;
  }
  return blocks.join('\n');
}

/** Of the kernel, of the current task, or of the dump file itself. */
function readerOf(session: Session, args: Arguments): MemoryReader {
  if (args.has('-f')) return fileReader(session.program.dump.path);
  return args.has('-u') ? userOf(session) : session.program.memory;
}

/** A structure's value, or that of each member asked for. @throws FaultError */
export function plainContents(
  { reader, type, members }: Pick<Shown, 'reader' | 'type' | 'members'>,
  address: bigint,
): unknown {
  const bytes = reader.readBytes(address, type.size);
  if (members.length === 0) return plainValue(type, bytes, 0);
  return Object.fromEntries(members.map(member => [member, plainPlace(type.place(member)!, bytes)]));
}

function plainPlace(place: MemberPlace, bytes: Uint8Array): unknown {
  const { type, offset, bitOffset, bitSize } = place;
  // A flexible array's elements lie behind the structure.
  if (offset + sizeOf(type) > bytes.length) return [];
  return bitSize === undefined
    ? plainValue(type, bytes, offset)
    : Number(readBits(bytes, 8 * offset + (bitOffset & 7), bitSize));
}

/** What to show of each structure. */
interface Shown {
  readonly reader: MemoryReader;
  readonly type: StructType;
  readonly members: readonly string[];
  readonly args: Arguments;
  readonly context: PrintContext;
}

function blockText({ reader, type, members, args, context }: Shown, at: bigint): string {
  const { radix } = context;
  if (args.has('-r')) return rawOf(reader, type, members, at);
  if (args.has('-o') && members.length > 0) return memberDefinitions(type, members, { radix, base: at });
  if (args.has('-o')) return `${offsetText(type, { radix, base: at })}${sizeText(type, radix)}`;
  return oneStruct(reader, type, members, at, context, args.has('-p'));
}

/** Of the whole structure, or of one member. */
function rawOf(reader: MemoryReader, type: StructType, [member, second]: readonly string[], at: bigint): string {
  if (second !== undefined) throw new UsageError('only one structure member allowed with -r');
  const place = member === undefined ? undefined : type.place(member);
  return place === undefined
    ? rawText(reader, at, type.size)
    : rawText(reader, at + BigInt(place.offset), sizeOf(place.type));
}

/** Words of a structure's memory with their characters behind, as `rd` shows memory. */
function rawText(reader: MemoryReader, address: bigint, size: number): string {
  const bytes = reader.readBytes(address, size);
  const LINE = 16;
  // numbers of less than 8 bytes stand in columns of their own width
  const column = size === 4 ? 35 : size === 2 ? 39 : size === 1 ? 47 : 33;
  const out: string[] = [];
  for (let at = 0; at < size; at += LINE) {
    const line = bytes.subarray(at, Math.min(size, at + LINE));
    const words = [line.subarray(0, 8), line.subarray(8)].filter(part => part.length > 0);
    const numbers = words.map(part => Buffer.from(part).reverse().toString('hex')).join(' ');
    const text = Array.from(line, byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    out.push(`${(address + BigInt(at)).toString(16)}:  ${numbers.padEnd(column)}   ${text}\n`);
  }
  return out.join('');
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
  const base = parseAddress(session, name);
  if (session.program.symbols.find(name) !== undefined && !isPercpu(session, name)) {
    session.warn(`${name} is not percpu; cpuspec ignored.`);
    return [{ address: base, cpu: undefined }];
  }
  return percpuCpus(session, where.slice(colon + 1)).map(cpu => {
    const offset = session.program.percpuOffsets[cpu] ?? 0n;
    return { address: BigInt.asUintN(64, base + offset), cpu };
  });
}

function memberOffset(session: Session, text: string | undefined): bigint {
  return text === undefined ? 0n : optionOffset(session, '-l', text);
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

/** `  member = value` with gdb's comma and indent. @param follow show what a pointer points to */
export function memberText(
  reader: MemoryReader,
  type: StructType,
  member: string,
  address: bigint,
  context: PrintContext,
  follow: boolean,
): string {
  const place = type.place(member)!;
  const target = stripTypedefs(place.type);
  const pointee = target.kind === 'pointer' ? stripTypedefs(target.target) : undefined;
  if (follow && pointee !== undefined && (pointee.kind === 'struct' || pointee.kind === 'union'))
    return followedText(reader, place, pointee, member, address, context);
  const { depth, isLast } = nesting(type, member);
  const text = placeText(reader, place, address, context, depth);
  return `${'  '.repeat(depth)}${member} = ${text}${isLast ? '' : ','}\n`;
}

/** How deep a member is in anonymous structures, and whether nothing follows it there: gdb's commas and indents. */
function nesting(type: StructType, path: string): { depth: number; isLast: boolean } {
  const dot = path.lastIndexOf('.');
  if (dot !== -1) {
    const outer = structureOf(type.place(path.slice(0, dot))?.type);
    return { depth: 1, isLast: outer?.members.at(-1)?.name === path.slice(dot + 1) };
  }
  const name = path.replace(/\[.*$/, '');
  const MAX_DEPTH = 32;
  let outer: StructType | undefined = type;
  for (let depth = 1; depth < MAX_DEPTH && outer !== undefined; depth++) {
    const { members }: StructType = outer;
    const index = members.findIndex(member => member.name === name);
    if (index !== -1) return { depth, isLast: index === members.length - 1 && name === path };
    outer = structureOf(members.find(member => member.name === '' && holds(member.type, name))?.type);
  }
  return { depth: 1, isLast: false };
}

function structureOf(type: CType | undefined): StructType | undefined {
  const bare = type === undefined ? undefined : stripTypedefs(type);
  return bare?.kind === 'struct' || bare?.kind === 'union' ? bare : undefined;
}

function holds(type: CType, name: string): boolean {
  return structureOf(type)?.place(name) !== undefined;
}

/** With `-p`: the pointer as it is declared, and what it points to. */
function followedText(
  reader: MemoryReader,
  place: MemberPlace,
  pointee: StructType,
  member: string,
  address: bigint,
  context: PrintContext,
): string {
  const pointer = reader.readU64(address + BigInt(place.offset));
  const head = `  ${declare(place.type, member)} = 0x${pointer.toString(16)}\n`;
  if (pointer === 0n) return `${head}  -> NULL\n`;
  const bytes = reader.readBytes(pointer, pointee.size);
  const body = printValue(pointee, bytes, 0, { ...context, base: pointer }).replaceAll('\n', '\n     ');
  const symbol = context.symbolAt(pointer);
  return `${head}  -> ${symbol === undefined ? '' : `<${symbol}> `}${body}\n`;
}

/** Text of a member's value, indented as a member of the outermost structure. @param depth of its nesting */
export function placeText(
  reader: MemoryReader,
  place: MemberPlace,
  address: bigint,
  context: PrintContext,
  depth = 1,
): string {
  if (place.bitSize !== undefined) {
    const bytes = reader.readBytes(
      address + BigInt(place.offset),
      Math.ceil(((place.bitOffset & 7) + place.bitSize) / 8),
    );
    return printScalar(place.type, readBits(bytes, place.bitOffset & 7, place.bitSize), place.bitSize, context);
  }
  const bytes = reader.readBytes(address + BigInt(place.offset), sizeOf(place.type));
  return printValue(place.type, bytes, 0, { ...context, base: address + BigInt(place.offset) }, depth);
}
