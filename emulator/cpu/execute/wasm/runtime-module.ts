/**
 * Functions that every compiled region calls or is called through, themselves generated once per machine: entry into a
 * region, slow memory accesses, and what a discarded region is replaced with.
 */
import type { GuestMemory } from '../../../memory/guest-memory.ts';
import { CodeWriter } from '../../../wasm/code-writer.ts';
import { ModuleWriter } from '../../../wasm/module-writer.ts';
import type { WasmType } from '../../../wasm/opcodes.ts';
import { CPU_STATE } from '../cpu-state.ts';

/** A compiled region: (CPU state block, entry number, PC, budget). What happened is in the CPU state when it returns. */
export const REGION_PARAMETERS = ['i32', 'i32', 'i64', 'i32'] as const satisfies readonly WasmType[];

/** Slow accesses in JavaScript: (low, high, access key) → 1 when it went well, 0 when it faulted. */
export interface SlowAccess {
  load(low: number, high: number, accessKey: number): number;
  store(low: number, high: number, accessKey: number): number;
}

/** What the module gives. `loadSlow` and the stores are for linking into regions. */
export interface Runtime {
  /** Runs the region at a table index from the state's PC and budget. */
  readonly enter: (base: number, functionIndex: number, entry: number) => void;
  readonly discarded: unknown;
  readonly loadSlow: unknown;
  readonly storeSlow: unknown;
  readonly storeSlow128: unknown;
}

/** Signatures of the slow accesses, (CPU state block, address, [value,] PC, budget, access key). */
export const SLOW_ACCESS_TYPES = {
  loadSlow: { params: ['i32', 'i64', 'i64', 'i32', 'i32'], results: ['i64'] },
  storeSlow: { params: ['i32', 'i64', 'i64', 'i32', 'i32', 'i64'], results: [] },
  storeSlow128: { params: ['i32', 'i64', 'i64', 'i32', 'i32', 'v128'], results: [] },
} as const satisfies Record<string, { params: readonly WasmType[]; results: readonly WasmType[] }>;

export type SlowAccessName = keyof typeof SLOW_ACCESS_TYPES;

/** Parameters of the slow accesses by position. */
const CPU = 0;
const ADDRESS = 1;
const PC = 2;
const BUDGET = 3;
const ACCESS = 4;
const VALUE = 5;

/** Generates and instantiates the module. */
export function createRuntime(memory: GuestMemory, table: WebAssembly.Table, slow: SlowAccess): Runtime {
  const module = new ModuleWriter();
  const accessType = module.type(['i32', 'i32', 'i32'], ['i32']);
  const load = module.importFunction('js', 'load', accessType);
  const store = module.importFunction('js', 'store', accessType);
  module.importMemory('engine', 'memory', memory.wasmPages, memory.wasmPages);
  module.importFunctionTable('engine', 'table', table.length);
  const regionType = module.type(REGION_PARAMETERS, []);
  module.defineFunction(module.type(['i32', 'i32', 'i32'], []), enterBody(regionType), 'enter');
  module.defineFunction(regionType, discardedBody(), 'discarded');
  for (const name of ['loadSlow', 'storeSlow', 'storeSlow128'] as const) {
    const { params, results } = SLOW_ACCESS_TYPES[name];
    const body = name === 'loadSlow' ? loadSlowBody(load) : storeSlowBody(store, name);
    module.defineFunction(module.type(params, results), body, name);
  }
  const js = { load: slow.load.bind(slow), store: slow.store.bind(slow) };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), {
    js,
    engine: { memory: memory.memory, table },
  });
  return instance.exports as unknown as Runtime;
}

/** enter(base, functionIndex, entry) */
function enterBody(regionType: number): CodeWriter {
  const code = new CodeWriter(3);
  code.get(0);
  code.get(2);
  code.get(0);
  code.memory('i64.load', CPU_STATE.pc);
  code.get(0);
  code.memory('i32.load', CPU_STATE.budget);
  code.get(1);
  code.callIndirect(regionType);
  return code;
}

/** Stands in the table for a region that was dropped: hands control back to the run loop. */
function discardedBody(): CodeWriter {
  const code = new CodeWriter(REGION_PARAMETERS.length);
  storePcAndBudget(code);
  return code;
}

function loadSlowBody(load: number): CodeWriter {
  const code = new CodeWriter(SLOW_ACCESS_TYPES.loadSlow.params.length);
  storePcAndBudget(code);
  callWithHalves(code, load);
  code.get(CPU);
  code.memory('i64.load', CPU_STATE.scratch);
  return code;
}

function storeSlowBody(store: number, name: 'storeSlow' | 'storeSlow128'): CodeWriter {
  const code = new CodeWriter(SLOW_ACCESS_TYPES[name].params.length);
  storePcAndBudget(code);
  code.get(CPU);
  code.get(VALUE);
  code.memory(name === 'storeSlow' ? 'i64.store' : 'v128.store', CPU_STATE.scratch);
  callWithHalves(code, store);
  return code;
}

function storePcAndBudget(code: CodeWriter): void {
  code.get(CPU);
  code.get(PC);
  code.memory('i64.store', CPU_STATE.pc);
  code.get(CPU);
  code.get(BUDGET);
  code.memory('i32.store', CPU_STATE.budget);
}

/** Calls a slow access with the address as two halves; its result is in `exit` too, so it is dropped. */
function callWithHalves(code: CodeWriter, functionIndex: number): void {
  code.get(ADDRESS);
  code.op('i32.wrap_i64');
  code.get(ADDRESS);
  code.i64(32n);
  code.op('i64.shr_u');
  code.op('i32.wrap_i64');
  code.get(ACCESS);
  code.call(functionIndex);
  code.drop();
}
