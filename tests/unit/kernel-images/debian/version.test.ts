import { spawnSync } from 'node:child_process';

import { describe, expect, test } from 'vitest';

import { compareVersions } from '../../../../kernel-images/debian/version.ts';

// deb-version(7) "Sorting algorithm", and versions that Debian really has.
const ORDERED: readonly (readonly [string, string])[] = [
  ['6.1.176-1', '6.1.192-2'],
  ['6.1.9-1', '6.1.10-1'],
  ['1.0~rc1-1', '1.0-1'],
  ['1.0-1', '1.0-1+b1'],
  ['2:0.9-1', '10:0.1-1'],
  ['9.9-1', '1:0.1-1'],
  ['1.0-1~bpo12+1', '1.0-1'],
  ['1:1.7.8-1', '1:1.7.9'],
  ['7.2~rc1-1', '7.2.13-1'],
  ['1.0a-1', '1.0+-1'],
];

describe('compareVersions', () => {
  test.each(ORDERED)('sorts %s before %s', (older, newer) => {
    expect(compareVersions(older, newer)).toBeLessThan(0);
    expect(compareVersions(newer, older)).toBeGreaterThan(0);
  });

  test('finds equal versions equal', () => {
    expect(compareVersions('1:2.0.25-3+deb12u3', '1:2.0.25-3+deb12u3')).toBe(0);
    expect(compareVersions('1.0', '1.00')).toBe(0);
  });

  test.each(ORDERED)('agrees with dpkg on %s and %s', (older, newer) => {
    const judge = spawnSync('dpkg', ['--compare-versions', older, 'lt', newer]);
    expect(judge.status).toBe(0);
  });
});
