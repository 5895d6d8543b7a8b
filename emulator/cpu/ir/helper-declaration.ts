/**
 * How a piece of system behaviour (exception entry, system registers, floating point corners) that is written in
 * TypeScript is called from translated code. Both executors call it by this declaration.
 */
import type { ValueType } from './types.ts';

/** JavaScript type in which a value crosses into a helper: i32 as a signed number, i64 as an unsigned bigint. */
export type HelperValue<T> = T extends 'i64' ? bigint : T extends 'i32' ? number : never;

/** Types that helpers may take and return. v128 operands go through state fields. */
export type HelperType = Exclude<ValueType, 'v128'>;

/** What the executors must do around a call. */
export interface HelperEffects {
  /**
   * CPU state that it reads or writes: `none`; `system`, fields that are never kept in locals (control and system
   * registers); `all`, any field, which makes the executor write its locals back before and reload them after.
   */
  readonly state: 'none' | 'system' | 'all';
  /** May raise a guest exception: the block is left when it does, at the current instruction, which then has not retired. */
  readonly mayFault: boolean;
  /** It does nothing unless its first argument is 0, and then raises an exception: compiled code calls it only then. */
  readonly guards?: boolean;
}

export interface HelperDeclaration<
  P extends readonly HelperType[] = readonly HelperType[],
  R extends HelperType | 'none' = HelperType | 'none',
> {
  readonly name: string;
  readonly params: P;
  readonly result: R;
  readonly effects: HelperEffects;
}

/** A helper whose result depends on its arguments alone; calls may be merged, moved or dropped. */
export function pureHelper<const P extends readonly HelperType[], const R extends HelperType>(
  name: string,
  params: P,
  result: R,
): HelperDeclaration<P, R> {
  return { name, params, result, effects: { state: 'none', mayFault: false } };
}

/** A helper that touches only state that is never kept in locals (FPSR, say), and never raises an exception. */
export function systemHelper<const P extends readonly HelperType[], const R extends HelperType | 'none'>(
  name: string,
  params: P,
  result: R,
): HelperDeclaration<P, R> {
  return { name, params, result, effects: { state: 'system', mayFault: false } };
}

/** A helper that reads or writes CPU state (any field) or the machine, and never raises an exception. */
export function stateHelper<const P extends readonly HelperType[], const R extends HelperType | 'none'>(
  name: string,
  params: P,
  result: R,
): HelperDeclaration<P, R> {
  return { name, params, result, effects: { state: 'all', mayFault: false } };
}

/** A helper that may raise a guest exception (and may read or write CPU state). */
export function faultingHelper<const P extends readonly HelperType[], const R extends HelperType | 'none'>(
  name: string,
  params: P,
  result: R,
): HelperDeclaration<P, R> {
  return { name, params, result, effects: { state: 'all', mayFault: true } };
}

/** A helper that raises a guest exception when its first argument is 0, and does nothing otherwise. */
export function guardHelper<const P extends readonly ['i32', ...HelperType[]]>(
  name: string,
  params: P,
): HelperDeclaration<P, 'none'> {
  return { name, params, result: 'none', effects: { state: 'all', mayFault: true, guards: true } };
}
