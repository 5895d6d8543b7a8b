import { expect, test } from 'vitest';

import { withAdvice } from '../../../../scripts/lab/failure-advice.ts';

const notLoaded = (bytes: number): string =>
  `no capture kernel is loaded: kexec exited with 255 (${bytes} bytes are reserved)`;

test.each([
  [notLoaded(16_777_216), /: give a bigger --crashkernel$/],
  [notLoaded(0), /: the kernel had no room for it, give another --crashkernel or more --memory$/],
  [notLoaded(134_217_728), /reserved\)$/],
  [
    'the kernel reserved no memory for a capture kernel (see crashkernel= and its log)',
    /: give it more --memory, or less --crashkernel$/,
  ],
  ['the guest hangs', /^the guest hangs$/],
])('%s', (failure, expected) => {
  expect(withAdvice(failure)).toMatch(expected);
});

test('a panic that host mode could not see coming says why', () => {
  const failure = 'the kernel panicked (VFS: no root) and no capture kernel was started';
  expect(withAdvice(failure, 'host')).toBe(
    `${failure}: it had not described itself yet (VMCOREINFO), as host mode needs it`,
  );
  expect(withAdvice(failure, 'guest')).toBe(failure);
});
