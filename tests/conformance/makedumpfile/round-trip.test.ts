/** Dumps that we write, read by makedumpfile; and the same files from both, byte by byte. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { openDump } from '../../../capture/sources/dump-file.ts';
import { makedumpfile } from '../../../scripts/commands/makedumpfile.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';

const folder = findDumpFolder('x86_64-6.1');
const reference = findReference();
const root = mkdtempSync(join(tmpdir(), 'kdump-lab-makedumpfile-'));
const HOOK_TIMEOUT_MS = 300_000;
const at = (name: string): string => join(root, name);
const vmcore = folder === undefined ? '' : join(folder, 'vmcore');

/** `KDUMP_LAB_MAKEDUMPFILE`, or Debian's. */
function findReference(): string | undefined {
  const path = process.env['KDUMP_LAB_MAKEDUMPFILE'] ?? 'makedumpfile';
  return spawnSync(path, ['-v']).status === 0 ? path : undefined;
}

async function ours(...args: string[]): Promise<void> {
  let messages = '';
  const terminal = { out: (text: string) => void (messages += text), err: (text: string) => void (messages += text) };
  expect([await makedumpfile(['-f', '--message-level', '6', ...args], terminal), messages]).toEqual([0, messages]);
}

function theirs(args: readonly string[], input?: string): void {
  const stdin = input === undefined ? 'ignore' : openSync(input, 'r');
  execFileSync(reference!, ['-f', '--message-level', '4', ...args], { stdio: [stdin, 'pipe', 'pipe'] });
}

/** Compares two dumps page by page; returns how many pages both have. */
function samePages(a: readonly string[], b: readonly string[]): number {
  using first = openDump(a);
  using second = openDump(b);
  let pages = 0;
  for (let pfn = 0; pfn < Math.max(first.memory.maxPfn, second.memory.maxPfn); pfn++) {
    const has = first.memory.hasPage(pfn);
    if (has !== second.memory.hasPage(pfn)) throw new Error(`only one has page ${pfn}`);
    if (!has) continue;
    pages++;
    if (Buffer.compare(first.memory.readPage(pfn), second.memory.readPage(pfn)) !== 0)
      throw new Error(`page ${pfn} differs`);
  }
  return pages;
}

const sameBytes = (a: string, b: string): boolean => readFileSync(at(a)).equals(readFileSync(at(b)));

afterAll(() => rmSync(root, { recursive: true }));

describe.skipIf(folder === undefined || reference === undefined)('with makedumpfile as the judge', () => {
  beforeAll(async () => {
    await ours('-E', vmcore, at('core'));
    theirs(['-d', '31', vmcore, at('theirs.d31')]);
  }, HOOK_TIMEOUT_MS);

  test('an ELF core that we make of a dump is filtered as the dump is', () => {
    theirs(['-d', '31', at('core'), at('filtered')]);
    expect(samePages([at('filtered')], [at('theirs.d31')])).toBeGreaterThan(10_000);
  });

  test.each([0, 1, 8, 16, 31])('ELF cores at level %i are the same files', async level => {
    theirs(['-E', '-d', String(level), at('core'), at('theirs.elf')]);
    await ours('-E', '-d', String(level), at('core'), at('ours.elf'));
    expect(sameBytes('ours.elf', 'theirs.elf')).toBe(true);
  });

  test.each(['-c', '-l'])('it reads our %s pages', async option => {
    await ours(option, '-d', '31', vmcore, at('ours'));
    theirs(['-d', '31', at('ours'), at('again')]);
    expect(samePages([at('again')], [at('theirs.d31')])).toBeGreaterThan(10_000);
  });

  test.each(['-p', '-z'])('our %s pages are the same pages', async option => {
    await ours(option, '-d', '31', vmcore, at('ours'));
    expect(samePages([at('ours')], [at('theirs.d31')])).toBeGreaterThan(10_000);
  });

  test('it reads our headers as its own', async () => {
    await ours('-d', '31', vmcore, at('ours'));
    expect(sameBytes('ours', 'theirs.d31')).toBe(true);
  });

  test('split parts are reassembled to the same file', async () => {
    const parts = [at('part1'), at('part2'), at('part3')];
    await ours('--split', '--splitblock-size', '1024', '-l', '-d', '31', vmcore, ...parts);
    expect(samePages(parts, [at('theirs.d31')])).toBeGreaterThan(10_000);
    theirs(['--reassemble', ...parts, at('theirs.whole')]);
    await ours('--reassemble', ...parts.toReversed(), at('ours.whole'));
    expect(sameBytes('ours.whole', 'theirs.whole')).toBe(true);
  });

  test('a flattened stream is rearranged to the same file', async () => {
    const script = join(import.meta.dirname, '../../../scripts/kdump-lab');
    const stream = execFileSync(script, ['makedumpfile', '-F', '-l', '-d', '31', '--message-level', '4', vmcore], {
      maxBuffer: 2 ** 30,
    });
    writeFileSync(at('flat'), stream);
    theirs(['-R', at('theirs.R')], at('flat'));
    await ours('-l', '-d', '31', vmcore, at('ours'));
    expect(sameBytes('theirs.R', 'ours')).toBe(true);
    execFileSync(script, ['makedumpfile', '-R', '-f', at('ours.R')], { input: stream });
    expect(sameBytes('ours.R', 'theirs.R')).toBe(true);
  });

  test('worker threads write the file that one thread writes', async () => {
    await ours('-c', '-d', '31', at('core'), at('one'));
    await ours('-c', '-d', '31', '--num-threads', '2', at('core'), at('two'));
    expect(sameBytes('one', 'two')).toBe(true);
  });

  test('a dump that does not fit is retried at the next level', async () => {
    await ours('-l', '-d', '0,31', '-L', '30M', at('core'), at('small'));
    expect(samePages([at('small')], [at('theirs.d31')])).toBeGreaterThan(10_000);
  });
});
