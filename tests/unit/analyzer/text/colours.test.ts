import { stripVTControlCharacters } from 'node:util';
import { afterEach, expect, test, vi } from 'vitest';

import { coloured, colouredError } from '../../../../analyzer/text/colours.ts';

afterEach(() => vi.unstubAllEnvs());

const TERMINAL = { isTTY: true } as const;
/** What a file or a pipe says of itself. */
const FILE = { isTTY: undefined as unknown as true };

const LINES = [
  'PID: 140      TASK: ffff325bc38e0000  CPU: 1    COMMAND: "victim"',
  ' #0 [ffff80000823b7c0] __switch_to at ffffd938255b51d4',
  '--- <IRQ stack> ---',
  '>       1       0   1  ffff325bc2216180  RU   0.1     2088     1476  init',
  '      PID    PPID  CPU       TASK        ST  %MEM      VSZ      RSS  COMM',
  'WARNING: jiffies is not percpu; cpuspec ignored.',
];

test.each(LINES)('colours on a terminal: %s', line => {
  vi.stubEnv('NO_COLOR', '');
  vi.stubEnv('TERM', 'xterm');
  const shown = coloured(line, TERMINAL);
  expect(shown).not.toBe(line);
  expect(stripVTControlCharacters(shown)).toBe(line);
});

test('colours the function of a frame, not its addresses', () => {
  vi.stubEnv('NO_COLOR', '');
  vi.stubEnv('TERM', 'xterm');
  expect(coloured('#10 [ffff80000802bd10] vfs_write at ffffd93824da0f38', TERMINAL)).toBe(
    '#10 [ffff80000802bd10] \u001b[36mvfs_write\u001b[39m at ffffd93824da0f38',
  );
});

test('leaves plain lines alone', () => {
  expect(coloured('jiffies = $1 = 4294893295\n', TERMINAL)).toBe('jiffies = $1 = 4294893295\n');
});

test('no colours in files, with NO_COLOR and on dumb terminals', () => {
  vi.stubEnv('NO_COLOR', '');
  vi.stubEnv('TERM', 'xterm');
  const text = LINES.join('\n');
  expect(coloured(text, FILE)).toBe(text);
  expect(colouredError('bt: no such task', FILE)).toBe('bt: no such task');
  vi.stubEnv('TERM', 'dumb');
  expect(coloured(text, TERMINAL)).toBe(text);
  vi.stubEnv('TERM', 'xterm');
  vi.stubEnv('NO_COLOR', '1');
  expect(coloured(text, TERMINAL)).toBe(text);
});
