/** C values as plain data, by types as C lays them out. */
import { describe, expect, test } from 'vitest';

import { plainType, plainValue } from '../../../../analyzer/types/plain.ts';
import { ArrayType, EnumType, IntType, PointerType, StructType, VOID } from '../../../../analyzer/types/types.ts';
import type { Member } from '../../../../analyzer/types/types.ts';

const INT = new IntType('int', 4, true);
const LONG = new IntType('unsigned long', 8, false);
const CHAR = new IntType('char', 1, true, 'char');
const BOOL = new IntType('_Bool', 1, false, 'bool');
const POINTER = new PointerType(() => VOID);
const COLOUR = new EnumType('colour', 4, false, () => [
  { name: 'RED', value: 0n },
  { name: 'BLUE', value: 2n },
]);

function member(name: string, type: Member['type'], byte: number, bitSize?: number, bit = 0): Member {
  return { name, type, bitOffset: 8 * byte + bit, bitSize };
}

function bytes(hexadecimal: string): Uint8Array {
  return Buffer.from(hexadecimal.replaceAll(' ', ''), 'hex');
}

describe('values', () => {
  test.each([
    ['a negative int', INT, 'fe ff ff ff', -2],
    ['a long that a number holds', LONG, '01 00 00 00 00 00 00 00', 1],
    ['a long that no number holds', LONG, 'ff ff ff ff ff ff ff ff', 0xffff_ffff_ffff_ffffn],
    ['a pointer', POINTER, '10 00 00 00 00 00 00 00', 16n],
    ['a truth value', BOOL, '01', true],
    ['a named enumerator', COLOUR, '02 00 00 00', 'BLUE'],
    ['a value without an enumerator', COLOUR, '07 00 00 00', 7],
    ['text up to its NUL', new ArrayType(() => CHAR, 6), '61 62 00 63 00 00', 'ab'],
    ['an array', new ArrayType(() => INT, 2), '01 00 00 00 02 00 00 00', [1, 2]],
  ])('%s', (_name, type, hexadecimal, expected) => {
    expect(plainValue(type, bytes(hexadecimal), 0)).toEqual(expected);
  });

  test("members of an anonymous union are the structure's own, bit fields are numbers", () => {
    const union = new StructType('union', '', 4, () => [member('low', CHAR, 0), member('all', INT, 0)]);
    const type = new StructType('struct', 'sample', 8, () => [
      member('', union, 0),
      member('three', INT, 4, 3),
      member('rest', INT, 4, 5, 3),
    ]);
    // 0b0101_1011: three = 011 (3), rest = 01011 (11)
    expect(plainValue(type, bytes('05 00 00 00 5b 00 00 00'), 0)).toEqual({ low: 5, all: 5, three: 3, rest: 11 });
  });
});

test('a structure type lists its members with their places', () => {
  const type = new StructType('struct', 'pair', 8, () => [member('a', INT, 0), member('b', INT, 4, 2, 1)]);
  expect(plainType(type)).toEqual({
    kind: 'struct',
    name: 'struct pair',
    size: 8,
    members: [
      { name: 'a', type: 'int', offset: 0 },
      { name: 'b', type: 'int', offset: 4, bit: 1, bits: 2 },
    ],
  });
});
