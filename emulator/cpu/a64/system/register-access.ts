/**
 * How translated code reaches a system register: decided while translating, so that registers that are plain storage are
 * read and written in place.
 */
import type { StateField } from '../../ir/state-field.ts';
import type { A64Mode } from '../mode.ts';

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

/**
 * Decides for the register with this key (`register-key.ts`). Not asked for NZCV, DAIF, CurrentEL, FPCR and FPSR, which instruction
 * semantics do themselves.
 */
export function registerAccess(_key: number, _mode: A64Mode, _direction: 'read' | 'write'): RegisterAccess {
  return { kind: 'helper' };
}
