/** Base types by their keywords; ISO C11 6.7.2 "Type specifiers". */
import { FloatType, IntType, VOID } from './types.ts';
import type { CType } from './types.ts';
import { CHAR, DOUBLE, INT, LONG, UNSIGNED_INT, UNSIGNED_LONG } from './value.ts';

/** Keywords that a base type is made of. */
export const BASE_WORDS: ReadonlySet<string> = new Set([
  'unsigned',
  'signed',
  'long',
  'short',
  'int',
  'char',
  'void',
  '_Bool',
  'bool',
  'float',
  'double',
]);

/** Base types by their keyword, signed and unsigned. */
const INTEGERS: Readonly<{ [word: string]: readonly [signed: CType, unsigned: CType] }> = {
  char: [CHAR, new IntType('unsigned char', 1, false, 'char')],
  short: [new IntType('short', 2, true), new IntType('unsigned short', 2, false)],
  long: [LONG, UNSIGNED_LONG],
  'long long': [new IntType('long long', 8, true), new IntType('unsigned long long', 8, false)],
  int: [INT, UNSIGNED_INT],
};
const FLOAT = new FloatType('float', 4);
const BOOL = new IntType('_Bool', 1, false, 'bool');
const SIGNED_CHAR = new IntType('signed char', 1, true, 'char');

/** The type that keywords in any order make. */
export function builtInType(words: readonly string[]): CType {
  if (words.includes('void')) return VOID;
  if (words.includes('_Bool') || words.includes('bool')) return BOOL;
  if (words.includes('float')) return FLOAT;
  if (words.includes('double')) return DOUBLE;
  if (words.includes('char') && words.includes('signed')) return SIGNED_CHAR;
  const long = words.filter(word => word === 'long').length > 1 ? 'long long' : 'long';
  const name = ['char', 'short', 'long'].find(word => words.includes(word)) ?? 'int';
  const [signed, unsigned] = INTEGERS[name === 'long' ? long : name]!;
  return words.includes('unsigned') ? unsigned : signed;
}
