/**
 * The function of one region under construction: its locals, and the pieces of code that blocks share (state access,
 * leaving the region). Emission of block contents is in `emit-block.ts`, of control flow in `emit-region.ts`.
 */
import type { StateField } from '../../ir/state-field.ts';
import { SIZE_OF_TYPE, type ValueType } from '../../ir/types.ts';
import { CodeWriter } from '../../../wasm/code-writer.ts';
import type { WasmType } from '../../../wasm/opcodes.ts';
import { CPU_STATE } from '../cpu-state.ts';
import { REGION_PARAMETERS, type SlowAccessName } from './runtime-module.ts';

/** Locals that are the parameters of every region. */
export const LOCAL = { cpu: 0, entry: 1, pc: 2, budget: 3 } as const;

const LOAD = { i32: 'i32.load', i64: 'i64.load', v128: 'v128.load' } as const;
const STORE = { i32: 'i32.store', i64: 'i64.store', v128: 'v128.store' } as const;

/** Functions that regions import, by name → index in the module. */
export interface RegionImports {
  slow(name: SlowAccessName): number;
  helper(name: string): number;
  /** Type index of the regions themselves, for tail calls. */
  readonly regionType: number;
}

/** Labels (depths) that leave the structured body. */
export interface LeaveLabels {
  /** Saves the locals and returns: PC and budget are in memory already. */
  readonly fault: number;
  /** Goes on at the PC in `LOCAL.pc`, wherever its code is. */
  readonly leave: number;
  /** The same at a checkpoint: returns to the run loop when the budget is used up. */
  readonly checkpoint: number;
}

/** Code, locals and register allocation of one region. */
export class RegionCode {
  readonly code = new CodeWriter(REGION_PARAMETERS.length);
  readonly imports: RegionImports;
  /** Guest-virtual address of the page. */
  readonly page: number;
  /** Translation bank of the current context. */
  readonly bank: number;
  /** TLB entry under way. */
  readonly tlbEntry: number;
  labels: LeaveLabels = { fault: 0, leave: 0, checkpoint: 0 };
  readonly #registers = new Map<StateField, number>();
  readonly #written: ReadonlySet<StateField>;
  readonly #free = new Map<WasmType, number[]>();
  readonly #taken: [WasmType, number][] = [];

  /** @param used state fields kept in locals; those of `written` are saved when the region is left */
  constructor(imports: RegionImports, used: ReadonlySet<StateField>, written: ReadonlySet<StateField>) {
    this.imports = imports;
    this.#written = written;
    this.page = this.code.local('i64');
    this.bank = this.code.local('i32');
    this.tlbEntry = this.code.local('i32');
    for (const field of used) this.#registers.set(field, this.code.local(field.type));
  }

  /** The local that holds a state field, if one does. */
  register(field: StateField): number | undefined {
    return this.#registers.get(field);
  }

  /** A temporary, until `releaseTemporaries`. */
  temporary(type: WasmType): number {
    const local = this.#free.get(type)?.pop() ?? this.code.local(type);
    this.#taken.push([type, local]);
    return local;
  }

  /** Ends the life of all temporaries: the next block reuses them. */
  releaseTemporaries(): void {
    for (const [type, local] of this.#taken) {
      const free = this.#free.get(type);
      if (free) free.push(local);
      else this.#free.set(type, [local]);
    }
    this.#taken.length = 0;
  }

  /** Loads all registers from the CPU state. */
  loadRegisters(): void {
    for (const [field, local] of this.#registers) {
      this.code.get(LOCAL.cpu);
      this.loadField(field);
      this.code.set(local);
    }
  }

  /** Stores the registers that the region writes. */
  saveRegisters(): void {
    for (const field of this.#written) {
      this.code.get(LOCAL.cpu);
      this.code.get(this.#registers.get(field)!);
      this.storeField(field);
    }
  }

  /** Replaces the address of the CPU state on the stack with a field's value. */
  loadField(field: { readonly type: ValueType; readonly offset: number }): void {
    this.code.memory(LOAD[field.type], field.offset, field.offset % SIZE_OF_TYPE[field.type] === 0);
  }

  /** Stores the value on the stack (above the address of the CPU state) into a field. */
  storeField(field: { readonly type: ValueType; readonly offset: number }): void {
    this.code.memory(STORE[field.type], field.offset);
  }

  loadBank(): void {
    this.code.get(LOCAL.cpu);
    this.code.memory('i32.load', CPU_STATE.bank);
    this.code.set(this.bank);
  }

  /** Pushes page + offset. */
  pushPc(offset: number): void {
    this.code.get(this.page);
    if (offset === 0) return;
    this.code.i64(BigInt(offset));
    this.code.op('i64.add');
  }

  /** Pushes the budget as it was `rest` instructions earlier: exact for the instruction under way. */
  pushBudget(rest: number): void {
    this.code.get(LOCAL.budget);
    this.code.i32(rest);
    this.code.op('i32.add');
  }

  /** Takes the budget over from memory after something that may have changed it. */
  reloadBudget(rest: number): void {
    this.code.get(LOCAL.cpu);
    this.code.memory('i32.load', CPU_STATE.budget);
    this.code.i32(rest);
    this.code.op('i32.sub');
    this.code.set(LOCAL.budget);
  }

  /** Leaves through `fault` when an exception is pending. */
  leaveOnException(): void {
    this.code.get(LOCAL.cpu);
    this.code.memory('i32.load', CPU_STATE.exit);
    this.code.brIf(this.labels.fault);
  }
}
