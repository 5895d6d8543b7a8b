/**
 * Dumps that were not written to their end, as makedumpfile leaves them when the disk is full: flag 8 is set, the
 * descriptors of the pages that are missing are zeros and the file ends behind the last page. Recorded from Debian's crash
 * 9.0.2 with `--zero_excluded`, which without that option does not open such a dump: its page tables are at the end.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine, wholeText } from '../../../analyzer/shell.ts';
import { zeroExcluded } from '../../../analyzer/text/zero-excluded.ts';
import { openDump } from '../../../capture/sources/dump-file.ts';
import { findDumpFolder, normalise, recordedCases } from '../../support/crash-reference.ts';

/** `struct disk_dump_header`, `page_desc_t`; makedumpfile `diskdump_mod.h`. */
const HEADER = { status: 424, blockSize: 428, subBlocks: 432, bitmapBlocks: 436 } as const;
const INCOMPLETE = 8;
const DESCRIPTOR = 24;

/** The first pages of a kdump-compressed file. */
function truncated(file: Buffer, pages: number): Buffer {
  const { status, blockSize, subBlocks, bitmapBlocks } = HEADER;
  const blocks = 1 + file.readUInt32LE(subBlocks) + file.readUInt32LE(bitmapBlocks);
  const descriptors = blocks * file.readUInt32LE(blockSize);
  const end = (index: number): number => {
    const at = descriptors + DESCRIPTOR * index;
    return Number(file.readBigUInt64LE(at)) + file.readUInt32LE(at + 8);
  };
  const firstPage = Number(file.readBigUInt64LE(descriptors));
  const length = Array.from({ length: pages }, (_, index) => end(index)).reduce((most, at) => Math.max(most, at), 0);
  const cut = Buffer.from(file.subarray(0, length));
  cut.writeUInt32LE(cut.readUInt32LE(status) | INCOMPLETE, status);
  cut.fill(0, descriptors + DESCRIPTOR * pages, firstPage);
  return cut;
}

const folder = findDumpFolder('x86_64-6.1');
/** Of 98,171: what is missing are the last 800 KiB of memory, with page tables, a module and 17 tasks. */
const KEPT_PAGES = 97_974;

if (folder === undefined) test.skip('no reference dump x86_64-6.1 (looked beside the checkout and in KDUMP_LAB_DUMPS)');
else {
  const work = mkdtempSync(join(tmpdir(), 'incomplete-'));
  const path = join(work, 'vmcore');
  writeFileSync(path, truncated(readFileSync(join(folder, 'vmcore')), KEPT_PAGES));
  const program = new Program({ dump: [path] });
  const session = new Session(program);
  const withZeros = new Session(new Program({ dump: zeroExcluded(openDump([path])) }));
  afterAll(() => {
    program[Symbol.dispose]();
    withZeros.program[Symbol.dispose]();
    rmSync(work, { recursive: true });
  });

  describe('with --zero_excluded', () => {
    test.each(recordedCases('x86_64-6.1.incomplete'))('$line', async ({ line, expected }) => {
      expect(normalise(wholeText(await runLine(withZeros, line)))).toBe(normalise(expected));
    });
  });

  test('says at the start that the dump is incomplete, and what helps', () => {
    expect(program.warnings).toContainEqual(expect.stringMatching(/vmcore is incomplete: .*--zero_excluded/));
  });

  test('names the page that is missing as crash does', async () => {
    const task = 'ffff8f3f1ff5c800';
    const { error } = await runLine(session, `rd ${task}`);
    expect(error).toBe(`page incomplete: kernel virtual address: ${task}  type: "64-bit KVADDR"`);
  });

  test('reads what is mapped by tables that are missing', async () => {
    const whole = new Session(new Program({ dump: [join(folder, 'vmcore')] }));
    for (const line of ['bt', 'log', 'rd ffff8f3f025a9660']) {
      const { text, error } = await runLine(session, line);
      expect({ text, error }).toEqual({ text: (await runLine(whole, line)).text, error: undefined });
    }
    whole.program[Symbol.dispose]();
  });

  test.each([
    'sys',
    'ps',
    'ps -m',
    'foreach bt',
    'kmem -i',
    'kmem -s',
    'kmem -f',
    'mod',
    'net',
    'timer',
    'runq',
    'swap',
  ])('%s goes on behind what it cannot read', async line => {
    const { text, error } = await runLine(session, line);
    expect(error).toBeUndefined();
    expect(text).not.toBe('');
  });
}
