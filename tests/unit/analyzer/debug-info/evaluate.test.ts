/** DWARF expressions; expected values by the definitions of the operations in DWARF 5 section 2.5. */
import { describe, expect, test } from 'vitest';

import { computeValue, locate } from '../../../../analyzer/debug-info/dwarf/evaluate.ts';
import type { EvaluationContext } from '../../../../analyzer/debug-info/dwarf/evaluate.ts';
import { DW_OP } from '../../../../analyzer/debug-info/dwarf/operations.ts';
import { FormatError } from '../../../../capture/formats/errors.ts';

const context: EvaluationContext = {
  register: number => (number === 7 ? 0x1000n : undefined),
  cfa: () => 0x2000n,
  frameBase: () => 0x3000n,
  entryValue: expression => (expression[0] === DW_OP.reg0 + 5 ? 99n : undefined),
  read: address => address + 1n,
  indexedAddress: index => BigInt(index) * 0x10n,
  bias: 0x100n,
};
const { lit0, stack_value } = DW_OP;
const value = (...bytes: number[]): bigint | undefined => computeValue(Uint8Array.from(bytes), context);

describe('computeValue', () => {
  test.each([
    ['lit 5, lit 3, minus', [lit0 + 5, lit0 + 3, DW_OP.minus, stack_value], 2n],
    ['const1s -2', [DW_OP.const1s, 0xfe, stack_value], 0xffff_ffff_ffff_fffen],
    ['constu 300', [DW_OP.constu, 0xac, 0x02, stack_value], 300n],
    ['consts -3', [DW_OP.consts, 0x7d, stack_value], 0xffff_ffff_ffff_fffdn],
    ['signed division', [DW_OP.const1s, 0xf9, lit0 + 2, DW_OP.div, stack_value], 0xffff_ffff_ffff_fffdn],
    ['mod', [lit0 + 7, lit0 + 4, DW_OP.mod, stack_value], 3n],
    ['shra keeps the sign', [DW_OP.const1s, 0xf8, lit0 + 1, DW_OP.shra, stack_value], 0xffff_ffff_ffff_fffcn],
    ['shr does not', [DW_OP.const1s, 0xff, lit0 + 31, lit0 + 31, DW_OP.plus, DW_OP.shr, stack_value], 3n],
    ['swap', [lit0 + 1, lit0 + 5, DW_OP.swap, DW_OP.minus, stack_value], 4n],
    ['over', [lit0 + 9, lit0 + 1, DW_OP.over, stack_value], 9n],
    ['rot: the top becomes the third', [lit0 + 1, lit0 + 2, lit0 + 3, DW_OP.rot, stack_value], 2n],
    ['pick 2', [lit0 + 7, lit0 + 8, lit0 + 9, DW_OP.pick, 2, stack_value], 7n],
    ['lt is signed', [DW_OP.const1s, 0xff, lit0, DW_OP.lt, stack_value], 1n],
    ['bra taken', [lit0 + 1, DW_OP.bra, 1, 0, lit0 + 8, lit0 + 9, stack_value], 9n],
    ['skip backward never ends but is bounded', [DW_OP.skip, 0xfd, 0xff], undefined],
    ['breg7 16', [DW_OP.breg0 + 7, 0x10], 0x1010n],
    ['fbreg -8', [DW_OP.fbreg, 0x78], 0x2ff8n],
    ['call_frame_cfa', [DW_OP.call_frame_cfa], 0x2000n],
    ['addr is moved', [DW_OP.addr, 0, 0x20, 0, 0, 0, 0, 0, 0], 0x2100n],
    ['addrx is moved, too', [DW_OP.addrx, 2], 0x120n],
    ['deref', [DW_OP.breg0 + 7, 0, DW_OP.deref], 0x1001n],
    ['entry_value', [DW_OP.entry_value, 1, DW_OP.reg0 + 5, stack_value], 99n],
    ['a register that is not known', [DW_OP.breg0 + 3, 0], undefined],
    ['an entry value that is not known', [DW_OP.entry_value, 1, DW_OP.reg0 + 4, stack_value], undefined],
    ['nothing at all', [], undefined],
  ])('%s', (_name, bytes, expected) => {
    expect(value(...bytes)).toBe(expected);
  });

  test('an operation that takes from an empty stack is an error of the file', () => {
    expect(() => value(DW_OP.plus)).toThrow(FormatError);
  });

  test('an operation that does not exist is an error of the file', () => {
    expect(() => value(0xff)).toThrow(FormatError);
  });
});

test('pieces: a register and eight bytes of memory', () => {
  const expression = Uint8Array.from([DW_OP.reg0 + 1, DW_OP.piece, 4, DW_OP.breg0 + 7, 0, DW_OP.piece, 8]);
  expect(locate(expression, context)).toEqual({
    kind: 'pieces',
    pieces: [
      { size: 4, location: { kind: 'register', register: 1 } },
      { size: 8, location: { kind: 'memory', address: 0x1000n } },
    ],
  });
});
