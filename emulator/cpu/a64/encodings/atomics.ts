/** Encodings of exclusives, acquire and release, and atomics in Arm ARM DDI 0487 "Loads and Stores". */
import type { Encodings } from '../instruction.ts';

export const EXCLUSIVES = {
  STXR: 'size:2 001000 0 0 0 rs:5 0 xxxxx rn:5 rt:5',
  STLXR: 'size:2 001000 0 0 0 rs:5 1 xxxxx rn:5 rt:5',
  LDXR: 'size:2 001000 0 1 0 xxxxx 0 xxxxx rn:5 rt:5',
  LDAXR: 'size:2 001000 0 1 0 xxxxx 1 xxxxx rn:5 rt:5',
  STXP: '1 sz:1 001000 0 0 1 rs:5 0 rt2:5 rn:5 rt:5',
  STLXP: '1 sz:1 001000 0 0 1 rs:5 1 rt2:5 rn:5 rt:5',
  LDXP: '1 sz:1 001000 0 1 1 xxxxx 0 rt2:5 rn:5 rt:5',
  LDAXP: '1 sz:1 001000 0 1 1 xxxxx 1 rt2:5 rn:5 rt:5',
} as const satisfies Encodings;

export const ACQUIRE_RELEASE = {
  STLR: 'size:2 001000 1 0 0 xxxxx 1 xxxxx rn:5 rt:5',
  LDAR: 'size:2 001000 1 1 0 xxxxx 1 xxxxx rn:5 rt:5',
} as const satisfies Encodings;

/** FEAT_LOR. */
export const LIMITED_ORDERING = {
  STLLR: 'size:2 001000 1 0 0 xxxxx 0 xxxxx rn:5 rt:5',
  LDLAR: 'size:2 001000 1 1 0 xxxxx 0 xxxxx rn:5 rt:5',
} as const satisfies Encodings;

/** FEAT_LSE. L and A: acquire; o0 and R: release. */
export const LSE = {
  CAS: 'size:2 001000 1 L:1 1 rs:5 o0:1 11111 rn:5 rt:5',
  CASP: '0 sz:1 001000 0 L:1 1 rs:5 o0:1 11111 rn:5 rt:5',
  LDADD: 'size:2 111 0 00 A:1 R:1 1 rs:5 0 000 00 rn:5 rt:5',
  LDCLR: 'size:2 111 0 00 A:1 R:1 1 rs:5 0 001 00 rn:5 rt:5',
  LDEOR: 'size:2 111 0 00 A:1 R:1 1 rs:5 0 010 00 rn:5 rt:5',
  LDSET: 'size:2 111 0 00 A:1 R:1 1 rs:5 0 011 00 rn:5 rt:5',
  LDSMAX: 'size:2 111 0 00 A:1 R:1 1 rs:5 0 100 00 rn:5 rt:5',
  LDSMIN: 'size:2 111 0 00 A:1 R:1 1 rs:5 0 101 00 rn:5 rt:5',
  LDUMAX: 'size:2 111 0 00 A:1 R:1 1 rs:5 0 110 00 rn:5 rt:5',
  LDUMIN: 'size:2 111 0 00 A:1 R:1 1 rs:5 0 111 00 rn:5 rt:5',
  SWP: 'size:2 111 0 00 A:1 R:1 1 rs:5 1 000 00 rn:5 rt:5',
} as const satisfies Encodings;

/** FEAT_LRCPC. */
export const LRCPC = {
  LDAPR: 'size:2 111 0 00 1 0 1 11111 1 100 00 rn:5 rt:5',
} as const satisfies Encodings;

/** FEAT_LRCPC2. */
export const LRCPC2 = {
  STLUR: 'size:2 011001 00 0 imm9:9 00 rn:5 rt:5',
  LDAPUR: 'size:2 011001 01 0 imm9:9 00 rn:5 rt:5',
  'LDAPURSB/H (64-bit)': '0 size:1 011001 10 0 imm9:9 00 rn:5 rt:5',
  'LDAPURSB/H (32-bit)': '0 size:1 011001 11 0 imm9:9 00 rn:5 rt:5',
  LDAPURSW: '10 011001 10 0 imm9:9 00 rn:5 rt:5',
} as const satisfies Encodings;
