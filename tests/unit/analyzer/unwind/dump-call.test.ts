import { expect, test } from 'vitest';

import { dumpCall } from '../../../../analyzer/unwind/dump-call.ts';

/** Calls on a stack, lowest first. */
function stack(names: string): Parameters<typeof dumpCall>[0] {
  return names.split(' ').map((name, index) => ({ name, slot: BigInt(8 * index), pc: 0n }));
}

// What crash 9.0.2's x86_64_get_dumpfile_stack_frame does with such a stack; the index of the call that it takes.
test.each<[stack: string, panicked: boolean, index: number | undefined]>([
  ['machine_kexec crash_kexec panic', true, 0],
  ['crash_kexec panic panic', true, 2],
  ['crash_kexec crash_kexec panic', true, 1],
  ['crash_kexec', true, 0],
  ['panic die', true, 1],
  ['die sysrq_handle_crash', true, undefined],
  ['die sysrq_handle_crash panic', true, 2],
  ['sysrq_handle_crash die', true, 1],
  ['crash_nmi_callback panic', false, 0],
  ['crash_nmi_callback panic', true, 1],
  ['sysrq_handle_crash', true, undefined],
])('of %s (panicked: %s) call %s', (names, panicked, index) => {
  const calls = stack(names);
  expect(dumpCall(calls, panicked)).toBe(index === undefined ? undefined : calls[index]);
});
