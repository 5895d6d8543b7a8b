/**
 * C expressions over a dump: casts, members, arithmetic, arrays, pointers, `sizeof`, `$` values.
 *
 * Source: ISO C11 6.5 "Expressions" (without assignment, comma and floating point); the usual arithmetic conversions
 * shortened to: the wider of `int`, `unsigned int`, `long`, `unsigned long`.
 */
import { UsageError } from '../../capture/formats/errors.ts';
import type { MemoryReader } from '../memory-reader.ts';
import type { TypeCatalog } from './catalog.ts';
import { ArrayType, EnumType, IntType, VOID, findMember, sizeOf, stripTypedefs } from './types.ts';
import type { CType } from './types.ts';
import { CHAR, INT, LONG, UNSIGNED_INT, UNSIGNED_LONG, bitsOf, numberOf, pointerTo, scalar } from './value.ts';
import type { Value } from './value.ts';

/** What an expression may refer to. */
export interface Scope {
  readonly memory: MemoryReader;
  readonly types: TypeCatalog;
  /** A variable or function of the kernel. */
  readonly find: (name: string) => Value | undefined;
  /** `$`, `$$`, `$3`, `$name`. */
  readonly history: (name: string) => Value | undefined;
}

const TOKEN =
  /\s*(?:(0[xX][\da-fA-F]+|\d+)([uUlL]*)|([A-Za-z_][\w]*)|(\$[\w$]*)|'(\\?[^'])'|(->|<<|>>|<=|>=|==|!=|&&|\|\||::|[-+*/%&|^~!<>()[\].?:,@]))/y;
const MAX_TOKENS = 10_000;

interface Token {
  readonly kind: 'number' | 'name' | 'history' | 'char' | 'punctuation';
  readonly text: string;
  readonly suffix: string;
}

/** Evaluates an expression. @throws UsageError when it is none, or names what does not exist @throws FaultError */
export function evaluate(text: string, scope: Scope): Value {
  const parser = new Parser(tokenize(text), scope);
  const value = parser.expression();
  parser.expectEnd();
  return value;
}

/** Parses a type name such as `struct task_struct *`. Undefined when it is none. */
export function parseType(text: string, types: TypeCatalog): CType | undefined {
  const memory = undefined as unknown as MemoryReader;
  const parser = new Parser(tokenize(text), { memory, types, find: nothing, history: nothing });
  const type = parser.typeName();
  return type !== undefined && parser.atEnd ? type : undefined;
}

/** Types need no variables. */
function nothing(): undefined {
  return undefined;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const start = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null || tokens.length > MAX_TOKENS)
      throw new UsageError(`invalid expression near: ${text.slice(start, start + 20)}`);
    const [, number, suffix, name, history, char, punctuation] = match;
    if (number !== undefined) tokens.push({ kind: 'number', text: number, suffix: suffix ?? '' });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name, suffix: '' });
    else if (history !== undefined) tokens.push({ kind: 'history', text: history, suffix: '' });
    else if (char !== undefined) tokens.push({ kind: 'char', text: char, suffix: '' });
    else tokens.push({ kind: 'punctuation', text: punctuation!, suffix: '' });
  }
  return tokens;
}

/** Binary operators by precedence, loosest first; ISO C11 6.5.5 to 6.5.14. */
const PRECEDENCE: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
  ['@'],
];

const BASE_WORDS = new Set(['unsigned', 'signed', 'long', 'short', 'int', 'char', 'void', '_Bool', 'bool']);
const QUALIFIERS = new Set(['const', 'volatile', 'restrict']);

class Parser {
  readonly #tokens: readonly Token[];
  readonly #scope: Scope;
  #at = 0;

  constructor(tokens: readonly Token[], scope: Scope) {
    this.#tokens = tokens;
    this.#scope = scope;
  }

  get atEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  expectEnd(): void {
    if (!this.atEnd) throw new UsageError(`unexpected "${this.#tokens[this.#at]!.text}" in the expression`);
  }

  expression(): Value {
    const condition = this.#binary(0);
    if (!this.#accept('?')) return condition;
    const first = this.expression();
    this.#expect(':');
    const second = this.expression();
    return bitsOf(this.#scope.memory, condition) === 0n ? second : first;
  }

  /** Tries to read a type name; restores the position when there is none. */
  typeName(): CType | undefined {
    const start = this.#at;
    const base = this.#baseType();
    if (base === undefined) {
      this.#at = start;
      return undefined;
    }
    return this.#abstractDeclarator(base);
  }

  #peek(text: string): boolean {
    const token = this.#tokens[this.#at];
    return token !== undefined && token.kind === 'punctuation' && token.text === text;
  }

  #accept(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw new UsageError(`"${text}" expected in the expression`);
  }

  #name(): string {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'name') throw new UsageError('a name expected in the expression');
    this.#at++;
    return token.text;
  }

  #baseType(): CType | undefined {
    while (QUALIFIERS.has(this.#word)) this.#at++;
    const word = this.#tokens[this.#at];
    if (word?.kind !== 'name') return undefined;
    if (word.text === 'struct' || word.text === 'union' || word.text === 'enum') return this.#tagged(word.text);
    if (BASE_WORDS.has(word.text)) return this.#builtInType();
    if (this.#scope.find(word.text) !== undefined) return undefined;
    const typedef = this.#scope.types.find(word.text, 'typedef');
    if (typedef !== undefined) this.#at++;
    return typedef;
  }

  #tagged(tag: 'struct' | 'union' | 'enum'): CType {
    this.#at++;
    const name = this.#name();
    const found = this.#scope.types.find(name, tag);
    if (found === undefined) throw new UsageError(`No ${tag} type named ${name}.`);
    return found;
  }

  /** Text of the token that comes; empty at the end. */
  get #word(): string {
    return this.#tokens[this.#at]?.text ?? '';
  }

  #builtInType(): CType {
    const words: string[] = [];
    while (BASE_WORDS.has(this.#tokens[this.#at]?.text ?? '') || QUALIFIERS.has(this.#tokens[this.#at]?.text ?? '')) {
      words.push(this.#tokens[this.#at++]!.text);
    }
    return builtInType(words.filter(word => !QUALIFIERS.has(word)));
  }

  /** Stars, `(*)(…)` and brackets behind a type. */
  #abstractDeclarator(base: CType): CType {
    let type = base;
    for (;;) {
      if (this.#accept('*')) type = pointerTo(type);
      else if (QUALIFIERS.has(this.#tokens[this.#at]?.text ?? '')) this.#at++;
      else break;
    }
    const element = type;
    if (this.#peek('[') && this.#tokens[this.#at + 1]?.kind === 'number') {
      this.#at++;
      const length = Number(this.#tokens[this.#at++]!.text);
      this.#expect(']');
      return new ArrayType(() => element, length);
    }
    return type;
  }

  #binary(level: number): Value {
    const operators = PRECEDENCE[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const operator = operators.find(text => this.#peek(text));
      if (operator === undefined) return left;
      this.#at++;
      left = binary(this.#scope.memory, operator, left, this.#binary(level + 1));
    }
  }

  #unary(): Value {
    const { memory } = this.#scope;
    if (this.#accept('-')) return arithmetic(memory, this.#unary(), number => -number);
    if (this.#accept('+')) return this.#unary();
    if (this.#accept('~')) return arithmetic(memory, this.#unary(), number => ~number);
    if (this.#accept('!')) return scalar(INT, bitsOf(memory, this.#unary()) === 0n ? 1n : 0n);
    if (this.#accept('*')) return dereference(memory, this.#unary());
    if (this.#accept('&')) return addressOf(this.#unary());
    if (this.#tokens[this.#at]?.text === 'sizeof') return this.#sizeof();
    if (this.#peek('(')) {
      const cast = this.#cast();
      if (cast !== undefined) return cast;
    }
    return this.#postfix();
  }

  #sizeof(): Value {
    this.#at++;
    const start = this.#at;
    if (this.#accept('(')) {
      const type = this.typeName();
      if (type !== undefined) {
        this.#expect(')');
        return scalar(UNSIGNED_LONG, BigInt(sizeOf(type)));
      }
    }
    this.#at = start;
    return scalar(UNSIGNED_LONG, BigInt(sizeOf(this.#unary().type)));
  }

  #cast(): Value | undefined {
    const start = this.#at;
    this.#expect('(');
    const type = this.typeName();
    if (type === undefined || !this.#accept(')')) {
      this.#at = start;
      return undefined;
    }
    return cast(this.#scope.memory, type, this.#unary());
  }

  #postfix(): Value {
    const { memory } = this.#scope;
    let value = this.#primary();
    for (;;) {
      if (this.#accept('.')) value = member(value, this.#name());
      else if (this.#accept('->')) value = member(dereference(memory, value), this.#name());
      else if (this.#accept('[')) {
        value = dereference(memory, binary(memory, '+', value, this.expression()));
        this.#expect(']');
      } else return value;
    }
  }

  #primary(): Value {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new UsageError('the expression ends too early');
    switch (token.kind) {
      case 'number':
        return literal(token);
      case 'char':
        return scalar(CHAR, BigInt(token.text.replace(/^\\/, '').charCodeAt(0)));
      case 'name':
        return this.#variable(token.text);
      case 'history':
        return this.#scope.history(token.text) ?? { type: VOID, bits: 0n };
      default:
        if (token.text !== '(') throw new UsageError(`unexpected "${token.text}" in the expression`);
        return this.#parenthesised();
    }
  }

  #parenthesised(): Value {
    const value = this.expression();
    this.#expect(')');
    return value;
  }

  #variable(name: string): Value {
    const found = this.#scope.find(name);
    if (found === undefined) throw new UsageError(`No symbol "${name}" in current context.`);
    return found;
  }
}

/** Base types by their keyword, signed and unsigned. */
const BASE_TYPES: Readonly<{ [word: string]: readonly [signed: CType, unsigned: CType] }> = {
  char: [CHAR, new IntType('unsigned char', 1, false, 'char')],
  short: [new IntType('short', 2, true), new IntType('unsigned short', 2, false)],
  long: [LONG, UNSIGNED_LONG],
  'long long': [new IntType('long long', 8, true), new IntType('unsigned long long', 8, false)],
  int: [INT, UNSIGNED_INT],
};

function builtInType(words: readonly string[]): CType {
  if (words.includes('void')) return VOID;
  if (words.includes('_Bool') || words.includes('bool')) return new IntType('_Bool', 1, false, 'bool');
  const long = words.filter(word => word === 'long').length > 1 ? 'long long' : 'long';
  const name = ['char', 'short', 'long'].find(word => words.includes(word)) ?? 'int';
  const [signed, unsigned] = BASE_TYPES[name === 'long' ? long : name]!;
  return words.includes('unsigned') ? unsigned : signed;
}

/** The first of int, (unsigned int when hexadecimal), long, unsigned long that holds it; ISO C11 6.4.4.1. */
function literal(token: Token): Value {
  const number = BigInt(/^0\d+$/.test(token.text) ? `0o${token.text.slice(1)}` : token.text);
  const isUnsigned = /u/i.test(token.suffix);
  const isLong = /l/i.test(token.suffix);
  const mayBeUnsigned = isUnsigned || token.text.startsWith('0');
  if (!isLong && !isUnsigned && number < 1n << 31n) return scalar(INT, number);
  if (!isLong && mayBeUnsigned && number < 1n << 32n) return scalar(UNSIGNED_INT, number);
  return scalar(!isUnsigned && number < 1n << 63n ? LONG : UNSIGNED_LONG, number);
}

/** `a.b`; through anonymous structures too. @throws UsageError */
export function member(value: Value, name: string): Value {
  const bare = stripTypedefs(value.type);
  if (bare.kind !== 'struct' && bare.kind !== 'union') throw new UsageError(`a structure is needed before .${name}`);
  const found = findMember(bare, name);
  if (found === undefined) throw new UsageError(`There is no member named ${name}.`);
  const address = (value.address ?? 0n) + BigInt(found.bitOffset >> 3);
  if (found.bitSize === undefined) return { type: found.type, address };
  return { type: found.type, address, bitField: { offset: found.bitOffset & 7, width: found.bitSize } };
}

/** `*a`, also for arrays. @throws UsageError */
export function dereference(memory: MemoryReader, value: Value): Value {
  const bare = stripTypedefs(value.type);
  if (bare.kind === 'array') return { type: bare.element, address: value.address ?? 0n };
  if (bare.kind === 'pointer') return { type: bare.target, address: bitsOf(memory, value) };
  if (bare.kind === 'int' && bare.size === 8) return { type: LONG, address: bitsOf(memory, value) };
  throw new UsageError('Attempt to take contents of a non-pointer value.');
}

function addressOf(value: Value): Value {
  if (value.address === undefined || value.bitField !== undefined)
    throw new UsageError('Attempt to take address of value not located in memory.');
  return { type: pointerTo(value.type), bits: value.address };
}

function cast(memory: MemoryReader, type: CType, value: Value): Value {
  const bare = stripTypedefs(type);
  if (bare.kind === 'struct' || bare.kind === 'union' || bare.kind === 'array') {
    if (value.address === undefined) throw new UsageError('Invalid cast.');
    return { type, address: value.address };
  }
  return scalar(type, numberOf(memory, value));
}

/** Type of an arithmetic result. */
function promoted(left: CType, right: CType): IntType {
  const [a, b] = [left, right].map(type => {
    const bare = stripTypedefs(type);
    return {
      size: Math.max(4, bare.size),
      unsigned: !((bare.kind === 'int' || bare.kind === 'enum') && (bare.signed || bare.size < 4)),
    };
  }) as [{ size: number; unsigned: boolean }, { size: number; unsigned: boolean }];
  const size = Math.max(a.size, b.size);
  const unsigned = (a.size === size && a.unsigned) || (b.size === size && b.unsigned);
  if (size > 4) return unsigned ? UNSIGNED_LONG : LONG;
  return unsigned ? UNSIGNED_INT : INT;
}

function arithmetic(memory: MemoryReader, value: Value, operation: (number: bigint) => bigint): Value {
  return scalar(promoted(value.type, INT), operation(numberOf(memory, value)));
}

const COMPARISONS: Readonly<Record<string, (a: bigint, b: bigint) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
  '&&': (a, b) => a !== 0n && b !== 0n,
  '||': (a, b) => a !== 0n || b !== 0n,
};

const ARITHMETIC: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => divide(a, b, false),
  '%': (a, b) => divide(a, b, true),
  '&': (a, b) => a & b,
  '|': (a, b) => a | b,
  '^': (a, b) => a ^ b,
  '<<': (a, b) => a << (b & 63n),
  '>>': (a, b) => a >> (b & 63n),
};

function divide(a: bigint, b: bigint, remainder: boolean): bigint {
  if (b === 0n) throw new UsageError('Division by zero');
  return remainder ? a % b : a / b;
}

function binary(memory: MemoryReader, operator: string, left: Value, right: Value): Value {
  if (operator === '@') return repeat(memory, left, right);
  const [a, b] = [numberOf(memory, left), numberOf(memory, right)];
  const comparison = COMPARISONS[operator];
  if (comparison !== undefined) return scalar(INT, comparison(a, b) ? 1n : 0n);
  const pointer = pointerArithmetic(operator, left, right, a, b);
  if (pointer !== undefined) return pointer;
  return scalar(promoted(left.type, right.type), ARITHMETIC[operator]!(a, b));
}

/** gdb's `value@count`: an array that begins at a value. */
function repeat(memory: MemoryReader, left: Value, right: Value): Value {
  if (left.address === undefined) throw new UsageError('Only values in memory can be extended with @.');
  const count = Number(numberOf(memory, right));
  if (count < 1 || count > 1_000_000) throw new UsageError('Invalid number of repetitions.');
  return { type: new ArrayType(() => left.type, count), address: left.address };
}

function pointerArithmetic(operator: string, left: Value, right: Value, a: bigint, b: bigint): Value | undefined {
  if (operator !== '+' && operator !== '-') return undefined;
  const [first, second] = [pointee(left.type), pointee(right.type)];
  if (first !== undefined && second !== undefined) {
    return operator === '-' ? scalar(LONG, (a - b) / BigInt(Math.max(1, sizeOf(first)))) : undefined;
  }
  if (first !== undefined) {
    const step = b * BigInt(Math.max(1, sizeOf(first)));
    return scalar(pointerTo(first), operator === '+' ? a + step : a - step);
  }
  return second !== undefined && operator === '+'
    ? scalar(pointerTo(second), b + a * BigInt(Math.max(1, sizeOf(second))))
    : undefined;
}

function pointee(type: CType): CType | undefined {
  const bare = stripTypedefs(type);
  if (bare.kind === 'pointer') return bare.target;
  return bare.kind === 'array' ? bare.element : undefined;
}

/** Finds an enumerator by name in all named enumerations: slow, for when nothing else has the name. */
export function findEnumerator(types: TypeCatalog, name: string): Value | undefined {
  for (const source of types.all) {
    for (const enumName of source.names('enum')) {
      const type = source.find(enumName, 'enum');
      if (!(type instanceof EnumType)) continue;
      const found = type.enumerators.find(entry => entry.name === name);
      if (found !== undefined) return scalar(type, found.value);
    }
  }
  return undefined;
}
