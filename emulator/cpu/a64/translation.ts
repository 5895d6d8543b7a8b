/**
 * What the semantics of one A64 instruction work with: the block under construction, register access in the manual's
 * terms (register 31 as zero register or stack pointer), and how the block ends.
 */
import type { Terminal, Value } from '../ir/block.ts';
import { BlockBuilder } from '../ir/builder.ts';
import { faultingHelper } from '../ir/helper-declaration.ts';
import type { IntType } from '../ir/types.ts';
import { type BranchType, MISALIGNED_PC } from './branch-target.ts';
import { DataMemory } from './data-memory.ts';
import type { A64Features } from './features.ts';
import { Flags } from './flags.ts';
import type { A64Mode } from './mode.ts';
import { A64_STATE } from './state.ts';
import { raiseAtBranchTarget } from './system/helpers.ts';
import { EXCEPTION_CLASS } from './system/syndrome.ts';

/** Raises a synchronous exception: (ESR_ELx.EC, ESR_ELx.ISS); the preferred return address is this instruction's. */
export const raiseException = faultingHelper('a64.raiseException', ['i32', 'i32'], 'none');

/** Exception classes that translation raises itself. */
export { EXCEPTION_CLASS as EC };

/** The translation of one block; `terminal` is set by the instruction that ends it. */
export class Translation {
  readonly ir: BlockBuilder;
  /** PSTATE.NZCV. */
  readonly flags: Flags;
  /** Loads and stores. */
  readonly memory: DataMemory;
  readonly mode: A64Mode;
  readonly features: A64Features;
  terminal: Terminal | undefined;
  readonly #branchType: BranchType;

  /**
   * @param start byte offset of the block in its page
   * @param branchType PSTATE.BTYPE at the first instruction
   */
  constructor(start: number, mode: A64Mode, features: A64Features, branchType: BranchType = 0) {
    this.#branchType = branchType;
    this.ir = new BlockBuilder(start);
    this.flags = new Flags(this.ir);
    this.memory = new DataMemory(this.ir, mode);
    this.mode = mode;
    this.features = features;
  }

  /** PSTATE.BTYPE at the instruction under way. */
  get branchType(): BranchType {
    return this.ir.instructionCount === 1 ? this.#branchType : 0;
  }

  // General registers; register 31 is the zero register here

  x(n: number): Value<'i64'> {
    return n === 31 ? this.ir.i64(0) : this.ir.get(A64_STATE.x[n]!);
  }
  w(n: number): Value<'i32'> {
    return this.ir.toI32(this.x(n));
  }
  /** X(n) when `sf` is 1, W(n) when it is 0. */
  reg(sf: number, n: number): Value<IntType> {
    return sf ? this.x(n) : this.w(n);
  }
  /** Writes X(n), or W(n) with zero-extension, by the value's type. */
  setReg(n: number, value: Value<IntType>): void {
    if (n !== 31) this.ir.set(A64_STATE.x[n]!, this.ir.toI64(value));
  }

  // General registers; register 31 is the stack pointer here

  xOrSp(n: number): Value<'i64'> {
    return n === 31 ? this.ir.get(A64_STATE.sp) : this.x(n);
  }
  regOrSp(sf: number, n: number): Value<IntType> {
    return sf ? this.xOrSp(n) : this.ir.toI32(this.xOrSp(n));
  }
  setRegOrSp(n: number, value: Value<IntType>): void {
    if (n === 31) this.ir.set(A64_STATE.sp, this.ir.toI64(value));
    else this.setReg(n, value);
  }

  /** Base address of a load or store of the instruction under way. */
  base(n: number): Value<'i64'> {
    const base = this.xOrSp(n);
    this.memory.setBase(n === 31 ? base : undefined);
    return base;
  }

  // Vector registers

  v(n: number): Value<'v128'> {
    return this.ir.get(A64_STATE.v[n]!);
  }
  setV(n: number, value: Value<'v128'>): void {
    this.ir.set(A64_STATE.v[n]!, value);
  }

  // Control flow; offsets are signed byte distances from this instruction

  /** Guest-virtual address of this instruction plus `distance`. */
  pc(distance: number): Value<'i64'> {
    return this.ir.pc(this.ir.instructionOffset + distance);
  }
  /** Guest-virtual address of the 4 KiB page that lies `pages` after this instruction's. */
  page(pages: number): Value<'i64'> {
    const distance = pages * 0x1000;
    if (distance === (distance | 0)) return this.ir.pc(distance);
    return this.ir.add(this.ir.pc(0), this.ir.i64(BigInt(distance)));
  }
  jump(distance: number): void {
    this.terminal = { kind: 'jump', target: this.ir.instructionOffset + distance };
  }
  /** Jumps by `distance` when the condition is not 0, else goes on with the next instruction. */
  branch(condition: Value<'i32'>, distance: number): void {
    const here = this.ir.instructionOffset;
    this.terminal = { kind: 'branch', condition, taken: here + distance, notTaken: here + 4 };
  }
  /** Goes on at an aligned address, as an instruction that is no branch does. */
  indirect(target: Value<'i64'>): void {
    this.terminal = { kind: 'indirect', target };
  }
  /** BR, BLR and RET. @param branchType PSTATE.BTYPE at the target, which the low bits of the PC carry there */
  branchTo(target: Value<'i64'>, branchType: BranchType): void {
    const { ir } = this;
    if (!this.features.has('FEAT_BTI')) return this.indirect(target);
    ir.set(A64_STATE.branchTarget, target);
    const isAligned = ir.eqz(ir.and(ir.toI32(target), ir.i32(3)));
    const pc = branchType === 0 ? target : ir.or(target, ir.i64(branchType));
    this.indirect(ir.select(isAligned, pc, ir.i64(MISALIGNED_PC)));
  }
  /** Ends the block: a helper has stored the next PC. */
  resume(): void {
    this.terminal = { kind: 'resume' };
  }

  /** Raises a synchronous exception at this instruction and ends the block. */
  raise(exceptionClass: number, iss: number): void {
    const { ir, branchType } = this;
    if (branchType === 0) ir.call(raiseException, ir.i32(exceptionClass), ir.i32(iss));
    else ir.call(raiseAtBranchTarget, ir.i32(exceptionClass), ir.i32(iss), ir.i32(branchType));
    this.resume();
  }
  /** The instruction is UNDEFINED here. */
  undefined(): void {
    this.raise(EXCEPTION_CLASS.UNKNOWN, 0);
  }
}
