/**
 * Generates the interpreter of bytecode: one Wasm function with a handler for each opcode. What a pure op does is the
 * WebAssembly instruction of its name, so nothing about an op is written here again.
 */
import type { GuestMemory } from '../../../memory/guest-memory.ts';
import { CodeWriter } from '../../../wasm/code-writer.ts';
import { ModuleWriter } from '../../../wasm/module-writer.ts';
import type { NumericName } from '../../../wasm/opcodes.ts';
import { OPS } from '../../ir/ops.ts';
import { type AccessSize, SIZE_OF_TYPE, type ValueType } from '../../ir/types.ts';
import { CPU_STATE, EXIT } from '../cpu-state.ts';
import { BANK } from '../soft-tlb.ts';
import { emitDivision } from '../wasm/emit-division.ts';
import { type Runtime, SLOW_ACCESS_TYPES, type SlowAccessName } from '../wasm/runtime-module.ts';
import {
  emitExpectedTag,
  emitTlbEntry,
  emitTranslated,
  LOADS as GUEST_LOADS,
  STORES as GUEST_STORES,
} from '../wasm/tlb-probe.ts';
import { CHECKPOINT, type ExtraOpcode, OPCODES, type PureOpcode } from './bytecode.ts';

/** Runs bytecode from `at` on: (CPU state block, address) → 0 when the block has ended, else the address of a helper call. */
export type Interpret = (base: number, at: number) => number;

const CPU = 0;
const AT = 1;
const LOADS = { i32: 'i32.load', i64: 'i64.load', v128: 'v128.load' } as const;
const STORES = { i32: 'i32.store', i64: 'i64.store', v128: 'v128.store' } as const;

/** @param slots linear-memory address of the slot area */
export function createInterpreter(memory: GuestMemory, slots: number, runtime: Runtime): Interpret {
  const module = new ModuleWriter();
  const imports = {} as Record<SlowAccessName, number>;
  for (const name of ['loadSlow', 'storeSlow', 'storeSlow128'] as const) {
    const { params, results } = SLOW_ACCESS_TYPES[name];
    imports[name] = module.importFunction('runtime', name, module.type(params, results));
  }
  module.importMemory('engine', 'memory', memory.wasmPages, memory.wasmPages);
  const emitter = new InterpreterEmitter(slots, imports);
  module.defineFunction(module.type(['i32', 'i32'], ['i32']), emitter.emit(), 'interpret');
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), {
    runtime: runtime as unknown as Record<string, unknown>,
    engine: { memory: memory.memory },
  });
  return instance.exports['interpret'] as Interpret;
}

class InterpreterEmitter {
  readonly code = new CodeWriter(2);
  readonly #slots: number;
  readonly #imports: Readonly<Record<SlowAccessName, number>>;
  readonly #word = this.code.local('i32');
  readonly #arguments = this.code.local('i32');
  readonly #page = this.code.local('i64');
  readonly #rest = this.code.local('i32');
  readonly #target = this.code.local('i32');
  readonly #address = this.code.local('i64');
  readonly #tlbEntry = this.code.local('i32');
  #next = 0;

  constructor(slots: number, imports: Readonly<Record<SlowAccessName, number>>) {
    this.#slots = slots;
    this.#imports = imports;
  }

  /** A temporary, for code that is shared with regions. */
  temporary(type: ValueType): number {
    return this.code.local(type);
  }

  emit(): CodeWriter {
    const { code } = this;
    code.get(CPU);
    code.memory('i64.load', CPU_STATE.interpretedPage);
    code.set(this.#page);
    code.loop();
    this.#next = code.depth - 1;
    const labels = OPCODES.map(() => {
      code.block();
      return code.depth - 1;
    }).toReversed();
    code.get(AT);
    code.memory('i32.load', 0);
    code.tee(this.#word);
    code.i32(0xffff);
    code.op('i32.and');
    code.brTable([...labels, labels[0]!]);
    for (const opcode of OPCODES) {
      code.end();
      if (typeof opcode === 'string') this.#extra[opcode]();
      else this.#emitPure(opcode);
    }
    code.unreachable();
    code.end();
    code.unreachable();
    return code;
  }

  /** Goes on with the op behind this one, which has `words` words. */
  #advance(words: number): void {
    const { code } = this;
    code.get(AT);
    code.i32(4 * words);
    code.op('i32.add');
    code.set(AT);
    code.br(this.#next);
  }

  /** Pushes a word of the op. */
  #pushWord(index: number): void {
    this.code.get(AT);
    this.code.memory('i32.load', 4 * index);
  }

  /** Pushes the offset of the slot in the high half of word 0. */
  #pushDestination(): void {
    this.code.get(this.#word);
    this.code.i32(16);
    this.code.op('i32.shr_u');
  }

  #loadSlot(type: ValueType): void {
    this.code.memory(LOADS[type], this.#slots);
  }
  #storeSlot(type: ValueType): void {
    this.code.memory(STORES[type], this.#slots);
  }

  #emitPure({ name, lane }: PureOpcode): void {
    const { code } = this;
    const { params, result, immediate } = OPS[name];
    const argumentWords = params.length === 0 ? 0 : params.length > 2 ? 2 : 1;
    this.#pushDestination();
    if (params.length > 0) {
      this.#pushWord(1);
      code.set(this.#arguments);
    }
    if (immediate === 'shuffle') {
      this.#emitShuffle();
    } else if (name.endsWith('.select')) {
      this.#pushArgument(1, params[1]!);
      this.#pushArgument(2, params[2]!);
      this.#pushArgument(0, 'i32');
      code.select();
    } else {
      params.forEach((type, n) => this.#pushArgument(n, type));
      this.#emitOperation(name as NumericName, lane, 1 + argumentWords);
    }
    this.#storeSlot(result as ValueType);
    const immediateWords = { i32: 1, i64: 2, v128: 4, shuffle: 4 }[immediate as string] ?? 0;
    this.#advance(1 + argumentWords + immediateWords);
  }

  #pushArgument(index: number, type: ValueType): void {
    const { code } = this;
    if (index === 2) {
      this.#pushWord(2);
    } else {
      code.get(this.#arguments);
      if (index === 0) code.i32(0xffff);
      else code.i32(16);
      code.op(index === 0 ? 'i32.and' : 'i32.shr_u');
    }
    this.#loadSlot(type);
  }

  #emitOperation(name: NumericName, lane: number | undefined, immediateWord: number): void {
    const { code } = this;
    if (name === 'i32.const' || name === 'i64.const' || name === 'v128.const') {
      code.get(AT);
      code.memory(LOADS[name.slice(0, -6) as ValueType], 4 * immediateWord, false);
    } else if (lane !== undefined) {
      code.lane(name, lane);
    } else if (name.includes('.div_')) {
      emitDivision(this, name as 'i32.div_s');
    } else {
      code.op(name);
    }
  }

  /** The lanes are known only now: two swizzles, which give 0 for lanes out of range. */
  #emitShuffle(): void {
    const { code } = this;
    const lanes = code.local('v128');
    code.get(AT);
    code.memory('v128.load', 8, false);
    code.set(lanes);
    this.#pushArgument(0, 'v128');
    code.get(lanes);
    code.op('i8x16.swizzle');
    this.#pushArgument(1, 'v128');
    code.get(lanes);
    code.i32(16);
    code.op('i8x16.splat');
    code.op('i8x16.sub');
    code.op('i8x16.swizzle');
    code.op('v128.or');
  }

  /** Handlers of the opcodes that are no pure ops. */
  readonly #extra: Readonly<Record<ExtraOpcode, () => void>> = {
    begin: () => this.#emitBegin(),
    pc: () => {
      this.#pushDestination();
      this.#pushPc(() => this.#pushWord(1));
      this.#storeSlot('i64');
      this.#advance(2);
    },
    'get.i32': () => this.#emitGet('i32'),
    'get.i64': () => this.#emitGet('i64'),
    'get.v128': () => this.#emitGet('v128'),
    'set.i32': () => this.#emitSet('i32'),
    'set.i64': () => this.#emitSet('i64'),
    'set.v128': () => this.#emitSet('v128'),
    load: () => this.#emitSlowLoad('i64'),
    'load.v128': () => this.#emitSlowLoad('v128'),
    'load.1': () => this.#emitLoad(1),
    'load.2': () => this.#emitLoad(2),
    'load.4': () => this.#emitLoad(4),
    'load.8': () => this.#emitLoad(8),
    'load.16': () => this.#emitLoad(16),
    store: () => this.#emitSlowStore('i64'),
    'store.v128': () => this.#emitSlowStore('v128'),
    'store.1': () => this.#emitStore(1),
    'store.2': () => this.#emitStore(2),
    'store.4': () => this.#emitStore(4),
    'store.8': () => this.#emitStore(8),
    'store.16': () => this.#emitStore(16),
    call: () => {
      this.code.get(AT);
      this.code.return();
    },
    jump: () => {
      this.#pushWord(1);
      this.code.set(this.#target);
      this.#emitGoTo(CHECKPOINT.taken);
    },
    branch: () => this.#emitBranch(),
    indirect: () => {
      this.code.get(CPU);
      this.#pushWord(1);
      this.#loadSlot('i64');
      this.code.memory('i64.store', CPU_STATE.pc);
      this.#emitCheckpoint();
    },
    resume: () => this.#emitCheckpoint(),
  };

  /** Notes the page, pays for the block's instructions. */
  #emitBegin(): void {
    const { code } = this;
    code.get(CPU);
    code.get(CPU);
    code.memory('i64.load', CPU_STATE.pc);
    code.i64(-4096n);
    code.op('i64.and');
    code.tee(this.#page);
    code.memory('i64.store', CPU_STATE.interpretedPage);
    this.#changeBudget(() => this.#pushWord(1), 'i32.sub');
    this.#advance(2);
  }

  #changeBudget(pushAmount: () => void, op: 'i32.add' | 'i32.sub'): void {
    const { code } = this;
    code.get(CPU);
    code.get(CPU);
    code.memory('i32.load', CPU_STATE.budget);
    pushAmount();
    code.op(op);
    code.memory('i32.store', CPU_STATE.budget);
  }

  /** Pushes page + offset, an i32. */
  #pushPc(pushOffset: () => void): void {
    this.code.get(this.#page);
    pushOffset();
    this.code.op('i64.extend_i32_s');
    this.code.op('i64.add');
  }

  #pushStateAddress(): void {
    this.code.get(CPU);
    this.#pushWord(1);
    this.code.op('i32.add');
  }

  #emitGet(type: ValueType): void {
    this.#pushDestination();
    this.#pushStateAddress();
    this.code.memory(LOADS[type], 0, SIZE_OF_TYPE[type] < 16);
    this.#storeSlot(type);
    this.#advance(2);
  }

  #emitSet(type: ValueType): void {
    this.#pushStateAddress();
    this.#pushDestination();
    this.#loadSlot(type);
    this.code.memory(STORES[type], 0, SIZE_OF_TYPE[type] < 16);
    this.#advance(2);
  }

  /** Pushes CPU, address, PC, exact budget and access key. */
  #pushAccess(): void {
    const { code } = this;
    code.get(CPU);
    this.#pushWord(1);
    code.tee(this.#arguments);
    code.i32(0xffff);
    code.op('i32.and');
    this.#loadSlot('i64');
    this.#pushWord(2);
    code.i32(16);
    code.op('i32.shr_u');
    code.set(this.#rest);
    this.#pushPc(() => {
      this.#pushWord(2);
      code.i32(0xffff);
      code.op('i32.and');
    });
    code.get(CPU);
    code.memory('i32.load', CPU_STATE.budget);
    code.get(this.#rest);
    code.op('i32.add');
    code.get(this.#arguments);
    code.i32(16);
    code.op('i32.shr_u');
  }

  #emitLoad(size: AccessSize): void {
    const { code } = this;
    const type = size === 16 ? 'v128' : 'i64';
    this.#emitProbe(size, BANK.readTag);
    code.if();
    this.#pushDestination();
    emitTranslated(code, this.#address, this.#tlbEntry);
    code.memory(GUEST_LOADS[size], 0, false);
    this.#storeSlot(type);
    this.#advance(3);
    code.end();
    this.#emitSlowLoad(type);
  }

  #emitStore(size: AccessSize): void {
    const { code } = this;
    const type = size === 16 ? 'v128' : 'i64';
    this.#emitProbe(size, BANK.writeTag);
    code.if();
    emitTranslated(code, this.#address, this.#tlbEntry);
    this.#pushDestination();
    this.#loadSlot(type);
    code.memory(GUEST_STORES[size], 0, false);
    this.#advance(3);
    code.end();
    this.#emitSlowStore(type);
  }

  /** Pushes 1 when the TLB has the page of an access without alignment check; leaves address and TLB entry in locals. */
  #emitProbe(size: AccessSize, tag: number): void {
    const { code } = this;
    this.#pushWord(1);
    code.i32(0xffff);
    code.op('i32.and');
    this.#loadSlot('i64');
    code.set(this.#address);
    emitTlbEntry(code, this.#address, () => {
      code.get(CPU);
      code.memory('i32.load', CPU_STATE.bank);
    });
    code.tee(this.#tlbEntry);
    code.memory('i64.load', tag);
    emitExpectedTag(code, this.#address, size, 1);
    code.op('i64.eq');
  }

  #emitSlowLoad(type: 'i64' | 'v128'): void {
    const { code } = this;
    this.#pushDestination();
    this.#pushAccess();
    code.call(this.#imports.loadSlow);
    if (type === 'v128') {
      code.drop();
      code.get(CPU);
      code.memory('v128.load', CPU_STATE.scratch);
    }
    this.#storeSlot(type);
    this.#afterAccess();
  }

  #emitSlowStore(type: 'i64' | 'v128'): void {
    const { code } = this;
    this.#pushAccess();
    this.#pushDestination();
    this.#loadSlot(type);
    code.call(type === 'i64' ? this.#imports.storeSlow : this.#imports.storeSlow128);
    this.#afterAccess();
  }

  /** Returns when the access has faulted. */
  #afterAccess(): void {
    const { code } = this;
    code.get(CPU);
    code.memory('i32.load', CPU_STATE.exit);
    code.if();
    code.i32(0);
    code.return();
    code.end();
    this.#changeBudget(() => code.get(this.#rest), 'i32.sub');
    this.#advance(3);
  }

  #emitBranch(): void {
    const { code } = this;
    this.#pushWord(1);
    this.#loadSlot('i32');
    code.if();
    this.#pushWord(2);
    code.set(this.#target);
    this.#emitGoTo(CHECKPOINT.taken);
    code.end();
    this.#pushWord(3);
    code.set(this.#target);
    this.#emitGoTo(CHECKPOINT.notTaken);
  }

  /** Ends the block at the offset in `#target`. @param flag bit of the destination field that says it is a checkpoint */
  #emitGoTo(flag: number): void {
    const { code } = this;
    code.get(CPU);
    this.#pushPc(() => code.get(this.#target));
    code.memory('i64.store', CPU_STATE.pc);
    this.#pushDestination();
    code.i32(flag);
    code.op('i32.and');
    code.op('i32.eqz');
    code.if();
    code.i32(0);
    code.return();
    code.end();
    this.#emitCheckpoint();
  }

  /** Ends the block, and tells the run loop when the budget is used up. */
  #emitCheckpoint(): void {
    const { code } = this;
    code.get(CPU);
    code.memory('i32.load', CPU_STATE.budget);
    code.i32(0);
    code.op('i32.le_s');
    code.if();
    code.get(CPU);
    code.get(CPU);
    code.memory('i32.load', CPU_STATE.exit);
    code.i32(EXIT.budget);
    code.op('i32.or');
    code.memory('i32.store', CPU_STATE.exit);
    code.end();
    code.i32(0);
    code.return();
  }
}
