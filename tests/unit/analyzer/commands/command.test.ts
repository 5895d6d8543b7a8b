import { describe, expect, test } from 'vitest';

import { parseArguments } from '../../../../analyzer/commands/command.ts';
import { splitWords } from '../../../../analyzer/shell.ts';
import { splitCommands } from '../../../../analyzer/text/cli-options.ts';
import { UsageError } from '../../../../capture/formats/errors.ts';

const command = {
  name: 'x',
  options: [
    { flag: '-a', help: '' },
    { flag: '-s', help: '' },
    { flag: '-32', help: '' },
    { flag: '-c', takes: 'n', help: '' },
  ],
};

describe('parseArguments', () => {
  test('takes letters together, with the argument of the last attached or following', () => {
    const args = parseArguments(command, ['-as', '-c3', '-c', '4', 'word']);
    expect(args.has('-a') && args.has('-s')).toBe(true);
    expect(args.values('-c')).toEqual(['3', '4']);
    expect(args.positionals).toEqual(['word']);
  });

  test('knows options of several characters and leaves negative numbers alone', () => {
    const args = parseArguments(command, ['-32', '-5']);
    expect(args.has('-32')).toBe(true);
    expect(args.positionals).toEqual(['-5']);
  });

  test.each([[['-z']], [['-c']]])('refuses %j', words => {
    expect(() => parseArguments(command, words)).toThrow(UsageError);
  });
});

describe('splitting', () => {
  test('keeps quoted blanks in words, and the single quotes', () => {
    expect(splitWords(`search -c "two words" 'a b' x`)).toEqual(['search', '-c', 'two words', "'a b'", 'x']);
  });

  test('parts commands at semicolons and line ends outside quotes', () => {
    expect(splitCommands(`bt; ps | grep "a;b"\nlog`)).toEqual(['bt', 'ps | grep "a;b"', 'log']);
  });
});
