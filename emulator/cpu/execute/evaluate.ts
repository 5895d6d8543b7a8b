/**
 * Evaluates a block's IR on JavaScript values: the oracle that compiled code is compared with, single step, and cold code.
 *
 * Values are i32 as a signed number, i64 as an unsigned bigint, v128 as 16 bytes that are never changed in place.
 */
import { assertNever } from '../../../capture/formats/errors.ts';
import { type Block, isCheckpoint, type MemoryAccess, type Terminal, type Value } from '../ir/block.ts';
import { INTEGER_EVALUATORS } from '../ir/evaluate-integer.ts';
import { type JsValue, VECTOR_EVALUATORS } from '../ir/evaluate-vector.ts';
import type { HelperDeclaration } from '../ir/helper-declaration.ts';
import { OPS } from '../ir/ops.ts';
import type { StateField } from '../ir/state-field.ts';
import { CPU_STATE, EXIT } from './cpu-state.ts';
import type { HelperImplementation } from './guest.ts';

/** What evaluation works on. */
export interface EvaluationContext {
  /** View of the linear memory. */
  readonly view: DataView;
  /** Linear-memory address of the CPU state block. */
  readonly base: number;
  readonly helpers: Readonly<Record<string, HelperImplementation>>;
  /** Loads into the state's scratch. @returns false when a fault was kept and `exit` set */
  load(low: number, high: number, access: MemoryAccess): boolean;
  /** Stores from the state's scratch. */
  store(low: number, high: number, access: MemoryAccess): boolean;
}

type PureEvaluator = (args: readonly JsValue[], immediate: unknown) => JsValue;

const PURE: readonly (PureEvaluator | undefined)[] = pureEvaluators();

/**
 * Runs a block. Afterwards the state's PC is that of the next instruction, or of the faulting one when `exit` is set;
 * the budget has paid for the instructions that retired.
 * @param page guest-virtual address of the block's page
 */
export function evaluateBlock(block: Block, page: bigint, context: EvaluationContext): void {
  new Evaluation(block, page, context).run();
}

class Evaluation {
  readonly #block: Block;
  readonly #page: bigint;
  readonly #context: EvaluationContext;
  readonly #results: JsValue[];

  constructor(block: Block, page: bigint, context: EvaluationContext) {
    this.#block = block;
    this.#page = page;
    this.#context = context;
    this.#results = [];
    this.#results.length = block.values.length;
  }

  run(): void {
    const { view, base } = this.#context;
    const count = this.#block.instructions.length;
    view.setInt32(base + CPU_STATE.budget, view.getInt32(base + CPU_STATE.budget, true) - count, true);
    for (const value of this.#block.values) {
      const evaluate = PURE[value.op.index];
      if (evaluate) this.#results[value.position] = evaluate(value.args.map(this.#valueOf), value.immediate);
      else if (!this.#runEffect(value)) return;
    }
    this.#finish(this.#block.terminal);
  }

  readonly #valueOf = (value: Value): JsValue =>
    value.position < 0 ? (value.immediate as JsValue) : this.#results[value.position]!;

  /** @returns false when the block was left by a fault */
  #runEffect(value: Value): boolean {
    switch (value.op) {
      case OPS.get:
        this.#results[value.position] = this.#readField(value.immediate as StateField);
        return true;
      case OPS.set:
        this.#writeField(value.immediate as StateField, this.#valueOf(value.args[0]!));
        return true;
      case OPS.pc:
        this.#results[value.position] = BigInt.asUintN(64, this.#page + BigInt(value.immediate as number));
        return true;
      case OPS.retired:
        this.#results[value.position] = this.#retired(value);
        return true;
      case OPS.load:
        return this.#load(value);
      case OPS.store:
        return this.#store(value);
      case OPS.call:
        return this.#call(value);
      default:
        throw new Error(`no evaluator for ${value.op.name}`);
    }
  }

  #retired(value: Value): bigint {
    const { view, base } = this.#context;
    const left = view.getInt32(base + CPU_STATE.budget, true) + this.#block.instructions.length - value.instruction;
    return BigInt.asUintN(64, view.getBigUint64(base + CPU_STATE.retiredAtEnd, true) - BigInt(left));
  }

  #readField(field: StateField): JsValue {
    return this.#readTyped(field.type, this.#context.base + field.offset);
  }

  #readTyped(type: StateField['type'], address: number): JsValue {
    const { view } = this.#context;
    if (type === 'i64') return view.getBigUint64(address, true);
    if (type === 'i32') return view.getInt32(address, true);
    return new Uint8Array(view.buffer, address, 16).slice();
  }

  #writeField(field: StateField, value: JsValue): void {
    this.#writeTyped(this.#context.base + field.offset, value);
  }

  #writeTyped(address: number, value: JsValue): void {
    const { view } = this.#context;
    if (typeof value === 'bigint') view.setBigUint64(address, value, true);
    else if (typeof value === 'number') view.setInt32(address, value, true);
    else new Uint8Array(view.buffer, address, 16).set(value);
  }

  #load(value: Value): boolean {
    const access = value.immediate as MemoryAccess;
    const address = this.#valueOf(value.args[0]!) as bigint;
    const context = this.#context;
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    return this.#precisely(value, () => {
      if (!context.load(low, high, access)) return false;
      const scratch = context.base + CPU_STATE.scratch;
      this.#results[value.position] = this.#readTyped(access.size === 16 ? 'v128' : 'i64', scratch);
      return true;
    });
  }

  #store(value: Value): boolean {
    const access = value.immediate as MemoryAccess;
    const address = this.#valueOf(value.args[0]!) as bigint;
    const context = this.#context;
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    this.#writeTyped(context.base + CPU_STATE.scratch, this.#valueOf(value.args[1]!));
    return this.#precisely(value, () => context.store(low, high, access));
  }

  #call(value: Value): boolean {
    const helper = value.immediate as HelperDeclaration;
    const implementation = this.#context.helpers[helper.name] as ((...args: JsValue[]) => JsValue) | undefined;
    if (!implementation) throw new Error(`no implementation of helper ${helper.name}`);
    const { view, base } = this.#context;
    const args = value.args.map(this.#valueOf);
    return this.#precisely(value, () => {
      const result = implementation(...args);
      this.#results[value.position] = typeof result === 'bigint' ? BigInt.asUintN(64, result) : result;
      return !helper.effects.mayFault || view.getInt32(base + CPU_STATE.exit, true) === 0;
    });
  }

  /** Runs something that may look at PC and instruction count: both are exact, as before this instruction retires. */
  #precisely(value: Value, run: () => boolean): boolean {
    const { view, base } = this.#context;
    const { instructions } = this.#block;
    const rest = instructions.length - value.instruction;
    const budget = base + CPU_STATE.budget;
    const pc = this.#page + BigInt(instructions[value.instruction]!);
    view.setBigUint64(base + CPU_STATE.pc, BigInt.asUintN(64, pc), true);
    view.setInt32(budget, view.getInt32(budget, true) + rest, true);
    if (!run()) return false;
    view.setInt32(budget, view.getInt32(budget, true) - rest, true);
    return true;
  }

  #finish(terminal: Terminal): void {
    switch (terminal.kind) {
      case 'jump':
        return this.#goTo(terminal.target);
      case 'branch':
        return this.#goTo(this.#valueOf(terminal.condition) === 0 ? terminal.notTaken : terminal.taken);
      case 'indirect':
        this.#setPc(this.#valueOf(terminal.target) as bigint);
        return this.#checkpoint();
      case 'resume':
        return this.#checkpoint();
      default:
        assertNever(terminal);
    }
  }

  #goTo(target: number): void {
    this.#setPc(BigInt.asUintN(64, this.#page + BigInt(target)));
    if (isCheckpoint(this.#block, target)) this.#checkpoint();
  }

  #checkpoint(): void {
    const { view, base } = this.#context;
    if (view.getInt32(base + CPU_STATE.budget, true) > 0) return;
    view.setInt32(base + CPU_STATE.exit, view.getInt32(base + CPU_STATE.exit, true) | EXIT.budget, true);
  }

  #setPc(pc: bigint): void {
    this.#context.view.setBigUint64(this.#context.base + CPU_STATE.pc, pc, true);
  }
}

function pureEvaluators(): (PureEvaluator | undefined)[] {
  const table: (PureEvaluator | undefined)[] = [];
  for (const [name, evaluate] of Object.entries(INTEGER_EVALUATORS)) {
    const run = evaluate as (a?: JsValue, b?: JsValue, c?: JsValue) => JsValue;
    table[OPS[name as keyof typeof INTEGER_EVALUATORS].index] = args => run(args[0], args[1], args[2]);
  }
  for (const [name, evaluate] of Object.entries(VECTOR_EVALUATORS)) {
    table[OPS[name as keyof typeof VECTOR_EVALUATORS].index] = evaluate;
  }
  return table;
}
