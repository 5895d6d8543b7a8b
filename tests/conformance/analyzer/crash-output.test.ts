/**
 * The analyzer against what the real crash printed on the reference dumps, command by command.
 *
 * crash had the kernel's debug vmlinux; with one (`KDUMP_LAB_VMLINUX` names a folder of them, or Debian's -dbg package is
 * installed) everything is compared, without one everything that needs no line numbers and no static symbols.
 * What differs stands in `DIFFERENCES` with the reason; an entry that no longer differs fails the test too.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine, wholeText } from '../../../analyzer/shell.ts';
import { findDumpFolder, normalise, referenceCases } from '../../support/crash-reference.ts';
import { DIFFERENCES } from './differences.ts';

const DUMPS = [
  { name: 'aarch64-6.1', vmlinux: 'vmlinux-6.1.0-56-cloud-arm64' },
  { name: 'x86_64-6.1', vmlinux: 'vmlinux-6.1.0-56-cloud-amd64' },
] as const;

function findVmlinux(name: string): string | undefined {
  const folders = [process.env['KDUMP_LAB_VMLINUX'], '/usr/lib/debug/boot'].filter(folder => folder !== undefined);
  return folders.map(folder => join(folder, name)).find(path => existsSync(path));
}

/** Tasks that the reference session had chosen before a command. */
const CONTEXTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'aarch64-6.1': { 'search-u': 'set 140', 'dis-u': 'set 140' },
  'x86_64-6.1': { 'search-u': 'set 143', 'dis-u': 'set 143' },
};

for (const { name, vmlinux } of DUMPS) {
  const folder = findDumpFolder(name);
  const kernel = findVmlinux(vmlinux);
  if (folder === undefined) {
    test.skip(`${name}: no reference dump (looked beside the checkout and in KDUMP_LAB_DUMPS)`);
    continue;
  }
  suite(`${name}, from the dump alone`, folder, undefined, DIFFERENCES.alone);
  if (kernel === undefined)
    test.skip(`${name} with a vmlinux: ${vmlinux} is not in KDUMP_LAB_VMLINUX or /usr/lib/debug/boot`);
  else suite(`${name} with a vmlinux`, folder, kernel, {});
}

function suite(
  title: string,
  folder: string,
  vmlinux: string | undefined,
  more: Readonly<Record<string, string>>,
): void {
  const dump = folder.split('/').at(-1)!;
  const known: Readonly<Record<string, string>> = { ...DIFFERENCES.all, ...DIFFERENCES[dump as 'x86_64-6.1'], ...more };
  describe(title, () => {
    let program: Program | undefined;
    let session: Session | undefined;
    afterAll(() => program?.[Symbol.dispose]());

    test.each(referenceCases(folder))('$line', async ({ name, line, expected }) => {
      program ??= new Program({ dump: [join(folder, 'vmcore')], vmlinux });
      session ??= new Session(program);
      const context = CONTEXTS[dump]?.[name];
      const own = context === undefined ? session : new Session(program);
      if (context !== undefined) await runLine(own, context);
      const got = normalise(wholeText(await runLine(own, line)));
      if (known[name] === undefined) expect(got).toBe(normalise(expected));
      else if (!MAY_AGREE.has(name))
        expect(got, `listed as different (${known[name]}), but the same`).not.toBe(normalise(expected));
      await runLine(session, 'set radix 10');
    });
  });
}

/** Listed for one of the dumps or one of the two ways only: agreement elsewhere is no mistake. */
const MAY_AGREE = new Set(Object.keys(DIFFERENCES.alone));
