/** What an SSE floating-point instruction asks its helper to do, packed into one argument. */

export const SSE_OPERATIONS = [
  'ADD',
  'MUL',
  'SUB',
  'MIN',
  'DIV',
  'MAX',
  'SQRT',
  'RSQRT',
  'RCP',
  'CMP',
  'ROUND',
  'HADD',
  'HSUB',
  'ADDSUB',
  'DP',
  'UCOMI',
  'COMI',
  'FLOAT_TO_FLOAT',
  'INT_TO_FLOAT',
  'FLOAT_TO_INT',
  'FLOAT_TO_INT_TRUNCATED',
  'HALF_TO_SINGLE',
  'SINGLE_TO_HALF',
  'FMADD',
  'FMSUB',
  'FNMADD',
  'FNMSUB',
  'FMADDSUB',
  'FMSUBADD',
] as const;
export type SseOperation = (typeof SSE_OPERATIONS)[number];

export interface SseForm {
  readonly operation: SseOperation;
  /** Bits of the source's lanes; of integers too. */
  readonly from: 32 | 64;
  /** Bits of the result's lanes. */
  readonly to: 32 | 64;
  /** Lanes that are computed. */
  readonly lanes: number;
  /** Lanes above the computed ones become 0 instead of the first operand's. */
  readonly clearsRest: boolean;
  readonly immediate: number;
}

export function packSse(form: SseForm): number {
  return (
    SSE_OPERATIONS.indexOf(form.operation) |
    (form.from === 64 ? 1 << 6 : 0) |
    (form.to === 64 ? 1 << 7 : 0) |
    (form.lanes << 8) |
    (Number(form.clearsRest) << 12) |
    (form.immediate << 16)
  );
}

export function unpackSse(packed: number): SseForm {
  return {
    operation: SSE_OPERATIONS[packed & 63]!,
    from: packed & (1 << 6) ? 64 : 32,
    to: packed & (1 << 7) ? 64 : 32,
    lanes: (packed >> 8) & 15,
    clearsRest: (packed & (1 << 12)) !== 0,
    immediate: (packed >> 16) & 0xff,
  };
}
