/** Dump formats as makedumpfile writes them: each rewriting of a reference dump has the same pages. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from 'vitest';

import { openDump } from '../../../capture/sources/dump-file.ts';
import type { Dump } from '../../../capture/sources/dump-file.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';

const folder = findDumpFolder('x86_64-6.1');
const MAKEDUMPFILE = '/usr/bin/makedumpfile';
const missing =
  folder === undefined ? 'no reference dump' : existsSync(MAKEDUMPFILE) ? undefined : 'makedumpfile is not installed';

describe.skipIf(missing !== undefined)(
  `makedumpfile's formats${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    const scratch = mkdtempSync(join(tmpdir(), 'kdump-lab-formats-'));
    afterAll(() => rmSync(scratch, { recursive: true }));
    const source = join(folder ?? '', 'vmcore');

    test('reads pages compressed with lzo', () => {
      const path = join(scratch, 'lzo');
      execFileSync(MAKEDUMPFILE, ['-l', '-d', '31', source, path], { stdio: 'ignore' });
      expectSamePages([path]);
    });

    test('reads a flattened dump', () => {
      const path = join(scratch, 'flat');
      execFileSync(MAKEDUMPFILE, ['-F', '-c', '-d', '31', source], {
        stdio: ['ignore', openSync(path, 'w'), 'ignore'],
      });
      expectSamePages([path]);
    });

    test('reads a dump that is split over two files', () => {
      const paths = [join(scratch, 'part1'), join(scratch, 'part2')];
      execFileSync(MAKEDUMPFILE, ['--split', '-c', '-d', '31', source, ...paths], { stdio: 'ignore' });
      expectSamePages(paths);
    });

    function expectSamePages(paths: readonly string[]): void {
      using original = openDump([source]);
      using rewritten = openDump(paths);
      const compared = comparePages(original, rewritten);
      expect(compared).toBeGreaterThan(5000);
      expect(rewritten.vmcoreinfo?.osRelease).toBe(original.vmcoreinfo?.osRelease);
      expect(rewritten.notes.filter(({ name }) => name === 'CORE')).toHaveLength(2);
    }
  },
);

/** Compares every third page that both have. Returns how many there were. */
function comparePages(original: Dump, rewritten: Dump): number {
  let compared = 0;
  for (let pfn = 0; pfn < original.memory.maxPfn; pfn += 3) {
    if (!rewritten.memory.hasPage(pfn) || !original.memory.hasPage(pfn)) continue;
    const same = Buffer.compare(rewritten.memory.readPage(pfn), original.memory.readPage(pfn)) === 0;
    if (!same) throw new Error(`page ${pfn} differs`);
    compared++;
  }
  return compared;
}
