/**
 * What the semantics of one A64 instruction work with: the block under construction, register access in the manual's
 * terms (register 31 as zero register or stack pointer), and how the block ends.
 */
import type { Terminal, Value } from '../ir/block.ts';
import { BlockBuilder } from '../ir/builder.ts';
import { faultingHelper } from '../ir/helper-declaration.ts';
import type { IntType } from '../ir/types.ts';
import type { A64Features } from './features.ts';
import { Flags } from './flags.ts';
import type { A64Mode } from './mode.ts';
import { A64_STATE } from './state.ts';
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
  readonly mode: A64Mode;
  readonly features: A64Features;
  terminal: Terminal | undefined;

  /** @param start byte offset of the block in its page */
  constructor(start: number, mode: A64Mode, features: A64Features) {
    this.ir = new BlockBuilder(start);
    this.flags = new Flags(this.ir);
    this.mode = mode;
    this.features = features;
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

  /** Base address of a load or store. Not modelled: the alignment check of SP (SCTLR_ELx.SA). */
  base(n: number): Value<'i64'> {
    return this.xOrSp(n);
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
  indirect(target: Value<'i64'>): void {
    this.terminal = { kind: 'indirect', target };
  }
  /** Ends the block: a helper has stored the next PC. */
  resume(): void {
    this.terminal = { kind: 'resume' };
  }

  /** Raises a synchronous exception at this instruction and ends the block. */
  raise(exceptionClass: number, iss: number): void {
    this.ir.call(raiseException, this.ir.i32(exceptionClass), this.ir.i32(iss));
    this.resume();
  }
  /** The instruction is UNDEFINED here. */
  undefined(): void {
    this.raise(EXCEPTION_CLASS.UNKNOWN, 0);
  }
}
