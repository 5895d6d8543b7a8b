/**
 * A toy instruction set for tests of the engine: 8 registers, words of four bytes (opcode, a, b, signed immediate).
 *
 * Addresses are mapped to themselves, except pages that a test unmaps.
 */
import { BlockBuilder } from '../../emulator/cpu/ir/builder.ts';
import type { Block, Terminal } from '../../emulator/cpu/ir/block.ts';
import { faultingHelper, stateHelper } from '../../emulator/cpu/ir/helper-declaration.ts';
import { StateLayout } from '../../emulator/cpu/ir/state-field.ts';
import { CPU_STATE } from '../../emulator/cpu/execute/cpu-state.ts';
import { Engine, type EngineOptions, engineReservedBytes } from '../../emulator/cpu/execute/engine.ts';
import type { AccessKind, EngineCpu, Guest, GuestCpu, WalkResult } from '../../emulator/cpu/execute/guest.ts';
import { Bus } from '../../emulator/memory/bus.ts';
import { GuestMemory } from '../../emulator/memory/guest-memory.ts';

const OP = { ADDI: 0, ADD: 1, LOAD: 2, STORE: 3, BNZ: 4, JMP: 5, JR: 6, TRAP: 7, COUNT: 8, CALL: 9 } as const;

const layout = new StateLayout(CPU_STATE.guest);
/** The toy's registers. */
export const TOY_REGISTERS = layout.registers('r', 'i64', 8);

const trap = faultingHelper('toy.trap', [], 'none');
/** Gives the count of retired instructions. */
const count = stateHelper('toy.count', [], 'i64');

/** Assembles one instruction; `imm` in words for jumps. */
export const toy = {
  /** r[a] = r[b] + imm */
  addi: (a: number, b: number, imm: number) => [OP.ADDI, a, b, imm & 0xff],
  /** r[a] += r[b] */
  add: (a: number, b: number) => [OP.ADD, a, b, 0],
  load: (a: number, b: number, imm: number) => [OP.LOAD, a, b, imm & 0xff],
  store: (a: number, b: number, imm: number) => [OP.STORE, a, b, imm & 0xff],
  /** if r[a] ≠ 0 jump by imm words */
  bnz: (a: number, imm: number) => [OP.BNZ, a, 0, imm & 0xff],
  jmp: (imm: number) => [OP.JMP, 0, 0, imm & 0xff],
  jr: (b: number) => [OP.JR, 0, b, 0],
  /** r[a] = return address; jump by imm words */
  call: (a: number, imm: number) => [OP.CALL, a, 0, imm & 0xff],
  trap: () => [OP.TRAP, 0, 0, 0],
  /** r[a] = retired instructions */
  count: (a: number) => [OP.COUNT, a, 0, 0],
};

/** A nested loop of 50 times 100 rounds: r0 counts outer, r1 inner rounds, r2 sums, r3 gets the instructions retired. */
export const NESTED_LOOP = [
  toy.addi(0, 7, 50),
  toy.addi(1, 7, 100), // outer:
  toy.add(2, 1), // inner:
  toy.addi(1, 1, -1),
  toy.bnz(1, -2),
  toy.addi(0, 0, -1),
  toy.bnz(0, -5),
  toy.count(3),
  toy.trap(),
];

function translate(ir: BlockBuilder, word: number, offset: number): Terminal | undefined {
  const a = TOY_REGISTERS[(word >> 8) & 7]!;
  const b = TOY_REGISTERS[(word >> 16) & 7]!;
  const imm = word >> 24;
  switch (word & 0xff) {
    case OP.ADDI:
      ir.set(a, ir.add(ir.get(b), ir.i64(imm)));
      return undefined;
    case OP.ADD:
      ir.set(a, ir.add(ir.get(a), ir.get(b)));
      return undefined;
    case OP.LOAD:
      ir.set(a, ir.load(ir.add(ir.get(b), ir.i64(imm)), 8));
      return undefined;
    case OP.STORE:
      ir.store(ir.add(ir.get(b), ir.i64(imm)), ir.get(a), 8);
      return undefined;
    case OP.BNZ:
      return { kind: 'branch', condition: ir.ne(ir.get(a), ir.i64(0)), taken: offset + 4 * imm, notTaken: offset + 4 };
    case OP.JMP:
      return { kind: 'jump', target: offset + 4 * imm };
    case OP.JR:
      return { kind: 'indirect', target: ir.get(b) };
    case OP.CALL:
      ir.set(a, ir.pc(offset + 4));
      return { kind: 'jump', target: offset + 4 * imm };
    case OP.COUNT:
      ir.set(a, ir.call(count));
      return undefined;
    default:
      ir.call(trap);
      return { kind: 'resume' };
  }
}

function translateBlock(code: DataView, start: number): Block {
  const ir = new BlockBuilder(start);
  let offset = start;
  let terminal: Terminal | undefined;
  while (terminal === undefined && offset < code.byteLength && ir.instructionCount < 32) {
    ir.beginInstruction(offset);
    terminal = translate(ir, code.getInt32(offset, true), offset);
    offset += 4;
  }
  return ir.finish(offset, terminal ?? { kind: 'jump', target: offset });
}

/** What a test sees of a toy CPU. */
export class ToyCpu implements GuestCpu {
  readonly engine: EngineCpu;
  readonly unmapped = new Set<number>();
  /** PCs at which exceptions were delivered, with what raised them. */
  readonly exceptions: { readonly pc: number; readonly retired: number; readonly cause: string }[] = [];
  idle: GuestCpu['idle'] = 'running';
  readonly wakeUp = false;
  pending = '';

  constructor(engine: EngineCpu) {
    this.engine = engine;
  }
  walk(low: number, _high: number, kind: AccessKind, _regime: string, result: WalkResult): boolean {
    const page = (low >>> 12) * 4096;
    if (this.unmapped.has(page)) {
      this.pending = `${kind} ${low >>> 0}`;
      return false;
    }
    Object.assign(result, { paddr: page, readable: true, writable: true, executable: true, leafSize: 4096 });
    return true;
  }
  alignmentFault(): void {
    this.pending = 'alignment';
  }
  busFault(): boolean {
    this.pending = 'bus';
    return true;
  }
  /** Stops the CPU. */
  deliverException(): void {
    const { engine } = this;
    this.exceptions.push({ pc: Number(engine.pc), retired: engine.instructionsRetired(), cause: this.pending });
    this.idle = 'off';
    engine.requestAttention();
    engine.int32[(engine.base + CPU_STATE.exit) >> 2]! |= 2;
  }
  takeInterrupt(): boolean {
    return false;
  }
  modeKey(): number {
    return 0;
  }
}

/** An engine with one toy CPU and 1 MiB of RAM at 0. */
export function toyMachine(compileThreshold: number, options: Partial<EngineOptions> = {}, lookahead = 0) {
  let engine: Engine | undefined;
  let translations = 0;
  const guest: Guest = {
    name: 'aarch64',
    variant: 'test',
    layout,
    lookahead,
    translateBlock(code, start) {
      translations++;
      return translateBlock(code, start);
    },
    helpers: {
      'toy.trap': () => {
        const cpu = engine!.current.guest as ToyCpu;
        cpu.pending = 'trap';
        cpu.engine.requestException();
      },
      'toy.count': () => BigInt(engine!.retired),
    },
  };
  const memory = new GuestMemory(engineReservedBytes(1), [{ start: 0, size: 2 ** 20 }]);
  engine = new Engine(guest, memory, new Bus('memory'), 1, cpu => new ToyCpu(cpu), { ...options, compileThreshold });
  const cpu = engine.cpus[0]!;
  cpu.setContext(0, 0);
  return {
    engine,
    memory,
    cpu,
    toy: cpu.guest as ToyCpu,
    /** Blocks translated so far, those translated once more for the compiler included. */
    get translations(): number {
      return translations;
    },
    /** Puts a program at an address. */
    program(address: number, ...words: readonly number[][]): void {
      memory.ramSlice(address, 4 * words.length).set(words.flat());
    },
    register: (n: number): bigint => memory.view.getBigInt64(cpu.base + TOY_REGISTERS[n]!.offset, true),
    setRegister(n: number, value: bigint): void {
      memory.view.setBigInt64(cpu.base + TOY_REGISTERS[n]!.offset, value, true);
    },
    /** Runs slices until the CPU stops or `slices` are used up. */
    run(start: number, slices = 1000, instructions = 10_000): void {
      cpu.pc = BigInt(start);
      for (let i = 0; i < slices && (cpu.guest as ToyCpu).idle === 'running'; i++) engine.runSlice(cpu, instructions);
    },
  };
}
