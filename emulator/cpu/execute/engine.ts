/**
 * Runs guest CPUs: finds translated code for the PC, interprets it while it is cold, compiles and enters regions when it
 * is hot, and keeps count of retired instructions.
 */
import type { Bus } from '../../memory/bus.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { ACCESS_BY_KEY } from './access-key.ts';
import { CodeCache, type CodePage, isTranslated, type TranslatedBlock } from './code-cache.ts';
import { CPU_STATE, CPU_STATE_SIZE, EXIT } from './cpu-state.ts';
import { evaluateBlock } from './evaluate.ts';
import { ExecutionCpu } from './execution-cpu.ts';
import type { EngineCpu, Guest, GuestCpu } from './guest.ts';
import { ARENA_SIZE, BytecodeArena } from './interpret/bytecode-arena.ts';
import { RETIRED } from './interpret/encode.ts';
import { Interpreter, INTERPRETER_BYTES } from './interpret/interpreter.ts';
import type { KnownRegion } from './known-code.ts';
import { planRegion } from './region-planner.ts';
import { BANK, BANKS_PER_CPU } from './soft-tlb.ts';
import { Watchpoints } from './watchpoints.ts';
import { RegionCompiler, type RegionModule } from './wasm/region-compiler.ts';

const PAGE = 4096;
/** First byte of the CPU state blocks in linear memory. */
const STATE_BASE = PAGE;

/** Bytes of linear memory that an engine needs before RAM. */
export function engineReservedBytes(cpuCount: number): number {
  return STATE_BASE + INTERPRETER_BYTES + cpuCount * (CPU_STATE_SIZE + BANKS_PER_CPU * BANK.SIZE);
}

/** Choices that change speed, never results. */
export interface EngineOptions {
  /** Times that a block is interpreted before it is compiled; `Infinity` interprets everything. */
  readonly compileThreshold: number;
  /** Compiled regions that may be alive at a time; when there are more, all are dropped. */
  readonly regionLimit?: number;
}

/** Dropped regions whose slots are taken back together. */
const MOST_DISCARDED = 4096;

const DEFAULT_OPTIONS: EngineOptions = { compileThreshold: 128 };

/** The execution engine of one machine. */
export class Engine {
  readonly memory: GuestMemory;
  readonly cpus: readonly ExecutionCpu[];
  readonly code: CodeCache;
  readonly watchpoints = new Watchpoints(() => this.cpus.forEach(cpu => cpu.flushTlb()));
  readonly compiler: RegionCompiler;
  readonly #options: EngineOptions;
  readonly #interpreter: Interpreter;
  readonly #guest: Guest;
  readonly #regionsOf = new Map<CodePage, Set<number>>();
  #current: ExecutionCpu;
  /** Instructions that had retired when the slice of the current CPU began. */
  #retiredBefore = 0;
  /** Budget with which the slice began, less what was taken back. */
  #granted = 0;
  /** Blocks interpreted and regions entered from the run loop. */
  readonly statistics = { interpreted: 0, entered: 0 };

  /**
   * @param createGuestCpu makes the architecture's side of a CPU
   * @param memory with `engineReservedBytes` before RAM
   */
  constructor(
    guest: Guest,
    memory: GuestMemory,
    bus: Bus,
    cpuCount: number,
    createGuestCpu: (cpu: EngineCpu) => GuestCpu,
    options: Partial<EngineOptions> = {},
  ) {
    this.#guest = guest;
    this.memory = memory;
    this.#options = { ...DEFAULT_OPTIONS, ...options };
    const interpreterBase = engineReservedBytes(cpuCount) - INTERPRETER_BYTES;
    const arena = new BytecodeArena(memory, interpreterBase + INTERPRETER_BYTES - ARENA_SIZE);
    this.code = new CodeCache(memory, guest, arena, {
      trapWrites: address => this.cpus.forEach(cpu => cpu.banks.trapWrites(address)),
      pageDropped: page => this.#dropRegions(page),
      recognised: (page, region) => this.#adopt(page, region),
    });
    const banksBase = STATE_BASE + cpuCount * CPU_STATE_SIZE;
    this.cpus = Array.from(
      { length: cpuCount },
      (_, index) =>
        new ExecutionCpu(
          this,
          bus,
          index,
          STATE_BASE + index * CPU_STATE_SIZE,
          banksBase + index * BANKS_PER_CPU * BANK.SIZE,
          createGuestCpu,
        ),
    );
    this.#current = this.cpus[0]!;
    const slow = {
      load: (low: number, high: number, key: number) => Number(this.#current.unit.load(low, high, ACCESS_BY_KEY[key]!)),
      store: (low: number, high: number, key: number) =>
        Number(this.#current.unit.store(low, high, ACCESS_BY_KEY[key]!)),
    };
    this.compiler = new RegionCompiler(memory, guest.helpers, slow, this.#options.regionLimit);
    const helpers = { ...guest.helpers, [RETIRED.name]: () => BigInt(this.retired) };
    this.#interpreter = new Interpreter(memory, interpreterBase, this.compiler.runtime, helpers, arena);
  }

  /** The CPU that runs: helpers act on it. */
  get current(): ExecutionCpu {
    return this.#current;
  }

  get storesChangeRunningCode(): boolean {
    return this.#guest.storesChangeRunningCode ?? false;
  }

  get helpers(): Guest['helpers'] {
    return this.#guest.helpers;
  }

  sharesUpperHalf(context: number, other: number): boolean {
    return this.#guest.sharesUpperHalf?.(context, other) ?? false;
  }

  /** Instructions retired by all CPUs; exact inside helpers and device accesses. */
  get retired(): number {
    return this.#retiredBefore + this.#granted - this.#budget;
  }

  /** Ends the current slice at the next checkpoint. */
  requestAttention(): void {
    const left = this.#budget;
    if (left <= 0) return;
    this.#grant(this.#granted - left);
    this.#setBudget(0);
  }

  /** Ends the current slice for the sake of the other CPUs. When all of them sleep, the current one would only be given the next one. */
  yieldTurn(): void {
    if (this.cpus.some(({ guest }) => guest !== this.#current.guest && canGoOn(guest))) this.requestAttention();
  }

  /**
   * Runs one CPU until `instructions` have retired (or a few more, up to the next checkpoint), or attention is requested.
   * Interrupts are taken at the beginning.
   */
  runSlice(cpu: ExecutionCpu, instructions: number): void {
    this.#begin(cpu, instructions);
    cpu.guest.takeInterrupt();
    this.#run(cpu);
    this.#end();
  }

  /** Runs one instruction of a CPU, whatever breakpoints and interrupts there are, as debuggers want it. */
  step(cpu: ExecutionCpu): void {
    this.#begin(cpu, 1);
    this.memory.int32[(cpu.base + CPU_STATE.exit) >> 2] = 0;
    this.#runAlone(cpu, true);
    this.#end();
  }

  /** Runs the instruction at the PC as a block of its own, and delivers its exception. @returns whether there was one */
  #runAlone(cpu: ExecutionCpu, debuggerSteps: boolean): boolean {
    const { int32 } = this.memory;
    const exit = (cpu.base + CPU_STATE.exit) >> 2;
    const low = int32[(cpu.base + CPU_STATE.pc) >> 2]!;
    const high = int32[(cpu.base + CPU_STATE.pc + 4) >> 2]!;
    const page = cpu.codePage(low, high);
    const nextPage = (): DataView | undefined => cpu.nextCodePage(low, high)?.code;
    const offset = low & (PAGE - 1);
    const { codeMode } = cpu;
    const block = page && this.#guest.translateBlock(page.code, offset, codeMode, nextPage, offset + 1, debuggerSteps);
    cpu.unit.allowingCodeWrites(() => {
      if (block !== undefined) evaluateBlock(block, cpu.pc & -4096n, cpu);
    });
    const failed = block === undefined || (int32[exit]! & EXIT.exception) !== 0;
    if (failed) {
      int32[exit]! &= ~EXIT.exception;
      cpu.guest.deliverException();
    }
    return failed;
  }

  #begin(cpu: ExecutionCpu, instructions: number): void {
    this.#current = cpu;
    this.#retiredBefore = this.retired;
    this.#grant(instructions);
    this.#setBudget(instructions);
  }

  #end(): void {
    this.#retiredBefore = this.retired;
    this.#grant(0);
    this.#setBudget(0);
  }

  /** Adopts a count of retired instructions, as a snapshot restore does. */
  setRetired(count: number): void {
    this.#retiredBefore = count;
    this.#grant(0);
    this.#setBudget(0);
  }

  /** Compiled code counts from what will have retired at the end of the budget. */
  #grant(instructions: number): void {
    const { int32 } = this.memory;
    const end = this.#retiredBefore + instructions;
    const at = (this.#current.base + CPU_STATE.retiredAtEnd) >> 2;
    this.#granted = instructions;
    int32[at] = end;
    int32[at + 1] = Math.floor(end / 2 ** 32);
  }

  get #budget(): number {
    return this.memory.int32[(this.#current.base + CPU_STATE.budget) >> 2]!;
  }

  #setBudget(value: number): void {
    this.memory.int32[(this.#current.base + CPU_STATE.budget) >> 2] = value;
  }

  #run(cpu: ExecutionCpu): void {
    const { int32 } = this.memory;
    const exit = (cpu.base + CPU_STATE.exit) >> 2;
    int32[exit] = 0;
    /** The block that has just gone on directly within its page. */
    let previous: TranslatedBlock | undefined;
    let fetchFaults = 0;
    while (int32[exit] === 0) {
      const translated = previous === undefined ? this.#find(cpu) : this.#follow(cpu, previous);
      if (translated === undefined) {
        cpu.guest.deliverException();
        this.#payForFetchFaults(++fetchFaults);
        previous = undefined;
      } else {
        fetchFaults = 0;
        translated.isEntry ||= previous === undefined;
        previous = this.#runBlock(cpu, translated) ? translated : undefined;
      }
      if ((int32[exit] & EXIT.exception) !== 0) {
        int32[exit] &= ~EXIT.exception;
        // a store that was held back is no exception: the slice ends where it would have ended without
        let failed = true;
        if (cpu.unit.heldBack) failed = this.#runAlone(cpu, false);
        else cpu.guest.deliverException();
        // a CPU that stops by its exception (triple fault) never comes to another checkpoint
        if (failed && this.#budget <= 0) int32[exit] |= EXIT.budget;
        previous = undefined;
      }
    }
  }

  /**
   * A fetch fault counts as an instruction, so that a guest without a mapped exception vector still comes to a checkpoint. Such a
   * guest does nothing else: each further fault in a row counts twice as much as the one before, or a slice of it would take seconds.
   */
  #payForFetchFaults(inARow: number): void {
    const { int32 } = this.memory;
    const { base } = this.#current;
    const budget = (base + CPU_STATE.budget) >> 2;
    int32[budget]! -= 1 << Math.min(inARow - 1, 16);
    if (int32[budget]! <= 0) int32[(base + CPU_STATE.exit) >> 2]! |= EXIT.budget;
  }

  /** @returns whether the block went on directly within its page: its successor need not be an entry */
  #runBlock(cpu: ExecutionCpu, translated: TranslatedBlock): boolean {
    if (translated.mayStop) {
      if (this.#stopsAt(cpu)) return false;
    } else if (translated.functionIndex === 0 && ++translated.executions >= this.#options.compileThreshold) {
      translated.isEntry = true;
      this.#compile(cpu.lastPage!, translated);
    }
    if (translated.functionIndex !== 0) {
      this.statistics.entered++;
      this.#fillJumpCache(cpu, translated);
      this.compiler.runtime.enter(cpu.base, translated.functionIndex, translated.entry);
      return false;
    }
    this.statistics.interpreted++;
    const { int32 } = this.memory;
    const pc = (cpu.base + CPU_STATE.pc) >> 2;
    const low = int32[pc]! & -PAGE;
    const high = int32[pc + 1];
    this.#interpreter.run(cpu.base, translated.bytecode);
    return translated.targets.length > 0 && (int32[pc]! & -PAGE) === low && int32[pc + 1] === high;
  }

  /** Whether there is a breakpoint at the PC; the machine is told, and the slice ends. */
  #stopsAt(cpu: ExecutionCpu): boolean {
    const { breakpoints } = this.code;
    if (!breakpoints.has(cpu.pc)) return false;
    breakpoints.hit(cpu.index);
    this.memory.int32[(cpu.base + CPU_STATE.exit) >> 2]! |= EXIT.budget;
    return true;
  }

  /** The translated block at the PC, or `undefined` when the fetch faulted. */
  #find(cpu: ExecutionCpu): TranslatedBlock | undefined {
    const { int32 } = this.memory;
    const low = int32[(cpu.base + CPU_STATE.pc) >> 2]!;
    const high = int32[(cpu.base + CPU_STATE.pc + 4) >> 2]!;
    const page = cpu.codePage(low, high);
    return page && this.code.block(page, low & (PAGE - 1), cpu.codeMode, () => cpu.nextCodePage(low, high));
  }

  /** The translated block at the PC, to which `previous` has gone on directly: what the page and mode are is known. */
  #follow(cpu: ExecutionCpu, { targets, links }: TranslatedBlock): TranslatedBlock | undefined {
    const offset = this.memory.int32[(cpu.base + CPU_STATE.pc) >> 2]! & (PAGE - 1);
    const number = targets[0] === offset ? 0 : 1;
    const link = links[number];
    if (link !== undefined && isTranslated(link) && cpu.lastPage!.valid) return link;
    const found = this.#find(cpu);
    if (found?.next === undefined) links[number] = found;
    return found;
  }

  #fillJumpCache(cpu: ExecutionCpu, translated: TranslatedBlock): void {
    const { int32 } = this.memory;
    const low = int32[(cpu.base + CPU_STATE.pc) >> 2]!;
    const high = int32[(cpu.base + CPU_STATE.pc + 4) >> 2]!;
    const bank = cpu.banks.at(int32[(cpu.base + CPU_STATE.bank) >> 2]!);
    cpu.banks.enterJump(bank, low, high, translated.functionIndex, translated.entry);
  }

  #compile(page: CodePage, seed: TranslatedBlock): void {
    const region = seed.known && this.code.knownRegion(page, seed.known);
    if (region !== undefined) return this.#adopt(page, region);
    const blocks = planRegion(page, seed);
    const entries = blocks.flatMap((candidate, number) => (candidate.isEntry ? [number] : []));
    const module = this.compiler.compile({ blocks: blocks.map(block => this.code.translate(page, block)), entries });
    const known = blocks.flatMap(block => block.known ?? []);
    if (known.length === blocks.length) this.code.known.addRegion({ blocks: known, entries, module });
    this.#install(page, blocks, entries, module);
  }

  /** Gives a page a region that was compiled for another one with the same code. */
  #adopt(page: CodePage, { blocks, entries, module }: KnownRegion): void {
    const placed = blocks.map(block => this.code.place(page, block));
    // they have run where the region was planned: later plans for this page count on them
    for (const block of placed) block.executions ||= 1;
    this.#install(page, placed, entries, module);
  }

  #install(page: CodePage, blocks: readonly TranslatedBlock[], entries: readonly number[], module: RegionModule): void {
    this.#makeRoom();
    const index = this.compiler.install(module);
    for (const number of entries) {
      const entry = blocks[number]!;
      entry.functionIndex = index;
      entry.entry = number;
    }
    const regions = this.#regionsOf.get(page);
    if (regions) regions.add(index);
    else this.#regionsOf.set(page, new Set([index]));
  }

  /** Sees to it that the function table has a free slot: takes back those of dropped regions, or drops all regions. */
  #makeRoom(): void {
    if (!this.compiler.full && this.compiler.discardedCount < MOST_DISCARDED) return;
    if (this.compiler.discardedCount === 0) {
      for (const page of this.#regionsOf.keys()) {
        this.#dropRegions(page);
        for (const block of page.blocks.values()) {
          Object.assign(block, { known: undefined, functionIndex: 0, executions: 0 });
        }
      }
      this.code.known.clear();
    }
    for (const cpu of this.cpus) cpu.banks.clearJumpCaches();
    this.compiler.recycle();
  }

  #dropRegions(page: CodePage): void {
    for (const index of this.#regionsOf.get(page) ?? []) this.compiler.discard(index);
    this.#regionsOf.delete(page);
  }
}

/** Running, woken up, or waiting for an event that another CPU may send. */
function canGoOn({ idle, wakeUp }: GuestCpu): boolean {
  return idle === 'running' || idle === 'waiting-for-event' || (idle !== 'off' && wakeUp);
}
