/**
 * Random A64 programs with loops and branches, and what runs them: the whole engine, interpreting or compiling, and Unicorn.
 *
 * A program is blocks of random instructions in one page. Forward branches go anywhere behind; a backward branch first counts X25
 * down and is not taken once it is 0, so that every program ends, at the BRK behind it.
 */
import { INTEGER_HELPERS } from '../../emulator/cpu/a64/integer-helpers.ts';
import type { Instruction } from '../../emulator/cpu/a64/instruction.ts';
import { createSimdHelpers } from '../../emulator/cpu/a64/simd-helpers.ts';
import { A64_LAYOUT } from '../../emulator/cpu/a64/state.ts';
import { translateBlock } from '../../emulator/cpu/a64/translate-block.ts';
import { EC } from '../../emulator/cpu/a64/translation.ts';
import { CPU_STATE, EXIT } from '../../emulator/cpu/execute/cpu-state.ts';
import { Engine, engineReservedBytes } from '../../emulator/cpu/execute/engine.ts';
import type { Guest } from '../../emulator/cpu/execute/guest.ts';
import { Bus } from '../../emulator/memory/bus.ts';
import { GuestMemory } from '../../emulator/memory/guest-memory.ts';
import { a64 } from './a64-assemble.ts';
import { type A64Case, CASE_MEMORY, randomCase } from './a64-cases.ts';
import { ALL_FEATURES, type CaseResult, type Driver } from './a64-drivers.ts';
import { CASE_MODE, INITIAL_SCRATCH, loadState, saveState, TestCpu } from './a64-test-cpu.ts';
import type { Random } from './random.ts';

const PAGE = 4096;
const COUNTER = 25;
const BRK = a64('BRK');
const ROUNDS = 30n;

/** Words of a backward branch, with the counting. */
const BACKWARD = 3;

/** A program of up to `blocks` blocks, without the BRK behind it. */
export function randomProgram(random: Random, rows: readonly Instruction[], blocks: number): A64Case {
  const cases = Array.from({ length: 2 + random.below(blocks - 1) }, () => randomCase(random, rows, 5));
  const backward = cases.map(() => random.below(3) === 0);
  const sizes = cases.map(({ words }, i) => words.length + (backward[i] ? BACKWARD : 1));
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
  const end = starts.at(-1)! + sizes.at(-1)!;
  const words = cases.flatMap((test, i) => {
    const at = starts[i]! + test.words.length;
    const branch = backward[i]
      ? backwardBranch(at, starts[random.below(i + 1)]!)
      : [forwardBranch(random, at, random.pick([...starts.slice(i + 1), end]))];
    return [...test.words, ...branch];
  });
  const registers = cases[0]!.registers;
  registers[COUNTER] = ROUNDS;
  return { words, rows: cases.flatMap(test => test.rows), registers };
}

function backwardBranch(at: number, to: number): number[] {
  return [
    a64('CBZ', { sf: 1, imm19: BACKWARD, rt: COUNTER }),
    a64('SUB (immediate)', { sf: 1, imm12: 1, rn: COUNTER, rd: COUNTER }),
    a64('B', { imm26: to - (at + 2) }),
  ];
}

function forwardBranch(random: Random, at: number, to: number): number {
  const distance = to - at;
  const rt = random.below(25);
  switch (random.below(4)) {
    case 0:
      return a64('CBNZ', { sf: random.below(2), imm19: distance, rt });
    case 1:
      return a64('TBZ', { b5: random.below(2), b40: random.below(32), imm14: distance, rt });
    default:
      return a64('B.cond', { imm19: distance, cond: random.below(14) });
  }
}

/** Ends the run at any exception. */
class ProgramCpu extends TestCpu {
  stop: () => void = () => {};
  get reachedEnd(): boolean {
    return this.outcome === `exception ${EC.BRK64}`;
  }
  override deliverException(): void {
    this.stop();
  }
}

/** Runs programs on the engine. @param compileThreshold as in `EngineOptions` */
export function engineDriver(name: string, compileThreshold: number): Driver & { readonly retired: number } {
  const memory = new GuestMemory(engineReservedBytes(1), [{ start: 0, size: CASE_MEMORY.size }]);
  const guest: Guest = {
    name: 'aarch64',
    variant: 'test',
    layout: A64_LAYOUT,
    lookahead: 0,
    translateBlock: (code, start) => translateBlock(code, start, CASE_MODE, ALL_FEATURES),
    helpers: {
      'a64.raiseException': (exceptionClass: number) => testCpu.raise(cpu, exceptionClass),
      ...INTEGER_HELPERS,
      ...createSimdHelpers(() => cpu),
    },
  };
  const testCpu = new ProgramCpu();
  const engine: Engine = new Engine(guest, memory, new Bus('memory'), 1, () => testCpu, { compileThreshold });
  const cpu = engine.cpus[0]!;
  testCpu.stop = () => {
    cpu.requestAttention();
    cpu.int32[(cpu.base + CPU_STATE.exit) >> 2]! |= EXIT.budget;
  };
  cpu.setContext(0, 0);
  const scratch = memory.ramSlice(CASE_MEMORY.scratch, CASE_MEMORY.scratchSize);
  scratch.set(INITIAL_SCRATCH);
  let retired = 0;
  return {
    name,
    get retired() {
      return retired;
    },
    run(test, address): CaseResult {
      engine.code.clear();
      const code = memory.ramSlice(address, PAGE);
      code.set(new Uint8Array(Int32Array.from([...test.words, BRK]).buffer));
      loadState(cpu, test.registers, address);
      testCpu.outcome = 'done';
      const before = engine.retired;
      for (let slice = 0; slice < 100 && testCpu.outcome === 'done'; slice++) engine.runSlice(cpu, 1000);
      retired = engine.retired - before;
      const registers = saveState(cpu);
      return { outcome: testCpu.reachedEnd ? 'done' : testCpu.outcome, registers, scratch };
    },
    reset: () => scratch.set(INITIAL_SCRATCH),
  };
}
