import { expect, test } from 'vitest';

import { withAdvice } from '../../../../scripts/lab/failure-advice.ts';

const notLoaded = (bytes: number): string =>
  `no capture kernel is loaded: kexec exited with 255 (${bytes} bytes are reserved)`;

test.each([
  [notLoaded(16_777_216), /: give a bigger --crashkernel$/],
  [notLoaded(0), /: the kernel had no room for it, give another --crashkernel or more --memory$/],
  [notLoaded(134_217_728), /reserved\)$/],
  ['the guest hangs', /^the guest hangs$/],
])('%s', (failure, expected) => {
  expect(withAdvice(failure)).toMatch(expected);
});
