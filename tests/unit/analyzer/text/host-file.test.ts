/** Files of the host that commands write. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { writeHostFile } from '../../../../analyzer/text/host-file.ts';
import { UsageError } from '../../../../capture/formats/errors.ts';

test('writes and extends a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-host-file-'));
  using _cleanup = { [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
  const path = join(folder, 'out');
  writeHostFile(path, 'a\n');
  writeHostFile(path, 'b\n', true);
  expect(readFileSync(path, 'utf8')).toBe('a\nb\n');
});

test('a folder that does not exist is an error of the command', () => {
  expect(() => writeHostFile('/no/such/folder/out', 'a')).toThrow(UsageError);
  expect(() => writeHostFile('/no/such/folder/out', 'a')).toThrow(/cannot write .*ENOENT/);
});
