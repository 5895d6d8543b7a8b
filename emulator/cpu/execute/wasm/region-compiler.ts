/** Turns region plans into WebAssembly functions in the machine's function table, and takes them out again. */
import { assert } from '../../../../capture/formats/errors.ts';
import type { GuestMemory } from '../../../memory/guest-memory.ts';
import { ModuleWriter } from '../../../wasm/module-writer.ts';
import type { HelperDeclaration } from '../../ir/helper-declaration.ts';
import { OPS } from '../../ir/ops.ts';
import type { HelperImplementation } from '../guest.ts';
import type { CalledHelper } from '../interpret/encode.ts';
import { emitRegion, type RegionPlan } from './emit-region.ts';
import {
  createRuntime,
  REGION_PARAMETERS,
  type Runtime,
  SLOW_ACCESS_TYPES,
  type SlowAccess,
  type SlowAccessName,
} from './runtime-module.ts';

/** Regions that may be alive at a time (each is a module of some 10 KiB to the host); slot 0 is what free entries of jump caches name. */
const DEFAULT_TABLE_SIZE = 32_768;

/** A region as WebAssembly: nothing in it tells where its page is. */
export interface RegionModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly helpers: readonly CalledHelper[];
  /** Its function, once it was needed. */
  compiled?: unknown;
}

/** Compiles regions and owns the function table. */
export class RegionCompiler {
  readonly #memory: GuestMemory;
  readonly #helpers: Readonly<Record<string, HelperImplementation>>;
  readonly #table: WebAssembly.Table;
  readonly #wrapped: Record<string, unknown> = {};
  readonly runtime: Runtime;
  #nextSlot = 1;
  readonly #freeSlots: number[] = [];
  /** Slots whose region is gone but that jump caches may still name. */
  readonly #discarded: number[] = [];
  /** Bytes of modules and number of regions compiled so far. */
  readonly statistics = { regions: 0, blocks: 0, bytes: 0 };

  constructor(
    memory: GuestMemory,
    helpers: Readonly<Record<string, HelperImplementation>>,
    slow: SlowAccess,
    tableSize = DEFAULT_TABLE_SIZE,
  ) {
    this.#table = new WebAssembly.Table({ element: 'anyfunc', initial: tableSize, maximum: tableSize });
    this.#memory = memory;
    this.#helpers = helpers;
    this.runtime = createRuntime(memory, this.#table, slow);
    this.#table.set(0, this.runtime.discarded);
  }

  /** True when no slot is free: jump caches have to be cleared, and `recycle` called, before the next region. */
  get full(): boolean {
    return this.#freeSlots.length === 0 && this.#nextSlot === this.#table.length;
  }

  /** Compiles a region. */
  compile(plan: RegionPlan): RegionModule {
    const helpers = helpersOf(plan);
    const bytes = this.#moduleOf(plan, helpers);
    this.statistics.regions++;
    this.statistics.blocks += plan.blocks.length;
    this.statistics.bytes += bytes.length;
    return { bytes, helpers };
  }

  /** Puts a region into the function table, where it may be several times. @returns its index there */
  install(region: RegionModule): number {
    const slot = this.#freeSlots.pop() ?? this.#nextSlot++;
    assert(slot < this.#table.length, 'function table is full');
    region.compiled ??= this.#instantiate(region);
    this.#table.set(slot, region.compiled);
    return slot;
  }

  #instantiate({ bytes, helpers }: RegionModule): unknown {
    const imports = {
      engine: { memory: this.#memory.memory, table: this.#table },
      slow: this.runtime as unknown as Record<string, unknown>,
      helper: this.#imports(helpers),
    };
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports['region'];
  }

  /** Drops a region; whoever still jumps to it comes back to the run loop. */
  discard(slot: number): void {
    this.#table.set(slot, this.runtime.discarded);
    this.#discarded.push(slot);
  }

  /** Number of slots that wait for `recycle`. */
  get discardedCount(): number {
    return this.#discarded.length;
  }

  /** Reuses the slots of discarded regions: no jump cache names them any more. */
  recycle(): void {
    this.#freeSlots.push(...this.#discarded.splice(0));
  }

  /** Helpers as compiled code calls them: WebAssembly hands over i64 with a sign, helpers take it without. */
  #imports(helpers: readonly CalledHelper[]): Record<string, unknown> {
    for (const { name, params } of helpers) {
      this.#wrapped[name] ??= params.some(type => type === 'i64')
        ? unsigned(this.#helpers[name]!)
        : this.#helpers[name];
    }
    return this.#wrapped;
  }

  #moduleOf(plan: RegionPlan, imported: readonly HelperDeclaration[]): Uint8Array<ArrayBuffer> {
    const module = new ModuleWriter();
    module.importMemory('engine', 'memory', this.#memory.wasmPages, this.#memory.wasmPages);
    module.importFunctionTable('engine', 'table', this.#table.length);
    const regionType = module.type(REGION_PARAMETERS, []);
    const slow = new Map<SlowAccessName, number>();
    for (const name of ['loadSlow', 'storeSlow', 'storeSlow128'] as const) {
      const { params, results } = SLOW_ACCESS_TYPES[name];
      slow.set(name, module.importFunction('slow', name, module.type(params, results)));
    }
    const helpers = new Map<string, number>();
    for (const helper of imported) {
      const type = module.type(helper.params, helper.result === 'none' ? [] : [helper.result]);
      helpers.set(helper.name, module.importFunction('helper', helper.name, type));
    }
    const region = emitRegion(plan, {
      slow: name => slow.get(name)!,
      helper: name => helpers.get(name)!,
      regionType,
    });
    module.defineFunction(regionType, region.code, 'region');
    return module.finish();
  }
}

function unsigned(helper: HelperImplementation): (...args: (number | bigint)[]) => unknown {
  const call = helper as unknown as (...args: (number | bigint)[]) => unknown;
  return (...args) => {
    for (let i = 0; i < args.length; i++) {
      const arg = args[i]!;
      if (typeof arg === 'bigint' && arg < 0n) args[i] = BigInt.asUintN(64, arg);
    }
    return call(...args);
  };
}

function helpersOf(plan: RegionPlan): readonly HelperDeclaration[] {
  const helpers = new Map<string, HelperDeclaration>();
  for (const { values } of plan.blocks) {
    for (const value of values) {
      if (value.op !== OPS.call) continue;
      const helper = value.immediate as HelperDeclaration;
      helpers.set(helper.name, helper);
    }
  }
  return [...helpers.values()];
}
