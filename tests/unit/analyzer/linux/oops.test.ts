import { describe, expect, test } from 'vitest';

import { crashPanicLine, faultingPlace, incidentLines } from '../../../../analyzer/linux/oops.ts';

/** Wording of Linux v6.1's messages, shortened. */
const X86 = [
  'NMI watchdog: Perf NMI watchdog permanently disabled',
  'Freeing unused kernel image (initmem) memory: 2680K',
  'BUG: kernel NULL pointer dereference, address: 0000000000000008',
  'Oops: 0002 [#1] PREEMPT SMP PTI',
  'CPU: 0 PID: 77 Comm: insmod Not tainted 6.1.0 #1',
  'RIP: 0010:ext4_writepages+0x1c4/0x9a0 [ext4]',
  'RIP: 0033:0x7f1c2e0a5c27',
  'Kernel panic - not syncing: Fatal exception',
];
const ARM64 = [
  'Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000',
  'Internal error: Oops: 96000004 [#1] SMP',
  'pc : sysrq_handle_crash+0x24/0x30',
  'lr : __handle_sysrq+0x90/0x1b0',
];

describe('the incident in a log', () => {
  test('begins with the first message of the crash, not with the watchdog that was set up at boot', () => {
    expect(incidentLines(X86)[0]).toBe(X86[2]);
    expect(incidentLines(X86)).toHaveLength(6);
  });

  test('leaves out an earlier incident that is far away', () => {
    const quiet = Array.from({ length: 300 }, (_, index) => `line ${index}`);
    expect(incidentLines([...X86, ...quiet, ...ARM64])).toEqual(ARM64);
  });

  test('is empty in a log without one', () => {
    expect(incidentLines(X86.slice(0, 2))).toEqual([]);
  });
});

describe('the place of the fault', () => {
  test('is the kernel code of x86, not the user code behind it', () => {
    expect(faultingPlace(X86)).toEqual({ symbol: 'ext4_writepages', offset: 0x1c4 });
    expect(faultingPlace(['RIP: 0033:0x7f1c2e0a5c27'])).toBeUndefined();
  });

  test('is the pc of arm64, not the lr', () => {
    expect(faultingPlace(ARM64)).toEqual({ symbol: 'sysrq_handle_crash', offset: 0x24 });
  });
});

/** Logs of Debian's 6.1 kernel, shortened, and what crash 9.0.2 printed of each. */
describe("crash's PANIC", () => {
  const SYSRQ = 'sysrq: Trigger a crash';

  test('is the text with the highest rank, not the first line of the incident', () => {
    const log = [
      SYSRQ,
      'BUG: kernel NULL pointer dereference, address: 0000000000000000',
      'Oops: 0000 [#1] PREEMPT SMP',
    ];
    expect(crashPanicLine(log, false)).toBe('Oops: 0000 [#1] PREEMPT SMP');
  });

  test('is the first line of several with the same text', () => {
    const log = [
      SYSRQ,
      'Kernel panic - not syncing: sysrq triggered crash',
      '---[ end Kernel panic - not syncing: x ]---',
    ];
    expect(crashPanicLine(log, false)).toBe(log[1]);
  });

  test('is missing when sysrq stands before a trap that crash has no text for', () => {
    expect(crashPanicLine([SYSRQ, 'invalid opcode: 0000 [#1] PREEMPT SMP NOPTI'], false)).toBeUndefined();
  });
});
