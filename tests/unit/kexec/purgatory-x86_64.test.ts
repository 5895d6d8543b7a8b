/** The purgatory's code and the control pages on a bare x86_64 machine; SHA-256 by Node's crypto is the judge. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { GPR, SEGMENT } from '../../../emulator/cpu/x64/state.ts';
import { buildControlPages } from '../../../kexec/control-pages.ts';
import { buildX86Purgatory, x86PurgatoryVerification, type Backup } from '../../../kexec/purgatory-x86_64.ts';
import type { KexecSegment } from '../../../kexec/segments.ts';
import { X64TestMachine } from '../../support/x64-machine.ts';

const PURGATORY = 0x10_0000;
const KERNEL = 0x14_0000;
const PARAMS = 0x15_0000;
const BACKUP: Backup = { source: 0x6_0000, target: 0x16_0000, size: 0x1234 };
const SIZE = { bufsz: 0x1000, memsz: 0x3000 };
/** `jmp .`: a kernel that waits. */
const SPIN = [0xeb, 0xfe];

const SEGMENTS: readonly KexecSegment[] = [
  { name: 'kernel', bytes: Buffer.from([...SPIN, ...Buffer.alloc(5000, 'kernel')]), mem: KERNEL, memsz: 0x3000 },
  { name: 'boot_params', bytes: Buffer.from('parameters'), mem: PARAMS, memsz: 0x1000 },
];

function run(verified: readonly KexecSegment[] | undefined, damage = false): X64TestMachine {
  const machine = new X64TestMachine();
  const job = { entry: KERNEL, bootParams: PARAMS, backup: BACKUP, verified };
  const { bytes, entry } = buildX86Purgatory(job, PURGATORY, SIZE);
  machine.write(PURGATORY, ...bytes);
  for (const { mem, bytes: contents } of SEGMENTS) machine.write(mem, ...contents);
  if (damage) machine.write(PARAMS + 0xfff, 1);
  for (let at = 0; at < BACKUP.size; at++) machine.write(BACKUP.source + at, at & 0xff);
  machine.cpu.engine.pc = BigInt(entry);
  machine.engine.runSlice(machine.engine.cpus[0]!, 3_000_000);
  return machine;
}

describe('x86_64 purgatory', () => {
  test('enters the kernel with its parameters in RSI, flat selectors and a stack of its own', () => {
    const { cpu } = run(SEGMENTS);
    expect(cpu.engine.pc).toBe(BigInt(KERNEL));
    expect(cpu.state.gpr(GPR.SI)).toBe(BigInt(PARAMS));
    expect([GPR.AX, GPR.BX, GPR.DI].map(n => cpu.state.gpr(n))).toEqual([0n, 0n, 0n]);
    expect(cpu.state.gpr(GPR.SP)).toBe(BigInt(PURGATORY + SIZE.memsz));
    expect([SEGMENT.CS, SEGMENT.DS, SEGMENT.SS].map(n => cpu.state.selector(n))).toEqual([0x10, 0x18, 0x18]);
    expect(cpu.is64).toBe(true);
  });

  test('copies low memory out of the way', () => {
    const machine = run(SEGMENTS);
    const copy = machine.memory.ramSlice(BACKUP.target, BACKUP.size);
    expect(Buffer.from(copy).equals(Buffer.from(machine.memory.ramSlice(BACKUP.source, BACKUP.size)))).toBe(true);
    expect(copy.at(-1)).toBe((BACKUP.size - 1) & 0xff);
  });

  test('stays in the purgatory when a byte has changed', () => {
    const { cpu } = run(SEGMENTS, true);
    expect(cpu.engine.pc).toBeGreaterThanOrEqual(BigInt(PURGATORY));
    expect(cpu.engine.pc).toBeLessThan(BigInt(PURGATORY + 0x1000));
  });

  test('without checks enters damaged segments too', () => {
    expect(run(undefined, true).cpu.engine.pc).toBe(BigInt(KERNEL));
  });

  test('is told regions and digest as kexec-tools has them', () => {
    const job = { entry: KERNEL, bootParams: PARAMS, backup: undefined, verified: SEGMENTS };
    const hash = createHash('sha256');
    for (const { bytes, memsz } of SEGMENTS) hash.update(bytes).update(Buffer.alloc(memsz - bytes.length));
    expect(x86PurgatoryVerification(buildX86Purgatory(job, PURGATORY).bytes)).toEqual({
      regions: SEGMENTS.map(({ mem, memsz }) => ({ start: mem, len: memsz })),
      digest: hash.digest('hex'),
    });
  });
});

test('control pages map memory to itself and leave the segments alone', () => {
  const region = { start: 0x10_0000, end: 0x20_0000 };
  const taken = [{ mem: 0x10_0000, memsz: 0x2000 }];
  const { mem, bytes, cr3, gdt } = buildControlPages(region, taken, 3 * 2 ** 30);
  expect(mem).toBe(0x10_2000);
  const machine = new X64TestMachine();
  machine.write(mem, ...bytes);
  const base = BigInt(gdt.base);
  machine.cpu.start({ mode: 'long64', rip: 0x1000n, rsi: 0n, rbx: 0n, cr3, gdt: { base, limit: gdt.limit } });
  for (const address of [0, 0x1234, 0x1f_ffff, 0xbfff_f000])
    expect(machine.cpu.translateForDebugger(BigInt(address))).toBe(address);
  expect(machine.cpu.translateForDebugger(0xc000_0000n)).toBeUndefined();
  expect(machine.read64(gdt.base + 0x10)).toBe(0x00af_9b00_0000_ffffn);
});

test('control pages need room beside the segments', () => {
  const region = { start: 0x10_0000, end: 0x10_4000 };
  expect(() => buildControlPages(region, [{ mem: 0x10_0000, memsz: 0x2000 }], 2 ** 30)).toThrow(/control_code_buffer/);
});
