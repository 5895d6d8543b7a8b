import { describe, expect, test } from 'vitest';

import { physicalReader } from '../../../../analyzer/memory-reader.ts';
import { TypeCatalog } from '../../../../analyzer/types/catalog.ts';
import { evaluate } from '../../../../analyzer/types/expression.ts';
import type { Scope } from '../../../../analyzer/types/expression.ts';
import { printValue } from '../../../../analyzer/types/print-value.ts';
import { ArrayType, EnumType, IntType, PointerType, StructType } from '../../../../analyzer/types/types.ts';
import type { CType } from '../../../../analyzer/types/types.ts';
import { INT, numberOf } from '../../../../analyzer/types/value.ts';
import { UsageError } from '../../../../capture/formats/errors.ts';
import { SparseMemory } from '../../../support/sparse-memory.ts';

const CHAR = new IntType('char', 1, true, 'char');
const pair: StructType = new StructType('struct', 'pair', 24, () => [
  { name: 'x', bitOffset: 0, bitSize: undefined, type: INT },
  { name: 'y', bitOffset: 32, bitSize: undefined, type: INT },
  { name: 'next', bitOffset: 64, bitSize: undefined, type: new PointerType(() => pair) },
  { name: 'name', bitOffset: 128, bitSize: undefined, type: new ArrayType(() => CHAR, 8) },
]);
const types = new TypeCatalog([
  {
    find: (name: string, kind: string): CType | undefined => (name === 'pair' && kind === 'struct' ? pair : undefined),
    findFunction: () => undefined,
    names: () => [],
  },
]);

const memory = new SparseMemory();
memory.writeU32(0x1000, 7);
memory.writeU32(0x1004, -3 >>> 0);
memory.writeU64(0x1008, 0x1018n);
memory.writeBytes(0x1010, Buffer.from('first\0\0\0'));
memory.writeU32(0x1018, 70);
const reader = physicalReader(memory);
const scope: Scope = {
  memory: reader,
  types,
  find: name =>
    name === 'p' ? { type: pair, address: 0x1000n } : name === 'jiffies' ? { type: INT, bits: 5n } : undefined,
  history: name => (name === '$' ? { type: INT, bits: 42n } : undefined),
};
const value = (text: string): bigint => numberOf(reader, evaluate(text, scope));

describe('evaluate', () => {
  // Values by ISO C11's precedence and conversions on an LP64 machine.
  test.each([
    ['1 + 2 * 3', 7n],
    ['(1 + 2) * 3', 9n],
    ['(0x10 * 3) + 5', 53n],
    ['-7 / 2', -3n],
    ['-7 % 3', -1n],
    ['1 << 4 | 1', 17n],
    ['~0', -1n],
    ['!5', 0n],
    ['3 > 2 && 2 > 3', 0n],
    ['1 ? 10 : 20', 10n],
    ['0xffffffff + 1', 0n],
    ['0xffffffffL + 1', 4_294_967_296n],
    ["'A'", 65n],
    ['010', 8n],
    ['sizeof(struct pair)', 24n],
    ['sizeof(unsigned short)', 2n],
    ['(unsigned char)511', 255n],
    ['(char)200', -56n],
    ['p.x', 7n],
    ['p.y', -3n],
    ['p.next->x', 70n],
    ['(*p.next).x', 70n],
    ['((struct pair *)0x1000)->next->x', 70n],
    ['&p.y', 0x1004n],
    ['p.name[1]', BigInt('i'.charCodeAt(0))],
    ['p.next - (struct pair *)0x1000', 1n],
    ['(struct pair *)0x1000 + 1', 0x1018n],
    ['jiffies + $', 47n],
  ])('%s is %d', (text, expected) => {
    expect(value(text)).toBe(expected);
  });

  test.each([
    ['nothing', 'No symbol "nothing" in current context.'],
    ['1 +', 'the expression ends too early'],
    ['1 / 0', 'Division by zero'],
    ['08', 'Invalid number "08".'],
    ['p.z', 'There is no member named z.'],
    ['*5', 'Attempt to take contents of a non-pointer value.'],
    ['sizeof(struct none)', 'No struct type named none.'],
  ])('%s is refused', (text, message) => {
    expect(() => value(text)).toThrow(UsageError);
    expect(() => value(text)).toThrow(message);
  });
});

describe('printValue', () => {
  const context = {
    symbolAt: (address: bigint) => (address === 0x1018n ? 'second' : undefined),
    memory: undefined,
    radix: 10 as const,
  };

  test('prints structures as gdb does with `set print pretty on`', () => {
    expect(printValue(pair, memory.readPage(1), 0, context)).toBe(`{
  x = 7,
  y = -3,
  next = 0x1018 <second>,
  name = "first\\000\\000"
}`);
  });

  test.each([
    [0n, '0'],
    [1n, 'A'],
    [3n, '(A | B)'],
    [9n, '(A | unknown: 0x8)'],
  ])('prints a flag enumeration of %d as %s', (number, expected) => {
    const flags = new EnumType('f', 4, false, () => [
      { name: 'A', value: 1n },
      { name: 'B', value: 2n },
    ]);
    expect(printValue(flags, Uint8Array.of(Number(number), 0, 0, 0), 0, context)).toBe(expected);
  });
});
