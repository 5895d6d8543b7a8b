/**
 * Types of the intermediate representation: what a run-time value can be.
 *
 * They are WebAssembly's own (WebAssembly Core Specification "Number Types", "Vector Types"), without floats:
 * floating-point values travel as their bit patterns, because NaNs must keep theirs.
 */

/** `i32`, `i64`: integers without a sign; `v128`: a vector of 16 bytes. */
export type ValueType = 'i32' | 'i64' | 'v128';

/** The integer types, for operations that exist in both widths. */
export type IntType = 'i32' | 'i64';

/** Widths in bytes that a guest memory access may have. */
export type AccessSize = 1 | 2 | 4 | 8 | 16;

export const SIZE_OF_TYPE = { i32: 4, i64: 8, v128: 16 } as const satisfies Record<ValueType, number>;
