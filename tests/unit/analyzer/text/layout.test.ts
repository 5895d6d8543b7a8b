import { expect, test } from 'vitest';

import { bytesText, fixed1 } from '../../../../analyzer/text/layout.ts';

// what printf(3) makes of "%.1f"
test.each([
  [0.25, '0.2'],
  [0.75, '0.8'],
  [1.25, '1.2'],
  [2.25, '2.2'],
  [0.05, '0.1'],
  [0.35, '0.3'],
  [99.95, '100.0'],
  [3, '3.0'],
])('%d with one digit is %s', (value, text) => {
  expect(fixed1(value)).toBe(text);
});

test('sizes lose a fraction of zero', () => {
  expect([576 * 4096, 512 * 2 ** 20, 900].map(bytesText)).toEqual(['2.2 MB', '512 MB', '900 bytes']);
});
