/**
 * Numbers as the monitor takes them: C's operators, parentheses, `$register`, and numbers in decimal, hexadecimal and octal.
 *
 * Source: QEMU documentation, title "QEMU Monitor", section "Integer expressions".
 */

/** A register of the CPU that was chosen, by its name. */
export type RegisterValue = (name: string) => bigint | undefined;

/** Says what is wrong with an expression. */
export class ExpressionProblem extends Error {
  override readonly name = 'ExpressionProblem';
}

const TOKEN = /\s*(\$[A-Za-z_]\w*|0[xX][0-9a-fA-F]+|\d+|<<|>>|[-+*/%&|^~()])/y;

/** Operators by binding strength, weakest first; QEMU has these three levels. */
const LEVELS: readonly (readonly string[])[] = [
  ['+', '-'],
  ['&', '|', '^', '<<', '>>'],
  ['*', '/', '%'],
];

/** @returns the value, modulo 2^64 @throws ExpressionProblem */
export function evaluate(text: string, register: RegisterValue): bigint {
  const reader = new Reader(tokensOf(text), register);
  const value = reader.operation(0);
  reader.requireEnd();
  return BigInt.asUintN(64, value);
}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const token = TOKEN.exec(text)?.[1];
    if (token === undefined) throw new ExpressionProblem(`unexpected "${text.slice(at).trim()}"`);
    tokens.push(token);
  }
  return tokens;
}

class Reader {
  readonly #tokens: readonly string[];
  readonly #register: RegisterValue;
  #next = 0;

  constructor(tokens: readonly string[], register: RegisterValue) {
    this.#tokens = tokens;
    this.#register = register;
  }

  operation(level: number): bigint {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let value = this.operation(level + 1);
    for (let token = this.#peek(); token !== undefined && operators.includes(token); token = this.#peek()) {
      this.#next++;
      value = BigInt.asIntN(64, apply(token, value, this.operation(level + 1)));
    }
    return value;
  }

  requireEnd(): void {
    const token = this.#peek();
    if (token !== undefined) throw new ExpressionProblem(`unexpected "${token}"`);
  }

  #unary(): bigint {
    const token = this.#peek();
    this.#next++;
    switch (token) {
      case undefined:
        throw new ExpressionProblem('unexpected end of expression');
      case '-':
        return -this.#unary();
      case '+':
        return this.#unary();
      case '~':
        return ~this.#unary();
      case '(':
        return this.#parenthesis();
      default:
        return this.#number(token);
    }
  }

  #parenthesis(): bigint {
    const value = this.operation(0);
    if (this.#peek() !== ')') throw new ExpressionProblem("')' expected");
    this.#next++;
    return value;
  }

  #number(token: string): bigint {
    if (token.startsWith('$')) {
      const value = this.#register(token.slice(1).toLowerCase());
      if (value === undefined) throw new ExpressionProblem('unknown register');
      return value;
    }
    if (/^0[0-7]+$/.test(token)) return BigInt(`0o${token}`);
    if (/^(0x[0-9a-f]+|\d+)$/i.test(token)) return BigInt(token);
    throw new ExpressionProblem(`unexpected "${token}"`);
  }

  #peek(): string | undefined {
    return this.#tokens[this.#next];
  }
}

function apply(operator: string, a: bigint, b: bigint): bigint {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '<<':
      return a << BigInt.asUintN(6, b);
    case '>>':
      return BigInt.asUintN(64, a) >> BigInt.asUintN(6, b);
    default:
      if (b === 0n) throw new ExpressionProblem('division by zero');
      return operator === '/' ? a / b : a % b;
  }
}
