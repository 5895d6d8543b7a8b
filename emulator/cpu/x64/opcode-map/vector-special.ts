/** Rows of vector instructions that are a helper as a whole: strings, sums of differences, AES, carry-less products, SHA. Source: Intel SDM vol. 2 "Opcode Map". */
import type { OpcodeRows } from '../instruction.ts';

export const VECTOR_SPECIAL = {
  '66 0F 3A 42': 'MPSADBW Vx,Wx,Ib sse4_1',
  '66 0F 3A 44': 'PCLMULQDQ Vx,Wx,Ib pclmulqdq',
  '66 0F 3A 60': 'PCMPESTRM Vx,Wx,Ib sse4_2',
  '66 0F 3A 61': 'PCMPESTRI Vx,Wx,Ib sse4_2',
  '66 0F 3A 62': 'PCMPISTRM Vx,Wx,Ib sse4_2',
  '66 0F 3A 63': 'PCMPISTRI Vx,Wx,Ib sse4_2',
  '66 0F 38 DB': 'AESIMC Vx,Wx aes',
  '66 0F 38 DC': 'AESENC Vx,Wx aes',
  '66 0F 38 DD': 'AESENCLAST Vx,Wx aes',
  '66 0F 38 DE': 'AESDEC Vx,Wx aes',
  '66 0F 38 DF': 'AESDECLAST Vx,Wx aes',
  '66 0F 3A DF': 'AESKEYGENASSIST Vx,Wx,Ib aes',
  'NP 0F 38 C8': 'SHA1NEXTE Vx,Wx sha_ni',
  'NP 0F 38 C9': 'SHA1MSG1 Vx,Wx sha_ni',
  'NP 0F 38 CA': 'SHA1MSG2 Vx,Wx sha_ni',
  'NP 0F 38 CB': 'SHA256RNDS2 Vx,Wx sha_ni',
  'NP 0F 38 CC': 'SHA256MSG1 Vx,Wx sha_ni',
  'NP 0F 38 CD': 'SHA256MSG2 Vx,Wx sha_ni',
  'NP 0F 3A CC': 'SHA1RNDS4 Vx,Wx,Ib sha_ni',
} as const satisfies OpcodeRows;
