/** What an x87 instruction asks its helper to do, packed into one argument. */

/** Operations of `x87.ts`; the order is the packed number. */
export const X87_OPERATIONS = [
  'ADD',
  'MUL',
  'COM',
  'COMP',
  'SUB',
  'SUBR',
  'DIV',
  'DIVR',
  'LOAD',
  'STORE',
  'POP',
  'EXCHANGE',
  'FREE',
  'UCOM',
  'UCOMP',
  'COMPP',
  'UCOMPP',
  'COMI',
  'UCOMI',
  'COMIP',
  'UCOMIP',
  'MOVE',
  'CHS',
  'ABS',
  'TST',
  'XAM',
  'CONSTANT',
  'F2XM1',
  'YL2X',
  'PTAN',
  'PATAN',
  'XTRACT',
  'PREM1',
  'DECSTP',
  'INCSTP',
  'PREM',
  'YL2XP1',
  'SQRT',
  'SINCOS',
  'RNDINT',
  'SCALE',
  'SIN',
  'COS',
  'INIT',
  'CLEAR',
  'WAIT',
  'STORE_TRUNCATED',
  'STORE_BCD',
  'LOAD_BCD',
  'EXPONENT',
] as const;

export type X87Operation = (typeof X87_OPERATIONS)[number];

/** Format of the memory operand, or which registers take part. */
export const X87_FORMATS = ['float32', 'float64', 'float80', 'int16', 'int32', 'int64', 'st0', 'sti', 'pop'] as const;
export type X87Format = (typeof X87_FORMATS)[number];

export interface X87Form {
  readonly operation: X87Operation;
  readonly format: X87Format;
  /** i of ST(i), or the number of a constant. */
  readonly index: number;
}

export function packX87(operation: X87Operation, format: X87Format = 'st0', index = 0): number {
  return X87_OPERATIONS.indexOf(operation) | (X87_FORMATS.indexOf(format) << 8) | (index << 12);
}

export function unpackX87(packed: number): X87Form {
  return {
    operation: X87_OPERATIONS[packed & 0xff]!,
    format: X87_FORMATS[(packed >> 8) & 15]!,
    index: packed >> 12,
  };
}
