/**
 * What the operators of C do to values of a dump.
 *
 * Source: ISO C11 6.3.1.8 "Usual arithmetic conversions", shortened to: `double` when either side is floating, else the
 * wider of `int`, `unsigned int`, `long`, `unsigned long`.
 */
import { UsageError } from '../../capture/formats/errors.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { ArrayType, findMember, sizeOf, stripTypedefs } from './types.ts';
import type { CType, IntType } from './types.ts';
import {
  DOUBLE,
  INT,
  LONG,
  UNSIGNED_INT,
  UNSIGNED_LONG,
  bitsOf,
  floatOf,
  floating,
  isFloating,
  numberOf,
  pointerTo,
  scalar,
} from './value.ts';
import type { Value } from './value.ts';

/** `a.b`, also through a pointer as gdb allows, and through anonymous structures. @throws UsageError */
export function member(memory: MemoryReader, value: Value, name: string): Value {
  const bare = stripTypedefs(value.type);
  if (bare.kind === 'pointer') return member(memory, dereference(memory, value), name);
  if (bare.kind !== 'struct' && bare.kind !== 'union')
    throw new UsageError(`Attempt to extract a component of a value that is not a structure.`);
  const found = findMember(bare, name);
  if (found === undefined) throw new UsageError(`There is no member named ${name}.`);
  const address = BigInt.asUintN(64, (value.address ?? 0n) + BigInt(found.bitOffset >> 3));
  if (found.bitSize === undefined) return { type: found.type, address };
  return { type: found.type, address, bitField: { offset: found.bitOffset & 7, width: found.bitSize } };
}

/** `*a`, also for arrays, functions and integers as wide as an address, as gdb allows. @throws UsageError */
export function dereference(memory: MemoryReader, value: Value): Value {
  const bare = stripTypedefs(value.type);
  if (bare.kind === 'array') return { type: bare.element, address: value.address ?? 0n };
  if (bare.kind === 'function') return value;
  if (bare.kind === 'int' && bare.size === 8)
    return { type: LONG, address: BigInt.asUintN(64, numberOf(memory, value)) };
  if (bare.kind !== 'pointer') throw new UsageError('Attempt to take contents of a non-pointer value.');
  if (stripTypedefs(bare.target).kind === 'void')
    throw new UsageError('Attempt to take contents of a non-pointer value.');
  return { type: bare.target, address: bitsOf(memory, value) };
}

/** `&a`. @throws UsageError for what is not in memory */
export function addressOf(value: Value): Value {
  if (value.bitField !== undefined) throw new UsageError('Attempt to take address of value not located in memory.');
  if (value.address === undefined) throw new UsageError('Attempt to take address of value not located in memory.');
  return { type: pointerTo(value.type), bits: value.address };
}

/** `(type)a`. @throws UsageError */
export function cast(memory: MemoryReader, type: CType, value: Value): Value {
  const bare = stripTypedefs(type);
  if (bare.kind === 'struct' || bare.kind === 'union' || bare.kind === 'array') {
    if (value.address === undefined) throw new UsageError('Invalid cast.');
    return { type, address: value.address };
  }
  if (bare.kind === 'float') return floating(type, floatOf(memory, value));
  if (bare.kind === 'void') return { type, bits: 0n };
  if (isFloating(value.type)) return scalar(type, BigInt(Math.trunc(floatOf(memory, value))));
  const source = stripTypedefs(value.type);
  if (source.kind === 'struct' || source.kind === 'union') throw new UsageError('Invalid cast.');
  return scalar(type, numberOf(memory, value));
}

/** Type of an arithmetic result. */
function promoted(left: CType, right: CType): IntType {
  const [a, b] = [left, right].map(type => {
    const bare = stripTypedefs(type);
    return {
      size: Math.max(4, bare.kind === 'array' || bare.kind === 'function' ? 8 : bare.size),
      unsigned: !((bare.kind === 'int' || bare.kind === 'enum') && (bare.signed || bare.size < 4)),
    };
  }) as [{ size: number; unsigned: boolean }, { size: number; unsigned: boolean }];
  const size = Math.max(a.size, b.size);
  const unsigned = (a.size === size && a.unsigned) || (b.size === size && b.unsigned);
  if (size > 4) return unsigned ? UNSIGNED_LONG : LONG;
  return unsigned ? UNSIGNED_INT : INT;
}

/** `-a` and `~a`. @throws UsageError */
export function unary(memory: MemoryReader, operator: '-' | '~', value: Value): Value {
  if (isFloating(value.type)) {
    if (operator === '~') throw new UsageError('Argument to complement operation not an integer, boolean.');
    return floating(DOUBLE, -floatOf(memory, value));
  }
  const number = numberOf(memory, value);
  return scalar(promoted(value.type, INT), operator === '-' ? -number : ~number);
}

/** Tells whether a value counts as true. */
export function isTrue(memory: MemoryReader, value: Value): boolean {
  return isFloating(value.type) ? floatOf(memory, value) !== 0 : bitsOf(memory, value) !== 0n;
}

type Comparison = <T extends bigint | number>(a: T, b: T) => boolean;

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
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

const FLOATING: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
};

function divide(a: bigint, b: bigint, remainder: boolean): bigint {
  if (b === 0n) throw new UsageError('Division by zero');
  return remainder ? a % b : a / b;
}

/** `a operator b`. @throws UsageError */
export function binary(memory: MemoryReader, operator: string, left: Value, right: Value): Value {
  if (operator === '@') return repeat(memory, left, right);
  if (operator === '&&') return truth(isTrue(memory, left) && isTrue(memory, right));
  if (operator === '||') return truth(isTrue(memory, left) || isTrue(memory, right));
  if (isFloating(left.type) || isFloating(right.type))
    return floatingBinary(operator, floatOf(memory, left), floatOf(memory, right));
  const [a, b] = [numberOf(memory, left), numberOf(memory, right)];
  const comparison = COMPARISONS[operator];
  if (comparison !== undefined) return truth(comparison(a, b));
  const pointer = pointerArithmetic(operator, left, right, a, b);
  if (pointer !== undefined) return pointer;
  const type = operator === '<<' || operator === '>>' ? promoted(left.type, INT) : promoted(left.type, right.type);
  return scalar(type, ARITHMETIC[operator]!(a, b));
}

function floatingBinary(operator: string, a: number, b: number): Value {
  const comparison = COMPARISONS[operator];
  if (comparison !== undefined) return truth(comparison(a, b));
  const operation = FLOATING[operator];
  if (operation === undefined) throw new UsageError('Integer-only operation on a floating-point value.');
  return floating(DOUBLE, operation(a, b));
}

function truth(holds: boolean): Value {
  return scalar(INT, holds ? 1n : 0n);
}

/** gdb's `value@count`: an array that begins at a value. */
function repeat(memory: MemoryReader, left: Value, right: Value): Value {
  if (left.address === undefined || left.bitField !== undefined)
    throw new UsageError("Only values in memory can be extended with '@'.");
  const count = Number(numberOf(memory, right));
  if (count < 1 || count > 1_000_000) throw new UsageError(`Invalid number ${count} of repetitions.`);
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
