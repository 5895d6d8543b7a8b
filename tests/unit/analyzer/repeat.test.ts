/** `repeat` through the shell, with a program that no command here looks at. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import type { Program } from '../../../analyzer/program.ts';
import { runLine } from '../../../analyzer/shell.ts';

/** The example of crash's own help. */
const SHOWN = '62696c2f7273752f: /usr/lib\n';

function sessionThatStopsAfter(times: number): { session: Session; shown: string[] } {
  const session = new Session({ isLive: false } as Program);
  const shown: string[] = [];
  session.show = ({ text }) => {
    shown.push(text);
    if (shown.length >= times) session.repetition?.abort();
  };
  return { session, shown };
}

test('repeats a command until it is interrupted', async () => {
  const { session, shown } = sessionThatStopsAfter(3);
  const { error, text } = await runLine(session, 'repeat ascii 62696c2f7273752f');
  expect({ error, text }).toEqual({ error: undefined, text: '' });
  expect(shown).toEqual([SHOWN, SHOWN, SHOWN]);
  expect(session.repetition).toBeUndefined();
});

test('ends at an error, with the error', async () => {
  const { session, shown } = sessionThatStopsAfter(100);
  const { error, command } = await runLine(session, 'repeat -1 ascii zz');
  expect(command).toBe('ascii');
  expect(error).toBeDefined();
  expect(shown).toEqual([]);
});

test('a wait ends at once when it is interrupted', async () => {
  const { session, shown } = sessionThatStopsAfter(1);
  const start = performance.now();
  await runLine(session, 'repeat -60 ascii 62696c2f7273752f');
  expect(shown).toHaveLength(1);
  expect(performance.now() - start).toBeLessThan(10_000);
});

test('goes on in a file that the output is sent to', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-repeat-'));
  const file = join(folder, 'out');
  const { session } = sessionThatStopsAfter(3);
  await runLine(session, `repeat ascii 62696c2f7273752f > ${file}`);
  expect(readFileSync(file, 'utf8')).toBe(SHOWN.repeat(3));
  rmSync(folder, { recursive: true });
});

test('runs once where nobody is shown what a command comes to', async () => {
  const session = new Session({ isLive: false } as Program);
  expect((await runLine(session, 'repeat ascii 62696c2f7273752f')).text).toBe(SHOWN);
});
