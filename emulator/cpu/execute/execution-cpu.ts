/** The engine's side of one CPU: its state block, translation banks and memory unit. */
import type { Bus } from '../../memory/bus.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { MemoryAccess } from '../ir/block.ts';
import type { CodeCache, CodePage } from './code-cache.ts';
import { CPU_STATE, EXIT } from './cpu-state.ts';
import type { EvaluationContext } from './evaluate.ts';
import {
  type AccessRegime,
  type EngineCpu,
  GUARDED_MODE,
  type GuestCpu,
  type HelperImplementation,
  MODE_KEYS,
} from './guest.ts';
import { MemoryUnit } from './memory-unit.ts';
import type { Watchpoints } from './watchpoints.ts';
import { type Bank, TranslationBanks } from './soft-tlb.ts';

const PAGE = 4096;
/** Entries of the cache of instruction pages; a power of two. */
const FETCH_ENTRIES = 256;

/** What an engine is to its CPUs. */
export interface EngineHost {
  readonly memory: GuestMemory;
  readonly code: CodeCache;
  readonly watchpoints: Watchpoints;
  readonly helpers: Readonly<Record<string, HelperImplementation>>;
  readonly retired: number;
  /** See `Guest.storesChangeRunningCode`. */
  readonly storesChangeRunningCode: boolean;
  /** See `Guest.sharesUpperHalf`. */
  sharesUpperHalf(context: number, other: number): boolean;
  requestAttention(): void;
  yieldTurn(): void;
}

/** A cached instruction translation, valid while its bank's generation stands. */
interface FetchEntry {
  low: number;
  high: number;
  bank: Bank | undefined;
  generation: number;
  page: CodePage | undefined;
  /** Mode key of code from the page, or its part that the page decides. */
  pageMode: number;
}

/** One CPU as the engine runs it, and as its guest sees the engine. */
export class ExecutionCpu implements EngineCpu, EvaluationContext {
  readonly index: number;
  readonly base: number;
  readonly view: DataView;
  readonly int32: Int32Array;
  readonly banks: TranslationBanks;
  readonly unit: MemoryUnit;
  readonly guest: GuestCpu;
  /** Page of the block that `codePage` found last. */
  lastPage: CodePage | undefined;
  /** Key of the mode that translation depends on, as of the last `setContext`. */
  modeKey = 0;
  /** Mode key of the code that `codePage` found last. */
  codeMode = 0;
  readonly #host: EngineHost;
  readonly #fetches: FetchEntry[];
  #bank: Bank;

  constructor(
    host: EngineHost,
    bus: Bus,
    index: number,
    base: number,
    banksBase: number,
    createGuestCpu: (cpu: EngineCpu) => GuestCpu,
  ) {
    this.#host = host;
    this.index = index;
    this.base = base;
    this.view = host.memory.view;
    this.int32 = host.memory.int32;
    this.banks = new TranslationBanks(
      host.memory,
      banksBase,
      (key, other) =>
        key % MODE_KEYS === other % MODE_KEYS &&
        host.sharesUpperHalf(Math.floor(key / MODE_KEYS), Math.floor(other / MODE_KEYS)),
    );
    this.#bank = this.banks.select(0);
    this.#fetches = Array.from({ length: FETCH_ENTRIES }, () => ({
      low: 0,
      high: 0,
      bank: undefined,
      generation: 0,
      page: undefined,
      pageMode: 0,
    }));
    this.guest = createGuestCpu(this);
    this.unit = new MemoryUnit(
      host.memory,
      bus,
      this.banks,
      host.code,
      base,
      this.guest,
      host.storesChangeRunningCode,
      host.watchpoints,
      index,
    );
  }

  get helpers(): Readonly<Record<string, HelperImplementation>> {
    return this.#host.helpers;
  }

  get pc(): bigint {
    const pc = this.view.getBigUint64(this.base + CPU_STATE.pc, true);
    return this.guest.visiblePc?.(pc) ?? pc;
  }
  set pc(value: bigint) {
    this.view.setBigUint64(this.base + CPU_STATE.pc, value, true);
  }

  get accessSize(): number {
    return this.unit.accessSize;
  }

  load(low: number, high: number, access: MemoryAccess): boolean {
    return this.unit.load(low, high, access);
  }
  store(low: number, high: number, access: MemoryAccess): boolean {
    return this.unit.store(low, high, access);
  }

  resolve(low: number, high: number, kind: 'read' | 'write', regime: AccessRegime): number {
    return this.unit.resolve(low, high, kind, regime);
  }
  mayWrite(address: number, size: number): boolean {
    return this.unit.mayWrite(address, size);
  }
  written(address: number, size: number): void {
    if (this.#host.code.hasCode(address)) this.#host.code.written(address, size);
  }

  setContext(current: number, unprivileged: number): void {
    this.modeKey = this.guest.modeKey();
    this.#bank = this.banks.select(current * MODE_KEYS + this.modeKey);
    this.int32[(this.base + CPU_STATE.bank) >> 2] = this.#bank.base;
    const bank = unprivileged === current ? this.#bank : this.banks.select(unprivileged * MODE_KEYS + this.modeKey);
    this.int32[(this.base + CPU_STATE.unprivilegedBank) >> 2] = bank.base;
  }

  requestException(): void {
    this.int32[(this.base + CPU_STATE.exit) >> 2]! |= EXIT.exception;
  }

  requestAttention(): void {
    this.#host.requestAttention();
  }

  yieldTurn(): void {
    this.#host.yieldTurn();
  }

  flushTlb(): void {
    this.banks.flush();
  }
  flushTlbPage(low: number, high: number): void {
    this.banks.flushPage(low, high);
  }
  flushTlbLowerHalf(matches: (key: number) => boolean): void {
    this.banks.flushLowerHalf(key => matches(Math.floor(key / MODE_KEYS)));
  }
  flushTlbContexts(matches: (key: number) => boolean): void {
    this.banks.flushContexts(key => matches(Math.floor(key / MODE_KEYS)));
  }

  ramAddress(paddr: number): number {
    const { memory } = this.#host;
    const address = memory.ramAddress(paddr);
    // Page walks set flags in descriptors.
    if (address >= 0) memory.history.keep(address);
    return address;
  }

  instructionsRetired(): number {
    return this.#host.retired;
  }

  /** The page of code at a virtual address, or `undefined` when the fetch faults. */
  codePage(low: number, high: number): CodePage | undefined {
    const entry = this.#fetches[(low >>> 12) & (FETCH_ENTRIES - 1)]!;
    const start = low & -PAGE;
    const hit =
      entry.low === start &&
      entry.high === high &&
      entry.bank === this.#bank &&
      entry.generation === this.#bank.generation &&
      entry.page!.valid;
    if (!hit) {
      const address = this.unit.fetch(low, high);
      if (address < 0) return undefined;
      entry.low = start;
      entry.high = high;
      entry.bank = this.#bank;
      entry.generation = this.#bank.generation;
      entry.page = this.#host.code.page(address);
      entry.pageMode = this.unit.fetchedGuarded ? GUARDED_MODE : 0;
    }
    this.lastPage = entry.page;
    this.codeMode = this.modeKey | entry.pageMode;
    return entry.page;
  }

  /** The page of code behind that of a virtual address, or `undefined` when the fetch faults. */
  nextCodePage(low: number, high: number): CodePage | undefined {
    const { lastPage, codeMode } = this;
    const nextLow = ((low & -PAGE) + PAGE) | 0;
    const next = this.codePage(nextLow, nextLow === 0 ? (high + 1) | 0 : high);
    this.lastPage = lastPage;
    this.codeMode = codeMode;
    return next;
  }
}
