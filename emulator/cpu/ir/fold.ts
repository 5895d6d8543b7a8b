/** Folds pure ops at translation time: constants, and the identities that instruction semantics produce most. */
import { type Immediate, Value } from './block.ts';
import { INTEGER_EVALUATORS } from './evaluate-integer.ts';
import { OPS, type Op } from './ops.ts';
import type { IntType, ValueType } from './types.ts';

/**
 * Simplifies `op(args)`.
 * @returns a constant or one of the arguments, or `undefined` when the op has to be computed
 */
export function foldPure(
  op: Op,
  args: readonly Value<ValueType>[],
  immediate: Immediate,
): Value<ValueType> | undefined {
  if (immediate !== undefined) return undefined;
  const folding = FOLDINGS[op.index];
  if (folding === undefined) return undefined;
  if (folding.evaluate !== undefined && args.every(isConstant)) return foldConstants(op, folding.evaluate, args);
  return folding.identity?.(args);
}

const I32_CONST = OPS['i32.const'];
const I64_CONST = OPS['i64.const'];

function isConstant(value: Value): boolean {
  return value.op === I32_CONST || value.op === I64_CONST;
}

function isZero(value: Value | undefined): boolean {
  return value !== undefined && (value.immediate === 0 || value.immediate === 0n) && isConstant(value);
}

function isAllOnes(value: Value | undefined): boolean {
  return (
    value !== undefined && (value.immediate === -1 || value.immediate === 0xffff_ffff_ffff_ffffn) && isConstant(value)
  );
}

type Evaluate = (...args: unknown[]) => number | bigint;

function foldConstants(op: Op, evaluate: Evaluate, args: readonly Value[]): Value<ValueType> {
  const result = evaluate(...args.map(arg => arg.immediate));
  return op.result === 'i32' ? new Value(I32_CONST, 'i32', [], result, 0) : new Value(I64_CONST, 'i64', [], result, 0);
}

type Identity = (args: readonly Value<ValueType>[]) => Value<ValueType> | undefined;

/** x op 0 = x */
const rightZero: Identity = ([a, b]) => (isZero(b) ? a : undefined);
/** x op 0 = x and 0 op x = x */
const eitherZero: Identity = ([a, b]) => (isZero(b) ? a : isZero(a) ? b : undefined);
/** x & ~0 = x, x & 0 = 0 */
const andIdentity: Identity = ([a, b]) => {
  if (isZero(a) || isAllOnes(b)) return a;
  return isZero(b) || isAllOnes(a) ? b : undefined;
};
const selectIdentity: Identity = ([condition, a, b]) => {
  if (a === b) return a;
  return condition && isConstant(condition) ? (isZero(condition) ? b : a) : undefined;
};
const EXTEND_U = OPS['i64.extend_i32_u'];
const EXTEND_S = OPS['i64.extend_i32_s'];
/** wrap(extend(x)) = x */
const wrapIdentity: Identity = ([a]) => (a?.op === EXTEND_U || a?.op === EXTEND_S ? a.args[0] : undefined);

function forBoth(name: string, identity: Identity): Record<string, Identity> {
  return Object.fromEntries((['i32', 'i64'] satisfies IntType[]).map(type => [`${type}.${name}`, identity]));
}

const IDENTITIES: Readonly<Record<string, Identity>> = {
  ...forBoth('add', eitherZero),
  ...forBoth('or', eitherZero),
  ...forBoth('xor', eitherZero),
  ...forBoth('sub', rightZero),
  ...forBoth('shl', rightZero),
  ...forBoth('shr_s', rightZero),
  ...forBoth('shr_u', rightZero),
  ...forBoth('rotl', rightZero),
  ...forBoth('rotr', rightZero),
  ...forBoth('and', andIdentity),
  ...forBoth('select', selectIdentity),
  'v128.select': selectIdentity,
  'i32.wrap_i64': wrapIdentity,
};

/** What can be done about an op: computing it from constants, and an identity. */
interface Folding {
  readonly evaluate: Evaluate | undefined;
  readonly identity: Identity | undefined;
}

/** By `Op.index`. */
const FOLDINGS: readonly (Folding | undefined)[] = Object.values(OPS).map(({ name, params, result }) => {
  if (params.includes('v128')) return undefined;
  const evaluators = INTEGER_EVALUATORS as Record<string, Evaluate | undefined>;
  return { evaluate: result === 'v128' ? undefined : evaluators[name], identity: IDENTITIES[name] };
});
