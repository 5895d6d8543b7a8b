/** Encodings of Arm ARM DDI 0487 "Data Processing -- Immediate". Not modelled: ADDG, SUBG (FEAT_MTE). */
import type { Encodings } from '../instruction.ts';

export const PC_RELATIVE = {
  ADR: '0 immlo:2 10000 immhi:19 rd:5',
  ADRP: '1 immlo:2 10000 immhi:19 rd:5',
} as const satisfies Encodings;

export const ADD_SUB_IMMEDIATE = {
  'ADD (immediate)': 'sf:1 0 0 100010 sh:1 imm12:12 rn:5 rd:5',
  'ADDS (immediate)': 'sf:1 0 1 100010 sh:1 imm12:12 rn:5 rd:5',
  'SUB (immediate)': 'sf:1 1 0 100010 sh:1 imm12:12 rn:5 rd:5',
  'SUBS (immediate)': 'sf:1 1 1 100010 sh:1 imm12:12 rn:5 rd:5',
} as const satisfies Encodings;

export const LOGICAL_IMMEDIATE = {
  'AND (immediate)': 'sf:1 00 100100 N:1 immr:6 imms:6 rn:5 rd:5',
  'ORR (immediate)': 'sf:1 01 100100 N:1 immr:6 imms:6 rn:5 rd:5',
  'EOR (immediate)': 'sf:1 10 100100 N:1 immr:6 imms:6 rn:5 rd:5',
  'ANDS (immediate)': 'sf:1 11 100100 N:1 immr:6 imms:6 rn:5 rd:5',
} as const satisfies Encodings;

export const MOVE_WIDE = {
  MOVN: 'sf:1 00 100101 hw:2 imm16:16 rd:5',
  MOVZ: 'sf:1 10 100101 hw:2 imm16:16 rd:5',
  MOVK: 'sf:1 11 100101 hw:2 imm16:16 rd:5',
} as const satisfies Encodings;

export const BITFIELD = {
  SBFM: 'sf:1 00 100110 N:1 immr:6 imms:6 rn:5 rd:5',
  BFM: 'sf:1 01 100110 N:1 immr:6 imms:6 rn:5 rd:5',
  UBFM: 'sf:1 10 100110 N:1 immr:6 imms:6 rn:5 rd:5',
  EXTR: 'sf:1 00 100111 N:1 0 rm:5 imms:6 rn:5 rd:5',
} as const satisfies Encodings;
