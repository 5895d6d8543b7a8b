/**
 * Encodings of Arm ARM DDI 0487 "Loads and Stores" on general registers, except exclusives and atomics. Rows that differ in access
 * size only are one row with a field `size` (log2 of the bytes), named after the 64-bit form. Not modelled: FEAT_MTE's, FEAT_LS64's.
 */
import type { Encodings } from '../instruction.ts';

export const UNSIGNED_OFFSET = {
  'STR (unsigned offset)': 'size:2 111 0 01 00 imm12:12 rn:5 rt:5',
  'LDR (unsigned offset)': 'size:2 111 0 01 01 imm12:12 rn:5 rt:5',
  'LDRSB/H (unsigned offset, 64-bit)': '0 size:1 111 0 01 10 imm12:12 rn:5 rt:5',
  'LDRSB/H (unsigned offset, 32-bit)': '0 size:1 111 0 01 11 imm12:12 rn:5 rt:5',
  'LDRSW (unsigned offset)': '10 111 0 01 10 imm12:12 rn:5 rt:5',
  'PRFM (unsigned offset)': '11 111 0 01 10 imm12:12 rn:5 rt:5',
} as const satisfies Encodings;

export const UNSCALED_OFFSET = {
  STUR: 'size:2 111 0 00 00 0 imm9:9 00 rn:5 rt:5',
  LDUR: 'size:2 111 0 00 01 0 imm9:9 00 rn:5 rt:5',
  'LDURSB/H (64-bit)': '0 size:1 111 0 00 10 0 imm9:9 00 rn:5 rt:5',
  'LDURSB/H (32-bit)': '0 size:1 111 0 00 11 0 imm9:9 00 rn:5 rt:5',
  LDURSW: '10 111 0 00 10 0 imm9:9 00 rn:5 rt:5',
  PRFUM: '11 111 0 00 10 0 imm9:9 00 rn:5 rt:5',
} as const satisfies Encodings;

export const POST_INDEX = {
  'STR (post-index)': 'size:2 111 0 00 00 0 imm9:9 01 rn:5 rt:5',
  'LDR (post-index)': 'size:2 111 0 00 01 0 imm9:9 01 rn:5 rt:5',
  'LDRSB/H (post-index, 64-bit)': '0 size:1 111 0 00 10 0 imm9:9 01 rn:5 rt:5',
  'LDRSB/H (post-index, 32-bit)': '0 size:1 111 0 00 11 0 imm9:9 01 rn:5 rt:5',
  'LDRSW (post-index)': '10 111 0 00 10 0 imm9:9 01 rn:5 rt:5',
} as const satisfies Encodings;

export const PRE_INDEX = {
  'STR (pre-index)': 'size:2 111 0 00 00 0 imm9:9 11 rn:5 rt:5',
  'LDR (pre-index)': 'size:2 111 0 00 01 0 imm9:9 11 rn:5 rt:5',
  'LDRSB/H (pre-index, 64-bit)': '0 size:1 111 0 00 10 0 imm9:9 11 rn:5 rt:5',
  'LDRSB/H (pre-index, 32-bit)': '0 size:1 111 0 00 11 0 imm9:9 11 rn:5 rt:5',
  'LDRSW (pre-index)': '10 111 0 00 10 0 imm9:9 11 rn:5 rt:5',
} as const satisfies Encodings;

export const UNPRIVILEGED = {
  STTR: 'size:2 111 0 00 00 0 imm9:9 10 rn:5 rt:5',
  LDTR: 'size:2 111 0 00 01 0 imm9:9 10 rn:5 rt:5',
  'LDTRSB/H (64-bit)': '0 size:1 111 0 00 10 0 imm9:9 10 rn:5 rt:5',
  'LDTRSB/H (32-bit)': '0 size:1 111 0 00 11 0 imm9:9 10 rn:5 rt:5',
  LDTRSW: '10 111 0 00 10 0 imm9:9 10 rn:5 rt:5',
} as const satisfies Encodings;

export const REGISTER_OFFSET = {
  'STR (register)': 'size:2 111 0 00 00 1 rm:5 option:3 S:1 10 rn:5 rt:5',
  'LDR (register)': 'size:2 111 0 00 01 1 rm:5 option:3 S:1 10 rn:5 rt:5',
  'LDRSB/H (register, 64-bit)': '0 size:1 111 0 00 10 1 rm:5 option:3 S:1 10 rn:5 rt:5',
  'LDRSB/H (register, 32-bit)': '0 size:1 111 0 00 11 1 rm:5 option:3 S:1 10 rn:5 rt:5',
  'LDRSW (register)': '10 111 0 00 10 1 rm:5 option:3 S:1 10 rn:5 rt:5',
  'PRFM (register)': '11 111 0 00 10 1 rm:5 option:3 S:1 10 rn:5 rt:5',
} as const satisfies Encodings;

export const LITERAL = {
  'LDR (literal)': '0 sf:1 011 0 00 imm19:19 rt:5',
  'LDRSW (literal)': '10 011 0 00 imm19:19 rt:5',
  'PRFM (literal)': '11 011 0 00 imm19:19 rt:5',
} as const satisfies Encodings;

export const PAIRS = {
  STNP: 'sf:1 0 101 0 000 0 imm7:7 rt2:5 rn:5 rt:5',
  LDNP: 'sf:1 0 101 0 000 1 imm7:7 rt2:5 rn:5 rt:5',
  'STP (post-index)': 'sf:1 0 101 0 001 0 imm7:7 rt2:5 rn:5 rt:5',
  'LDP (post-index)': 'sf:1 0 101 0 001 1 imm7:7 rt2:5 rn:5 rt:5',
  'STP (signed offset)': 'sf:1 0 101 0 010 0 imm7:7 rt2:5 rn:5 rt:5',
  'LDP (signed offset)': 'sf:1 0 101 0 010 1 imm7:7 rt2:5 rn:5 rt:5',
  'STP (pre-index)': 'sf:1 0 101 0 011 0 imm7:7 rt2:5 rn:5 rt:5',
  'LDP (pre-index)': 'sf:1 0 101 0 011 1 imm7:7 rt2:5 rn:5 rt:5',
  'LDPSW (post-index)': '01 101 0 001 1 imm7:7 rt2:5 rn:5 rt:5',
  'LDPSW (signed offset)': '01 101 0 010 1 imm7:7 rt2:5 rn:5 rt:5',
  'LDPSW (pre-index)': '01 101 0 011 1 imm7:7 rt2:5 rn:5 rt:5',
} as const satisfies Encodings;
