/**
 * C expressions over a dump: casts, members, arithmetic, arrays, pointers, `sizeof`, gdb's `$` values, `@` and `{type}`.
 *
 * Source: ISO C11 6.5 "Expressions"; GDB manual "Expressions". Assignments are to `$` variables only: a dump is not written.
 */
import { UsageError } from '../../capture/formats/errors.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { BASE_WORDS, builtInType } from './built-in-types.ts';
import type { TypeCatalog } from './catalog.ts';
import { addressOf, binary, cast, dereference, isTrue, member, unary } from './operators.ts';
import { tokenize } from './tokens.ts';
import type { Token } from './tokens.ts';
import { ArrayType, FunctionType, QualifiedType, VOID, sizeOf } from './types.ts';
import type { CType, Parameter } from './types.ts';
import { CHAR, DOUBLE, INT, LONG, UNSIGNED_INT, UNSIGNED_LONG, floating, pointerTo, scalar } from './value.ts';
import type { Value } from './value.ts';

/** What an expression may refer to. */
export interface Scope {
  readonly memory: MemoryReader;
  readonly types: TypeCatalog;
  /** A variable or function of the kernel; with a file, the one that file defines. */
  readonly find: (name: string, file?: string) => Value | undefined;
  /** `$`, `$$`, `$3`, `$name`, `$rip`. */
  readonly history: (name: string) => Value | undefined;
  /** Sets a `$name`. */
  readonly assign?: (name: string, value: Value) => void;
}

/** Evaluates an expression. @throws UsageError when it is none, or names what does not exist @throws FaultError */
export function evaluate(text: string, scope: Scope): Value {
  const parser = new Parser(tokenize(text), scope);
  const value = parser.commaExpression();
  parser.expectEnd();
  return value;
}

/** Evaluates a list of expressions with commas between them: arguments. */
export function evaluateList(text: string, scope: Scope): Value[] {
  const parser = new Parser(tokenize(text), scope);
  const values = parser.list();
  parser.expectEnd();
  return values;
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

/** Binary operators by precedence, loosest first; ISO C11 6.5.5 to 6.5.14; `@` binds closest of them. */
const PRECEDENCE: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['<<', '>>'],
  ['@'],
  ['+', '-'],
  ['*', '/', '%'],
];
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
    if (!this.atEnd) throw new UsageError(`A syntax error in expression, near \`${this.#rest}'.`);
  }

  list(): Value[] {
    const values: Value[] = [];
    while (!this.atEnd) {
      values.push(this.expression());
      if (!this.#accept(',')) break;
    }
    return values;
  }

  commaExpression(): Value {
    let value = this.expression();
    while (this.#accept(',')) value = this.expression();
    return value;
  }

  expression(): Value {
    const target = this.#tokens[this.#at];
    const condition = this.#binary(0);
    if (this.#accept('=')) return this.#assign(target, this.expression());
    if (!this.#accept('?')) return condition;
    const first = this.expression();
    this.#expect(':');
    const second = this.expression();
    return isTrue(this.#scope.memory, condition) ? first : second;
  }

  #assign(target: Token | undefined, value: Value): Value {
    if (target?.kind !== 'history' || this.#scope.assign === undefined)
      throw new UsageError('cannot write to a dump: only $variables can be set');
    this.#scope.assign(target.text, value);
    return value;
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

  get #rest(): string {
    return this.#tokens
      .slice(this.#at)
      .map(({ text }) => text)
      .join(' ');
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
    if (!this.#accept(text)) throw new UsageError(`A syntax error in expression, near \`${this.#rest}'.`);
  }

  #name(): string {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'name') throw new UsageError(`A syntax error in expression, near \`${this.#rest}'.`);
    this.#at++;
    return token.text;
  }

  #baseType(): CType | undefined {
    const qualifier = this.#qualifiers();
    const type = this.#plainType();
    if (type === undefined) return undefined;
    const behind = this.#qualifiers() ?? qualifier;
    return behind === undefined ? type : new QualifiedType(behind, () => type);
  }

  /** Skips qualifiers; returns the last. */
  #qualifiers(): 'const' | 'volatile' | 'restrict' | undefined {
    let last: 'const' | 'volatile' | 'restrict' | undefined;
    for (; QUALIFIERS.has(this.#word); this.#at++) last = this.#word as 'const' | 'volatile' | 'restrict';
    return last;
  }

  #plainType(): CType | undefined {
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
    while (BASE_WORDS.has(this.#word) || QUALIFIERS.has(this.#word)) words.push(this.#tokens[this.#at++]!.text);
    return builtInType(words.filter(word => !QUALIFIERS.has(word)));
  }

  /** Stars, `(*)(…)` and brackets behind a type. */
  #abstractDeclarator(base: CType): CType {
    let type = base;
    for (;;) {
      const target = type;
      if (this.#accept('*')) type = pointerTo(type);
      else if (QUALIFIERS.has(this.#word)) {
        const qualifier = this.#qualifiers()!;
        type = new QualifiedType(qualifier, () => target);
      } else break;
    }
    const inner = this.#functionPointer();
    if (inner !== undefined) {
      const result = type;
      const parameters = this.#parameterTypes();
      const fn = new FunctionType(
        () => result,
        () => parameters,
      );
      return Array.from({ length: inner }).reduce<CType>(pointee => pointerTo(pointee), fn);
    }
    return this.#dimensions(type);
  }

  /** Number of stars in a `(*)` that comes; undefined when none does. */
  #functionPointer(): number | undefined {
    const start = this.#at;
    if (!this.#accept('(')) return undefined;
    let stars = 0;
    while (this.#accept('*')) stars++;
    if (stars > 0 && this.#accept(')') && this.#peek('(')) return stars;
    this.#at = start;
    return undefined;
  }

  #parameterTypes(): Parameter[] {
    const found: Parameter[] = [];
    this.#expect('(');
    while (!this.#accept(')')) {
      const type = this.typeName();
      if (type === undefined) throw new UsageError(`A syntax error in expression, near \`${this.#rest}'.`);
      if (type !== VOID) found.push({ name: '', type });
      this.#accept(',');
    }
    return found;
  }

  #dimensions(element: CType): CType {
    const lengths: number[] = [];
    while (this.#peek('[') && this.#tokens[this.#at + 1]?.kind === 'number') {
      this.#at++;
      lengths.push(Number(this.#tokens[this.#at++]!.text));
      this.#expect(']');
    }
    return lengths.reduceRight<CType>((inner, length) => new ArrayType(() => inner, length), element);
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

  /** Operators in front of an operand. */
  readonly #prefixes: Readonly<Record<string, (value: Value) => Value>> = {
    '-': value => unary(this.#scope.memory, '-', value),
    '+': value => value,
    '~': value => unary(this.#scope.memory, '~', value),
    '!': value => scalar(INT, isTrue(this.#scope.memory, value) ? 0n : 1n),
    '*': value => dereference(this.#scope.memory, value),
    '&': addressOf,
  };

  #unary(): Value {
    const operator = Object.keys(this.#prefixes).find(text => this.#peek(text));
    if (operator !== undefined) {
      this.#at++;
      return this.#prefixes[operator]!(this.#unary());
    }
    if (this.#accept('{')) return this.#braces();
    if (this.#word === 'sizeof' || this.#word === '_Alignof') return this.#sizeof();
    if (this.#peek('(')) {
      const cast = this.#cast();
      if (cast !== undefined) return cast;
    }
    return this.#postfix();
  }

  /** gdb's `{type} address`. */
  #braces(): Value {
    const type = this.typeName();
    if (type === undefined) throw new UsageError(`A syntax error in expression, near \`${this.#rest}'.`);
    this.#expect('}');
    return dereference(this.#scope.memory, cast(this.#scope.memory, pointerTo(type), this.#unary()));
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
      if (this.#accept('.')) value = member(memory, value, this.#name());
      else if (this.#accept('->')) value = member(memory, value, this.#name());
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
      case 'float':
        return floating(DOUBLE, Number(token.text));
      case 'char':
        return scalar(CHAR, BigInt(token.text.charCodeAt(0)));
      case 'string':
        return textValue(token.text);
      case 'name':
      case 'quoted':
        return this.#variable(token.text);
      case 'history':
        return this.#scope.history(token.text) ?? { type: VOID, bits: 0n };
      default:
        if (token.text === '(') return this.#parenthesised();
        this.#at--;
        throw new UsageError(`A syntax error in expression, near \`${this.#rest}'.`);
    }
  }

  #parenthesised(): Value {
    const value = this.commaExpression();
    this.#expect(')');
    return value;
  }

  /** `name`, or `file.c::name`. */
  #variable(name: string): Value {
    const file = this.#fileName(name);
    const found = file === undefined ? this.#scope.find(name) : this.#scope.find(this.#name(), file);
    if (found === undefined) throw new UsageError(`No symbol "${name}" in current context.`);
    return found;
  }

  /** The file in front of `::`; `sched/core.c` comes in several tokens. */
  #fileName(first: string): string | undefined {
    let text = first;
    let at = this.#at;
    while (/^[./]$/.test(this.#tokens[at]?.text ?? '') && this.#tokens[at + 1]?.kind === 'name') {
      text += this.#tokens[at]!.text + this.#tokens[at + 1]!.text;
      at += 2;
    }
    if (this.#tokens[at]?.text !== '::') return undefined;
    this.#at = at + 1;
    return text;
  }
}

/** A string constant: an array of characters that is nowhere in memory. */
function textValue(text: string): Value {
  const bytes = Buffer.from(`${text}\0`, 'latin1');
  return { type: new ArrayType(() => CHAR, bytes.length), bytes };
}

/** Hexadecimal behind 0x, octal behind 0. @throws UsageError for a digit that is no octal one */
function digitsValue(text: string): bigint {
  if (!/^0\d+$/.test(text)) return BigInt(text);
  if (/[89]/.test(text)) throw new UsageError(`Invalid number "${text}".`);
  return BigInt(`0o${text.slice(1)}`);
}

/** The first of int, (unsigned int when hexadecimal), long, unsigned long that holds it; ISO C11 6.4.4.1. */
function literal(token: Token): Value {
  const number = digitsValue(token.text);
  const isUnsigned = /u/i.test(token.suffix);
  const isLong = /l/i.test(token.suffix);
  const mayBeUnsigned = isUnsigned || token.text.startsWith('0');
  if (!isLong && !isUnsigned && number < 1n << 31n) return scalar(INT, number);
  if (!isLong && mayBeUnsigned && number < 1n << 32n) return scalar(UNSIGNED_INT, number);
  return scalar(!isUnsigned && number < 1n << 63n ? LONG : UNSIGNED_LONG, number);
}

/** Finds an enumerator by name, of named and of anonymous enumerations. */
export function findEnumerator(types: TypeCatalog, name: string): Value | undefined {
  for (const source of types.all) {
    const found = source.findEnumerator?.(name);
    if (found !== undefined) return scalar(found.type, found.value);
  }
  return undefined;
}
