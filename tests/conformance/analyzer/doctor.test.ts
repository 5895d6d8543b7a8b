/** `doctor` on dumps that are cut short. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine } from '../../../analyzer/shell.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';

const folder = findDumpFolder('x86_64-6.1');

test.skipIf(folder === undefined)('a dump without its last pages is said to be cut short, and where', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'kdump-lab-doctor-'));
  using _cleanup = { [Symbol.dispose]: () => rmSync(scratch, { recursive: true }) };
  const path = join(scratch, 'vmcore');
  const whole = readFileSync(join(folder!, 'vmcore'));
  writeFileSync(path, whole.subarray(0, Math.floor(whole.length * 0.97)));
  using program = new Program({ dump: [path] });
  const { text } = await runLine(new Session(program), 'doctor');
  const [, address = '0'] = /^bad +file .*cut short: pages from physical address 0x([\da-f]+) on/m.exec(text) ?? [];
  const first = parseInt(address, 16);
  // The pages of 512 MiB stand in order: of the last 3 % of the file come the last pages only.
  expect(first).toBeGreaterThan(256 * 2 ** 20);
  const { memory } = program.dump;
  expect(() => memory.readPage(first / memory.pageSize)).toThrow();
});

test.skipIf(folder === undefined)('a whole dump is not', async () => {
  using program = new Program({ dump: [join(folder!, 'vmcore')] });
  const { text } = await runLine(new Session(program), 'doctor');
  expect(text).toMatch(/^ok +file +kdump-compressed$/m);
});
