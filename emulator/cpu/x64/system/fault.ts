/** Guest exceptions as values. Source: Intel SDM vol. 3A "Interrupt and Exception Handling". */

/** Exception vectors. */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

/** An exception that an instruction, or the delivery of another one, raises. */
export interface Fault {
  readonly vector: number;
  /** Pushed where the vector has an error code. */
  readonly errorCode: number | undefined;
  /** Linear address for CR2, with #PF. */
  readonly address?: bigint;
  /** Bits for DR6, with #DB. */
  readonly dr6?: number;
}

export function fault(vector: number, errorCode?: number): Fault {
  return { vector, errorCode };
}

/** #GP with a selector's error code: index and table, without RPL. */
export function protectionFault(selector = 0): Fault {
  return { vector: VECTOR.GP, errorCode: selector & 0xfffc };
}

const CONTRIBUTORY: readonly number[] = [VECTOR.DE, VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP];

/**
 * What becomes of a fault in the delivery of another: #DF, the second one, or `undefined` when #DF itself could not be delivered.
 * Source: Intel SDM vol. 3A "Interrupt 8—Double Fault Exception (#DF)".
 */
export function combineFaults(first: Fault, second: Fault): Fault | undefined {
  if (first.vector === VECTOR.DF) return undefined;
  const contributory = CONTRIBUTORY.includes(second.vector);
  const isDouble = CONTRIBUTORY.includes(first.vector)
    ? contributory
    : first.vector === VECTOR.PF && (contributory || second.vector === VECTOR.PF);
  return isDouble ? fault(VECTOR.DF, 0) : second;
}
