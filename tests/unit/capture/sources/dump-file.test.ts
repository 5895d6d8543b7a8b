import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { Program } from '../../../../analyzer/program.ts';
import { openDump } from '../../../../capture/sources/dump-file.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dumps-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(name: string, ...parts: readonly (string | Uint8Array)[]): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat(parts.map(part => Buffer.from(part))));
  return path;
}

/** Files of the folder that this process has open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(folder) ? [target] : [];
    } catch {
      // That of the listing itself.
      return [];
    }
  });
}

/** An ELF core of x86_64 without segments. */
const EMPTY_CORE = Buffer.concat([
  Buffer.from('7f454c4602010100000000000000000004003e00', 'hex'),
  Buffer.from('01000000'.padEnd(2 * 44, '0'), 'hex'),
]);

describe.skipIf(process.platform !== 'linux')('a dump that cannot be opened leaves no file open', () => {
  test.each<[string, () => unknown]>([
    ['of no known format', () => openDump([put('text', 'this is no dump')])],
    ['that is empty', () => openDump([put('empty')])],
    ['whose header is cut off', () => openDump([put('cut', 'KDUMP   ', new Uint8Array(16))])],
    [
      'whose flattened records are impossible',
      () => openDump([put('flat', 'makedumpfile', new Uint8Array(4200).fill(0x7f))]),
    ],
    ['of which a part is missing', () => openDump([put('part', 'KDUMP   '), join(folder, 'nowhere')])],
    ['that describes no kernel', () => new Program({ dump: [put('core', EMPTY_CORE)] })],
  ])('%s', (_, open) => {
    expect(open).toThrow();
    expect(openFiles()).toEqual([]);
  });
});
