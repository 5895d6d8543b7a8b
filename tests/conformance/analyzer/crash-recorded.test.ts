/**
 * More of what the real crash prints on the reference dumps, recorded for commands and options that their own lists lack.
 *
 * `tests/fixtures/crash-9.0.2/*.txt` were made by Debian's crash 9.0.2 (for arm64 its arm64 build, under qemu-user) with the
 * kernel's debug vmlinux, TZ=UTC, each command's output redirected to a file. A line `crash+ COMMAND` begins what is the same
 * without a vmlinux, `crash> COMMAND` what needs one.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine, wholeText } from '../../../analyzer/shell.ts';
import { findDumpFolder, normalise, recordedCases } from '../../support/crash-reference.ts';

const DUMPS = [
  { name: 'x86_64-6.1', vmlinux: 'vmlinux-6.1.0-56-cloud-amd64' },
  { name: 'aarch64-6.1', vmlinux: 'vmlinux-6.1.0-56-cloud-arm64' },
] as const;

function findVmlinux(name: string): string | undefined {
  return [process.env['KDUMP_LAB_VMLINUX'], '/usr/lib/debug/boot']
    .filter(path => path !== undefined)
    .map(path => join(path, name))
    .find(path => existsSync(path));
}

for (const { name, vmlinux } of DUMPS) {
  const folder = findDumpFolder(name);
  const kernel = findVmlinux(vmlinux);
  if (folder === undefined) {
    test.skip(`no reference dump ${name} (looked beside the checkout and in KDUMP_LAB_DUMPS)`);
    continue;
  }
  suite(name, folder, undefined);
  if (kernel === undefined)
    test.skip(`${name} with a vmlinux: ${vmlinux} is not in KDUMP_LAB_VMLINUX or /usr/lib/debug/boot`);
  else suite(name, folder, kernel);
}

function suite(name: string, dumpFolder: string, kernel: string | undefined): void {
  const wanted = recordedCases(name).filter(({ needsVmlinux }) => kernel !== undefined || !needsVmlinux);
  describe(`${name} ${kernel === undefined ? 'from the dump alone' : 'with a vmlinux'}`, () => {
    let session: Session | undefined;
    afterAll(() => session?.program[Symbol.dispose]());

    test.each(wanted)('$line', async ({ line, expected }) => {
      session ??= new Session(new Program({ dump: [join(dumpFolder, 'vmcore')], vmlinux: kernel }));
      expect(normalise(wholeText(await runLine(session, line)))).toBe(normalise(expected));
    });
  });
}
