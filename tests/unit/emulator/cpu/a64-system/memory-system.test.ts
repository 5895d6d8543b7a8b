/**
 * Loads and stores where it matters what memory is: faults, page crossings, TLB maintenance, code that changes.
 * Source: Arm ARM DDI 0487 "Data Abort exceptions", "TLB maintenance instructions", "Concurrent modification and execution of
 * instructions".
 */
import { describe, expect, test } from 'vitest';
import {
  EXCEPTION_REGISTERS,
  TRANSLATION_REGISTERS,
} from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { A64_STATE } from '../../../../../emulator/cpu/a64/state.ts';
import { a64 } from '../../../../support/a64-assemble.ts';
import { RAM_BASE, writeWords } from './machine.ts';
import { exceptionOf } from './mapped-memory.ts';
import {
  createPagedMachine,
  mapPage,
  PAGE,
  type PagedMachine,
  PXN,
  READ_ONLY,
  runAt,
  runOn,
  tablesOf,
} from './paged-memory.ts';

const CODE = RAM_BASE + 0x4000;
/** Two virtual pages, whose physical pages are far apart and in the other order. */
const FIRST = 0x2_0000n;
const SECOND = FIRST + PAGE;
const FIRST_FRAME = RAM_BASE + 0x30_0000;
const SECOND_FRAME = RAM_BASE + 0x20_0000;
const OTHER_FRAME = RAM_BASE + 0x40_0000;

const DATA_ABORT = 0x25;
const INSTRUCTION_ABORT = 0x21;
const FAULT = { TRANSLATION_3: 7, PERMISSION_3: 15 } as const;
const WnR = 0x40;

const EXECUTORS = [
  ['interpreted', Number.POSITIVE_INFINITY],
  ['compiled', 1],
] as const;

const ldr = (size: number): number => a64('LDR (unsigned offset)', { size, rn: 0, rt: 1 });
const str = (size: number): number => a64('STR (unsigned offset)', { size, rn: 0, rt: 1 });

/** Accesses of a kind, with the bytes that they touch. */
const LOADS: readonly (readonly [string, number, number])[] = [
  ['ldrh w1, [x0]', ldr(1), 2],
  ['ldr w1, [x0]', ldr(2), 4],
  ['ldr x1, [x0]', ldr(3), 8],
  ['ldp w1, w2, [x0]', a64('LDP (signed offset)', { sf: 0, rn: 0, rt: 1, rt2: 2 }), 8],
  ['ldp x1, x2, [x0]', a64('LDP (signed offset)', { sf: 1, rn: 0, rt: 1, rt2: 2 }), 16],
  ['ldr x1, [x0], #8', a64('LDR (post-index)', { size: 3, imm9: 8, rn: 0, rt: 1 }), 8],
  ['ldr q1, [x0]', a64('LDR (immediate, SIMD&FP, unsigned offset)', { size: 0, opc: 1, rn: 0, rt: 1 }), 16],
];
const STORES: readonly (readonly [string, number, number])[] = [
  ['strh w1, [x0]', str(1), 2],
  ['str w1, [x0]', str(2), 4],
  ['str x1, [x0]', str(3), 8],
  ['stp w1, w2, [x0]', a64('STP (signed offset)', { sf: 0, rn: 0, rt: 1, rt2: 2 }), 8],
  ['stp x1, x2, [x0]', a64('STP (signed offset)', { sf: 1, rn: 0, rt: 1, rt2: 2 }), 16],
  ['str x1, [x0, #0]!', a64('STR (pre-index)', { size: 3, imm9: 0, rn: 0, rt: 1 }), 8],
  ['str q1, [x0]', a64('STR (immediate, SIMD&FP, unsigned offset)', { size: 0, opc: 1, rn: 0, rt: 1 }), 16],
];

/** 16 bytes that differ from each other. */
const PATTERN = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);

function value(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** The bytes of memory around the boundary of the two pages: 16 before and 16 behind. */
function aroundBoundary({ machine }: PagedMachine): Uint8Array {
  const { memory } = machine;
  return Buffer.concat([memory.ramSlice(FIRST_FRAME + 0xff0, 16), memory.ramSlice(SECOND_FRAME, 16)]);
}

function writeAroundBoundary({ machine }: PagedMachine, at: number, bytes: Uint8Array): void {
  bytes.forEach((byte, i) => {
    const offset = at + i;
    const paddr = offset < 16 ? FIRST_FRAME + 0xff0 + offset : SECOND_FRAME + offset - 16;
    machine.memory.bytes[machine.memory.ramAddress(paddr)] = byte;
  });
}

describe.each(EXECUTORS)('%s', (_, compileThreshold) => {
  function twoPages(secondFlags?: bigint | 'unmapped'): PagedMachine {
    const machine = createPagedMachine({ compileThreshold });
    mapPage(machine, FIRST, FIRST_FRAME);
    if (secondFlags !== 'unmapped') mapPage(machine, SECOND, SECOND_FRAME, secondFlags);
    return machine;
  }

  describe('an access across pages', () => {
    test.each(LOADS)('%s takes its bytes from both', (_name, word, size) => {
      for (let before = 1; before < size; before++) {
        const machine = twoPages();
        writeAroundBoundary(machine, 16 - before, PATTERN.subarray(0, size));
        const cpu = machine.cpus[0]!;
        cpu.registers.setX(0, SECOND - BigInt(before));
        runAt(machine, CODE, [word]);
        const isVector = word >>> 26 === 0x0f;
        const low = isVector
          ? cpu.engine.view.getBigUint64(cpu.engine.base + A64_STATE.v[1]!.offset, true)
          : cpu.registers.x(1);
        const element = Math.min(size, 8) / (size === 8 && ((word >>> 22) & 0x1ff) === 0x0a5 ? 2 : 1);
        expect(low).toBe(value(PATTERN.subarray(0, element)));
      }
    });

    test.each(STORES)('%s puts its bytes into both', (_name, word, size) => {
      for (let before = 1; before < size; before++) {
        const machine = twoPages();
        const cpu = machine.cpus[0]!;
        const { view, base } = cpu.engine;
        const half = size === 8 && word >>> 28 === 2 ? 4 : 8;
        cpu.registers.setX(0, SECOND - BigInt(before));
        cpu.registers.setX(1, value(PATTERN.subarray(0, half)));
        cpu.registers.setX(2, value(PATTERN.subarray(half, 2 * half)));
        view.setBigUint64(base + A64_STATE.v[1]!.offset, value(PATTERN.subarray(0, 8)), true);
        view.setBigUint64(base + A64_STATE.v[1]!.offset + 8, value(PATTERN.subarray(8)), true);
        runAt(machine, CODE, [word]);
        const expected = new Uint8Array(32);
        expected.set(PATTERN.subarray(0, size), 16 - before);
        expect([before, [...aroundBoundary(machine)]]).toEqual([before, [...expected]]);
      }
    });

    test.each([...LOADS, ...STORES])('%s faults at the second page, and changes nothing', (name, word, size) => {
      const isStore = name.startsWith('st');
      for (const [second, fault] of [
        ['unmapped', FAULT.TRANSLATION_3],
        ...(isStore ? [[READ_ONLY, FAULT.PERMISSION_3] as const] : []),
      ] as const) {
        const machine = twoPages(second);
        const cpu = machine.cpus[0]!;
        const address = SECOND - BigInt(size / 2);
        cpu.registers.setX(0, address);
        cpu.registers.setX(1, 0x1122_3344_5566_7788n);
        runAt(machine, CODE, [word]);
        expect(exceptionOf(cpu)).toMatchObject({
          class: DATA_ABORT,
          iss: fault | (isStore ? WnR : 0),
          returns: BigInt(CODE),
        });
        expect(cpu.read(EXCEPTION_REGISTERS.FAR_EL1)).toBe(SECOND);
        expect([cpu.registers.x(0), cpu.registers.x(1)]).toEqual([address, 0x1122_3344_5566_7788n]);
        expect([...aroundBoundary(machine)]).toEqual(Array(32).fill(0));
      }
    });
  });

  test('a fault in the middle of a loop leaves what was done before it', () => {
    const machine = twoPages('unmapped');
    const cpu = machine.cpus[0]!;
    cpu.registers.setX(0, SECOND - 32n);
    // loop: str x1, [x0], #8; add x1, x1, #1; b loop
    runAt(machine, CODE, [
      a64('STR (post-index)', { size: 3, imm9: 8, rn: 0, rt: 1 }),
      a64('ADD (immediate)', { sf: 1, imm12: 1, rn: 1, rd: 1 }),
      a64('B', { imm26: -2 }),
    ]);
    expect([cpu.registers.x(0), cpu.registers.x(1)]).toEqual([SECOND, 4n]);
    expect(cpu.read(EXCEPTION_REGISTERS.FAR_EL1)).toBe(SECOND);
  });

  describe('TLB maintenance', () => {
    const SYS = (op1: number, crm: number, op2: number): number => a64('SYS', { op1, crn: 8, crm, op2, rt: 3 });
    const page = FIRST >> 12n;
    const ASID_1 = 1n << 48n;
    /** RVAE1 and its like: 4 KiB granule, NUM 0: two pages from the one of the address. */
    const range = page | (1n << 46n);

    test.each<readonly [string, number, bigint, boolean]>([
      ['tlbi vmalle1', SYS(0, 7, 0), 0n, true],
      ['tlbi vmalle1is', SYS(0, 3, 0), 0n, true],
      ['tlbi vae1', SYS(0, 7, 1), page, true],
      ['tlbi vae1is', SYS(0, 3, 1), page, true],
      ['tlbi vae1os', SYS(0, 1, 1), page, true],
      ['tlbi vale1', SYS(0, 7, 5), page, true],
      ['tlbi vaae1', SYS(0, 7, 3), page, true],
      ['tlbi vaale1is', SYS(0, 3, 7), page, true],
      ['tlbi aside1', SYS(0, 7, 2), 0n, true],
      ['tlbi rvae1', SYS(0, 6, 1), range, true],
      ['tlbi rvaale1is', SYS(0, 2, 7), range, true],
      ['tlbi aside1 of another ASID', SYS(0, 7, 2), ASID_1, false],
    ])('%s lets a changed page be seen', (_name, word, operand, mustSee) => {
      const machine = twoPages();
      const cpu = machine.cpus[0]!;
      machine.machine.memory.ramSlice(FIRST_FRAME, 1).fill(1);
      machine.machine.memory.ramSlice(OTHER_FRAME, 1).fill(2);
      cpu.registers.setX(0, FIRST);
      runAt(machine, CODE, [ldr(0)]);
      expect(cpu.registers.x(1)).toBe(1n);
      mapPage(machine, FIRST, OTHER_FRAME);
      cpu.registers.setX(3, operand);
      runAt(machine, CODE + 0x100, [word, ldr(0)]);
      // A TLB may keep what was not invalidated, and need not
      if (mustSee) expect(cpu.registers.x(1)).toBe(2n);
    });

    test.each<readonly [string, number]>([
      ['vae1is', SYS(0, 3, 1)],
      ['vmalle1is', SYS(0, 3, 0)],
      ['vaae1os', SYS(0, 1, 3)],
    ])('tlbi %s reaches the other CPU', (_name, word) => {
      const machine = createPagedMachine({ compileThreshold, cpuCount: 2 });
      mapPage(machine, FIRST, FIRST_FRAME);
      machine.machine.memory.ramSlice(OTHER_FRAME, 1).fill(2);
      for (const cpu of machine.cpus) cpu.registers.setX(0, FIRST);
      runAt(machine, CODE, [ldr(0)], 1);
      mapPage(machine, FIRST, OTHER_FRAME);
      machine.cpus[0]!.registers.setX(3, page);
      runAt(machine, CODE + 0x100, [word], 0);
      expect(runAt(machine, CODE, [ldr(0)], 1).registers.x(1)).toBe(2n);
    });

    test('a page that becomes read-only is not written after it', () => {
      const machine = twoPages();
      const cpu = machine.cpus[0]!;
      cpu.registers.setX(0, FIRST);
      runAt(machine, CODE, [str(3)]);
      mapPage(machine, FIRST, FIRST_FRAME, READ_ONLY);
      cpu.registers.setX(3, page);
      runAt(machine, CODE + 0x100, [SYS(0, 7, 1), str(3)]);
      expect(exceptionOf(cpu)).toMatchObject({ class: DATA_ABORT, iss: FAULT.PERMISSION_3 | WnR });
    });

    test('ASIDs keep address spaces apart without it', () => {
      const machine = createPagedMachine({ compileThreshold });
      mapPage(machine, FIRST, FIRST_FRAME, 0n, 0);
      mapPage(machine, FIRST, OTHER_FRAME, 0n, 1);
      machine.machine.memory.ramSlice(FIRST_FRAME, 1).fill(1);
      machine.machine.memory.ramSlice(OTHER_FRAME, 1).fill(2);
      const cpu = machine.cpus[0]!;
      const seen = [0, 1, 0, 1].map(asid => {
        cpu.write(TRANSLATION_REGISTERS.TTBR0_EL1, tablesOf(asid as 0 | 1));
        cpu.translationChanged();
        cpu.registers.setX(0, FIRST);
        return runAt(machine, CODE, [ldr(0)]).registers.x(1);
      });
      expect(seen).toEqual([1n, 2n, 1n, 2n]);
    });

    test('code in a page that is mapped elsewhere is new code', () => {
      const machine = createPagedMachine({ compileThreshold });
      mapPage(machine, FIRST, FIRST_FRAME);
      const mov = (imm16: number): number => a64('MOVZ', { sf: 1, imm16, rd: 1 });
      writeWords(machine.machine, FIRST_FRAME, [mov(1), a64('B')]);
      writeWords(machine.machine, OTHER_FRAME, [mov(2), a64('B')]);
      expect(runOn(machine, FIRST).registers.x(1)).toBe(1n);
      mapPage(machine, FIRST, OTHER_FRAME);
      machine.cpus[0]!.registers.setX(3, page);
      runAt(machine, CODE, [SYS(0, 7, 1)]);
      expect(runOn(machine, FIRST).registers.x(1)).toBe(2n);
      mapPage(machine, FIRST, OTHER_FRAME, PXN);
      runAt(machine, CODE, [SYS(0, 7, 1)]);
      const cpu = runOn(machine, FIRST);
      expect(exceptionOf(cpu)).toMatchObject({ class: INSTRUCTION_ABORT, iss: FAULT.PERMISSION_3 });
    });
  });

  describe('code that changes', () => {
    const mov = (imm16: number): number => a64('MOVZ', { sf: 1, imm16, rd: 5 });
    const IC_IVAU = a64('SYS', { op1: 3, crn: 7, crm: 5, op2: 1, rt: 0 });
    const ISB = a64('ISB', { crm: 15 });
    const STOP = a64('B');

    test('by itself, ahead in the same page, is seen behind IC IVAU and ISB', () => {
      const machine = twoPages();
      const cpu = machine.cpus[0]!;
      // str w1, [x0]; ic ivau, x0; isb; then what is at x0
      cpu.registers.setX(0, BigInt(CODE) + 12n);
      cpu.registers.setX(1, BigInt(mov(9) >>> 0));
      runAt(machine, CODE, [str(2), IC_IVAU, ISB, mov(1)]);
      expect(cpu.registers.x(5)).toBe(9n);
    });

    test('by a store through another address', () => {
      const machine = twoPages();
      const cpu = machine.cpus[0]!;
      writeWords(machine.machine, FIRST_FRAME, [mov(1), STOP]);
      runOn(machine, BigInt(FIRST_FRAME));
      cpu.registers.setX(0, FIRST);
      cpu.registers.setX(1, BigInt(mov(2) >>> 0));
      runAt(machine, CODE, [str(2)]);
      expect(runOn(machine, BigInt(FIRST_FRAME)).registers.x(5)).toBe(2n);
    });

    test('by another CPU', () => {
      const machine = createPagedMachine({ compileThreshold, cpuCount: 2 });
      writeWords(machine.machine, FIRST_FRAME, [mov(1), STOP]);
      runOn(machine, BigInt(FIRST_FRAME), 1);
      machine.cpus[0]!.registers.setX(0, BigInt(FIRST_FRAME));
      machine.cpus[0]!.registers.setX(1, BigInt(mov(2) >>> 0));
      runAt(machine, CODE, [str(2)], 0);
      expect(runOn(machine, BigInt(FIRST_FRAME), 1).registers.x(5)).toBe(2n);
    });

    test.each<readonly [string, readonly number[]]>([
      ['stp', [a64('STP (signed offset)', { sf: 1, rn: 0, rt: 1, rt2: 2 })]],
      ['str q', [a64('STR (immediate, SIMD&FP, unsigned offset)', { size: 0, opc: 1, rn: 0, rt: 1 })]],
      ['dc zva', [a64('DC ZVA', { rt: 0 })]],
      ['swp', [a64('SWP', { size: 3, rs: 1, rn: 0, rt: 6 })]],
      ['stxr', [a64('LDXR', { size: 3, rn: 0, rt: 6 }), a64('STXR', { size: 3, rs: 7, rn: 0, rt: 1 })]],
    ])('by %s', (_name, words) => {
      const machine = twoPages();
      const cpu = machine.cpus[0]!;
      writeWords(machine.machine, FIRST_FRAME, [mov(1), STOP]);
      runOn(machine, BigInt(FIRST_FRAME));
      expect(cpu.registers.x(5)).toBe(1n);
      cpu.registers.setX(0, BigInt(FIRST_FRAME));
      cpu.registers.setX(1, 0n);
      cpu.registers.setX(5, 0n);
      runAt(machine, CODE, words);
      runOn(machine, BigInt(FIRST_FRAME));
      // UDF #0
      expect(cpu.registers.x(5)).toBe(0n);
      expect(exceptionOf(cpu)).toMatchObject({ class: 0, returns: BigInt(FIRST_FRAME) });
    });

    test('a loop that rewrites its own body each time round', () => {
      const machine = twoPages();
      const cpu = machine.cpus[0]!;
      // loop: add w1, w1, #32 (imm16 + 1); str w1, [x0]; ic ivau, x0; isb; movz x5, #n; sub x4, x4, #1; cbnz x4, loop
      cpu.registers.setX(0, BigInt(CODE) + 16n);
      cpu.registers.setX(1, BigInt(mov(0) >>> 0));
      cpu.registers.setX(4, 5n);
      runAt(machine, CODE, [
        a64('ADD (immediate)', { sf: 0, imm12: 32, rn: 1, rd: 1 }),
        str(2),
        IC_IVAU,
        ISB,
        mov(0),
        a64('SUB (immediate)', { sf: 1, imm12: 1, rn: 4, rd: 4 }),
        a64('CBNZ', { sf: 1, imm19: -6, rt: 4 }),
      ]);
      expect(cpu.registers.x(5)).toBe(5n);
    });
  });
});
