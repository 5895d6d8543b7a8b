/**
 * How translated code reaches a system register: decided while translating, so that registers that are plain storage are
 * read and written in place.
 */
import type { StateField } from '../../ir/state-field.ts';
import type { A64Mode } from '../mode.ts';
import { A64_STATE } from '../state.ts';
import { PROCESS_STATE_REGISTERS } from './registers/control.ts';
import { DCZID_BS, IDENTIFICATION_REGISTERS } from './registers/identification.ts';
import { findRegister } from './registers/index.ts';
import type { SystemRegister } from './registers/row.ts';

/** What MRS or MSR of a register becomes. */
export type RegisterAccess =
  /** Plain storage that may be accessed in this mode. An i32 field is zero-extended when read. */
  | { readonly kind: 'field'; readonly field: StateField<'i32'> | StateField<'i64'> }
  /** Reads as a constant in this mode. */
  | { readonly kind: 'constant'; readonly value: bigint }
  /** The helper `a64.mrs` or `a64.msr`, which raises an exception where the access is not allowed. */
  | { readonly kind: 'helper' }
  /** The helper `a64.msrAndResume`: the write changes what translation or mappings depend on. */
  | { readonly kind: 'resume' };

const HELPER: RegisterAccess = { kind: 'helper' };
const RESUME: RegisterAccess = { kind: 'resume' };
const ALL_BITS = 0xffff_ffff_ffff_ffffn;

/** Writes that change PSTATE fields on which the context or the mode depends. */
const RESUMING: ReadonlySet<SystemRegister> = new Set([
  PROCESS_STATE_REGISTERS.SPSel,
  PROCESS_STATE_REGISTERS.PAN,
  PROCESS_STATE_REGISTERS.UAO,
]);

/**
 * Decides for the register with this key (`register-key.ts`). Not asked for NZCV, DAIF, CurrentEL, FPCR and FPSR, which instruction
 * semantics do themselves.
 */
export function registerAccess(key: number, mode: A64Mode, direction: 'read' | 'write'): RegisterAccess {
  const row = findRegister(key);
  if (row === undefined) return HELPER;
  if (row === PROCESS_STATE_REGISTERS.SP_EL0 && mode.exceptionLevel > 0 && mode.handlerStack) {
    return { kind: 'field', field: A64_STATE.sp_el[0]! };
  }
  if (row === IDENTIFICATION_REGISTERS.DCZID_EL0 && direction === 'read' && !mode.cacheMaintenanceTrapped) {
    return { kind: 'constant', value: DCZID_BS };
  }
  const access = direction === 'read' ? readAccess(row) : writeAccess(row);
  const lowest = row.permission[direction];
  const isAllowed = lowest !== undefined && mode.exceptionLevel >= lowest;
  return isAllowed || access.kind === 'resume' ? access : HELPER;
}

/** Rows with conditions beyond the exception level go through the helper, which checks them. */
function isConditional(row: SystemRegister): boolean {
  return row.requires !== undefined || row.trap !== undefined;
}

function readAccess(row: SystemRegister): RegisterAccess {
  return row.kind === 'storage' && !isConditional(row) ? { kind: 'field', field: row.field } : HELPER;
}

function writeAccess(row: SystemRegister): RegisterAccess {
  if (RESUMING.has(row)) return RESUME;
  if (row.kind !== 'storage') return HELPER;
  if (row.written !== undefined) return RESUME;
  return row.mask === ALL_BITS && !isConditional(row) ? { kind: 'field', field: row.field } : HELPER;
}
