/**
 * More of what the real crash prints on the reference dump, recorded for commands and options that the dump's own list lacks.
 *
 * `tests/fixtures/crash-9.0.2/x86_64-6.1.txt` was made by Debian's crash 9.0.2 with the kernel's debug vmlinux, TZ=UTC, each
 * command's output redirected to a file. A line `crash+ COMMAND` begins what is the same without a vmlinux, `crash> COMMAND`
 * what needs one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine } from '../../../analyzer/shell.ts';
import { findDumpFolder, normalise } from '../../support/crash-reference.ts';

const FIXTURE = join(import.meta.dirname, '../../fixtures/crash-9.0.2/x86_64-6.1.txt');
const VMLINUX = 'vmlinux-6.1.0-56-cloud-amd64';

interface RecordedCase {
  readonly line: string;
  readonly needsVmlinux: boolean;
  readonly expected: string;
}

function recordedCases(): RecordedCase[] {
  const parts = readFileSync(FIXTURE, 'latin1')
    .split(/^crash([+>]) (.*)\n/m)
    .slice(1);
  return Array.from({ length: parts.length / 3 }, (_, index) => ({
    needsVmlinux: parts[3 * index] === '>',
    line: parts[3 * index + 1]!,
    expected: parts[3 * index + 2]!,
  }));
}

const folder = findDumpFolder('x86_64-6.1');
const vmlinux = [process.env['KDUMP_LAB_VMLINUX'], '/usr/lib/debug/boot']
  .filter(path => path !== undefined)
  .map(path => join(path, VMLINUX))
  .find(path => existsSync(path));

if (folder === undefined) test.skip('no reference dump x86_64-6.1 (looked beside the checkout and in KDUMP_LAB_DUMPS)');
else {
  suite('from the dump alone', folder, undefined, ({ needsVmlinux }) => !needsVmlinux);
  if (vmlinux === undefined) test.skip(`with a vmlinux: ${VMLINUX} is not in KDUMP_LAB_VMLINUX or /usr/lib/debug/boot`);
  else suite('with a vmlinux', folder, vmlinux, () => true);
}

function suite(
  title: string,
  dumpFolder: string,
  kernel: string | undefined,
  wanted: (entry: RecordedCase) => boolean,
): void {
  describe(title, () => {
    let session: Session | undefined;
    afterAll(() => session?.program[Symbol.dispose]());

    test.each(recordedCases().filter(wanted))('$line', async ({ line, expected }) => {
      session ??= new Session(new Program({ dump: [join(dumpFolder, 'vmcore')], vmlinux: kernel }));
      const { text, error, command } = await runLine(session, line);
      expect(normalise(error === undefined ? text : `${text}${command}: ${error}\n`)).toBe(normalise(expected));
    });
  });
}
