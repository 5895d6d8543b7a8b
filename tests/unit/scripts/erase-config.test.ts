import { describe, expect, test } from 'vitest';

import { PageEraser } from '../../../capture/page-eraser.ts';
import { FormatError } from '../../../capture/formats/errors.ts';
import { parseEraseConfig } from '../../../scripts/commands/makedumpfile/erase-config.ts';

describe('parseEraseConfig', () => {
  test('reads the example of makedumpfile.conf(5)', () => {
    const sections = parseEraseConfig(
      `[mymodule]
erase array_var
erase mystruct1.buffer size 25
erase mystruct1.addr1 nullify
# Assuming addr2 points to 1024 bytes
erase mystruct1.addr2 size 1K
erase mystruct2.addr size mystruct2.addr_size
`,
      'conf',
    );
    expect(sections).toEqual([
      {
        module: 'mymodule',
        commands: [
          { kind: 'erase', path: 'array_var', size: { kind: 'by type' }, line: 2 },
          { kind: 'erase', path: 'mystruct1.buffer', size: { kind: 'bytes', size: 25 }, line: 3 },
          { kind: 'erase', path: 'mystruct1.addr1', size: { kind: 'nullify' }, line: 4 },
          { kind: 'erase', path: 'mystruct1.addr2', size: { kind: 'bytes', size: 1024 }, line: 6 },
          { kind: 'erase', path: 'mystruct2.addr', size: { kind: 'expression', path: 'mystruct2.addr_size' }, line: 7 },
        ],
      },
    ]);
  });

  test.each([
    ['for s in list via next', { via: 'next', within: undefined, list: 'list' }],
    ['for s in head.next within s1:list', { via: undefined, within: { struct: 's1', member: 'list' } }],
    ['for s in myarray', { via: undefined, within: undefined, list: 'myarray' }],
  ])('reads the loop %j', (line, expected) => {
    const [section] = parseEraseConfig(`${line}\n  erase s.private\nendfor`, 'conf');
    expect(section?.module).toBe('vmlinux');
    expect(section?.commands[0]).toMatchObject({ kind: 'for', id: 's', body: [{ path: 's.private' }], ...expected });
  });

  test.each([
    ['erase', 'line 1: not a filter command'],
    ['erase a size', 'line 1'],
    ['erase a size -5', 'line 1'],
    ['erase a b', 'line 1'],
    ['delete a', 'line 1'],
    ['\nendfor', 'line 2'],
    ['for a in b\nerase a', 'line 1: for without endfor'],
    ['for a in b\nfor c in d\nendfor\nendfor', 'line 2'],
    ['for a in b\n[module]\nendfor', 'line 2'],
  ])('refuses %j', (text, message) => {
    expect(() => parseEraseConfig(text, 'conf')).toThrow(FormatError);
    expect(() => parseEraseConfig(text, 'conf')).toThrow(message);
  });
});

describe('PageEraser', () => {
  test('fills with X or zeros what falls into a page, and leaves the original alone', () => {
    const page = new Uint8Array(4096).fill(7);
    const eraser = new PageEraser(
      [
        { paddr: 4096 + 10, size: 3, nullify: false },
        { paddr: 4096 + 20, size: 2, nullify: true },
      ],
      4096,
    );
    const erased = eraser.erase(1, page)!;
    expect([...erased.subarray(9, 14)]).toEqual([7, 0x58, 0x58, 0x58, 7]);
    expect([...erased.subarray(19, 23)]).toEqual([7, 0, 0, 7]);
    expect(page.every(byte => byte === 7)).toBe(true);
    expect(eraser.erase(0, page)).toBeUndefined();
  });

  test('erases a range over three pages in each of them', () => {
    const eraser = new PageEraser([{ paddr: 4095, size: 4098, nullify: false }], 4096);
    const counts = [0, 1, 2, 3].map(
      pfn => (eraser.erase(pfn, new Uint8Array(4096)) ?? []).filter(byte => byte === 0x58).length,
    );
    expect(counts).toEqual([1, 4096, 1, 0]);
  });
});
