/**
 * Names system registers by the numbers that MRS, MSR and SYS carry.
 *
 * Source: Arm ARM DDI 0487 "System register encoding", "op0, op1, CRn, CRm, op2".
 */
import { assert } from '../../../../capture/formats/errors.ts';

/** `S3_0_C1_C0_0`: a system register or system instruction in the manual's generic notation. */
export type GenericRegisterName = `S${number}_${number}_C${number}_C${number}_${number}`;

/**
 * Packs a register's encoding into 16 bits: op0, op1, CRn, CRm, op2 from the highest, as they stand in bits 20 to 5 of
 * MRS, MSR (register), SYS and SYSL.
 */
export function registerKey(op0: number, op1: number, CRn: number, CRm: number, op2: number): number {
  return (op0 << 14) | (op1 << 11) | (CRn << 7) | (CRm << 3) | op2;
}

/** The key of a register in generic notation. */
export function keyOf(name: GenericRegisterName): number {
  const match = /^S(\d)_(\d)_C(\d+)_C(\d+)_(\d)$/.exec(name);
  assert(match !== null, `${name} is no system register encoding`);
  const [op0, op1, CRn, CRm, op2] = match.slice(1).map(Number) as [number, number, number, number, number];
  assert(op0 < 4 && op1 < 8 && CRn < 16 && CRm < 16 && op2 < 8, `${name} has a field out of range`);
  return registerKey(op0, op1, CRn, CRm, op2);
}

/** A key in the manual's generic notation, for registers that have no name here. */
export function genericName(key: number): GenericRegisterName {
  const { op0, op1, CRn, CRm, op2 } = keyFields(key);
  return `S${op0}_${op1}_C${CRn}_C${CRm}_${op2}`;
}

/** The five fields of a key. */
export function keyFields(key: number): { op0: number; op1: number; CRn: number; CRm: number; op2: number } {
  return { op0: key >> 14, op1: (key >> 11) & 7, CRn: (key >> 7) & 15, CRm: (key >> 3) & 15, op2: key & 7 };
}
