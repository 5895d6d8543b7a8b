/** `whatis`: definitions of types, types of variables and expressions, types by size. */
import { UsageError } from '../../capture/formats/errors.ts';
import { declare, typeName, unrolled } from '../types/declare.ts';
import { parseType } from '../types/expression.ts';
import { StructType, sizeOf, stripTypedefs } from '../types/types.ts';
import type { CType, EnumType } from '../types/types.ts';
import { SynopsisError } from './command.ts';
import type { Command } from './command.ts';
import { plainType } from '../types/plain.ts';
import { evaluateExpression, variableType } from './expressions.ts';
import { parseNumber } from './numbers.ts';
import type { Session } from './session.ts';
import { definition } from './definition-text.ts';

interface WhatisData {
  readonly text: string;
  readonly size: number | undefined;
  /** The type itself; not with -r and -m. */
  readonly type?: CType;
  /** With `-r` and `-m`. */
  readonly types?: readonly { readonly size: number; readonly name: string }[];
}

/** `whatis`. */
export const whatis: Command<WhatisData> = {
  name: 'whatis',
  summary: 'the definition of a type, the type of a variable or expression',
  synopsis: '[[-o] [struct | union | typedef | symbol]] | [[-r [size|range]] [-m member]]',
  options: [
    { flag: '-o', help: 'offsets of members (as `struct -o`)' },
    { flag: '-r', takes: 'range', help: 'structures and unions of this size, or of a range of sizes: 64, 100-200' },
    { flag: '-m', takes: 'member', help: 'structures and unions with a member of this type' },
  ],
  description: `For a structure, enumeration or typedef: its definition and size. For a variable or expression: its type. With -r and
-m: which structures are of a size, or contain a type.`,
  examples: [
    { line: 'whatis linux_binfmt', why: 'a structure' },
    { line: 'whatis -r 64 -m list_head', why: 'structures of 64 bytes with a list_head in them' },
  ],
  run(session, args) {
    if (args.has('-r') || args.has('-m'))
      return { text: '', size: undefined, types: search(session, args.value('-r'), args.value('-m')) };
    const text = args.positionals.join(' ');
    if (text === '') throw new SynopsisError('no name given');
    const member = memberDefinition(session, text);
    if (member !== undefined) return member;
    return whatIs(session, text, args.has('-o'));
  },
  json: ({ type, ...data }) => ({ ...data, ...(type === undefined ? {} : { type: plainType(type) }) }),
  text: ({ text, size, types }) =>
    types === undefined ? `${text}${size === undefined ? '' : `SIZE: ${size}\n`}` : typesText(types),
};

function typesText(types: NonNullable<WhatisData['types']>): string {
  if (types.length === 0) return '(none found)\n';
  const width = Math.max('SIZE'.length, ...types.map(({ size }) => String(size).length));
  const rows = types.map(({ size, name }) => `${String(size).padStart(width)}  ${name}\n`);
  return `${'SIZE'.padStart(width)}  TYPE\n${rows.join('')}`;
}

/** `struct.member`: its declaration and offset. */
function memberDefinition(session: Session, text: string): WhatisData | undefined {
  const [, name, path] = /^(?:(?:struct|union)\s+)?(\w+)\.([\w.]+)$/.exec(text) ?? [];
  const type = name === undefined ? undefined : session.program.types.findStruct(name);
  const place = type?.place(path!);
  if (type === undefined || place === undefined) return undefined;
  return { text: definition(type, [path!], true), size: undefined, type: place.type };
}

function whatIs(session: Session, text: string, offsets: boolean): WhatisData {
  const { types, symbols } = session.program;
  const isName = /^\w+$/.test(text);
  if (isName && symbols.findAll(text).length > 0) {
    const type = variableType(session, text) ?? functionType(session, text);
    if (type !== undefined) return { text: `${declare(type, text)};\n`, size: undefined, type };
  }
  const tagged = parseType(text, types) ?? (isName ? (types.findStruct(text) ?? types.find(text, 'enum')) : undefined);
  if (tagged !== undefined) return { ...described(tagged, text, offsets), type: tagged };
  const named = isName ? undefined : structureInFront(session, text);
  if (named !== undefined) return { ...described(named.type, named.name, offsets), type: named.type };
  const { type, value } = typeOfExpression(session, text, offsets);
  return { text: `${typeName(type)}${value === undefined ? '' : ` = ${value}`}\n`, size: undefined, type };
}

/** A structure, union, enumeration or typedef that a text begins with, whichever of these it says it is. */
function structureInFront(
  { program: { types } }: Session,
  text: string,
): { readonly type: CType; readonly name: string } | undefined {
  const [, tag, name = ''] = /^((?:struct|union|enum)\s+)?(\w+)(?:\s.*)?$/s.exec(text) ?? [];
  if (tag === undefined && !/\s/.test(text)) return undefined;
  const type = types.findStruct(name) ?? types.find(name, 'enum') ?? types.find(name, 'typedef');
  return type === undefined ? undefined : { type, name };
}

/** @throws SynopsisError for what is no expression */
function typeOfExpression(
  session: Session,
  text: string,
  offsets: boolean,
): { readonly type: CType; readonly value: bigint | undefined } {
  try {
    const { type, bits } = evaluateExpression(session, text);
    const isEnumerator = /^[A-Za-z_]\w*$/.test(text) && type.kind === 'enum' && typeof bits === 'bigint';
    return { type, value: isEnumerator ? bits : undefined };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new SynopsisError(`cannot resolve: ${offsets ? '-o ' : ''}${text}`, { cause: error });
  }
}

/** The prototype from the vmlinux, the module's object or BTF. */
function functionType(session: Session, name: string): CType | undefined {
  const { program } = session;
  const [symbol] = program.symbols.findAll(name);
  if (symbol === undefined || !/[tTwW]/.test(symbol.type)) return undefined;
  return program.types.findFunction(name) ?? program.debug.ofSymbol(symbol)?.findFunction(name);
}

function described(type: CType, text: string, offsets: boolean): WhatisData {
  const bare = stripTypedefs(type);
  if (type.kind === 'typedef') return describedTypedef(type, bare, text, offsets);
  if (bare.kind === 'enum') return { text: enumText(bare), size: undefined };
  if (bare instanceof StructType)
    return { text: definition(bare, [], offsets).replace(/SIZE: \d+\n$/, ''), size: bare.size };
  return { text: `${typeName(type)}\n`, size: sizeOf(type) };
}

/** What a typedef stands for, behind all typedefs between, with structures written out. */
function describedTypedef(type: CType, bare: CType, name: string, offsets: boolean): WhatisData {
  if (bare.kind === 'enum') return { text: `typedef ${enumText(bare)}`, size: undefined };
  const isTag = bare instanceof StructType;
  const body = isTag && offsets ? definition(bare, [], true).replace(/\nSIZE: \d+\n$/, '') : unrolled(type);
  return { text: `typedef ${body} ${name};\n`, size: sizeOf(type) };
}

/** Enumerators with their values, one a line. */
function enumText(type: EnumType): string {
  const rows = type.enumerators.map(({ name, value }) => `  ${name} = ${value}\n`);
  return `enum${type.name === '' ? '' : ` ${type.name}`} {\n${rows.join('')}};\n`;
}

const TAGGED_KINDS = ['struct', 'union'] as const;
const KINDS = [...TAGGED_KINDS, 'typedef'] as const;

/** Structures and unions of the kernel by size and by what they contain. */
function search(
  session: Session,
  range: string | undefined,
  member: string | undefined,
): { size: number; name: string }[] {
  const [low, high] = range === undefined ? [0, Number.MAX_SAFE_INTEGER] : sizes(range);
  const found = new Map<string, number>();
  // crash looks at the members of tagged types only
  for (const [name, type] of namedStructures(session, member === undefined ? KINDS : TAGGED_KINDS)) {
    if (type.size < low || type.size > high || found.has(name)) continue;
    if (member === undefined || hasMember(type, member)) found.set(name, type.size);
  }
  return [...found]
    .map(([name, size]) => ({ size, name }))
    .sort((a, b) => a.size - b.size || (a.name < b.name ? -1 : 1));
}

function* namedStructures(
  session: Session,
  kinds: readonly (typeof KINDS)[number][],
): Generator<[name: string, type: StructType]> {
  for (const source of session.program.types.all) {
    for (const kind of kinds) {
      for (const name of source.names(kind)) {
        const named = source.find(name, kind);
        const type = kind === 'typedef' ? anonymousOf(named) : named;
        if (type instanceof StructType) yield [name, type];
      }
    }
  }
}

/** The structure without a tag that a typedef names. */
function anonymousOf(type: CType | undefined): CType | undefined {
  const target = type?.kind === 'typedef' ? type.target : undefined;
  return target instanceof StructType && target.name === '' ? target : undefined;
}

function sizes(text: string): [number, number] {
  const [low = '', high = low] = text.split('-');
  return [Number(parseNumber(low)), Number(parseNumber(high))];
}

const MAX_DEPTH = 32;

/**
 * A member whose type has the text in its name, an array of such or a pointer to one, also in embedded structures and arrays
 * of them, but for those of a typedef and for unions: what crash searches.
 */
function hasMember(type: StructType, part: string, depth = 0): boolean {
  return type.members.some(member => {
    const inner = pointee(member.type);
    if ('name' in inner && inner.name.includes(part)) return true;
    const embedded = element(member.type);
    const isStruct = embedded instanceof StructType && embedded.kind === 'struct';
    return isStruct && depth < MAX_DEPTH && hasMember(embedded, part, depth + 1);
  });
}

/** The type behind stars, brackets and qualifiers. */
function pointee(type: CType): CType {
  return type.kind === 'pointer' ? pointee(type.target) : element(type, pointee);
}

/** The type behind brackets and qualifiers. */
function element(type: CType, next: (type: CType) => CType = element): CType {
  if (type.kind === 'qualified') return next(type.target);
  return type.kind === 'array' ? next(type.element) : type;
}
