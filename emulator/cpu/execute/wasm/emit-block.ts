/**
 * Emits the contents of one block: its values in the order of their effects.
 *
 * A pure value with one use becomes part of the expression that uses it; others get a local. Registers are locals of the
 * region; reading one is free as long as no write to it comes between.
 */
import { assert } from '../../../../capture/formats/errors.ts';
import type { Block, MemoryAccess, Value } from '../../ir/block.ts';
import type { HelperDeclaration } from '../../ir/helper-declaration.ts';
import { OPS, type PureOpName } from '../../ir/ops.ts';
import { inlineValues } from '../../ir/passes/inline-values.ts';
import { countUses, type UseCounts } from '../../ir/passes/liveness.ts';
import type { StateField } from '../../ir/state-field.ts';
import type { ValueType } from '../../ir/types.ts';
import type { CodeWriter } from '../../../wasm/code-writer.ts';
import type { NumericName } from '../../../wasm/opcodes.ts';
import { accessKey } from '../access-key.ts';
import { CPU_STATE } from '../cpu-state.ts';
import { BANK } from '../soft-tlb.ts';
import { emitDivision } from './emit-division.ts';
import { LOCAL, type RegionCode } from './region-code.ts';
import { emitExpectedTag, emitTlbEntry, emitTranslated, LOADS, STORES } from './tlb-probe.ts';

const { get: GET, set: SET, load: LOAD, store: STORE, call: CALL, pc: PC, retired: RETIRED } = OPS;
const I32_CONST = OPS['i32.const'];
const I64_CONST = OPS['i64.const'];
const V128_CONST = OPS['v128.const'];
const SHUFFLE = OPS['i8x16.shuffle'];

/** Emits the contents of one block into a region. */
export class BlockEmitter {
  readonly #region: RegionCode;
  readonly #code: CodeWriter;
  readonly #block: Block;
  readonly #uses: UseCounts;
  /** By position: the local that holds a value, or -1 for values that are part of the expression that uses them. */
  readonly #locals: Int32Array;

  constructor(region: RegionCode, block: Block) {
    this.#region = region;
    this.#code = region.code;
    this.#block = block;
    this.#uses = countUses(block);
    this.#locals = new Int32Array(block.values.length).fill(-1);
  }

  /** Emits everything but the terminal. */
  emit(): void {
    this.#code.get(LOCAL.budget);
    this.#code.i32(this.#block.instructions.length);
    this.#code.op('i32.sub');
    this.#code.set(LOCAL.budget);
    const inline = inlineValues(this.#block, this.#uses);
    for (const value of this.#block.values) {
      if (this.#uses[value.position] === 0 || inline[value.position]) continue;
      this.#emitRoot(value);
    }
  }

  /** Pushes a value that the terminal uses. */
  push(value: Value): void {
    const local = value.position >= 0 ? this.#locals[value.position]! : -1;
    if (local >= 0) this.#code.get(local);
    else this.#pushComputed(value);
  }

  #emitRoot(value: Value): void {
    switch (value.op) {
      case SET:
        return this.#emitSet(value);
      case LOAD:
        return this.#emitLoad(value);
      case STORE:
        return this.#emitStore(value);
      case CALL:
        return this.#emitCall(value);
      default:
        this.#pushComputed(value);
        this.#keep(value);
    }
  }

  /** Computes a value into a local, unless it is in one, because it is needed more than once. */
  #settle(value: Value): void {
    if (value.position < 0 || this.#locals[value.position]! >= 0) return;
    this.#pushComputed(value);
    this.#keep(value);
  }

  /** Moves the value on the stack into a local of its own. */
  #keep(value: Value): void {
    const local = this.#region.temporary(value.type as ValueType);
    this.#locals[value.position] = local;
    this.#code.set(local);
  }

  #pushComputed(value: Value): void {
    switch (value.op) {
      case GET:
        return this.#pushField(value.immediate as StateField);
      case PC:
        return this.#region.pushPc(value.immediate as number);
      case RETIRED:
        return this.#pushRetired(value);
      case I32_CONST:
        return this.#code.i32(value.immediate as number);
      case I64_CONST:
        return this.#code.i64(value.immediate as bigint);
      case V128_CONST:
      case SHUFFLE:
        value.args.forEach(arg => this.push(arg));
        return this.#code.bytes16(value.op.name as 'v128.const', value.immediate as Uint8Array);
      default:
        return this.#pushPure(value);
    }
  }

  #pushRetired(value: Value): void {
    const code = this.#code;
    code.get(LOCAL.cpu);
    code.memory('i64.load', CPU_STATE.retiredAtEnd);
    this.#region.pushBudget(this.#rest(value));
    code.op('i64.extend_i32_s');
    code.op('i64.sub');
  }

  #pushPure(value: Value): void {
    const { name, immediate } = value.op;
    if (name.endsWith('.select')) {
      const [condition, a, b] = value.args;
      [a!, b!, condition!].forEach(arg => this.push(arg));
      return this.#code.select();
    }
    assert(value.op.effect === 'pure', `${name} is no expression`);
    value.args.forEach(arg => this.push(arg));
    if (name.includes('.div_')) return emitDivision(this.#region, name as 'i32.div_s');
    if (immediate === 'lane') return this.#code.lane(name as NumericName, value.immediate as number);
    return this.#code.op(name as Exclude<PureOpName, `${string}.select`>);
  }

  #pushField(field: StateField): void {
    const register = this.#region.register(field);
    if (register !== undefined) return this.#code.get(register);
    this.#code.get(LOCAL.cpu);
    return this.#region.loadField(field);
  }

  #emitSet(value: Value): void {
    const field = value.immediate as StateField;
    const register = this.#region.register(field);
    if (register !== undefined) {
      this.push(value.args[0]!);
      this.#code.set(register);
      return;
    }
    this.#code.get(LOCAL.cpu);
    this.push(value.args[0]!);
    this.#region.storeField(field);
  }

  /** Pushes 1 when the TLB has the page; leaves address and TLB entry in locals. @returns the local of the address */
  #probe(value: Value, access: MemoryAccess, tag: number): number {
    const address = this.#region.temporary('i64');
    const code = this.#code;
    this.push(value.args[0]!);
    code.set(address);
    emitTlbEntry(code, address, () => {
      if (access.regime === 'current') return code.get(this.#region.bank);
      code.get(LOCAL.cpu);
      return code.memory('i32.load', CPU_STATE.unprivilegedBank);
    });
    code.tee(this.#region.tlbEntry);
    code.memory('i64.load', tag);
    emitExpectedTag(code, address, access.size, access.alignment);
    code.op('i64.eq');
    return address;
  }

  #emitLoad(value: Value): void {
    const access = value.immediate as MemoryAccess;
    const type = access.size === 16 ? 'v128' : 'i64';
    const address = this.#probe(value, access, access.forWrite ? BANK.writeTag : BANK.readTag);
    const code = this.#code;
    const result = this.#region.temporary(type);
    this.#locals[value.position] = result;
    code.if();
    emitTranslated(code, address, this.#region.tlbEntry);
    code.memory(LOADS[access.size], 0, false);
    code.set(result);
    code.else();
    this.#pushSlowArguments(value, address, access);
    code.call(this.#region.imports.slow('loadSlow'));
    if (access.size === 16) {
      code.drop();
      code.get(LOCAL.cpu);
      code.memory('v128.load', CPU_STATE.scratch);
    }
    code.set(result);
    this.#afterSlow(value);
    code.end();
  }

  #emitStore(value: Value): void {
    const access = value.immediate as MemoryAccess;
    const stored = value.args[1]!;
    if (stored.args.length > 0) this.#settle(stored);
    const address = this.#probe(value, access, BANK.writeTag);
    const code = this.#code;
    code.if();
    emitTranslated(code, address, this.#region.tlbEntry);
    this.push(stored);
    code.memory(STORES[access.size], 0, false);
    code.else();
    this.#pushSlowArguments(value, address, access);
    this.push(stored);
    code.call(this.#region.imports.slow(access.size === 16 ? 'storeSlow128' : 'storeSlow'));
    this.#afterSlow(value);
    code.end();
  }

  #pushSlowArguments(value: Value, address: number, access: MemoryAccess): void {
    this.#code.get(LOCAL.cpu);
    this.#code.get(address);
    this.#region.pushPc(this.#block.instructions[value.instruction]!);
    this.#region.pushBudget(this.#rest(value));
    this.#code.i32(accessKey(access));
  }

  #afterSlow(value: Value): void {
    this.#region.reloadBudget(this.#rest(value));
    this.#region.leaveOnException();
  }

  /** Instructions of the block that have not retired when this one is under way. */
  #rest(value: Value): number {
    return this.#block.instructions.length - value.instruction;
  }

  #emitCall(value: Value): void {
    const helper = value.immediate as HelperDeclaration;
    const { state, mayFault, guards } = helper.effects;
    if (guards) return this.#emitGuard(value, helper);
    const code = this.#code;
    if (state === 'all') this.#saveState(value);
    value.args.forEach(arg => this.push(arg));
    code.call(this.#region.imports.helper(helper.name));
    if (helper.result !== 'none') this.#keep(value);
    if (state !== 'all') return;
    this.#region.loadRegisters();
    this.#region.loadBank();
    this.#region.reloadBudget(this.#rest(value));
    if (mayFault) this.#region.leaveOnException();
  }

  /** Nothing is saved, and nobody called, unless the exception is due. */
  #emitGuard(value: Value, helper: HelperDeclaration): void {
    const code = this.#code;
    const [condition, ...others] = value.args;
    this.push(condition!);
    code.op('i32.eqz');
    code.if();
    this.#saveState(value);
    code.i32(0);
    others.forEach(arg => this.push(arg));
    code.call(this.#region.imports.helper(helper.name));
    this.#region.leaveOnException();
    code.end();
  }

  /** Writes registers, PC and budget to the CPU state, as of the instruction of a value. */
  #saveState(value: Value): void {
    const code = this.#code;
    this.#region.saveRegisters();
    code.get(LOCAL.cpu);
    this.#region.pushPc(this.#block.instructions[value.instruction]!);
    code.memory('i64.store', CPU_STATE.pc);
    code.get(LOCAL.cpu);
    this.#region.pushBudget(this.#rest(value));
    code.memory('i32.store', CPU_STATE.budget);
  }
}
