/** gdb's output formats; expected texts are what gdb 16.3 prints (`p/x -1`, `p/z 5`, `p/c 65`, …). */
import { describe, expect, test } from 'vitest';

import { floatBits, formatScalar, parseFormat } from '../../../../analyzer/types/print-format.ts';
import type { FormatLetter } from '../../../../analyzer/types/print-format.ts';
import { tokenize, unescape } from '../../../../analyzer/types/tokens.ts';
import { CHAR, INT, UNSIGNED_INT } from '../../../../analyzer/types/value.ts';
import { UsageError } from '../../../../capture/formats/errors.ts';

const symbolAt = (address: bigint): string | undefined => (address === 0x1000n ? 'schedule+96' : undefined);

describe('formatScalar', () => {
  test.each([
    ['x', INT, 0xffff_ffffn, 32, '0xffffffff'],
    ['d', UNSIGNED_INT, 0xffff_ffffn, 32, '-1'],
    ['u', CHAR, 0xffn, 8, '255'],
    ['o', INT, 8n, 32, '010'],
    ['o', INT, 0n, 32, '0'],
    ['t', INT, 10n, 32, '1010'],
    ['z', INT, 5n, 32, '0x00000005'],
    ['c', INT, 65n, 32, "65 'A'"],
    ['c', CHAR, 0n, 8, "0 '\\000'"],
    ['a', INT, 0x1000n, 64, '0x1000 <schedule+96>'],
    ['a', INT, 0x2000n, 64, '0x2000'],
  ] as const)('/%s of %o', (format, type, raw, bits, expected) => {
    expect(formatScalar(format as FormatLetter, type, raw, bits, symbolAt)).toBe(expected);
  });
});

test('parseFormat takes the last letter, and refuses what print cannot do', () => {
  expect(parseFormat('x')).toBe('x');
  expect(parseFormat('')).toBeUndefined();
  expect(parseFormat('r')).toBeUndefined();
  expect(() => parseFormat('i')).toThrow(UsageError);
  expect(() => parseFormat('q')).toThrow('Undefined output format "q".');
});

test.each([
  [3.5, '3.5'],
  [1, '1'],
  [-0.1, '-0.10000000000000001'],
])('floatBits of %d', (value, expected) => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  expect(floatBits(bytes.readBigUInt64LE(), 8)).toBe(expected);
});

// ISO C11 6.4.4.4 "Character constants".
test.each([
  [String.raw`\n`, '\n'],
  [String.raw`\033[1m`, '\x1b[1m'],
  [String.raw`\x41`, 'A'],
  [String.raw`\\`, '\\'],
  [String.raw`\"`, '"'],
])('unescape(%s)', (text, expected) => {
  expect(unescape(text)).toBe(expected);
});

test('tokens of an expression with a string, a float, a quoted name and a character', () => {
  const kinds = tokenize(`'sched/core.c'::x + 1.5 == "a b" && 'A'`).map(({ kind }) => kind);
  expect(kinds).toEqual([
    'quoted',
    'punctuation',
    'name',
    'punctuation',
    'float',
    'punctuation',
    'string',
    'punctuation',
    'char',
  ]);
});
