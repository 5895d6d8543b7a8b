/** Where crash is wrong: that it prints it is recorded in `CRASH_SLIPS`; that ours is right is tested, with the proof. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine } from '../../../analyzer/shell.ts';
import { findDumpFolder, normalise } from '../../support/crash-reference.ts';
import { CRASH_SLIPS } from './differences.ts';
import type { CrashSlip } from './differences.ts';

const VMLINUX = {
  'aarch64-6.1': 'vmlinux-6.1.0-56-cloud-arm64',
  'x86_64-6.1': 'vmlinux-6.1.0-56-cloud-amd64',
} as const;

const sessions = new Map<string, Session>();
afterAll(() => {
  for (const { program } of sessions.values()) program[Symbol.dispose]();
});

function findVmlinux(dump: CrashSlip['dump']): string | undefined {
  return [process.env['KDUMP_LAB_VMLINUX'], '/usr/lib/debug/boot']
    .filter(folder => folder !== undefined)
    .map(folder => join(folder, VMLINUX[dump]))
    .find(path => existsSync(path));
}

async function output(session: Session, line: string): Promise<string> {
  const { text } = await runLine(session, line);
  return normalise(text);
}

for (const slip of CRASH_SLIPS) {
  const { dump, line, why } = slip;
  const folder = findDumpFolder(dump);
  const vmlinux = slip.needsVmlinux === true ? findVmlinux(dump) : undefined;
  const title = `${dump}: ${line}: ${why}`;
  if (folder === undefined) test.skip(`${title} (no reference dump beside the checkout or in KDUMP_LAB_DUMPS)`);
  else if (slip.needsVmlinux === true && vmlinux === undefined)
    test.skip(`${title} (${VMLINUX[dump]} is not in KDUMP_LAB_VMLINUX or /usr/lib/debug/boot)`);
  else
    test(title, async () => {
      const key = `${dump} ${vmlinux ?? ''}`;
      const session = sessions.get(key) ?? new Session(new Program({ dump: [join(folder, 'vmcore')], vmlinux }));
      sessions.set(key, session);
      const ours = await output(session, line);
      expect(ours).toContain(slip.ours);
      expect(ours).not.toContain(slip.crash);
      expect(await output(session, slip.proof.line)).toContain(slip.proof.shows);
    });
}
