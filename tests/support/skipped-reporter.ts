/** The closing lines of a test run say which tests were skipped, and why: the condition at the test, in words where it is a known one. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

import type { Reporter, TestModule, Vitest } from 'vitest/node';

/** Conditions of `skipIf`, and what is missing when they hold. */
const REASONS: readonly (readonly [condition: RegExp, reason: string])[] = [
  [/isInstalled\(QEMU/, 'QEMU is not installed'],
  [/isInstalled\(IASL/, 'iasl (acpica-tools) is not installed'],
  [/HAS_DTC|HAS_FDTPUT/, 'dtc (device-tree-compiler) is not installed'],
  [/HAS_READELF/, 'readelf (binutils) is not installed'],
  [/hasGdb/, 'gdb-multiarch is not installed'],
  [/hasSshd/, 'sshd (openssh-server) is not installed'],
  [/hasNfsServer/, 'nfs-ganesha (nfs-ganesha-vfs) is not installed, or may not open files by handle'],
  [/hasScript/, 'script(1) (bsdutils) is not installed'],
  [/getuid|hasMount/, 'only root can mount a small file system'],
  [/typeof (api|native)/, 'the reason is in a test of its own'],
  [/folder|aarch64 ===|va52|findDumpFolder|missing/, 'there are no reference dumps (KDUMP_LAB_DUMPS)'],
];

/** What a test file says about skipping. */
function reasonsIn(file: string): string {
  const conditions = [...readFileSync(file, 'utf8').matchAll(/\.(?:skipIf|runIf)\((.*)/g)].map(match => match[1]!);
  const reasons = conditions.map(
    condition => REASONS.find(([pattern]) => pattern.test(condition))?.[1] ?? `condition ${condition}`,
  );
  return [...new Set(reasons)].join('; ') || 'see the names';
}

/** Prints the list behind the summary; nothing when tests were chosen by name. */
export default class SkippedReporter implements Reporter {
  #isFiltered = false;

  onInit(vitest: Vitest): void {
    this.#isFiltered = vitest.config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    if (this.#isFiltered) return;
    const lines = modules.flatMap(module => {
      const names = [...module.children.allTests('skipped')].map(test => test.fullName);
      if (names.length === 0) return [];
      const shown = names.length > 3 ? [...names.slice(0, 3), `and ${names.length - 3} more`] : names;
      return [
        ` ${relative(process.cwd(), module.moduleId)}: ${reasonsIn(module.moduleId)}`,
        ...shown.map(name => `   ${name}`),
      ];
    });
    if (lines.length > 0) process.stdout.write(`\nSkipped:\n${lines.join('\n')}\n`);
  }
}
