/** The purgatory's code runs on our arm64 board; SHA-256 by Node's crypto is the judge. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { VirtBoard } from '../../../emulator/machine/virt-aarch64/board.ts';
import { buildPurgatory } from '../../../kexec/purgatory.ts';
import { segmentsDigest } from '../../../kexec/verification.ts';
import type { KexecSegment } from '../../../kexec/segments.ts';

const PURGATORY = 0x4010_0000;
const KERNEL = 0x4020_0000;
const DTB = 0x4030_0000;
/** `b .`: a kernel that waits. */
const SPIN = Uint8Array.of(0, 0, 0, 0x14);
const MILLISECOND = 1e6;

const SEGMENTS: readonly KexecSegment[] = [
  { name: 'kernel', bytes: Buffer.concat([SPIN, Buffer.alloc(5000, 'kernel')]), mem: KERNEL, memsz: 0x3000 },
  { name: 'dtb', bytes: Buffer.from('tree'), mem: DTB, memsz: 0x1000 },
];

/** Runs the purgatory; `damage` changes a byte of the second segment after it was hashed. */
async function runPurgatory(
  verified: readonly KexecSegment[] | undefined,
  damage: boolean,
): Promise<VirtBoard['cpus'][number]> {
  const board = new VirtBoard({
    cpu: 'cortex-a57',
    cpuCount: 1,
    memoryBytes: 16 * 2 ** 20,
    gicVersion: 3,
    its: false,
    virtualization: false,
    seeds: false,
    drives: [],
    consoleOutput: () => undefined,
    epochSeconds: 0,
  });
  const purgatory = buildPurgatory({ entry: KERNEL, dtb: DTB, verified }, PURGATORY);
  board.load({
    segments: [
      ...SEGMENTS.map(({ name, bytes, mem, memsz }) => ({ name, paddr: mem, bytes, memorySize: memsz })),
      { name: 'purgatory', paddr: PURGATORY, bytes: purgatory.bytes, memorySize: 0x1000 },
      ...(damage ? [{ name: 'damage', paddr: DTB + 0xfff, bytes: Uint8Array.of(1), memorySize: 1 }] : []),
    ],
    entry: { architecture: 'aarch64', pc: purgatory.entry, x: [9n, 9n, 9n, 9n], exceptionLevel: 1 },
  });
  await board.machine.run(2 * MILLISECOND);
  return board.cpus[0]!;
}

test('the digest covers contents and the zeros behind them', () => {
  const hash = createHash('sha256');
  hash.update(SEGMENTS[0]!.bytes).update(Buffer.alloc(0x3000 - 5004));
  hash.update('tree').update(Buffer.alloc(0x1000 - 4));
  expect(segmentsDigest(SEGMENTS)).toEqual(hash.digest());
});

test('enters the kernel with the device tree in x0 and zeros behind it', async () => {
  const cpu = await runPurgatory(SEGMENTS, false);
  expect(cpu.engine.pc).toBe(BigInt(KERNEL));
  expect([0, 1, 2, 3].map(n => cpu.registers.x(n))).toEqual([BigInt(DTB), 0n, 0n, 0n]);
});

test('stays in the purgatory when a byte has changed', async () => {
  const cpu = await runPurgatory(SEGMENTS, true);
  expect(cpu.engine.pc).toBeGreaterThanOrEqual(BigInt(PURGATORY));
  expect(cpu.engine.pc).toBeLessThan(BigInt(PURGATORY + 0x1000));
});

test('without checks enters damaged segments too', async () => {
  const cpu = await runPurgatory(undefined, true);
  expect(cpu.engine.pc).toBe(BigInt(KERNEL));
  expect(cpu.registers.x(0)).toBe(BigInt(DTB));
});
