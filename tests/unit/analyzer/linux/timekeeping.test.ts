/** Times as text. */
import { describe, expect, test } from 'vitest';

import { dateText, durationText } from '../../../../analyzer/linux/timekeeping.ts';

describe('dates', () => {
  // TZ=UTC LC_ALL=C date -d @SECONDS '+%a %b %e %T %Z %Y'
  test.each([
    [0, 'Thu Jan  1 00:00:00 UTC 1970'],
    [1_700_000_000, 'Tue Nov 14 22:13:20 UTC 2023'],
    [4_102_444_799, 'Thu Dec 31 23:59:59 UTC 2099'],
  ])('%i s read %s', (seconds, text) => {
    expect(dateText(seconds)).toBe(text);
  });

  test.each([1e13, -1e13, Number.NaN])('%d s, which no calendar has, are given as they are', seconds => {
    expect(dateText(seconds)).toBe(`(no date: ${seconds} s since 1970)`);
  });
});

test('durations show days only when there are any', () => {
  expect(durationText(3661)).toBe('01:01:01');
  expect(durationText(90_061)).toBe('1 days, 01:01:01');
});
