import { expect, test } from 'vitest';

import { withAdvice } from '../../../../scripts/lab/failure-advice.ts';
import type { Scenario } from '../../../../scripts/lab/scenario.ts';

const GUEST = { mode: 'guest', trigger: 'symbol' } as const;

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
  expect(withAdvice(failure, GUEST)).toMatch(expected);
});

test.each<[trigger: Scenario['trigger'], reason: string]>([
  ['symbol', 'it had not described itself yet (VMCOREINFO), as host mode needs it'],
  ['pvpanic', 'its pvpanic driver was not there yet: take --trigger symbol'],
  ['sysrq', "it was not sysrq's c: take --trigger symbol"],
])('a panic that host mode did not hear of by %s says why', (trigger, reason) => {
  const failure = 'the kernel panicked (VFS: no root) and no capture kernel was started';
  expect(withAdvice(failure, { mode: 'host', trigger })).toBe(`${failure}: ${reason}`);
  expect(withAdvice(failure, GUEST)).toBe(failure);
});
