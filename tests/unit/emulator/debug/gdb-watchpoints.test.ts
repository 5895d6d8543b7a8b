/** gdb's watchpoints, on machines without a kernel. */
import { expect, test } from 'vitest';

import { gdb, hasGdb } from './debugged-machine.ts';

/** adr x1, . + 64; mov x0, #0; loop: add x0, x0, #1; str x0, [x1]; ldr x2, [x1]; b loop */
const A64_LOOP = {
  architecture: 'aarch64',
  cpu: 'cortex-a57',
  program: bytesOf(0x1000_0201, 0xd280_0000, 0x9100_0400, 0xf900_0020, 0xf940_0022, 0x17ff_fffd),
} as const;

/** mov ebx, 0x2000; xor eax, eax; loop: inc eax; mov [ebx], eax; mov ecx, [ebx]; jmp loop */
const X64_LOOP = {
  architecture: 'x86_64',
  cpu: 'qemu64',
  program: Uint8Array.of(0xbb, 0x00, 0x20, 0, 0, 0x31, 0xc0, 0xff, 0xc0, 0x89, 0x03, 0x8b, 0x0b, 0xeb, 0xf8),
} as const;

function bytesOf(...words: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(words).buffer);
}

test.skipIf(!hasGdb)('watch stops behind the store, with the old and the new value', async () => {
  const output = await gdb(A64_LOOP, 'watch *(long *)0x40000040', 'continue', 'continue', 'print/x $pc');
  expect(output).toMatch(/Hardware watchpoint 1[^]*Old value = 0\nNew value = 1[^]*Old value = 1\nNew value = 2/);
  expect(output).toContain('$1 = 0x40000010\n');
});

test.skipIf(!hasGdb)('rwatch stops at the load only', async () => {
  const output = await gdb(A64_LOOP, 'rwatch *(long *)0x40000040', 'continue', 'print/x $pc', 'print $x0');
  expect(output).toMatch(/Hardware read watchpoint 1[^]*Value = 1/);
  expect(output).toContain('$1 = 0x40000014\n');
});

test.skipIf(!hasGdb)('awatch stops at both, also while stepping', async () => {
  const output = await gdb(A64_LOOP, 'awatch *(long *)0x40000040', 'stepi 4', 'print/x $pc', 'continue', 'print/x $pc');
  expect(output).toMatch(/Hardware access \(read\/write\) watchpoint 1/);
  expect(output).toContain('$1 = 0x40000010\n');
  expect(output).toContain('$2 = 0x40000014\n');
});

test.skipIf(!hasGdb)('other bytes of a watched page are accessed without a stop', async () => {
  const output = await gdb(A64_LOOP, 'watch *(int *)0x40000060', 'break *0x40000014', 'continue', 'print/x $pc');
  expect(output).toContain('$1 = 0x40000014\n');
});

test.skipIf(!hasGdb)('x86_64 stops behind the store', async () => {
  const output = await gdb(X64_LOOP, 'watch *(int *)0x2000', 'continue', 'continue', 'print/x $rip', 'print $rax');
  expect(output).toMatch(/Old value = 0\nNew value = 1[^]*Old value = 1\nNew value = 2/);
  expect(output).toContain('$1 = 0x100b\n');
  expect(output).toContain('$2 = 2\n');
});

test.skipIf(!hasGdb)('x86_64 stops at a byte that REP STOSB comes to', async () => {
  // mov edi, 0x2000; mov ecx, 0x100; mov al, 7; rep stosb; jmp .
  const program = Uint8Array.of(0xbf, 0, 0x20, 0, 0, 0xb9, 0, 1, 0, 0, 0xb0, 7, 0xf3, 0xaa, 0xeb, 0xfe);
  const machine = { architecture: 'x86_64', cpu: 'qemu64', program } as const;
  const output = await gdb(
    machine,
    'watch *(char *)0x2080',
    'continue',
    'print *(char *)0x2080',
    'print *(char *)0x207f',
  );
  expect(output).toMatch(/Old value = 0[^]*New value = 7/);
  expect(output).toContain("$1 = 7 '\\a'\n");
  expect(output).toContain("$2 = 7 '\\a'\n");
});

test.skipIf(!hasGdb)('x86_64 breakpoints stop where they are, in a hot loop too', async () => {
  const rounds = Array.from({ length: 80 }, () => 'continue');
  const output = await gdb(X64_LOOP, 'break *0x100b', ...rounds, 'print $rax', 'stepi', 'print/x $rip');
  expect(output).toContain('$1 = 80\n');
  expect(output).toContain('$2 = 0x100d\n');
});

test.skipIf(!hasGdb)('a breakpoint at the target of an indirect branch stops on a CPU with FEAT_BTI', async () => {
  // adr x1, . + 16; loop: blr x1; b loop; …; at + 16: add x0, x0, #1; ret
  const program = bytesOf(0x1000_0081, 0xd63f_0020, 0x17ff_ffff, 0xd503_201f, 0x9100_0400, 0xd65f_03c0);
  const rounds = Array.from({ length: 80 }, () => 'continue');
  const output = await gdb(
    { architecture: 'aarch64', cpu: 'max', program },
    'break *0x40000010',
    ...rounds,
    'print $x0',
    'print/x $pc',
    'print/x ($cpsr >> 10) & 3',
  );
  expect(output).toContain('$1 = 79\n');
  expect(output).toContain('$2 = 0x40000010\n');
  // BLR
  expect(output).toContain('$3 = 0x2\n');
});
