/** What runs x86_64 test cases: our evaluator, our compiled code, and Unicorn. */
import { CPU_STATE } from '../../emulator/cpu/execute/cpu-state.ts';
import { Engine, engineReservedBytes } from '../../emulator/cpu/execute/engine.ts';
import { evaluateBlock } from '../../emulator/cpu/execute/evaluate.ts';
import type {
  AccessKind,
  Guest,
  GuestCpu,
  HelperImplementation,
  WalkResult,
} from '../../emulator/cpu/execute/guest.ts';
import type { Block } from '../../emulator/cpu/ir/block.ts';
import { X64_FEATURE_NAMES, type X64FeatureName } from '../../emulator/cpu/x64/features.ts';
import { USER_MODE_64, type X64Mode } from '../../emulator/cpu/x64/mode.ts';
import { instructionHelpers } from '../../emulator/cpu/x64/system/instruction-helpers.ts';
import { EFLAGS, SEGMENT, STATUS_FLAGS, X64_LAYOUT, X64_STATE } from '../../emulator/cpu/x64/state.ts';
import { leastWord } from '../../emulator/cpu/x64/system/fp-state.ts';
import { sseHelpers, SseUnit } from '../../emulator/cpu/x64/system/sse-float.ts';
import { vectorMemoryHelpers } from '../../emulator/cpu/x64/system/vector-memory.ts';
import { vectorOperationHelpers } from '../../emulator/cpu/x64/system/vector-operations.ts';
import { runString } from '../../emulator/cpu/x64/system/strings.ts';
import { translateBlock } from '../../emulator/cpu/x64/translate-block.ts';
import { VECTOR } from '../../emulator/cpu/x64/system/fault.ts';
import { packStatusFlags, unpackStatusFlags } from '../../emulator/cpu/x64/system/flag-words.ts';
import { Bus } from '../../emulator/memory/bus.ts';
import { GuestMemory } from '../../emulator/memory/guest-memory.ts';
import { UC_ARCH, UC_ERR, UC_MODE, Unicorn, type loadUnicorn } from './unicorn.ts';
import { X64_MEMORY, X64_REGISTER, type X64Case } from './x64-cases.ts';

/** How a case ended. */
export type Outcome = 'done' | 'memory fault' | 'exception';

export interface CaseResult {
  readonly outcome: Outcome;
  /** By `X64_REGISTER`. */
  readonly registers: BigUint64Array;
  /** The scratch area, live. */
  readonly scratch: Uint8Array;
}

export interface Driver {
  readonly name: string;
  /** Runs a case at this address of code. */
  run(test: X64Case, address: number): CaseResult;
  /** Makes scratch memory as it was before the first case. */
  reset(): void;
}

const PAGE = 4096;

class TestCpu implements GuestCpu {
  readonly idle = 'running';
  readonly wakeUp = false;
  outcome: Outcome = 'done';

  walk(low: number, high: number, _kind: AccessKind, _regime: string, result: WalkResult): boolean {
    const paddr = (low >>> 12) * PAGE;
    if (high !== 0 || paddr >= X64_MEMORY.size) {
      this.outcome = 'memory fault';
      return false;
    }
    Object.assign(result, { paddr, readable: true, writable: true, executable: true, leafSize: PAGE, guarded: false });
    return true;
  }
  alignmentFault(): void {
    this.outcome = 'exception';
  }
  busFault(): boolean {
    this.outcome = 'memory fault';
    return true;
  }
  deliverException(): void {}
  takeInterrupt(): boolean {
    return false;
  }
  modeKey(): number {
    return 0;
  }
}

const ALL_FEATURES: ReadonlySet<X64FeatureName> = new Set(X64_FEATURE_NAMES);

/** Bytes of scratch memory before the first case. */
export const INITIAL_SCRATCH = Uint8Array.from(
  { length: X64_MEMORY.scratchSize },
  (_, i) => (i * 7 + (i >> 8) * 31) & 0xff,
);

/** The machine under test, in both of its executors. */
class TestMachine {
  readonly #memory = new GuestMemory(engineReservedBytes(1), [{ start: 0, size: X64_MEMORY.size }]);
  readonly #engine: Engine;
  readonly #mode: X64Mode;
  readonly #sse: SseUnit;

  constructor(mode: X64Mode) {
    this.#mode = mode;
    const raise = (vector: number): void => this.#raise(vector);
    const check = (vector: number) => (holds: number) => {
      if (holds === 0) raise(vector);
    };
    const helpers: Record<string, HelperImplementation> = {
      'x64.raiseException': raise,
      'x64.checkDivision': check(VECTOR.DE),
      'x64.checkBound': check(VECTOR.BR),
      'x64.checkProtection': check(VECTOR.GP),
      'x64.string': (form: number) => runString(this.#cpu, form, NO_SURROUNDINGS, this.#mode.codeSize === 64),
      'x64.requireVm86Privilege': () => undefined,
      // QEMU 5.0 jumps, and faults there
      'x64.checkBranchTarget': () => undefined,
      'x64.checkSegmentAccess': () => undefined,
      'x64.pause': () => undefined,
      'x64.requireFsGsBase': () => undefined,
      ...vectorOperationHelpers(() => this.#cpu),
      ...vectorMemoryHelpers(
        () => this.#cpu,
        () => true,
      ),
      ...sseHelpers(() => this.#sse),
      'x64.minimumPosition': leastWord,
      'x64.loadMxcsr': (value: number) => {
        if (value >>> 16 !== 0) raise(VECTOR.GP);
        else this.#cpu.view.setInt32(this.#cpu.base + X64_STATE.MXCSR.offset, value, true);
      },
      ...instructionHelpers(() => this.#cpu, { raise: vector => raise(vector) }),
    };
    const guest: Guest = {
      name: 'x86_64',
      variant: 'test',
      layout: X64_LAYOUT,
      lookahead: 15,
      translateBlock: (code, start) => translateBlock(code, start, mode, ALL_FEATURES, () => undefined)!,
      helpers,
    };
    this.#engine = new Engine(guest, this.#memory, new Bus('memory'), 1, () => new TestCpu());
    this.#sse = new SseUnit({ engine: this.#cpu, raiseFloatingPoint: () => raise(VECTOR.XM) });
    this.#cpu.setContext(0, 0);
    this.reset();
  }

  get #cpu() {
    return this.#engine.cpus[0]!;
  }

  reset(): void {
    this.#memory.ramSlice(0, X64_MEMORY.size).fill(0);
    this.#scratch.set(INITIAL_SCRATCH);
  }

  run(test: X64Case, address: number, execute: 'evaluate' | 'compile'): CaseResult {
    const guest = this.#cpu.guest as TestCpu;
    guest.outcome = 'done';
    this.#loadState(test.registers, address);
    const code = this.#memory.ramSlice(address & -PAGE, PAGE);
    const start = address % PAGE;
    code.set(test.code, start);
    const view = new DataView(code.buffer, code.byteOffset, start + test.code.length);
    const { view: state, base } = this.#cpu;
    // a repeated string instruction goes back to itself
    for (let runs = 0, at = start; runs < 200 && guest.outcome === 'done'; runs++) {
      const block = translateBlock(view, at, this.#mode, ALL_FEATURES, () => undefined);
      if (!block) break;
      if (execute === 'evaluate') evaluateBlock(block, BigInt(address & -PAGE), this.#cpu);
      else this.#enter(block);
      const pc = state.getBigUint64(base + CPU_STATE.pc, true);
      at = Number(pc) - (address - start);
      if (pc >= BigInt(address + test.code.length) || pc < BigInt(address) || (test.count === 1 && !test.repeats))
        break;
    }
    return { outcome: guest.outcome, registers: this.#saveState(), scratch: this.#scratch };
  }

  get #scratch(): Uint8Array {
    return this.#memory.ramSlice(X64_MEMORY.scratch, X64_MEMORY.scratchSize);
  }

  #enter(block: Block): void {
    const { compiler } = this.#engine;
    const slot = compiler.install(compiler.compile({ blocks: [block], entries: [0] }));
    compiler.runtime.enter(this.#cpu.base, slot, 0);
    compiler.discard(slot);
    compiler.recycle();
  }

  #raise(_vector: number): void {
    (this.#cpu.guest as TestCpu).outcome = 'exception';
    this.#cpu.requestException();
  }

  #loadState(registers: BigUint64Array, address: number): void {
    const { base, view } = this.#cpu;
    const set64 = (offset: number, value: bigint): void => view.setBigUint64(base + offset, value, true);
    X64_STATE.r.forEach((field, n) => set64(field.offset, registers[n]!));
    const flags = Number(registers[X64_REGISTER.flags]!);
    unpackStatusFlags(this.#cpu, flags);
    view.setInt32(base + X64_STATE.eflags.offset, flags & EFLAGS.DF, true);
    view.setInt32(base + X64_STATE.MXCSR.offset, Number(registers[X64_REGISTER.mxcsr]!), true);
    for (let n = 0; n < 16; n++) {
      const at = X64_REGISTER.y + 4 * n;
      set64(X64_STATE.xmm[n]!.offset, registers[at]!);
      set64(X64_STATE.xmm[n]!.offset + 8, registers[at + 1]!);
      set64(X64_STATE.ymmHigh[n]!.offset, registers[at + 2]!);
      set64(X64_STATE.ymmHigh[n]!.offset + 8, registers[at + 3]!);
    }
    X64_STATE.significand.forEach((field, n) => set64(field.offset, registers[X64_REGISTER.m + n]!));
    for (const n of DATA_SEGMENTS) {
      set64(X64_STATE.segments[n]!.base.offset, this.#mode.flat ? 0n : BigInt(X64_MEMORY.dataBase16));
    }
    set64(CPU_STATE.pc, BigInt(address));
    view.setInt32(base + CPU_STATE.exit, 0, true);
    view.setInt32(base + CPU_STATE.budget, 100_000, true);
  }

  #saveState(): BigUint64Array {
    const { base, view } = this.#cpu;
    const get64 = (offset: number): bigint => view.getBigUint64(base + offset, true);
    const registers = new BigUint64Array(X64_REGISTER.count);
    X64_STATE.r.forEach((field, n) => (registers[n] = get64(field.offset)));
    const eflags = view.getInt32(base + X64_STATE.eflags.offset, true);
    registers[X64_REGISTER.flags] = BigInt(packStatusFlags(this.#cpu) | eflags | EFLAGS.FIXED);
    registers[X64_REGISTER.pc] = get64(CPU_STATE.pc);
    registers[X64_REGISTER.mxcsr] = BigInt(view.getUint32(base + X64_STATE.MXCSR.offset, true));
    for (let n = 0; n < 16; n++) {
      const at = X64_REGISTER.y + 4 * n;
      registers[at] = get64(X64_STATE.xmm[n]!.offset);
      registers[at + 1] = get64(X64_STATE.xmm[n]!.offset + 8);
      registers[at + 2] = get64(X64_STATE.ymmHigh[n]!.offset);
      registers[at + 3] = get64(X64_STATE.ymmHigh[n]!.offset + 8);
    }
    X64_STATE.significand.forEach((field, n) => (registers[X64_REGISTER.m + n] = get64(field.offset)));
    return registers;
  }
}

const DATA_SEGMENTS = [SEGMENT.ES, SEGMENT.SS, SEGMENT.DS];
const NO_SURROUNDINGS = {
  checkPort: () => true,
  readPort: () => 0,
  writePort: () => undefined,
  isLimited: () => false,
  checkAccess: () => true,
};

/** Flags that a case compares: all that arithmetic sets, and DF. */
export const COMPARED_FLAGS = STATUS_FLAGS | EFLAGS.DF;

const MODES: Readonly<Record<16 | 32 | 64, X64Mode>> = {
  16: { ...USER_MODE_64, codeSize: 16, real: true, stack32: false, flat: false, avxUsable: false },
  32: { ...USER_MODE_64, codeSize: 32 },
  64: USER_MODE_64,
};

/** Our evaluator, or our compiled code: each case is a region of one block. */
export function ourDriver(execute: 'evaluate' | 'compile', codeSize: 16 | 32 | 64 = 64): Driver {
  const machine = new TestMachine(MODES[codeSize]);
  return {
    name: execute === 'evaluate' ? 'evaluator' : 'compiled code',
    run: (test, address) => machine.run(test, address, execute),
    reset: () => machine.reset(),
  };
}

/** Numbers of `uc_x86_reg` (unicorn/x86.h). */
const UC_X86 = {
  RAX: 35,
  RCX: 38,
  RDX: 40,
  RBX: 37,
  RSP: 44,
  RBP: 36,
  RSI: 43,
  RDI: 39,
  R8: 106,
  RFLAGS: 253,
  RIP: 41,
  MXCSR: 249,
  YMM0: 154,
  MM0: 98,
  EAX: 19,
  ECX: 22,
  EDX: 24,
  EBX: 21,
  ESP: 30,
  EBP: 20,
  ESI: 29,
  EDI: 23,
  EFLAGS: 25,
  EIP: 26,
  DS: 17,
  ES: 28,
  SS: 49,
} as const;
const UC_MODES = { 16: 2, 32: 4, 64: UC_MODE.MODE_64 } as const;
const UC_CPU_X86_HASWELL = 19;

const range = (count: number, first: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** A register of Unicorn, and where it is among ours. */
interface Place {
  readonly id: number;
  readonly at: number;
  readonly words: number;
}

/** Source: unicorn/x86.h, `uc_x86_reg`. */
function unicornPlaces(codeSize: 16 | 32 | 64): readonly Place[] {
  const long = codeSize === 64;
  const { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI } = UC_X86;
  const { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI } = UC_X86;
  const general = long
    ? [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, ...range(8, UC_X86.R8)]
    : [EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI];
  const place = (id: number, at: number, words = 1): Place => ({ id, at, words });
  return [
    ...general.map((id, n) => place(id, n)),
    place(long ? UC_X86.RFLAGS : UC_X86.EFLAGS, X64_REGISTER.flags),
    place(long ? UC_X86.RIP : UC_X86.EIP, X64_REGISTER.pc),
    place(UC_X86.MXCSR, X64_REGISTER.mxcsr),
    ...range(long ? 16 : 8, UC_X86.YMM0).map((id, n) => place(id, X64_REGISTER.y + 4 * n, 4)),
    ...range(8, UC_X86.MM0).map((id, n) => place(id, X64_REGISTER.m + n)),
  ];
}

/**
 * Unicorn, until it is disposed of. It keeps what it has translated and does not live through some hundred thousand cases: one for each row.
 * @param model a `uc_cpu_x86` number
 */
export function unicornDriver(
  api: Exclude<ReturnType<typeof loadUnicorn>, string>,
  codeSize: 16 | 32 | 64 = 64,
  model: number = UC_CPU_X86_HASWELL,
): Driver & Disposable {
  const places = unicornPlaces(codeSize);
  const list = { ids: places.map(({ id }) => id), words: places.map(({ words }) => words) };
  const unicorn = new Unicorn(api, UC_ARCH.X86, UC_MODES[codeSize], list, model);
  unicorn.map(0, X64_MEMORY.size);
  if (codeSize === 16) {
    const selector = X64_MEMORY.dataBase16 >> 4;
    for (const id of [UC_X86.DS, UC_X86.ES, UC_X86.SS])
      unicorn.writeRegister(id, Uint8Array.of(selector, selector >> 8));
  }
  const scratch = new Uint8Array(X64_MEMORY.scratchSize);
  unicorn.write(X64_MEMORY.scratch, INITIAL_SCRATCH);
  return {
    name: 'Unicorn',
    run(test, address) {
      unicorn.forgetCode(address, address + X64_MEMORY.slot);
      unicorn.write(address, test.code);
      const registers = BigUint64Array.from(test.registers);
      registers[X64_REGISTER.pc] = BigInt(address);
      exchange(places, (from, at) => (unicorn.registers[from] = registers[at]!));
      const repeated = test.repeats ? 64 : 0;
      const end = BigInt(address + test.code.length);
      const error = unicorn.runUntil(BigInt(address), end, test.count + repeated);
      exchange(places, (from, at) => (registers[at] = unicorn.registers[from]!));
      const isFault = error === UC_ERR.READ_UNMAPPED || error === UC_ERR.WRITE_UNMAPPED;
      const outcome = !isFault && isStuck(test, address, registers) ? 'exception' : unicornOutcome(error);
      unicorn.read(X64_MEMORY.scratch, scratch);
      return { outcome, registers, scratch };
    },
    reset: () => unicorn.write(X64_MEMORY.scratch, INITIAL_SCRATCH),
    [Symbol.dispose]: () => unicorn[Symbol.dispose](),
  };
}

/**
 * Whether nothing moved: without a hook for interrupts, Unicorn stops at an exception with one error or another, or none.
 * A jump or call may lead to its own address, and a repeated string instruction stays there.
 */
function isStuck(test: X64Case, address: number, after: BigUint64Array): boolean {
  const stands = after[X64_REGISTER.pc] === BigInt(address) && after[RSP] === test.registers[RSP];
  return stands && !test.repeats && !/: JMP/.test(test.rows[0]!);
}

const RSP = 4;

/** Calls back with the place of each word among Unicorn's registers, and among ours. */
function exchange(places: readonly Place[], word: (unicorn: number, ours: number) => void): void {
  let from = 0;
  for (const { at, words } of places) for (let i = 0; i < words; i++) word(from++, at + i);
}

function unicornOutcome(error: number): Outcome {
  switch (error) {
    case UC_ERR.OK:
    case UC_ERR.FETCH_UNMAPPED: // jumped to nowhere
      return 'done';
    case UC_ERR.INSN_INVALID:
    case UC_ERR.EXCEPTION:
      return 'exception';
    default:
      return 'memory fault';
  }
}
