/** Encodings of branches and exception generation in Arm ARM DDI 0487 "Branches, Exception Generating and System instructions". */
import type { Encodings } from '../instruction.ts';

export const BRANCHES = {
  'B.cond': '0101010 0 imm19:19 0 cond:4',
  B: '0 00101 imm26:26',
  BL: '1 00101 imm26:26',
  CBZ: 'sf:1 011010 0 imm19:19 rt:5',
  CBNZ: 'sf:1 011010 1 imm19:19 rt:5',
  TBZ: 'b5:1 011011 0 b40:5 imm14:14 rt:5',
  TBNZ: 'b5:1 011011 1 b40:5 imm14:14 rt:5',
  BR: '1101011 0000 11111 000000 rn:5 00000',
  BLR: '1101011 0001 11111 000000 rn:5 00000',
  RET: '1101011 0010 11111 000000 rn:5 00000',
  ERET: '1101011 0100 11111 000000 11111 00000',
} as const satisfies Encodings;

export const EXCEPTION_GENERATION = {
  SVC: '11010100 000 imm16:16 000 01',
  HVC: '11010100 000 imm16:16 000 10',
  SMC: '11010100 000 imm16:16 000 11',
  BRK: '11010100 001 imm16:16 000 00',
  HLT: '11010100 010 imm16:16 000 00',
} as const satisfies Encodings;
