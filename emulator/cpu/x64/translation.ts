/**
 * What the semantics of one x86_64 instruction work with: the block under construction, registers, memory and the stack in operand
 * sizes, and how the block ends.
 *
 * Integers of 1 and 2 bytes are i32 values whose upper bits are 0, of 4 bytes i32, of 8 bytes i64. Within an instruction whatever may
 * fault comes before the first write of a register or flag, so that state is precise.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { Terminal, Value } from '../ir/block.ts';
import { BlockBuilder } from '../ir/builder.ts';
import type { IntType } from '../ir/types.ts';
import type { Decoded } from './decode.ts';
import type { X64Features } from './features.ts';
import { Flags, type IntSize, typeOfSize } from './flags.ts';
import type { X64Mode } from './mode.ts';
import type { MemoryOperand, Operand } from './operands.ts';
import { GPR, SEGMENT, X64_STATE } from './state.ts';
import { VECTOR } from './system/fault.ts';
import { checkProtection, checkSegmentAccess, raiseException, requireVm86Privilege } from './system/helpers.ts';
import { packSegmentAccess } from './system/segment-access-form.ts';

type Int = Value<IntType>;

/** What the machine and the debugger want of a translation. */
export interface TranslationOptions {
  /** PAUSE lets other CPUs run. */
  readonly pauseEndsTurn: boolean;
  /** The block is one instruction, and a string instruction does one element. */
  readonly single: boolean;
  /** A debugger steps: an instruction is done in one go. */
  readonly debuggerSteps: boolean;
}

/** The translation of one block; `terminal` is set by the instruction that ends it. */
export class Translation {
  readonly ir: BlockBuilder;
  readonly flags: Flags;
  readonly mode: X64Mode;
  readonly features: X64Features;
  readonly options: TranslationOptions;
  terminal: Terminal | undefined;
  #decoded: Decoded | undefined;
  #addresses = new Map<MemoryOperand, Value<'i64'>>();
  /** Where linear addresses come from whose accesses are checked. */
  readonly #places = new Map<Value<'i64'>, { readonly segment: number; readonly offset: Int }>();
  /** Added to rSP as a base register: POP to memory addresses with the incremented stack pointer. */
  stackAdjustment = 0;

  /** @param start byte offset of the block in its page */
  constructor(start: number, mode: X64Mode, features: X64Features, options: TranslationOptions) {
    this.ir = new BlockBuilder(start);
    this.flags = new Flags(this.ir);
    this.mode = mode;
    this.features = features;
    this.options = options;
  }

  /** Begins an instruction whose bytes start at `offset` of the page. */
  begin(decoded: Decoded): void {
    this.#decoded = decoded;
    this.#addresses = new Map();
    this.#places.clear();
    this.stackAdjustment = 0;
  }

  /** The instruction under way. */
  get insn(): Decoded {
    assert(this.#decoded !== undefined, 'no instruction begun');
    return this.#decoded;
  }

  get is64(): boolean {
    return this.mode.codeSize === 64;
  }

  /** Offset in the page behind the instruction under way. */
  get next(): number {
    return this.ir.instructionOffset + this.insn.length;
  }

  /** Length of the instruction as helpers take it. */
  get length(): Value<'i32'> {
    return this.ir.i32(this.insn.length);
  }

  // Integers

  /** A constant of an operand size. */
  int(size: IntSize, value: bigint | number): Int {
    const bits = 8 * size;
    return this.ir.int(typeOfSize(size), size < 4 ? BigInt.asUintN(bits, BigInt(value)) : value);
  }

  /** Converts between operand sizes without a sign. */
  resize(value: Int, from: IntSize, to: IntSize): Int {
    if (to === 8) return this.ir.toI64(value);
    const narrow = this.ir.toI32(value);
    return to < from ? this.flags.truncate(to, narrow) : narrow;
  }

  /** Sign-extends between operand sizes. */
  signExtend(value: Int, from: IntSize, to: IntSize): Int {
    const { ir } = this;
    const narrow = from === 8 ? value : ir.toI32(value);
    const signed = from < 4 ? ir.signExtend(narrow, from === 1 ? 8 : 16) : narrow;
    return to === 8 ? ir.toI64Signed(signed) : this.flags.truncate(to, ir.toI32(signed));
  }

  // General registers

  /** The low `size` bytes of a general register. */
  gpr(number: number, size: IntSize): Int {
    const value = this.ir.get(X64_STATE.r[number]!);
    if (size === 8) return value;
    return this.flags.truncate(size, this.ir.toI32(value));
  }

  /** Bits 15 to 8. */
  gprHigh(number: number): Int {
    const { ir } = this;
    return ir.and(ir.shrU(ir.toI32(ir.get(X64_STATE.r[number]!)), 8), ir.i32(0xff));
  }

  /** Writes the low `size` bytes: 4 bytes clear the upper half, fewer leave the rest. */
  setGpr(number: number, size: IntSize, value: Int): void {
    const { ir } = this;
    const field = X64_STATE.r[number]!;
    if (size >= 4) return ir.set(field, ir.toI64(value));
    const mask = size === 1 ? 0xffn : 0xffffn;
    const kept = ir.and(ir.get(field), ir.i64(~mask));
    ir.set(field, ir.or(kept, ir.toI64(this.flags.truncate(size, value))));
  }

  setGprHigh(number: number, value: Int): void {
    const { ir } = this;
    const field = X64_STATE.r[number]!;
    const byte = ir.shl(ir.toI64(ir.and(ir.toI32(value), ir.i32(0xff))), 8);
    ir.set(field, ir.or(ir.and(ir.get(field), ir.i64(~0xff00n)), byte));
  }

  // Operands

  /** Size of an integer operand in bytes. */
  size(operand: Operand): IntSize {
    return operand.size as IntSize;
  }

  /** Reads an integer operand. @param forWrite a write of the same operand follows: memory must be writable */
  read(operand: Operand, forWrite = false): Int {
    switch (operand.kind) {
      case 'register':
        return operand.high ? this.gprHigh(operand.number) : this.gpr(operand.number, operand.size);
      case 'memory':
        return this.load(this.address(operand), operand.size as IntSize, forWrite);
      case 'immediate':
        return this.int(operand.size, operand.value);
      case 'segment':
        return this.ir.get(X64_STATE.segments[operand.number]!.selector);
      default:
        throw new Error(`operand ${operand.kind} is no integer`);
    }
  }

  /** Writes an integer operand. */
  write(operand: Operand, value: Int): void {
    if (operand.kind === 'memory') return this.store(this.address(operand), operand.size as IntSize, value);
    assert(operand.kind === 'register', `operand ${operand.kind} cannot be written`);
    if (operand.high) this.setGprHigh(operand.number, value);
    else this.setGpr(operand.number, operand.size, value);
  }

  /** Reads an immediate at the size of another operand, sign-extended. */
  readAs(operand: Operand, size: IntSize): Int {
    if (operand.kind === 'immediate') return this.int(size, operand.value);
    return this.read(operand);
  }

  // Memory

  /** Sees to it that the segment of an address allows an access; whoever accesses memory in other ways than `load` and `store` calls it. */
  check(address: Value<'i64'>, size: number, write: boolean): void {
    const place = this.#places.get(address);
    if (place === undefined) return;
    const form = packSegmentAccess({ segment: place.segment, size, write });
    this.ir.call(checkSegmentAccess, this.ir.i32(form), this.ir.toI64(place.offset));
  }

  load(address: Value<'i64'>, size: IntSize, forWrite = false): Int {
    this.check(address, size, forWrite);
    const value = this.ir.load(address, size, { forWrite });
    return size === 8 ? value : this.ir.toI32(value);
  }

  store(address: Value<'i64'>, size: IntSize, value: Int): void {
    this.check(address, size, true);
    this.ir.store(address, this.ir.toI64(value), size);
  }

  /** Linear address of a memory operand, computed once. */
  address(operand: Operand): Value<'i64'> {
    assert(operand.kind === 'memory', `operand ${operand.kind} has no address`);
    let address = this.#addresses.get(operand);
    if (!address) {
      address = this.linear(operand.segment, this.effectiveAddress(operand));
      this.#addresses.set(operand, address);
    }
    return address;
  }

  /** Address of byte `offset` of a memory operand. */
  addressAt(operand: Operand, offset: number): Value<'i64'> {
    const { ir } = this;
    const first = this.address(operand);
    const address = ir.add(first, ir.i64(offset));
    const place = this.#places.get(first);
    // an offset that wraps is beyond every limit
    if (place) this.#places.set(address, { ...place, offset: ir.add(ir.toI64(place.offset), ir.i64(offset)) });
    return address;
  }

  /** Address of a memory operand of which a helper is to access bytes. */
  checkedAddress(operand: Operand, size: number, write: boolean): Value<'i64'> {
    const address = this.address(operand);
    this.check(address, size, write);
    return address;
  }

  /** Offset of a memory operand within its segment: i32 for 16- and 32-bit addresses. */
  effectiveAddress({ addressing, addressSize }: MemoryOperand): Int {
    const { ir } = this;
    const { base, index, scale, displacement } = addressing;
    const type = addressSize === 8 ? 'i64' : 'i32';
    if (addressing.ripRelative) {
      const address = ir.pc(this.next + Number(displacement));
      return addressSize === 8 ? address : ir.toI32(address);
    }
    let sum = ir.int(type, displacement);
    if (index >= 0) sum = ir.add(ir.shl(this.#addressRegister(index, addressSize), scale), sum);
    if (base >= 0) sum = ir.add(this.#addressRegister(base, addressSize), sum);
    if (base === GPR.SP && this.stackAdjustment !== 0) sum = ir.add(sum, ir.int(type, this.stackAdjustment));
    return addressSize === 2 ? ir.and(sum, ir.int(type, 0xffff)) : sum;
  }

  /** Adds the base of a segment to an offset. */
  linear(segment: number, offset: Int): Value<'i64'> {
    const { ir } = this;
    const { base } = X64_STATE.segments[segment]!;
    const { flat, limited } = this.mode;
    const plain = this.is64 || (flat && !limited);
    if (plain && segment < SEGMENT.FS) return ir.toI64(offset);
    if (this.is64) return ir.add(ir.get(base), ir.toI64(offset));
    const address = ir.toI64(ir.add(ir.toI32(ir.get(base)), ir.toI32(offset)));
    if (this.hasLimit(segment)) this.#places.set(address, { segment, offset: ir.toI32(offset) });
    return address;
  }

  /** Whether accesses through a segment are checked. */
  hasLimit(segment: number): boolean {
    return !this.is64 && (this.mode.limited || segment >= SEGMENT.FS);
  }

  #addressRegister(number: number, size: 2 | 4 | 8): Int {
    const value = this.ir.get(X64_STATE.r[number]!);
    return size === 8 ? value : this.ir.toI32(value);
  }

  // Stack

  /** Bytes of the stack pointer. */
  get stackSize(): 2 | 4 | 8 {
    if (this.is64) return 8;
    return this.mode.stack32 ? 4 : 2;
  }

  /** Linear address of the stack pointer plus `offset`. */
  stackAddress(offset: number): Value<'i64'> {
    const size = this.stackSize;
    return this.linear(SEGMENT.SS, this.#stackPointer(size, offset));
  }

  #stackPointer(size: IntSize, offset: number): Int {
    const { ir } = this;
    const pointer = this.gpr(GPR.SP, size);
    return this.flags.truncate(size, ir.add(pointer, ir.int(pointer.type, offset)));
  }

  /** Adds to the stack pointer. */
  moveStack(offset: number): void {
    this.setGpr(GPR.SP, this.stackSize, this.#stackPointer(this.stackSize, offset));
  }

  push(size: IntSize, value: Int): void {
    this.store(this.stackAddress(-size), size, value);
    this.moveStack(-size);
  }

  pop(size: IntSize): Int {
    const value = this.load(this.stackAddress(0), size);
    this.moveStack(size);
    return value;
  }

  // Control flow

  /** Instruction pointer at byte `offset` of the page: an offset in the code segment. */
  ip(offset: number): Value<'i64'> {
    const { ir } = this;
    const pc = ir.pc(offset);
    if (this.is64 || this.mode.flat) return pc;
    return ir.toI64(ir.sub(ir.toI32(pc), ir.toI32(ir.get(X64_STATE.segments[SEGMENT.CS]!.base))));
  }

  /** Jumps to byte `target` of the page. */
  jump(target: number): void {
    this.terminal = { kind: 'jump', target };
  }

  branch(condition: Value<'i32'>, taken: number, notTaken: number): void {
    this.terminal = { kind: 'branch', condition, taken, notTaken };
  }

  /** Goes to an instruction pointer of `size` bytes. */
  indirect(size: IntSize, ip: Int): void {
    const target = size === 8 ? this.ir.toI64(ip) : this.ir.toI64(this.flags.truncate(size, this.ir.toI32(ip)));
    this.terminal = { kind: 'indirect', target: this.linear(SEGMENT.CS, this.is64 ? target : this.ir.toI32(target)) };
  }

  /** Ends the block: a helper has stored the next PC. */
  resume(): void {
    this.terminal = { kind: 'resume' };
  }

  /** Ends the block behind this instruction: what it changed is looked up anew. */
  endBlock(): void {
    this.jump(this.next);
  }

  // Exceptions

  /** Raises an exception at this instruction and ends the block. */
  raise(vector: number, errorCode = -1): void {
    this.ir.call(raiseException, this.ir.i32(vector), this.ir.i32(errorCode));
    this.resume();
  }

  undefined(): void {
    this.raise(VECTOR.UD);
  }

  protection(): void {
    this.raise(VECTOR.GP, 0);
  }

  /** Raises #GP(0) unless the address is a multiple of 16. */
  requireAligned16(address: Value<'i64'>): void {
    this.ir.call(checkProtection, this.ir.eqz(this.ir.and(this.ir.toI32(address), this.ir.i32(15))));
  }

  /** Raises #GP(0) in virtual-8086 mode where IOPL forbids the instruction. */
  requireVm86Privilege(): void {
    this.ir.call(requireVm86Privilege);
  }
}
