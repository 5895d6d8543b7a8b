/** `makedumpfile` as a program: signals, full disks, pipes, folders that cannot be written. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { openDump } from '../../../../capture/sources/dump-file.ts';
import { dumpGuestMemory } from '../../../../capture/dump-guest-memory.ts';
import { FileSink } from '../../../../capture/output/dump-sink.ts';
import { PAGE_SIZE, machineState, pageContents } from '../../../support/synthetic-dump.ts';

const PROGRAM = fileURLToPath(new URL('../../../../scripts/kdump-lab', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-makedumpfile-'));
afterAll(() => rmSync(folder, { recursive: true }));

const BIG_BYTES = 256 * 2 ** 20;

beforeAll(async () => {
  await dumpGuestMemory(machineState(), new FileSink(join(folder, 'core')), { format: 'elf' });
  const noise = Buffer.concat(Array.from({ length: 256 }, (_, pfn) => pageContents(5 * pfn + 5)));
  const read = (paddr: number, length: number) => noise.subarray(paddr % PAGE_SIZE, (paddr % PAGE_SIZE) + length);
  const big = machineState({ ram: [{ start: 0, end: BIG_BYTES }], read });
  const sink = new FileSink(join(folder, 'big'));
  await dumpGuestMemory(big, sink, { format: 'elf' });
  sink.commit();
});

function run(...args: string[]) {
  return spawnSync(PROGRAM, ['makedumpfile', '--message-level', '6', ...args], { cwd: folder, encoding: 'utf8' });
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s in the middle leaves nothing', async signal => {
  const child = spawn(PROGRAM, ['makedumpfile', '-c', 'big', 'out'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let shown = '';
  child.stderr.on('data', (bytes: Buffer) => {
    shown += bytes.toString();
  });
  const ended = new Promise<number | null>(resolve => child.on('close', resolve));
  // Under way: the file has its temporary name, and some pages are in it.
  const isUnderWay = () =>
    readdirSync(folder).some(name => name.startsWith('out.') && statSync(join(folder, name)).size > 2 ** 20);
  while (!isUnderWay()) await new Promise(resolve => setTimeout(resolve, 10));
  child.kill(signal);
  expect(await ended).toBe(130);
  expect(shown).toMatch(/kdump-lab: interrupted\n$/);
  expect(readdirSync(folder).toSorted()).toEqual(['big', 'core']);
});

describe('a dump that cannot be written', () => {
  test.each([
    [
      'into a folder that is not there',
      'nowhere/out',
      /^Can't open the dump file\(nowhere\/out\)\. No such file or directory$/m,
    ],
    ['under a file', 'core/out', /^Can't open the dump file\(core\/out\)\. Not a directory$/m],
    ['onto a folder', '.', /^Can't open the dump file \(\.\)\. File exists$/m],
    ['onto a full device', '/dev/full', /^Can't write the dump file\(\/dev\/full\)\. No space left on device$/m],
  ])('%s is one line and status 1', (_, target, message) => {
    const force = target === '/dev/full' ? ['-f'] : [];
    const { status, stdout, stderr } = run(...force, 'core', target);
    expect([status, stdout + stderr]).toEqual([1, expect.stringMatching(message)]);
    expect(stdout).toMatch(/makedumpfile Failed\.\n$/);
    expect(stdout + stderr).not.toContain('    at ');
    expect(readdirSync(folder).toSorted()).toEqual(['big', 'core']);
  });

  test('to a standard output that is full', () => {
    const line = `${PROGRAM} makedumpfile -F --message-level 6 core > /dev/full`;
    const { status, stderr } = spawnSync('sh', ['-c', line], { cwd: folder, encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toContain("Can't write the dump file(STDOUT). No space left on device\n");
  });

  test('because it is limited has its name, is flagged, and can be opened', () => {
    const { status, stdout } = run('-L', '500K', 'core', 'out');
    expect(status).toBe(1);
    expect(stdout).toContain("Can't write the dump file(out). Size limit(512000) reached.\n");
    expect(stdout).toContain('This is an incomplete dumpfile, but might analyzable.\n');
    expect(statSync(join(folder, 'out')).size).toBeLessThanOrEqual(512_000);
    using dump = openDump([join(folder, 'out')]);
    expect(dump.incomplete).toBe(true);
    rmSync(join(folder, 'out'));
  });
});

test.each([
  [['-d', '32', 'core', 'out'], 'Dump_level(32) is invalid.\n\nmakedumpfile Failed.\n'],
  [['-L', '0', 'core', 'out'], 'Limit size(0) is invalid.\n\nmakedumpfile Failed.\n'],
  [['--check-params', '-d', '32', 'core', 'out'], 'Dump_level(32) is invalid.\n'],
  [['--check-params', '--message', '7', 'core', 'out'], ''],
])('%j says what makedumpfile says', (args, expected) => {
  const { status, stdout } = run(...args);
  expect([stdout, status]).toEqual([expected, expected === '' ? 0 : 1]);
});

test('does not overwrite without -f', () => {
  writeFileSync(join(folder, 'mine'), 'mine');
  expect(run('core', 'mine').stderr).toBe("Can't open the dump file (mine). File exists\n");
  expect(statSync(join(folder, 'mine')).size).toBe(4);
  rmSync(join(folder, 'mine'));
});
