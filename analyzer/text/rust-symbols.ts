/**
 * Readable names of Rust symbols: the legacy mangling (`_ZN…E`) and v0 (`_R…`).
 *
 * Source: the rustc book "v0 Symbol Format" (RFC 2603). Paths, generic arguments, implementations, closures, types and
 * back references are decoded; instantiating crates and disambiguators are left out, as readers of traces want.
 */

/** Nesting of paths and types that is followed; a back reference may lead in a circle. */
const MAX_DEPTH = 64;
/** Characters of the result; deeply shared types expand without bound. */
const MAX_LENGTH = 4096;

/** The readable name, or undefined when the name is no mangled Rust name. */
export function demangleRust(name: string): string | undefined {
  const legacy = /^_ZN(.*)E/.exec(name);
  if (legacy !== null) return demangleLegacy(legacy[1]!);
  if (!/^_R[A-Z]/.test(name)) return undefined;
  try {
    return new V0Reader(name.slice(2)).path(0);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** Escapes of the legacy mangling. */
const LEGACY_ESCAPES: Readonly<Record<string, string>> = {
  SP: '@',
  BP: '*',
  RF: '&',
  LT: '<',
  GT: '>',
  LP: '(',
  RP: ')',
  C: ',',
};

function demangleLegacy(source: string): string | undefined {
  const parts: string[] = [];
  for (let at = 0; at < source.length;) {
    const length = /^\d+/.exec(source.slice(at))?.[0];
    if (length === undefined) return undefined;
    at += length.length;
    parts.push(source.slice(at, at + Number(length)));
    at += Number(length);
  }
  if (/^h[\da-f]{16}$/.test(parts.at(-1) ?? '')) parts.pop();
  return parts.length === 0 ? undefined : parts.map(unescapeLegacy).join('::');
}

function unescapeLegacy(part: string): string {
  return part
    .replace(/^_(?=\$)/, '')
    .replaceAll(/\$u([\da-f]+)\$/g, (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16)))
    .replaceAll(/\$(\w+)\$/g, (text, escape: string) => LEGACY_ESCAPES[escape] ?? text)
    .replaceAll('..', '::');
}

/** The name is not of the grammar. */
class Malformed extends Error {}

const BASIC_TYPES: Readonly<Record<string, string>> = {
  a: 'i8',
  b: 'bool',
  c: 'char',
  d: 'f64',
  e: 'str',
  f: 'f32',
  h: 'u8',
  i: 'isize',
  j: 'usize',
  l: 'i32',
  m: 'u32',
  n: 'i128',
  o: 'u128',
  p: '_',
  s: 'i16',
  t: 'u16',
  u: '()',
  v: '...',
  x: 'i64',
  y: 'u64',
  z: '!',
};

const POINTER_PREFIX: Readonly<Record<string, string>> = { P: '*const ', O: '*mut ', R: '&', Q: '&mut ' };

function tupleText(members: readonly string[]): string {
  return members.length === 1 ? `(${members[0]},)` : `(${members.join(', ')})`;
}

/** A recursive-descent reader of the v0 grammar; each method is a production. */
class V0Reader {
  readonly #text: string;
  #at = 0;
  #length = 0;

  constructor(text: string) {
    this.#text = text;
  }

  path(depth: number): string {
    if (depth > MAX_DEPTH) throw new Malformed();
    const tag = this.#next();
    switch (tag) {
      case 'C':
        return this.#identifier();
      case 'M':
        this.#implPath(depth);
        return `<${this.#type(depth + 1)}>`;
      case 'X':
        this.#implPath(depth);
        return `<${this.#type(depth + 1)} as ${this.path(depth + 1)}>`;
      case 'Y':
        return `<${this.#type(depth + 1)} as ${this.path(depth + 1)}>`;
      case 'N':
        return this.#nested(depth);
      case 'I':
        return `${this.path(depth + 1)}::<${this.#list(() => this.#genericArgument(depth + 1))}>`;
      case 'B':
        return this.#backReference(() => this.path(depth + 1));
      default:
        throw new Malformed();
    }
  }

  #implPath(depth: number): void {
    this.#disambiguator();
    this.path(depth + 1);
  }

  /** Upper-case namespaces are compiler-made: closures and shims. */
  #nested(depth: number): string {
    const namespace = this.#next();
    const parent = this.path(depth + 1);
    const disambiguator = this.#disambiguator();
    const name = this.#undisambiguated();
    if (/[a-z]/.test(namespace)) return this.#bounded(name === '' ? parent : `${parent}::${name}`);
    const kind = { C: 'closure', S: 'shim' }[namespace] ?? namespace;
    return this.#bounded(`${parent}::{${kind}${name === '' ? '' : `:${name}`}#${disambiguator}}`);
  }

  #identifier(): string {
    this.#disambiguator();
    return this.#undisambiguated();
  }

  /** `s` and a base-62 number: 0 without one. */
  #disambiguator(): number {
    return this.#accept('s') ? this.#base62() + 1 : 0;
  }

  #undisambiguated(): string {
    const punycode = this.#accept('u');
    const length = this.#decimal();
    this.#accept('_');
    const name = this.#text.slice(this.#at, this.#at + length);
    if (name.length !== length) throw new Malformed();
    this.#at += length;
    return punycode ? `punycode{${name}}` : name;
  }

  #genericArgument(depth: number): string {
    if (this.#accept('L')) {
      this.#base62();
      return "'_";
    }
    return this.#accept('K') ? this.#constant(depth) : this.#type(depth);
  }

  #type(depth: number): string {
    if (depth > MAX_DEPTH) throw new Malformed();
    const tag = this.#next();
    const basic = BASIC_TYPES[tag];
    if (basic !== undefined) return basic;
    const inner = (): string => this.#type(depth + 1);
    if (/[SPORQ]/.test(tag)) return this.#derivedType(tag, depth);
    switch (tag) {
      case 'A':
        return `[${inner()}; ${this.#constant(depth + 1)}]`;
      case 'T':
        return tupleText(this.#items(inner));
      case 'F':
        return this.#functionType(depth);
      case 'D':
        return this.#dynamicType(depth);
      case 'B':
        return this.#backReference(inner);
      default:
        this.#at--;
        return this.path(depth + 1);
    }
  }

  /** Slices, pointers and references: one type inside, and a lifetime before it in references. */
  #derivedType(tag: string, depth: number): string {
    if ((tag === 'R' || tag === 'Q') && this.#accept('L')) this.#base62();
    const type = this.#type(depth + 1);
    return tag === 'S' ? `[${type}]` : `${POINTER_PREFIX[tag] ?? ''}${type}`;
  }

  #functionType(depth: number): string {
    if (this.#accept('G')) this.#base62();
    const unsafe = this.#accept('U') ? 'unsafe ' : '';
    const abi = this.#accept('K') ? `extern "${this.#accept('C') ? 'C' : this.#undisambiguated()}" ` : '';
    const parameters = this.#list(() => this.#type(depth + 1));
    const result = this.#type(depth + 1);
    return `${unsafe}${abi}fn(${parameters})${result === '()' ? '' : ` -> ${result}`}`;
  }

  #dynamicType(depth: number): string {
    if (this.#accept('G')) this.#base62();
    const traits = this.#items(() => {
      let trait = this.path(depth + 1);
      while (this.#accept('p')) trait += `<${this.#undisambiguated()} = ${this.#type(depth + 1)}>`;
      return trait;
    });
    if (!this.#accept('L')) throw new Malformed();
    this.#base62();
    return `dyn ${traits.join(' + ')}`;
  }

  /** A constant of an integer type: hexadecimal digits up to `_`. */
  #constant(depth: number): string {
    if (this.#accept('B')) return this.#backReference(() => this.#constant(depth + 1));
    const type = this.#type(depth + 1);
    if (type === '_') return '_';
    const digits = /^n?[\da-f]*_/.exec(this.#text.slice(this.#at))?.[0];
    if (digits === undefined) throw new Malformed();
    this.#at += digits.length;
    const value = BigInt(`0x0${digits.replace(/^n|_$/g, '').replace('_', '')}`);
    if (type === 'bool') return value === 0n ? 'false' : 'true';
    return `${digits.startsWith('n') ? '-' : ''}${value}`;
  }

  /** The number counts from behind `_R`; it must lead backwards. */
  #backReference(read: () => string): string {
    const here = this.#at;
    const target = this.#base62();
    if (target >= here) throw new Malformed();
    const after = this.#at;
    this.#at = target;
    const text = this.#bounded(read());
    this.#at = after;
    return text;
  }

  #list(read: () => string): string {
    return this.#items(read).join(', ');
  }

  #items(read: () => string): string[] {
    const items: string[] = [];
    while (!this.#accept('E')) items.push(this.#bounded(read()));
    return items;
  }

  #bounded(text: string): string {
    this.#length += text.length;
    if (text.length > MAX_LENGTH || this.#length > 64 * MAX_LENGTH) throw new Malformed();
    return text;
  }

  /** `_` is 0; else digits 0–9, a–z, A–Z, then `_`, one more than they say. */
  #base62(): number {
    if (this.#accept('_')) return 0;
    let value = 0;
    for (;;) {
      const digit = BASE62.indexOf(this.#next());
      if (digit === 62) return value + 1;
      if (digit === -1) throw new Malformed();
      value = value * 62 + digit;
    }
  }

  #decimal(): number {
    const digits = /^(?:0|[1-9]\d{0,5})/.exec(this.#text.slice(this.#at))?.[0];
    if (digits === undefined) throw new Malformed();
    this.#at += digits.length;
    return Number(digits);
  }

  #accept(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #next(): string {
    const char = this.#text[this.#at];
    if (char === undefined) throw new Malformed();
    this.#at++;
    return char;
  }
}

const BASE62 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_';
