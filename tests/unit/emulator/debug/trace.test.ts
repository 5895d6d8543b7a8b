import { expect, test } from 'vitest';

import type { TraceRecord } from '../../../../emulator/debug/trace.ts';
import { VirtBoard } from '../../../../emulator/machine/virt-aarch64/board.ts';

const ENTRY = 0x4000_0000;
/** mov x0, #0x0b000000; ldr x1, [x0]: nothing is there, so an external abort is taken to VBAR_EL1 (0) + 0x200. */
const PROGRAM = Uint32Array.of(0xd2a1_6000, 0xf940_0001);

test('an access to nowhere is a guest error and an exception', async () => {
  const records: TraceRecord[] = [];
  const board = new VirtBoard({
    cpu: 'cortex-a57',
    cpuCount: 1,
    memoryBytes: 2 ** 20,
    gicVersion: 3,
    its: false,
    virtualization: false,
    seeds: false,
    drives: [],
    consoleOutput: () => undefined,
    epochSeconds: 0,
    trace: {
      channels: new Set(['int', 'guest_errors'] as const),
      // There is no memory at the vector either: it goes on like this.
      record: entry => {
        if (records.push(entry) === 2) board.machine.stop({ kind: 'interrupted', reason: 'enough was seen' });
      },
    },
  });
  const bytes = new Uint8Array(PROGRAM.buffer);
  board.load({
    segments: [{ name: 'program', paddr: ENTRY, bytes, memorySize: bytes.length }],
    entry: { architecture: 'aarch64', pc: ENTRY, x: [0n, 0n, 0n, 0n], exceptionLevel: 1 },
  });
  await board.machine.run();
  expect(records[0]).toEqual({ channel: 'guest_errors', cpu: 0, access: 'read', vaddr: 0x0b00_0000n });
  // ESR_EL1: data abort without a change of level (EC 0x25), 32-bit instruction, synchronous external abort (DFSC 0x10).
  expect(records[1]).toEqual({
    channel: 'int',
    cpu: 0,
    what: 'exception',
    from: { pc: 0x4000_0004n, level: 'EL1' },
    to: { pc: 0x200n, level: 'EL1' },
    syndrome: { ESR: 0x9600_0010n, FAR: 0x0b00_0000n },
  });
});
