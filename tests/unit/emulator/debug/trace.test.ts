import { describe, expect, test } from 'vitest';

import { disassemble, prepareDisassembler } from '../../../../analyzer/disassembler.ts';
import { createMachine, formatTraceRecord, type TraceChannel, type TraceRecord } from '../../../../emulator/index.ts';
import { ENTRY } from './debugged-machine.ts';

/** Runs a program until there are so many records. */
async function trace(
  { program, compileThreshold = Infinity }: { readonly program: Uint8Array; readonly compileThreshold?: number },
  channels: readonly TraceChannel[],
  count: number,
): Promise<readonly TraceRecord[]> {
  const records: TraceRecord[] = [];
  const machine = createMachine({
    board: { type: 'virt', gicVersion: 3, its: false, virtualization: false, seeds: false },
    cpu: 'cortex-a57',
    cpuCount: 1,
    memoryBytes: 2 ** 20,
    drives: [],
    serialOutput: () => undefined,
    epochSeconds: 0,
    engine: { compileThreshold },
    trace: {
      channels: new Set(channels),
      record: entry => {
        if (records.push(entry) === count) machine.stop({ kind: 'interrupted', reason: 'enough was seen' });
      },
    },
  });
  machine.load({
    segments: [{ name: 'program', paddr: ENTRY.aarch64, bytes: program, memorySize: program.length }],
    entry: { architecture: 'aarch64', pc: ENTRY.aarch64, x: [0n, 0n, 0n, 0n], exceptionLevel: 1 },
  });
  await machine.run();
  return records.slice(0, count);
}

function bytesOf(...words: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(words).buffer);
}

test('an access to nowhere is a guest error and an exception', async () => {
  // mov x0, #0x0b000000; ldr x1, [x0]. There is no memory at the vector either: it goes on like this
  const records = await trace({ program: bytesOf(0xd2a1_6000, 0xf940_0001) }, ['int', 'guest_errors'], 2);
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

/** mov x0, #3; loop: subs x0, x0, #1; b.ne loop; b . */
const LOOP = bytesOf(0xd280_0060, 0xf100_0400, 0x54ff_ffe1, 0x1400_0000);

describe.each([
  ['interpreted', Infinity],
  ['compiled', 1],
])('blocks, %s', (_, compileThreshold) => {
  test('are recorded each time that they are executed', async () => {
    const records = await trace({ program: LOOP, compileThreshold }, ['exec'], 5);
    expect(records.map(entry => entry.channel === 'exec' && entry.pc)).toEqual(
      [0x00, 0x04, 0x04, 0x0c, 0x0c].map(offset => BigInt(ENTRY.aarch64 + offset)),
    );
  });

  test('are recorded with their code wherever they are, although another page has the same', async () => {
    // b .+0x1000, and behind the page b .
    const page = new Uint8Array(4096);
    page.set(bytesOf(0x1400_0400));
    const program = Buffer.concat([page, page, bytesOf(0x1400_0000)]);
    const records = await trace({ program, compileThreshold }, ['in_asm'], 3);
    expect(records.map(entry => entry.channel === 'in_asm' && entry.vaddr)).toEqual(
      [0, 0x1000, 0x2000].map(offset => BigInt(ENTRY.aarch64 + offset)),
    );
  });

  test('are recorded with their code when they are translated first', async () => {
    const records = await trace({ program: LOOP, compileThreshold }, ['in_asm', 'exec'], 8);
    const code = records.flatMap(entry => (entry.channel === 'in_asm' ? [[entry.vaddr, entry.code.length]] : []));
    expect(code).toEqual([
      [BigInt(ENTRY.aarch64), 12],
      [BigInt(ENTRY.aarch64 + 4), 8],
      [BigInt(ENTRY.aarch64 + 12), 4],
    ]);
  });

  test('are recorded with the registers that they find', async () => {
    const records = await trace({ program: LOOP, compileThreshold }, ['cpu'], 4);
    const x0 = records.map(entry => entry.channel === 'cpu' && /X00=0*(\w+)/.exec(entry.lines.join('\n'))![1]);
    expect(x0).toEqual(['0', '2', '1', '0']);
  });
});

test('a system register that does not exist is not implemented', async () => {
  // mrs x0, s3_7_c15_c15_7
  const [entry] = await trace({ program: bytesOf(0xd53f_ffe0) }, ['unimp'], 1);
  expect(entry).toEqual({
    channel: 'unimp',
    cpu: 0,
    pc: BigInt(ENTRY.aarch64),
    what: 'read of system register S3_7_C15_C15_7',
  });
});

test("blocks are written as QEMU's -d in_asm does", async () => {
  await prepareDisassembler();
  const entry: TraceRecord = { channel: 'in_asm', architecture: 'aarch64', cpu: 0, vaddr: 0x4000_0000n, code: LOOP };
  const text = formatTraceRecord(entry, (architecture, code, vaddr) =>
    disassemble(architecture, code, vaddr, () => undefined),
  );
  expect(text.split('\n')).toEqual([
    '----------------',
    'IN:',
    '0x40000000:  d2800060  mov      x0, #0x3',
    '0x40000004:  f1000400  subs     x0, x0, #0x1',
    '0x40000008:  54ffffe1  b.ne     0x40000004',
    '0x4000000c:  14000000  b        0x4000000c',
    '',
  ]);
});
