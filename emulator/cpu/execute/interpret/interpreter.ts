/** Runs bytecode: the generated interpreter, and the helper calls that it leaves to JavaScript. */
import type { GuestMemory } from '../../../memory/guest-memory.ts';
import { CPU_STATE } from '../cpu-state.ts';
import type { HelperImplementation } from '../guest.ts';
import type { Runtime } from '../wasm/runtime-module.ts';
import { SLOT_AREA } from './bytecode.ts';
import { ARENA_SIZE, BytecodeArena } from './bytecode-arena.ts';
import type { HelperCall } from './encode.ts';
import { createInterpreter, type Interpret } from './interpreter-module.ts';

/** Bytes of linear memory that an interpreter needs. */
export const INTERPRETER_BYTES = SLOT_AREA + ARENA_SIZE;
/** Bytes of a `call` op. */
const CALL_BYTES = 8;

type Helper = (...args: (number | bigint)[]) => number | bigint | undefined;

/** The interpreter of one machine. */
export class Interpreter {
  readonly arena: BytecodeArena;
  readonly #memory: GuestMemory;
  readonly #slots: number;
  readonly #helpers: Readonly<Record<string, HelperImplementation>>;
  readonly #interpret: Interpret;

  /** @param base linear-memory address of `INTERPRETER_BYTES` bytes, a multiple of 16 */
  constructor(
    memory: GuestMemory,
    base: number,
    runtime: Runtime,
    helpers: Readonly<Record<string, HelperImplementation>>,
    arena: BytecodeArena,
  ) {
    this.#memory = memory;
    this.#slots = base;
    this.arena = arena;
    this.#helpers = helpers;
    this.#interpret = createInterpreter(memory, base, runtime);
  }

  /**
   * Runs a block whose first instruction is at the state's PC. Afterwards the PC is that of the next instruction, or of the
   * faulting one when `exit` says so; the budget has paid for the instructions that retired.
   * @param base linear-memory address of the CPU state block
   */
  run(base: number, bytecode: number): void {
    let at = this.#interpret(base, bytecode);
    while (at !== 0 && this.#call(base, this.arena.callAt(at))) at = this.#interpret(base, at + CALL_BYTES);
  }

  /** @returns whether the block goes on */
  #call(base: number, call: HelperCall): boolean {
    const { view, int32 } = this.#memory;
    const { helper, rest, instruction } = call;
    const budget = (base + CPU_STATE.budget) >> 2;
    const page = view.getBigInt64(base + CPU_STATE.interpretedPage, true);
    view.setBigInt64(base + CPU_STATE.pc, page + BigInt(instruction), true);
    int32[budget]! += rest;
    const args = call.args.map((slot, n) => this.#readSlot(slot, helper.params[n]!));
    const result = (this.#helpers[helper.name] as unknown as Helper)(...args);
    if (typeof result === 'bigint') view.setBigUint64(this.#slots + call.result, BigInt.asUintN(64, result), true);
    else if (result !== undefined) view.setInt32(this.#slots + call.result, result, true);
    if (helper.effects.mayFault && int32[(base + CPU_STATE.exit) >> 2] !== 0) return false;
    int32[budget]! -= rest;
    return true;
  }

  #readSlot(slot: number, type: string): number | bigint {
    const { view } = this.#memory;
    return type === 'i64' ? view.getBigUint64(this.#slots + slot, true) : view.getInt32(this.#slots + slot, true);
  }
}
