import { describe, expect, test } from 'vitest';
import type { A64FeatureName } from '../../../../../emulator/cpu/a64/features.ts';
import type { A64Mode } from '../../../../../emulator/cpu/a64/mode.ts';
import { translateBlock } from '../../../../../emulator/cpu/a64/translate-block.ts';
import { printBlock } from '../../../../../emulator/cpu/ir/print.ts';
import { a64 } from '../../../../support/a64-assemble.ts';

const EL1: A64Mode = {
  exceptionLevel: 1,
  simdTrapped: false,
  stepping: false,
  guarded: false,
  cacheMaintenanceTrapped: false,
  handlerStack: true,
  breakpoints: false,
  alignmentChecked: false,
  stackChecked: false,
};
const EL0: A64Mode = { ...EL1, exceptionLevel: 0, handlerStack: false };

const NOP = 0xd503_201f;
const RET = a64('RET', { rn: 30 });

function page(words: readonly number[], start = 0): DataView {
  const view = new DataView(new ArrayBuffer(4096));
  for (let at = 0; at < 4096; at += 4) view.setInt32(at, NOP, true);
  words.forEach((word, i) => view.setInt32(start + 4 * i, word, true));
  return view;
}

function translate(words: readonly number[], mode = EL1, features: readonly A64FeatureName[] = []) {
  return translateBlock(page(words), 0, mode, new Set(features));
}

/** The printed block without its headings, joined to one string. */
function ir(words: readonly number[], mode = EL1, features: readonly A64FeatureName[] = []): string {
  return printBlock(translate(words, mode, features))
    .split('\n')
    .filter(line => !line.endsWith(':'))
    .map(line => line.trim())
    .join('\n');
}

describe('a block', () => {
  test('ends behind a branch', () => {
    const block = translate([NOP, NOP, RET, NOP]);
    expect(block.instructions).toEqual([0, 4, 8]);
    expect(block.end).toBe(12);
    expect(block.terminal.kind).toBe('indirect');
  });
  test('ends after 64 instructions', () => {
    const block = translate([]);
    expect(block.instructions).toHaveLength(64);
    expect(block.terminal).toEqual({ kind: 'jump', target: 256 });
  });
  test('ends at the end of the page', () => {
    const block = translateBlock(page([]), 4080, EL1, new Set());
    expect(block.instructions).toEqual([4080, 4084, 4088, 4092]);
    expect(block.terminal).toEqual({ kind: 'jump', target: 4096 });
  });
  test('has one instruction while stepping, with the step helper before it', () => {
    const block = translate([], { ...EL1, stepping: true });
    expect(block.instructions).toEqual([0]);
    expect(printBlock(block)).toContain('call a64.softwareStep');
  });
  test('has targets relative to its page, before and behind it too', () => {
    expect(translate([a64('B', { imm26: -2 })]).terminal).toEqual({ kind: 'jump', target: -8 });
    expect(translate([a64('B', { imm26: 0x1000 })]).terminal).toEqual({ kind: 'jump', target: 0x4000 });
  });
});

describe('UNDEFINED', () => {
  const undefinedHere = 'call a64.raiseException 0 0\nresume';
  test.each([
    ['an unallocated word', 0x0000_0000, EL1],
    ['HLT, as there is no halting debug', a64('HLT'), EL1],
    ['a reserved bitmask immediate', a64('AND (immediate)', { sf: 1, N: 1, imms: 63 }), EL1],
    ['a 32-bit move of the third half word', a64('MOVZ', { sf: 0, hw: 2 }), EL1],
    ['an instruction of an absent feature', a64('LDADD', { size: 3 }), EL1],
    ['ERET at EL0', a64('ERET'), EL0],
    ['HVC at EL0', a64('HVC'), EL0],
    ['reading CurrentEL at EL0', a64('MRS CurrentEL'), EL0],
  ])('is %s', (_what, word, mode) => {
    expect(ir([word], mode)).toBe(undefinedHere);
  });
});

describe('traps that translation decides', () => {
  test('FPCR traps as a floating-point access when those are disabled', () => {
    // EC 0x07, ISS with CV = 1 and COND = 0b1110
    expect(ir([a64('MRS FPCR', { rt: 1 })], { ...EL1, simdTrapped: true })).toBe(
      'call a64.raiseException 7 0x1e00000\nresume',
    );
  });
  test('BRK carries its comment in the syndrome', () => {
    expect(ir([a64('BRK', { imm16: 0x800 })])).toBe('call a64.raiseException 0x3c 0x800\nresume');
  });
  test('DC ZVA goes to the helper where EL0 may not use it', () => {
    expect(ir([a64('DC ZVA', { rt: 1 })], { ...EL0, cacheMaintenanceTrapped: true })).toContain('call a64.sys');
  });
});

describe('emitted code', () => {
  test('compares the operands for a condition after a comparison', () => {
    const text = ir([
      a64('SUBS (shifted register)', { sf: 1, rn: 0, rm: 1, rd: 31 }),
      a64('B.cond', { cond: 11, imm19: 4 }),
    ]);
    expect(text).toContain('%11 = i64.lt_s %0 %1\nbranch %11 page+0x14 page+0x8');
  });
  test('reads the flags for a condition without a comparison before it', () => {
    expect(ir([a64('B.cond', { cond: 0, imm19: 4 })])).toBe(
      '%0 = get zf\n%1 = i64.eqz %0\nbranch %1 page+0x10 page+0x4',
    );
  });
  test('sets a register to a condition without selecting', () => {
    const cset = a64('CSINC', { sf: 0, rm: 31, rn: 31, cond: 1, rd: 5 });
    expect(ir([cset, RET]).split('\n').slice(0, 4)).toEqual([
      '%0 = get zf',
      '%1 = i64.eqz %0',
      '%2 = i64.extend_i32_u %1',
      'set x5 %2',
    ]);
  });
  test('moves a register without computing', () => {
    const mov = a64('ORR (shifted register)', { sf: 1, rm: 7, rn: 31, rd: 8 });
    expect(ir([mov, RET]).split('\n').slice(0, 2)).toEqual(['%0 = get x7', 'set x8 %0']);
  });
  test('builds a wide constant while translating', () => {
    const movz = a64('MOVZ', { sf: 1, imm16: 0x1234, rd: 0 });
    const movk = a64('MOVK', { sf: 1, hw: 3, imm16: 0xffff, rd: 0 });
    expect(ir([movz, movk, RET])).toContain('set x0 -0xffffffffedcc'); // 0xffff_0000_0000_1234
  });
  test('saves a pair of registers by one access', () => {
    const text = ir([a64('STP (pre-index)', { sf: 1, imm7: -4, rt2: 30, rn: 31, rt: 29 }), RET]);
    expect(text.match(/store/g)).toHaveLength(1);
    expect(text).toMatch(/store 128 %1 %5\nset sp %1/);
  });
  test('extracts a field by a shift and a mask', () => {
    const ubfx = a64('UBFM', { sf: 1, N: 1, immr: 8, imms: 23, rn: 2, rd: 1 });
    expect(ir([ubfx, RET]).split('\n').slice(0, 4)).toEqual([
      '%0 = get x2',
      '%1 = i64.shr_u %0 8',
      '%2 = i64.and %1 0xffff',
      'set x1 %2',
    ]);
  });
  test('knows the page of ADRP without adding', () => {
    expect(ir([a64('ADRP', { immlo: 1, immhi: -1, rd: 3 }), RET])).toContain('%0 = pc -0x3000\nset x3 %0');
  });
  test('reads SP_EL0 and the exception level in place', () => {
    const sp_el0 = a64('MRS', { o0: 1, op1: 0, crn: 4, crm: 1, op2: 0, rt: 28 });
    expect(ir([sp_el0, RET])).toContain('get sp_el0\nset x28');
    expect(ir([a64('MRS CurrentEL', { rt: 0 }), RET])).toContain('set x0 4');
  });
  test('masks interrupts without leaving the block, and unmasks with a checkpoint', () => {
    const masked = translate([a64('MSR DAIFSet, #imm', { crm: 2 }), RET]);
    expect(masked.instructions).toHaveLength(2);
    const unmasked = translate([a64('MSR DAIFClr, #imm', { crm: 2 }), RET]);
    expect(unmasked.instructions).toHaveLength(1);
    expect(unmasked.terminal.kind).toBe('indirect');
    expect(printBlock(unmasked)).toContain('call a64.interruptsUnmasked');
  });
  test('loads with the unprivileged regime for LDTR', () => {
    expect(ir([a64('LDTR', { size: 3, rn: 0, rt: 1 }), RET])).toContain('load 64 unprivileged');
  });
  test('asks for write permission in the load of an atomic', () => {
    const text = ir([a64('LDADD', { size: 3, rs: 1, rn: 0, rt: 2 }), RET], EL1, ['FEAT_LSE']);
    expect(text).toContain('load 64 aligned 8 for-write');
  });
});
