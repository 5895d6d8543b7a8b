/** gdb itself on a machine without a kernel: registers, memory, steps and breakpoints. */
import { expect, test } from 'vitest';

import { gdb, hasGdb } from './debugged-machine.ts';

/** mov x0, #0; loop: add x0, x0, #1; b loop */
const LOOP = Uint32Array.of(0xd280_0000, 0x9100_0400, 0x17ff_ffff);
const PROGRAM = { architecture: 'aarch64', cpu: 'cortex-a57', program: new Uint8Array(LOOP.buffer) } as const;

test.skipIf(!hasGdb)('gdb steps, and sees what instructions do', async () => {
  const output = await gdb(PROGRAM, 'stepi', 'stepi', 'print $x0', 'print/x $pc', 'info threads', 'monitor hello');
  expect(output).toContain('$1 = 1\n');
  expect(output).toContain('$2 = 0x40000008\n');
  expect(output).toMatch(/CPU#0 EL1 \[running\]/);
  expect(output).toMatch(/CPU#1 EL\d \[off\]/);
});

test.skipIf(!hasGdb)('a breakpoint in a hot loop stops each time round', async () => {
  const output = await gdb(PROGRAM, 'break *0x40000004', ...Array.from({ length: 80 }, () => 'continue'), 'print $x0');
  expect(output).toContain('$1 = 79\n');
});

test.skipIf(!hasGdb)("gdb reads and writes physical memory in QEMU's mode for it, and finds bytes", async () => {
  const output = await gdb(
    PROGRAM,
    'maintenance packet qqemu.PhyMemMode',
    'maintenance packet Qqemu.PhyMemMode:1',
    'maintenance packet qqemu.PhyMemMode',
    'print/x *(int*)0x40000004',
    'set {int}0x40000010 = 0x12345678',
    'find /w 0x40000000, +0x10000, 0x12345678',
    'find /w 0x40001000, +0x1000, 0x12345678',
    'print/x *(int*)0x100000',
    'maintenance packet Qqemu.PhyMemMode:0',
    'print/x *(int*)0x40000010',
  );
  expect(output).toMatch(/received: "0"[^]*received: "OK"[^]*received: "1"/);
  expect(output).toContain('$1 = 0x91000400\n');
  expect(output).toMatch(/^0x40000010.*\n1 pattern found\.\nPattern not found\.\n/m);
  expect(output).toContain('$2 = 0x12345678\n');
});

test.skipIf(!hasGdb)('gdb writes registers, vectors and code', async () => {
  // mov x1, #7 over the loop's first instruction
  const output = await gdb(
    PROGRAM,
    'set $x5 = 0x1234',
    'print/x $x5',
    'set $v3.s.u[1] = 7',
    'print/x $v3.q.u',
    'set {int}0x40000004 = 0xd28000e1',
    'stepi',
    'stepi',
    'print $x1',
  );
  expect(output).toContain('$1 = 0x1234\n');
  expect(output).toContain('$2 = {0x700000000}\n');
  expect(output).toContain('$3 = 7\n');
});
