/**
 * What the vector ops compute, on JavaScript values: a v128 is a Uint8Array of 16 bytes, lowest first, never changed in place.
 *
 * Source: WebAssembly Core Specification "Vector Instructions".
 */
import type { VectorOpName } from './ops.ts';

/** A value of any type: i32 as a signed number, i64 as an unsigned bigint, v128 as 16 bytes. */
export type JsValue = number | bigint | Uint8Array;

/** Computes a vector op; `immediate` is the lane number, or the lanes of a shuffle. */
export type VectorEvaluator = (args: readonly JsValue[], immediate: unknown) => JsValue;

/** Evaluators of the vector ops by name. */
export const VECTOR_EVALUATORS = {} as Readonly<Record<Exclude<VectorOpName, 'v128.const'>, VectorEvaluator>>;
