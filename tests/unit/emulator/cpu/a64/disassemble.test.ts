import { expect, test } from 'vitest';
import { describeInstruction } from '../../../../../emulator/cpu/a64/disassemble.ts';
import { decoderFor } from '../../../../../emulator/cpu/a64/instruction-set.ts';

test.each([
  [0x9100_43fd, 'ADD (immediate) sf=1 sh=0 imm12=16 rn=31 rd=29'],
  [0xa9be_7bfd, 'STP (pre-index) sf=1 imm7=124 rt2=30 rn=31 rt=29'],
  [0x0000_0000, '.word 0x00000000'],
])('describes %x', (word, text) => {
  expect(describeInstruction(decoderFor(new Set()), word)).toBe(text);
});
