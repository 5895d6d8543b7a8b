/** C source text of types: what `ptype` prints of a structure, and declarators. */
import { stripTypedefs } from './types.ts';
import type { CType, FunctionType, Member, StructType } from './types.ts';

const INDENT = '    ';
const MAX_DEPTH = 32;
/** Characters of stars, brackets and parameters around a name. */
const MAX_DECLARATOR = 4096;

/** Text of a type without a name: `struct list_head *`, `int (*)(void)`. */
export function typeName(type: CType): string {
  return declare(type, '');
}

/** Text of a declaration without its semicolon: `char comm[16]`. Anonymous structures are written `struct {...}`. */
export function declare(type: CType, name: string): string {
  return declarator(type, name, baseName);
}

/** Wraps a name in stars, brackets and parentheses; `base` makes the text of the innermost type. */
export function declarator(type: CType, inner: string, base: (type: CType) => string): string {
  // Damaged debug information may have a pointer to itself: its text would never end.
  if (inner.length > MAX_DECLARATOR) return inner.slice(0, MAX_DECLARATOR);
  switch (type.kind) {
    case 'pointer': {
      const { target } = type;
      const bare = withoutQualifiers(target);
      return declarator(target, bare.kind === 'function' || bare.kind === 'array' ? `(*${inner})` : `*${inner}`, base);
    }
    case 'array':
      return declarator(type.element, `${inner}[${type.length ?? ''}]`, base);
    case 'function':
      return declarator(type.result, `${inner}(${parameters(type)})`, base);
    case 'qualified':
      return qualifiedDeclarator(type.qualifier, type.target, inner, base);
    default:
      return inner === '' ? base(type) : `${base(type)} ${inner}`;
  }
}

/** A qualifier of a pointer stands behind the star, all others in front of the base. */
function qualifiedDeclarator(qualifier: string, target: CType, inner: string, base: (type: CType) => string): string {
  if (withoutQualifiers(target).kind === 'qualified') return inner;
  if (target.kind === 'pointer') {
    const { target: pointee } = target;
    const bare = pointee.kind === 'function' || pointee.kind === 'array';
    const star = inner === '' ? `* ${qualifier}` : `* ${qualifier} ${inner}`;
    return declarator(pointee, bare ? `(${star})` : star, base);
  }
  return declarator(target, inner, bare => {
    const text = base(bare);
    // An array of constants that is constant itself says so once.
    return text.startsWith(`${qualifier} `) ? text : `${qualifier} ${text}`;
  });
}

function withoutQualifiers(type: CType): CType {
  let bare = type;
  for (let depth = 0; depth < MAX_DEPTH && bare.kind === 'qualified'; depth++) bare = bare.target;
  return bare;
}

function parameters(type: FunctionType): string {
  if (type.parameters.length === 0) return type.prototyped ? 'void' : '';
  return type.parameters
    .map(({ type: parameter }) => (parameter === undefined ? '...' : declare(parameter, '')))
    .join(', ');
}

function baseName(type: CType): string {
  switch (type.kind) {
    case 'struct':
    case 'union':
      return type.name === '' ? `${type.kind} {...}` : `${type.kind} ${type.name}`;
    case 'enum':
      return type.name === '' ? 'enum {...}' : `enum ${type.name}`;
    case 'void':
    case 'int':
    case 'float':
    case 'typedef':
      return type.name;
    default:
      return '?';
  }
}

/** A line of a structure's definition, with the member's place when it is a member. */
export interface DefinitionLine {
  readonly depth: number;
  readonly text: string;
  /** Byte offset from the outer structure; undefined for lines that open or close a nested one. */
  readonly offset: number | undefined;
  /** Name of the member that the line declares. */
  readonly member?: string;
}

/** The members of a structure, nested anonymous ones opened up, one line each. */
export function definitionLines(type: StructType, depth = 0, base = 0): DefinitionLine[] {
  return type.members.flatMap(member => memberLines(member, depth, base));
}

function memberLines(member: Member, depth: number, base: number): DefinitionLine[] {
  const offset = base + (member.bitOffset >> 3);
  const body = anonymousBody(member.type);
  const suffix = member.bitSize === undefined ? '' : ` : ${member.bitSize}`;
  if (body === undefined || depth >= MAX_DEPTH)
    return [{ depth, text: `${declare(member.type, member.name)}${suffix};`, offset, member: member.name }];
  if (body.kind === 'enum') {
    const list = body.enumerators.map(({ name }) => name).join(', ');
    const text = `${declarator(member.type, member.name, () => `enum {${list}}`)}${suffix};`;
    return [{ depth, text, offset, member: member.name }];
  }
  const closing = declarator(member.type, member.name, () => '}');
  return [
    { depth, text: `${body.kind} {`, offset: undefined },
    ...innerLines(body, member, depth, offset),
    { depth, text: `${closing};`, offset: member.name === '' ? undefined : offset },
  ];
}

/** Places are told of what is reached without a name between: inside a named member its own place stands for all. */
function innerLines(body: StructType, member: Member, depth: number, offset: number): DefinitionLine[] {
  const lines = definitionLines(body, depth + 1, offset);
  return member.name === '' ? lines : lines.map(line => ({ depth: line.depth, text: line.text, offset: undefined }));
}

/** The anonymous structure or enumeration that a member defines in place, behind pointers and arrays. */
function anonymousBody(type: CType): Extract<CType, { kind: 'struct' | 'union' | 'enum' }> | undefined {
  let inner = type;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    if (inner.kind === 'pointer' || inner.kind === 'qualified') inner = inner.target;
    else if (inner.kind === 'array') inner = inner.element;
    else break;
  }
  if (inner.kind !== 'struct' && inner.kind !== 'union' && inner.kind !== 'enum') return undefined;
  return inner.name === '' ? inner : undefined;
}

/** A type with what it is made of written out: the structure behind a pointer, what a typedef stands for. */
export function expandedDeclaration(type: CType): string {
  return declarator(type, '', base => {
    const bare = stripTypedefs(base);
    return bare.kind === 'struct' || bare.kind === 'union' || bare.kind === 'enum'
      ? definitionText(bare)
      : baseName(bare);
  });
}

/** The definition as `ptype` prints it. */
export function definitionText(type: CType): string {
  const bare = stripTypedefs(type);
  if (bare.kind === 'enum') {
    return `enum ${bare.name === '' ? '' : `${bare.name} `}{${enumBody(bare.enumerators)}}`;
  }
  if (bare.kind !== 'struct' && bare.kind !== 'union') return typeName(type);
  const head = bare.name === '' ? bare.kind : `${bare.kind} ${bare.name}`;
  const body = definitionLines(bare).map(line => `${INDENT.repeat(line.depth + 1)}${line.text}`);
  if (body.length === 0)
    return bare.declaredSize === undefined
      ? `${head} {\n    <incomplete type>\n}`
      : `${head} {\n    <no data fields>\n}`;
  return [`${head} {`, ...body, '}'].join('\n');
}

/** A type with its outermost typedefs resolved, structures behind pointers and arrays written out. */
export function unrolled(type: CType): string {
  const bare = stripTypedefs(type);
  if (bare.kind === 'pointer' || bare.kind === 'array') return expandedDeclaration(bare);
  const isTagged = bare.kind === 'struct' || bare.kind === 'union' || bare.kind === 'enum';
  return outerQualifiers(type) + (isTagged ? definitionText(bare) : expandedDeclaration(bare));
}

function outerQualifiers(type: CType): string {
  const found: string[] = [];
  for (let outer = type; outer.kind === 'typedef' || outer.kind === 'qualified'; outer = outer.target) {
    if (outer.kind === 'qualified') found.push(`${outer.qualifier} `);
  }
  return found.join('');
}

/** Enumerators, with a value where it is not one more than the one before. */
function enumBody(enumerators: readonly { readonly name: string; readonly value: bigint }[]): string {
  let expected = 0n;
  return enumerators
    .map(({ name, value }) => {
      const text = value === expected ? name : `${name} = ${value}`;
      expected = value + 1n;
      return text;
    })
    .join(', ');
}
