/** What runs A64 test cases: our evaluator, our compiled code, and Unicorn. */
import { A64_FEATURE_NAMES, type A64FeatureName } from '../../emulator/cpu/a64/features.ts';
import { INTEGER_HELPERS } from '../../emulator/cpu/a64/integer-helpers.ts';
import { createSimdHelpers } from '../../emulator/cpu/a64/simd-helpers.ts';
import { A64_LAYOUT } from '../../emulator/cpu/a64/state.ts';
import { keyFields } from '../../emulator/cpu/a64/system/register-key.ts';
import { translateBlock } from '../../emulator/cpu/a64/translate-block.ts';
import { Engine, engineReservedBytes } from '../../emulator/cpu/execute/engine.ts';
import { ARENA_SIZE, BytecodeArena } from '../../emulator/cpu/execute/interpret/bytecode-arena.ts';
import { Interpreter, INTERPRETER_BYTES } from '../../emulator/cpu/execute/interpret/interpreter.ts';
import { evaluateBlock } from '../../emulator/cpu/execute/evaluate.ts';
import type { Guest, HelperImplementation } from '../../emulator/cpu/execute/guest.ts';
import { type Block, directTargets } from '../../emulator/cpu/ir/block.ts';
import { Bus } from '../../emulator/memory/bus.ts';
import { GuestMemory } from '../../emulator/memory/guest-memory.ts';
import { CASE_MODE, INITIAL_SCRATCH, loadState, type Outcome, saveState, TestCpu } from './a64-test-cpu.ts';
import { type A64Case, CASE_MEMORY, REGISTER } from './a64-cases.ts';
import { type loadUnicorn, UC_ARCH, UC_ERR, UC_MODE, Unicorn } from './unicorn.ts';

export interface CaseResult {
  readonly outcome: Outcome;
  /** By `REGISTER`. */
  readonly registers: BigUint64Array;
  /** The scratch area, live. */
  readonly scratch: Uint8Array;
}

/** A case and where its code is. */
export interface PlacedCase {
  readonly test: A64Case;
  readonly address: number;
}

export interface Driver {
  readonly name: string;
  /** Is told the cases that come next. */
  prepare?(cases: readonly PlacedCase[]): void;
  /** Runs a case at this address of code. */
  run(test: A64Case, address: number): CaseResult;
  /** Makes scratch memory as it was before the first case. */
  reset(): void;
}

/** Helpers that compute from their arguments alone, and so are the same in a test and in a machine. */
export type TestHelpers = Readonly<Record<string, HelperImplementation>>;

const PAGE = 4096;
const INTERPRETER_BASE = engineReservedBytes(1);

/** Our ways to execute a block. */
type Executor = 'evaluate' | 'interpret' | 'compile';

/** The machine under test, in all of its executors. */
class TestMachine {
  /** Behind the engine's own memory there is a second interpreter, which takes one block at a time. */
  readonly #memory = new GuestMemory(INTERPRETER_BASE + INTERPRETER_BYTES, [{ start: 0, size: CASE_MEMORY.size }]);
  readonly #interpreter: Interpreter;
  readonly #engine: Engine;
  /** Function and entry of the cases that are compiled, by address. */
  readonly #compiled = new Map<number, { readonly test: A64Case; readonly slot: number; readonly entry: number }>();
  readonly #features: ReadonlySet<A64FeatureName>;

  constructor(features: ReadonlySet<A64FeatureName>, helpers: TestHelpers) {
    this.#features = features;
    const guest: Guest = {
      name: 'aarch64',
      variant: 'test',
      layout: A64_LAYOUT,
      lookahead: 0,
      translateBlock: (code, start) => translateBlock(code, start, CASE_MODE, features),
      helpers: {
        'a64.raiseException': (exceptionClass: number) => this.#raise(exceptionClass),
        ...INTEGER_HELPERS,
        ...createSimdHelpers(() => this.#engine.cpus[0]!),
        ...helpers,
      },
    };
    this.#engine = new Engine(guest, this.#memory, new Bus('memory'), 1, () => new TestCpu());
    const arena = new BytecodeArena(this.#memory, INTERPRETER_BASE + INTERPRETER_BYTES - ARENA_SIZE);
    const { runtime } = this.#engine.compiler;
    this.#interpreter = new Interpreter(this.#memory, INTERPRETER_BASE, runtime, guest.helpers, arena);
    this.#engine.cpus[0]!.setContext(0, 0);
    this.reset();
  }

  reset(): void {
    this.#scratch.set(INITIAL_SCRATCH);
  }

  run(test: A64Case, address: number, executor: Executor): CaseResult {
    const cpu = this.#engine.cpus[0]!;
    const guest = cpu.guest as TestCpu;
    guest.outcome = 'done';
    loadState(cpu, test.registers, address);
    const code = this.#memory.ramSlice(address & -PAGE, PAGE);
    const view = new DataView(code.buffer, code.byteOffset, (address % PAGE) + 4 * test.words.length);
    test.words.forEach((word, i) => view.setInt32((address % PAGE) + 4 * i, word, true));
    const block = translateBlock(view, address % PAGE, CASE_MODE, this.#features);
    if (executor === 'evaluate') evaluateBlock(block, BigInt(address & -PAGE), cpu);
    else if (executor === 'interpret') this.#interpret(block);
    else this.#enter(test, address);
    return { outcome: guest.outcome, registers: saveState(cpu), scratch: this.#scratch };
  }

  get #scratch(): Uint8Array {
    return this.#memory.ramSlice(CASE_MEMORY.scratch, CASE_MEMORY.scratchSize);
  }

  #interpret(block: Block): void {
    const { arena } = this.#interpreter;
    arena.clear();
    this.#interpreter.run(this.#engine.cpus[0]!.base, arena.add(block));
  }

  /** Compiles cases: those of a page are one region, because a module takes 20 times as long as a block. */
  compile(cases: readonly PlacedCase[]): void {
    const { compiler } = this.#engine;
    for (const slot of new Set([...this.#compiled.values()].map(entry => entry.slot))) compiler.discard(slot);
    compiler.recycle();
    this.#compiled.clear();
    for (const [page, placed] of Map.groupBy(cases, ({ address }) => address & -PAGE)) {
      const code = new DataView(new ArrayBuffer(PAGE));
      const blocks = placed.map(({ test, address }) => {
        test.words.forEach((word, i) => code.setInt32(address - page + 4 * i, word, true));
        const end = address - page + 4 * test.words.length;
        return translateBlock(code, address - page, CASE_MODE, this.#features, end);
      });
      // A branch from one case to another would go on there within a region
      const starts = new Set(blocks.map(block => block.start));
      const isAlone = blocks.map(block => directTargets(block).some(target => starts.has(target)));
      const together = blocks.filter((_, i) => isAlone[i] !== true);
      const entries = together.map((_, number) => number);
      const shared = together.length === 0 ? -1 : compiler.install(compiler.compile({ blocks: together, entries }));
      placed.forEach(({ test, address }, i) => {
        if (isAlone[i] !== true) {
          this.#compiled.set(address, { test, slot: shared, entry: together.indexOf(blocks[i]!) });
        } else {
          const slot = compiler.install(compiler.compile({ blocks: [blocks[i]!], entries: [0] }));
          this.#compiled.set(address, { test, slot, entry: 0 });
        }
      });
    }
  }

  #enter(test: A64Case, address: number): void {
    const { compiler, cpus } = this.#engine;
    if (this.#compiled.get(address)?.test !== test) this.compile([{ test, address }]);
    const { slot, entry } = this.#compiled.get(address)!;
    compiler.runtime.enter(cpus[0]!.base, slot, entry);
  }

  #raise(exceptionClass: number): void {
    const cpu = this.#engine.cpus[0]!;
    (cpu.guest as TestCpu).raise(cpu, exceptionClass);
  }
}

/** All that the instruction table knows; FEAT_BTI would leave PSTATE.BTYPE in the PC behind an indirect branch. */
export const ALL_FEATURES: ReadonlySet<A64FeatureName> = new Set(A64_FEATURE_NAMES.filter(name => name !== 'FEAT_BTI'));

function driver(name: string, executor: Executor, helpers: TestHelpers): Driver {
  const machine = new TestMachine(ALL_FEATURES, helpers);
  return {
    name,
    ...(executor === 'compile' && { prepare: (cases: readonly PlacedCase[]) => machine.compile(cases) }),
    run: (test, address) => machine.run(test, address, executor),
    reset: () => machine.reset(),
  };
}

/** The evaluator of IR. */
export function evaluatorDriver(helpers: TestHelpers = {}): Driver {
  return driver('evaluator', 'evaluate', helpers);
}

/** The interpreter of bytecode. */
export function interpreterDriver(helpers: TestHelpers = {}): Driver {
  return driver('interpreter', 'interpret', helpers);
}

/** Compiled code: each case is a region of one block. */
export function compilerDriver(helpers: TestHelpers = {}): Driver {
  return driver('compiled code', 'compile', helpers);
}

/** All of our executors. */
export function ourDrivers(): Driver[] {
  return [evaluatorDriver(), interpreterDriver(), compilerDriver()];
}

/** Numbers of `uc_arm64_reg` (unicorn/arm64.h). */
const UC_ARM64 = {
  X29: 1,
  X30: 2,
  NZCV: 3,
  SP: 4,
  Q0: 104,
  X0: 199,
  PC: 260,
  CP_REG: 290,
  FPCR: 291,
  FPSR: 292,
} as const;
const UC_CPU_ARM64_MAX = 3;

const range = (count: number, first: number): number[] => Array.from({ length: count }, (_, i) => first + i);

const UNICORN_REGISTERS = {
  ids: [
    ...range(29, UC_ARM64.X0),
    UC_ARM64.X29,
    UC_ARM64.X30,
    UC_ARM64.SP,
    UC_ARM64.NZCV,
    UC_ARM64.FPCR,
    UC_ARM64.FPSR,
    UC_ARM64.PC,
    ...range(32, UC_ARM64.Q0),
  ],
  words: [...Array<number>(REGISTER.v).fill(1), ...Array<number>(32).fill(2)],
};

export interface UnicornDriver extends Driver {
  /** Writes a system register without the checks of MSR. @param key as in `register-key.ts` */
  writeSystemRegister(key: number, value: bigint): void;
}

/**
 * Unicorn with its "max" CPU.
 * @param runs as many instructions as the case has words, or from its first word to behind its last, with loops
 */
export function unicornDriver(
  api: Exclude<ReturnType<typeof loadUnicorn>, string>,
  runs: 'once' | 'to the end' = 'once',
): UnicornDriver {
  const unicorn = new Unicorn(api, UC_ARCH.ARM64, UC_MODE.ARM, UNICORN_REGISTERS, UC_CPU_ARM64_MAX);
  unicorn.map(0, CASE_MEMORY.size);
  const scratch = new Uint8Array(CASE_MEMORY.scratchSize);
  unicorn.write(CASE_MEMORY.scratch, INITIAL_SCRATCH);
  return {
    name: 'Unicorn',
    run(test, address) {
      const end = address + 4 * test.words.length;
      unicorn.forgetCode(address, runs === 'once' ? end : address + PAGE);
      unicorn.write(address, new Uint8Array(Int32Array.from(test.words).buffer));
      unicorn.registers.set(test.registers);
      unicorn.registers[REGISTER.pc] = BigInt(address);
      const error =
        runs === 'once'
          ? unicorn.run(BigInt(address), test.words.length)
          : unicorn.runUntil(BigInt(address), BigInt(end), 0);
      unicorn.read(CASE_MEMORY.scratch, scratch);
      return { outcome: unicornOutcome(error), registers: unicorn.registers.slice(), scratch };
    },
    writeSystemRegister(key, value) {
      // struct uc_arm64_cp_reg: CRn, CRm, op0, op1, op2, and the value
      const { op0, op1, CRn, CRm, op2 } = keyFields(key);
      const words = Uint32Array.of(CRn, CRm, op0, op1, op2, 0, Number(value & 0xffff_ffffn), Number(value >> 32n));
      unicorn.writeRegister(UC_ARM64.CP_REG, new Uint8Array(words.buffer));
    },
    reset: () => unicorn.write(CASE_MEMORY.scratch, INITIAL_SCRATCH),
  };
}

function unicornOutcome(error: number): Outcome {
  switch (error) {
    case UC_ERR.OK:
      return 'done';
    // An exception that nothing handles; the only one that the cases raise is UNDEFINED
    case UC_ERR.EXCEPTION:
    case UC_ERR.INSN_INVALID:
      return 'undefined';
    default:
      return 'memory fault';
  }
}
