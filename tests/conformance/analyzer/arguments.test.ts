/**
 * Arguments without a vmlinux: the panic of the reference dumps was `echo c > /proc/sysrq-trigger`, so the shell was in
 * write(1, "c\n", 2).
 */
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine } from '../../../analyzer/shell.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';

for (const name of ['aarch64-6.1', 'x86_64-6.1']) {
  const folder = findDumpFolder(name);
  if (folder === undefined) {
    test.skip(`${name}: no reference dump`);
    continue;
  }

  describe(name, () => {
    test('the panicking task is shown in write(2), with the buffer that holds the letter', async () => {
      using program = new Program({ dump: [join(folder, 'vmcore')] });
      const session = new Session(program);
      const { text } = await runLine(session, 'bt --args');
      const [, buffer] = /\[system call write\(fd=1, buf=0x([\da-f]+), count=2\)\]$/m.exec(text) ?? [];
      expect(buffer).toBeDefined();
      const memory = await runLine(session, `rd -u -8 ${buffer!} 2`);
      expect(memory.text).toContain('63 0a');
    });

    test('no kernel thread is said to be in a system call', async () => {
      using program = new Program({ dump: [join(folder, 'vmcore')] });
      const { text } = await runLine(new Session(program), 'foreach kernel bt --args');
      expect(text).not.toContain('system call');
    });
  });
}

const folder = findDumpFolder('x86_64-6.1');

test.skipIf(folder === undefined)('the registers of an NMI in user space are no system call', async () => {
  using program = new Program({ dump: [join(folder!, 'vmcore')] });
  const { text } = await runLine(new Session(program), 'bt --args 150');
  expect(text).toContain('exc_nmi');
  expect(text).not.toContain('system call');
});
