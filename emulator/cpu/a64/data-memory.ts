/**
 * Loads and stores of a block, with the alignment that SCTLR_ELx asks for.
 *
 * Source: Arm ARM DDI 0487 "Alignment of data accesses", "SP alignment checking".
 * SP is checked by the address that is accessed: its distance from SP is known, so that SP is aligned when the address is as
 * aligned as that distance. One check holds until SP is something else. Not modelled: the check for an address that is SP
 * plus a register or an odd number, when it is the first that the block accesses by SP.
 */
import type { MemoryAccess, Value } from '../ir/block.ts';
import type { BlockBuilder } from '../ir/builder.ts';
import { OPS } from '../ir/ops.ts';
import type { AccessSize } from '../ir/types.ts';
import type { A64Mode } from './mode.ts';

/** Bytes of a load into a general register. */
export type ScalarSize = Exclude<AccessSize, 16>;

type Access = Partial<MemoryAccess>;

const STACK_ALIGNMENT = 16;

/** Emits the loads and stores of a block. `element`: bytes of what is to be aligned where SCTLR_ELx.A is set; the size by default. */
export class DataMemory {
  readonly #ir: BlockBuilder;
  readonly #mode: A64Mode;
  /** SP as the base of the instruction under way. */
  #base: Value<'i64'> | undefined;
  /** A value of SP that is aligned, because an access has checked it. */
  #aligned: Value<'i64'> | undefined;

  constructor(ir: BlockBuilder, mode: A64Mode) {
    this.#ir = ir;
    this.#mode = mode;
  }

  /** Says on what the addresses of the instruction under way are based. @param sp undefined: a general register */
  setBase(sp: Value<'i64'> | undefined): void {
    this.#base = this.#mode.stackChecked ? sp : undefined;
  }

  load(address: Value<'i64'>, size: ScalarSize, access: Access = {}, element: AccessSize = size): Value<'i64'> {
    const [checked, how] = this.#check(address, access, element);
    return this.#ir.load(checked, size, how);
  }

  store(
    address: Value<'i64'>,
    value: Value<'i64'>,
    size: ScalarSize,
    access: Access = {},
    element: AccessSize = size,
  ): void {
    const [checked, how] = this.#check(address, access, element);
    this.#ir.store(checked, value, size, how);
  }

  loadV128(address: Value<'i64'>, access: Access = {}, element: AccessSize = 16): Value<'v128'> {
    const [checked, how] = this.#check(address, access, element);
    return this.#ir.loadV128(checked, how);
  }

  storeV128(address: Value<'i64'>, value: Value<'v128'>, access: Access = {}, element: AccessSize = 16): void {
    const [checked, how] = this.#check(address, access, element);
    this.#ir.storeV128(checked, value, how);
  }

  #check(address: Value<'i64'>, access: Access, element: AccessSize): [Value<'i64'>, Access] {
    const wanted = this.#mode.alignmentChecked ? element : 1;
    const alignment = Math.max(access.alignment ?? 1, wanted) as AccessSize;
    const how: Access = alignment === 1 ? access : { ...access, alignment };
    const sp = this.#base;
    this.#base = undefined;
    return sp === undefined || this.#isAligned(sp) ? [address, how] : this.#checkStack(sp, address, how);
  }

  /** An aligned SP lets the address through; any other makes it lack alignment. */
  #checkStack(sp: Value<'i64'>, address: Value<'i64'>, access: Access): [Value<'i64'>, Access] {
    const ir = this.#ir;
    const distance = distanceFrom(sp, address);
    if (distance === undefined || (distance & 1) !== 0) return [address, access];
    this.#aligned = sp;
    const known = lowestBit(distance | STACK_ALIGNMENT);
    const alignment = Math.max(known, access.alignment ?? 1) as AccessSize;
    if (known === STACK_ALIGNMENT) return [address, { ...access, alignment }];
    // The bits of SP below `known` are those of the address; one above it that is set makes the address odd
    const isMisaligned =
      known === 8
        ? ir.shrU(ir.and(sp, ir.i64(8)), 3)
        : ir.toI64(ir.ne(ir.and(sp, ir.i64(STACK_ALIGNMENT - known)), ir.i64(0)));
    return [ir.or(address, isMisaligned), { ...access, alignment }];
  }

  /** Whether a value of SP is a multiple of 16 away from one that was checked. */
  #isAligned(sp: Value<'i64'>): boolean {
    for (let value: Value = sp; ; value = value.args[0]!) {
      if (value === this.#aligned) return true;
      if (value.op !== OPS['i64.add'] && value.op !== OPS['i64.sub']) return false;
      const distance = constant(value.args[1]!);
      if (distance === undefined || distance % STACK_ALIGNMENT !== 0) return false;
    }
  }
}

/** What has been added to a value; undefined when that is not known. */
function distanceFrom(base: Value, value: Value): number | undefined {
  if (value === base) return 0;
  const [from, to] = [constant(base), constant(value)];
  if (from !== undefined && to !== undefined) return to - from;
  const distance = value.args[1] && constant(value.args[1]);
  if (distance === undefined || value.args[0] !== base) return undefined;
  if (value.op === OPS['i64.add']) return distance;
  return value.op === OPS['i64.sub'] ? -distance : undefined;
}

function constant({ op, immediate }: Value): number | undefined {
  return op === OPS['i64.const'] ? Number(BigInt.asIntN(32, immediate as bigint)) : undefined;
}

function lowestBit(value: number): number {
  return value & -value;
}
