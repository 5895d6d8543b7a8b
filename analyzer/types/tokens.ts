/** Tokens of C expressions, with gdb's `$name`, `'quoted name'` and `@`; ISO C11 6.4 "Lexical elements". */
import { UsageError } from '../../capture/formats/errors.ts';

export interface Token {
  /** `quoted`: several characters in single quotes: gdb's way to name a file or function. */
  readonly kind: 'number' | 'float' | 'name' | 'history' | 'char' | 'quoted' | 'string' | 'punctuation';
  /** Characters and strings: their bytes, one character each. */
  readonly text: string;
  readonly suffix: string;
}

const TOKEN =
  /\s*(?:(\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)[fFlL]?|(0[xX][\da-fA-F]+|\d+)([uUlL]*)|([A-Za-z_][\w]*)|(\$[\w$]*)|'((?:\\.[0-7xa-fA-F]*|[^'\\])+)'|"((?:\\.|[^"\\])*)"|(->|<<|>>|<=|>=|==|!=|&&|\|\||::|[-+*/%&|^~!<>()[\]{}.?:,@=]))/y;
const MAX_TOKENS = 10_000;

/** Splits an expression. @throws UsageError */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const start = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null || tokens.length > MAX_TOKENS)
      throw new UsageError(`invalid expression near: ${text.slice(start, start + 20)}`);
    tokens.push(tokenOf(match));
  }
  return tokens;
}

function tokenOf(match: RegExpExecArray): Token {
  const [, float, number, suffix, name, history, char, string, punctuation] = match;
  if (float !== undefined) return { kind: 'float', text: float, suffix: '' };
  if (number !== undefined) return { kind: 'number', text: number, suffix: suffix ?? '' };
  if (name !== undefined) return { kind: 'name', text: name, suffix: '' };
  if (history !== undefined) return { kind: 'history', text: history, suffix: '' };
  if (char !== undefined) {
    const bytes = unescape(char);
    return { kind: bytes.length === 1 ? 'char' : 'quoted', text: bytes, suffix: '' };
  }
  if (string !== undefined) return { kind: 'string', text: unescape(string), suffix: '' };
  return { kind: 'punctuation', text: punctuation!, suffix: '' };
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  e: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Resolves backslashes: `\n`, `\033`, `\x1b`, `\\`; ISO C11 6.4.4.4 "Character constants". */
export function unescape(text: string): string {
  return text.replaceAll(/\\(?:([0-7]{1,3})|x([\da-fA-F]{1,2})|(.))/g, (_, octal?: string, hex?: string, char = '') => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return SIMPLE_ESCAPES[char] ?? String(char);
  });
}
