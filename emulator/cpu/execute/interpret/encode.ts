/** Encodes the IR of a block as bytecode. */
import { assert, assertNever } from '../../../../capture/formats/errors.ts';
import { type Block, isCheckpoint, type MemoryAccess, type Terminal, type Value } from '../../ir/block.ts';
import { type HelperDeclaration, stateHelper } from '../../ir/helper-declaration.ts';
import { OPS } from '../../ir/ops.ts';
import { liveValues } from '../../ir/passes/liveness.ts';
import type { StateField } from '../../ir/state-field.ts';
import { accessKey } from '../access-key.ts';
import { CHECKPOINT, EXTRA_OPCODES, type ExtraOpcode, pureOpcode, SLOT_AREA, SLOT_SIZE } from './bytecode.ts';

/** What the interpreter has to know of a helper. */
export interface CalledHelper extends Pick<HelperDeclaration, 'name' | 'params'> {
  readonly effects: Pick<HelperDeclaration['effects'], 'mayFault'>;
}

/** A helper call in bytecode: what the interpreter leaves to JavaScript. */
export interface HelperCall {
  readonly helper: CalledHelper;
  /** Offsets of the arguments and of the result in the slot area. */
  readonly args: readonly number[];
  readonly result: number;
  /** Byte offset of the instruction in its page, and instructions of the block that have not retired then. */
  readonly instruction: number;
  readonly rest: number;
}

/** How cold code counts retired instructions: the engine answers. */
export const RETIRED = stateHelper('engine.retired', [], 'i64');

/** Bytecode of one block as 32-bit words; `calls` are numbered from `firstCall`. */
export interface Encoded {
  readonly words: readonly number[];
  readonly calls: readonly HelperCall[];
}

const { get: GET, set: SET, load: LOAD, store: STORE, call: CALL, pc: PC, retired: RETIRED_OP } = OPS;
const I32_CONST = OPS['i32.const'];
const GET_BY_TYPE = { i32: 'get.i32', i64: 'get.i64', v128: 'get.v128' } as const;
const SET_BY_TYPE = { i32: 'set.i32', i64: 'set.i64', v128: 'set.v128' } as const;
const LOAD_BY_SIZE = { 1: 'load.1', 2: 'load.2', 4: 'load.4', 8: 'load.8', 16: 'load.16' } as const;
const STORE_BY_SIZE = { 1: 'store.1', 2: 'store.2', 4: 'store.4', 8: 'store.8', 16: 'store.16' } as const;

/** @param firstCall number of the block's first helper call */
export function encodeBlock(block: Block, firstCall: number): Encoded {
  const encoder = new Encoder(block, firstCall);
  encoder.run();
  return encoder;
}

class Encoder implements Encoded {
  readonly words: number[] = [];
  readonly calls: HelperCall[] = [];
  readonly #block: Block;
  readonly #firstCall: number;
  /** By position of a value: its slot. */
  readonly #slots: Uint16Array;
  readonly #constantSlots = new Map<Value, number>();
  #nextSlot = 0;

  constructor(block: Block, firstCall: number) {
    this.#block = block;
    this.#firstCall = firstCall;
    this.#slots = new Uint16Array(block.values.length);
  }

  run(): void {
    this.#emit('begin', 0, this.#block.instructions.length);
    for (const value of liveValues(this.#block)) this.#encode(value);
    this.#encodeTerminal(this.#block.terminal);
  }

  #emit(opcode: ExtraOpcode, slot: number, ...words: readonly number[]): void {
    this.words.push(EXTRA_OPCODES[opcode] | (slot << 16));
    for (const word of words) this.words.push(word);
  }

  #allocate(value: Value): number {
    const slot = this.#nextSlot;
    assert(slot < SLOT_AREA, 'a block fits the slot area');
    this.#nextSlot += SLOT_SIZE;
    if (value.position >= 0) this.#slots[value.position] = slot;
    else this.#constantSlots.set(value, slot);
    return slot;
  }

  /** Slot of an argument; a constant is put into one when it is first needed. */
  #slot(value: Value): number {
    if (value.position >= 0) return this.#slots[value.position]!;
    if (!this.#constantSlots.has(value)) this.#encodePure(value);
    return this.#constantSlots.get(value)!;
  }

  #encode(value: Value): void {
    switch (value.op) {
      case GET: {
        const field = value.immediate as StateField;
        return this.#emit(GET_BY_TYPE[field.type], this.#allocate(value), field.offset);
      }
      case SET: {
        const field = value.immediate as StateField;
        return this.#emit(SET_BY_TYPE[field.type], this.#slot(value.args[0]!), field.offset);
      }
      case PC:
        return this.#emit('pc', this.#allocate(value), value.immediate as number);
      case LOAD:
        return this.#encodeLoad(value);
      case STORE:
        return this.#encodeStore(value);
      case CALL:
        return this.#encodeCall(value, value.immediate as HelperDeclaration);
      case RETIRED_OP:
        return this.#encodeCall(value, RETIRED);
      default:
        return this.#encodePure(value);
    }
  }

  #encodePure(value: Value): void {
    const { args, immediate } = value;
    const first = args.length > 0 ? this.#slot(args[0]!) : 0;
    const second = args.length > 1 ? this.#slot(args[1]!) : 0;
    const third = args.length > 2 ? this.#slot(args[2]!) : 0;
    const lane = value.op.immediate === 'lane' ? (immediate as number) : 0;
    this.words.push(pureOpcode(value.op.index, lane) | (this.#allocate(value) << 16));
    if (args.length > 0) this.words.push(first | (second << 16));
    if (args.length > 2) this.words.push(third);
    if (typeof immediate === 'bigint') this.#pushHalves(immediate);
    else if (value.op === I32_CONST) this.words.push(immediate as number);
    else if (immediate instanceof Uint8Array) this.words.push(...wordsOf(immediate));
  }

  #pushHalves(value: bigint): void {
    this.words.push(Number(BigInt.asIntN(32, value)));
    this.words.push(Number(BigInt.asIntN(32, value >> 32n)));
  }

  #encodeLoad(value: Value): void {
    const access = value.immediate as MemoryAccess;
    const address = this.#slot(value.args[0]!);
    const general = access.size === 16 ? 'load.v128' : 'load';
    const opcode = isPlain(access) ? LOAD_BY_SIZE[access.size] : general;
    this.#emit(opcode, this.#allocate(value), address | (accessKey(access) << 16), this.#place(value));
  }

  #encodeStore(value: Value): void {
    const access = value.immediate as MemoryAccess;
    const address = this.#slot(value.args[0]!);
    const stored = this.#slot(value.args[1]!);
    const general = access.size === 16 ? 'store.v128' : 'store';
    const opcode = isPlain(access) ? STORE_BY_SIZE[access.size] : general;
    this.#emit(opcode, stored, address | (accessKey(access) << 16), this.#place(value));
  }

  #encodeCall(value: Value, helper: HelperDeclaration): void {
    const { instructions } = this.#block;
    const args = value.args.map(arg => this.#slot(arg));
    this.#emit('call', 0, this.#firstCall + this.calls.length);
    this.calls.push({
      helper,
      args,
      result: this.#allocate(value),
      instruction: instructions[value.instruction]!,
      rest: instructions.length - value.instruction,
    });
  }

  /** Offset of the instruction in its page, and how many instructions have not retired, in one word. */
  #place(value: Value): number {
    const { instructions } = this.#block;
    return instructions[value.instruction]! | ((instructions.length - value.instruction) << 16);
  }

  #encodeTerminal(terminal: Terminal): void {
    const flag = (target: number, bit: number): number => (isCheckpoint(this.#block, target) ? bit : 0);
    switch (terminal.kind) {
      case 'jump':
        return this.#emit('jump', flag(terminal.target, CHECKPOINT.taken), terminal.target);
      case 'branch': {
        const condition = this.#slot(terminal.condition);
        const { taken, notTaken } = terminal;
        const flags = flag(taken, CHECKPOINT.taken) | flag(notTaken, CHECKPOINT.notTaken);
        return this.#emit('branch', flags, condition, taken, notTaken);
      }
      case 'indirect': {
        const target = this.#slot(terminal.target);
        return this.#emit('indirect', 0, target);
      }
      case 'resume':
        return this.#emit('resume', 0);
      default:
        return assertNever(terminal);
    }
  }
}

/** Whether the interpreter itself may look into the TLB for an access. */
function isPlain({ alignment, regime, forWrite }: MemoryAccess): boolean {
  return alignment === 1 && regime === 'current' && !forWrite;
}

function wordsOf(bytes: Uint8Array): number[] {
  return [0, 4, 8, 12].map(at => bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
}
