/**
 * Rows of the vector instructions that move, compute on integers, and shuffle: MMX, SSE to SSE4.2, AVX and AVX2.
 *
 * Most of them exist in several encodings with the same meaning; a table names each once, and `expand` makes the rows.
 * Source: Intel SDM vol. 2 "Opcode Map".
 */
import type { OpcodeRows } from '../instruction.ts';

/** Packed integer instructions of two operands, in 0F: MMX without prefix, SSE2 with 66, AVX and AVX2 with three operands. */
export const PACKED_INTEGER = {
  '60': 'PUNPCKLBW',
  '61': 'PUNPCKLWD',
  '62': 'PUNPCKLDQ',
  '63': 'PACKSSWB',
  '64': 'PCMPGTB',
  '65': 'PCMPGTW',
  '66': 'PCMPGTD',
  '67': 'PACKUSWB',
  '68': 'PUNPCKHBW',
  '69': 'PUNPCKHWD',
  '6A': 'PUNPCKHDQ',
  '6B': 'PACKSSDW',
  '74': 'PCMPEQB',
  '75': 'PCMPEQW',
  '76': 'PCMPEQD',
  D1: 'PSRLW',
  D2: 'PSRLD',
  D3: 'PSRLQ',
  D4: 'PADDQ',
  D5: 'PMULLW',
  D8: 'PSUBUSB',
  D9: 'PSUBUSW',
  DA: 'PMINUB',
  DB: 'PAND',
  DC: 'PADDUSB',
  DD: 'PADDUSW',
  DE: 'PMAXUB',
  DF: 'PANDN',
  E0: 'PAVGB',
  E1: 'PSRAW',
  E2: 'PSRAD',
  E3: 'PAVGW',
  E4: 'PMULHUW',
  E5: 'PMULHW',
  E8: 'PSUBSB',
  E9: 'PSUBSW',
  EA: 'PMINSW',
  EB: 'POR',
  EC: 'PADDSB',
  ED: 'PADDSW',
  EE: 'PMAXSW',
  EF: 'PXOR',
  F1: 'PSLLW',
  F2: 'PSLLD',
  F3: 'PSLLQ',
  F4: 'PMULUDQ',
  F5: 'PMADDWD',
  F6: 'PSADBW',
  F8: 'PSUBB',
  F9: 'PSUBW',
  FA: 'PSUBD',
  FB: 'PSUBQ',
  FC: 'PADDB',
  FD: 'PADDW',
  FE: 'PADDD',
} as const;

/** SSSE3, in 0F 38: MMX and XMM forms. */
export const PACKED_SSSE3 = {
  '00': 'PSHUFB',
  '01': 'PHADDW',
  '02': 'PHADDD',
  '03': 'PHADDSW',
  '04': 'PMADDUBSW',
  '05': 'PHSUBW',
  '06': 'PHSUBD',
  '07': 'PHSUBSW',
  '08': 'PSIGNB',
  '09': 'PSIGNW',
  '0A': 'PSIGND',
  '0B': 'PMULHRSW',
} as const;

/** SSSE3 of one operand. */
export const PACKED_SSSE3_UNARY = { '1C': 'PABSB', '1D': 'PABSW', '1E': 'PABSD' } as const;

/** Binary instructions with 66 only, in 0F: SSE2, and AVX with three operands. */
export const PACKED_SSE2 = { '6C': 'PUNPCKLQDQ', '6D': 'PUNPCKHQDQ' } as const;

/** SSE4.1 and SSE4.2 binary instructions, in 66 0F 38. */
export const PACKED_SSE4 = {
  '28': 'PMULDQ',
  '29': 'PCMPEQQ',
  '2B': 'PACKUSDW',
  '37': 'PCMPGTQ',
  '38': 'PMINSB',
  '39': 'PMINSD',
  '3A': 'PMINUW',
  '3B': 'PMINUD',
  '3C': 'PMAXSB',
  '3D': 'PMAXSD',
  '3E': 'PMAXUW',
  '3F': 'PMAXUD',
  '40': 'PMULLD',
} as const;

type Values<T> = T[keyof T] & string;
type Words<M extends string> = Readonly<Record<string, `${M} ${string}`>>;

/** The encodings of packed binary instructions. @param opcode in 0F, or in 0F 38 */
function expand<const T extends Readonly<Record<string, string>>>(
  table: T,
  map: '0F' | '0F 38',
  forms: { readonly mmx?: string; readonly sse: string },
): Words<Values<T>> {
  const rows: Record<string, string> = {};
  for (const [opcode, mnemonic] of Object.entries(table)) {
    if (forms.mmx) rows[`NP ${map} ${opcode}`] = `${mnemonic} Pq,Qq ${forms.mmx}`;
    rows[`66 ${map} ${opcode}`] = `${mnemonic} Vx,Wx ${forms.sse}`;
    rows[`VEX.128.66 ${map} ${opcode}`] = `${mnemonic} Vx,Hx,Wx avx`;
    rows[`VEX.256.66 ${map} ${opcode}`] = `${mnemonic} Vx,Hx,Wx avx2`;
  }
  return rows as Words<Values<T>>;
}

/** The same for instructions of one source. */
function expandUnary<const T extends Readonly<Record<string, string>>>(table: T): Words<Values<T>> {
  const rows: Record<string, string> = {};
  for (const [opcode, mnemonic] of Object.entries(table)) {
    rows[`NP 0F 38 ${opcode}`] = `${mnemonic} Pq,Qq ssse3`;
    rows[`66 0F 38 ${opcode}`] = `${mnemonic} Vx,Wx ssse3`;
    rows[`VEX.128.66 0F 38 ${opcode}`] = `${mnemonic} Vx,Wx avx`;
    rows[`VEX.256.66 0F 38 ${opcode}`] = `${mnemonic} Vx,Wx avx2`;
  }
  return rows as Words<Values<T>>;
}

export const PACKED = {
  ...expand(PACKED_INTEGER, '0F', { mmx: 'mmx', sse: 'sse2' }),
  ...expand(PACKED_SSSE3, '0F 38', { mmx: 'ssse3', sse: 'ssse3' }),
  ...expand(PACKED_SSE2, '0F', { sse: 'sse2' }),
  ...expand(PACKED_SSE4, '0F 38', { sse: 'sse4_1' }),
};

export const PACKED_UNARY = expandUnary(PACKED_SSSE3_UNARY);

/** Shifts by an immediate. */
export const PACKED_SHIFTS = {
  'NP 0F 71 /2': 'PSRLW Nq,Ib mmx',
  '66 0F 71 /2': 'PSRLW Ux,Ib sse2',
  'VEX.128.66 0F 71 /2': 'PSRLW Hx,Ux,Ib avx',
  'VEX.256.66 0F 71 /2': 'PSRLW Hx,Ux,Ib avx2',
  'NP 0F 71 /4': 'PSRAW Nq,Ib mmx',
  '66 0F 71 /4': 'PSRAW Ux,Ib sse2',
  'VEX.128.66 0F 71 /4': 'PSRAW Hx,Ux,Ib avx',
  'VEX.256.66 0F 71 /4': 'PSRAW Hx,Ux,Ib avx2',
  'NP 0F 71 /6': 'PSLLW Nq,Ib mmx',
  '66 0F 71 /6': 'PSLLW Ux,Ib sse2',
  'VEX.128.66 0F 71 /6': 'PSLLW Hx,Ux,Ib avx',
  'VEX.256.66 0F 71 /6': 'PSLLW Hx,Ux,Ib avx2',
  'NP 0F 72 /2': 'PSRLD Nq,Ib mmx',
  '66 0F 72 /2': 'PSRLD Ux,Ib sse2',
  'VEX.128.66 0F 72 /2': 'PSRLD Hx,Ux,Ib avx',
  'VEX.256.66 0F 72 /2': 'PSRLD Hx,Ux,Ib avx2',
  'NP 0F 72 /4': 'PSRAD Nq,Ib mmx',
  '66 0F 72 /4': 'PSRAD Ux,Ib sse2',
  'VEX.128.66 0F 72 /4': 'PSRAD Hx,Ux,Ib avx',
  'VEX.256.66 0F 72 /4': 'PSRAD Hx,Ux,Ib avx2',
  'NP 0F 72 /6': 'PSLLD Nq,Ib mmx',
  '66 0F 72 /6': 'PSLLD Ux,Ib sse2',
  'VEX.128.66 0F 72 /6': 'PSLLD Hx,Ux,Ib avx',
  'VEX.256.66 0F 72 /6': 'PSLLD Hx,Ux,Ib avx2',
  'NP 0F 73 /2': 'PSRLQ Nq,Ib mmx',
  '66 0F 73 /2': 'PSRLQ Ux,Ib sse2',
  'VEX.128.66 0F 73 /2': 'PSRLQ Hx,Ux,Ib avx',
  'VEX.256.66 0F 73 /2': 'PSRLQ Hx,Ux,Ib avx2',
  'NP 0F 73 /6': 'PSLLQ Nq,Ib mmx',
  '66 0F 73 /6': 'PSLLQ Ux,Ib sse2',
  'VEX.128.66 0F 73 /6': 'PSLLQ Hx,Ux,Ib avx',
  'VEX.256.66 0F 73 /6': 'PSLLQ Hx,Ux,Ib avx2',
  '66 0F 73 /3': 'PSRLDQ Ux,Ib sse2',
  'VEX.128.66 0F 73 /3': 'PSRLDQ Hx,Ux,Ib avx',
  'VEX.256.66 0F 73 /3': 'PSRLDQ Hx,Ux,Ib avx2',
  '66 0F 73 /7': 'PSLLDQ Ux,Ib sse2',
  'VEX.128.66 0F 73 /7': 'PSLLDQ Hx,Ux,Ib avx',
  'VEX.256.66 0F 73 /7': 'PSLLDQ Hx,Ux,Ib avx2',
} as const satisfies OpcodeRows;

/** Moves. Those that demand alignment end in A. */
export const VECTOR_MOVES = {
  'NP 0F 10': 'MOVU Vx,Wx sse',
  '66 0F 10': 'MOVU Vx,Wx sse2',
  'F3 0F 10 mem': 'MOVLOAD Vd,Wd sse',
  'F3 0F 10 reg': 'MOVMERGE Vd,Wd sse',
  'F2 0F 10 mem': 'MOVLOAD Vq,Wq sse2',
  'F2 0F 10 reg': 'MOVMERGE Vq,Wq sse2',
  'NP 0F 11': 'MOVU Wx,Vx sse',
  '66 0F 11': 'MOVU Wx,Vx sse2',
  'F3 0F 11': 'MOVMERGE Wd,Vd sse',
  'F2 0F 11': 'MOVMERGE Wq,Vq sse2',
  'NP 0F 12 mem': 'MOVLP Vq,Mq sse',
  'NP 0F 12 reg': 'MOVHLPS Vx,Ux sse',
  '66 0F 12 mem': 'MOVLP Vq,Mq sse2',
  'F3 0F 12': 'MOVSLDUP Vx,Wx pni',
  'F2 0F 12': 'MOVDDUP Vx,Wq pni',
  'NP 0F 13 mem': 'MOVLOW Mq,Vq sse',
  '66 0F 13 mem': 'MOVLOW Mq,Vq sse2',
  'NP 0F 14': 'PUNPCKLDQ Vx,Wx sse',
  '66 0F 14': 'PUNPCKLQDQ Vx,Wx sse2',
  'NP 0F 15': 'PUNPCKHDQ Vx,Wx sse',
  '66 0F 15': 'PUNPCKHQDQ Vx,Wx sse2',
  'NP 0F 16 mem': 'MOVHP Vq,Mq sse',
  'NP 0F 16 reg': 'MOVLHPS Vx,Ux sse',
  '66 0F 16 mem': 'MOVHP Vq,Mq sse2',
  'F3 0F 16': 'MOVSHDUP Vx,Wx pni',
  'NP 0F 17 mem': 'MOVHIGH Mq,Vq sse',
  '66 0F 17 mem': 'MOVHIGH Mq,Vq sse2',
  'NP 0F 28': 'MOVA Vx,Wx sse',
  '66 0F 28': 'MOVA Vx,Wx sse2',
  'NP 0F 29': 'MOVA Wx,Vx sse',
  '66 0F 29': 'MOVA Wx,Vx sse2',
  'NP 0F 2B mem': 'MOVA Mx,Vx sse',
  '66 0F 2B mem': 'MOVA Mx,Vx sse2',
  'NP 0F 50': 'MOVMSKPS Gd,Ux sse',
  '66 0F 50': 'MOVMSKPD Gd,Ux sse2',
  'NP 0F 54': 'PAND Vx,Wx sse',
  '66 0F 54': 'PAND Vx,Wx sse2',
  'NP 0F 55': 'PANDN Vx,Wx sse',
  '66 0F 55': 'PANDN Vx,Wx sse2',
  'NP 0F 56': 'POR Vx,Wx sse',
  '66 0F 56': 'POR Vx,Wx sse2',
  'NP 0F 57': 'PXOR Vx,Wx sse',
  '66 0F 57': 'PXOR Vx,Wx sse2',
  'NP 0F 6E': 'MOVD_to Pq,Ey mmx',
  '66 0F 6E': 'MOVD_to Vx,Ey sse2',
  'NP 0F 6F': 'MOVU Pq,Qq mmx',
  '66 0F 6F': 'MOVA Vx,Wx sse2',
  'F3 0F 6F': 'MOVU Vx,Wx sse2',
  'NP 0F 70': 'PSHUFW Pq,Qq,Ib sse',
  '66 0F 70': 'PSHUFD Vx,Wx,Ib sse2',
  'F3 0F 70': 'PSHUFHW Vx,Wx,Ib sse2',
  'F2 0F 70': 'PSHUFLW Vx,Wx,Ib sse2',
  'NP 0F 7E': 'MOVD_from Ey,Pq mmx',
  '66 0F 7E': 'MOVD_from Ey,Vx sse2',
  'F3 0F 7E': 'MOVLOAD Vq,Wq sse2',
  'NP 0F 7F': 'MOVU Qq,Pq mmx',
  '66 0F 7F': 'MOVA Wx,Vx sse2',
  'F3 0F 7F': 'MOVU Wx,Vx sse2',
  'NP 0F C4': 'PINSRW Pq,Ed,Ib sse',
  '66 0F C4': 'PINSRW Vx,Ed,Ib sse2',
  'NP 0F C5': 'PEXTRW Gd,Nq,Ib sse',
  '66 0F C5': 'PEXTRW Gd,Ux,Ib sse2',
  'NP 0F C6': 'SHUFPS Vx,Wx,Ib sse',
  '66 0F C6': 'SHUFPD Vx,Wx,Ib sse2',
  '66 0F D6': 'MOVQ_store Wq,Vq sse2',
  'F3 0F D6': 'MOVLOAD Vq,Nq sse2',
  'F2 0F D6': 'MOVU Pq,Uq sse2',
  'NP 0F D7': 'PMOVMSKB Gd,Nq sse',
  '66 0F D7': 'PMOVMSKB Gd,Ux sse2',
  'NP 0F E7 mem': 'MOVU Mq,Pq sse',
  '66 0F E7 mem': 'MOVA Mx,Vx sse2',
  'F2 0F F0 mem': 'MOVU Vx,Mx pni',
  'NP 0F F7': 'MASKMOV Pq,Nq sse',
  '66 0F F7': 'MASKMOV Vx,Ux sse2',
  '66 0F 38 2A mem': 'MOVA Vx,Mx sse4_1',
  'NP 0F 77': 'EMMS mmx',
} as const satisfies OpcodeRows;

/** SSSE3 to SSE4.2 instructions of their own shape. */
export const VECTOR_SSE4 = {
  'NP 0F 3A 0F': 'PALIGNR Pq,Qq,Ib ssse3',
  '66 0F 3A 0F': 'PALIGNR Vx,Wx,Ib ssse3',
  '66 0F 38 10': 'PBLENDVB Vx,Wx sse4_1',
  '66 0F 38 14': 'BLENDVPS Vx,Wx sse4_1',
  '66 0F 38 15': 'BLENDVPD Vx,Wx sse4_1',
  '66 0F 38 17': 'PTEST Vx,Wx sse4_1',
  '66 0F 38 20': 'PMOVSXBW Vx,Wq sse4_1',
  '66 0F 38 21': 'PMOVSXBD Vx,Wd sse4_1',
  '66 0F 38 22': 'PMOVSXBQ Vx,Ww sse4_1',
  '66 0F 38 23': 'PMOVSXWD Vx,Wq sse4_1',
  '66 0F 38 24': 'PMOVSXWQ Vx,Wd sse4_1',
  '66 0F 38 25': 'PMOVSXDQ Vx,Wq sse4_1',
  '66 0F 38 30': 'PMOVZXBW Vx,Wq sse4_1',
  '66 0F 38 31': 'PMOVZXBD Vx,Wd sse4_1',
  '66 0F 38 32': 'PMOVZXBQ Vx,Ww sse4_1',
  '66 0F 38 33': 'PMOVZXWD Vx,Wq sse4_1',
  '66 0F 38 34': 'PMOVZXWQ Vx,Wd sse4_1',
  '66 0F 38 35': 'PMOVZXDQ Vx,Wq sse4_1',
  '66 0F 38 41': 'PHMINPOSUW Vx,Wx sse4_1',
  '66 0F 3A 0C': 'BLENDPS Vx,Wx,Ib sse4_1',
  '66 0F 3A 0D': 'BLENDPD Vx,Wx,Ib sse4_1',
  '66 0F 3A 0E': 'PBLENDW Vx,Wx,Ib sse4_1',
  '66 0F 3A 14': 'PEXTRB Ed,Vx,Ib sse4_1',
  '66 0F 3A 15': 'PEXTRW_store Ed,Vx,Ib sse4_1',
  '66 0F 3A 16': 'PEXTRD Ey,Vx,Ib sse4_1',
  '66 0F 3A 17': 'EXTRACTPS Ed,Vx,Ib sse4_1',
  '66 0F 3A 20': 'PINSRB Vx,Ed,Ib sse4_1',
  '66 0F 3A 21': 'INSERTPS Vx,Wd,Ib sse4_1',
  '66 0F 3A 22': 'PINSRD Vx,Ey,Ib sse4_1',
} as const satisfies OpcodeRows;

/** State of the floating-point unit as a whole. */
export const FP_STATE = {
  'NP 0F AE /0 mem': 'FXSAVE M fxsr',
  'NP 0F AE /1 mem': 'FXRSTOR M fxsr',
  'NP 0F AE /4 mem': 'XSAVE M xsave',
  'NP 0F AE /5 mem': 'XRSTOR M xsave',
  'NP 0F AE /6 mem': 'XSAVE M xsaveopt',
} as const satisfies OpcodeRows;

export const MXCSR_ROWS = {
  'NP 0F AE /2 mem': 'LDMXCSR Md sse',
  'NP 0F AE /3 mem': 'STMXCSR Md sse',
  'VEX.128.NP 0F AE /2 mem': 'LDMXCSR Md avx',
  'VEX.128.NP 0F AE /3 mem': 'STMXCSR Md avx',
} as const satisfies OpcodeRows;
