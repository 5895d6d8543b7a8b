/**
 * Builds one block. Semantics call its methods; each returns a handle to a value that exists when the code runs.
 *
 * While building it folds constants and forwards state: a `get` after a `set` or `get` of the same field in the block
 * is the value itself.
 */
import { assert } from '../../../capture/formats/errors.ts';
import { type Block, type MemoryAccess, type Terminal, Value } from './block.ts';
import { foldPure } from './fold.ts';
import type { HelperDeclaration, HelperType } from './helper-declaration.ts';
import { OPS, type Op, type PureOpName, type PureParams, type PureResult } from './ops.ts';
import type { StateField } from './state-field.ts';
import type { AccessSize, IntType, ValueType } from './types.ts';

type Args<P extends readonly ValueType[]> = { readonly [K in keyof P]: Value<P[K]> };
type ShiftAmount<T extends IntType> = Value<T> | number;

const { get: GET, set: SET, load: LOAD, store: STORE, call: CALL, pc: PC, retired: RETIRED } = OPS;
const I32_CONST = OPS['i32.const'];
const I64_CONST = OPS['i64.const'];
const WRAP = OPS['i32.wrap_i64'];
const EXTEND_S = OPS['i64.extend_i32_s'];
const EXTEND_U = OPS['i64.extend_i32_u'];

const BY_TYPE = {
  i32: integerOps('i32'),
  i64: integerOps('i64'),
} as const;

function integerOps(type: IntType) {
  const op = (name: string): Op => OPS[`${type}.${name}` as PureOpName];
  return {
    add: op('add'),
    sub: op('sub'),
    mul: op('mul'),
    div_s: op('div_s'),
    div_u: op('div_u'),
    and: op('and'),
    or: op('or'),
    xor: op('xor'),
    shl: op('shl'),
    shr_s: op('shr_s'),
    shr_u: op('shr_u'),
    rotl: op('rotl'),
    rotr: op('rotr'),
    clz: op('clz'),
    ctz: op('ctz'),
    popcnt: op('popcnt'),
    eqz: op('eqz'),
    eq: op('eq'),
    ne: op('ne'),
    lt_s: op('lt_s'),
    lt_u: op('lt_u'),
    gt_s: op('gt_s'),
    gt_u: op('gt_u'),
    le_s: op('le_s'),
    le_u: op('le_u'),
    ge_s: op('ge_s'),
    ge_u: op('ge_u'),
    select: op('select'),
  };
}

/** Builds a block instruction by instruction; `finish` ends it. */
export class BlockBuilder {
  readonly #start: number;
  readonly #instructions: number[] = [];
  readonly #values: Value[] = [];
  /** What each state field is known to hold, by field index. */
  #known: (Value<ValueType> | undefined)[] = [];
  readonly #knownSystemFields: number[] = [];

  /** @param start byte offset of the block in its page */
  constructor(start: number) {
    this.#start = start;
  }

  /** Begins the guest instruction at byte offset `offset` of the page. */
  beginInstruction(offset: number): void {
    this.#instructions.push(offset);
  }

  /** Byte offset in the page of the instruction under way. */
  get instructionOffset(): number {
    const offset = this.#instructions.at(-1);
    assert(offset !== undefined, 'no instruction begun');
    return offset;
  }

  get instructionCount(): number {
    return this.#instructions.length;
  }

  /** Ends the block. @param end byte offset behind the last instruction */
  finish(end: number, terminal: Terminal): Block {
    return { start: this.#start, instructions: this.#instructions, end, values: this.#values, terminal };
  }

  // Constants

  i32(value: number): Value<'i32'> {
    return new Value(I32_CONST, 'i32', [], value | 0, 0);
  }

  /** @param value taken modulo 2^64 */
  i64(value: bigint | number): Value<'i64'> {
    return new Value(I64_CONST, 'i64', [], BigInt.asUintN(64, BigInt(value)), 0);
  }

  /** A constant of the given integer type. */
  int<T extends IntType>(type: T, value: bigint | number): Value<T> {
    return (type === 'i32' ? this.i32(Number(BigInt.asIntN(32, BigInt(value)))) : this.i64(value)) as Value<T>;
  }

  /** @param bytes the 16 bytes, lowest first */
  v128(bytes: Uint8Array): Value<'v128'> {
    assert(bytes.length === 16, 'a v128 has 16 bytes');
    return new Value(OPS['v128.const'], 'v128', [], bytes, 0);
  }

  // Any pure op by name

  /** A pure op without an immediate. */
  op<N extends PureOpName>(name: N, ...args: Args<PureParams<N>>): Value<PureResult<N>> {
    return this.#pure(OPS[name], args) as Value<PureResult<N>>;
  }

  /** A pure op with a lane number as immediate. */
  lane<N extends PureOpName>(name: N, lane: number, ...args: Args<PureParams<N>>): Value<PureResult<N>> {
    return this.#pure(OPS[name], args, lane) as Value<PureResult<N>>;
  }

  /** Picks 16 bytes out of the 32 of `a` and `b`; `lanes` has 16 numbers from 0 to 31. */
  shuffle(a: Value<'v128'>, b: Value<'v128'>, lanes: Uint8Array): Value<'v128'> {
    assert(lanes.length === 16, 'a shuffle has 16 lanes');
    return this.#pure(OPS['i8x16.shuffle'], [a, b], lanes) as Value<'v128'>;
  }

  // Integers

  add<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#binary('add', a, b);
  }
  sub<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#binary('sub', a, b);
  }
  mul<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#binary('mul', a, b);
  }
  /** Rounds towards zero; x / 0 = 0, the most negative / -1 = the most negative. */
  divS<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#binary('div_s', a, b);
  }
  /** x / 0 = 0. */
  divU<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#binary('div_u', a, b);
  }
  and<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#binary('and', a, b);
  }
  or<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#binary('or', a, b);
  }
  xor<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#binary('xor', a, b);
  }
  not<T extends IntType>(a: Value<T>): Value<T> {
    return this.#binary('xor', a, this.int(a.type, -1));
  }
  neg<T extends IntType>(a: Value<T>): Value<T> {
    return this.#binary('sub', this.int(a.type, 0), a);
  }
  /** Shifts and rotations take the amount modulo the width. */
  shl<T extends IntType>(a: Value<T>, amount: ShiftAmount<T>): Value<T> {
    return this.#binary('shl', a, this.#amount(a, amount));
  }
  shrS<T extends IntType>(a: Value<T>, amount: ShiftAmount<T>): Value<T> {
    return this.#binary('shr_s', a, this.#amount(a, amount));
  }
  shrU<T extends IntType>(a: Value<T>, amount: ShiftAmount<T>): Value<T> {
    return this.#binary('shr_u', a, this.#amount(a, amount));
  }
  rotl<T extends IntType>(a: Value<T>, amount: ShiftAmount<T>): Value<T> {
    return this.#binary('rotl', a, this.#amount(a, amount));
  }
  rotr<T extends IntType>(a: Value<T>, amount: ShiftAmount<T>): Value<T> {
    return this.#binary('rotr', a, this.#amount(a, amount));
  }
  clz<T extends IntType>(a: Value<T>): Value<T> {
    return this.#pure(BY_TYPE[a.type].clz, [a]) as Value<T>;
  }
  ctz<T extends IntType>(a: Value<T>): Value<T> {
    return this.#pure(BY_TYPE[a.type].ctz, [a]) as Value<T>;
  }
  popcnt<T extends IntType>(a: Value<T>): Value<T> {
    return this.#pure(BY_TYPE[a.type].popcnt, [a]) as Value<T>;
  }

  // Comparisons give 0 or 1

  eqz(a: Value<IntType>): Value<'i32'> {
    return this.#pure(BY_TYPE[a.type].eqz, [a]) as Value<'i32'>;
  }
  eq<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('eq', a, b);
  }
  ne<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('ne', a, b);
  }
  ltS<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('lt_s', a, b);
  }
  ltU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('lt_u', a, b);
  }
  gtS<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('gt_s', a, b);
  }
  gtU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('gt_u', a, b);
  }
  leS<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('le_s', a, b);
  }
  leU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('le_u', a, b);
  }
  geS<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('ge_s', a, b);
  }
  geU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#compare('ge_u', a, b);
  }

  /** `a` when the condition is not 0, else `b`; both are computed. */
  select<T extends ValueType>(condition: Value<'i32'>, a: Value<T>, b: Value<T>): Value<T> {
    return this.#pure(OPS[`${a.type}.select`], [condition, a, b]) as Value<T>;
  }

  // Conversions

  /** The low 32 bits; an i32 is itself. */
  toI32(a: Value<IntType>): Value<'i32'> {
    return a.type === 'i32' ? (a as Value<'i32'>) : (this.#pure(WRAP, [a]) as Value<'i32'>);
  }
  /** Zero-extends an i32; an i64 is itself. */
  toI64(a: Value<IntType>): Value<'i64'> {
    return a.type === 'i64' ? (a as Value<'i64'>) : (this.#pure(EXTEND_U, [a]) as Value<'i64'>);
  }
  /** Sign-extends an i32; an i64 is itself. */
  toI64Signed(a: Value<IntType>): Value<'i64'> {
    return a.type === 'i64' ? (a as Value<'i64'>) : (this.#pure(EXTEND_S, [a]) as Value<'i64'>);
  }
  /** Sign-extends the low `bits` (8, 16 or 32) of an integer within its type. */
  signExtend<T extends IntType>(a: Value<T>, bits: 8 | 16 | 32): Value<T> {
    if (a.type === 'i32' && bits === 32) return a;
    return this.#pure(OPS[`${a.type}.extend${bits}_s` as PureOpName], [a]) as Value<T>;
  }

  // State, memory, helpers

  /** Guest-virtual address of byte `offset` of the block's page (the offset may be negative or beyond the page). */
  pc(offset: number): Value<'i64'> {
    return this.#push(PC, 'i64', [], offset);
  }

  /** Instructions retired by all CPUs before this one: virtual time. */
  retired(): Value<'i64'> {
    return this.#push(RETIRED, 'i64', [], undefined);
  }

  get<T extends ValueType>(field: StateField<T>): Value<T> {
    const known = this.#known[field.index];
    if (known) return known as Value<T>;
    const value = this.#push(GET, field.type, [], field);
    this.#know(field, value);
    return value;
  }

  set<T extends ValueType>(field: StateField<T>, value: Value<T>): void {
    assert(value.type === field.type, `${field.name} takes ${field.type}, not ${value.type}`);
    if (this.#known[field.index] === value) return;
    this.#push(SET, 'none', [value], field);
    this.#know(field, value);
  }

  /** Loads `size` (1, 2, 4, 8) bytes, little-endian, zero-extended. */
  load(address: Value<'i64'>, size: Exclude<AccessSize, 16>, access: Partial<MemoryAccess> = {}): Value<'i64'> {
    return this.#push(LOAD, 'i64', [address], memoryAccess(size, access));
  }
  /** Stores the low `size` (1, 2, 4, 8) bytes of `value`, little-endian. */
  store(
    address: Value<'i64'>,
    value: Value<'i64'>,
    size: Exclude<AccessSize, 16>,
    access: Partial<MemoryAccess> = {},
  ): void {
    this.#push(STORE, 'none', [address, value], memoryAccess(size, access));
  }
  /** Loads 16 bytes, lowest first. */
  loadV128(address: Value<'i64'>, access: Partial<MemoryAccess> = {}): Value<'v128'> {
    return this.#push(LOAD, 'v128', [address], memoryAccess(16, access));
  }
  storeV128(address: Value<'i64'>, value: Value<'v128'>, access: Partial<MemoryAccess> = {}): void {
    this.#push(STORE, 'none', [address, value], memoryAccess(16, access));
  }

  /** Calls a helper; the result is a handle (of type `none` for helpers without a result). */
  call<const P extends readonly HelperType[], R extends HelperType | 'none'>(
    helper: HelperDeclaration<P, R>,
    ...args: Args<P>
  ): Value<R> {
    const result = this.#push(CALL, helper.result, args, helper);
    if (helper.effects.guards) return result;
    if (helper.effects.state === 'all') this.#known = [];
    else if (helper.effects.state === 'system') this.#forgetSystemState();
    return result;
  }

  #know(field: StateField, value: Value<ValueType>): void {
    this.#known[field.index] = value;
    if (!field.inLocals) this.#knownSystemFields.push(field.index);
  }

  #forgetSystemState(): void {
    for (const index of this.#knownSystemFields) this.#known[index] = undefined;
    this.#knownSystemFields.length = 0;
  }

  #amount<T extends IntType>(a: Value<T>, amount: ShiftAmount<T>): Value<T> {
    return typeof amount === 'number' ? this.int(a.type, amount) : amount;
  }

  #binary<T extends IntType>(name: keyof (typeof BY_TYPE)['i32'], a: Value<T>, b: Value<T>): Value<T> {
    return this.#pure(BY_TYPE[a.type][name], [a, b]) as Value<T>;
  }

  #compare<T extends IntType>(name: keyof (typeof BY_TYPE)['i32'], a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#pure(BY_TYPE[a.type][name], [a, b]) as Value<'i32'>;
  }

  #pure(op: Op, args: readonly Value<ValueType>[], immediate?: number | Uint8Array): Value<ValueType> {
    return foldPure(op, args, immediate) ?? this.#push(op, op.result as ValueType, args, immediate);
  }

  #push<T extends ValueType | 'none'>(
    op: Op,
    type: T,
    args: readonly Value<ValueType>[],
    immediate: Value['immediate'],
  ): Value<T> {
    const value = new Value(op, type, args, immediate, this.#instructions.length - 1);
    value.position = this.#values.length;
    this.#values.push(value);
    return value;
  }
}

function memoryAccess(size: AccessSize, access: Partial<MemoryAccess>): MemoryAccess {
  return { size, regime: 'current', alignment: 1, forWrite: false, ...access };
}
