/**
 * Evaluates DWARF expressions: where a variable is, or what it is.
 *
 * Source: DWARF 5 section 2.5 "DWARF Expressions", 2.6 "Location Descriptions".
 * Not modelled: `DW_OP_implicit_pointer`, calls of other expressions, typed values wider than 8 bytes.
 */
import { FormatError } from '../../../capture/formats/errors.ts';
import { Cursor } from './cursor.ts';
import { DW_OP } from './operations.ts';

/** What expressions may ask for. `undefined` means that it is not known. */
export interface EvaluationContext {
  readonly register: (number: number) => bigint | undefined;
  /** Canonical frame address. */
  readonly cfa: () => bigint | undefined;
  /** What `DW_AT_frame_base` gives. */
  readonly frameBase: () => bigint | undefined;
  /** Value that an expression had when the function was entered. */
  readonly entryValue: (expression: Uint8Array) => bigint | undefined;
  /** Reads 1 to 8 bytes. @throws FaultError */
  readonly read: (address: bigint, size: number) => bigint;
  /** An address of `.debug_addr`. */
  readonly indexedAddress: (index: number) => bigint;
  /** What to add to addresses of the file. */
  readonly bias: bigint;
}

/** A part of a variable that is in several places. */
export interface Piece {
  readonly size: number;
  readonly location: Location;
}

/** Where a variable is. */
export type Location =
  | { readonly kind: 'memory'; readonly address: bigint }
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'value'; readonly value: bigint }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'pieces'; readonly pieces: readonly Piece[] }
  | { readonly kind: 'unknown' };

const UNKNOWN: Location = { kind: 'unknown' };
const MAX_STEPS = 10_000;

/** Evaluates an expression as a location. @throws FormatError, FaultError */
export function locate(expression: Uint8Array, context: EvaluationContext): Location {
  return new Evaluator(expression, context).location();
}

/** Evaluates an expression as a value: of a CFA, a register, a call's argument. @throws FormatError, FaultError */
export function computeValue(expression: Uint8Array, context: EvaluationContext): bigint | undefined {
  const location = locate(expression, context);
  if (location.kind === 'memory') return location.address;
  if (location.kind === 'value') return location.value;
  return location.kind === 'register' ? context.register(location.register) : undefined;
}

/** Thrown inside to end an evaluation that meets something not known. */
class NotKnown extends Error {}

class Evaluator {
  readonly #cursor: Cursor;
  readonly #context: EvaluationContext;
  readonly #stack: bigint[] = [];
  #result: Location | undefined;

  constructor(expression: Uint8Array, context: EvaluationContext) {
    this.#cursor = new Cursor(expression);
    this.#context = context;
  }

  location(): Location {
    const pieces: Piece[] = [];
    try {
      for (let step = 0; !this.#cursor.atEnd && step < MAX_STEPS; step++) {
        const opcode = this.#cursor.u8();
        if (opcode === DW_OP.piece || opcode === DW_OP.bit_piece) pieces.push(this.#piece(opcode));
        else this.#step(opcode);
      }
    } catch (error) {
      if (!(error instanceof NotKnown)) throw error;
      return UNKNOWN;
    }
    if (pieces.length > 0) return { kind: 'pieces', pieces };
    return this.#take();
  }

  /** What the operations so far came to; an empty expression is a variable that was optimized away. */
  #take(): Location {
    const top = this.#stack.pop();
    const found = this.#result ?? (top === undefined ? UNKNOWN : { kind: 'memory' as const, address: top });
    this.#result = undefined;
    this.#stack.length = 0;
    return found;
  }

  #piece(opcode: number): Piece {
    const size = opcode === DW_OP.piece ? this.#cursor.uleb() : Math.ceil(this.#cursor.uleb() / 8);
    if (opcode === DW_OP.bit_piece) this.#cursor.uleb();
    return { size, location: this.#take() };
  }

  #step(opcode: number): void {
    const cursor = this.#cursor;
    if (opcode >= DW_OP.lit0 && opcode <= DW_OP.lit31) this.#push(BigInt(opcode - DW_OP.lit0));
    else if (opcode >= DW_OP.reg0 && opcode <= DW_OP.reg31)
      this.#result = { kind: 'register', register: opcode - DW_OP.reg0 };
    else if (opcode >= DW_OP.breg0 && opcode <= DW_OP.breg31)
      this.#push(this.#register(opcode - DW_OP.breg0) + cursor.bigSleb());
    else {
      const operation = this.#operations[opcode];
      if (operation === undefined) throw new FormatError(`DWARF operation 0x${opcode.toString(16)} is not known`);
      operation();
    }
  }

  #push(value: bigint): void {
    this.#stack.push(BigInt.asUintN(64, value));
  }

  #pop(): bigint {
    const value = this.#stack.pop();
    if (value === undefined) throw new FormatError('a DWARF expression takes from an empty stack');
    return value;
  }

  #register(number: number): bigint {
    return this.#known(this.#context.register(number));
  }

  #known(value: bigint | undefined): bigint {
    if (value === undefined) throw new NotKnown();
    return value;
  }

  /** Replaces the top two entries; the first argument is the one below. */
  #binary(operation: (a: bigint, b: bigint) => bigint): void {
    const b = this.#pop();
    this.#push(operation(this.#pop(), b));
  }

  #compare(holds: (a: bigint, b: bigint) => boolean): void {
    this.#binary((a, b) => (holds(BigInt.asIntN(64, a), BigInt.asIntN(64, b)) ? 1n : 0n));
  }

  #unary(operation: (a: bigint) => bigint): void {
    this.#push(operation(this.#pop()));
  }

  #block(): Uint8Array {
    const length = this.#cursor.uleb();
    const start = this.#cursor.offset;
    this.#cursor.skip(length);
    return this.#cursor.bytes.subarray(start, start + length);
  }

  #entry(): void {
    this.#push(this.#known(this.#context.entryValue(this.#block())));
  }

  #jump(taken: boolean): void {
    const distance = (this.#cursor.u16() << 16) >> 16;
    if (taken) this.#cursor.offset += distance;
  }

  #typedConstant(): void {
    this.#cursor.uleb();
    const size = this.#cursor.u8();
    let value = 0n;
    for (let i = 0; i < size; i++) value |= BigInt(this.#cursor.u8()) << BigInt(8 * i);
    this.#push(value);
  }

  #dereference(size: number): void {
    this.#unary(address => this.#context.read(address, size));
  }

  #pick(depth: number): void {
    const value = this.#stack.at(-1 - depth);
    this.#push(value ?? this.#pop());
  }

  #rotate(): void {
    const [a, b, c] = [this.#pop(), this.#pop(), this.#pop()];
    this.#stack.push(a, c, b);
  }

  readonly #operations: Readonly<{ [opcode: number]: () => void }> = {
    [DW_OP.addr]: () => this.#push(this.#cursor.address() + this.#context.bias),
    [DW_OP.addrx]: () => this.#push(this.#context.indexedAddress(this.#cursor.uleb()) + this.#context.bias),
    [DW_OP.constx]: () => this.#push(this.#context.indexedAddress(this.#cursor.uleb())),
    [DW_OP.deref]: () => this.#dereference(8),
    [DW_OP.deref_size]: () => this.#dereference(this.#cursor.u8()),
    [DW_OP.const1u]: () => this.#push(BigInt(this.#cursor.u8())),
    [DW_OP.const1s]: () => this.#push(BigInt(this.#cursor.i8())),
    [DW_OP.const2u]: () => this.#push(BigInt(this.#cursor.u16())),
    [DW_OP.const2s]: () => this.#push(BigInt.asIntN(16, BigInt(this.#cursor.u16()))),
    [DW_OP.const4u]: () => this.#push(BigInt(this.#cursor.u32())),
    [DW_OP.const4s]: () => this.#push(BigInt.asIntN(32, BigInt(this.#cursor.u32()))),
    [DW_OP.const8u]: () => this.#push(this.#cursor.address()),
    [DW_OP.const8s]: () => this.#push(this.#cursor.address()),
    [DW_OP.constu]: () => this.#push(this.#cursor.bigUleb()),
    [DW_OP.consts]: () => this.#push(this.#cursor.bigSleb()),
    [DW_OP.dup]: () => this.#pick(0),
    [DW_OP.drop]: () => void this.#pop(),
    [DW_OP.over]: () => this.#pick(1),
    [DW_OP.pick]: () => this.#pick(this.#cursor.u8()),
    [DW_OP.swap]: () => {
      const [a, b] = [this.#pop(), this.#pop()];
      this.#stack.push(a, b);
    },
    [DW_OP.rot]: () => this.#rotate(),
    [DW_OP.abs]: () => this.#unary(a => (BigInt.asIntN(64, a) < 0n ? -a : a)),
    [DW_OP.neg]: () => this.#unary(a => -a),
    [DW_OP.not]: () => this.#unary(a => ~a),
    [DW_OP.and]: () => this.#binary((a, b) => a & b),
    [DW_OP.or]: () => this.#binary((a, b) => a | b),
    [DW_OP.xor]: () => this.#binary((a, b) => a ^ b),
    [DW_OP.plus]: () => this.#binary((a, b) => a + b),
    [DW_OP.minus]: () => this.#binary((a, b) => a - b),
    [DW_OP.mul]: () => this.#binary((a, b) => a * b),
    [DW_OP.div]: () => this.#binary((a, b) => divide(BigInt.asIntN(64, a), BigInt.asIntN(64, b))),
    [DW_OP.mod]: () => this.#binary((a, b) => (b === 0n ? 0n : a % b)),
    [DW_OP.shl]: () => this.#binary((a, b) => (b > 63n ? 0n : a << b)),
    [DW_OP.shr]: () => this.#binary((a, b) => (b > 63n ? 0n : a >> b)),
    [DW_OP.shra]: () => this.#binary((a, b) => BigInt.asIntN(64, a) >> (b > 63n ? 63n : b)),
    [DW_OP.plus_uconst]: () => this.#push(this.#pop() + this.#cursor.bigUleb()),
    [DW_OP.eq]: () => this.#compare((a, b) => a === b),
    [DW_OP.ne]: () => this.#compare((a, b) => a !== b),
    [DW_OP.lt]: () => this.#compare((a, b) => a < b),
    [DW_OP.gt]: () => this.#compare((a, b) => a > b),
    [DW_OP.le]: () => this.#compare((a, b) => a <= b),
    [DW_OP.ge]: () => this.#compare((a, b) => a >= b),
    [DW_OP.skip]: () => this.#jump(true),
    [DW_OP.bra]: () => this.#jump(this.#pop() !== 0n),
    [DW_OP.regx]: () => void (this.#result = { kind: 'register', register: this.#cursor.uleb() }),
    [DW_OP.bregx]: () => this.#push(this.#register(this.#cursor.uleb()) + this.#cursor.bigSleb()),
    [DW_OP.fbreg]: () => this.#push(this.#known(this.#context.frameBase()) + this.#cursor.bigSleb()),
    [DW_OP.call_frame_cfa]: () => this.#push(this.#known(this.#context.cfa())),
    [DW_OP.nop]: () => {},
    [DW_OP.implicit_value]: () => void (this.#result = { kind: 'bytes', bytes: this.#block() }),
    [DW_OP.stack_value]: () => void (this.#result = { kind: 'value', value: this.#pop() }),
    [DW_OP.entry_value]: () => this.#entry(),
    [DW_OP.GNU_entry_value]: () => this.#entry(),
    [DW_OP.const_type]: () => this.#typedConstant(),
    [DW_OP.GNU_const_type]: () => this.#typedConstant(),
    [DW_OP.regval_type]: () => this.#registerOfType(),
    [DW_OP.GNU_regval_type]: () => this.#registerOfType(),
    [DW_OP.deref_type]: () => this.#dereferenceTyped(),
    [DW_OP.GNU_deref_type]: () => this.#dereferenceTyped(),
    // Values stay 64 bits wide whatever their type: what is cut off by a conversion is cut off by the variable's size, too.
    [DW_OP.convert]: () => void this.#cursor.uleb(),
    [DW_OP.GNU_convert]: () => void this.#cursor.uleb(),
    [DW_OP.reinterpret]: () => void this.#cursor.uleb(),
    [DW_OP.implicit_pointer]: () => this.#known(undefined),
    [DW_OP.GNU_parameter_ref]: () => this.#known(undefined),
  };

  #registerOfType(): void {
    this.#push(this.#register(this.#cursor.uleb()));
    this.#cursor.uleb();
  }

  #dereferenceTyped(): void {
    const size = this.#cursor.u8();
    this.#cursor.uleb();
    this.#dereference(size);
  }
}

function divide(a: bigint, b: bigint): bigint {
  return b === 0n ? 0n : a / b;
}
