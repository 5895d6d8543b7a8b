import { describe, expect, test } from 'vitest';

import { FormatError } from '../../../../capture/formats/errors.ts';
import { parseDepends } from '../../../../kernel-images/debian/package-index.ts';
import { buildPackageTable, findInTable } from '../../../../kernel-images/debian/package-table.ts';

function stanza(name: string, version: string, extra = ''): string {
  return `Package: ${name}\nSource: src\nVersion: ${version}\n${extra}Filename: pool/main/${name}_${version}.deb\nSize: 123\nSHA256: ${'d'.repeat(64)}\n`;
}

const NAMES = ['a', 'kexec-tools', 'libc6', 'libc6-dev', 'linux-image-6.12.107+deb13-arm64', 'zlib1g', 'zzz'];
const TABLE = buildPackageTable(
  Buffer.from(
    NAMES.toReversed()
      .map(name => stanza(name, '1.0-1'))
      .join('\n'),
  ),
);

describe('package table', () => {
  test.each(NAMES)('finds %s', name => {
    expect(findInTable(TABLE, name)).toEqual({
      name,
      version: '1.0-1',
      depends: '',
      filename: `pool/main/${name}_1.0-1.deb`,
      size: 123,
      sha256: 'd'.repeat(64),
    });
  });

  test.each(['', '0', 'lib', 'libc', 'libc6-', 'libc66', 'zzzz', 'b'])('does not find %j', name => {
    expect(findInTable(TABLE, name)).toBeUndefined();
  });

  test('keeps the newest of several versions', () => {
    const table = buildPackageTable(Buffer.from([stanza('x', '1.10-1'), stanza('x', '1.9-1')].join('\n')));
    expect(findInTable(table, 'x')?.version).toBe('1.10-1');
  });

  test('joins Pre-Depends and Depends', () => {
    const table = buildPackageTable(Buffer.from(stanza('x', '1', 'Pre-Depends: libc6\nDepends: b, c | d\n')));
    expect(findInTable(table, 'x')?.depends).toBe('libc6, b, c | d');
  });

  test('says that a damaged table is damaged', () => {
    expect(() => findInTable(Buffer.from('x\tnonsense\n'), 'x')).toThrow(FormatError);
  });

  test('is empty for an empty index', () => {
    expect(findInTable(buildPackageTable(Buffer.from('')), 'x')).toBeUndefined();
  });
});

test('parseDepends drops versions and architectures and keeps alternatives', () => {
  expect(parseDepends('perl:any, libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0')).toEqual([
    ['perl'],
    ['libc6'],
    ['debconf', 'debconf-2.0'],
  ]);
});
