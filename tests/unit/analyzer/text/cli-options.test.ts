import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from 'vitest';

import { parseOptions } from '../../../../analyzer/text/cli-options.ts';
import { UsageError } from '../../../../capture/formats/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-options-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, contents: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, contents);
  return path;
}

const dump = file('vmcore', 'KDUMP   '.padEnd(4096, '\0'));
const vmlinux = file('vmlinux', Buffer.concat([Buffer.from('\x7fELF', 'latin1'), Buffer.alloc(60)]));
const map = file('System.map', 'ffffffff81000000 T startup_64\nffffffff81000000 T _stext\n');

describe("crash's command line", () => {
  test.each([[[vmlinux, dump]], [[dump, vmlinux]]])('tells the dump from the vmlinux in any order', words => {
    expect(parseOptions(words)).toMatchObject({ dump: [dump], vmlinux, systemMap: undefined });
  });

  test('takes a System.map by its contents, with -S or without', () => {
    expect(parseOptions([map, dump])).toMatchObject({ dump: [dump], vmlinux: undefined, systemMap: map });
    expect(parseOptions(['-S', map, dump])).toMatchObject({ dump: [dump], systemMap: map });
  });

  test('reads -S alone as crash does: the map of the host', () => {
    expect(parseOptions(['-S', dump])).toMatchObject({ dump: [dump], systemMap: '/boot/System.map' });
  });

  test('splits commands at semicolons and keeps input files apart', () => {
    const { commands, inputFiles } = parseOptions(['-c', 'bt; ps', '-i', 'one', '-i', 'two', dump]);
    expect(commands).toEqual(['bt', 'ps']);
    expect(inputFiles).toEqual(['one', 'two']);
  });

  test('takes RAM images with their addresses', () => {
    expect(parseOptions(['ram@0x40000000,more@0x80000000']).dump).toEqual(['ram@0x40000000,more@0x80000000']);
  });

  test('takes arguments of long options behind a blank or a sign', () => {
    expect(parseOptions(['--kaslr=auto', '--cpus', '2', dump]).values).toEqual(
      new Map([
        ['--kaslr', 'auto'],
        ['--cpus', '2'],
      ]),
    );
  });

  test.each([
    [['--nonsense', dump], /unknown option --nonsense/],
    [['-c'], /option -c wants an argument/],
    [['-k', dump], /option -k: LKCD/],
    [[vmlinux, vmlinux, dump], /only one vmlinux/],
    [[file('text', 'hello\n'), dump], /text: not a dump, a vmlinux or a System.map/],
  ])('%j is an error', (words, message) => {
    expect(() => parseOptions(words)).toThrow(UsageError);
    expect(() => parseOptions(words)).toThrow(message);
  });
});
