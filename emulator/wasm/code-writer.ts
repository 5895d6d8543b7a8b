/** Writes the body of one function: locals and instructions. Knows the binary format, and nothing of what the code is for. */
import { type ByteWriter, releaseWriter, takeWriter } from './byte-writer.ts';
import { CONTROL, NUMERIC, type NumericName, VALUE_TYPE, VECTOR_PREFIX_BASE, type WasmType } from './opcodes.ts';

/** Loads and stores, with the base-2 logarithm of their natural alignment. */
const ALIGNMENT = {
  'i32.load': 2,
  'i64.load': 3,
  'i64.load8_u': 0,
  'i64.load16_u': 1,
  'i64.load32_u': 2,
  'i32.store': 2,
  'i64.store': 3,
  'i64.store8': 0,
  'i64.store16': 1,
  'i64.store32': 2,
  'v128.load': 4,
  'v128.store': 4,
} as const;

export type MemoryInstruction = keyof typeof ALIGNMENT;

const EMPTY_BLOCK_TYPE = 0x40;

/** The body of a function under construction. Locals are numbered from the parameters on. */
export class CodeWriter {
  readonly #code = takeWriter();
  readonly #locals: WasmType[] = [];
  readonly #parameterCount: number;
  #depth = 0;

  constructor(parameterCount: number) {
    this.#parameterCount = parameterCount;
  }

  /** Size of the instructions so far, in bytes. */
  get length(): number {
    return this.#code.length;
  }

  /** Number of labels open: what `br` counts back from. */
  get depth(): number {
    return this.#depth;
  }

  /** Declares a local. @returns its index */
  local(type: WasmType): number {
    this.#locals.push(type);
    return this.#parameterCount + this.#locals.length - 1;
  }

  /** A numeric or vector instruction without an immediate. */
  op(name: NumericName): void {
    this.#opcode(NUMERIC[name]);
  }
  /** A vector instruction with a lane number. */
  lane(name: NumericName, lane: number): void {
    this.#opcode(NUMERIC[name]);
    this.#code.byte(lane);
  }
  /** `v128.const` or `i8x16.shuffle` with their 16 bytes. */
  bytes16(name: 'v128.const' | 'i8x16.shuffle', bytes: Uint8Array): void {
    this.#opcode(NUMERIC[name]);
    this.#code.append(bytes);
  }
  i32(value: number): void {
    this.#code.byte(NUMERIC['i32.const']);
    this.#code.signed32(value);
  }
  i64(value: bigint): void {
    this.#code.byte(NUMERIC['i64.const']);
    this.#code.signed64(value);
  }

  get(local: number): void {
    this.#code.byte(CONTROL['local.get']);
    this.#code.unsigned(local);
  }
  set(local: number): void {
    this.#code.byte(CONTROL['local.set']);
    this.#code.unsigned(local);
  }
  tee(local: number): void {
    this.#code.byte(CONTROL['local.tee']);
    this.#code.unsigned(local);
  }
  select(): void {
    this.#code.byte(CONTROL.select);
  }
  drop(): void {
    this.#code.byte(CONTROL.drop);
  }

  /** A load or store; the alignment hint is 1 byte for guest memory, which may be unaligned. */
  memory(name: MemoryInstruction, offset: number, aligned = true): void {
    this.#opcode(CONTROL[name]);
    this.#code.unsigned(aligned ? ALIGNMENT[name] : 0);
    this.#code.unsigned(offset);
  }

  block(): void {
    this.#open(CONTROL.block);
  }
  loop(): void {
    this.#open(CONTROL.loop);
  }
  /** Opens an `if` that takes its condition from the stack and leaves a result of `type`, or none. */
  if(type?: WasmType): void {
    this.#open(CONTROL.if, type);
  }
  else(): void {
    this.#code.byte(CONTROL.else);
  }
  end(): void {
    this.#code.byte(CONTROL.end);
    this.#depth--;
  }
  /** Branches to the label that was opened when `depth` was `label`. */
  br(label: number): void {
    this.#code.byte(CONTROL.br);
    this.#code.unsigned(this.#depth - 1 - label);
  }
  brIf(label: number): void {
    this.#code.byte(CONTROL.br_if);
    this.#code.unsigned(this.#depth - 1 - label);
  }
  /** Branches by the i32 on the stack; `labels` as in `br`, the last one is the default. */
  brTable(labels: readonly number[]): void {
    this.#code.byte(CONTROL.br_table);
    this.#code.unsigned(labels.length - 1);
    for (const label of labels) this.#code.unsigned(this.#depth - 1 - label);
  }
  return(): void {
    this.#code.byte(CONTROL.return);
  }
  unreachable(): void {
    this.#code.byte(CONTROL.unreachable);
  }
  call(functionIndex: number): void {
    this.#code.byte(CONTROL.call);
    this.#code.unsigned(functionIndex);
  }
  callIndirect(typeIndex: number): void {
    this.#indirect(CONTROL.call_indirect, typeIndex);
  }
  returnCallIndirect(typeIndex: number): void {
    this.#indirect(CONTROL.return_call_indirect, typeIndex);
  }

  /** Writes the body (size, locals, instructions) to a code section; the writer is used up. */
  finish(target: ByteWriter): void {
    const head = takeWriter();
    const runs = runLengths(this.#locals);
    head.unsigned(runs.length);
    for (const [count, type] of runs) {
      head.unsigned(count);
      head.byte(VALUE_TYPE[type]);
    }
    target.unsigned(head.length + this.#code.length + 1);
    target.append(head.bytes);
    target.append(this.#code.bytes);
    target.byte(CONTROL.end);
    releaseWriter(head);
    releaseWriter(this.#code);
  }

  #indirect(opcode: number, typeIndex: number): void {
    this.#code.byte(opcode);
    this.#code.unsigned(typeIndex);
    this.#code.unsigned(0);
  }

  #open(opcode: number, type?: WasmType): void {
    this.#code.byte(opcode);
    this.#code.byte(type ? VALUE_TYPE[type] : EMPTY_BLOCK_TYPE);
    this.#depth++;
  }

  #opcode(opcode: number): void {
    if (opcode < VECTOR_PREFIX_BASE) {
      this.#code.byte(opcode);
    } else {
      this.#code.byte(0xfd);
      this.#code.unsigned(opcode - VECTOR_PREFIX_BASE);
    }
  }
}

function runLengths(types: readonly WasmType[]): readonly (readonly [count: number, type: WasmType])[] {
  const runs: [number, WasmType][] = [];
  for (const type of types) {
    const last = runs.at(-1);
    if (last && last[1] === type) last[0]++;
    else runs.push([1, type]);
  }
  return runs;
}
