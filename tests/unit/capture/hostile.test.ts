/** Damaged dumps: every command ends with a result or with one line, never with an exception of ours or a hang. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { makedumpfile } from '../../../scripts/commands/makedumpfile.ts';
import { hostileDump, hostileVmcoreinfo } from '../../support/hostile-dump.ts';
import { PAGE_SIZE } from '../../support/synthetic-dump.ts';

const RUNS = 150;
const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-hostile-'));
const input = join(folder, 'input');
const output = join(folder, 'output');

const COMMANDS = [
  ['-l', '-d', '31', input, output],
  ['-E', '-d', '31', input, output],
  ['--dump-dmesg', input, output],
  ['--mem-usage', input],
  ['--reassemble', input, output],
];

/** Runs all commands: each must end with 0 or 1, and with words when it fails. */
async function survives(bytes: Uint8Array): Promise<void> {
  writeFileSync(input, bytes);
  for (const command of COMMANDS) {
    let messages = '';
    const print = (text: string): void => void (messages += text);
    const code = await makedumpfile(['-f', '--message-level', '6', ...command], { out: print, err: print });
    expect([0, 1]).toContain(code);
    if (code === 1) expect(messages).toMatch(/\S+.*\n[^]*makedumpfile Failed/);
    expect(messages).not.toContain('    at ');
  }
}

afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
  ['x86_64', 'elf'],
  ['x86_64', 'lzo'],
  ['aarch64', 'elf'],
  ['aarch64', 'lzo'],
] as const)('%s, %s', (architecture, format) => {
  let whole: Uint8Array;

  beforeAll(async () => {
    whole = await hostileDump(architecture, format);
  });

  test('is read while it is whole', async () => {
    await survives(whole);
  });

  test('survives changed bytes in headers', async () => {
    const change = fc.tuple(fc.nat(3 * PAGE_SIZE), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async changes => {
        const bytes = new Uint8Array(whole);
        for (const [offset, value] of changes) bytes[offset] = value;
        await survives(bytes);
      }),
      { numRuns: RUNS },
    );
  });

  test('survives a cut anywhere', async () => {
    for (const length of [1, 15, 63, 64, 463, 464, 4095, 4096, 4200, 8192, 12_288, 16_384, 20_000, 300_000])
      await survives(whole.subarray(0, length));
  });

  test('survives VMCOREINFO that lies', async () => {
    const lines = hostileVmcoreinfo(architecture).trimEnd().split('\n');
    const value = fc.constantFrom(
      '0',
      '1',
      '-1',
      '7',
      '63',
      '64',
      '4095',
      '65536',
      '999999999999999',
      'ffffffffffffffff',
      '0x7fffffffffffffff',
      '',
      'x',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(lines.length - 1), value), { minLength: 1, maxLength: 3 }),
        async changes => {
          const changed = [...lines];
          for (const [index, text] of changes) changed[index] = `${changed[index]!.split('=')[0]}=${text}`;
          await survives(await hostileDump(architecture, format, `${changed.join('\n')}\n`));
        },
      ),
      { numRuns: RUNS },
    );
  });
});
